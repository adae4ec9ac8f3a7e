"""Property values: which Python values are of which kind, and which none can be."""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping
from typing import Any, Literal, cast

from metastore.model import JSONValue, PropertyKind, Proto, Value

__all__ = [
    "BadValueError",
    "clean_text",
    "clean_value",
    "kind_of",
    "nonfinite_text",
    "same_value",
    "scalar",
]

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1

_KINDS: dict[type, PropertyKind] = {
    int: PropertyKind.INT,
    float: PropertyKind.DOUBLE,
    str: PropertyKind.STRING,
    dict: PropertyKind.STRUCT,
    Proto: PropertyKind.PROTO,
    bool: PropertyKind.BOOLEAN,
}


class BadValueError(ValueError):
    """A value that no property can hold; the text says why and holds nothing of the value.

    Not for users: whoever asks turns it into an `InvalidError` that names the offender.
    """


def kind_of(value: Value) -> PropertyKind:
    """The kind of a clean value."""
    return _KINDS[type(value)]


def same_value(left: object, right: object) -> bool:
    """Whether two clean values are the same, and of the same kinds, inside structs too.

    Python says that 1, 1.0 and True are equal, and 0.0 and -0.0; a store keeps them apart.
    """
    if type(left) is not type(right):
        return False
    if isinstance(left, float) and isinstance(right, float):
        return left == right and math.copysign(1.0, left) == math.copysign(1.0, right)
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(
            same_value(value, right[key]) for key, value in left.items()
        )
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same_value, left, right))
    return left == right


def clean_text(text: Any) -> str:
    """The text as a plain `str`; raises `BadValueError` for what no backend can hold."""
    if type(text) is not str:
        if not isinstance(text, str):
            raise BadValueError(f"is of type {type(text).__name__}, not text")
        text = str.__str__(text)
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise BadValueError(
                "holds half of a surrogate pair, which is no Unicode text"
            ) from None
    return cast("str", text)


def clean_value(value: Any) -> Value:
    """The value as one of the plain types of `Value`.

    Accepts subclasses and numbers of other libraries (NumPy scalars among them); mappings become
    structs.  Raises `BadValueError` for None, NaN, integers beyond 64 bits, text that is no
    Unicode, and types that no property can hold.
    """
    if value is None:
        raise BadValueError("has no content (None)")
    kind = type(value)
    if kind is bool:
        return cast("bool", value)
    if kind is int:
        return _clean_int(value)
    if kind is float:
        return _clean_float(value)
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, Proto):
        return _clean_proto(value)
    if isinstance(value, Mapping):
        return _clean_struct(value)
    if isinstance(value, numbers.Integral):
        return _clean_int(int(value))
    if isinstance(value, numbers.Real):
        return _clean_float(_float(value))
    plain = scalar(value)
    if type(plain) in _KINDS:
        return clean_value(plain)
    raise BadValueError(
        f"is of type {kind.__name__}; a property holds an int, float, str, bool, dict or Proto"
    )


def scalar(value: Any) -> Any:
    """What a scalar of an array library (`numpy.bool_`, a tensor without dimensions) holds."""
    if getattr(value, "ndim", None) == 0 and hasattr(value, "item"):
        return value.item()
    return None


def nonfinite_text(value: Any) -> Literal["NaN", "Infinity", "-Infinity"] | None:
    """The word for a number that is not finite, as protocol buffers' JSON has it; else None."""
    plain = value if isinstance(value, numbers.Real) else scalar(value)
    if not isinstance(plain, numbers.Real):
        return None
    try:
        number = float(plain)
    except OverflowError:
        return None
    if math.isfinite(number):
        return None
    return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"


def _float(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:
        raise BadValueError("is a number beyond the range of a double") from None


def _clean_int(value: int) -> int:
    if not INT64_MIN <= value <= INT64_MAX:
        raise BadValueError("does not fit into 64 bits")
    return value


def _clean_float(value: float) -> float:
    if value != value:  # noqa: PLR0124 - the test for NaN
        raise BadValueError("is not a number (NaN), which backends cannot hold")
    return value


def _clean_proto(value: Proto) -> Proto:
    type_url, data = value
    if not type_url:
        raise BadValueError("is a Proto without a type_url")
    if not isinstance(data, bytes | bytearray | memoryview):
        raise BadValueError("is a Proto whose value is not bytes")
    return Proto(clean_text(type_url), bytes(data))


def _clean_struct(value: Mapping[Any, Any]) -> dict[str, JSONValue]:
    cleaned: dict[str, JSONValue] = {}
    for key, item in value.items():
        if not isinstance(key, str):
            raise BadValueError("is a struct with a key that is not text")
        cleaned[clean_text(key)] = _clean_json(item, 2)
    return cleaned


_MAX_DEPTH = 90
"""Protocol buffer parsers refuse messages nested deeper than 100; some are for what is around."""


def _clean_json(value: Any, depth: int) -> JSONValue:
    """The value; `depth` is that of the message `google.protobuf.Value` which would hold it.

    A struct inside it is three messages (Struct, its map entry, Value), a list is two.
    """
    if depth > _MAX_DEPTH:
        raise BadValueError("is a struct nested too deeply (30 structs or 44 lists will do)")
    if value is None or type(value) is bool:
        return value
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, Mapping):
        return {clean_text(key): _clean_json(item, depth + 3) for key, item in _text_keys(value)}
    if isinstance(value, list | tuple):
        return [_clean_json(item, depth + 2) for item in value]
    if isinstance(value, numbers.Real):
        number = _float(value)
        if isinstance(value, numbers.Integral) and int(value) != number:
            raise BadValueError("is a struct with an integer that a double cannot hold exactly")
        return _clean_float(number)
    plain = scalar(value)
    if type(plain) in (bool, int, float, str):
        return _clean_json(plain, depth)
    raise BadValueError(f"is a struct that holds a {type(value).__name__}")


def _text_keys(value: Mapping[Any, Any]) -> list[tuple[str, Any]]:
    items = list(value.items())
    if not all(isinstance(key, str) for key, _ in items):
        raise BadValueError("is a struct with a key that is not text")
    return items
