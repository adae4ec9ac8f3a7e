"""What stands in an export, looked at before any store is asked to take it."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace
from typing import Any

from metastore.model import AnyNode, Artifact, Context, Event, NodeKind, Type
from metastore.plain import Row, StoredLink
from metastore.values import INT64_MAX, INT64_MIN, BadValueError, clean_text, clean_value

__all__ = ["Uniques", "checked_row"]


def checked_row(row: Row) -> Row:
    """The row as a store will hold it; raises `BadValueError` for what none can."""
    if isinstance(row, Type):
        _check_type(row)
    elif isinstance(row, Event):
        _check_numbers(row.artifact_id, row.execution_id, row.time_ms)
        for step in row.path:
            if type(step) is not int:
                clean_text(step)
            else:
                _check_numbers(step)
    elif isinstance(row, StoredLink):
        _check_numbers(row.context_id, row.other_id)
    else:
        return _checked_node(row)
    return row


def _check_type(row: Type) -> None:
    _check_numbers(row.id)
    clean_text(row.name)
    for key in row.properties:
        clean_text(key)
    for text in (row.version, row.description, row.base_type, row.external_id):
        _check_text(text)
    for text in (row.input_type, row.output_type):
        _check_text(text)


def _checked_node(row: AnyNode) -> AnyNode:
    _check_numbers(row.id, row.type_id, row.create_time_ms, row.update_time_ms)
    _check_text(row.name)
    _check_text(row.external_id)
    if isinstance(row, Artifact):
        clean_text(row.uri)
    cleaned = [
        {clean_text(key): clean_value(value) for key, value in values.items()}
        for values in (row.properties, row.custom_properties)
    ]
    if not any(isinstance(value, dict) for values in cleaned for value in values.values()):
        return row
    # Of a struct: JSON has whole numbers, and there all are doubles.
    return replace(row, properties=cleaned[0], custom_properties=cleaned[1])


def _check_text(text: object) -> None:
    if text is not None:
        clean_text(text)


def _check_numbers(*numbers: Any) -> None:
    for number in numbers:
        # A bool would do as a number, and be none.
        if type(number) is not int or not INT64_MIN <= number <= INT64_MAX:
            raise BadValueError("is no integer of 64 bits")


class Uniques:
    """What may stand in a store once, of the rows that were looked at."""

    def __init__(self) -> None:
        self._seen: set[Hashable] = set()
        self._parents: dict[int, set[int]] = {}

    def twice(self, row: Row, kind: NodeKind | None) -> str | None:
        """What of the row stands there for the second time; `kind` is that of a node."""
        if isinstance(row, Type):
            keys: dict[str, Hashable] = {"key": row.key._replace(version=row.version or None)}
            if row.external_id:
                keys["external id"] = row.external_id
        elif isinstance(row, Event):
            keys = {"event": (row.artifact_id, row.execution_id, row.type)}
        elif isinstance(row, StoredLink):
            keys = {"link": row}
        else:
            keys = {}
            if row.name or isinstance(row, Context):
                keys["name"] = (row.type_id, row.name)
            if row.external_id:
                keys["external id"] = (kind, row.external_id)
        for what, key in keys.items():
            if (what, type(row), key) in self._seen:
                return what
            self._seen.add((what, type(row), key))
        return None

    def is_circle(self, context: int, parent: int) -> bool:
        """Whether a parent link closes a circle of those that were asked about before."""
        above, found = [parent], {parent}
        while above:
            if context in found:
                return True
            more = self._parents.get(above.pop(), set()) - found
            found |= more
            above += more
        self._parents.setdefault(context, set()).add(parent)
        return False
