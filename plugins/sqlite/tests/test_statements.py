"""How many statements the common calls take: a number, whatever there is to write or to read."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

import pytest

from metastore import (
    Batch,
    EventQuery,
    EventType,
    LinkKind,
    LinkQuery,
    Merge,
    NodeKind,
    NodeQuery,
    NotFoundError,
    PropertyKind,
    Reuse,
    Store,
)
from metastore.base import cursor_of
from metastore.query import TypeQuery
from metastore.rules import Planner
from metastore.sql import Session
from metastore.testing.lineage import history

from .helpers import ARTIFACT, CONTEXT, EXECUTION, connect, sample, write_run_like


class Counted:
    """What was sent to the database inside a `counting` block, but for PRAGMA data_version."""

    def __init__(self) -> None:
        self.statements: list[str] = []
        """Queries and statements; an executemany, of any number of rows, is one."""
        self.brackets: list[str] = []
        """BEGIN, BEGIN IMMEDIATE, COMMIT and ROLLBACK."""

    @property
    def writes(self) -> int:
        """The number of transactions that may write."""
        return self.brackets.count("BEGIN IMMEDIATE")


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> Callable[[], Any]:
    """A function that counts inside a with block."""
    active: list[Counted] = []

    def note(text: str) -> None:
        for counted in active:
            counted.statements.append(text)

    def watch(name: str) -> None:
        original = getattr(Session, name)

        def watched(self: Session, statement: Any, *arguments: Any, **values: Any) -> Any:
            note(statement if isinstance(statement, str) else statement.text)
            return original(self, statement, *arguments, **values)

        monkeypatch.setattr(Session, name, watched)

    for name in ("execute", "many", "insert"):
        watch(name)

    from metastore_flavor_sqlite._database import SQLiteDatabase
    from metastore_flavor_sqlite._session import SQLiteSession

    read = SQLiteSession.read

    def watched_read(self: SQLiteSession, take: Any, statement: Any, **values: Any) -> Any:
        note(statement.text)
        return read(self, take, statement, **values)

    monkeypatch.setattr(SQLiteSession, "read", watched_read)

    # BEGIN and COMMIT go past the session: SQLite itself says which it got.

    connect_ = SQLiteDatabase._connect

    def watched_connect(self: SQLiteDatabase) -> Any:
        connection = connect_(self)

        def trace(text: str) -> None:
            if text.split(maxsplit=1)[0] in ("BEGIN", "COMMIT", "ROLLBACK"):
                for counted in active:
                    counted.brackets.append(text)

        connection.set_trace_callback(trace)
        return connection

    monkeypatch.setattr(SQLiteDatabase, "_connect", watched_connect)

    @contextmanager
    def count() -> Iterator[Counted]:
        counted = Counted()
        active.append(counted)
        try:
            yield counted
        finally:
            active.remove(counted)

    return count


@pytest.fixture
def store(tmp_path: Path, counting: Any) -> Iterator[Store]:
    """An empty store in a file, all its statements counted."""
    with connect(tmp_path / "store.db") as store:
        yield store


def _inputs_and_outputs(store: Store, count: int) -> None:
    """A batch with one execution that reads and writes so many artifacts, all of it linked."""
    write_run_like(store, outputs=count)


def _plain_artifacts(store: Store, count: int) -> None:
    store.write(sample(count=count))


def _reused(store: Store, count: int) -> None:
    batch = Batch()
    batch.type(ARTIFACT, "T", {"n": PropertyKind.INT})
    for number in range(count):
        batch.artifact("T", uri=f"/data/{number}", mode=Reuse("uri"))
    store.write(batch)


def _updates(store: Store, count: int) -> None:
    batch = Batch()
    for id in range(1, count + 1):
        batch.artifact(custom_properties={"k": id + count / 7}, mode=Merge(id))
    store.write(batch)


def _parents(store: Store, count: int) -> None:
    batch = Batch()
    batch.type(CONTEXT, "T", {"n": PropertyKind.INT})
    refs = [batch.context("T", name=f"{count} {number}") for number in range(count + 1)]
    for child, parent in pairwise(refs):
        batch.parent(child, parent)
    store.write(batch)


@pytest.mark.parametrize(
    ("write", "most"),
    [
        # what is asked, then each table once: types and last ids are still known
        (_inputs_and_outputs, 9),
        (_plain_artifacts, 2),
        (_reused, 1),
        (_updates, 5),
        (_parents, 3),
    ],
)
def test_a_batch_of_any_size_takes_the_same_statements(
    write: Callable[[Store, int], None], most: int, store: Store, counting: Any
) -> None:
    """10 and 1,000 rows take the same handful of steps in one transaction, and one row no more.

    A step is a statement; the inserts of properties, which come in portions, are one of each table.
    """
    # The first use of the types is not what is counted.
    write_run_like(store, outputs=1_100)
    write(store, 2)
    taken = []
    for size in (1, 10, 1_000):
        with counting() as counted:
            write(store, size)
        taken.append(_steps(counted.statements))
        assert counted.writes == 1
        assert counted.brackets[-2:] == ["BEGIN IMMEDIATE", "COMMIT"]
        assert len(taken[-1]) <= most
        # Three kinds of values, 16 nodes a portion.
        assert len(counted.statements) - len(taken[-1]) <= 3 * (size + 1) / 16
    assert taken[1] == taken[2]
    assert len(taken[0]) <= len(taken[1])


def _steps(statements: list[str]) -> list[str]:
    """Verb and first table of each, those in a row that are the same as one."""
    steps = [" ".join(re.findall(r'^\w+|"\w+"', text)[:2]) for text in statements]
    return [step for step, _ in groupby(steps)]


def test_what_others_wrote_is_noticed(tmp_path: Path, store: Store, counting: Any) -> None:
    """Types and last ids are kept from batch to batch as long as nobody else writes, or rolls
    back what they are from; then they are read anew, and two writers never give one id twice.
    """
    store.write(sample(count=1))
    store.write(sample(count=1))
    with counting() as kept:
        store.write(sample(count=1))
    with connect(tmp_path / "store.db") as other:
        other.write(sample(count=1))
        with counting() as anew:
            store.write(sample(count=1))
        other.write(sample(count=1))
    assert len(anew.statements) == len(kept.statements) + 2
    batch = sample(count=1)
    batch.type(ARTIFACT, "New")
    with pytest.raises(ZeroDivisionError), store.backend.transaction() as transaction:
        planner = Planner(batch)
        transaction.apply(planner.run(transaction.lookup))
        raise ZeroDivisionError
    batch = Batch()
    batch.artifact("New")
    with pytest.raises(NotFoundError):
        store.write(batch)
    store.write(sample(count=1))
    assert [each.id for each in store.artifacts()] == [1, 2, 3, 4, 5, 6, 7]


def test_the_first_use_of_a_type_takes_a_few_more(store: Store, counting: Any) -> None:
    """A type that is new takes at most six statements more than one that is known."""
    with counting() as first:
        store.write(sample(count=10))
    with counting() as second:
        store.write(sample(count=10))
    assert len(second.statements) < len(first.statements) <= len(second.statements) + 6


@pytest.mark.parametrize("kind", NodeKind, ids=lambda kind: kind.label)
@pytest.mark.parametrize("limit", [1, 100, 1_000])
def test_a_page_of_nodes_is_two_statements(
    kind: NodeKind, limit: int, store: Store, counting: Any
) -> None:
    """A page of nodes with their properties is two statements, between one BEGIN and one COMMIT."""
    store.write(sample(kind, count=1_200))
    with counting() as counted:
        page = store.backend.read_nodes(NodeQuery(kind, limit=limit))
    assert len(page) == limit
    assert all(node.properties for node in page)
    assert len(counted.statements) == 2
    assert counted.brackets == ["BEGIN", "COMMIT"]


@pytest.mark.parametrize("limit", [None, 3, 700])
def test_to_make_a_list_counts_nothing_where_a_page_says_it(
    limit: int | None, store: Store, counting: Any
) -> None:
    """`list` asks for the length first; of what fits on a page, no count is asked for."""
    store.write(sample(count=5))
    with counting() as counted:
        found = list(store.artifacts(limit=limit))
    assert len(found) == min(limit or 5, 5)
    assert not any("count(" in text for text in counted.statements)


def test_a_page_of_some_nodes_asks_how_large_the_store_is(store: Store, counting: Any) -> None:
    """What narrows a list costs one statement more on its first page, and none on the next."""
    store.write(sample(count=1_200))
    query = NodeQuery(ARTIFACT, type_names=["T"], limit=100)
    with counting() as first:
        page = store.backend.read_nodes(query)
    with counting() as second:
        store.backend.read_nodes(replace(query, after=cursor_of(page[-1], query.order_by)))
    assert (len(first.statements), len(second.statements)) == (3, 2)


@pytest.mark.parametrize(
    ("read", "statements"),
    [
        (lambda store: store.read_events(EventQuery(execution_ids=[1])), 1),
        (lambda store: store.read_events(EventQuery()), 2),
        (lambda store: store.read_links(LinkQuery(LinkKind.ATTRIBUTION)), 1),
        (lambda store: store.read_types(TypeQuery(ARTIFACT)), 3),
        (lambda store: [store.count(NodeQuery(ARTIFACT))], 1),
        (lambda store: store.read_nodes(NodeQuery(ARTIFACT, context_ids=[1])), 2),
        (lambda store: store.read_nodes(NodeQuery(ARTIFACT, names=["none"])) or [1], 1),
    ],
    ids=["events of one", "all events", "links", "types", "count", "members", "nothing found"],
)
def test_other_reads(read: Any, statements: int, store: Store, counting: Any) -> None:
    """Events with their paths are two statements, types three; links, counts, a few events one."""
    write_run_like(store, outputs=500)
    with counting() as counted:
        found = read(store.backend)
    assert found
    assert len(counted.statements) == statements
    assert counted.brackets == ["BEGIN", "COMMIT"]


@pytest.mark.parametrize("outputs", [0, 1, 50])
def test_a_recorded_step_is_two_writes(outputs: int, store: Store, counting: Any) -> None:
    """A step is written twice, when it starts and when it ends, whatever it recorded."""
    known = [each.id for each in write_run_like(store, outputs=outputs).artifacts]
    run = store.run("pipeline").start()
    with counting() as counted, run.step("step", parameters={"a": 1, "b": "two"}) as step:
        assert counted.writes == 1
        step.input("known", known)
        for number in range(outputs):
            step.output(
                f"out {number}",
                type="Model",
                uri=f"/model/{number}",
                properties={"score": 0.5},
                custom_properties={"by": "us"},
            )
            step.metric(f"metric {number}", number)
        assert counted.writes == 1
    assert counted.writes == 2
    with counting() as counted:
        run.finish()
    assert counted.writes == 1


def test_a_page_of_runs_does_not_ask_run_by_run(store: Store, counting: Any) -> None:
    """A page of runs takes the same statements for 6 runs as for 60, in each convention."""
    for number in range(60):
        with store.run(f"pipeline {number % 3}") as run, run.step("step"):
            pass
    assert _statements(counting, lambda: list(store.runs(limit=6))) == _statements(
        counting, lambda: list(store.runs(limit=60))
    )
    assert _statements(counting, lambda: list(store.runs(limit=60))) <= 7


def _statements(counting: Any, read: Callable[[], Any]) -> int:
    with counting() as counted:
        assert read()
    return len(counted.statements)


def test_a_page_of_runs_of_tfx_does_not_ask_run_by_run(store: Store, counting: Any) -> None:
    """The same of runs that have no state of their own: it follows from their steps, in bulk."""
    batch = Batch()
    for name in ("pipeline", "pipeline_run", "node"):
        batch.type(CONTEXT, name)
    batch.type(EXECUTION, "T")
    batch.type(ARTIFACT, "T")
    pipeline = batch.context("pipeline", name="p")
    node = batch.context("node", name="p.trainer")
    for number in range(60):
        run = batch.context("pipeline_run", name=f"run {number}")
        execution = batch.execution("T", state=3)  # type: ignore[arg-type]  # COMPLETE
        artifact = batch.artifact("T")
        batch.event(artifact, execution, EventType.OUTPUT)
        for context in (pipeline, run, node):
            batch.association(context, execution)
    store.write(batch)
    few = _statements(counting, lambda: list(store.runs(limit=6)))
    assert few == _statements(counting, lambda: list(store.runs(limit=60)))
    assert few <= 16


def test_lineage_asks_by_whole_frontiers(store: Store, counting: Any) -> None:
    """A lineage of one hop takes the same statements whether it meets 20 artifacts or 200."""
    counts = []
    for outputs in (20, 200):
        batch = Batch()
        batch.type(EXECUTION, "T")
        batch.type(ARTIFACT, "T")
        source, execution = batch.artifact("T"), batch.execution("T")
        batch.event(source, execution, EventType.INPUT)
        for _ in range(outputs):
            batch.event(batch.artifact("T"), execution, EventType.OUTPUT)
        first = store.artifact(store.write(batch)[source].id)
        with counting() as counted:
            found = first.lineage(upstream=False, downstream=True)
        assert len(found.artifacts) == 1 + outputs
        counts.append(len(counted.statements))
    assert counts[0] == counts[1] <= 16


@pytest.mark.parametrize("steps", [5, 100])
def test_lineage_is_as_many_statements_however_far(steps: int, store: Store, counting: Any) -> None:
    """The walk, what its nodes are, and which steps of which runs: whatever the number of hops."""
    store.backend.write(history(steps, reads_all=False))
    last = store.artifact(steps)
    last.lineage()
    with counting() as counted:
        found = last.lineage(max_hops=20)
    assert len(found.executions) == min(steps, 10)
    assert len(counted.statements) == 6
