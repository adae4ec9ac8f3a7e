"""Rows as plain JSON, and back, nothing lost: for files and services that keep them as text.

A record is what `json` writes and reads: dicts, lists, texts, numbers, bools and None.  A row's
record has its kind under ``"row"`` and its fields by their names.  An integer is an INT, a number
with a point or an exponent a DOUBLE; what JSON has no form for is an object of one member::

    {"double": "Infinity"}      a double that is not finite
    {"struct": {...}}           a STRUCT, and any mapping inside it
    {"proto": ["type url", "base64 of the bytes"]}
"""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeAlias, cast

from metastore.errors import StorageError
from metastore.model import (
    Artifact,
    ArtifactState,
    Context,
    Event,
    EventType,
    Execution,
    ExecutionState,
    LinkKind,
    NodeKind,
    PropertyKind,
    Proto,
    Type,
    Value,
)
from metastore.plain.tables import Row, StoredLink
from metastore.values import nonfinite_text

__all__ = ["Record", "record_of", "row_of"]

Record: TypeAlias = "dict[str, Any]"
"""A row as plain JSON."""

_CLASSES: dict[str, type[Any]] = {
    "type": Type,
    "artifact": Artifact,
    "execution": Execution,
    "context": Context,
}
_NAMES = {cls: name for name, cls in _CLASSES.items()}
_LINKS = {kind.label: kind for kind in LinkKind}


def record_of(row: Row) -> Record:
    """The record of a row."""
    if isinstance(row, StoredLink):
        return {"row": row.kind.label, "context_id": row.context_id, "other_id": row.other_id}
    if isinstance(row, Event):
        return {"row": "event", **row._asdict(), "type": row.type.name, "path": list(row.path)}
    record: Record = {"row": _NAMES[type(row)]}
    record |= {each.name: getattr(row, each.name) for each in fields(row)}
    if isinstance(row, Type):
        record["kind"] = row.kind.label
        record["properties"] = {name: kind.name for name, kind in row.properties.items()}
        return record
    for name in ("properties", "custom_properties"):
        record[name] = {key: _encoded(value) for key, value in record[name].items()}
    if "state" in record and record["state"] is not None:
        record["state"] = record["state"].name
    return record


def row_of(record: Record) -> Row:
    """The row of a record.

    Raises
    ------
    StorageError
        It is no record of a row: somebody else wrote it, or it is damaged.
    """
    try:
        return _row_of(dict(record))
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
        # Without what stands in it, which may be values of properties.
        raise StorageError(
            f"a stored record is no row of a store ({type(error).__name__})",
            hint="restore the data from a copy",
        ) from None


def _row_of(record: Record) -> Row:
    what = record.pop("row")
    if what in _LINKS:
        return StoredLink(_LINKS[what], record["context_id"], record["other_id"])
    if what == "event":
        type, path = EventType[record.pop("type")], tuple(record.pop("path"))
        return Event(type=type, path=path, **record)
    if what == "type":
        record["kind"] = NodeKind[record["kind"].upper()]
        record["properties"] = {
            name: PropertyKind[kind] for name, kind in record["properties"].items()
        }
        return Type(**record)
    for name in ("properties", "custom_properties"):
        record[name] = {key: _decoded(value) for key, value in record[name].items()}
    states = {"artifact": ArtifactState, "execution": ExecutionState}.get(what)
    if states is not None and record["state"] is not None:
        record["state"] = states[record["state"]]
    return cast("Row", _CLASSES[what](**record))


def _encoded(value: Any) -> Any:
    if isinstance(value, Proto):
        return {"proto": [value.type_url, base64.b64encode(value.value).decode()]}
    if isinstance(value, Mapping):
        return {"struct": {key: _encoded(item) for key, item in value.items()}}
    if isinstance(value, list):
        return [_encoded(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return {"double": nonfinite_text(value)}
    return value


def _decoded(value: Any) -> Value:
    if isinstance(value, list):
        return cast("Value", [_decoded(item) for item in value])
    if not isinstance(value, dict):
        return cast("Value", value)
    [(tag, inside)] = value.items()
    if tag == "struct":
        return cast("Value", {key: _decoded(item) for key, item in inside.items()})
    if tag == "double":
        return float(inside)
    if tag != "proto":
        raise ValueError
    url, data = inside
    try:
        return Proto(url, base64.b64decode(data, validate=True))
    except binascii.Error:
        raise ValueError from None
