"""Open connections, kept for the next transaction.

Not SQLAlchemy's pool, which is right for connections to a server: what it does on each checkout (a
proxy, events, a weak reference, a lock) costs as much as two inserts here.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Hashable
from typing import Any

__all__ = ["Connection", "Connections"]


class Connection:
    """A connection, and what was learned over it that still holds."""

    __slots__ = ("_version", "driver", "notes")

    def __init__(self, driver: sqlite3.Connection) -> None:
        self.driver = driver
        self.notes: dict[Hashable, Any] = {}
        self._version: int | None = None

    def refresh(self, cursor: sqlite3.Cursor) -> None:
        """Forget the notes if others have written since; for the begin of a writing transaction.

        Source: sqlite.org/pragma.html#pragma_data_version: the number is another one exactly when
        another connection, of whatever process, has committed in between.
        """
        (version,) = cursor.execute("PRAGMA data_version").fetchone()
        if version != self._version:
            self.notes.clear()
            self._version = version


class Connections:
    """Connections that no thread is using: the one that was used last is the next."""

    def __init__(self, connect: Callable[[], sqlite3.Connection], *, keep: int) -> None:
        self._connect = connect
        self._keep = keep
        # A list's append and pop are atomic.
        self._idle: list[Connection] = []
        # One after the other: who closes last puts the write-ahead log back into the file, and of
        # two that close at once neither knows that it is the last.
        self._closing = threading.Lock()

    def __len__(self) -> int:
        return len(self._idle)

    def take(self) -> Connection:
        """One that is idle, or a new one."""
        try:
            return self._idle.pop()
        except IndexError:
            return Connection(self._connect())

    def give(self, connection: Connection) -> None:
        """Keep it for the next one, unless there are enough or its transaction is stuck."""
        if len(self._idle) < self._keep and not connection.driver.in_transaction:
            self._idle.append(connection)
            return
        with self._closing:
            connection.driver.close()

    def close(self) -> None:
        """Close those that are idle."""
        with self._closing:
            while self._idle:
                try:
                    connection = self._idle.pop()
                except IndexError:
                    return  # another thread took the last one
                connection.driver.close()
