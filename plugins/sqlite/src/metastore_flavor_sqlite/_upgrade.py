"""Stores of schema 2 to 9: read from a private copy, and upgraded in place."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path

from metastore import Offender, StorageError
from metastore.base import Upgrade
from metastore.sql import SCHEMA_VERSION, Found, Session, lacking, upgrade_tables
from metastore_flavor_sqlite._database import SQLiteDatabase
from metastore_flavor_sqlite._schema import check_of, tables_of, version_of
from metastore_flavor_sqlite.config import SQLiteConfig

__all__ = ["private_copy", "upgrade_file"]

_PAGES = 4096
"""Pages that are copied at once: between two portions Ctrl-C is heard."""


class _SQLiteFound(Found):
    def __init__(self, session: Session) -> None:
        self._session = session

    def tables(self) -> Collection[str]:
        return tables_of(self._session)

    def columns(self, table: str) -> Collection[str]:
        return [name for (name,) in self._rows("SELECT name FROM pragma_table_info(?)", table)]

    def indexes(self, table: str) -> Collection[str]:
        return [name for (name,) in self._rows("SELECT name FROM pragma_index_list(?)", table)]

    def unique_keys(self, table: str) -> Collection[Sequence[str]]:
        # An index on some rows alone keeps only those apart.
        rows = self._rows(
            'SELECT name FROM pragma_index_list(?) WHERE "unique" AND NOT partial', table
        )
        keys = [
            [column for (column,) in self._rows("SELECT name FROM pragma_index_info(?)", name)]
            for (name,) in rows
        ]
        # An integer primary key is the row id, and has no index.
        primary = self._rows("SELECT name FROM pragma_table_info(?) WHERE pk", table)
        return [*keys, [name for (name,) in primary]]

    def _rows(self, statement: str, argument: str) -> list[tuple[str]]:
        self._session.execute(statement, (argument,))
        return list(self._session.cursor.fetchall())


def _bring_up(session: Session, version: int) -> None:
    """Upgrade inside a transaction."""
    if version != SCHEMA_VERSION:
        upgrade_tables(session, _SQLiteFound(session))


def _checked_version(session: Session, location: str) -> int:
    """The version of a store that is whole, of its kind.

    Raises
    ------
    OpenError
        It is no store that we can upgrade.
    """
    check = check_of(location)
    version = version_of(session, check)
    check.whole(lacking(session.database.schema, _SQLiteFound(session), version))
    return version


@contextmanager
def _copied(source: sqlite3.Connection, path: Path, location: str) -> Iterator[None]:
    """A copy of a database, at a path where there is nothing; removed if the block fails."""
    try:
        # Nobody but this user may read it, and no file of another is written over.
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except OSError as error:
        raise _not_copied(location, path, error) from error
    try:
        try:
            target = sqlite3.connect(path, isolation_level=None)
            try:
                source.backup(target, pages=_PAGES)
                # The copy is one file, whatever journal the original has.
                target.execute("PRAGMA journal_mode = DELETE")
            finally:
                target.close()
        except (OSError, sqlite3.Error) as error:
            raise _not_copied(location, path, error) from error
        yield
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _not_copied(location: str, path: Path, error: Exception) -> StorageError:
    return StorageError(
        f"{location} cannot be copied to {path.parent}: {error}",
        hint="make room there; TMPDIR names another folder for copies that are only read",
        offender=Offender("store", name=location),
    )


def private_copy(original: SQLiteDatabase, config: SQLiteConfig) -> Path:
    """A folder, this user's alone, with a copy of schema 10 called ``store.db`` in it.

    Whoever asks for it removes it.

    Raises
    ------
    StorageError
        There is no room for it.
    OpenError
        It is no whole store.
    """
    folder = Path(tempfile.mkdtemp(prefix="metastore-"))
    try:
        path = folder / "store.db"
        with original.session(write=False) as session:
            _checked_version(session, original.location)
            source = session.cursor.connection
        # Behind the session's transaction: a backup sees one state by itself.
        with _copied(source, path, original.location):
            copy = SQLiteDatabase(
                config.model_copy(update={"path": path}), mode="rw", location=original.location
            )
            try:
                with copy.session(write=True) as session:
                    _bring_up(session, _checked_version(session, original.location))
            finally:
                copy.close()
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return folder


def upgrade_file(config: SQLiteConfig, location: str) -> Upgrade | None:
    """Upgrade a file in place, in one transaction, with a copy of it beside it before.

    Raises
    ------
    OpenError
        It is no store that can be upgraded.
    BusyError
        Others write to it.
    StorageError
        It failed, such as for want of room; the file is as it was.
    """
    assert config.path is not None
    database = SQLiteDatabase(config, mode="rw", location=location)
    reader = SQLiteDatabase(config, mode="r", location=location)
    try:
        # From here on nobody else writes, so that the copy is what is upgraded.
        with database.session(write=True) as session:
            version = _checked_version(session, location)
            if version == SCHEMA_VERSION:
                return None
            backup = _backup_path(config.path)
            with reader.session(write=False) as reading:
                source = reading.cursor.connection
            with _copied(source, backup, location):
                shutil.copymode(config.path, backup)
                _to_disk(backup)
                _bring_up(session, version)
    finally:
        reader.close()
        database.close()
    return Upgrade(version, SCHEMA_VERSION, str(backup))


def _backup_path(path: Path) -> Path:
    """A name that no file has; one of an upgrade that was killed stays what it is."""
    when = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%S.%fZ")
    return path.with_name(f"{path.name}.before-schema-{SCHEMA_VERSION}.{when}")


def _to_disk(path: Path) -> None:
    for each in (path, path.parent):
        descriptor = os.open(each, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
