"""Histories of which the shape is known, for tests of lineage."""

from __future__ import annotations

from metastore.batch import Batch, Ref
from metastore.model import EventType, NodeKind

__all__ = ["history"]


def history(steps: int, *, reads_all: bool) -> Batch:
    """Steps that each write an artifact, and read that of the one before, or of all before.

    In an empty store execution n writes artifact n.  There are ``2 * steps - 1`` events, with
    `reads_all` ``steps * (steps + 1) / 2``, and ways of any length from each artifact to the first.
    """
    batch = Batch()
    for kind in (NodeKind.ARTIFACT, NodeKind.EXECUTION):
        batch.type(kind, "T")
    outputs: list[Ref] = []
    for _ in range(steps):
        execution = batch.execution("T")
        for each in outputs if reads_all else outputs[-1:]:
            batch.event(each, execution, EventType.INPUT)
        outputs.append(batch.artifact("T"))
        batch.event(outputs[-1], execution, EventType.OUTPUT, path=["model", 0])
    return batch
