"""The file that remembers which node became which, while a copy runs and after it.

One JSON text a line: first which stores it is about, then the ids of each batch that the target has
acknowledged.  What is about to be written stands in a second file beside it: where that batch was
not acknowledged, because the process was killed, its nodes may or may not be in the target, and
are looked for there by what they were.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Any, NamedTuple

from filelock import FileLock, Timeout

from metastore.errors import (
    BusyError,
    InvalidError,
    MetastoreError,
    Offender,
    StorageError,
)
from metastore.model import NodeKind
from metastore.transfer._ids import Ids

__all__ = ["Intent", "Journal"]

_FORMAT = 1


class Intent(NamedTuple):
    """A batch that was about to be written."""

    kind: NodeKind
    sources: Sequence[int]
    fingerprints: Sequence[int]


class Journal:
    """The file, open for one copy; or none, for a copy that cannot go on after a kill."""

    def __init__(self, path: Path | None, *, write: bool = True) -> None:
        self.path = path
        self.ids = Ids()
        self.intent: Intent | None = None
        """The batch in doubt, where there is one."""
        self._write = write and path is not None
        self._file: IO[bytes] | None = None
        self._batches = 0

    @contextmanager
    def opened(self, source: str, target: str) -> Iterator[None]:
        """Read what it says, and keep it locked for this copy.

        Raises
        ------
        InvalidError
            The file is about other stores, or is none of ours.
        BusyError
            Another copy is at it.
        StorageError
            It cannot be read or written.
        """
        with ExitStack() as stack:
            if self.path is not None:
                with self._failing():
                    if self._write:
                        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                        self._lock(self.path, stack)
                    self._read(self.path, source, target)
                    if self._write:
                        self._open(self.path, source, target, stack)
            yield

    def _lock(self, path: Path, stack: ExitStack) -> None:
        lock = FileLock(path.with_name(f"{path.name}.lock"), mode=0o600)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise BusyError(
                f"another copy of these two stores is running (it holds {path})",
                hint="wait for it, or end it",
            ) from None
        stack.callback(lock.release)

    @contextmanager
    def _failing(self) -> Iterator[None]:
        """Errors of the system inside are ours outside; some of ours are OSErrors, too."""
        try:
            yield
        except MetastoreError:
            raise
        except OSError as error:
            raise StorageError(
                f"the journal {self.path} cannot be read or written ({error.strerror})",
                hint="name another one",
            ) from error

    def intend(self, intent: Intent) -> None:
        """Say what is about to be written; on the disk when this returns."""
        if self._file is None:
            return
        text = json.dumps(
            [self._batches, int(intent.kind), [*intent.sources], [*intent.fingerprints]]
        )
        with self._failing(), open(self._beside, "wb", opener=_private) as file:
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())

    def acknowledge(
        self, kind: NodeKind, pairs: Sequence[tuple[int, int]], *, merged: bool = False
    ) -> None:
        """These nodes of the source are these of the target; on the disk when this returns."""
        ids = self.ids[kind]
        for source, target in pairs:
            ids.add(source, target)
        if merged:
            ids.merged.update(source for source, _ in pairs)
        self.intent = None
        if self._file is None:
            return
        self._batches += 1
        line = [int(kind), [one for one, _ in pairs], [one for _, one in pairs], int(merged)]
        with self._failing():
            self._append(self._file, line)

    def refuse(self, why: str) -> InvalidError:
        """The error for a journal that does not fit the stores."""
        return InvalidError(
            f"the journal {self.path} does not fit these stores: {why}",
            hint="if the source or the target was made anew since, remove the journal, or name "
            "another one",
            offender=Offender("journal", name=str(self.path)),
        )

    @property
    def _beside(self) -> Path:
        assert self.path is not None
        return self.path.with_name(f"{self.path.name}.next")

    @staticmethod
    def _append(file: IO[bytes], line: Any) -> None:
        file.write(json.dumps(line, separators=(",", ":")).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())

    def _open(self, path: Path, source: str, target: str, stack: ExitStack) -> None:
        self._file = file = stack.enter_context(open(path, "ab", opener=_private))  # noqa: SIM115 - it does
        if file.tell() == 0:
            first = {"metastore": "copy", "format": _FORMAT, "from": source, "to": target}
            self._append(file, first)

    def _read(self, path: Path, source: str, target: str) -> None:
        with suppress(FileNotFoundError), open(path, "rb") as file:
            whole = 0
            for number, line in enumerate(file):
                # The last line of a process that was killed while it wrote it.
                if not line.endswith(b"\n"):
                    break
                self._take(number, line, source, target)
                whole += len(line)
            if self._write and whole < path.stat().st_size:
                os.truncate(path, whole)
        with suppress(FileNotFoundError, ValueError, TypeError, RecursionError):
            number, kind, sources, fingerprints = json.loads(self._beside.read_bytes())
            if number == self._batches:
                self.intent = Intent(NodeKind(kind), sources, fingerprints)

    def _take(self, number: int, line: bytes, source: str, target: str) -> None:
        try:
            found = json.loads(line)
            if number == 0:
                if found["metastore"] != "copy" or found["format"] != _FORMAT:
                    raise ValueError
                if (found["from"], found["to"]) != (source, target):
                    raise self.refuse(f"it is about a copy from {found['from']} to {found['to']}")
                return
            kind, sources, targets, merged = found
            ids = self.ids[NodeKind(kind)]
            for one, other in zip(sources, targets, strict=True):
                ids.add(one, other)
            if merged:
                ids.merged.update(sources)
            self._batches += 1
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
            if isinstance(error, InvalidError):
                raise
            raise InvalidError(
                f"{self.path} is no journal of a copy, or is damaged (line {number + 1})",
                hint="name another one",
                offender=Offender("journal", name=str(self.path)),
            ) from error


def _private(path: str, flags: int) -> int:
    """Open a file that is this user's alone."""
    return os.open(path, flags, 0o600)
