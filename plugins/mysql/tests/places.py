"""Databases with empty stores, used again: to make the tables takes longer than most tests do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pymysql
import pytest

from metastore.model import SIMPLE_TYPES
from metastore.sql import Schema
from metastore_flavor_mysql import MySQLMetadataStore

from .servers import Server

__all__ = ["Places", "empty"]


class Places:
    """Stores of one test, in databases of which no store is open."""

    def __init__(self, server: Server, *, anew: bool) -> None:
        self._server = server
        self._anew = anew
        self._made: list[tuple[str, MySQLMetadataStore | None]] = []

    @classmethod
    @contextmanager
    def of(cls, server: Server, request: pytest.FixtureRequest) -> Iterator[Places]:
        """Those of the server; what a test used is emptied when it ends."""
        # Emptied tables are a store, and this one is about where there is none.
        anew = request.node.originalname == "test_reading_creates_nothing"
        places = cls(server, anew=anew)
        yield places
        places._take_back()

    def open(self, **fields: Any) -> MySQLMetadataStore:
        """A store that is new, or as good as new."""
        self._take_back()
        free = self._server.free
        database = free.pop() if free and not self._anew else self._server.new_database()
        store = MySQLMetadataStore.open(self._server.config(database, **fields))
        self._made.append((database, store))
        return store

    def _take_back(self) -> None:
        for database, store in list(self._made):
            if store is not None and store._closed:
                self._made.remove((database, store))
                empty(self._server, database)
                self._server.free.append(database)


def empty(server: Server, database: str) -> None:
    """Make a store as it was when it was new; what is left of a test may still hold locks."""
    connection = server.connect(database=database)
    try:
        with connection.cursor() as cursor:
            _end_others(cursor, database)
            cursor.execute("START TRANSACTION")
            for table in Schema().metadata.sorted_tables:
                if table.name not in ("MLMDEnv", "Type"):
                    cursor.execute(f"DELETE FROM {table.name}")
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
            with suppress(pymysql.MySQLError):
                cursor.execute(f"KILL {number}")
