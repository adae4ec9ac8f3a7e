"""Ending a run from outside, as its process is gone."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

from metastore import layout
from metastore.base import BaseMetadataStore
from metastore.batch import Batch, Merge
from metastore.errors import ConflictError, InvalidError, NotFoundError, Offender
from metastore.model import Context, Execution, ExecutionState, NodeKind, Value
from metastore.processes import Process, is_gone
from metastore.query import NodeQuery
from metastore.recording._recorder import ending

__all__ = ["cancel_run"]

_OPEN = (ExecutionState.NEW, ExecutionState.RUNNING)


def cancel_run(
    backend: BaseMetadataStore, context: int, *, reason: str | None = None, force: bool = False
) -> list[int]:
    """Mark a run and its steps that have not ended as CANCELED, all or none.

    Of a run that has ended itself, steps that have not are canceled: one may have begun while the
    run was canceled.

    Parameters
    ----------
    context:
        The id of the run's context.
    reason:
        Kept as the run's `error`.
    force:
        Also when its process is still running here, or may be, where that cannot be told from
        here; what that records later counts then.

    Returns
    -------
    The ids of the executions of the steps that were canceled.

    Raises
    ------
    NotFoundError
        There is no such run.
    InvalidError
        It was not recorded by metastore, has ended with all its steps, or its process is still
        running, as far as can be told.
    ConflictError
        It was written at the same moment.
    """
    found = backend.read_nodes(NodeQuery(NodeKind.CONTEXT, ids=[context]))
    offender = Offender("run", id=context)
    if not found:
        raise NotFoundError(f"there is no {offender}", hint="correct the id", offender=offender)
    run = cast("Context", found[0])
    offender = Offender("run", id=context, name=run.name)
    _check_type(run, offender)
    steps = backend.read_nodes(NodeQuery(NodeKind.EXECUTION, context_ids=[context]))
    left = [each for each in cast("Iterable[Execution]", steps) if each.state in _OPEN]
    state = run.properties.get(layout.STATE)
    is_open = state in [each.name for each in _OPEN]
    if not is_open and not left:
        raise InvalidError(
            f"{offender} has ended already: {state}", hint="leave it as it is", offender=offender
        )
    if not force:
        _check_gone(run, offender)
    batch = Batch()
    if is_open:
        batch.context(
            properties={layout.STATE: ExecutionState.CANCELED.name, **ending(reason)},
            mode=Merge(context, expected_update_time_ms=run.update_time_ms),
        )
    for each in left:
        batch.execution(
            state=ExecutionState.CANCELED,
            properties=ending(reason),
            mode=Merge(each.id, frozenset({"state"}), expected_update_time_ms=each.update_time_ms),
        )
    try:
        backend.write(batch)
    except ConflictError as error:
        raise error.about(offender, hint="it seems to be alive; look at it again") from error
    return [each.id for each in left]


def _check_type(run: Context, offender: Offender) -> None:
    if run.type != layout.RUN_TYPE:
        raise InvalidError(
            f"{offender} was not recorded by metastore",
            hint="end it with the program that recorded it",
            offender=offender,
        )


def _check_gone(run: Context, offender: Offender) -> None:
    host, process, started, namespace = map(
        run.properties.get,
        (layout.HOST, layout.PROCESS, layout.PROCESS_START, layout.PROCESS_NAMESPACE),
    )
    gone = None
    if isinstance(host, str) and isinstance(process, int):
        gone = is_gone(Process(host, process, _integer(started), _integer(namespace)))
    if gone is False:
        raise InvalidError(
            f"{offender} is being recorded: its process {process} is running here",
            hint="end that process; or force it, and what it records later counts",
            offender=offender,
        )
    if gone is None:
        raise InvalidError(
            f"{offender} may still be recorded: whether its process {process} on {host} is running "
            "cannot be told from here",
            hint="make sure that it is gone, and force it",
            offender=offender,
        )


def _integer(value: Value | None) -> int | None:
    # What has more than 32 bits is kept as a double.
    return int(value) if isinstance(value, int | float) else None
