"""Property values as columns of the schema, and back.

ML Metadata keeps an int, a double and a bool in columns of their own.  A struct is text in
`string_value`: ``mlmd-struct::`` and the base64 of a `google.protobuf.Struct`; a proto is text in
`proto_value`: the base64 of a `google.protobuf.Any`.

Two values would not come back: text that begins like a struct, and the double -0.0, whose sign
SQLite drops.  For these `byte_value`, which ML Metadata never reads, holds a mark.  Where text can
hold no NUL, `byte_value` holds the whole of a text with one.
"""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias, cast

from sqlalchemy import ColumnElement, Table, func

from metastore.model import JSONValue, Proto, Value

__all__ = [
    "ANY_COLUMN",
    "PROPERTY_KEY",
    "STRUCT_PREFIX",
    "Properties",
    "decode",
    "decode_mixed",
    "in_one_group",
    "property_rows",
    "value_columns",
]

STRUCT_PREFIX = "mlmd-struct::"
_LITERAL = b"text"
_MINUS_ZERO = b"-0.0"
_TEXT_WITH_NUL = b"utf-8:"

_INTS = ("int_value",)
_DOUBLES = ("double_value",)
_STRINGS = ("string_value",)
_BOOLEANS = ("bool_value",)
_PROTOS = ("proto_value",)
_MARKED_STRINGS = ("string_value", "byte_value")
_MARKED_DOUBLES = ("double_value", "byte_value")
_BYTES = ("byte_value",)
PROPERTY_KEY = ("name", "is_custom_property")
"""Columns of a property between its owner and its value."""
ANY_COLUMN = ("int_value | double_value | string_value",)
"""The group of values that are put into a column by their type, behind `property_rows`."""
_COLUMNS = ("int_value", "double_value", "string_value", "byte_value", "proto_value", "bool_value")
"""In the order of the table, in which an insert names them."""


Properties: TypeAlias = "tuple[int, Mapping[str, Value], Mapping[str, Value]]"
"""A node's id, its properties and its custom properties."""


def property_rows(
    owners: Iterable[Properties],
    *,
    strict: bool = False,
    in_order: bool = False,
) -> dict[tuple[str, ...], list[tuple[Any, ...]]]:
    """Rows to insert, grouped by the value columns that they fill.

    Each row is (owner's id, key, whether custom, value, ...).  Grouped, because an insert of four
    columns is half the work of one of nine.  `strict` is `Database.strict_columns`.  With
    `in_order`, whole numbers, doubles and texts are one group, `ANY_COLUMN`, in the order given.
    """
    grouped: dict[tuple[str, ...], list[tuple[Any, ...]]] = {}
    if in_order:
        strings = doubles = ints = grouped[ANY_COLUMN] = []
    else:
        strings = grouped[_STRINGS] = []
        doubles = grouped[_DOUBLES] = []
        ints = grouped[_INTS] = []
    for id, declared, custom in owners:
        for is_custom, values in ((0, declared), (1, custom)):
            for key, value in values.items():
                # The three common kinds first: this loop runs for every property of a batch.
                if type(value) is str and value[:1] != "m" and not (strict and "\0" in value):
                    strings.append((id, key, is_custom, value))
                elif type(value) is float and value:
                    doubles.append((id, key, is_custom, value))
                elif type(value) is int:
                    ints.append((id, key, is_custom, value))
                else:
                    columns, cells = _encode(value, strict)
                    grouped.setdefault(columns, []).append((id, key, is_custom, *cells))
    return {columns: rows for columns, rows in grouped.items() if rows}


def in_one_group(
    grouped: Mapping[tuple[str, ...], list[tuple[Any, ...]]],
) -> dict[tuple[str, ...], list[tuple[Any, ...]]]:
    """The rows of `property_rows` in one group, of all columns that any of them fills."""
    if len(grouped) < 2:
        return dict(grouped)
    filled = {column for columns in grouped for column in columns}
    together = tuple(column for column in _COLUMNS if column in filled)
    rows: list[tuple[Any, ...]] = []
    for columns, some in grouped.items():
        # Where each cell comes from; behind the last one of a row there is a NULL.
        places = [3 + columns.index(each) if each in columns else -1 for each in together]
        rows += [(*row[:3], *map((*row, None).__getitem__, places)) for row in some]
    return {together: rows}


def _encode(value: Value, strict: bool) -> tuple[tuple[str, ...], tuple[Any, ...]]:
    """The columns that a value fills, and with what."""
    if isinstance(value, str):
        if strict and "\0" in value:
            return _BYTES, (_TEXT_WITH_NUL + value.encode(),)
        if value.startswith(STRUCT_PREFIX):
            return _MARKED_STRINGS, (value, _LITERAL)
        return _STRINGS, (value,)
    if isinstance(value, float):
        if math.copysign(1.0, value) < 0:
            return _MARKED_DOUBLES, (0.0, _MINUS_ZERO)
        return _DOUBLES, (value,)
    if isinstance(value, bool):
        return _BOOLEANS, (int(value),)
    if isinstance(value, dict):
        return _STRINGS, (STRUCT_PREFIX + base64.b64encode(_struct_bytes(value)).decode(),)
    proto = cast("Proto", value)
    # Imported on use: most stores hold neither structs nor protos.
    from metastore.protobuf import any_of

    stored = base64.b64encode(any_of(proto).SerializeToString())
    return _PROTOS, (stored if strict else stored.decode(),)


def _struct_bytes(value: dict[str, JSONValue]) -> bytes:
    from metastore.protobuf import struct_of

    return struct_of(value).SerializeToString(deterministic=True)


def value_columns(table: Table, *, mixed: bool) -> Sequence[ColumnElement[Any]]:
    """What to select for `decode`, or, where columns may be mixed, for `decode_mixed`."""
    columns = table.c
    if mixed:
        return (
            func.coalesce(columns.int_value, columns.double_value, columns.string_value),
            func.coalesce(columns.bool_value, columns.proto_value, columns.byte_value),
        )
    return (
        columns.int_value,
        columns.double_value,
        columns.string_value,
        columns.bool_value,
        columns.proto_value,
        columns.byte_value,
    )


def decode_mixed(value: Any, rest: Any) -> Value | None:
    """The value of a row; None for a row without any."""
    if rest is None:
        if type(value) is str and value.startswith(STRUCT_PREFIX):
            return _decode_struct(value)
        return cast("Value | None", value)
    if value is None:
        if type(rest) is int:
            return bool(rest)
        if isinstance(rest, memoryview):
            rest = bytes(rest)  # as some drivers give it
        if not isinstance(rest, str | bytes) or rest in (_LITERAL, _MINUS_ZERO):
            return None
        if isinstance(rest, bytes) and rest.startswith(_TEXT_WITH_NUL):
            return rest[len(_TEXT_WITH_NUL) :].decode(errors="replace")
        return _decode_proto(rest)
    return -0.0 if rest == _MINUS_ZERO else cast("Value", value)


def decode(
    integer: Any, double: Any, text: Any, boolean: Any, proto: Any, mark: Any
) -> Value | None:
    """The value of a row; None for a row without any."""
    if integer is not None:
        return cast("Value", integer)
    if double is not None:
        return -0.0 if mark == _MINUS_ZERO else cast("Value", double)
    if text is not None:
        return decode_mixed(text, mark)
    if boolean is not None:
        return bool(boolean)
    return decode_mixed(None, mark if proto is None else proto)


def _decode_struct(text: str) -> Value:
    from google.protobuf.message import DecodeError

    from metastore.protobuf import Struct, plain_struct

    message = Struct()
    try:
        message.ParseFromString(base64.b64decode(text[len(STRUCT_PREFIX) :], validate=True))
    except (binascii.Error, DecodeError, UnicodeDecodeError, ValueError):
        # Not written by us, and no struct: then it is text, which is more than an error.
        return text
    return plain_struct(message)


def _decode_proto(stored: str | bytes) -> Value | None:
    from google.protobuf.message import DecodeError

    from metastore.protobuf import AnyMessage, proto_of

    message = AnyMessage()
    try:
        message.ParseFromString(base64.b64decode(stored, validate=True))
    except (binascii.Error, DecodeError, UnicodeDecodeError, ValueError):
        return None
    return proto_of(message)
