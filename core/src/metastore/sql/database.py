"""What differs between database engines, and the session that runs statements on one.

Statements are built with SQLAlchemy, compiled once, and run as text on the driver's cursor: its
per-call cost would otherwise be a third to a half of a small read or write (benchmarks/NOTES.md).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Collection, Hashable, Iterable, Sequence
from contextlib import AbstractContextManager, suppress
from itertools import chain
from typing import Any, TypeVar

from sqlalchemy import (
    ColumnElement,
    Integer,
    Select,
    Table,
    bindparam,
    exists,
    func,
    insert,
    literal_column,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.sql import ClauseElement

from metastore.model import NodeKind
from metastore.query import Filter
from metastore.sql.codec import PROPERTY_KEY, Properties, in_one_group, property_rows
from metastore.sql.schema import Schema

__all__ = ["Database", "Session", "Statement"]

Row = tuple[Any, ...]
_T = TypeVar("_T")


class Statement:
    """A compiled statement and the order of its parameters."""

    __slots__ = ("_defaults", "_names", "_of_rows", "text")

    def __init__(self, clause: ClauseElement, dialect: Dialect) -> None:
        compiled = clause.compile(dialect=dialect)
        self.text = str(compiled)
        if not compiled.positional:  # type: ignore[attr-defined]
            raise TypeError(f"the driver of {dialect.name} must take parameters by position")
        self._names: tuple[str, ...] = tuple(compiled.positiontup or ())  # type: ignore[attr-defined]
        self._of_rows: dict[int, str] = {}
        # Values that are part of the statement itself, such as a constant in a condition.
        self._defaults = {
            name: value for name, value in compiled.params.items() if value is not None
        }

    def of_rows(self, count: int) -> str:
        """The text of an insert with so many rows of parameters instead of one."""
        found = self._of_rows.get(count)
        if found is None:
            row = self.text.rpartition(" VALUES ")[2]
            found = self._of_rows[count] = self.text + f", {row}" * (count - 1)
        return found

    def parameters(self, values: dict[str, Any]) -> list[Any]:
        """The values in the order of the text."""
        defaults = self._defaults
        return [values[name] if name in values else defaults[name] for name in self._names]


_FILTERS = 256
"""Statements of filters that are kept."""


def forget_oldest(kept: OrderedDict[Hashable, Any]) -> None:
    """Keep the last ones."""
    while len(kept) > _FILTERS:
        with suppress(KeyError):
            kept.popitem(last=False)


_FEWEST, _MOST = 3, 24
"""Rows that are inserted by one statement: each number of them is a text of its own."""


class Session:
    """One connection inside a transaction."""

    def __init__(self, database: Database, cursor: Any, notes: dict[Hashable, Any]) -> None:
        self.database = database
        self.cursor = cursor
        self.notes = notes
        """What was read and holds: until the end of the transaction, or, where the database knows
        that nobody else has written since, in the next one too."""

    def rows(self, statement: Statement, **values: Any) -> list[Row]:
        """Run a query; all of its rows."""
        self.cursor.execute(statement.text, statement.parameters(values))
        return self.cursor.fetchall()  # type: ignore[no-any-return]

    def rows_soon(self, statement: Statement, **values: Any) -> list[Row] | None:
        """As `rows`, or None where that takes long and the database can be stopped in the midst."""
        return self.rows(statement, **values)

    def read(self, take: Callable[[Iterable[Row]], _T], statement: Statement, **values: Any) -> _T:
        """Run a query; what `take` makes of its rows, which it may be given anew from the first."""
        return take(self.rows(statement, **values))

    def execute(self, text: str, parameters: Sequence[Any] = ()) -> None:
        """Run a statement as text."""
        self.cursor.execute(text, parameters)

    def many(self, statement: Statement, rows: Iterable[Sequence[Any]]) -> None:
        """Run a statement once for each row of parameters, in the order of its text."""
        self.cursor.executemany(statement.text, rows)

    def insert(self, statement: Statement, rows: Sequence[Sequence[Any]]) -> None:
        """Run an insert for all rows: a few as one statement, which costs half as much."""
        if _FEWEST <= len(rows) <= _MOST:
            self.cursor.execute(statement.of_rows(len(rows)), [*chain.from_iterable(rows)])
        else:
            self.cursor.executemany(statement.text, rows)

    def flush(self) -> None:
        """Wait for statements that were sent and not waited for; asked before the commit."""


class Database(ABC):
    """A database engine, connected.

    Every method may raise the driver's errors; `translate` turns them into ours.
    """

    dialect: Dialect
    schema: Schema
    mixed_columns = False
    """Whether one column of a result may hold values of several types, row by row."""
    strict_columns = False
    """Whether a column takes values of its own type only, and text no NUL."""
    properties_at_once = 0
    """So many properties of nodes are inserted by one statement, whatever the kinds of their
    values; more by one for each kind.  For databases where a statement is a way over a network."""
    ignore_duplicates = ""
    """Words behind INSERT that pass over rows which exist already; for `insert_links`."""

    def __init__(self) -> None:
        self._statements: dict[Hashable, Statement] = {}
        # Of filters there are as many shapes as people think of.
        self._of_filters: OrderedDict[Hashable, Statement] = OrderedDict()
        self.walked: OrderedDict[Hashable, frozenset[Hashable]] = OrderedDict()
        """Of the conditions of a list, those that very many nodes fulfil: what was found last."""
        self.probes: OrderedDict[Hashable, list[Statement]] = OrderedDict()
        """Of filters, the statements that count how many nodes fulfil a condition."""
        self.sizes: dict[NodeKind, int] = {}
        """About how many nodes there are of a kind: what was found last."""

    def statement(self, key: Hashable, build: Callable[[], ClauseElement]) -> Statement:
        """The statement of that key, built and compiled on first use."""
        found = self._statements.get(key)
        if found is None:
            found = self._statements[key] = Statement(build(), self.dialect)
        return found

    def statement_of_filter(self, key: Hashable, build: Callable[[], ClauseElement]) -> Statement:
        """As `statement`; those that were not used for longest are forgotten."""
        found = self._of_filters.get(key)
        if found is None:
            found = self._of_filters[key] = Statement(build(), self.dialect)
            forget_oldest(self._of_filters)
        else:
            with suppress(KeyError):
                self._of_filters.move_to_end(key)
        return found

    @abstractmethod
    def session(self, *, write: bool) -> AbstractContextManager[Session]:
        """A transaction: committed when the block ends, rolled back when it raises.

        A writing one is exclusive from its start: nobody else writes until it ends.
        Raises errors of `metastore.errors` only.
        """

    @abstractmethod
    def insert(self, session: Session, table: Table, rows: Sequence[Sequence[Any]]) -> list[int]:
        """Insert rows (all columns but `id`, in the order of the table); their ids, in order."""

    def insert_rows(
        self,
        session: Session,
        table: Table,
        columns: tuple[str, ...],
        rows: Sequence[Sequence[Any]],
        prefix: str = "",
    ) -> None:
        """Insert rows of these columns into a table, with `prefix` behind INSERT."""

        def build() -> ClauseElement:
            clause = insert(table).values({name: bindparam(name) for name in columns})
            return clause.prefix_with(prefix) if prefix else clause

        statement = self.statement(("insert", table.name, columns, prefix), build)
        session.insert(statement, rows)

    def insert_properties(
        self, session: Session, table: Table, owner: str, owners: Iterable[Properties]
    ) -> None:
        """Insert the properties of nodes; `owner` is the column of their ids."""
        grouped = property_rows(owners, strict=self.strict_columns)
        if sum(map(len, grouped.values())) <= self.properties_at_once:
            grouped = in_one_group(grouped)
        for columns, rows in grouped.items():
            self.insert_rows(session, table, (owner, *PROPERTY_KEY, *columns), rows)

    def insert_links(
        self, session: Session, table: Table, columns: tuple[str, str], rows: list[tuple[int, int]]
    ) -> None:
        """Insert the pairs that are not in the table yet, of attributions or associations."""
        self.insert_rows(session, table, columns, rows, self.ignore_duplicates)

    @abstractmethod
    def list_shape(self, values: Collection[Any]) -> str:
        """Which form of `in_list` these values need; part of the key of a statement."""

    @abstractmethod
    def in_list(self, column: ColumnElement[Any], name: str, shape: str) -> ColumnElement[bool]:
        """``column IN (the list that is bound to `name`)``; one text whatever the length."""

    @property
    def can_walk(self) -> bool:
        """Whether a recursive query may have several terms that recur (SQL:1999 has one)."""
        return False

    def can_answer(self, filter: Filter) -> bool:  # noqa: ARG002
        """Whether the database answers the filter as `metastore.query` means it.

        If not, it is evaluated in Python, on page after page of all else that is asked for.
        """
        return True

    def exact(self, text: ColumnElement[Any]) -> ColumnElement[Any]:
        """A column of texts in a form in which only equal ones are equal; itself by default."""
        return text

    def same(self, text: ColumnElement[Any], other: ColumnElement[Any]) -> ColumnElement[bool]:
        """Whether a column of texts is equal to a text, in a form that an index serves."""
        return text == other

    def bind_text(self, text: str) -> str | None:
        """A text to compare with; None where no stored text can be equal to it."""
        return text

    def like(self, text: ColumnElement[Any], pattern: ColumnElement[Any]) -> ColumnElement[bool]:
        """The operator LIKE as `metastore.query` means it: backslash escapes, a is A."""
        return func.lower(text).like(func.lower(pattern), escape="\\")

    def text_function(self, name: str, text: ColumnElement[Any]) -> ColumnElement[Any]:
        """LOWER, UPPER or LENGTH (in characters) of a text."""
        if name == "LENGTH":
            return func.char_length(text)
        return func.lower(text) if name == "LOWER" else func.upper(text)

    def exists(self, rows: Select[Any]) -> ColumnElement[bool]:
        """Whether there are such rows for a node, in a form that is looked up node by node."""
        return exists(rows)

    def unindexed(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        """The column in a form for which the database takes no index, where there is one.

        For conditions that so many rows fulfil that an index only leads astray; of numbers.
        """
        return column + literal_column("0") if isinstance(column.type, Integer) else column

    @abstractmethod
    def bind_list(self, values: Collection[Any], shape: str) -> Any:
        """The list as the parameter that `in_list` takes."""

    @abstractmethod
    def close(self) -> None:
        """Close every connection; closing twice is fine."""
