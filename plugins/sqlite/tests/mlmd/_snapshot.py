"""All that ml-metadata lists in a store, as plain data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from google.protobuf import json_format
from ml_metadata.metadata_store.metadata_store import MetadataStore

from ._opening import connect
from ._proto import pb

Record = dict[str, Any]
"""One type or node, its fields by name."""


def snapshot(path: Path | str | Any) -> dict[str, Any]:
    """Everything ml-metadata lists in the store at ``path``, as plain data.

    Types (``artifact_types``, ``execution_types``, ``context_types``), each kind by id: ``id``,
    ``name``, ``version``, ``description``, ``external_id``, ``base_type`` (``"DATASET"``),
    ``properties`` (name to ``"INT"``, ``"STRING"`` ...); execution types also ``input_type`` and
    ``output_type``. Simple types (``mlmd.*``) are not listed, as ml-metadata hides them.

    Nodes (``artifacts``, ``executions``, ``contexts``), each kind by id: ``id``, ``type_id``,
    ``type``, ``name``, ``external_id``, ``properties``, ``custom_properties``,
    ``create_time_since_epoch``, ``last_update_time_since_epoch`` (milliseconds); artifacts also
    ``uri``; artifacts and executions also ``state``, a number. A property is ``("int_value", 5)``,
    ``("struct_value", {...})``, ``("proto_value", type_url, bytes)`` and so on.

    Links, sorted: ``events`` as (artifact id, execution id, type, milliseconds, path) with a path
    of ints (indexes) and strs (keys), ``attributions`` as (context id, artifact id),
    ``associations`` as (context id, execution id), ``parent_contexts`` as (parent id, child id).

    What a message leaves unset is ``None``. The store is opened for writing, see :func:`connect`,
    which also says what ``path`` may be.
    """
    if isinstance(path, str | Path) and not Path(path).is_file():
        raise FileNotFoundError(path)
    store = connect(path)
    artifacts = store.get_artifacts()
    executions = store.get_executions()
    contexts = store.get_contexts()
    context_ids = [context.id for context in contexts]
    return {
        "artifact_types": _types(store.get_artifact_types(), store.get_artifact_type),
        "execution_types": _types(store.get_execution_types(), store.get_execution_type),
        "context_types": _types(store.get_context_types(), store.get_context_type),
        "artifacts": _nodes(artifacts, state="state"),
        "executions": _nodes(executions, state="last_known_state"),
        "contexts": _nodes(contexts),
        "events": _events(store, artifacts, executions),
        "attributions": sorted(
            (id_, artifact.id)
            for id_ in context_ids
            for artifact in store.get_artifacts_by_context(id_)
        ),
        "associations": sorted(
            (id_, execution.id)
            for id_ in context_ids
            for execution in store.get_executions_by_context(id_)
        ),
        "parent_contexts": sorted(
            (parent.id, id_)
            for id_ in context_ids
            for parent in store.get_parent_contexts_by_context(id_)
        ),
    }


def _types(listed: Iterable[Any], by_name: Callable[[str, str | None], Any]) -> list[Record]:
    # A listed type has no external id, the same type asked for by name and version has.
    return sorted(
        (_type(by_name(type_.name, _field(type_, "version"))) for type_ in listed),
        key=lambda record: record["id"],
    )


def _type(type_: Any) -> Record:
    record = {name: _field(type_, name) for name in ("id", "name", "version", "description")} | {
        "external_id": _field(type_, "external_id"),
        "base_type": None,
        "properties": {name: pb.PropertyType.Name(kind) for name, kind in type_.properties.items()},
    }
    if type_.HasField("base_type"):
        enum = type_.DESCRIPTOR.fields_by_name["base_type"].enum_type
        record["base_type"] = enum.values_by_number[type_.base_type].name
    for name in ("input_type", "output_type"):
        if name in type_.DESCRIPTOR.fields_by_name:
            value = _field(type_, name)
            record[name] = None if value is None else json_format.MessageToDict(value)
    return record


def _nodes(nodes: Iterable[Any], *, state: str | None = None) -> list[Record]:
    records = []
    for node in sorted(nodes, key=lambda node: node.id):
        record = {
            name: _field(node, name)
            for name in (
                "id",
                "type_id",
                "type",
                "name",
                "external_id",
                "create_time_since_epoch",
                "last_update_time_since_epoch",
            )
        }
        if "uri" in node.DESCRIPTOR.fields_by_name:
            record["uri"] = _field(node, "uri")
        if state is not None:
            record["state"] = _field(node, state)
        record["properties"] = _values(node.properties)
        record["custom_properties"] = _values(node.custom_properties)
        records.append(record)
    return records


def _values(properties: Mapping[str, Any]) -> dict[str, tuple[Any, ...]]:
    return {name: _value(properties[name]) for name in sorted(properties)}


def _value(value: Any) -> tuple[Any, ...]:
    kind = value.WhichOneof("value")
    if kind is None:
        return (None,)
    content = getattr(value, kind)
    if kind == "struct_value":
        return (kind, json_format.MessageToDict(content))
    if kind == "proto_value":
        return (kind, content.type_url, content.value)
    return (kind, content)


def _events(
    store: MetadataStore, artifacts: Sequence[Any], executions: Sequence[Any]
) -> list[tuple[Any, ...]]:
    # Asked for from both ends, as an event may point at a node that is not there.
    execution_ids = {node.id for node in executions}
    of_executions = store.get_events_by_execution_ids(sorted(execution_ids))
    of_artifacts = store.get_events_by_artifact_ids([node.id for node in artifacts])
    strays = [event for event in of_artifacts if event.execution_id not in execution_ids]
    return sorted(
        (
            (
                event.artifact_id,
                event.execution_id,
                event.type,
                _field(event, "milliseconds_since_epoch"),
                tuple(getattr(step, step.WhichOneof("value")) for step in event.path.steps),
            )
            for event in (*of_executions, *strays)
        ),
        key=lambda event: (*event[:3], repr(event[3:])),
    )


def _field(message: Any, name: str) -> Any:
    return getattr(message, name) if message.HasField(name) else None
