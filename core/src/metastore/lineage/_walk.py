"""Walking the events of a store."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import cast

from metastore.base import BaseMetadataStore
from metastore.errors import InvalidError
from metastore.lineage._graph import Graph
from metastore.lineage._lineage import Lineage
from metastore.model import AnyNode, Artifact, Event, Execution, NodeKind
from metastore.query import EventQuery, Filter, NodeQuery, WalkQuery, Way, check_number

__all__ = ["around", "walk"]

_BATCH = 5000
"""Ids asked for at once: a frontier may be the whole store."""


def walk(
    backend: BaseMetadataStore,
    artifacts: Collection[int],
    *,
    upstream: bool = True,
    downstream: bool = False,
    max_hops: int | None = None,
    stop_at: str | None = None,
    stop_at_execution: str | None = None,
    siblings: bool = False,
    max_nodes: int | None = None,
) -> Lineage:
    """Walk the events: one question to the store, or one a hop where each may be the last.

    Parameters
    ----------
    artifacts:
        Ids to begin with.
    upstream, downstream:
        Towards what they were made from; towards what was made from them; both are two walks, so
        that a sibling (what else was made from the same input) is in neither.
    max_hops:
        How far: from an artifact to an execution, or on to an artifact, is one hop; 0 is the
        artifacts alone, None as far as it goes.
    stop_at, stop_at_execution:
        Filters (docs/filters.md): an artifact, an execution that fulfils its filter is the last
        one on its way.  Where the walk begins, it does not stop.
    siblings:
        Go both ways at every node, so that everything that hangs together is found: what
        ml-metadata's get_lineage_subgraph calls BIDIRECTIONAL.  Asks for both directions.
    max_nodes:
        Do not take a hop that would bring artifacts and executions to more than so many; then
        `Lineage.is_cut`.

    Raises
    ------
    FilterError
        `stop_at` or `stop_at_execution` is no filter.
    InvalidError
        `max_hops` or `max_nodes` is no integer, or negative; or `siblings` are wanted in one
        direction.
    """
    if siblings and not (upstream and downstream):
        raise InvalidError(
            "siblings are found in both directions together",
            hint="ask for upstream=True and downstream=True",
        )
    if max_hops is not None:
        check_number(
            max_hops, "max_hops is an integer from 0", 0, hint="use None to go all the way"
        )
    if max_nodes is not None:
        check_number(max_nodes, "max_nodes is an integer from 0", 0, hint="use None for no limit")
    stops = {
        kind: Filter.parse(kind, text)
        for kind, text in ((NodeKind.ARTIFACT, stop_at), (NodeKind.EXECUTION, stop_at_execution))
        if text is not None
    }
    events: dict[tuple[int, int, int], Event] = {}
    artifact_ids, execution_ids = set(artifacts), set[int]()
    ways = [Way.ALL] if siblings else [Way.UP] * upstream + [Way.DOWN] * downstream
    # One hop of each way in turn, so that none takes the room of the other.
    walks = [
        _walk_one_way(backend, set(artifacts), way, max_hops, stops, max_nodes) for way in ways
    ]
    is_cut = False
    while walks:
        for walk in list(walks):
            try:
                hop = next(walk, None)
            except _TooManyError:
                is_cut, hop = True, None
            if hop is None:
                walks.remove(walk)
                continue
            more_artifacts = {event.artifact_id for event in hop} - artifact_ids
            more_executions = {event.execution_id for event in hop} - execution_ids
            count = len(artifact_ids) + len(execution_ids)
            if max_nodes is not None and (
                count + len(more_artifacts) + len(more_executions) > max_nodes
            ):
                is_cut = True
                walks.remove(walk)
                continue
            events |= {(each.artifact_id, each.execution_id, each.type): each for each in hop}
            artifact_ids |= more_artifacts
            execution_ids |= more_executions
    return Lineage(
        f"Lineage of {', '.join(f'artifact {id}' for id in artifacts)}",
        _artifacts(backend, artifact_ids),
        _executions(backend, execution_ids),
        tuple(sorted(events.values(), key=lambda event: (event.id, event))),
        {},
        start=tuple(artifacts),
        upstream=upstream,
        downstream=downstream,
        siblings=siblings,
        is_cut=is_cut,
    )


def around(
    backend: BaseMetadataStore, executions: Iterable[Execution], *, title: str = ""
) -> Graph:
    """Executions with what they read and wrote."""
    by_id = {each.id: each for each in executions}
    events = tuple(_events(backend, NodeKind.EXECUTION, set(by_id)))
    artifacts = _artifacts(backend, {event.artifact_id for event in events})
    return Graph(title, artifacts, by_id, events, {})


def _walk_one_way(
    backend: BaseMetadataStore,
    frontier: set[int],
    way: Way,
    max_hops: int | None,
    stops: Mapping[NodeKind, Filter],
    max_nodes: int | None,
) -> Iterator[list[Event]]:
    """The events of each hop, or of all of them at once where nothing ends the walk earlier.

    Raises `_TooManyError` where a hop leads to more nodes than that.
    """
    if not stops and max_nodes is None:
        query = WalkQuery(NodeKind.ARTIFACT, sorted(frontier), way, max_hops)
        yield list(backend.walk_events(query))
        return
    seen = {NodeKind.ARTIFACT: set(frontier), NodeKind.EXECUTION: set[int]()}
    kind, hops = NodeKind.ARTIFACT, 0
    while frontier and (max_hops is None or hops < max_hops):
        at_artifacts = kind is NodeKind.ARTIFACT
        if max_nodes is None or not backend.CAPABILITIES.native_filter:
            hop = list(backend.walk_events(WalkQuery(kind, sorted(frontier), way, 1)))
        else:
            hop = _few_events(backend, kind, frontier, way, max_nodes)
        yield hop
        reached = {event.execution_id if at_artifacts else event.artifact_id for event in hop}
        kind = NodeKind.EXECUTION if at_artifacts else NodeKind.ARTIFACT
        frontier = reached - seen[kind]
        seen[kind] |= frontier
        if kind in stops:
            frontier -= _fulfilling(backend, stops[kind], frontier)
        hops += 1


class _TooManyError(Exception):
    """A hop leads to more nodes than are wanted."""


def _few_events(
    backend: BaseMetadataStore, kind: NodeKind, frontier: set[int], way: Way, most: int
) -> list[Event]:
    """The events that a hop goes over, if it leads to no more than so many nodes.

    What they lead to is asked for first, which takes no longer where all runs of a large store read
    one dataset: of its events only those are read that are wanted.
    """
    at_artifacts = kind is NodeKind.ARTIFACT
    near = kind.label
    types = way.types(kind)
    names = ", ".join(sorted(each.name for each in types))
    other = NodeKind.EXECUTION if at_artifacts else NodeKind.ARTIFACT
    found: set[int] = set()
    for some in _batches(frontier):
        ids = ", ".join(map(str, some))
        text = f"events_e.{near}_id IN ({ids}) AND events_e.type IN ({names})"
        query = NodeQuery(other, filter=Filter.parse(other, text), limit=most + 1)
        found |= {node.id for node in backend.find_nodes(query)}
        if len(found) > most:
            raise _TooManyError
    between = _events(backend, kind, frontier, sorted(found)) if found else ()
    return [event for event in between if event.type in types]


def _fulfilling(backend: BaseMetadataStore, filter: Filter, ids: set[int]) -> set[int]:
    found: set[int] = set()
    for some in _batches(ids):
        query = NodeQuery(filter.kind, ids=some, filter=filter)
        found.update(node.id for node in backend.find_nodes(query))
    return found


def _events(
    backend: BaseMetadataStore,
    kind: NodeKind,
    ids: set[int],
    others: Sequence[int] | None = None,
) -> Iterator[Event]:
    """The events of nodes; with `others`, nodes of the other kind, those between the two."""
    for some in _batches(ids):
        yield from backend.read_events(
            EventQuery(artifact_ids=some, execution_ids=others)
            if kind is NodeKind.ARTIFACT
            else EventQuery(execution_ids=some, artifact_ids=others)
        )


def _artifacts(backend: BaseMetadataStore, ids: set[int]) -> dict[int, Artifact]:
    return {node.id: cast("Artifact", node) for node in _nodes(backend, NodeKind.ARTIFACT, ids)}


def _executions(backend: BaseMetadataStore, ids: set[int]) -> dict[int, Execution]:
    return {node.id: cast("Execution", node) for node in _nodes(backend, NodeKind.EXECUTION, ids)}


def _nodes(backend: BaseMetadataStore, kind: NodeKind, ids: set[int]) -> Iterator[AnyNode]:
    for some in _batches(ids):
        yield from backend.read_nodes(NodeQuery(kind, ids=some))


def _batches(ids: set[int]) -> Iterator[list[int]]:
    ordered = sorted(ids)
    for at in range(0, len(ordered), _BATCH):
        yield ordered[at : at + _BATCH]
