"""Artifacts, executions and contexts that can be asked further."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import cached_property
from typing import Any, Generic, TypeVar, cast

from metastore import lineage, pipelines
from metastore.base import BaseMetadataStore
from metastore.errors import NotFoundError
from metastore.lineage import Lineage, StepLabel
from metastore.listing import Listing
from metastore.model import (
    Artifact,
    ArtifactState,
    Context,
    Event,
    Execution,
    ExecutionState,
    Node,
    NodeKind,
    Value,
)
from metastore.pipelines import StepRecord
from metastore.query import EventQuery, NodeQuery
from metastore.recording import StoredArtifact
from metastore.views import _html

__all__ = [
    "ArtifactView",
    "ContextView",
    "ExecutionView",
    "Ports",
    "ports_of",
    "trace",
    "views_of",
]

N = TypeVar("N", bound=Node)


class _NodeView(Generic[N]):
    """What the views of the three kinds have in common."""

    # A list of very many makes one object of each, not two.
    __slots__ = ("_backend", "node")

    def __init__(self, backend: BaseMetadataStore, node: N) -> None:
        self._backend = backend
        self.node = node
        """The plain record."""

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other.node == self.node

    def __hash__(self) -> int:
        return hash(self.node)

    @property
    def id(self) -> int:
        """The stored id."""
        return self.node.id

    @property
    def type(self) -> str:
        """The name of its type."""
        return self.node.type

    @property
    def name(self) -> str | None:
        """Its name; unique among the nodes of its type."""
        return self.node.name

    @property
    def external_id(self) -> str | None:
        """What another system calls it; unique among the nodes of its kind."""
        return self.node.external_id

    @property
    def properties(self) -> Mapping[str, Value]:
        """Properties that its type declares."""
        return self.node.properties

    @property
    def custom_properties(self) -> Mapping[str, Value]:
        """Free properties."""
        return self.node.custom_properties

    @property
    def create_time(self) -> datetime:
        """When it was first written (UTC)."""
        return self.node.create_time

    @property
    def update_time(self) -> datetime:
        """When it last changed (UTC)."""
        return self.node.update_time


class ArtifactView(_NodeView[Artifact], StoredArtifact):
    """An artifact, which can be asked where it came from."""

    __slots__ = ()

    def __repr__(self) -> str:
        called = self.name or self.uri
        return f"<Artifact {self.id} {self.type}{f' {called}' if called else ''}>"

    def _repr_html_(self) -> str:
        return _html.shown(_html.artifact, self)

    def _row_html_(self) -> dict[str, Any]:
        return _html.artifact_row(self)

    @property
    def uri(self) -> str:
        """Where the data is; empty when that is not known."""
        return self.node.uri

    @property
    def state(self) -> ArtifactState | None:
        """What is known about the data."""
        return self.node.state

    @property
    def producer(self) -> ExecutionView | None:
        """The execution that wrote it; the first one where several did."""
        return next(iter(self._executions(outputs=True)), None)

    @property
    def consumers(self) -> Sequence[ExecutionView]:
        """The executions that read it, in the order of events."""
        return self._executions(outputs=False)

    def _executions(self, *, outputs: bool) -> list[ExecutionView]:
        ids = dict.fromkeys(
            event.execution_id
            for event in self._backend.read_events(EventQuery(artifact_ids=[self.id]))
            if (event.type.is_output if outputs else event.type.is_input)
        )
        found = self._backend.read_nodes(NodeQuery(NodeKind.EXECUTION, ids=list(ids)))
        by_id = {node.id: cast("Execution", node) for node in found}
        return [ExecutionView(self._backend, by_id[id]) for id in ids if id in by_id]

    def lineage(
        self,
        *,
        upstream: bool = True,
        downstream: bool = False,
        max_hops: int | None = None,
        stop_at: str | None = None,
        stop_at_execution: str | None = None,
        siblings: bool = False,
        max_nodes: int | None = None,
    ) -> Lineage:
        """What it was made from, or what was made from it; see `metastore.lineage.walk`."""
        return trace(
            self._backend,
            [self.id],
            upstream=upstream,
            downstream=downstream,
            max_hops=max_hops,
            stop_at=stop_at,
            stop_at_execution=stop_at_execution,
            siblings=siblings,
            max_nodes=max_nodes,
        )


class ExecutionView(_NodeView[Execution]):
    """An execution, which can be asked what it read and wrote."""

    def __repr__(self) -> str:
        state = "" if self.state is None else f" {self.state.name}"
        return f"<Execution {self.id} {self.name or self.type}{state}>"

    def _repr_html_(self) -> str:
        return _html.shown(_html.execution, self)

    def _row_html_(self) -> dict[str, Any]:
        return _html.execution_row(self)

    @property
    def state(self) -> ExecutionState | None:
        """Its last known state."""
        return self.node.state

    @cached_property
    def _ports(self) -> tuple[Ports, Ports]:
        return ports_of(self._backend, self.id)

    @property
    def inputs(self) -> Ports:
        """What it read, by key."""
        return self._ports[0]

    @property
    def outputs(self) -> Ports:
        """What it wrote, by key."""
        return self._ports[1]


class ContextView(_NodeView[Context]):
    """A context, which can be asked for its members."""

    def __repr__(self) -> str:
        return f"<Context {self.id} {self.type} {self.name}>"

    def _repr_html_(self) -> str:
        return _html.shown(_html.context, self)

    def _row_html_(self) -> dict[str, Any]:
        return _html.context_row(self)

    @property
    def artifacts(self) -> Listing[ArtifactView]:
        """The artifacts that are attributed to it."""
        return Listing(
            self._backend,
            NodeQuery(NodeKind.ARTIFACT, context_ids=[self.id]),
            lambda nodes: [ArtifactView(self._backend, node) for node in nodes],
        )

    @property
    def executions(self) -> Listing[ExecutionView]:
        """The executions that are associated with it."""
        return Listing(
            self._backend,
            NodeQuery(NodeKind.EXECUTION, context_ids=[self.id]),
            lambda nodes: [ExecutionView(self._backend, node) for node in nodes],
        )

    @property
    def parents(self) -> Listing[ContextView]:
        """Its parent contexts."""
        return self._relatives(NodeQuery(NodeKind.CONTEXT, parents_of=[self.id]))

    @property
    def children(self) -> Listing[ContextView]:
        """The contexts that it is a parent of."""
        return self._relatives(NodeQuery(NodeKind.CONTEXT, children_of=[self.id]))

    def _relatives(self, query: NodeQuery) -> Listing[ContextView]:
        return Listing(
            self._backend,
            query,
            lambda nodes: [ContextView(self._backend, node) for node in nodes],
        )


class NoPortError(NotFoundError, KeyError):
    """A step has no input or output of that key.  A KeyError, which `Ports.get` waits for."""


class Ports(Mapping[str, ArtifactView]):
    """The inputs or outputs of an execution, by key; a key may have several artifacts."""

    def __init__(self, ports: Mapping[str, tuple[ArtifactView, ...]]) -> None:
        self._ports = ports

    def __getitem__(self, key: str) -> ArtifactView:
        """The first artifact of the key."""
        if key not in self._ports:
            known = ", ".join(map(repr, self._ports)) or "none"
            raise NoPortError(f"there is no {key!r} here", hint=f"keys: {known}")
        return self._ports[key][0]

    def __contains__(self, key: object) -> bool:
        return key in self._ports

    def __iter__(self) -> Iterator[str]:
        return iter(self._ports)

    def __len__(self) -> int:
        return len(self._ports)

    def all(self, key: str) -> tuple[ArtifactView, ...]:
        """All artifacts of the key, in the order of their index."""
        self[key]
        return self._ports[key]

    def texts(self) -> list[str]:
        """For people: ``key: Type #id``, one for each artifact."""
        return [
            f"{key}: {each.type or 'artifact'} #{each.id}"
            if key
            else f"{each.type} #{each.id} {each.name or each.uri}".rstrip()
            for key in self
            for each in self.all(key)
        ]

    def __repr__(self) -> str:
        return f"{{{', '.join(f'{key!r}: {list(found)}' for key, found in self._ports.items())}}}"


def ports_of(backend: BaseMetadataStore, execution: int) -> tuple[Ports, Ports]:
    """The inputs and the outputs of an execution, in two reads."""
    events = backend.read_events(EventQuery(execution_ids=[execution]))
    ids = sorted({event.artifact_id for event in events})
    nodes = {
        node.id: cast("Artifact", node)
        for node in backend.read_nodes(NodeQuery(NodeKind.ARTIFACT, ids=ids))
    }
    return ports_among(backend, events, nodes)


def ports_among(
    backend: BaseMetadataStore, events: Iterable[Event], artifacts: Mapping[int, Artifact]
) -> tuple[Ports, Ports]:
    """The inputs and the outputs of an execution, of which these are the events."""
    inputs: dict[str, list[tuple[int, ArtifactView]]] = {}
    outputs: dict[str, list[tuple[int, ArtifactView]]] = {}
    for event in events:
        side = outputs if event.type.is_output else inputs if event.type.is_input else None
        # A damaged store may name an artifact that is gone.
        if side is None or event.artifact_id not in artifacts:
            continue
        view = ArtifactView(backend, artifacts[event.artifact_id])
        for key, index in _keys(event):
            side.setdefault(key, []).append((index, view))
    return Ports(_sorted(inputs)), Ports(_sorted(outputs))


def _sorted(
    ports: dict[str, list[tuple[int, ArtifactView]]],
) -> dict[str, tuple[ArtifactView, ...]]:
    return {
        key: tuple(view for _, view in sorted(found, key=lambda each: each[0]))
        for key, found in ports.items()
    }


def _keys(event: Event) -> list[tuple[str, int]]:
    """The keys and indexes of a path: TFX writes one event for an artifact in several places."""
    keys: list[tuple[str, int]] = []
    for step in event.path:
        if isinstance(step, str):
            keys.append((step, 0))
        elif keys:
            keys[-1] = (keys[-1][0], step)
    return keys or [("", 0)]


def views_of(backend: BaseMetadataStore, kind: NodeKind) -> Any:
    """A function from nodes of a kind to their views."""
    view = {
        NodeKind.ARTIFACT: ArtifactView,
        NodeKind.EXECUTION: ExecutionView,
        NodeKind.CONTEXT: ContextView,
    }[kind]
    return lambda nodes: [view(backend, node) for node in nodes]


def trace(backend: BaseMetadataStore, artifacts: Sequence[int], **options: Any) -> Lineage:
    """`metastore.lineage.walk`, its executions shown as the steps that they are."""
    found = lineage.walk(backend, artifacts, **options)
    steps = pipelines.describe_steps(backend, found.executions.values())
    runs = pipelines.runs_of_executions(backend, list(steps))
    labels = labels_of(steps.values())
    for id, contexts in runs.items():
        if contexts:
            labels[id] = labels[id]._replace(run=contexts[0].id)
    return replace(found, steps=labels)


def labels_of(steps: Iterable[StepRecord]) -> dict[int, StepLabel]:
    """What executions are as steps, for a drawing."""
    return {step.execution.id: StepLabel(step.name, step.state, step.parent) for step in steps}
