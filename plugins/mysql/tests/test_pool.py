"""How many connections a store has."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import closing

import pytest

from metastore import ClosedError, ForkError, NodeKind, NodeQuery, forks
from metastore.batch import Batch
from metastore.rules import Planner
from metastore_flavor_mysql import MySQLConfig, MySQLMetadataStore
from metastore_flavor_mysql._connection import Connection
from metastore_flavor_mysql._server import Connector

from .servers import Server

THREADS = 64


def connections(server: Server, config: MySQLConfig) -> int:
    """Those of a user that the server has."""
    ((count,),) = server.run(
        f"SELECT COUNT(*) FROM information_schema.processlist WHERE user = '{config.user}'"
    )
    assert isinstance(count, int)
    return count


@pytest.mark.slow
def test_the_bound_of_connections(mariadb: Server) -> None:
    """However many threads read and write, a store has no more connections than its setting, all
    threads get on, and a closed store has none.
    """
    config = mariadb.config(pool_size=5)
    store = MySQLMetadataStore.open(config)
    most, stopped = [0], threading.Event()
    errors: list[BaseException] = []

    def watch() -> None:
        while not stopped.is_set():
            most.append(connections(mariadb, config))

    def work(number: int) -> None:
        try:
            for each in range(5):
                batch = Batch()
                batch.type(NodeKind.ARTIFACT, "T")
                batch.artifact("T", name=f"{number} {each}")
                store.write(batch)
                store.read_nodes(NodeQuery(NodeKind.ARTIFACT, names=[f"{number} {each}"]))
                with store.snapshot():
                    store.read_nodes(NodeQuery(NodeKind.ARTIFACT, limit=3))
        except BaseException as error:  # noqa: BLE001 - told by the test
            errors.append(error)

    watcher = threading.Thread(target=watch)
    threads = [threading.Thread(target=work, args=(number,)) for number in range(THREADS)]
    watcher.start()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stopped.set()
    watcher.join()
    assert errors == []
    assert 1 < max(most) <= 5
    assert connections(mariadb, config) <= 5
    assert store.count(NodeQuery(NodeKind.ARTIFACT)) == 5 * THREADS
    store.close()
    _wait_for_none(mariadb, config)


def _wait_for_none(server: Server, config: MySQLConfig) -> None:
    """The server takes a moment to see that a client has left."""
    for _ in range(10_000):
        if connections(server, config) == 0:
            return
    raise AssertionError("a closed store has connections")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_fork_in_a_transaction(mariadb: Server) -> None:
    """A child that is forked while a thread writes has connections of its own, and harms none."""
    config = mariadb.config()
    with closing(MySQLMetadataStore.open(config)) as store:
        batch = Batch()
        batch.type(NodeKind.ARTIFACT, "T")
        store.write(batch)
        with store.snapshot():
            store.read_nodes(NodeQuery(NodeKind.ARTIFACT))
            child = os.fork()
            if child == 0:
                status = 1
                try:
                    other = MySQLMetadataStore.open(config)
                    status = 0 if other.count(NodeQuery(NodeKind.ARTIFACT)) == 0 else 2
                    other.close()
                finally:
                    os._exit(status)
            assert os.waitpid(child, 0)[1] == 0
            assert store.read_nodes(NodeQuery(NodeKind.ARTIFACT)) == []
        batch = Batch()
        batch.artifact("T")
        store.write(batch)
        assert store.count(NodeQuery(NodeKind.ARTIFACT)) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_snapshot_in_a_child(mariadb: Server) -> None:
    """A child that is forked inside a snapshot or a transaction never reads over its parent's
    connection: that is ForkError there, and the parent reads on.
    """
    config = mariadb.config()
    with closing(MySQLMetadataStore.open(config)) as store:
        batch = Batch()
        batch.type(NodeKind.ARTIFACT, "T")
        batch.artifact("T", name="one")
        store.write(batch)

        def child(attempt: Callable[[], object]) -> int:
            process = os.fork()
            if process == 0:
                status = 1
                try:
                    attempt()
                except ForkError:
                    status = 0
                finally:
                    os._exit(status)
            return os.waitpid(process, 0)[1]

        with store.snapshot():
            assert len(store.read_nodes(NodeQuery(NodeKind.ARTIFACT))) == 1
            assert child(lambda: store.read_nodes(NodeQuery(NodeKind.ARTIFACT))) == 0
            assert len(store.read_nodes(NodeQuery(NodeKind.ARTIFACT))) == 1
        more = Batch()
        more.artifact("T", name="two")
        with store.transaction() as transaction:
            planner = Planner(more)
            changes = planner.run(transaction.lookup)
            assert child(lambda: transaction.apply(changes)) == 0
            transaction.apply(changes)
        assert store.count(NodeQuery(NodeKind.ARTIFACT)) == 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_fork_waits_for_each_connection(mariadb: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every connection to the server is made where a fork would wait for it: a child forked in
    the middle of a handshake would wait for ever for a lock of OpenSSL's.
    """
    real, waited = Connector.connect, []

    def connect(self: Connector, *, database: str | None) -> Connection:
        waited.append((database is None, forks._connecting._inside == 1))
        return real(self, database=database)

    monkeypatch.setattr(Connector, "connect", connect)
    config = mariadb.config(create_database=True)
    mariadb.run(f"DROP DATABASE {config.database}")
    with closing(MySQLMetadataStore.open(config)) as store:
        assert store.read_nodes(NodeQuery(NodeKind.ARTIFACT)) == []
    assert set(waited) == {(False, True), (True, True)}


def test_who_waits_for_a_connection_of_a_closed_store_is_told(mariadb: Server) -> None:
    """A thread that waits for a connection ends with `ClosedError` when the store is closed, also
    while another thread keeps the connection that it waits for.
    """
    store = MySQLMetadataStore.open(mariadb.config(pool_size=1, busy_timeout=600))
    ended: list[type[BaseException]] = []

    def wait() -> None:
        try:
            store.count(NodeQuery(NodeKind.ARTIFACT))
        except BaseException as error:  # noqa: BLE001 - told by the test
            ended.append(type(error))

    with store.snapshot():
        waiting = threading.Thread(target=wait, daemon=True)
        waiting.start()
        store.close()
        waiting.join(timeout=60)
    assert ended == [ClosedError]
