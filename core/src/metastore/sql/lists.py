"""The lists of a query, as conditions and parameters of a statement."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from sqlalchemy import ColumnElement

from metastore.sql.database import Database

__all__ = ["Lists"]


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
