"""What a process last said, in memory that outlives it: SIGKILL takes nothing of it away."""

from __future__ import annotations

import mmap
import os
from enum import IntEnum
from pathlib import Path

__all__ = ["Ledger", "Stage"]

_FIELDS = ("stage", "begun", "acknowledged", "hold", "stop", "failed", "memory", "descriptors")
_SIZE = mmap.PAGESIZE


class Stage(IntEnum):
    """Where a writer is; a transaction is open from OPEN until after COMMITTING."""

    OUTSIDE = 0
    BEGINNING = 1
    """BEGIN was sent: it may not be answered yet."""
    OPEN = 2
    """BEGIN was answered, COMMIT not sent."""
    COMMITTING = 3
    """COMMIT was sent: it may be answered already."""


class Ledger:
    """Numbers of one writer, each of 64 bits and written at once.

    A shared mapping belongs to the kernel: what was written before a process is killed is there
    for whoever maps it, in the order in which it was written.
    """

    def __init__(self, path: Path, *, make: bool = False) -> None:
        self.path = path
        descriptor = os.open(path, os.O_RDWR | (os.O_CREAT if make else 0), 0o600)
        try:
            if make:
                os.ftruncate(descriptor, _SIZE)
            self._map = mmap.mmap(descriptor, _SIZE)
        finally:
            os.close(descriptor)
        self._numbers = memoryview(self._map).cast("Q")

    def get(self, name: str) -> int:
        """A number."""
        return self._numbers[_FIELDS.index(name)]

    def set(self, name: str, number: int) -> None:
        """Write a number."""
        self._numbers[_FIELDS.index(name)] = number

    @property
    def stage(self) -> Stage:
        """Where the writer is, or was when it died."""
        return Stage(self.get("stage"))

    def close(self) -> None:
        """Give the memory back, and remove the file."""
        self._numbers.release()
        self._map.close()
        self.path.unlink(missing_ok=True)
