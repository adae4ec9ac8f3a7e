"""ML Metadata's messages, from and to the records of metastore.

The two differ in what they call things (``last_known_state``, ``last_update_time_since_epoch``) and
in how they say that something is not there: a field that is not set, and None.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import DecodeError

from metastore import (
    Artifact,
    ArtifactState,
    Batch,
    Context,
    Event,
    EventType,
    Execution,
    ExecutionState,
    NodeDraft,
    NodeKind,
    PropertyKind,
    Proto,
    Type,
    TypeKey,
)
from metastore.batch import WriteMode
from metastore.model import SIMPLE_TYPES, AnyNode, PathStep, Value
from metastore.protobuf import any_of, plain_struct, proto_of, struct_of
from metastore.values import INT64_MAX

__all__ = [
    "add_type",
    "base_number",
    "draft_of",
    "event_of",
    "event_type_of",
    "fill_events",
    "fill_fields",
    "fill_node",
    "fill_path",
    "fill_type",
    "fill_type_fields",
    "fill_values",
    "is_id",
    "key_of",
    "node_of",
    "path_of",
    "text_of",
    "type_of",
    "value_of",
]

_STATE = {NodeKind.ARTIFACT: "state", NodeKind.EXECUTION: "last_known_state"}


def value_of(message: Any) -> Value | None:
    """The value of a `pb.Value`; None where it has no content."""
    kind = message.WhichOneof("value")
    if kind is None:
        return None
    if kind == "struct_value":
        return plain_struct(message.struct_value)
    if kind == "proto_value":
        return proto_of(message.proto_value)
    value: Value = getattr(message, kind)
    return value


def fill_values(messages: Any, values: Mapping[str, Value]) -> None:
    """Add the values to a map of properties."""
    for key, value in values.items():
        message = messages[key]
        if isinstance(value, str):
            message.string_value = value
        elif isinstance(value, bool):
            message.bool_value = value
        elif isinstance(value, int):
            message.int_value = value
        elif isinstance(value, float):
            message.double_value = value
        elif isinstance(value, Proto):
            message.proto_value.CopyFrom(any_of(value))
        else:
            # An empty struct has nothing to merge, and is there all the same.
            message.struct_value.SetInParent()
            message.struct_value.MergeFrom(struct_of(value))


def fill_node(message: Any, node: AnyNode) -> None:
    """Make an empty message the node's."""
    message.id = node.id
    message.type_id = node.type_id
    message.type = node.type
    uri, state = getattr(node, "uri", None), getattr(node, "state", None)
    fill_fields(message, node.name, uri, node.external_id, state)
    message.create_time_since_epoch = node.create_time_ms
    message.last_update_time_since_epoch = node.update_time_ms
    fill_values(message.properties, node.properties)
    fill_values(message.custom_properties, node.custom_properties)


def fill_fields(
    message: Any,
    name: str | None,
    uri: str | None,
    external_id: str | None,
    state: int | None = None,
) -> None:
    """Set the fields of a node that it has; `uri` None is no artifact's."""
    if name is not None:
        message.name = name
    if uri is not None:
        message.uri = uri
    if external_id is not None:
        message.external_id = external_id
    if state is not None:
        setattr(message, "last_known_state" if uri is None else "state", state)


def node_of(kind: NodeKind, message: Any) -> AnyNode:
    """The node that a server's message is."""
    common = (
        message.id,
        message.type_id,
        _read(message.type),
        _read(message.name) if message.HasField("name") else None,
        _read(message.external_id) if message.HasField("external_id") else None,
        _values_of(message.properties),
        _values_of(message.custom_properties),
        message.create_time_since_epoch,
        message.last_update_time_since_epoch,
    )
    if kind is NodeKind.CONTEXT:
        return Context(*common)
    if kind is NodeKind.ARTIFACT:
        artifact = ArtifactState(message.state) if message.HasField("state") else None
        return Artifact(*common, _read(message.uri), artifact)
    has_state = message.HasField("last_known_state")
    return Execution(*common, ExecutionState(message.last_known_state) if has_state else None)


def _values_of(messages: Any) -> dict[str, Value]:
    """The values of a map of properties; one without content is none."""
    found: dict[str, Value] = {}
    for key, message in _items(messages):
        value: Any = value_of(message)
        if value is not None:
            found[key] = _read(value) if isinstance(value, bytes) else value
    return found


def _items(messages: Any) -> Iterator[tuple[str, Any]]:
    """The items of a map; by a key that is no text protobuf gives nothing, and fails."""
    return ((key, messages[key]) for key in messages if isinstance(key, str))


def _read(text: Any) -> str:
    """A text that a server sent, as far as it is one."""
    return text if isinstance(text, str) else text.decode(errors="replace")


def is_id(id: object) -> bool:
    """Whether a value can be an id: another one is nobody's, and no field of a message's."""
    return type(id) is int and 0 < id <= INT64_MAX


def draft_of(kind: NodeKind, message: Any, mode: WriteMode) -> NodeDraft:
    """What a client's node says is to be written; its times and its type's name say nothing."""
    state = None
    if kind in _STATE and message.HasField(_STATE[kind]):
        state = getattr(message, _STATE[kind])
    return NodeDraft(
        message.type_id if message.HasField("type_id") else None,
        message.name if message.HasField("name") else None,
        message.uri if kind is NodeKind.ARTIFACT else "",
        state,
        message.external_id if message.HasField("external_id") else None,
        {key: value_of(value) for key, value in message.properties.items()},
        {key: value_of(value) for key, value in message.custom_properties.items()},
        mode,
    )


# Types.

_BASE_TYPES = {
    (kind, number): name
    for kind, names in SIMPLE_TYPES.items()
    for number, name in enumerate(("UNSET", *names))
}
"""The names behind `SystemDefinedBaseType`, whose numbers follow the order of the simple types;
UNSET, to take a base type away, is none that a planner knows."""
_BASE_NUMBERS = {(kind, name): number for (kind, number), name in _BASE_TYPES.items()}


def base_number(kind: NodeKind, name: str) -> int:
    """The number of a base type, by the simple type's name."""
    return _BASE_NUMBERS[kind, name]


def fill_type(message: Any, type: Type) -> None:
    """Make an empty message the type's."""
    message.id = type.id
    fill_type_fields(message, type, type.base_type)


def fill_type_fields(message: Any, type: Any, base_type: str | None) -> None:
    """Set the fields that a type, or what is to be inserted of one, has."""
    kind: NodeKind = type.key.kind
    message.name = type.key.name
    if type.key.version is not None:
        message.version = type.key.version
    for field in ("description", "external_id"):
        value = getattr(type, field)
        if value is not None:
            setattr(message, field, value)
    for key, property_kind in type.properties.items():
        message.properties[key] = property_kind
    if base_type is not None:
        message.base_type = _BASE_NUMBERS[kind, base_type]
    if kind is NodeKind.EXECUTION:
        for field, text in (("input_type", type.input_type), ("output_type", type.output_type)):
            if text is not None:
                _fill_structure(getattr(message, field), text)


def type_of(kind: NodeKind, message: Any) -> Type:
    """The type that a server's message is."""
    structures: tuple[str | None, str | None] = (None, None)
    if kind is NodeKind.EXECUTION:
        structures = (_structure(message, "input_type"), _structure(message, "output_type"))
    return Type(
        message.id,
        kind,
        _read(message.name),
        {key: PropertyKind(number) for key, number in _items(message.properties) if number},
        _read(message.version) or None,
        _read(message.description) if message.HasField("description") else None,
        (_BASE_TYPES.get((kind, message.base_type)) if message.base_type else None)
        if kind is not NodeKind.CONTEXT
        else None,
        _read(message.external_id) or None,
        *structures,
    )


def _structure(message: Any, field: str) -> str | None:
    if not message.HasField(field):
        return None
    return json_format.MessageToJson(getattr(message, field), indent=None)


def _fill_structure(message: Any, text: str) -> None:
    try:
        json_format.Parse(text, message, ignore_unknown_fields=True)
        # An empty one is there all the same.
        message.SetInParent()
    except json_format.ParseError:
        # Of another program, or damaged: a type can be used without it.
        message.Clear()


def add_type(batch: Batch, kind: NodeKind, message: Any, *, can_add: bool, can_omit: bool) -> None:
    """Add a client's type to a batch; a property without a kind is left to the planner."""
    structures = dict.fromkeys(("input_type", "output_type"))
    if kind is NodeKind.EXECUTION:
        structures = {field: _structure(message, field) for field in structures}
    batch.type(
        kind,
        text_of(message.name),
        {key: _property_kind(number) for key, number in message.properties.items()},
        version=text_of(message.version) or None,
        description=message.description if message.HasField("description") else None,
        base_type=_BASE_TYPES[kind, message.base_type] if message.HasField("base_type") else None,
        # An empty one ML Metadata takes for none.
        external_id=message.external_id or None,
        can_add_properties=can_add,
        can_omit_properties=can_omit,
        **structures,
    )


def _property_kind(number: int) -> Any:
    return PropertyKind(number) if number else None


# Events.


def path_of(message: Any) -> tuple[PathStep, ...]:
    """The path of a `pb.Event`; a step that is neither an index nor a key is none."""
    kinds = ((step, step.WhichOneof("value")) for step in message.path.steps)
    return tuple(getattr(step, kind) for step, kind in kinds if kind is not None)


def fill_events(messages: Any, events: Iterable[Event]) -> None:
    """Add the events to a repeated field."""
    for event in events:
        message = messages.add(
            artifact_id=event.artifact_id,
            execution_id=event.execution_id,
            type=event.type,
            milliseconds_since_epoch=event.time_ms,
        )
        fill_path(message, event.path)


def fill_path(message: Any, path: Iterable[PathStep]) -> None:
    """Add the steps of a path to an event."""
    for step in path:
        if isinstance(step, int):
            message.path.steps.add(index=step)
        else:
            message.path.steps.add(key=step)


def event_of(message: Any) -> Event:
    """The event that a server's message is."""
    return Event(
        message.artifact_id,
        message.execution_id,
        EventType(message.type),
        message.milliseconds_since_epoch,
        tuple(step if isinstance(step, int) else _read(step) for step in path_of(message)),
    )


def event_type_of(message: Any) -> EventType:
    """The type of a `pb.Event`, UNKNOWN where it has none."""
    return EventType(message.type)


def key_of(kind: NodeKind, request: Any) -> TypeKey:
    """The type that a request names by ``type_name`` and ``type_version``."""
    return TypeKey(kind, text_of(request.type_name), text_of(request.type_version) or None)


def text_of(value: Any) -> str:
    """The text of a field; what is no UTF-8 is bytes in Python's protobuf.

    Raises
    ------
    DecodeError
        It is none.
    """
    if not isinstance(value, str):
        raise DecodeError("a text is not UTF-8")
    return value
