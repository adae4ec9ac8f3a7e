"""Where in a transaction a writer is, noted from below: what is sent to the database.

Each of these changes the process that calls it, and is called in one that only writes.
"""

from __future__ import annotations

import sqlite3
from typing import Any

from faults.ledger import Ledger, Stage

__all__ = ["watch_mysql", "watch_sqlite"]


def watch_sqlite(ledger: Ledger) -> None:
    """Note the stage by SQLite's own trace: it tells of each statement before it runs.

    So a transaction surely is open when it tells of the second statement, because BEGIN was
    answered, and is not committed before it tells of COMMIT.
    """
    from metastore_flavor_sqlite._database import SQLiteDatabase

    opening = SQLiteDatabase._open_file

    def note(statement: str) -> None:
        if statement == "BEGIN IMMEDIATE":
            ledger.set("stage", Stage.BEGINNING)
        elif statement == "COMMIT":
            # Of a transaction that only reads, too: that one was outside.
            if ledger.stage is Stage.OPEN:
                ledger.set("stage", Stage.COMMITTING)
        elif statement == "ROLLBACK":
            ledger.set("stage", Stage.OUTSIDE)
        elif ledger.stage is Stage.BEGINNING:
            ledger.set("stage", Stage.OPEN)

    def open_and_watch(self: SQLiteDatabase, uri: str) -> sqlite3.Connection:
        connection = opening(self, uri)
        connection.set_trace_callback(note)
        return connection

    SQLiteDatabase._open_file = open_and_watch  # type: ignore[method-assign]


def watch_mysql(ledger: Ledger) -> None:
    """Note the stage by what the toolkit does to a transaction: locks, and ends it.

    The lock is answered by a server, so that the transaction is open then.
    """
    from metastore.sql import EngineDatabase
    from metastore_flavor_mysql._database import MySQLDatabase

    locking, ending = MySQLDatabase.lock, MySQLDatabase._end

    def lock(self: MySQLDatabase, session: Any) -> None:
        ledger.set("stage", Stage.BEGINNING)
        locking(self, session)
        ledger.set("stage", Stage.OPEN)

    def end(self: EngineDatabase, connection: Any, word: str) -> None:
        if word == "COMMIT" and ledger.stage is Stage.OPEN:
            ledger.set("stage", Stage.COMMITTING)
        ending(self, connection, word)

    MySQLDatabase.lock = lock  # type: ignore[method-assign]
    MySQLDatabase._end = end  # type: ignore[method-assign]
