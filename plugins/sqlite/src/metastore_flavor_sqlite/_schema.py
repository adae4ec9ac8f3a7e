"""Is it a store, and of which version?  And the making of a new one."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from metastore.sql import SCHEMA_VERSION, StoreCheck, can_upgrade, make_tables

if TYPE_CHECKING:
    from metastore.sql import Session
    from metastore_flavor_sqlite._database import SQLiteDatabase

__all__ = ["check_of", "check_schema", "create_schema", "is_empty", "tables_of", "version_of"]


def is_empty(database: SQLiteDatabase) -> bool:
    """Whether the database has no tables: a file that is new, or was never finished."""
    with database.session(write=False) as session:
        return not tables_of(session)


def tables_of(session: Session) -> set[str]:
    """The names of all tables."""
    session.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
    return {name for (name,) in session.cursor.fetchall()}


def create_schema(database: SQLiteDatabase) -> None:
    """Make the tables, in one transaction, unless another process just did."""
    database.use_write_ahead_log()
    with database.session(write=True) as session:
        if tables_of(session):
            return
        make_tables(session)
        # Last: a store without it is half made.
        session.execute("INSERT INTO MLMDEnv (schema_version) VALUES (?)", (SCHEMA_VERSION,))


def check_of(location: str) -> StoreCheck:
    """What says what is wrong with a file."""
    return StoreCheck(
        location,
        database="an SQLite database",
        changed="the file",
        correct="correct the path",
        upgrade="metastore-flavor-sqlite",
        older=f"it can be read (mode='r', and every command that shows); to write to it, upgrade "
        f"it: metastore upgrade {location}",
    )


def version_of(session: Session, check: StoreCheck) -> int:
    """The schema's version, which is the one that we read and write, or an older one.

    Raises
    ------
    OpenError
        It is no store, or of a version that we cannot upgrade.
    """
    tables = tables_of(session)
    if not tables:
        raise check.empty(hint=_hint_of_empty(session))
    check.tables(tables)
    try:
        session.execute("SELECT schema_version FROM MLMDEnv")
    except sqlite3.OperationalError as error:
        raise check.unreadable_versions() from error
    versions = [version for (version,) in session.cursor.fetchall()]
    if len(versions) == 1 and can_upgrade(versions[0]):
        return int(versions[0])
    check.versions(versions)
    return SCHEMA_VERSION


def check_schema(database: SQLiteDatabase) -> None:
    """Raise unless this is a whole store of the schema that we read and write."""
    check = check_of(database.location)
    with database.session(write=False) as session:
        check.versions([version_of(session, check)])
        missing = sorted(database.schema.metadata.tables.keys() - tables_of(session))
        check.whole(missing or _missing_columns(database, session))


def _hint_of_empty(session: Session) -> str:
    session.execute("PRAGMA journal_mode")
    if session.cursor.fetchone() == ("wal",):
        # What a copy of the file alone looks like, made while the store was in use.
        return (
            "it keeps what is new in a file of its name with -wal at the end: if it was "
            "copied without that one, copy both, or close the store first"
        )
    return "open it for writing to make a store of it, or correct the path"


def _missing_columns(database: SQLiteDatabase, session: Session) -> list[str]:
    missing = []
    for table in database.schema.metadata.sorted_tables:
        session.execute("SELECT name FROM pragma_table_info(?)", (table.name,))
        found = {name for (name,) in session.cursor.fetchall()}
        missing += [f"{table.name}.{each.name}" for each in table.columns if each.name not in found]
    return missing
