"""What every convention comes to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from metastore.model import Context, Execution, ExecutionState, Value

__all__ = ["RunRecord", "StepRecord", "state_of_run"]


@dataclass(frozen=True)
class StepRecord:
    """A step: an execution, and what its convention says of it.  Times in milliseconds, or None."""

    name: str
    execution: Execution
    state: ExecutionState
    reason: str | None = None
    """Why the state is not what the execution itself says."""
    error: str | None = None
    parameters: Mapping[str, Value] | None = None
    metrics: Mapping[str, float] | None = None
    started_ms: int | None = None
    finished_ms: int | None = None
    host: str | None = None
    """Where it ran, where that was recorded."""
    process: int | None = None
    """The process id on that host."""
    process_started_ms: int | None = None
    process_namespace: int | None = None
    parent: int | None = None
    """The id of the execution that it is a part of: of a loop, of a group of steps."""
    short_name: str | None = None
    """Its name inside of that one."""


@dataclass(frozen=True)
class RunRecord:
    """A run: a context, and what its convention says of it.  Times in milliseconds, or None."""

    name: str
    context: Context
    convention: str
    pipeline: str | None
    state: ExecutionState
    error: str | None = None
    parameters: Mapping[str, Value] | None = None
    started_ms: int | None = None
    finished_ms: int | None = None
    host: str | None = None
    """Where it ran, where that was recorded."""
    process: int | None = None
    """The process id on that host."""
    process_started_ms: int | None = None
    process_namespace: int | None = None


_ENDED = frozenset(
    {
        ExecutionState.COMPLETE,
        ExecutionState.FAILED,
        ExecutionState.CACHED,
        ExecutionState.CANCELED,
    }
)


def has_ended(state: ExecutionState) -> bool:
    """Whether nothing more will happen."""
    return state in _ENDED


def state_of_run(steps: Iterable[StepRecord]) -> ExecutionState:
    """The state of a run that has none of its own, from its steps.

    Of a step that was tried several times, the last try counts.
    """
    states = {step.name: step.state for step in steps}.values()
    if ExecutionState.FAILED in states:
        return ExecutionState.FAILED
    if ExecutionState.RUNNING in states or ExecutionState.NEW in states:
        return ExecutionState.RUNNING
    if ExecutionState.CANCELED in states:
        return ExecutionState.CANCELED
    if ExecutionState.COMPLETE in states or ExecutionState.CACHED in states:
        return ExecutionState.COMPLETE
    return ExecutionState.UNKNOWN
