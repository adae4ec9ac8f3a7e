"""Many at once: processes, threads, forks, and those that die in between."""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from metastore import (
    Batch,
    BusyError,
    ClosedError,
    MetastoreError,
    NodeQuery,
    PropertyKind,
    StorageError,
    TypeQuery,
)

from .helpers import (
    ARTIFACT,
    CONTEXT,
    EXECUTION,
    all_at_once,
    answer_of,
    connect,
    fingerprint,
    open_file,
    sample,
    start,
    url_of,
)

_PROCESSES = 8


def _whole(path: Path) -> str:
    database = sqlite3.connect(path)
    try:
        return str(database.execute("PRAGMA integrity_check").fetchone()[0])
    finally:
        database.close()


def _by_us(path: Path) -> None:
    open_file(path).close()


def _by_mlmd(path: Path) -> None:
    pytest.importorskip(
        "ml_metadata", reason="without ml-metadata nothing makes a file in its journal mode"
    )
    from . import mlmd

    mlmd.connect(path)


_MAKERS = pytest.mark.parametrize(
    ("make", "journal"), [(_by_us, "wal"), (_by_mlmd, "delete")], ids=["ours", "of ml-metadata"]
)


# Processes.


@pytest.mark.slow
@_MAKERS
def test_no_update_is_lost(make: Callable[[Path], None], journal: str, tmp_path: Path) -> None:
    """Eight processes count one property up 200 times each: it ends at 1,600, with no error."""
    path = tmp_path / "store.db"
    make(path)
    store = connect(path)
    batch = Batch()
    batch.type(ARTIFACT, "T", {"n": PropertyKind.INT})
    batch.artifact("T", properties={"n": 0})
    store.write(batch)
    answers = all_at_once("update", [(path, 200)] * _PROCESSES)
    assert answers == [200] * _PROCESSES
    assert store.artifact(1).properties == {"n": 200 * _PROCESSES}
    store.close()
    database = sqlite3.connect(path)
    assert database.execute("PRAGMA journal_mode").fetchone() == (journal,)
    database.close()


@pytest.mark.slow
def test_the_same_new_file_at_once(tmp_path: Path) -> None:
    """Four processes that make the same new files at once get one whole store each time."""
    trials = 40
    answers = all_at_once("create", [(tmp_path, trials, number) for number in range(4)])
    assert answers == [trials] * 4
    for trial in range(trials):
        path = tmp_path / f"{trial}.db"
        with connect(path) as store:
            assert sorted(node.name or "" for node in store.artifacts()) == [
                f"{number} 0" for number in range(4)
            ]
            names = [each.name for each in store.types(ARTIFACT)]
            assert len(names) == len(set(names)) == 5
        assert _whole(path) == "ok"


@pytest.mark.slow
@_MAKERS
def test_recording_at_once(make: Callable[[Path], None], journal: str, tmp_path: Path) -> None:
    """Eight processes record runs at once: every run and step is there, each type once."""
    path = tmp_path / "store.db"
    make(path)
    runs = 6
    answers = all_at_once("record", [(path, runs, number) for number in range(_PROCESSES)])
    with connect(path, "r") as store:
        assert sorted(run.name for run in store.runs()) == sorted(
            name for names in answers for name in names
        )
        assert {run.state.name for run in store.runs()} == {"COMPLETE"}
        for run in store.runs():
            [step] = run.steps
            assert (step.state.name, *step.inputs, *step.outputs) == ("COMPLETE", "data", "model")
            assert step.metrics == {"loss": 0.5}
        assert [pipeline.name for pipeline in store.pipelines()] == ["shared"]
        for kind in (ARTIFACT, EXECUTION, CONTEXT):
            keys = [each.key for each in store.types(kind)]
            assert len(keys) == len(set(keys))
        # Every process widened these types by a property of its own.
        models = [each for each in store.types(ARTIFACT) if each.name.startswith("Model")]
        assert len(models) == runs
        assert all(len(each.properties) == _PROCESSES for each in models)
        # A uri stands for one artifact, whoever came first.
        inputs = store.artifacts(uri="/shared/data")
        assert sorted({node.type for node in inputs}) == sorted(f"Data{n}" for n in range(runs))
    assert _whole(path) == "ok"


def test_who_waits_too_long_is_told(tmp_path: Path) -> None:
    """A writer that waits longer than its busy timeout gets `BusyError`; readers do not wait."""
    path = tmp_path / "store.db"
    _by_us(path)
    holder = start("hold", path)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "ready\n"
    store = open_file(path, busy_timeout=0.05)
    with pytest.raises(BusyError, match="busy_timeout"):
        store.write(sample())
    assert store.count(NodeQuery(ARTIFACT)) == 0
    assert holder.stdin is not None
    holder.stdin.write("go\n")
    holder.stdin.flush()
    answer_of(holder)
    store.write(sample())
    assert store.count(NodeQuery(ARTIFACT)) == 1
    store.close()


# Death.


@_MAKERS
@pytest.mark.parametrize("mode", ["r", "rw"])
def test_killed_before_the_commit(
    make: Callable[[Path], None], journal: str, mode: Any, tmp_path: Path
) -> None:
    """A batch whose writer was killed before the commit is not there, and the store opens."""
    path = tmp_path / "store.db"
    make(path)
    with connect(path) as store:
        store.write(sample(count=3, name=None))
    answer_of(start("die_while_writing", path), expect=-signal.SIGKILL)
    assert len(fingerprint(path)) > 1, "the killed writer left no log: the test shows nothing"
    with connect(path, mode) as store:
        assert [node.properties for node in store.artifacts()] == [{"n": n} for n in range(3)]
    with connect(path) as store:
        store.write(sample())
        assert len(store.artifacts()) == 4
    assert _whole(path) == "ok"


@pytest.mark.slow
@_MAKERS
def test_killed_at_any_time(make: Callable[[Path], None], journal: str, tmp_path: Path) -> None:
    """However a writer is killed, acknowledged batches are there, and no part of another."""
    path = tmp_path / "store.db"
    make(path)
    for round in range(5):
        before = _batches(path)
        writer = start("write_until_killed", path)
        assert writer.stdout is not None
        acknowledged = [int(writer.stdout.readline()) for _ in range(round + 1)]
        writer.kill()
        rest, _ = writer.communicate()
        acknowledged += [int(line) for line in rest.splitlines() if line.isdigit()]
        added = len(_batches(path)) - len(before)
        # The last one may have been committed and not acknowledged any more.
        assert len(acknowledged) <= added <= len(acknowledged) + 1
        assert set(_batches(path).values()) == {50}
        with connect(path) as store:
            # Names are taken anew in the next round.
            database = sqlite3.connect(path)
            database.execute("UPDATE Artifact SET name = NULL")
            database.commit()
            database.close()
            assert len(store.artifacts()) == 50 * len(_batches(path))
    assert _whole(path) == "ok"


def _batches(path: Path) -> dict[int, int]:
    """How many artifacts there are of each time of writing and each batch."""
    found: dict[int, int] = {}
    with connect(path, "r") as store:
        for position, node in enumerate(store.artifacts()):
            number = position // 50
            assert node.properties == {"n": position % 50}
            found[number] = found.get(number, 0) + 1
    return found


# Forks.

_forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


@_forks
@_MAKERS
def test_a_forked_child_uses_the_store(
    make: Callable[[Path], None], journal: str, tmp_path: Path
) -> None:
    """A forked child reads and writes with its parent's store, and closes it for itself only."""
    path = tmp_path / "store.db"
    make(path)
    answer = answer_of(start("fork", path))
    assert answer["first"] == {"answer": [3, 5], "exit": 0}
    assert answer["second"]["exit"] == 0
    assert answer["second"]["answer"] == [
        *("parent 0", "parent 1", "parent 2", "child 0", "child 1", "later 0")
    ]
    assert _whole(path) == "ok"
    assert set(fingerprint(path)) == {"store.db"}


@_forks
@_MAKERS
def test_a_fork_inside_a_transaction(
    make: Callable[[Path], None], journal: str, tmp_path: Path
) -> None:
    """A child forked in the middle of a write is told not to use the store, and does no harm."""
    path = tmp_path / "store.db"
    make(path)
    assert answer_of(start("fork_in_transaction", path)) == {"status": 0, "artifacts": 5_001}
    assert _whole(path) == "ok"
    with connect(path, "r") as store:
        assert len(store.artifacts()) == 5_001


@_forks
@_MAKERS
def test_a_child_does_not_commit_for_its_parent(
    make: Callable[[Path], None], journal: str, tmp_path: Path
) -> None:
    """A child that leaves the block of its parent's transaction commits nothing and is told so."""
    path = tmp_path / "store.db"
    make(path)
    answer = answer_of(start("fork_and_leave_block", path))
    assert answer == {"status": 7, "seen": 0, "artifacts": 10}
    assert _whole(path) == "ok"


@_forks
@_MAKERS
def test_a_child_outlives_its_parents_store(
    make: Callable[[Path], None], journal: str, tmp_path: Path
) -> None:
    """What a child writes after its parent closed the store is not lost."""
    path = tmp_path / "store.db"
    make(path)
    names = answer_of(start("fork_and_close", path))
    assert names == ["parent 0", "child 0", "another 0", "child again 0"]
    assert _whole(path) == "ok"


@_forks
def test_forked_children_and_their_parent_write_at_once(tmp_path: Path) -> None:
    """Four forked children and their parent write with one store object: nothing is lost."""
    answer = answer_of(start("fork_many", tmp_path / "store.db"))
    assert answer == {"exits": [0, 0, 0, 0], "artifacts": 100}
    assert _whole(tmp_path / "store.db") == "ok"


@_forks
@pytest.mark.skipif(
    sys.version_info >= (3, 12), reason="Python 3.12 warns of forks while threads run"
)
def test_a_fork_while_threads_work(tmp_path: Path) -> None:
    """A child forked while threads use the store writes, or is told why it cannot, at once."""
    path = tmp_path / "store.db"
    answer = answer_of(start("fork_with_threads", path))
    for number, child in enumerate(answer["during"]):
        assert child["exit"] == 0
        if child["answer"] != "CREATED":
            assert child["answer"].startswith("ForkError: the parent process was using")
        assert (child["answer"] == "CREATED") == (f"fork {number} 0" in answer["names"])
    assert answer["after"] == {"answer": "CREATED", "exit": 0}
    assert "fork 10 0" in answer["names"]
    assert _whole(path) == "ok"


@_forks
def test_a_store_in_memory_is_not_inherited(tmp_path: Path) -> None:
    """A forked child that uses a store in its parent's memory is told so; the parent goes on.

    Closed or not, the child hears of no connection that was left open: it is its parent's.
    """
    answer = answer_of(start("fork_memory", tmp_path))
    reading, writing, closing, warned = answer["child"]["answer"]
    for text in (reading, writing):
        assert text.startswith("ForkError: ")
        assert "memory of the parent" in text
        assert "use a file" in text
    assert closing is None
    assert warned == []
    assert answer["parent"] == 2


# Threads.


def _in_threads(count: int, work: Callable[[int], object]) -> list[BaseException]:
    """Run `work` in threads that begin at the same moment; what they raised."""
    raised: list[BaseException] = []
    barrier = threading.Barrier(count)

    def run(number: int) -> None:
        try:
            barrier.wait()
            work(number)
        except BaseException as error:  # noqa: BLE001 - handed to the test
            raised.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return raised


@pytest.mark.parametrize("where", ["file", "memory"])
def test_threads_update_one_node(where: str, tmp_path: Path) -> None:
    """Eight threads count one property up: none of their updates is lost."""
    import metastore

    store = metastore.connect(url_of(tmp_path / "store.db") if where == "file" else "sqlite://")
    store.write(sample())

    def work(_: int) -> None:
        node = store.artifact(1)
        for _ in range(15):
            store.update(node, lambda node: {"n": int(str(node.properties["n"])) + 1})

    assert _in_threads(8, work) == []
    assert store.artifact(1).properties == {"n": 120}
    store.close()


@pytest.mark.parametrize("where", ["file", "memory"])
def test_close_while_others_use_it(where: str, tmp_path: Path) -> None:
    """Closed under the hands of other threads, a store ends their calls with `ClosedError` only,
    and leaves nothing open.
    """
    import metastore

    path = tmp_path / "store.db"
    for _ in range(10):
        store = metastore.connect(url_of(path) if where == "file" else "sqlite://")
        store.write(sample(count=10, name=None))
        begun = threading.Barrier(7)

        def work(number: int, store: Any = store, begun: threading.Barrier = begun) -> None:
            begun.wait()
            if number == 6:
                store.close()
                return
            while True:
                assert len(store.artifacts()) % 10 == 0
                if number % 2:
                    store.write(sample(count=10))

        raised = _in_threads(7, work)
        assert [type(error) for error in raised] == [ClosedError] * 6
        if where == "file":
            # Who leaves last puts the log back into the file.
            assert set(fingerprint(path)) == {"store.db"}
    if where == "file":
        assert _whole(path) == "ok"


def test_a_connection_given_back_late_is_closed(tmp_path: Path) -> None:
    """What was in use when the store was closed is closed when it comes back."""
    path = tmp_path / "store.db"
    store = open_file(path)
    with store.transaction():
        store.close()
        assert set(fingerprint(path)) == {"store.db", "store.db-wal", "store.db-shm"}
    assert set(fingerprint(path)) == {"store.db"}


def test_a_store_in_memory_inside_its_own_transaction() -> None:
    """A store in memory that is asked inside a transaction of its own thread says so at once."""
    import metastore

    with metastore.connect("sqlite://") as store:
        with store.backend.transaction():
            with pytest.raises(MetastoreError, match="before or after the transaction"):
                len(store.artifacts())
            with pytest.raises(MetastoreError, match="before or after the transaction"):
                store.write(sample())
        store.write(sample())
        assert len(store.artifacts()) == 1


# The ground moves.


def test_a_relative_path_stays_the_same_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store opened by a relative path is the same file after the process changed its folder."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    store = open_file("store.db")
    store.write(sample())
    monkeypatch.chdir(tmp_path / "elsewhere")
    found: list[int] = []
    # Inside a transaction, a thread of its own needs a connection of its own.
    with store.transaction():
        assert _in_threads(1, lambda _: found.append(store.count(NodeQuery(ARTIFACT)))) == []
    assert found == [1]
    assert list((tmp_path / "elsewhere").iterdir()) == []
    store.close()


def test_a_file_that_is_gone_is_not_made_again(tmp_path: Path) -> None:
    """When the file is removed under an open store, a new connection does not make an empty one."""
    path = tmp_path / "store.db"
    store = open_file(path)
    with store.transaction():
        for name in fingerprint(path):
            path.with_name(name).unlink()
        [error] = _in_threads(1, lambda _: store.read_types(TypeQuery(ARTIFACT)))
    assert isinstance(error, StorageError)
    store.close()
    assert not path.exists()
