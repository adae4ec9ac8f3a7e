"""Is it a store, and of which version?  And the making of a new one, on any database."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

from sqlalchemy import Table, inspect, select

from metastore.errors import (
    BusyError,
    MetastoreError,
    NotAStoreError,
    Offender,
    OpenError,
    StorageError,
    StoreNotFoundError,
)
from metastore.sql.engine_errors import LostConnectionError
from metastore.sql.engine_lists import inexact_columns
from metastore.sql.schema import SCHEMA_VERSION
from metastore.sql.tables import StoreCheck, make_tables

if TYPE_CHECKING:
    from metastore.sql.database import Session
    from metastore.sql.engine import EngineDatabase

__all__ = ["prepare"]

_RACE = 20.0
"""Seconds that another process, which makes the same store, may take for it."""


def prepare(database: EngineDatabase, *, creating: bool, is_file: bool) -> None:
    """Make the tables where they may be made, check them, and find out how to ask for lists.

    Raises
    ------
    OpenError
        There is no store that we can use; nothing was made, but for tables that a database
        without transactions around them keeps.
    """
    tables = _tables(database)
    if creating and not tables:
        database.find_form()
        _create(database)
        tables = _tables(database)
    _check(database, tables, is_file=is_file)
    database.find_form()
    with database.session(write=False) as session:
        inexact = inexact_columns(session, database.schema, database.dialect)
    if inexact:
        raise OpenError(
            f"{database.location} takes different texts for equal in {', '.join(inexact)}",
            hint="use a database whose collation is a binary one, such as C, or utf8mb4_bin",
            offender=Offender("store", name=database.location),
        )


def _tables(database: EngineDatabase) -> set[str]:
    """The names of all tables in the database, or in the user's schema of it.

    Ours in the letters of the schema, whatever the database makes of them.
    """
    ours = {name.lower(): name for name in database.schema.metadata.tables}
    with database.translated(), database.engine.connect() as connection:
        return {ours.get(name.lower(), name) for name in inspect(connection).get_table_names()}


def _missing_tables(database: EngineDatabase, tables: set[str]) -> list[str]:
    return sorted(database.schema.metadata.tables.keys() - tables)


# Making.


def _create(database: EngineDatabase) -> None:
    """Make the tables, unless another process does: it is the one whose first table is there."""
    deadline = time.monotonic() + _RACE
    while True:
        try:
            with database.creation() as session:
                _make(database, session)
            return
        except BusyError:
            if time.monotonic() > deadline:
                raise
        except MetastoreError:
            if not _tables(database):
                raise
            # The other's store; where tables are no part of a transaction, it grows.
            while not _is_whole(database) and time.monotonic() < deadline:
                _pause()
            return
        _pause()


def _pause() -> None:
    time.sleep(random.uniform(0, 0.05))


def _make(database: EngineDatabase, session: Session) -> None:
    make_tables(session)
    # Last: a store without it is half made.
    database.insert_rows(session, database.schema.env, ("schema_version",), [(SCHEMA_VERSION,)])


def _is_whole(database: EngineDatabase) -> bool:
    if _missing_tables(database, _tables(database)):
        return False
    try:
        return _versions(database) == [SCHEMA_VERSION]
    except MetastoreError:
        return False


# Checking.


def _check(database: EngineDatabase, tables: set[str], *, is_file: bool) -> None:
    """Raise unless this is a whole store of the schema that we read and write."""
    check = StoreCheck(database.location)
    if not tables:
        raise check.empty(
            hint="open it for writing to make a store of it, or correct the URL",
            error=NotAStoreError if is_file else StoreNotFoundError,
        )
    check.tables(tables)
    try:
        versions = _versions(database)
    except LostConnectionError:
        raise
    except StorageError as error:
        raise check.unreadable_versions() from error
    check.versions(versions)
    check.whole(_missing_tables(database, tables) or _missing_columns(database))


def _versions(database: EngineDatabase) -> list[object]:
    statement = database.statement("version", lambda: select(database.schema.env.c.schema_version))
    with database.session(write=False) as session:
        return [version for (version,) in session.rows(statement)]


def _missing_columns(database: EngineDatabase) -> list[str]:
    """The tables that lack a column; one question where nothing is missing."""
    tables = database.schema.metadata.sorted_tables
    if _have_columns(database, tables):
        return []
    return [f"a column of {table.name}" for table in tables if not _have_columns(database, [table])]


def _have_columns(database: EngineDatabase, tables: list[Table]) -> bool:
    quote = database.dialect.identifier_preparer
    # As text: SQLAlchemy's own building of these takes longer than the database does.
    questions = [
        f"SELECT 1 FROM {quote.format_table(table)} WHERE 1 = 0 AND "  # noqa: S608 - our own names
        + " AND ".join(f"{quote.format_column(each)} IS NULL" for each in table.c)
        for table in tables
    ]
    try:
        with database.session(write=False) as session:
            session.execute(" UNION ALL ".join(questions))
        return True
    except LostConnectionError:
        raise
    except StorageError:
        return False
