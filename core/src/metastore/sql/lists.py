"""The lists of a query, as conditions and parameters of a statement."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from sqlalchemy import ColumnElement

from metastore.sql.database import Database

__all__ = ["Lists", "are_too_many_pairs", "one_is_empty"]

_PAIRS = 100_000
"""So many pairs of values are looked up in an index of two columns in no time."""


def one_is_empty(*lists: Collection[Any] | None) -> bool:
    """Whether a list leaves nothing to find, so that the database need not be asked."""
    return any(each is not None and not each for each in lists)


def are_too_many_pairs(first: Collection[Any] | None, second: Collection[Any] | None) -> bool:
    """Whether two lists must not be looked up together, every value of one with every other.

    That is what a database does where an index has both columns.
    """
    return first is not None and second is not None and len(first) * len(second) > _PAIRS


class Lists:
    """The lists of a query: the key, the conditions and the parameters that they come to."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.key: list[tuple[str, str]] = []
        self.parameters: dict[str, Any] = {}
        self.conditions: list[Callable[[], ColumnElement[bool]]] = []

    def add(
        self,
        name: str,
        values: Collection[Any] | None,
        condition: Callable[
            [Callable[[ColumnElement[Any]], ColumnElement[bool]]], ColumnElement[bool]
        ],
    ) -> None:
        """Narrow by `values`, unless they are None.

        `condition` gets a function that turns a column into "the column is one of the values".
        """
        if values is None:
            return
        database = self._database
        shape = database.list_shape(values)
        self.key.append((name, shape))
        self.parameters[name] = database.bind_list(values, shape)
        self.conditions.append(
            lambda: condition(lambda column: database.in_list(column, name, shape))
        )

    def add_two(
        self,
        first: tuple[str, Collection[Any] | None, ColumnElement[Any]],
        second: tuple[str, Collection[Any] | None, ColumnElement[Any]],
    ) -> None:
        """Narrow two columns by values; of two long lists the shorter one is looked up alone."""
        looked_up, other = first, second
        too_many = are_too_many_pairs(first[1], second[1])
        if too_many and len(first[1] or ()) > len(second[1] or ()):
            looked_up, other = second, first
        name, values, column = looked_up
        self.add(name, values, lambda among: among(column))
        name_of_other, others, column_of_other = other
        if too_many:
            self.key.append((name_of_other, "unindexed"))
            column_of_other = self._database.unindexed(column_of_other)
        self.add(name_of_other, others, lambda among: among(column_of_other))
