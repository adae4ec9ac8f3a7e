"""What runs and steps share: how they begin, how they end, and where they ran."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Literal

from metastore import layout
from metastore.errors import ForkError, InvalidError, Offender
from metastore.model import ExecutionState, Value
from metastore.processes import this_process

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Recorder", "ending", "whereabouts"]

_log = logging.getLogger("metastore")

_ERROR_LENGTH = 10_000


class Recorder:
    """What runs and steps share: a beginning, an end, and a verdict in between."""

    _what: str
    _state: ExecutionState = ExecutionState.NEW
    _verdict: tuple[ExecutionState, str | None] | None = None
    """How it ended, where that could not be written yet."""
    _process = 0
    """The process that began it."""

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
        if self._state is not ExecutionState.RUNNING or self._process != os.getpid():
            # In a child that was forked inside the block: the end is its parent's to record.
            return False
        if error is None:
            self.finish()
            return False
        state, text = verdict(error)
        try:
            self._conclude(state, text)
        except Exception as failure:  # noqa: BLE001 - see below
            # The user's own exception matters more than any of ours, and must go on up.
            what, name = self._what, self.name
            _log.error("not all of %s %r (%s) was recorded: %s", what, name, state, failure)
        return False

    def start(self) -> Self:
        """Record the beginning."""
        if self._state is not ExecutionState.NEW:
            raise InvalidError(
                f"{self._what} {self.name!r} has started already",
                hint="record another one",
                offender=Offender(self._what, name=self.name),
            )
        self._process = os.getpid()
        self._begin()
        self._state = ExecutionState.RUNNING
        return self

    def finish(self) -> None:
        """Record that it came to its end.

        When the store cannot be written (`BusyError`, `StorageError`), nothing is lost here: once
        it can, call it again.  What had failed or was canceled by then, is recorded as such.
        """
        self._conclude(*(self._verdict or (self._success(), None)))

    def fail(self, error: str | BaseException) -> None:
        """Record that it failed, and why: a text, or an exception."""
        text = verdict(error)[1] if isinstance(error, BaseException) else str(error)
        self._conclude(ExecutionState.FAILED, text)

    def cancel(self) -> None:
        """Record that it was canceled."""
        self._conclude(ExecutionState.CANCELED, None)

    def _conclude(self, state: ExecutionState, error: str | None) -> None:
        self._check_running()
        self._verdict = state, error
        self._end(state, error)

    def _success(self) -> ExecutionState:
        return ExecutionState.COMPLETE

    def _check_running(self) -> None:
        if self._state is not ExecutionState.RUNNING:
            when = "has not started" if self._state is ExecutionState.NEW else "has ended"
            raise InvalidError(
                f"{self._what} {self.name!r} {when}",
                hint="record inside its with block, or between start() and finish()",
                offender=Offender(self._what, name=self.name),
            )
        if self._process != os.getpid():
            raise ForkError(
                f"{self._what} {self.name!r} is recorded by the process that began it",
                hint="hand the results over to that one, or begin a step of its own here",
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
    name = type(error).__name__
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - a user's exception may be broken itself
        text = "(its text cannot be read)"
    return ExecutionState.FAILED, f"{name}: {text}" if text else name


def ending(error: str | None) -> dict[str, Value]:
    ending: dict[str, Value] = {layout.FINISHED: float(time.time_ns() // 1_000_000)}
    if error is not None:
        # An exception's text may hold anything, half surrogates included.
        ending[layout.ERROR] = error[:_ERROR_LENGTH].encode(errors="replace").decode()
    return ending


def whereabouts() -> Mapping[str, Value]:
    """Host, process and its start, by which a reader can tell that the process is gone."""
    process = this_process()
    found: dict[str, Value] = {layout.HOST: process.host, layout.PROCESS: process.id}
    if process.started_ms is not None:
        found[layout.PROCESS_START] = float(process.started_ms)
    if process.namespace is not None:
        found[layout.PROCESS_NAMESPACE] = float(process.namespace)
    return found
