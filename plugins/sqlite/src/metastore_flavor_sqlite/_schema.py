"""Is it a store, and of which version?  And the making of a new one."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from sqlalchemy.schema import CreateIndex, CreateTable

from metastore import DamagedStoreError, NotAStoreError, Offender, SchemaVersionError
from metastore.model import SIMPLE_TYPES
from metastore.sql import SCHEMA_VERSION

if TYPE_CHECKING:
    from metastore.sql import Session
    from metastore_flavor_sqlite._database import SQLiteDatabase

__all__ = ["check_schema", "create_schema", "is_empty"]


def is_empty(database: SQLiteDatabase) -> bool:
    """Whether the database has no tables: a file that is new, or was never finished."""
    with database.session(write=False) as session:
        return not _tables(session)


def _tables(session: Session) -> set[str]:
    session.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
    return {name for (name,) in session.cursor.fetchall()}


def create_schema(database: SQLiteDatabase) -> None:
    """Make the tables, in one transaction, unless another process just did."""
    database.use_write_ahead_log()
    schema, dialect = database.schema, database.dialect
    with database.session(write=True) as session:
        if _tables(session):
            return
        for table in schema.metadata.sorted_tables:
            session.execute(str(CreateTable(table).compile(dialect=dialect)))
            for index in sorted(table.indexes, key=lambda each: str(each.name)):
                session.execute(str(CreateIndex(index).compile(dialect=dialect)))
        # ML Metadata looks for these whenever it opens a store, and writes what is missing.
        rows = [
            (name, None, int(kind), None, None, None, None)
            for kind, names in sorted(SIMPLE_TYPES.items(), reverse=True)
            for name in names
        ]
        database.insert(session, schema.type, rows)
        # Last: a store without it is half made.
        session.execute("INSERT INTO MLMDEnv (schema_version) VALUES (?)", (SCHEMA_VERSION,))


def check_schema(database: SQLiteDatabase) -> None:
    """Raise unless this is a whole store of the schema that we read and write."""
    where = database.location
    offender = Offender("store", name=where)
    with database.session(write=False) as session:
        tables = _tables(session)
        expected = {table.name for table in database.schema.metadata.sorted_tables}
        if not tables:
            hint = "open it for writing to make a store of it, or correct the path"
            session.execute("PRAGMA journal_mode")
            if session.cursor.fetchone() == ("wal",):
                # What a copy of the file alone looks like, made while the store was in use.
                hint = (
                    "it keeps what is new in a file of its name with -wal at the end: if it was "
                    "copied without that one, copy both, or close the store first"
                )
            raise NotAStoreError(
                f"{where} is an empty database, not a metadata store",
                hint=hint,
                offender=offender,
            )
        if "MLMDEnv" not in tables:
            if "Type" in tables and "Artifact" in tables:
                raise _version_error(where, 0, offender)
            raise NotAStoreError(
                f"{where} is an SQLite database of another program, not a metadata store",
                hint="correct the path",
                offender=offender,
            )
        versions = _versions(session, where, offender)
        if versions != [SCHEMA_VERSION]:
            if len(versions) == 1:
                raise _version_error(where, versions[0], offender)
            raise DamagedStoreError(
                f"{where} holds {len(versions)} schema versions where there should be one",
                hint="its creation was interrupted, or the file was changed by hand; "
                "restore it from a copy",
                offender=offender,
            )
        missing = sorted(expected - tables) or _missing_columns(database, session)
        if missing:
            raise DamagedStoreError(
                f"{where} is a metadata store that lacks {', '.join(missing)}",
                hint="its creation was interrupted, or the file was changed by hand; "
                "restore it from a copy",
                offender=offender,
            )


def _versions(session: Session, where: str, offender: Offender) -> list[object]:
    try:
        session.execute("SELECT schema_version FROM MLMDEnv")
    except sqlite3.OperationalError as error:
        raise NotAStoreError(
            f"{where} has a table MLMDEnv that is not ML Metadata's",
            hint="correct the path",
            offender=offender,
        ) from error
    return [version for (version,) in session.cursor.fetchall()]


def _version_error(where: str, version: object, offender: Offender) -> SchemaVersionError:
    if isinstance(version, int) and version > SCHEMA_VERSION:
        hint = "upgrade metastore-flavor-sqlite"
    else:
        hint = "let ml-metadata upgrade a copy of it (enable_upgrade_migration), and open the copy"
    return SchemaVersionError(
        f"{where} has schema version {version}, and this release reads {SCHEMA_VERSION}",
        hint=hint,
        offender=offender,
        found=version if isinstance(version, int) else None,
        supported=SCHEMA_VERSION,
    )


def _missing_columns(database: SQLiteDatabase, session: Session) -> list[str]:
    missing = []
    for table in database.schema.metadata.sorted_tables:
        session.execute("SELECT name FROM pragma_table_info(?)", (table.name,))
        found = {name for (name,) in session.cursor.fetchall()}
        missing += [f"{table.name}.{each.name}" for each in table.columns if each.name not in found]
    return missing
