"""Which process this is, and whether another one is still there.

A process is known by its host, its id, and when it started, because ids are used again; and, as
containers may share the name of their host, by the namespace that its id is of.
"""

from __future__ import annotations

import functools
import os
import platform
from pathlib import Path
from typing import NamedTuple

__all__ = ["Process", "is_gone", "this_process"]

_TOLERANCE = 5000
"""Milliseconds by which two readings of one start may differ: the clock is set meanwhile."""


class Process(NamedTuple):
    """A process on a host."""

    host: str
    id: int
    started_ms: int | None
    """Milliseconds since the epoch; None where the system does not tell."""
    namespace: int | None = None
    """Of process ids (pid_namespaces(7)); None where the system has none, or does not tell."""


def this_process() -> Process:
    """The process that asks."""
    return _process(os.getpid())


@functools.lru_cache(maxsize=1)
def _process(id: int) -> Process:
    return Process(platform.node(), id, _start_of(id), _namespace())


def is_gone(process: Process) -> bool | None:
    """Whether a process has ended; None for one on another host, or where that cannot be told.

    One that has ended and that its parent did not wait for has ended.
    """
    if process.host != platform.node() or process.namespace not in (None, _namespace()):
        return None
    if not _exists(process.id) or _stat(process.id)[:1] in (["Z"], ["X"]):
        return True
    started = _start_of(process.id)
    if process.started_ms is None or started is None:
        # There is one of that id, whichever it is.
        return None
    return abs(started - process.started_ms) > _TOLERANCE


def _exists(id: int) -> bool:
    if id <= 0:
        # To a signal these are groups of processes.
        return False
    if os.name == "nt":
        # There, signal 0 would end the process.
        return True
    try:
        os.kill(id, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def _start_of(id: int) -> int | None:
    """When a process started, in milliseconds; None where the system does not tell (no /proc).

    Source: proc(5): field 22 of /proc/PID/stat in clock ticks since the boot, and btime.
    """
    try:
        ticks = int(_stat(id)[19])
        lines = Path("/proc/stat").read_text().splitlines()
        boot = next(int(line.split()[1]) for line in lines if line.startswith("btime "))
        return boot * 1000 + ticks * 1000 // os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, StopIteration):
        return None


def _stat(id: int) -> list[str]:
    """The fields of /proc/PID/stat from the third on; none where there is no such file."""
    try:
        # The command's name, in parentheses, may hold anything.
        text = Path(f"/proc/{id}/stat").read_text(errors="replace")
    except OSError:
        return []
    return text.rpartition(")")[2].split()


def _namespace() -> int | None:
    try:
        return Path("/proc/self/ns/pid").stat().st_ino
    except OSError:
        return None
