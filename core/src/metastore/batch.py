"""What is to be written: drafts of types, nodes and links that may refer to one another.

A `Batch` is written whole or not at all.  Its drafts have no ids yet; each method that adds one
returns a `Ref`, and wherever an id is wanted a `Ref` of the same batch will do::

    batch = Batch()
    batch.type(NodeKind.ARTIFACT, "Model", {"accuracy": PropertyKind.DOUBLE})
    model = batch.artifact("Model", uri="s3://bucket/model", properties={"accuracy": 0.97})
    train = batch.execution("Train", state=ExecutionState.COMPLETE)
    batch.event(model, train, EventType.OUTPUT, path=("model", 0))
"""

from __future__ import annotations

import enum
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, TypeAlias

from metastore.errors import InvalidError, Offender
from metastore.model import (
    LINK_KINDS,
    NODE_KINDS,
    ArtifactState,
    EventType,
    ExecutionState,
    LinkKind,
    NodeKind,
    PathStep,
    PropertyKind,
    TypeKey,
    Value,
)

__all__ = [
    "ALL",
    "INSERT",
    "Batch",
    "EventDraft",
    "Insert",
    "LinkDraft",
    "Merge",
    "NodeDraft",
    "NodeRef",
    "Outcome",
    "Ref",
    "Replace",
    "Reuse",
    "TypeDraft",
    "TypeRef",
    "WriteMode",
    "Written",
    "WrittenBatch",
]


class Ref(NamedTuple):
    """A draft of the same batch, standing for the id that it will get."""

    kind: NodeKind
    index: int  # type: ignore[assignment]  # hides a tuple's method
    """Position in the batch's list of that kind."""
    batch: int = 0
    """Which batch it is of, so that none takes another's; 0 is any."""


NodeRef: TypeAlias = "int | Ref"
"""A stored id, or a draft of the same batch."""

TypeRef: TypeAlias = "str | TypeKey | int"
"""A type by name (without version), by key, or by stored id."""


class Keys(enum.Enum):
    """The one value `ALL`."""

    ALL = "all"


ALL: Literal[Keys.ALL] = Keys.ALL
"""As `Merge.properties`: the whole map, so that keys which the draft lacks are removed."""


@dataclass(frozen=True, slots=True)
class Insert:
    """A new node."""


INSERT = Insert()
"""The mode of drafts that name none."""


@dataclass(frozen=True, slots=True)
class Replace:
    """The stored node `id` becomes what the draft says.

    Whatever the draft leaves out is removed: uri, state, external id and properties.  The type
    stays; the name of an artifact or execution stays, a context takes the draft's name.

    expected_update_time_ms:
        Raise `ConflictError` unless the stored update time is this one.
    force_update:
        Set a new update time even when nothing changes.
    """

    id: int
    expected_update_time_ms: int | None = None
    force_update: bool = False


@dataclass(frozen=True, slots=True)
class Merge:
    """Only the named fields and properties of the stored node `id` become what the draft says.

    fields:
        Among ``uri``, ``state``, ``external_id`` and, for contexts, ``name``.
    properties, custom_properties:
        Keys to set, or to remove where the draft lacks them; `ALL` for the whole map; None for
        the keys that the draft has.
    expected_update_time_ms, force_update:
        As in `Replace`.
    """

    id: int
    fields: frozenset[str] = frozenset()
    properties: frozenset[str] | Keys | None = None
    custom_properties: frozenset[str] | Keys | None = None
    expected_update_time_ms: int | None = None
    force_update: bool = False


@dataclass(frozen=True, slots=True)
class Reuse:
    """The stored node of the same type and name, or external id, or type and uri; else a new one.

    by:
        ``"name"``, ``"external_id"`` or ``"uri"`` (artifacts only; the newest one with that uri).
    on_found:
        ``"keep"`` leaves a found node as it is, ``"replace"`` does as `Replace`, ``"merge"`` sets
        the properties, uri, state and external id that the draft has and keeps all else.
    """

    by: Literal["name", "external_id", "uri"]
    on_found: Literal["keep", "replace", "merge"] = "keep"


WriteMode: TypeAlias = "Insert | Replace | Merge | Reuse"
"""Whether a node is new, or which stored node it changes or is."""


@dataclass(slots=True)
class TypeDraft:
    """A type to create, or to find and, where allowed, to widen.

    A stored type keeps its properties for ever: `can_omit_properties` allows the draft to name
    fewer of them, `can_add_properties` to add new ones.  Without the flag, a difference is
    `AlreadyExistsError`; a property of another kind always is.
    """

    key: TypeKey
    properties: Mapping[str, PropertyKind]
    description: str | None = None
    base_type: str | None = None
    external_id: str | None = None
    input_type: str | None = None
    output_type: str | None = None
    can_add_properties: bool = False
    can_omit_properties: bool = False


@dataclass(slots=True)
class NodeDraft:
    """An artifact, execution or context to write; `Batch` has a method for each.

    `state` is an `ArtifactState` or an `ExecutionState`, `uri` belongs to artifacts.
    `create_time_ms` and `update_time_ms` are milliseconds since the epoch; None is now.
    """

    type: TypeRef | None
    name: str | None = None
    uri: str = ""
    state: int | None = None
    external_id: str | None = None
    properties: Mapping[str, Any] = field(default_factory=dict)
    custom_properties: Mapping[str, Any] = field(default_factory=dict)
    mode: WriteMode = INSERT
    create_time_ms: int | None = None
    update_time_ms: int | None = None


class EventDraft(NamedTuple):
    """An event to write."""

    artifact: NodeRef
    execution: NodeRef
    type: EventType
    path: tuple[PathStep, ...] = ()
    time_ms: int | None = None
    """Milliseconds since the epoch; None is now."""


class LinkDraft(NamedTuple):
    """An attribution, an association or a parent link to write."""

    context: NodeRef
    other: NodeRef


_NONE: Mapping[str, Any] = {}


_numbers = itertools.count(1)


class Batch:
    """Drafts of everything that is to be written together."""

    def __init__(self) -> None:
        self.number = next(_numbers)
        """Of this batch in its process; every `Ref` of it carries it."""
        self.types: list[TypeDraft] = []
        self.nodes: dict[NodeKind, list[NodeDraft]] = {kind: [] for kind in NODE_KINDS}
        self.events: list[EventDraft] = []
        self.links: dict[LinkKind, list[LinkDraft]] = {kind: [] for kind in LINK_KINDS}

    def __repr__(self) -> str:
        counts = {"types": len(self.types), "events": len(self.events)}
        counts |= {f"{kind.label}s": len(drafts) for kind, drafts in self.nodes.items()}
        counts |= {f"{kind.label}s": len(drafts) for kind, drafts in self.links.items()}
        return f"<Batch: {', '.join(f'{n} {what}' for what, n in counts.items() if n) or 'empty'}>"

    def type(
        self,
        kind: NodeKind,
        name: str,
        properties: Mapping[str, PropertyKind] = _NONE,
        *,
        version: str | None = None,
        description: str | None = None,
        base_type: str | None = None,
        external_id: str | None = None,
        input_type: str | None = None,
        output_type: str | None = None,
        can_add_properties: bool = False,
        can_omit_properties: bool = False,
    ) -> TypeKey:
        """Create the type unless it is there; nodes of this batch may be of it."""
        if not isinstance(kind, NodeKind):
            raise InvalidError(
                f"type {name!r} is of the kind {kind!r}, which is none",
                hint="use NodeKind.ARTIFACT, NodeKind.EXECUTION or NodeKind.CONTEXT",
                offender=Offender("type", len(self.types)),
            )
        key = TypeKey(kind, name, version or None)
        self.types.append(
            TypeDraft(
                key,
                properties,
                description,
                base_type,
                external_id,
                input_type,
                output_type,
                can_add_properties,
                can_omit_properties,
            )
        )
        return key

    def artifact(
        self,
        type: TypeRef | None = None,
        *,
        name: str | None = None,
        uri: str = "",
        state: ArtifactState | None = None,
        external_id: str | None = None,
        properties: Mapping[str, Value] = _NONE,
        custom_properties: Mapping[str, Value] = _NONE,
        mode: WriteMode = INSERT,
        create_time_ms: int | None = None,
        update_time_ms: int | None = None,
    ) -> Ref:
        """Add an artifact; only an update by id may leave out the type."""
        return self.add(
            NodeKind.ARTIFACT,
            NodeDraft(
                type,
                name,
                uri,
                state,
                external_id,
                properties,
                custom_properties,
                mode,
                create_time_ms,
                update_time_ms,
            ),
        )

    def execution(
        self,
        type: TypeRef | None = None,
        *,
        name: str | None = None,
        state: ExecutionState | None = None,
        external_id: str | None = None,
        properties: Mapping[str, Value] = _NONE,
        custom_properties: Mapping[str, Value] = _NONE,
        mode: WriteMode = INSERT,
        create_time_ms: int | None = None,
        update_time_ms: int | None = None,
    ) -> Ref:
        """Add an execution; only an update by id may leave out the type."""
        return self.add(
            NodeKind.EXECUTION,
            NodeDraft(
                type,
                name,
                "",
                state,
                external_id,
                properties,
                custom_properties,
                mode,
                create_time_ms,
                update_time_ms,
            ),
        )

    def context(
        self,
        type: TypeRef | None = None,
        *,
        name: str | None = None,
        external_id: str | None = None,
        properties: Mapping[str, Value] = _NONE,
        custom_properties: Mapping[str, Value] = _NONE,
        mode: WriteMode = INSERT,
        create_time_ms: int | None = None,
        update_time_ms: int | None = None,
    ) -> Ref:
        """Add a context; it must have a name, and only an update by id may leave out the type."""
        return self.add(
            NodeKind.CONTEXT,
            NodeDraft(
                type,
                name,
                "",
                None,
                external_id,
                properties,
                custom_properties,
                mode,
                create_time_ms,
                update_time_ms,
            ),
        )

    def add(self, kind: NodeKind, draft: NodeDraft) -> Ref:
        """Add a draft that is already made."""
        drafts = self.nodes[kind]
        drafts.append(draft)
        return Ref(kind, len(drafts) - 1, self.number)

    def event(
        self,
        artifact: NodeRef,
        execution: NodeRef,
        type: EventType,
        *,
        path: Sequence[PathStep] = (),
        time_ms: int | None = None,
    ) -> None:
        """The execution read or wrote the artifact.

        Raises
        ------
        InvalidError
            `path` is no list of steps.
        """
        # A text is a sequence of texts: without this, "model" would be a path of five steps.
        if isinstance(path, str) or not isinstance(path, Iterable):
            raise InvalidError(
                f"the path of event {len(self.events)} is of type {path.__class__.__name__}",
                hint="give a list of steps, such as ['model', 0]",
                offender=Offender("event", len(self.events)),
            )
        self.events.append(EventDraft(artifact, execution, type, tuple(path), time_ms))

    def attribution(self, context: NodeRef, artifact: NodeRef) -> None:
        """The artifact belongs to the context; one that is stored already stays as it is."""
        self.links[LinkKind.ATTRIBUTION].append(LinkDraft(context, artifact))

    def association(self, context: NodeRef, execution: NodeRef) -> None:
        """The execution belongs to the context; one that is stored already stays as it is."""
        self.links[LinkKind.ASSOCIATION].append(LinkDraft(context, execution))

    def parent(self, context: NodeRef, parent: NodeRef) -> None:
        """`parent` is a parent of `context`; a context may have many, but no cycles."""
        self.links[LinkKind.PARENT].append(LinkDraft(context, parent))


class Outcome(enum.Enum):
    """What became of a draft."""

    CREATED = "created"
    UPDATED = "updated"
    REUSED = "reused"
    """It was there, and nothing of it changed."""


class Written(NamedTuple):
    """The id of a draft, and what became of it."""

    id: int
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class WrittenBatch:
    """Ids and outcomes, aligned with the lists of the batch.

    ``written[ref]`` is the result of the draft that `ref` stands for.
    """

    types: Sequence[Written]
    nodes: Mapping[NodeKind, Sequence[Written]]
    batch: int = 0
    """The number of the batch that was written."""

    def __getitem__(self, ref: Ref) -> Written:
        if ref.batch not in (0, self.batch):
            raise InvalidError(
                f"the Ref of this {ref.kind.label} is one of another batch",
                hint="use the Ref that the written batch returned for it",
                offender=Offender(ref.kind.label, ref.index),
            )
        return self.nodes[ref.kind][ref.index]

    @property
    def artifacts(self) -> Sequence[Written]:
        """The results of the artifacts."""
        return self.nodes[NodeKind.ARTIFACT]

    @property
    def executions(self) -> Sequence[Written]:
        """The results of the executions."""
        return self.nodes[NodeKind.EXECUTION]

    @property
    def contexts(self) -> Sequence[Written]:
        """The results of the contexts."""
        return self.nodes[NodeKind.CONTEXT]
