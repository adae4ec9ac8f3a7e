"""What the planner and a flavor say to one another while a batch is written.

`rules.plan` asks `Questions`; the flavor's transaction answers with `Answers`; at the end the
planner hands over `Changes`, which the transaction applies as they are, answering with `Applied`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from metastore.model import (
    LINK_KINDS,
    NODE_KINDS,
    AnyNode,
    EventType,
    LinkKind,
    NodeKind,
    PathStep,
    PropertyKind,
    Type,
    TypeKey,
    Value,
)

__all__ = [
    "Answers",
    "Applied",
    "Changes",
    "EventKey",
    "New",
    "NewEvent",
    "NodeInsert",
    "NodeUpdate",
    "Questions",
    "Target",
    "TypeInsert",
    "TypeUpdate",
]


class New(NamedTuple):
    """The row at this position of `Changes.type_inserts`, or of the inserts of a kind of node."""

    position: int


Target: TypeAlias = "int | New"
"""A stored id, or a row that is inserted by the same changes."""

EventKey: TypeAlias = "tuple[int, int, EventType]"
"""Artifact, execution and type: there is one event of each."""


@dataclass(slots=True)
class Questions:
    """What the planner must know before it can go on; empty parts need no answer."""

    types: set[TypeKey] = field(default_factory=set)
    type_ids: set[int] = field(default_factory=set)
    type_external_ids: set[str] = field(default_factory=set)
    """Of types of every kind."""
    nodes: dict[NodeKind, set[int]] = field(default_factory=dict)
    """Ids of nodes that are wanted whole."""
    existing: dict[NodeKind, set[int]] = field(default_factory=dict)
    """Ids of nodes of which only the existence matters."""
    names: dict[NodeKind, set[tuple[int, str]]] = field(default_factory=dict)
    """Type id and name: which node has it?"""
    external_ids: dict[NodeKind, set[str]] = field(default_factory=dict)
    """Which node has it?"""
    uris: set[tuple[int, str]] = field(default_factory=set)
    """Type id and uri: which artifact is the newest (highest id) that has it?"""
    events: set[tuple[int, int]] = field(default_factory=set)
    """Artifact and execution: which events do they have with one another?"""
    parents_of: set[int] = field(default_factory=set)
    """Contexts: which parent links lead up from them, from their parents, and so on?"""

    def __bool__(self) -> bool:
        return bool(
            self.types
            or self.type_ids
            or self.type_external_ids
            or self.uris
            or self.events
            or self.parents_of
            or any(self.nodes.values())
            or any(self.existing.values())
            or any(self.names.values())
            or any(self.external_ids.values())
        )


@dataclass(slots=True)
class Answers:
    """What is stored of what was asked; what is missing here is not stored."""

    types: Sequence[Type] = ()
    """Every type that was asked for in one of the three ways."""
    nodes: Mapping[NodeKind, Mapping[int, AnyNode]] = field(default_factory=dict)
    existing: Mapping[NodeKind, set[int]] = field(default_factory=dict)
    names: Mapping[NodeKind, Mapping[tuple[int, str], int]] = field(default_factory=dict)
    external_ids: Mapping[NodeKind, Mapping[str, int]] = field(default_factory=dict)
    uris: Mapping[tuple[int, str], int] = field(default_factory=dict)
    events: set[EventKey] = field(default_factory=set)
    parents: set[tuple[int, int]] = field(default_factory=set)
    """Child and parent."""


class TypeInsert(NamedTuple):
    """A new type."""

    key: TypeKey
    properties: Mapping[str, PropertyKind]
    description: str | None
    base_type: int | None
    """Id of a simple type."""
    external_id: str | None
    input_type: str | None
    output_type: str | None


class TypeUpdate(NamedTuple):
    """What to add to a stored type."""

    id: int
    properties: Mapping[str, PropertyKind]
    """New properties, to add to the stored ones."""
    external_id: str | None
    """A new external id; None leaves it."""
    base_type: int | None
    """Id of a simple type to set; None leaves it."""


class NodeInsert(NamedTuple):
    """A new node; all values are checked and of their plain Python types."""

    type: Target
    name: str | None
    uri: str
    state: int | None
    external_id: str | None
    properties: Mapping[str, Value]
    custom_properties: Mapping[str, Value]
    create_time_ms: int
    update_time_ms: int


class NodeUpdate(NamedTuple):
    """The new row of a stored node, and what changes of its properties."""

    id: int
    name: str | None
    uri: str
    state: int | None
    external_id: str | None
    update_time_ms: int
    set_properties: Mapping[str, Value]
    """Keys to insert or overwrite, among the declared properties."""
    set_custom_properties: Mapping[str, Value]
    drop_properties: frozenset[str]
    """Keys to remove, among the declared properties."""
    drop_custom_properties: frozenset[str]


class NewEvent(NamedTuple):
    """A new event."""

    artifact: Target
    execution: Target
    type: EventType
    time_ms: int
    path: tuple[PathStep, ...]


@dataclass(slots=True)
class Changes:
    """Checked changes, to be applied in the order of the fields.

    Attributions and associations that are stored already are passed over when applied; all other
    rows are new.
    """

    type_inserts: list[TypeInsert] = field(default_factory=list)
    type_updates: list[TypeUpdate] = field(default_factory=list)
    inserts: dict[NodeKind, list[NodeInsert]] = field(
        default_factory=lambda: {kind: [] for kind in NODE_KINDS}
    )
    updates: dict[NodeKind, list[NodeUpdate]] = field(
        default_factory=lambda: {kind: [] for kind in NODE_KINDS}
    )
    events: list[NewEvent] = field(default_factory=list)
    links: dict[LinkKind, list[tuple[Target, Target]]] = field(
        default_factory=lambda: {kind: [] for kind in LINK_KINDS}
    )

    def __bool__(self) -> bool:
        return bool(
            self.type_inserts
            or self.type_updates
            or self.events
            or any(self.inserts.values())
            or any(self.updates.values())
            or any(self.links.values())
        )


@dataclass(slots=True)
class Applied:
    """The ids of the inserted rows, aligned with the inserts of `Changes`."""

    types: Sequence[int] = ()
    nodes: Mapping[NodeKind, Sequence[int]] = field(default_factory=dict)
