"""`SQLiteMetadataStore`: opened, checked, created."""

from __future__ import annotations

import os
import shutil
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from metastore import (
    BaseMetadataStore,
    Capabilities,
    Offender,
    OpenError,
    OpenMode,
    SchemaVersionError,
)
from metastore.base import Upgrade
from metastore.sql import SQLMetadataStore, can_upgrade, check_path, path_in_url
from metastore_flavor_sqlite._database import SQLiteDatabase
from metastore_flavor_sqlite._schema import check_schema, create_schema, is_empty
from metastore_flavor_sqlite._upgrade import private_copy, upgrade_file
from metastore_flavor_sqlite.config import SQLiteConfig

__all__ = ["SQLiteMetadataStore"]


class SQLiteMetadataStore(SQLMetadataStore):
    """A store in an SQLite file, of ML Metadata's schema 10; schemas 2 to 9 can be read.

    Files that it makes use the write-ahead log; files of others keep their journal mode, because
    ML Metadata processes cannot share a file with a write-ahead log (they begin deferred and get
    SQLITE_BUSY_SNAPSHOT at once).  Either way a write is on the disk when it returns
    (``synchronous=EXTRA``).
    """

    _file: tuple[int, int] | None = None
    """Which file it is: device and inode; None for a store in memory."""

    _finish: Callable[[], object] | None = None
    """Removes the private copy that is read, where there is one."""

    FLAVOR: ClassVar[str] = "sqlite"
    CAPABILITIES: ClassVar[Capabilities] = Capabilities(
        native_filter=True, snapshot=True, delete=True
    )

    @classmethod
    def open(
        cls, config: SQLiteConfig, *, mode: OpenMode = "rw", create: bool = True
    ) -> SQLiteMetadataStore:
        """Open the file; with ``mode="rw"`` and `create`, make it where it is not there.

        Raises
        ------
        NotAStoreError, SchemaVersionError, DamagedStoreError, OpenError
            What is there cannot be opened; it was not touched.
        """
        path = config.path
        location = "sqlite://" if path is None else f"sqlite:///{path_in_url(path)}"
        if path is not None:
            check_path(path, creating=mode == "rw" and create)
        database = SQLiteDatabase(config, mode=mode, location=location)
        database.may_create = mode == "rw" and create
        try:
            if is_empty(database) and (path is None or (mode == "rw" and create)):
                create_schema(database)
            try:
                check_schema(database)
            except SchemaVersionError as error:
                if path is None or mode != "r" or not can_upgrade(error.found):
                    raise
                return cls._open_older(config, database, error.found)
            database.may_create = False
            store = cls(database, location=location, mode=mode)
            if path is not None:
                store._file = database.opened_file = _file_at(path)
        except BaseException:
            database.close()
            raise
        return store

    @classmethod
    def _open_older(
        cls, config: SQLiteConfig, original: SQLiteDatabase, found: int | None
    ) -> SQLiteMetadataStore:
        """Read a store of an older schema, from a copy of schema 10 that is nobody else's."""
        path = config.path
        assert path is not None
        folder = private_copy(original, config)
        try:
            copied = config.model_copy(update={"path": folder / "store.db"})
            database = SQLiteDatabase(copied, mode="r", location=original.location)
            store = cls(database, location=original.location, mode="r")
            database.opened_file = _file_at(folder / "store.db")
            store._file = _file_at(path)
            store.notice = (
                f"the store is of schema {found}; what is read is a copy of it, made when it was "
                f"opened; 'metastore upgrade {original.location}' brings it to the present schema"
            )
            # Also where nobody closes the store.
            store._finish = weakref.finalize(store, _remove, folder, os.getpid())
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        original.close()
        return store

    @classmethod
    def upgrade(cls, config: SQLiteConfig) -> Upgrade | None:
        """Bring a file of schema 2 to 9 to schema 10, in one transaction.

        What it was is kept beside it, in a file with ``.before-schema-10.`` and the time in its
        name.
        """
        path = config.path
        if path is None:
            return None
        check_path(path, creating=False)
        return upgrade_file(config, f"sqlite:///{path_in_url(path)}")

    def shrink(self) -> bool:
        """Write the file anew without the room that deleted rows have left (VACUUM)."""
        self._check_writable()
        database = self._database
        assert isinstance(database, SQLiteDatabase)
        database.vacuum()
        return True

    def close(self) -> None:
        """Close every connection; of a store of an older schema, remove the copy."""
        super().close()
        if self._finish is not None:
            self._finish()

    def is_same(self, other: BaseMetadataStore) -> bool:
        """Whether both are open on one file, by whatever path."""
        if not isinstance(other, SQLiteMetadataStore):
            return False
        # As they were opened: what is at the path now may be another file.
        return other is self or (self._file is not None and self._file == other._file)


def _remove(folder: Path, process: int) -> None:
    # Not in a child that was forked off: its parent may still read.
    if process == os.getpid():
        shutil.rmtree(folder, ignore_errors=True)


def _file_at(path: Path) -> tuple[int, int]:
    """Device and inode of the file that was just opened."""
    try:
        found = os.stat(path)
    except OSError as error:
        # Somebody was quick to remove it.
        raise OpenError(
            f"the path {str(path)!r} cannot be reached ({error.strerror})",
            hint="check the path and its permissions",
            offender=Offender("store", name=str(path)),
        ) from error
    return found.st_dev, found.st_ino
