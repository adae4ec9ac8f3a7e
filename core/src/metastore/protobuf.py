"""Structs and protos as protocol buffer messages, for flavors whose backend keeps such.

Needs protobuf, which core does not: it comes with the extra ``sql``, or with the flavor.
"""

from __future__ import annotations

from typing import Any, cast

from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.struct_pb2 import Struct

from metastore.model import JSONValue, Proto

__all__ = ["AnyMessage", "Struct", "any_of", "plain_struct", "proto_of", "struct_of"]


def struct_of(value: dict[str, JSONValue]) -> Struct:
    """The message of a struct."""
    message = Struct()
    message.update(value)
    return message


def plain_struct(message: Struct) -> dict[str, JSONValue]:
    """What a struct's message holds; its numbers are doubles."""
    return {key: _plain(item) for key, item in message.fields.items()}


def _plain(item: Any) -> JSONValue:
    kind = item.WhichOneof("kind")
    if kind == "struct_value":
        return plain_struct(item.struct_value)
    if kind == "list_value":
        return [_plain(each) for each in item.list_value.values]
    if kind is None or kind == "null_value":
        return None
    return cast("JSONValue", getattr(item, kind))


def any_of(value: Proto) -> AnyMessage:
    """The `google.protobuf.Any` of a proto."""
    return AnyMessage(type_url=value.type_url, value=value.value)


def proto_of(message: AnyMessage) -> Proto:
    """What a `google.protobuf.Any` holds."""
    return Proto(message.type_url, message.value)
