"""Several processes at one store: they create it, write to it, fork."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

from metastore import forks
from metastore.sql.engine import EngineDatabase

from .places import Place, artifacts, names, start


def all_at_once(action: str, place: Place, argument_lists: list[list[object]]) -> list[Any]:
    """Workers that begin at the same moment; their answers."""
    processes = [start(action, place, *arguments) for arguments in argument_lists]
    try:
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n", process.communicate()[1]
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        return [answer_of(process) for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()


def answer_of(process: Any) -> Any:
    """What a worker printed as JSON; its complaints when it did not end well."""
    out, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (0, "")
    return json.loads(out)


def test_processes_that_create_one_store(place: Place) -> None:
    """Processes that create a store at the same moment end with one, and all write to it."""
    all_at_once("create", place, [[number] for number in range(4)])
    with_store = place.open(create=False)
    assert sorted(map(str, names(with_store))) == [f"{number} 0" for number in range(4)]
    with_store.close()
    assert place.run('SELECT count(*) FROM "MLMDEnv"')[0][0] == 1


def test_processes_that_write_lose_nothing(place: Place) -> None:
    """Counters counted up by several processes at once, and rows of theirs, are all there."""
    store = place.open()
    store.write(artifacts(1))
    done = all_at_once("count_up", place, [[15]] * 3)
    assert done == [15, 15, 15]
    from metastore import NodeQuery

    from .places import ARTIFACT

    found = store.read_nodes(NodeQuery(ARTIFACT))
    assert found[0].properties == {"n": 45}
    assert [node.id for node in found] == list(range(1, 47))
    store.close()


needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")


@needs_fork
def test_a_forked_child_connects_anew(place: Place) -> None:
    """A child reads, writes and closes the parent's store, and the parent goes on with it."""
    told, found = answer_of(start("fork", place))
    assert told == [[2, "ClosedError"], 0]
    assert found == ["parent 0", "parent 1", "child 0", "later 0"]


@needs_fork
def test_a_child_forked_in_a_transaction_does_no_harm(place: Place) -> None:
    """What a child does, and its end, leave the transaction of the parent whole."""
    told, found = answer_of(start("fork_in_transaction", place))
    # A server serves the child over a connection of its own; a file's locks cannot be shared.
    assert told == [1 if "server" in place.arguments() else "ForkError", 0]
    assert found == 51


@needs_fork
def test_a_child_cannot_commit_for_its_parent(place: Place) -> None:
    """A child that leaves its parent's transaction gets ForkError; the parent commits."""
    assert answer_of(start("fork_and_leave_block", place)) == [7, 11]


@needs_fork
def test_a_fork_waits_for_each_connection(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every connection to a database is made where a fork would wait for it."""
    real, waited = EngineDatabase.connect, []

    def connect(self: EngineDatabase, dialect: Any, options: dict[str, Any]) -> Any:
        waited.append(forks._connecting._inside == 1)
        return real(self, dialect, options)

    monkeypatch.setattr(EngineDatabase, "connect", connect)
    store = place.open()
    store.write(artifacts(1))
    store.close()
    assert waited
    assert all(waited)
    assert not forks._connecting._inside
