"""Checks that types, nodes and links share; each raises an `InvalidError` with its offender."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

from metastore.errors import InvalidError, Offender
from metastore.model import NodeKind, PropertyKind, Value
from metastore.values import INT64_MAX, INT64_MIN, BadValueError, clean_text, clean_value, kind_of


def text_or_none(text: Any, what: str, offender: Offender) -> str | None:
    """`text` if it is None or text that a backend can hold."""
    if text is None:
        return None
    try:
        return clean_text(text)
    except BadValueError as error:
        raise InvalidError(f"the {what} of {offender} {error}", offender=offender) from None


def is_id(id: Any) -> bool:
    """Whether `id` is an integer, and no bool."""
    return isinstance(id, int) and not isinstance(id, bool)


def is_stored_id(id: Any) -> bool:
    """Whether a backend may be asked for `id`; any other integer is the id of nothing."""
    return is_id(id) and 0 < id <= INT64_MAX


def milliseconds(time_ms: Any, offender: Offender) -> int:
    """`time_ms` if it is a 64-bit integer."""
    if type(time_ms) is not int or not INT64_MIN <= time_ms <= INT64_MAX:
        raise InvalidError(
            f"a time of {offender} is not a 64-bit integer of milliseconds",
            hint="give milliseconds since the epoch",
            offender=offender,
        )
    return time_ms


def node_offender(
    kind: NodeKind, index: int, name: object = None, id: int | None = None
) -> Offender:
    """The offender for a draft of a node."""
    return Offender(kind.label, index, id, name if isinstance(name, str) else None)


# A member of an enumeration is looked up as fast as ten names are.
_INT, _DOUBLE, _STRING = PropertyKind.INT, PropertyKind.DOUBLE, PropertyKind.STRING

_DOUBLE_FOR_INT = "write it as a float (1.0, not 1): ints and doubles are different kinds"


def properties(
    values: Any, declared: Mapping[str, PropertyKind] | None, whose: Callable[[], Offender]
) -> Mapping[str, Value]:
    """The values, each of a plain type and of the kind that the type declares.

    `declared` None stands for custom properties, which take any key and kind.  Returns `values`
    itself where nothing had to be converted.  `whose` makes the offender, should there be one.
    """
    if type(values) is not dict and not isinstance(values, Mapping):
        offender = whose()
        raise InvalidError(
            f"the properties of {offender} are no mapping",
            hint="give a dict of keys and values",
            offender=offender,
        )
    if not values:
        return cast("Mapping[str, Value]", values)
    cleaned: dict[str, Value] | None = None
    plain_keys = True
    for key, value in values.items():
        # The common, already plain values first: this loop runs for every property of a batch.
        kind: PropertyKind
        plain = type(value)
        if plain is str and value.isascii():
            kind = _STRING
        elif plain is float and value == value:  # noqa: PLR0124 - false for NaN
            kind = _DOUBLE
        elif plain is int and INT64_MIN <= value <= INT64_MAX:
            kind = _INT
        else:
            try:
                clean = clean_value(value)
            except BadValueError as error:
                offender = whose()
                at = offender._replace(property=key if isinstance(key, str) else None)
                raise InvalidError(
                    f"property {key!r} of {offender} {error}",
                    hint="give another value, or leave the property out",
                    offender=at,
                ) from None
            kind = kind_of(clean)
            if clean is not value:
                cleaned = dict(values) if cleaned is None else cleaned
                cleaned[key] = clean
        if type(key) is not str or not key.isascii():
            _check_key(key, whose)
            plain_keys = plain_keys and type(key) is str
        if declared is not None and declared.get(key) is not kind:
            raise _undeclared(key, kind, declared, whose())
    if not plain_keys:
        cleaned = {clean_text(key): value for key, value in (cleaned or values).items()}
    return values if cleaned is None else cleaned


def _check_key(key: Any, whose: Callable[[], Offender]) -> None:
    try:
        clean_text(key)
    except BadValueError as error:
        offender = whose()
        raise InvalidError(f"a property key of {offender} {error}", offender=offender) from None


def _undeclared(
    key: str, kind: PropertyKind, declared: Mapping[str, PropertyKind], offender: Offender
) -> InvalidError:
    at = offender._replace(property=key)
    wanted = declared.get(key)
    if wanted is None:
        return InvalidError(
            f"property {key!r} of {offender} is not declared by its type",
            hint="declare it in the type, or make it a custom property",
            offender=at,
        )
    hint = f"its type declares {wanted.name}"
    if wanted is PropertyKind.DOUBLE and kind is PropertyKind.INT:
        hint = _DOUBLE_FOR_INT
    return InvalidError(
        f"property {key!r} of {offender} is {kind.name}, not {wanted.name}", hint=hint, offender=at
    )
