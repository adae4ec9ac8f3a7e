"""Ids that the server gives while other programs insert, too, and statements sent ahead."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pymysql
import pytest

from metastore import EventQuery, EventType, MetastoreError, NodeKind, NodeQuery
from metastore.batch import Batch
from metastore_flavor_mysql import MySQLConfig, MySQLMetadataStore
from metastore_flavor_mysql import _connection as connection_module

from .servers import Cluster, Server

ARTIFACT = NodeKind.ARTIFACT


@contextmanager
def others_insert(servers: list[Server], database: str) -> Iterator[None]:
    """Programs that insert artifacts of their own, and take turns with nobody."""
    stopped = threading.Event()

    def insert(server: Server) -> None:
        with (
            closing(server.connect(database=database)) as connection,
            connection.cursor() as cursor,
        ):
            while not stopped.is_set():
                try:
                    cursor.execute("INSERT INTO Artifact (type_id, uri) VALUES (1, 'x')")
                except pymysql.OperationalError:
                    continue  # a conflict of a cluster

    threads = [threading.Thread(target=insert, args=(server,)) for server in servers * 2]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stopped.set()
        for thread in threads:
            thread.join()


def steps(number: int) -> Batch:
    """Twenty artifacts, each with the execution that made it, and an event between them."""
    batch = Batch()
    for kind in (ARTIFACT, NodeKind.EXECUTION):
        batch.type(kind, "T")
    for each in range(20):
        label = f"{number} {each}"
        execution = batch.execution("T", custom_properties={"label": label})
        artifact = batch.artifact("T", uri=label, custom_properties={"label": label})
        batch.event(artifact, execution, EventType.OUTPUT, path=[label])
    return batch


def check_ids(config: MySQLConfig, servers: list[Server], batches: int = 30) -> None:
    """Each property, event and path belongs to the node that it was written with."""
    with closing(MySQLMetadataStore.open(config)) as store:
        with others_insert(servers, config.database):
            written = [store.write(steps(number)) for number in range(batches)]
        ids = [each.id for batch in written for each in batch.nodes[ARTIFACT]]
        assert len(set(ids)) == 20 * batches
        for artifact in store.read_nodes(NodeQuery(ARTIFACT, ids=ids)):
            assert artifact.custom_properties == {"label": artifact.uri}  # type: ignore[union-attr]
        events = store.read_events(EventQuery())
        assert len(events) == 20 * batches
        executions = {
            node.id: node.custom_properties["label"]
            for node in store.read_nodes(NodeQuery(NodeKind.EXECUTION))
        }
        artifacts = {
            node.id: node.custom_properties.get("label")
            for node in store.read_nodes(NodeQuery(ARTIFACT))
        }
        for event in events:
            label = executions[event.execution_id]
            assert artifacts[event.artifact_id] == label
            assert event.path == (label,)


@pytest.mark.slow
def test_ids_on_mariadb(mariadb: Server) -> None:
    """What belongs together is together, while others insert between our statements."""
    check_ids(mariadb.config(), [mariadb])


@pytest.mark.slow
def test_ids_on_mysql(mysql9: Server) -> None:
    """Also on a server that says the first id only."""
    check_ids(mysql9.config(), [mysql9])


@pytest.mark.slow
def test_ids_on_galera(galera: Cluster) -> None:
    """Also where ids go by steps, and other nodes insert, too."""
    check_ids(galera.config(), galera.nodes)


@pytest.mark.parametrize("table", ["ArtifactProperty", "EventPath", "Event", "Execution"])
def test_an_error_of_a_statement_that_was_sent_ahead(mariadb: Server, table: str) -> None:
    """A statement that fails while others are on their way fails the whole batch, and answers are
    never taken for those of other statements.
    """
    config = mariadb.config()
    with closing(MySQLMetadataStore.open(config)) as store:
        store.write(steps(0))
        mariadb.run(
            f"CREATE TRIGGER refuse BEFORE INSERT ON {table} FOR EACH ROW"
            " SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'confidential'",
            database=config.database,
        )
        before = store.count(NodeQuery(ARTIFACT))
        for _ in range(3):
            with pytest.raises(MetastoreError) as raised:
                store.write(steps(1))
            assert "confidential" not in str(raised.value)
            assert store.count(NodeQuery(ARTIFACT)) == before
        mariadb.run("DROP TRIGGER refuse", database=config.database)
        store.write(steps(2))
        assert store.count(NodeQuery(ARTIFACT)) == before + 20
        uris = [node.uri for node in store.read_nodes(NodeQuery(ARTIFACT))]  # type: ignore[union-attr]
        assert uris == [f"{number} {each}" for number in (0, 2) for each in range(20)]


def test_a_driver_that_cannot_send_ahead(mariadb: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a driver of other insides each answer is waited for, and all is written as well."""
    monkeypatch.setattr(connection_module, "_CAN_SEND", False)
    config = mariadb.config()
    with closing(MySQLMetadataStore.open(config)) as store:
        store.write(steps(0))
        assert store.count(NodeQuery(ARTIFACT)) == 20
