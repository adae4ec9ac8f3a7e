"""Ids that the server gives while other programs insert, too, and statements sent ahead."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import cast

import pymysql
import pytest

from metastore import EventQuery, EventType, MetastoreError, NodeKind, NodeQuery
from metastore.batch import Batch
from metastore_flavor_mysql import MySQLConfig, MySQLMetadataStore
from metastore_flavor_mysql import _connection as connection_module
from metastore_flavor_mysql._database import MySQLDatabase, _Session
from metastore_flavor_mysql._writers import Writer

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


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mariadb", "mysql9"])
def test_an_increment_that_changes(request: pytest.FixtureRequest, name: str) -> None:
    """Each session goes by the increment that it has, whatever newer ones have."""
    server: Server = request.getfixturevalue(name)
    config = server.config()
    with closing(MySQLMetadataStore.open(config)) as store:
        numbers = iter(range(1000))
        for increment in (1, 5, 3):
            server.run(f"SET GLOBAL auto_increment_increment = {increment}")
            # A snapshot keeps the connection that there is, so that a new one is made.
            with store.snapshot():
                store.read_nodes(NodeQuery(ARTIFACT))
                writing = threading.Thread(target=lambda: store.write(steps(next(numbers))))
                writing.start()
                writing.join()
            for _ in range(3):
                store.write(steps(next(numbers)))
        server.run("SET GLOBAL auto_increment_increment = 1")
        nodes = store.read_nodes(NodeQuery(ARTIFACT))
        assert len(nodes) == 20 * next(numbers)
        for node in nodes:
            assert node.custom_properties == {"label": node.uri}  # type: ignore[union-attr]


@pytest.mark.parametrize("table", ["Attribution", "Association"])
@pytest.mark.parametrize("name", ["mariadb", "mysql9"])
def test_links_that_a_constraint_refuses(
    request: pytest.FixtureRequest, name: str, table: str
) -> None:
    """A link that the database refuses fails the batch; one that is there already does not."""
    server: Server = request.getfixturevalue(name)
    column = "artifact_id" if table == "Attribution" else "execution_id"
    config = server.config()
    with closing(MySQLMetadataStore.open(config)) as store:
        batch = Batch()
        for kind in NodeKind:
            batch.type(kind, "T")
        context = batch.context("T", name="c")
        artifacts = [batch.artifact("T") for _ in range(3)]
        executions = [batch.execution("T") for _ in range(3)]
        for artifact, execution in zip(artifacts, executions, strict=True):
            batch.attribution(context, artifact)
            batch.association(context, execution)
        written = store.write(batch)
        known = written.nodes[NodeKind.CONTEXT][0].id
        again = Batch()
        for kind, link in ((ARTIFACT, again.attribution), (NodeKind.EXECUTION, again.association)):
            for each in written.nodes[kind]:
                link(known, each.id)
        store.write(again)
        before = server.run(f"SELECT * FROM {table} ORDER BY id", database=config.database)
        assert len(before) == 3
        server.run(
            f"ALTER TABLE {table} ADD CONSTRAINT few CHECK ({column} <= {before[-1][2]})",
            database=config.database,
        )
        more = Batch()
        for link, draft in (
            (more.attribution, more.artifact("T")),
            (more.association, more.execution("T")),
        ):
            link(known, draft)
        with pytest.raises(MetastoreError, match="constraint"):
            store.write(more)
        assert server.run(f"SELECT * FROM {table} ORDER BY id", database=config.database) == before
        assert store.count(NodeQuery(ARTIFACT)) == 3


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


def test_the_outcome_of_one_transaction_after_the_other(mariadb: Server) -> None:
    """Each question about a connection's transaction is about its last one, which may be there or
    not, also where the connection lived on after an earlier question.
    """
    config = mariadb.config()
    with closing(MySQLMetadataStore.open(config)) as store:
        database = cast("MySQLDatabase", store._database)
        writer = Writer()

        def transact(*, commit: bool) -> bool | None:
            with database.creation() as session:
                assert isinstance(session, _Session)
                session.writer = None
                writer.take_turn(session)
                if not commit:
                    session.execute("ROLLBACK")
            session.writer = writer
            return database.was_committed(session)

        outcomes = [True, False, True, True, False, False, True]
        assert [transact(commit=each) for each in outcomes] == outcomes
