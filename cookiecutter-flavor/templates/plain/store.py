"""The store: rows in a file of JSON lines, the rows of one batch in one line."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

from filelock import FileLock, Timeout
from metastore import BaseMetadataStore, Capabilities, OpenMode
from metastore.errors import BusyError, NotAStoreError, OpenError, StorageError, StoreNotFoundError
from metastore.plain import PlainMetadataStore, Row, Tables, record_of, row_of

from {{cookiecutter.__package}}.config import {{cookiecutter.__class}}Config

_HEADER = b'{"{{cookiecutter.name}}": 1}\n'
"""The first line of every file: what it is, and the version of its format."""


class {{cookiecutter.__class}}MetadataStore(PlainMetadataStore):
    """A file that only grows; each process holds its rows, and reads what others append."""

    FLAVOR = "{{cookiecutter.name}}"
    CAPABILITIES = Capabilities(snapshot=True)

    def __init__(self, config: {{cookiecutter.__class}}Config, mode: OpenMode) -> None:
        super().__init__(location=f"{self.FLAVOR}:///{quote(config.path.as_posix())}", mode=mode)
        # Absolute, as the process may change its folder; and one lock, whatever the path.
        self._path = Path(os.path.realpath(config.path))
        self._lock_timeout = config.lock_timeout
        self._end = 0
        """Where the last whole line ends that was read."""
        self._inode = 0
        """Which file it is: another one may take its place."""

    @classmethod
    def open(
        cls,
        config: {{cookiecutter.__class}}Config,
        *,
        mode: OpenMode = "rw",
        create: bool = True,
    ) -> {{cookiecutter.__class}}MetadataStore:
        """Open the file; with mode "rw" and `create`, make it where it is not there.

        Raises
        ------
        StoreNotFoundError, NotAStoreError, OpenError
            There is no such store; nothing was made or changed.
        """
        store = cls(config, mode)
        with store._errors_as(OpenError):
            if not store._path.exists():
                if mode == "r" or not create or not store._path.parent.is_dir():
                    raise StoreNotFoundError(
                        f"there is no file {str(config.path)!r}", hint="correct the path"
                    )
                with store.exclusive():
                    store._make()
            store._check()
        return store

    @contextmanager
    def _errors_as(self, kind: type[StorageError] | type[OpenError]) -> Iterator[None]:
        """Turn errors of the operating system into one of ours."""
        try:
            yield
        except OSError as error:
            if isinstance(error, (kind, BusyError)):
                raise
            reason = getattr(error, "strerror", None) or error
            raise kind(
                f"{self.location} cannot be used ({reason})",
                hint="check the path, its permissions and the disk",
            ) from error

    def _make(self) -> None:
        if not self._path.exists():
            # Under another name first: nobody sees it half made.
            new = f"{self._path}.new"
            with open(new, "wb") as file:
                file.write(_HEADER)
                file.flush()
                os.fsync(file.fileno())
            os.replace(new, self._path)

    def _check(self) -> None:
        with self._path.open("rb") as file:
            if file.read(len(_HEADER)) != _HEADER:
                raise NotAStoreError(
                    f"{str(self._path)!r} is no file of the flavor {self.FLAVOR}",
                    hint="correct the path",
                )
            self._end, self._inode = len(_HEADER), os.fstat(file.fileno()).st_ino

    def is_same(self, other: BaseMetadataStore) -> bool:
        """Whether both are open on one file."""
        return isinstance(other, type(self)) and other._path == self._path

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Lock a file beside it; the operating system lets go of it when a process dies."""
        lock = FileLock(f"{self._path}.lock", timeout=self._lock_timeout)
        with self._errors_as(StorageError):
            try:
                lock.acquire()
            except Timeout as error:
                raise BusyError(f"others keep {self.location} locked", hint="try again") from error
        try:
            yield
        finally:
            lock.release()

    def refresh(self, tables: Tables) -> None:
        """Read the lines that others appended.

        A last line without an end is of a writer who is at it, or was killed: it is no batch.
        """
        try:
            with self._errors_as(StorageError), self._path.open("rb") as file:
                found = os.fstat(file.fileno())
                if found.st_size < self._end or found.st_ino != self._inode:
                    raise StorageError(f"{self.location} was cut, or replaced, while it was open")
                file.seek(self._end)
                for line in file:
                    if line.endswith(b"\n"):
                        tables.load(map(row_of, json.loads(line)))
                        self._end += len(line)
        except ValueError:
            # Without the cause, which holds the line.
            raise StorageError(
                f"{self.location} is damaged behind byte {self._end}",
                hint="restore it from a copy",
            ) from None

    def commit(self, rows: Sequence[Row]) -> None:
        """Append one line; it is on the disk when this returns."""
        line = json.dumps([record_of(row) for row in rows], allow_nan=False).encode() + b"\n"
        with self._errors_as(StorageError):
            try:
                with self._path.open("r+b") as file:
                    # Of a writer who was killed.
                    file.truncate(self._end)
                    file.seek(self._end)
                    file.write(line)
                    file.flush()
                    os.fsync(file.fileno())
            except OSError:
                with suppress(OSError):
                    os.truncate(self._path, self._end)
                raise
        self._end += len(line)
