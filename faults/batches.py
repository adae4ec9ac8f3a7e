"""Batches that show by themselves whether they are in a store whole, in part, or twice."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field

from metastore import (
    BaseMetadataStore,
    Batch,
    EventQuery,
    EventType,
    LinkKind,
    LinkQuery,
    NodeKind,
    NodeQuery,
    PropertyKind,
    Reuse,
    Store,
    TypeQuery,
)
from metastore.batch import NodeRef, Ref

__all__ = ["Found", "batch_of", "batches_in", "check", "in_two", "size_of"]

_SIZES = (1, 2, 3, 8, 20, 60)
"""Outputs of a batch."""
_OWN_TYPE = 4
"""Of so many batches, one makes a type of its own."""


def size_of(label: str) -> int:
    """How many outputs the batch of a label has, whoever asks."""
    return random.Random(label).choice(_SIZES)


def _makes_type(label: str) -> bool:
    return random.Random(f"type of {label}").randrange(_OWN_TYPE) == 0


def batch_of(label: str) -> Batch:
    """What one step of a pipeline writes: nodes of all kinds, events, links, at times a type.

    Its execution and artifacts have no names, and its context is reused, so that nothing but care
    keeps it from being there twice.
    """
    batch = Batch()
    _write_outputs(batch, label, range(size_of(label)), _write_head(batch, label))
    return batch


def in_two(store: Store, label: str) -> None:
    """Write the same in two transactions: what must be found out."""
    size = size_of(label)
    first, second = Batch(), Batch()
    execution = _write_head(first, label)
    _write_outputs(first, label, range(size // 2), execution)
    id = store.write(first)[execution].id
    _declare(second, label)
    _write_outputs(second, label, range(size // 2, size), id)
    store.write(second)


def _declare(batch: Batch, label: str) -> None:
    for kind in NodeKind:
        batch.type(kind, "T", {"label": PropertyKind.STRING, "n": PropertyKind.INT})
    if _makes_type(label):
        batch.type(NodeKind.ARTIFACT, f"type of {label}", {"label": PropertyKind.STRING})


def _context(batch: Batch, label: str) -> NodeRef:
    return batch.context("T", name=label, properties={"label": label}, mode=Reuse("name"))


def _write_head(batch: Batch, label: str) -> Ref:
    _declare(batch, label)
    execution = batch.execution("T", properties={"label": label, "n": size_of(label)})
    batch.association(_context(batch, label), execution)
    return execution


def _write_outputs(batch: Batch, label: str, numbers: Iterable[int], execution: NodeRef) -> None:
    context = _context(batch, label)
    for number in numbers:
        artifact = batch.artifact(
            "T",
            uri=f"/{label}/{number}",
            properties={"label": label, "n": number},
            custom_properties={"again": label},
        )
        batch.event(artifact, execution, EventType.OUTPUT, path=("out", number))
        batch.attribution(context, artifact)


@dataclass
class Found:
    """What of one batch is in a store."""

    contexts: int = 0
    executions: int = 0
    numbers: list[int] = field(default_factory=list)
    """Of its artifacts."""
    events: int = 0
    attributions: int = 0
    associations: int = 0
    types: int = 0

    @classmethod
    def whole(cls, label: str) -> Found:
        """What a store has of a batch that is there once."""
        size = size_of(label)
        return cls(1, 1, list(range(size)), size, size, 1, int(_makes_type(label)))


def batches_in(store: BaseMetadataStore) -> dict[str, Found]:
    """What is in a store, by the label of the batch that it is of; in one snapshot."""
    with store.snapshot() if store.CAPABILITIES.snapshot else nullcontext():
        found: dict[str, Found] = defaultdict(Found)
        labels = {kind: dict(_labels(store, kind, found)) for kind in NodeKind}
        for event in store.read_events(EventQuery()):
            label = labels[NodeKind.EXECUTION][event.execution_id]
            assert labels[NodeKind.ARTIFACT][event.artifact_id] == label, event
            found[label].events += 1
        for kind, of in (
            (LinkKind.ATTRIBUTION, NodeKind.ARTIFACT),
            (LinkKind.ASSOCIATION, NodeKind.EXECUTION),
        ):
            for link in store.read_links(LinkQuery(kind)):
                label = labels[of][link.other_id]
                assert labels[NodeKind.CONTEXT][link.context_id] == label, link
                if kind is LinkKind.ATTRIBUTION:
                    found[label].attributions += 1
                else:
                    found[label].associations += 1
        for type in store.read_types(TypeQuery(NodeKind.ARTIFACT)):
            if type.name.startswith("type of "):
                found[type.name.removeprefix("type of ")].types += 1
    return dict(found)


def _labels(
    store: BaseMetadataStore, kind: NodeKind, found: dict[str, Found]
) -> Iterator[tuple[int, str]]:
    for node in store.iterate(NodeQuery(kind)):
        label = str(node.properties["label"])
        if kind is NodeKind.CONTEXT:
            found[label].contexts += 1
        elif kind is NodeKind.EXECUTION:
            found[label].executions += 1
        else:
            assert node.custom_properties == {"again": label}, node
            found[label].numbers.append(int(str(node.properties["n"])))
        yield node.id, label


def check(
    store: BaseMetadataStore, *, acknowledged: Iterable[str], begun: Iterable[str]
) -> Collection[str]:
    """The batches of a store: every acknowledged one, no other than begun ones, each whole and
    once; and nothing is wrong with its rows.

    Raises
    ------
    AssertionError
        It names batches that are not so.
    """
    found = batches_in(store)
    lost = sorted(set(acknowledged) - found.keys())
    assert not lost, f"lost: {len(lost)} acknowledged batches, such as {lost[:3]}"
    strange = sorted(found.keys() - set(begun))
    assert not strange, f"never begun: {strange[:3]}"
    for label, there in found.items():
        whole = Found.whole(label)
        there.numbers.sort()
        assert there.executions <= 1, f"there {there.executions} times: {label}"
        assert there == whole, f"in part: {label}: {there} instead of {whole}"
    problems = list(store.problems())
    assert not problems, f"verify says: {problems}"
    return found.keys()
