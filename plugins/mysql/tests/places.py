"""Databases with empty stores, used again: to make the tables takes longer than most tests do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pymysql

from metastore.model import SIMPLE_TYPES
from metastore.sql import Schema
from metastore_flavor_mysql import MySQLConfig

from .servers import Server

__all__ = ["Places"]

_SIMPLE = sum(len(names) for names in SIMPLE_TYPES.values())


class Places:
    """Of one server."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._free: list[str] = []
        self._lent: list[str] = []

    @classmethod
    @contextmanager
    def of(cls, server: Server) -> Iterator[Places]:
        """Those of the server; what a test used is emptied when it ends."""
        found: Places | None = getattr(server, "places", None)
        if found is None:
            found = server.places = cls(server)  # type: ignore[attr-defined]
        yield found
        for database in found._lent:
            found._empty(database)
        found._free += found._lent
        found._lent = []

    def config(self, **fields: Any) -> MySQLConfig:
        """Where there is no store yet, or one that is as good as new."""
        database = self._free.pop() if self._free else self._server.new_database()
        self._lent.append(database)
        return self._server.config(database, **fields)

    def _empty(self, database: str) -> None:
        """Make a store as it was when it was new; what is left of a test may still hold locks."""
        connection = self._server.connect(database=database)
        try:
            with connection.cursor() as cursor:
                cursor.execute("SHOW TABLES")
                there = {name for (name,) in cursor.fetchall()}
                _end_others(cursor, database)
                cursor.execute("START TRANSACTION")
                for table in Schema().metadata.sorted_tables:
                    if table.name in there and table.name not in ("MLMDEnv", "Type"):
                        cursor.execute(f"DELETE FROM {table.name}")
                if "Type" in there:
                    # By name: ids of a cluster are not 1, 2, 3.
                    names = [name for each in SIMPLE_TYPES.values() for name in each]
                    cursor.execute("DELETE FROM Type WHERE name NOT IN %s", (names,))
                    cursor.execute("UPDATE Type SET external_id = NULL, description = NULL")
                cursor.execute("COMMIT")
        finally:
            connection.close()


def _end_others(cursor: pymysql.cursors.Cursor, database: str) -> None:
    cursor.execute("SELECT id FROM information_schema.processlist WHERE db = %s", (database,))
    for (number,) in cursor.fetchall():
        if number != cursor.connection.thread_id():
            try:
                cursor.execute(f"KILL {number}")
            except pymysql.MySQLError:
                continue
