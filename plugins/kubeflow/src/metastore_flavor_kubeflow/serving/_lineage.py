"""GetLineageSubgraph: the events around what a filter finds, whole frontiers at a time."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple

from grpc import StatusCode

from metastore import (
    BaseMetadataStore,
    Event,
    EventQuery,
    Filter,
    LinkKind,
    LinkQuery,
    NodeKind,
    NodeQuery,
    TypeQuery,
)
from metastore.model import NODE_KINDS
from metastore_flavor_kubeflow.messages import fill_events, text_of
from metastore_flavor_kubeflow.protocol import pb
from metastore_flavor_kubeflow.serving._refusals import Refusal
from metastore_flavor_kubeflow.serving._types import fill_types

__all__ = ["get_lineage_subgraph"]

_MAX_HOPS = 100
"""ML Metadata's: more are as many."""

_Options = pb.LineageSubgraphQueryOptions
_FIELDS = tuple(field.name for field in pb.LineageGraph.DESCRIPTOR.fields)


def get_lineage_subgraph(store: BaseMetadataStore, request: Any, response: Any) -> None:
    """GetLineageSubgraph: ids of nodes, whole events, links and types, as the mask says."""
    options = request.lineage_subgraph_query_options
    which = options.WhichOneof("starting_nodes")
    if which is None:
        raise _invalid("neither starting_artifacts nor starting_executions are given")
    text = text_of(getattr(options, which).filter_query)
    if not text:
        raise _invalid(f"the filter_query of {which} is empty")
    hops = options.max_num_hops if options.HasField("max_num_hops") else _MAX_HOPS
    if hops < 0:
        raise _invalid(f"max_num_hops is {hops}, and less than 0")
    kind = NodeKind.ARTIFACT if which == "starting_artifacts" else NodeKind.EXECUTION
    start = {node.id for node in store.iterate(NodeQuery(kind, filter=Filter.parse(kind, text)))}
    if not start:
        raise Refusal(StatusCode.NOT_FOUND, f"no {kind.label} fulfils the filter of {which}")
    walk = _Walk(store, options.direction, _endings(options))
    walk.run(kind, start, min(hops, _MAX_HOPS))
    wanted = {path for path in request.read_mask.paths if path in _FIELDS}
    if not request.read_mask.paths:
        wanted = set(_FIELDS)
    # There, also where nothing is in it.
    response.lineage_subgraph.SetInParent()
    _fill(store, walk, wanted, response.lineage_subgraph)


class _Ending(NamedTuple):
    """Nodes beyond which the walk does not go."""

    filter_query: str
    is_included: bool


def _endings(options: Any) -> dict[NodeKind, _Ending]:
    given = (
        (NodeKind.ARTIFACT, options.ending_artifacts),
        (NodeKind.EXECUTION, options.ending_executions),
    )
    return {
        kind: _Ending(text_of(ending.filter_query), ending.include_ending_nodes)
        for kind, ending in given
        if ending.filter_query
    }


def _follows(direction: int) -> Callable[[Event, NodeKind], bool]:
    """Whether a walk in that direction goes over an event, from its end of that kind."""
    if direction == _Options.UPSTREAM:
        return lambda event, kind: (
            event.type.is_output if kind is NodeKind.ARTIFACT else event.type.is_input
        )
    if direction == _Options.DOWNSTREAM:
        return lambda event, kind: (
            event.type.is_input if kind is NodeKind.ARTIFACT else event.type.is_output
        )
    return lambda event, kind: True


class _Walk:
    """A breadth-first walk over the events; one hop is from an artifact to an execution or back."""

    def __init__(
        self, store: BaseMetadataStore, direction: int, endings: dict[NodeKind, _Ending]
    ) -> None:
        self._store = store
        self._follows = _follows(direction)
        self._endings = endings
        self.found: dict[NodeKind, set[int]] = {NodeKind.ARTIFACT: set(), NodeKind.EXECUTION: set()}
        self.events: dict[tuple[int, int, int], Event] = {}

    def run(self, kind: NodeKind, start: set[int], hops: int) -> None:
        """Walk from the nodes given."""
        seen = {NodeKind.ARTIFACT: set[int](), NodeKind.EXECUTION: set[int]()}
        seen[kind] |= start
        ended = self._ended(kind, start)
        frontier = start - ended
        self._find(kind, start, ended)
        for _ in range(hops):
            if not frontier:
                return
            other = NodeKind.EXECUTION if kind is NodeKind.ARTIFACT else NodeKind.ARTIFACT
            events = [event for event in self._events(kind, frontier) if self._follows(event, kind)]
            reached = {_end(event, other) for event in events}
            ended = self._ended(other, reached)
            kept = reached if self._includes(other) else reached - ended
            self.events.update(
                ((event.artifact_id, event.execution_id, event.type), event)
                for event in events
                if _end(event, other) in kept
            )
            self._find(other, reached, ended)
            frontier = reached - ended - seen[other]
            seen[other] |= reached
            kind = other

    def _find(self, kind: NodeKind, ids: set[int], ended: set[int]) -> None:
        self.found[kind] |= ids if self._includes(kind) else ids - ended

    def _includes(self, kind: NodeKind) -> bool:
        return kind not in self._endings or self._endings[kind].is_included

    def _ended(self, kind: NodeKind, ids: set[int]) -> set[int]:
        """Which of the nodes the walk does not go beyond."""
        if kind not in self._endings or not ids:
            return set()
        # Here, because ML Metadata does not look at a filter that it has no nodes for.
        filter = Filter.parse(kind, self._endings[kind].filter_query)
        query = NodeQuery(kind, ids=sorted(ids), filter=filter)
        return {node.id for node in self._store.find_nodes(query)}

    def _events(self, kind: NodeKind, ids: set[int]) -> Sequence[Event]:
        some = sorted(ids)
        return self._store.read_events(
            EventQuery(artifact_ids=some)
            if kind is NodeKind.ARTIFACT
            else EventQuery(execution_ids=some)
        )


def _end(event: Event, kind: NodeKind) -> int:
    return event.artifact_id if kind is NodeKind.ARTIFACT else event.execution_id


def _fill(store: BaseMetadataStore, walk: _Walk, wanted: Collection[str], graph: Any) -> None:
    links = {
        kind: store.read_links(LinkQuery(kind, other_ids=sorted(walk.found[kind.other])))
        for kind in (LinkKind.ATTRIBUTION, LinkKind.ASSOCIATION)
        if {"contexts", f"{kind.label}s"} & set(wanted)
    }
    contexts = {link.context_id for each in links.values() for link in each}
    found = {**walk.found, NodeKind.CONTEXT: contexts}
    for kind in NODE_KINDS:
        if f"{kind.label}s" in wanted:
            for id in sorted(found[kind]):
                getattr(graph, f"{kind.label}s").add(id=id)
        if f"{kind.label}_types" in wanted:
            fill_types(graph, kind, store.read_types(TypeQuery(kind)))
    if "events" in wanted:
        fill_events(graph.events, sorted(walk.events.values(), key=lambda each: (each.id, each)))
    if "attributions" in wanted:
        for link in links[LinkKind.ATTRIBUTION]:
            graph.attributions.add(context_id=link.context_id, artifact_id=link.other_id)
    if "associations" in wanted:
        for link in links[LinkKind.ASSOCIATION]:
            graph.associations.add(context_id=link.context_id, execution_id=link.other_id)


def _invalid(message: str) -> Refusal:
    return Refusal(StatusCode.INVALID_ARGUMENT, message)
