"""`SQLiteMetadataStore`: opened, checked, created."""

from __future__ import annotations

import os
from pathlib import Path
from typing import ClassVar
from urllib.parse import quote

from metastore import (
    BaseMetadataStore,
    Capabilities,
    NotAStoreError,
    Offender,
    OpenError,
    OpenMode,
    StoreNotFoundError,
)
from metastore.sql import SQLMetadataStore
from metastore_flavor_sqlite._database import SQLiteDatabase
from metastore_flavor_sqlite._schema import check_schema, create_schema, is_empty
from metastore_flavor_sqlite.config import SQLiteConfig

__all__ = ["SQLiteMetadataStore"]


class SQLiteMetadataStore(SQLMetadataStore):
    """A store in an SQLite file, of ML Metadata's schema 10.

    Files that it makes use the write-ahead log; files of others keep their journal mode, because
    ML Metadata processes cannot share a file with a write-ahead log (they begin deferred and get
    SQLITE_BUSY_SNAPSHOT at once).  Either way a write is on the disk when it returns
    (``synchronous=FULL``).
    """

    _file: tuple[int, int] | None = None
    """Which file it is: device and inode; None for a store in memory."""

    FLAVOR: ClassVar[str] = "sqlite"
    CAPABILITIES: ClassVar[Capabilities] = Capabilities(native_filter=True, snapshot=True)

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
        location = "sqlite://" if path is None else f"sqlite:///{_quoted(path)}"
        if path is not None:
            _check_path(path, creating=mode == "rw" and create)
        database = SQLiteDatabase(config, mode=mode, location=location)
        database.may_create = mode == "rw" and create
        try:
            if is_empty(database) and (path is None or (mode == "rw" and create)):
                create_schema(database)
            check_schema(database)
            database.may_create = False
            store = cls(database, location=location, mode=mode)
            if path is not None:
                store._file = database.opened_file = _file_at(path)
        except BaseException:
            database.close()
            raise
        return store

    def is_same(self, other: BaseMetadataStore) -> bool:
        """Whether both are open on one file, by whatever path."""
        if not isinstance(other, SQLiteMetadataStore):
            return False
        # As they were opened: what is at the path now may be another file.
        return other is self or (self._file is not None and self._file == other._file)


def _quoted(path: Path) -> str:
    """The path as it stands in a URL; only what would be read as another path is quoted."""
    return "".join(quote(each) if each in "%?" or each < " " else each for each in path.as_posix())


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


def _check_path(path: Path, *, creating: bool) -> None:
    """Refuse a path that cannot be one, before SQLite says less about it."""
    offender = Offender("store", name=str(path))
    if "\0" in str(path):
        raise OpenError("the path of the store holds a NUL", offender=offender)
    try:
        if path.is_dir():
            raise OpenError(
                f"{str(path)!r} is a folder, not a file",
                hint="name a file in it",
                offender=offender,
            )
        if path.exists():
            if not path.is_file():
                raise NotAStoreError(
                    f"{str(path)!r} is a device or a pipe, not a file",
                    hint="correct the path",
                    offender=offender,
                )
            return
        if not creating:
            raise StoreNotFoundError(
                f"there is no file {str(path)!r}",
                hint="correct the path; reading never creates a store",
                offender=offender,
            )
        if not path.parent.is_dir():
            raise StoreNotFoundError(
                f"there is no folder {str(path.parent)!r} for the store",
                hint="make the folder, or correct the path",
                offender=offender,
            )
    except OSError as error:
        if isinstance(error, OpenError):
            raise
        raise OpenError(
            f"the path {str(path)!r} cannot be reached ({error.strerror})",
            hint="check the path and its permissions",
            offender=offender,
        ) from error
