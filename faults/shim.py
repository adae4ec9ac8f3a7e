"""`shim.c`, made and loaded: what a process does to files is recorded, or fails."""

from __future__ import annotations

import atexit
import ctypes
import errno
import functools
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from enum import IntEnum
from pathlib import Path
from typing import NamedTuple

import pytest

__all__ = ["Call", "Sort", "calls", "environment", "fail", "recorded"]

_SOURCE = Path(__file__).with_name("shim.c")
_HEAD = struct.Struct("=IiqQ")


class Sort(IntEnum):
    """What a process asks of the system; the numbers are those of shim.c."""

    OPEN = 1
    MAKE = 2
    WRITE = 3
    TRUNCATE = 4
    SYNC = 5
    UNLINK = 6
    RENAME = 7
    CLOSE = 8


_WITHOUT_DATA = (Sort.TRUNCATE, Sort.SYNC, Sort.CLOSE)


class Call(NamedTuple):
    """One call that succeeded, in the order of all."""

    sort: Sort
    file: int
    """The descriptor, where there is one."""
    offset: int
    """Where a write begins; the new length of a file that was cut."""
    data: bytes
    """What was written, or the path; of a renamed file both paths, with a 0 between them."""


@functools.cache
def _library() -> Path:
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None or not sys.platform.startswith("linux"):
        pytest.skip("without Linux and a C compiler nothing stands between SQLite and the disk")
    folder = tempfile.mkdtemp(prefix="metastore-shim-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    library = Path(folder) / "shim.so"
    command = [compiler, "-O1", "-shared", "-fPIC", "-o", str(library), str(_SOURCE), "-ldl"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"the C compiler makes no library: {done.stderr[-300:]}")
    return library


def environment(folder: Path, log: Path | None = None) -> dict[str, str]:
    """What makes a process load the shim, for the files of a folder; skips where there is none."""
    found = {"LD_PRELOAD": str(_library()), "FAULTS_UNDER": str(folder)}
    return found if log is None else found | {"FAULTS_LOG": str(log)}


def recorded(log: Path) -> Iterator[Call]:
    """The calls that were recorded."""
    content = log.read_bytes()
    at = 0
    while at < len(content):
        number, file, offset, length = _HEAD.unpack_from(content, at)
        at += _HEAD.size
        sort = Sort(number)
        data = b""
        if sort not in _WITHOUT_DATA:
            data = content[at : at + length]
            at += length
        yield Call(sort, file, offset, data)


# In a process that has loaded it.


def fail(*sorts: Sort, after: int = 0, times: int = 1_000_000_000, error: int = errno.EIO) -> None:
    """Of the calls of these sorts, after so many more, so many fail; without sorts, none."""
    ctypes.CDLL(None).faults_fail(ctypes.c_long(after), ctypes.c_long(times), error, _bits(*sorts))


def calls(*sorts: Sort) -> int:
    """How many calls of these sorts there were since the last `fail`."""
    ctypes.CDLL(None).faults_calls.restype = ctypes.c_long
    return int(ctypes.CDLL(None).faults_calls(_bits(*sorts)))


def _bits(*sorts: Sort) -> int:
    return sum(1 << sort for sort in sorts)
