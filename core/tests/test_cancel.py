"""Runs whose process is gone: noticed, and ended from outside."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from typing import Any

import pytest

from metastore import (
    Batch,
    ConflictError,
    ExecutionState,
    InvalidError,
    Merge,
    NodeKind,
    NotFoundError,
    Store,
    layout,
)
from metastore.processes import Process, is_gone, this_process

from .recorded import store

__all__ = ["store"]

linux = pytest.mark.skipif(sys.platform != "linux", reason="only /proc tells when it started")


def ended_process() -> int:
    """The id of a process that has ended."""
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    return done.pid


def left_open(store: Store, **process: Any) -> int:
    """A run that did not end, with one step that did and one that did not; as of that process."""
    run = store.run("p", name="left").start()
    with run.step("done"):
        pass
    run.step("open").start()
    batch = Batch()
    batch.context(properties=process, mode=Merge(run.id))
    store.write(batch)
    return run.id


@linux
def test_this_process_is_there() -> None:
    """A process that asks for itself is not gone; one of its id that began earlier is."""
    me = this_process()
    assert (me.host, me.id) == (platform.node(), os.getpid())
    assert me.started_ms is not None
    assert is_gone(me) is False
    assert is_gone(me._replace(started_ms=me.started_ms - 60_000)) is True
    assert is_gone(me._replace(started_ms=None)) is None


def test_a_process_that_ended_is_gone() -> None:
    """A process that ended is gone; of another host that is not known."""
    assert is_gone(Process(platform.node(), ended_process(), 0)) is True
    assert is_gone(Process("elsewhere", ended_process(), 0)) is None
    for odd in (0, -1, 2**63 - 1):
        assert is_gone(Process(platform.node(), odd, 0)) is True


@linux
def test_a_process_of_another_namespace_is_not_known() -> None:
    """Of a container that shares the host's name, ids are not those of processes here."""
    me = this_process()
    assert me.namespace is not None
    other = me._replace(namespace=me.namespace + 1)
    assert is_gone(other) is None
    assert is_gone(other._replace(id=ended_process())) is None


@linux
def test_a_process_that_nobody_waited_for_is_gone() -> None:
    """A process that has ended is gone, even if its parent does not know yet."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert is_gone(this_process()._replace(id=child.pid)) is True
    child.wait()


@linux
def test_a_run_whose_process_is_gone_is_noticed(store: Store) -> None:
    """RUNNING with a process that is gone is abandoned; alive, ended or elsewhere it is not."""
    gone = left_open(store, **{layout.PROCESS: ended_process()})
    with store.run("p") as run:
        assert store.find_run(run.id).is_abandoned is False
    assert store.find_run(run.id).is_abandoned is False
    assert store.find_run(gone).is_abandoned is True
    batch = Batch()
    batch.context(properties={layout.HOST: "elsewhere"}, mode=Merge(gone))
    store.write(batch)
    assert store.find_run(gone).is_abandoned is None


def test_a_run_is_canceled_with_its_open_steps(store: Store) -> None:
    """The run and the steps that have not ended are CANCELED, with the reason; others stay."""
    id = left_open(store, **{layout.PROCESS: ended_process()})
    store.find_run(id).cancel("the machine was lost")
    run = store.find_run(id)
    assert (run.state, run.error) == (ExecutionState.CANCELED, "the machine was lost")
    assert run.end_time is not None
    assert {step.name: step.state for step in run.steps} == {
        "done": ExecutionState.COMPLETE,
        "open": ExecutionState.CANCELED,
    }
    assert run.is_abandoned is False
    with pytest.raises(InvalidError, match="has ended already: CANCELED"):
        run.cancel()


@linux
def test_a_run_that_is_alive_is_not_canceled(store: Store) -> None:
    """A run whose process is running here is left alone, unless it is forced."""
    id = left_open(store)
    with pytest.raises(InvalidError, match="is running here"):
        store.find_run(id).cancel()
    assert store.find_run(id).state is ExecutionState.RUNNING
    store.find_run(id).cancel(force=True)
    assert store.find_run(id).state is ExecutionState.CANCELED


@pytest.mark.parametrize(
    "elsewhere",
    [{layout.HOST: "elsewhere"}, {layout.PROCESS_NAMESPACE: 1.0}],
    ids=["host", "space"],
)
def test_a_run_that_may_be_alive_is_not_canceled(store: Store, elsewhere: dict[str, Any]) -> None:
    """Where nobody can tell from here whether its process is gone, it takes force to cancel."""
    id = left_open(store, **{layout.PROCESS: ended_process(), **elsewhere})
    assert store.find_run(id).is_abandoned is None
    with pytest.raises(InvalidError, match="cannot be told from here"):
        store.find_run(id).cancel()
    store.find_run(id).cancel(force=True)
    assert store.find_run(id).state is ExecutionState.CANCELED


def test_a_step_that_began_while_its_run_was_canceled(store: Store) -> None:
    """A run that has ended keeps its state and its error; steps of it that are open are ended."""
    run = store.run("p").start()
    store.find_run(run.id).cancel("lost", force=True)
    run.step("late").start()
    store.find_run(run.id).cancel("lost, too", force=True)
    found = store.find_run(run.id)
    assert (found.state, found.error) == (ExecutionState.CANCELED, "lost")
    assert found.steps["late"].state is ExecutionState.CANCELED
    assert found.steps["late"].error == "lost, too"


def test_a_run_of_another_program_is_not_canceled(store: Store) -> None:
    """What another program recorded is its own to end; an unknown id is no run."""
    batch = Batch()
    batch.type(NodeKind.CONTEXT, "pipeline_run")
    batch.context("pipeline_run", name="theirs")
    store.write(batch)
    with pytest.raises(InvalidError, match="not recorded by metastore"):
        store.find_run("theirs").cancel()
    from metastore.recording import cancel_run

    with pytest.raises(NotFoundError):
        cancel_run(store.backend, 99)


def test_a_run_that_is_written_at_the_same_moment(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that ends while it is canceled is not canceled, and nothing of it changes."""
    id = left_open(store, **{layout.PROCESS: ended_process()})
    write = type(store.backend).write

    def disturbed(self: Any, batch: Batch) -> Any:
        monkeypatch.undo()
        late = Batch()
        late.context(properties={layout.STATE: "COMPLETE"}, mode=Merge(id))
        write(self, late)
        return write(self, batch)

    run = store.find_run(id)
    monkeypatch.setattr(type(store.backend), "write", disturbed)
    with pytest.raises(ConflictError, match="alive"):
        run.cancel()
    found = store.find_run(id)
    assert (found.state, found.steps["open"].state) == (
        ExecutionState.COMPLETE,
        ExecutionState.RUNNING,
    )
