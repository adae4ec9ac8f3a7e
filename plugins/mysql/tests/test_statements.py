"""How many statements an operation sends, and for how many it does not wait: ways to the server.

No timed test would hold: what a way costs is the network's affair.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from metastore import Batch, EventType, NodeKind, NodeQuery, PropertyKind, Store
from metastore.base import BaseMetadataStore
from metastore.query import EventQuery
from metastore.testing.lineage import history
from metastore_flavor_mysql import MySQLMetadataStore
from metastore_flavor_mysql._connection import Connection

from .servers import Server

ARTIFACT, EXECUTION, CONTEXT = NodeKind.ARTIFACT, NodeKind.EXECUTION, NodeKind.CONTEXT
KINDS = {"i": PropertyKind.INT, "d": PropertyKind.DOUBLE, "s": PropertyKind.STRING}


Counting = Callable[[Callable[[], object]], tuple[int, int]]


@pytest.fixture
def store(mariadb: Server) -> Iterator[BaseMetadataStore]:
    """A store with types, two artifacts and two contexts, whose statements are prepared."""
    with closing(MySQLMetadataStore.open(mariadb.config(mariadb.new_database()))) as store:
        batch = Batch()
        for kind in (ARTIFACT, EXECUTION):
            batch.type(kind, "T", KINDS)
        batch.type(CONTEXT, "T")
        for name in ("a", "b"):
            batch.artifact("T", properties={"i": 1})
            batch.context("T", name=name)
        store.write(batch)
        yield store


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Counting:
    """A function that says how many statements another one sends, COMMIT and ROLLBACK included,
    and how many of them it sends without waiting for the answer.
    """
    count = [0, 0]
    execute, send = Connection._execute_command, Connection.send

    def executed(self: Connection, command: int, sql: str | bytes) -> None:
        count[0] += 1
        execute(self, command, sql)

    def sent_ahead(self: Connection, statement: str) -> None:
        count[1] += 1
        send(self, statement)

    monkeypatch.setattr(Connection, "_execute_command", executed)
    monkeypatch.setattr(Connection, "send", sent_ahead)

    def of(operation: Callable[[], object]) -> tuple[int, int]:
        # The first time, types are learned.
        operation()
        count[:] = [0, 0]
        operation()
        return count[0], count[1]

    return of


def test_an_artifact_is_four_statements(store: BaseMetadataStore, sent: Counting) -> None:
    """The turn, the artifact, its properties whatever their kinds, sent ahead, and COMMIT."""

    def write() -> None:
        batch = Batch()
        batch.artifact("T", properties={"i": 1, "d": 0.5, "s": "x"})
        store.write(batch)

    assert sent(write) == (4, 1)


def _step(store: BaseMetadataStore, outputs: int) -> None:
    batch = Batch()
    execution = batch.execution("T", properties={"i": 1, "s": "x"})
    for known in (1, 2):
        batch.event(known, execution, EventType.INPUT, path=["in", 0])
        batch.attribution(1, known)
    for _ in range(outputs):
        artifact = batch.artifact("T", properties={"i": 1, "d": 0.5})
        batch.event(artifact, execution, EventType.OUTPUT, path=["out", 0])
        batch.attribution(2, artifact)
    batch.association(1, execution)
    store.write(batch)


@pytest.mark.parametrize(("outputs", "ahead"), [(2, 5), (20, 3)])
def test_a_step_is_eleven_statements(
    outputs: int, ahead: int, store: BaseMetadataStore, sent: Counting
) -> None:
    """The turn, what exists, each table once, and COMMIT, whatever the number of outputs; what
    answers nothing is sent ahead: links, and properties and paths where they are few.
    """
    assert sent(lambda: _step(store, outputs)) == (11, ahead)


@pytest.mark.parametrize(
    ("read", "statements"),
    [
        (lambda store: store.read_nodes(NodeQuery(CONTEXT, names=["a"])), 1),
        (lambda store: store.read_nodes(NodeQuery(ARTIFACT, ids=[1])), 1),
        (lambda store: store.read_nodes(NodeQuery(ARTIFACT, limit=100)), 2),
        (lambda store: store.read_nodes(NodeQuery(ARTIFACT, ids=[])), 0),
        (lambda store: store.read_events(EventQuery(artifact_ids=[1])), 1),
        (lambda store: store.read_events(EventQuery()), 2),
        (lambda store: store.count(NodeQuery(ARTIFACT)) and [1], 1),
    ],
    ids=["by name", "by id", "a page", "of none", "events of one", "all events", "count"],
)
def test_reads(
    read: Callable[[BaseMetadataStore], list[object]],
    statements: int,
    store: BaseMetadataStore,
    sent: Counting,
) -> None:
    """A read is one statement or two, and a ROLLBACK that nobody waits for."""
    _step(store, 2)
    ended = 1 if statements else 0
    assert sent(lambda: read(store)) == (statements + ended, ended)


@pytest.mark.parametrize("steps", [5, 100])
def test_lineage_is_as_many_ways_however_far(steps: int, mariadb: Server, sent: Counting) -> None:
    """The walk, what its nodes are, and which steps of which runs: whatever the number of hops."""
    with closing(MySQLMetadataStore.open(mariadb.config())) as store:
        store.write(history(steps, reads_all=False))
        last = Store(store).artifact(steps)
        last.lineage()
        statements, ahead = sent(lambda: last.lineage(max_hops=20))
        assert statements - ahead == 6
