"""What a node is, apart from its ids: compared, and as a number."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from hashlib import blake2b
from typing import Any, NamedTuple

from metastore.model import AnyNode, Artifact, Context, Execution, Proto, Type, TypeKey, Value
from metastore.values import kind_of, same_value

__all__ = ["Repaired", "differing", "fingerprint", "repaired"]

_MISSING = object()


def differing(one: AnyNode, other: AnyNode, *, times: bool, exact_doubles: bool) -> list[str]:
    """The fields and properties in which two nodes differ, types and ids aside.

    times:
        Whether create and update time are among them.
    exact_doubles:
        Whether doubles are compared bit for bit; otherwise to six decimals.
    """
    found = []
    if one.name != other.name:
        found.append("name")
    if one.external_id != other.external_id:
        found.append("external id")
    if isinstance(one, Artifact) and isinstance(other, Artifact) and one.uri != other.uri:
        found.append("uri")
    if not isinstance(one, Context) and not isinstance(other, Context) and one.state != other.state:
        found.append("state")
    for what, left, right in (
        ("property", one.properties, other.properties),
        ("custom property", one.custom_properties, other.custom_properties),
    ):
        if left or right:
            keys = _differing_keys(left, right, exact_doubles=exact_doubles)
            found += [f"{what} {key!r}" for key in keys]
    if times:
        if one.create_time_ms != other.create_time_ms:
            found.append("create time")
        if one.update_time_ms != other.update_time_ms:
            found.append("update time")
    return found


def _differing_keys(
    one: Mapping[str, Any], other: Mapping[str, Any], *, exact_doubles: bool
) -> list[str]:
    found = [
        key
        for key, value in one.items()
        if not _same(value, other.get(key, _MISSING), exact_doubles)
    ]
    if len(other) + len(found) > len(one):
        found += [key for key in other if key not in one]
    return found


def _same(one: Any, other: Any, exact_doubles: bool) -> bool:
    if exact_doubles or type(one) is not float or type(other) is not float:
        # A struct is kept as text, where numbers lose nothing.
        return same_value(one, other)
    return math.isclose(one, other, rel_tol=1e-12, abs_tol=1e-6)


def fingerprint(node: AnyNode, key: TypeKey | None, *, times: bool, exact_doubles: bool) -> int:
    """A number of 64 bits that equal nodes share.

    times:
        Whether the create and update time count.
    exact_doubles:
        Whether the values of doubles count; where they come back rounded, they cannot.
    """
    row: list[Any] = [
        None if key is None else tuple(key),
        node.name,
        node.external_id,
        getattr(node, "uri", None),
        int(node.state or 0) if isinstance(node, Artifact | Execution) else None,
        _plain(node.properties, exact_doubles),
        _plain(node.custom_properties, exact_doubles),
    ]
    if times:
        row += [node.create_time_ms, node.update_time_ms]
    digest = blake2b(repr(row).encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


def _plain(value: Any, exact_doubles: bool) -> Any:
    """A form whose `repr` is the same for equal values, and no other."""
    if type(value) is float:
        return ("f", value.hex() if exact_doubles else None)
    if isinstance(value, Proto):
        return ("p", *value)
    if isinstance(value, Mapping):
        items = sorted(value.items())
        return ("m", [(key, _plain(item, exact_doubles)) for key, item in items])
    if isinstance(value, list):
        return ("l", [_plain(item, exact_doubles) for item in value])
    return value


class Repaired(NamedTuple):
    """A node as a store takes it."""

    node: AnyNode
    dropped: list[str]
    """Keys of properties that were taken away: no store takes them."""


def repaired(node: AnyNode, type: Type) -> Repaired:
    """The node without properties that its type does not declare: a damaged store may have some."""
    declared = type.properties
    own, custom = node.properties, node.custom_properties
    dropped = [key for key, value in own.items() if declared.get(key) is not kind_of(value)]
    bad = [key for key, value in custom.items() if _is_nan(value)]
    dropped += [key for key, value in own.items() if key not in dropped and _is_nan(value)]
    if not dropped and not bad:
        return Repaired(node, [])
    return Repaired(
        replace(
            node,
            properties={key: value for key, value in own.items() if key not in dropped},
            custom_properties={key: value for key, value in custom.items() if key not in bad},
        ),
        dropped + bad,
    )


def _is_nan(value: Value) -> bool:
    return type(value) is float and math.isnan(value)
