"""What a session needs of SQLite: functions, bad text, signals, walks that can be stopped."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from metastore.query import like
from metastore.sql import Session
from metastore.sql.database import Row, Statement

__all__ = ["SQLiteSession", "prepare"]

_T = TypeVar("_T")

_CACHE, _CACHE_FOR_MANY = "PRAGMA cache_size = -2000", "PRAGMA cache_size = -65536"
"""SQLite's own, 2 MB, and 64 MiB: a batch of many nodes comes back to pages of six indexes."""

_STEPS_BETWEEN_SIGNALS = 1_000_000
"""Of SQLite's machine: some hundredths of a second."""
_STEPS_OF_A_WALK = 150_000
"""Some seven milliseconds, and three times what a walk takes where matches lie evenly."""
_PARTS = 10


def prepare(connection: sqlite3.Connection) -> None:
    """Give a new connection what sessions need."""
    for name, count, function in _FUNCTIONS:
        connection.create_function(name, count, function, deterministic=True)
    connection.set_progress_handler(_let_signals_in, _STEPS_BETWEEN_SIGNALS)


class SQLiteSession(Session):
    """A session that reads text which is no UTF-8, too; other programs may have written it."""

    has_large_cache = False

    def enlarge_cache(self) -> None:
        """Make room for a batch of very many nodes, until the transaction ends."""
        if not self.has_large_cache:
            self.has_large_cache = True
            self.execute(_CACHE_FOR_MANY)

    def end(self) -> None:
        """Leave the connection as the next session expects it."""
        if self.has_large_cache:
            self.cursor.execute(_CACHE)

    def rows(self, statement: Statement, **values: Any) -> list[Row]:
        """Run a query; bytes that are no UTF-8 become U+FFFD."""
        return self.read(list, statement, **values)

    def rows_soon(self, statement: Statement, **values: Any) -> list[Row] | None:
        """As `rows`, or None where that takes SQLite's machine more than so many steps."""
        connection = self.cursor.connection
        asked = itertools.count(1)
        # In parts: SQLite counts the steps of a statement on from what it took the times before, so
        # that the first part ends at any moment.
        connection.set_progress_handler(
            lambda: next(asked) >= _PARTS, max(1, _STEPS_OF_A_WALK // _PARTS)
        )
        try:
            return self.rows(statement, **values)
        except sqlite3.OperationalError as error:
            if str(error) != "interrupted":
                raise
            return None
        finally:
            connection.set_progress_handler(_let_signals_in, _STEPS_BETWEEN_SIGNALS)

    def read(self, take: Callable[[Iterable[Row]], _T], statement: Statement, **values: Any) -> _T:
        """Run a query; its rows come one by one, so that never all of them are in memory."""
        text, parameters = statement.text, statement.parameters(values)
        try:
            return take(self.cursor.execute(text, parameters))
        except sqlite3.OperationalError as error:
            if "decode to UTF-8" not in str(error):
                raise
        # Only now: a function of ours for every text would cost more than all else.
        connection = self.cursor.connection
        connection.text_factory = _lenient
        try:
            return take(self.cursor.execute(text, parameters))
        finally:
            connection.text_factory = str


def _lenient(text: bytes) -> str:
    return text.decode(errors="replace")


def _let_signals_in() -> int:
    """Python handles signals when Python runs: without this, Ctrl-C waits for SQLite's answer."""
    return 0


def _of_text(function: Callable[[str], Any]) -> Callable[[Any], Any]:
    """The function of a text, NULL of anything else."""
    return lambda text: function(text) if isinstance(text, str) else None


def _like(pattern: Any, text: Any) -> bool | None:
    return like(pattern, text) if isinstance(pattern, str) and isinstance(text, str) else None


_FUNCTIONS: Sequence[tuple[str, int, Callable[..., Any]]] = (
    ("metastore_like", 2, _like),
    ("metastore_lower", 1, _of_text(str.lower)),
    ("metastore_upper", 1, _of_text(str.upper)),
    ("metastore_length", 1, _of_text(len)),
)
