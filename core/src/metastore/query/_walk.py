"""A walk over events hop by hop, for flavors whose backend cannot walk itself."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from metastore.model import Event, NodeKind
from metastore.query._evaluate import Reader
from metastore.query._records import EventQuery, WalkQuery

__all__ = ["walked"]

_BATCH = 5000
"""Ids asked for at once: a frontier may be the whole store."""


def walked(reader: Reader, query: WalkQuery) -> list[Event]:
    """The events of the walk, each once; whole frontiers are read at a time."""
    kind, frontier, hops = query.kind, set(query.ids), 0
    seen = {NodeKind.ARTIFACT: set[int](), NodeKind.EXECUTION: set[int]()}
    found: dict[tuple[int, int, int], Event] = {}
    while frontier and (query.max_hops is None or hops < query.max_hops):
        at_artifacts = kind is NodeKind.ARTIFACT
        types = query.way.types(kind)
        seen[kind] |= frontier
        reached: set[int] = set()
        for event in _events(reader, kind, frontier):
            if event.type in types:
                found[event.artifact_id, event.execution_id, event.type] = event
                reached.add(event.execution_id if at_artifacts else event.artifact_id)
        kind = NodeKind.EXECUTION if at_artifacts else NodeKind.ARTIFACT
        frontier = reached - seen[kind]
        hops += 1
    return list(found.values())


def _events(reader: Reader, kind: NodeKind, ids: Collection[int]) -> Iterator[Event]:
    ordered = sorted(ids)
    for at in range(0, len(ordered), _BATCH):
        some = ordered[at : at + _BATCH]
        yield from reader.read_events(
            EventQuery(artifact_ids=some)
            if kind is NodeKind.ARTIFACT
            else EventQuery(execution_ids=some)
        )
