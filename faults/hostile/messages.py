"""Random messages of a protocol: of the right form with any content, and of no form."""

from __future__ import annotations

import random
from typing import Any

from .damage import damaged_bytes, noise

__all__ = ["random_bytes", "random_message"]

_INTS = (
    *(0, 1, 2, 3, 10, 11, -1, 99, 127, 128, 2**31 - 1, -(2**31), 2**31, 2**63 - 1, -(2**63)),
    *(1767225600000, 253402300800000, 2**53 + 1),
)
_DOUBLES = (0.0, -0.0, 1.0, 0.1, float("nan"), float("inf"), float("-inf"), 5e-324, 1.7e308)
_TEXTS = (
    *("", "T", "p", "n", "a", "c", "x\0y", "mlmd-struct::AAAA", "__MLMD_NULL__", "🧪" * 20, "id"),
    *("'; DROP TABLE Artifact; --", "%", "_", "\u202e", "é" * 300, "x" * 10_000, "a/b/c", " a "),
    *("id = 1", "name = 'a'", "contexts_a.id = 1", "id = ", "((((", "CgcKAWESAhgB", "0", "-1"),
)


def _text(chance: random.Random) -> str:
    if chance.random() < 0.8:
        return chance.choice(_TEXTS)
    return noise(chance).encode("utf-8", "replace").decode()


def _scalar(chance: random.Random, field: Any) -> Any:
    kind = field.cpp_type
    if kind == field.CPPTYPE_STRING:
        text = _text(chance)
        return text if field.type == field.TYPE_STRING else chance.randbytes(chance.randrange(20))
    if kind in (field.CPPTYPE_DOUBLE, field.CPPTYPE_FLOAT):
        return chance.choice(_DOUBLES)
    if kind == field.CPPTYPE_BOOL:
        return chance.random() < 0.5
    if kind == field.CPPTYPE_ENUM:
        return chance.choice(list(field.enum_type.values)).number
    number = chance.choice(_INTS)
    if kind in (field.CPPTYPE_INT32, field.CPPTYPE_UINT32) and abs(number) >= 2**31:
        number = 7
    return abs(number) if kind in (field.CPPTYPE_UINT32, field.CPPTYPE_UINT64) else number


def random_message(chance: random.Random, message: Any, depth: int = 0) -> Any:
    """The message with random fields, filled in place."""
    share = 0.9 if depth == 0 else 0.6 if depth < 4 else 0.25
    for field in message.DESCRIPTOR.fields:
        if chance.random() > share or depth > 8:
            continue
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            value = field.message_type.fields_by_name["value"]
            held = getattr(message, field.name)
            for _ in range(chance.randint(0, 3)):
                key = _scalar(chance, field.message_type.fields_by_name["key"])
                if value.message_type is None:
                    held[key] = _scalar(chance, value)
                else:
                    random_message(chance, held[key], depth + 1)
        elif field.label == field.LABEL_REPEATED:
            held = getattr(message, field.name)
            for _ in range(chance.choice((0, 1, 1, 2, 5))):
                if field.message_type is None:
                    held.append(_scalar(chance, field))
                else:
                    random_message(chance, held.add(), depth + 1)
        elif field.message_type is not None:
            inner = getattr(message, field.name)
            inner.SetInParent()
            random_message(chance, inner, depth + 1)
        else:
            setattr(message, field.name, _scalar(chance, field))
    return message


def _varint(number: int) -> bytes:
    found = b""
    while number > 127:
        found += bytes([number & 127 | 128])
        number >>= 7
    return found + bytes([number])


def random_bytes(chance: random.Random, good: bytes) -> bytes:
    """Bytes that are most likely no message: noise, a damaged one, unknown fields, deep nesting."""
    which = chance.randrange(6)
    if which == 0:
        return chance.randbytes(chance.randint(0, 300))
    if which == 1:
        # A field that nobody knows, of each wire type.
        number, wire = chance.choice((99, 1000, 2**29 - 1)), chance.choice((0, 1, 2, 5))
        content = {
            0: b"\x01",
            1: bytes(8),
            2: _varint(3) + b"abc",
            5: bytes(4),
        }[wire]
        return good + _varint(number << 3 | wire) + content
    if which == 2:
        # Length-delimited fields of number n, one inside the other.
        inner, number = b"", chance.randint(1, 6)
        for _ in range(chance.choice((50, 101, 2000))):
            inner = _varint(number << 3 | 2) + _varint(len(inner)) + inner
        return inner
    if which == 3:
        return good + _varint(1 << 3 | 2) + _varint(2**40)
    return damaged_bytes(chance, good)
