"""What runs and steps share: how they begin, how they end, and where they ran."""

from __future__ import annotations

import functools
import logging
import os
import platform
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Literal

from metastore import layout
from metastore.errors import InvalidError, MetastoreError, Offender
from metastore.model import ExecutionState, Value

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Recorder", "ending", "whereabouts"]

_log = logging.getLogger("metastore")

_ERROR_LENGTH = 10_000


class Recorder:
    """What runs and steps share: a beginning, an end, and a verdict in between."""

    _what: str
    _state: ExecutionState = ExecutionState.NEW

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r} {self._state.name}>"

    @property
    def state(self) -> ExecutionState:
        """NEW before the start, RUNNING, then how it ended."""
        return self._state

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> Literal[False]:
        if self._state is not ExecutionState.RUNNING:
            return False
        if error is None:
            self.finish()
            return False
        try:
            self._end(*verdict(error))
        except MetastoreError as failure:
            # The user's own exception matters more, and must go on up.
            _log.error("not all of %s %r was recorded: %s", self._what, self.name, failure)
        return False

    def start(self) -> Self:
        """Record the beginning."""
        if self._state is not ExecutionState.NEW:
            raise InvalidError(
                f"{self._what} {self.name!r} has started already",
                hint="record another one",
                offender=Offender(self._what, name=self.name),
            )
        self._begin()
        self._state = ExecutionState.RUNNING
        return self

    def finish(self) -> None:
        """Record that it came to its end.

        When the store cannot be written (`BusyError`, `StorageError`), nothing is lost here: once
        it can, call it again.
        """
        self._end(self._success(), None)

    def fail(self, error: str | BaseException) -> None:
        """Record that it failed, and why: a text, or an exception."""
        text = verdict(error)[1] if isinstance(error, BaseException) else str(error)
        self._end(ExecutionState.FAILED, text)

    def cancel(self) -> None:
        """Record that it was canceled."""
        self._end(ExecutionState.CANCELED, None)

    def _success(self) -> ExecutionState:
        return ExecutionState.COMPLETE

    def _check_running(self) -> None:
        if self._state is not ExecutionState.RUNNING:
            when = "has not started" if self._state is ExecutionState.NEW else "has ended"
            raise InvalidError(
                f"{self._what} {self.name!r} {when}",
                hint="record inside its with block",
                offender=Offender(self._what, name=self.name),
            )

    def _begin(self) -> None:
        raise NotImplementedError

    def _end(self, state: ExecutionState, error: str | None) -> None:
        raise NotImplementedError


def verdict(error: BaseException) -> tuple[ExecutionState, str | None]:
    if isinstance(error, KeyboardInterrupt):
        return ExecutionState.CANCELED, None
    if isinstance(error, SystemExit) and not error.code:
        return ExecutionState.COMPLETE, None
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return ExecutionState.FAILED, text


def ending(error: str | None) -> dict[str, Value]:
    ending: dict[str, Value] = {layout.FINISHED: time.time_ns() // 1_000_000}
    if error is not None:
        # An exception's text may hold anything, half surrogates included.
        ending[layout.ERROR] = error[:_ERROR_LENGTH].encode(errors="replace").decode()
    return ending


def whereabouts() -> Mapping[str, Value]:
    """Host, process and its start, by which a reader can tell that the process is gone."""
    return _whereabouts_of(os.getpid())


@functools.lru_cache(maxsize=1)
def _whereabouts_of(process: int) -> Mapping[str, Value]:
    found: dict[str, Value] = {layout.HOST: platform.node(), layout.PROCESS: process}
    started = _process_start()
    if started is not None:
        found[layout.PROCESS_START] = started
    return found


def _process_start() -> int | None:
    """When this process started, in milliseconds; None where the system does not tell (no /proc).

    Source: proc(5): field 22 of /proc/self/stat in clock ticks since the boot, and btime.
    """
    try:
        # The command's name, in parentheses, may hold spaces.
        ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
        lines = Path("/proc/stat").read_text().splitlines()
        boot = next(int(line.split()[1]) for line in lines if line.startswith("btime "))
        return boot * 1000 + ticks * 1000 // os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, StopIteration):
        return None
