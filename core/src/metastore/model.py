"""Types, nodes and links: plain frozen records, no input or output, no third-party import.

The data model is ML Metadata's: artifacts, executions and contexts ("nodes"), each of a type;
events between artifacts and executions; attributions (context - artifact), associations
(context - execution) and parent contexts ("links").  Numbers of the enumerations are those that
ML Metadata stores (ml_metadata/proto/metadata_store.proto).
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any, NamedTuple, TypeAlias

__all__ = [
    "LINK_KINDS",
    "NODE_KINDS",
    "SIMPLE_TYPES",
    "AnyNode",
    "Artifact",
    "ArtifactState",
    "Context",
    "Event",
    "EventType",
    "Execution",
    "ExecutionState",
    "JSONValue",
    "Link",
    "LinkKind",
    "Node",
    "NodeKind",
    "PathStep",
    "PropertyKind",
    "Proto",
    "Type",
    "TypeKey",
    "Value",
    "time_of",
]

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_EARLIEST = datetime.min.replace(tzinfo=timezone.utc)
_LATEST = datetime.max.replace(tzinfo=timezone.utc)


def time_of(milliseconds: int) -> datetime:
    """Milliseconds since the epoch as an aware UTC datetime; out of range is clamped.

    Clamped, because a damaged store must still be readable: years 1 to 9999 exist in Python.
    """
    try:
        return _EPOCH + timedelta(milliseconds=milliseconds)
    except OverflowError:
        return _LATEST if milliseconds > 0 else _EARLIEST


class _IntEnum(enum.IntEnum):
    """Members are keys of most dictionaries here, and an enumeration's own hash is slow."""

    __hash__ = int.__hash__

    def __str__(self) -> str:
        """The name: ``print(run.state)`` is for people."""
        return self._name_

    def __format__(self, spec: str) -> str:
        """The name, laid out as text; the number where `spec` is one for integers."""
        return format(int(self) if spec[-1:] in _INTEGER_FORMATS else str(self), spec)


_INTEGER_FORMATS = tuple("bcdoxX")


class NodeKind(_IntEnum):
    """The three kinds of nodes, and so of types; the numbers are `Type.type_kind` of the schema."""

    EXECUTION = 0
    ARTIFACT = 1
    CONTEXT = 2

    label: str
    """``"artifact"``, ``"execution"`` or ``"context"``, for messages."""

    def __init__(self, _: int) -> None:
        self.label = self._name_.lower()


NODE_KINDS: tuple[NodeKind, ...] = tuple(NodeKind)
"""All of them; to walk an enumeration itself is slow."""


class PropertyKind(_IntEnum):
    """The kind of a property's value; the numbers are `TypeProperty.data_type` of the schema."""

    INT = 1
    DOUBLE = 2
    STRING = 3
    STRUCT = 4
    PROTO = 5
    BOOLEAN = 6


class ArtifactState(_IntEnum):
    """What is known about the data behind an artifact."""

    UNKNOWN = 0
    PENDING = 1
    LIVE = 2
    MARKED_FOR_DELETION = 3
    DELETED = 4
    ABANDONED = 5
    REFERENCE = 6


class ExecutionState(_IntEnum):
    """The last known state of an execution."""

    UNKNOWN = 0
    NEW = 1
    RUNNING = 2
    COMPLETE = 3
    FAILED = 4
    CACHED = 5
    CANCELED = 6


class EventType(_IntEnum):
    """How an execution touched an artifact."""

    UNKNOWN = 0
    DECLARED_OUTPUT = 1
    DECLARED_INPUT = 2
    INPUT = 3
    OUTPUT = 4
    INTERNAL_INPUT = 5
    INTERNAL_OUTPUT = 6
    PENDING_OUTPUT = 7

    @property
    def is_input(self) -> bool:
        """Whether data flows from the artifact into the execution."""
        return self in _INPUTS

    @property
    def is_output(self) -> bool:
        """Whether data flows from the execution into the artifact."""
        return self in _OUTPUTS


_INPUTS = frozenset({EventType.DECLARED_INPUT, EventType.INPUT, EventType.INTERNAL_INPUT})
_OUTPUTS = frozenset(
    {
        EventType.DECLARED_OUTPUT,
        EventType.OUTPUT,
        EventType.INTERNAL_OUTPUT,
        EventType.PENDING_OUTPUT,
    }
)


class LinkKind(enum.Enum):
    """The three kinds of links; the first end is always a context."""

    ATTRIBUTION = ("attribution", NodeKind.ARTIFACT)
    """context - artifact"""
    ASSOCIATION = ("association", NodeKind.EXECUTION)
    """context - execution"""
    PARENT = ("parent context", NodeKind.CONTEXT)
    """context - its parent context"""

    label: str
    """What it is called in messages."""
    other: NodeKind
    """The kind of the second end."""

    __hash__ = object.__hash__

    def __init__(self, label: str, other: NodeKind) -> None:
        self.label = label
        self.other = other


LINK_KINDS: tuple[LinkKind, ...] = tuple(LinkKind)
"""All of them."""


class Proto(NamedTuple):
    """A serialized protocol buffer message, as `google.protobuf.Any` holds it."""

    type_url: str
    value: bytes


JSONValue: TypeAlias = "bool | float | str | list[JSONValue] | dict[str, JSONValue] | None"
"""A value inside a struct; its numbers are doubles, as in `google.protobuf.Struct`."""

Value: TypeAlias = "int | float | str | bool | dict[str, JSONValue] | Proto"
"""A property's value: INT, DOUBLE, STRING, BOOLEAN, STRUCT, PROTO.  Never None, never NaN."""

PathStep: TypeAlias = "int | str"
"""A step of an event's path: an index or a key."""

SIMPLE_TYPES: Mapping[NodeKind, tuple[str, ...]] = {
    NodeKind.ARTIFACT: ("mlmd.Dataset", "mlmd.Model", "mlmd.Metrics", "mlmd.Statistics"),
    NodeKind.EXECUTION: (
        "mlmd.Train",
        "mlmd.Transform",
        "mlmd.Process",
        "mlmd.Evaluate",
        "mlmd.Deploy",
    ),
    NodeKind.CONTEXT: (),
}
"""The types that every store has from the start; other types may name one as `Type.base_type`."""


class TypeKey(NamedTuple):
    """What identifies a type: there is one type a kind, name and version."""

    kind: NodeKind
    name: str
    version: str | None = None

    def __str__(self) -> str:
        return f"{self.name}@{self.version}" if self.version else self.name


@dataclass(frozen=True, slots=True)
class Type:
    """A stored type: the declared properties of its nodes."""

    id: int
    kind: NodeKind
    name: str
    properties: Mapping[str, PropertyKind]
    version: str | None = None
    description: str | None = None
    base_type: str | None = None
    """Name of one of `SIMPLE_TYPES`."""
    external_id: str | None = None
    input_type: str | None = None
    """JSON of ML Metadata's ArtifactStructType; execution types only."""
    output_type: str | None = None

    @property
    def key(self) -> TypeKey:
        """Kind, name and version."""
        return TypeKey(self.kind, self.name, self.version)

    def __hash__(self) -> int:
        return hash((self.kind, self.id))


@dataclass(frozen=True, slots=True)
class Node:
    """What artifacts, executions and contexts have in common.

    Times are milliseconds since the epoch (UTC); `create_time` and `update_time` are the same as
    aware datetimes.  `properties` are declared by the type, `custom_properties` are free; both are
    plain dicts that must not be changed.
    """

    id: int
    type_id: int
    type: str
    """The type's name; empty when the store is damaged and has no such type."""
    name: str | None
    external_id: str | None
    properties: Mapping[str, Value]
    custom_properties: Mapping[str, Value]
    create_time_ms: int
    update_time_ms: int

    @property
    def create_time(self) -> datetime:
        """When the node was first written."""
        return time_of(self.create_time_ms)

    @property
    def update_time(self) -> datetime:
        """When the node last changed."""
        return time_of(self.update_time_ms)

    # Nodes hold dicts; equal nodes have equal ids.
    def __hash__(self) -> int:
        return hash((type(self), self.id))


@dataclass(frozen=True, slots=True)
class Artifact(Node):
    """A piece of data: a dataset, a model, a metric."""

    uri: str
    """Where the data is; empty when that is not known."""
    state: ArtifactState | None

    __hash__ = Node.__hash__


@dataclass(frozen=True, slots=True)
class Execution(Node):
    """Something that ran: a step of a pipeline."""

    state: ExecutionState | None

    __hash__ = Node.__hash__


@dataclass(frozen=True, slots=True)
class Context(Node):
    """A group of artifacts and executions: a run, a pipeline, an experiment.  Always named."""

    __hash__ = Node.__hash__


AnyNode: TypeAlias = "Artifact | Execution | Context"
"""A node of any of the three kinds."""


class Event(NamedTuple):
    """An execution read or wrote an artifact.

    A named tuple, because graphs have many and they are compared and sorted.
    """

    artifact_id: int
    execution_id: int
    type: EventType
    time_ms: int
    """Milliseconds since the epoch."""
    path: tuple[PathStep, ...] = ()
    """Where in the execution's inputs or outputs: ``("examples", 0)``."""
    id: int = 0
    """The stored id, where the backend has one; 0 otherwise."""

    @property
    def time(self) -> datetime:
        """When it happened."""
        return time_of(self.time_ms)


class Link(NamedTuple):
    """An attribution, an association or a parent context, depending on what was asked for."""

    context_id: int
    other_id: int
    """An artifact, an execution or the parent context."""


_BUILDERS: dict[type, Any] = {}


def builder(cls: type[Any]) -> Any:
    """A function that makes a frozen slotted record from its fields, in order, fast.

    The generated `__init__` of a frozen dataclass goes through `object.__setattr__` for every
    field; this makes an unfrozen twin of the same layout and turns it into `cls`: about four times
    as fast, which decides how fast a store reads many nodes.
    """
    if cls not in _BUILDERS:
        fields = list(cls.__dataclass_fields__)
        own = [name for name in fields if name in cls.__dict__["__slots__"]]
        unfrozen = {"__setattr__": object.__setattr__, "__delattr__": object.__delattr__}
        twin = type(cls.__name__, cls.__bases__, {"__slots__": own, **unfrozen})
        body = "".join(f"    self.{name} = {name}\n" for name in fields)
        namespace: dict[str, Any] = {"twin": twin, "cls": cls, "new": object.__new__}
        exec(  # noqa: S102 - the text is made of field names of our own classes
            f"def build({', '.join(fields)}):\n"
            f"    self = new(twin)\n{body}    self.__class__ = cls\n    return self\n",
            namespace,
        )
        _BUILDERS[cls] = namespace["build"]
    return _BUILDERS[cls]
