"""Stored nodes while a batch changes them, and what of them differs in the end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from metastore.batch import ALL
from metastore.changes import NodeUpdate
from metastore.model import AnyNode, Artifact, Execution, Value
from metastore.values import same_value


class Content(NamedTuple):
    """What a node holds: as it is stored, as a draft says, as it will be."""

    name: str | None
    uri: str
    state: int | None
    external_id: str | None
    properties: Mapping[str, Value]
    custom_properties: Mapping[str, Value]


@dataclass(slots=True)
class Row:
    """A stored node as it will be after the drafts seen so far."""

    before: AnyNode
    content: Content
    update_time_ms: int
    changed: bool = False


def row_of(node: AnyNode) -> Row:
    """The row of a stored node that nothing has changed yet."""
    return Row(node, content_of(node), node.update_time_ms)


def content_of(node: AnyNode) -> Content:
    """What a stored node holds."""
    return Content(
        node.name,
        node.uri if isinstance(node, Artifact) else "",
        node.state if isinstance(node, Artifact | Execution) else None,
        node.external_id,
        node.properties,
        node.custom_properties,
    )


def merged(
    stored: Mapping[str, Value],
    keys: Any,
    given: Mapping[str, Any],
    check: Callable[[Mapping[str, Any]], Mapping[str, Value]],
) -> Mapping[str, Value]:
    """`stored` with the keys that a `Merge` names set as given, or removed.

    Only what is named counts, so only that is checked.
    """
    if keys is ALL:
        return check(given)
    if keys is None:
        return {**stored, **check(given)}
    kept = {key: value for key, value in stored.items() if key not in keys}
    return {**kept, **check({key: given[key] for key in keys if key in given})}


def same_content(left: Content, right: Content) -> bool:
    """Whether both hold the same, with values of the same kinds."""
    return (
        left[:4] == right[:4]
        and _same_map(left.properties, right.properties)
        and _same_map(left.custom_properties, right.custom_properties)
    )


def _same_map(left: Mapping[str, Value], right: Mapping[str, Value]) -> bool:
    return left is right or (
        left.keys() == right.keys()
        and all(same_value(value, right[key]) for key, value in left.items())
    )


def update_of(id: int, row: Row) -> NodeUpdate:
    """What to write of a row."""
    before, content = row.before, row.content
    return NodeUpdate(
        id,
        content.name,
        content.uri,
        content.state,
        content.external_id,
        row.update_time_ms,
        _changed(before.properties, content.properties),
        _changed(before.custom_properties, content.custom_properties),
        frozenset(before.properties.keys() - content.properties.keys()),
        frozenset(before.custom_properties.keys() - content.custom_properties.keys()),
    )


def _changed(before: Mapping[str, Value], after: Mapping[str, Value]) -> dict[str, Value]:
    """The values that are new or differ."""
    return {
        key: value
        for key, value in after.items()
        if key not in before or not same_value(value, before[key])
    }
