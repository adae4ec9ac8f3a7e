"""What cannot be opened or written: one line that says what to do, and no secret in it."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pymysql
import pytest

from metastore import (
    AlreadyExistsError,
    Batch,
    BusyError,
    DamagedStoreError,
    InvalidError,
    MetastoreError,
    NodeKind,
    NodeQuery,
    NotAStoreError,
    OpenError,
    OutcomeUnknownError,
    SchemaVersionError,
    StorageError,
    StoreNotFoundError,
)
from metastore.rules import Planner
from metastore.sql.writing import SQLTransaction
from metastore.testing._base import whole_text
from metastore_flavor_mysql import MySQLConfig, MySQLMetadataStore

from . import servers
from .certificates import Certificates
from .servers import Cluster, Server

ARTIFACT = NodeKind.ARTIFACT


def batch(name: str | None = None, **fields: Any) -> Batch:
    """One artifact."""
    made = Batch()
    made.type(ARTIFACT, "T")
    made.artifact("T", name=name, **fields)
    return made


def names(store: MySQLMetadataStore) -> list[str | None]:
    """Of all artifacts."""
    return [node.name for node in store.read_nodes(NodeQuery(ARTIFACT))]


def refusal(config: MySQLConfig, **how: Any) -> MetastoreError:
    """The error of an open that fails, which is one line and shows no password."""
    with pytest.raises(MetastoreError) as raised:
        MySQLMetadataStore.open(config, **how)
    told = whole_text(raised.value)
    told += "".join(traceback.format_exception(raised.value))
    assert config.password is not None
    assert config.password.reveal() not in told
    assert "\n" not in str(raised.value)
    assert raised.value.hint
    return raised.value


# TLS.


@pytest.fixture
def on_tls(tls: Server, certificates: Certificates) -> Callable[..., MySQLConfig]:
    """The config of a store on the server with TLS, with its CA, and by its name."""
    database = tls.new_database()
    MySQLMetadataStore.open(tls.config(database)).close()

    def config(**fields: Any) -> MySQLConfig:
        return tls.config(database, **{"host": "localhost", "tls_ca": certificates.ca, **fields})

    return config


def cipher(config: MySQLConfig) -> str:
    """What the session is encrypted with."""
    with closing(MySQLMetadataStore.open(config)) as store:
        database: Any = store._database
        with database.session(write=False) as session:
            session.execute("SHOW STATUS LIKE 'Ssl_cipher'")
            ((_, found),) = session.cursor.fetchall()
    assert isinstance(found, str)
    return found


def test_a_server_that_is_who_it_says(on_tls: Callable[..., MySQLConfig]) -> None:
    """With its CA and by its name a server is talked to in secret; ``tls=false`` talks openly."""
    assert cipher(on_tls())
    assert cipher(on_tls(tls_verify="ca", host="127.0.0.1"))
    assert cipher(on_tls(tls_ca=None, tls_verify="none"))
    assert not cipher(on_tls(tls_ca=None, tls=False))


@pytest.mark.parametrize(
    "asked", [{"tls": True}, {"tls_verify": "full"}, {"tls_verify": "ca"}], ids=str
)
def test_a_ca_that_nobody_knows(
    on_tls: Callable[..., MySQLConfig], asked: dict[str, Any], certificates: Certificates
) -> None:
    """Whoever asks for TLS in any way gets no connection to a server of another CA."""
    for ca in (None, certificates.other_ca):
        error = refusal(on_tls(**asked, tls_ca=ca))
        assert isinstance(error, OpenError)
        assert "of a CA that is not trusted" in str(error)
        assert "?tls_ca=FILE" in str(error)


def test_another_host_name(on_tls: Callable[..., MySQLConfig]) -> None:
    """A certificate for another name is refused."""
    error = refusal(on_tls(host="127.0.0.1"))
    assert isinstance(error, OpenError)
    assert "is for another name" in str(error)


@pytest.mark.slow
@pytest.mark.usefixtures("wants_mariadb")
def test_an_expired_certificate(certificates: Certificates) -> None:
    """A certificate that has expired is refused."""
    with (
        servers.temporary_folder("tls") as folder,
        servers.mariadb(*certificates.server_options(folder, expired=True)) as server,
    ):
        error = refusal(server.config(host="localhost", tls_ca=certificates.ca))
    assert isinstance(error, OpenError)
    assert "has expired" in str(error)


@pytest.mark.slow
@pytest.mark.usefixtures("wants_mariadb")
def test_a_server_without_tls(certificates: Certificates) -> None:
    """A server that has no TLS gets nothing from whoever asks for it."""
    with servers.mariadb("--skip-ssl") as server:
        error = refusal(server.config(tls_ca=certificates.ca))
        assert isinstance(error, OpenError)
        assert "TLS was asked for" in str(error)
        MySQLMetadataStore.open(server.config()).close()


def test_client_certificates(
    on_tls: Callable[..., MySQLConfig], tls: Server, certificates: Certificates
) -> None:
    """An account that must show a certificate is let in with one of the server's CA only."""
    config = on_tls()
    tls.run(f"ALTER USER {config.user}@'%' REQUIRE X509")
    certificate, key = certificates.client
    assert cipher(on_tls(tls_cert=certificate, tls_key=key))
    error = refusal(config)
    assert isinstance(error, OpenError)
    assert "tls_cert and tls_key" in str(error)
    certificate, key = certificates.other_client
    error = refusal(on_tls(tls_cert=certificate, tls_key=key))
    assert isinstance(error, OpenError)


def test_files_that_are_none(
    on_tls: Callable[..., MySQLConfig], tmp_path: Path, certificates: Certificates
) -> None:
    """A file that is not there, or holds no certificate, is OpenError that names the setting."""
    text = tmp_path / "text"
    text.write_text("no certificate")
    for path in (tmp_path / "none", text):
        error = refusal(on_tls(tls_ca=path))
        assert isinstance(error, OpenError)
        assert "tls_ca" in str(error)
        error = refusal(on_tls(tls_cert=certificates.client[0], tls_key=path))
        assert isinstance(error, OpenError)
        assert "tls_key" in str(error)


# Logging in, and what is there.


def test_a_wrong_password(mariadb: Server) -> None:
    """A wrong password is OpenError, which says so and not what it was."""
    config = mariadb.config()
    error = refusal(mariadb.config(config.database, password="wrong-wrong"))
    assert isinstance(error, OpenError)
    assert "refused user or password" in str(error)


def test_a_wrong_password_on_mysql(mysql9: Server) -> None:
    """Also for the way in which MySQL logs in."""
    config = mysql9.config()
    error = refusal(mysql9.config(config.database, password="wrong-wrong", tls=False))
    assert isinstance(error, OpenError)
    assert "refused user or password" in str(error)
    MySQLMetadataStore.open(mysql9.config(config.database, tls=False)).close()


def test_nobody_listens(mariadb: Server) -> None:
    """A port where nobody listens is OpenError at once."""
    (port,) = servers.free_ports(1)
    error = refusal(mariadb.config(port=port))
    assert isinstance(error, OpenError)
    assert "cannot be reached" in str(error)


def test_a_database_that_is_not_there(mariadb: Server) -> None:
    """An unknown database is StoreNotFoundError; ``create_database`` makes it."""
    config = mariadb.config()
    missing = f"{config.database}_more"
    mariadb.run(f"GRANT ALL ON {missing}.* TO {config.user}@'%'")
    config = config.model_copy(update={"database": missing})
    error = refusal(config)
    assert isinstance(error, StoreNotFoundError)
    assert "create_database=true" in str(error)
    making = config.model_copy(update={"create_database": True})
    for how in ({"mode": "r"}, {"create": False}):
        assert isinstance(refusal(making, **how), StoreNotFoundError)
    with closing(MySQLMetadataStore.open(making)) as store:
        store.write(batch("one"))
    with closing(MySQLMetadataStore.open(making)) as store:
        assert names(store) == ["one"]


def test_a_database_without_rights(mariadb: Server) -> None:
    """A database of others is OpenError that tells of rights."""
    config, other = mariadb.config(), mariadb.config()
    error = refusal(config.model_copy(update={"database": other.database}))
    assert isinstance(error, OpenError)
    assert "no right to the database" in str(error)


def test_a_right_that_is_missing(mariadb: Server) -> None:
    """Who may not make tables is told of the right, and no table is there."""
    config = mariadb.config()
    mariadb.run(f"REVOKE CREATE ON {config.database}.* FROM {config.user}@'%'")
    error = refusal(config)
    assert isinstance(error, OpenError)
    assert "lacks CREATE" in str(error)
    assert mariadb.run("SHOW TABLES", database=config.database) == ()


def test_another_programs_database(mariadb: Server) -> None:
    """A database with other tables is NotAStoreError, and stays as it is."""
    config = mariadb.config()
    mariadb.run("CREATE TABLE orders (id INT PRIMARY KEY)", database=config.database)
    error = refusal(config)
    assert isinstance(error, NotAStoreError)
    assert "another program" in str(error)
    assert mariadb.run("SHOW TABLES", database=config.database) == (("orders",),)


@pytest.mark.parametrize(("version", "word"), [(9, "schema version 9"), (11, "upgrade")])
def test_another_schema_version(mariadb: Server, version: int, word: str) -> None:
    """An older or newer schema is SchemaVersionError, and is left as it is."""
    config = mariadb.config()
    MySQLMetadataStore.open(config).close()
    mariadb.run(f"UPDATE MLMDEnv SET schema_version = {version}", database=config.database)
    error = refusal(config)
    assert isinstance(error, SchemaVersionError)
    assert word in str(error)


def test_tables_that_are_missing(mariadb: Server) -> None:
    """A store that lacks a table is DamagedStoreError."""
    config = mariadb.config()
    MySQLMetadataStore.open(config).close()
    mariadb.run("DROP TABLE EventPath", database=config.database)
    assert isinstance(refusal(config), DamagedStoreError)


@pytest.mark.parametrize("tables", [1, 7, 16])
def test_a_store_that_was_not_finished(mariadb: Server, tables: int) -> None:
    """Where making a store was interrupted, whoever opens it for writing finishes it."""
    config = mariadb.config()
    MySQLMetadataStore.open(config).close()
    there = [name for (name,) in mariadb.run("SHOW TABLES", database=config.database)]
    kept = sorted(there, key=lambda name: name != "MLMDEnv")[:tables]
    for name in there:
        what = "DELETE FROM" if name in kept else "DROP TABLE"
        mariadb.run(f"{what} {name}", database=config.database)
    for how in ({"mode": "r"}, {"create": False}):
        assert isinstance(refusal(config, **how), DamagedStoreError)
    with closing(MySQLMetadataStore.open(config)) as store:
        store.write(batch("one"))
        assert names(store) == ["one"]


# Hosts.


def test_hosts_that_are_no_servers(mariadb: Server) -> None:
    """Of several hosts the first that answers is used."""
    first, second = servers.free_ports(2)
    hosts = f"127.0.0.1:{first},127.0.0.1:{mariadb.port},127.0.0.1:{second}"
    with closing(MySQLMetadataStore.open(mariadb.config(host=hosts, port=None))) as store:
        store.write(batch("one"))
        assert names(store) == ["one"]
    assert isinstance(
        refusal(mariadb.config(host=f"127.0.0.1:{first},127.0.0.1:{second}", port=None)), OpenError
    )


@pytest.mark.slow
@pytest.mark.usefixtures("wants_mariadb")
def test_a_host_that_only_reads(mariadb: Server) -> None:
    """Of several hosts one that writes is used, also when the one in use begins to only read."""
    config = mariadb.config()
    with servers.mariadb() as replica:
        replica.run(
            f"CREATE DATABASE {config.database}",
            f"CREATE USER {config.user}@'%' IDENTIFIED BY '{mariadb.password_of(config.database)}'",
            f"GRANT ALL ON {config.database}.* TO {config.user}@'%'",
        )
        replica.run("SET GLOBAL read_only = 1")
        error = refusal(config.model_copy(update={"host": "127.0.0.1", "port": replica.port}))
        assert "read" in str(error)
        hosts = f"127.0.0.1:{replica.port},127.0.0.1:{mariadb.port}"
        both = config.model_copy(update={"host": hosts, "port": None})
        with closing(MySQLMetadataStore.open(both)) as store:
            store.write(batch("one"))
        with closing(MySQLMetadataStore.open(config)) as store:
            assert names(store) == ["one"]
        replica.run("SET GLOBAL read_only = 0")
        with closing(MySQLMetadataStore.open(both)) as store:
            store.write(batch("two"))
            replica.run("SET GLOBAL read_only = 1")
            store.write(batch("three"))
        with closing(MySQLMetadataStore.open(config)) as store:
            assert names(store) == ["one", "three"]


def test_a_read_on_another_node(galera: Cluster) -> None:
    """What was written at one node of a cluster is read at once at another one."""
    config = galera.config()
    others = [
        MySQLMetadataStore.open(config.model_copy(update={"host": f"127.0.0.1:{node.port}"}))
        for node in galera.nodes
    ]
    for number in range(30):
        writer, reader = others[number % 3], others[(number + 1) % 3]
        writer.write(batch(f"{number}"))
        assert f"{number}" in names(reader)
    for store in others:
        store.close()


# Writing.


@contextmanager
def killed_in(method: str, server: Server, config: MySQLConfig, when: str) -> Iterator[list[int]]:
    """End the connections of a user once, before or after this method of a transaction."""
    original = getattr(SQLTransaction, method)
    calls: list[int] = []

    def replaced(self: SQLTransaction, given: Any) -> Any:
        calls.append(1)
        if when == "before" and len(calls) == 1:
            kill(server, config)
        result = original(self, given)
        if when == "after" and len(calls) == 1:
            kill(server, config)
        return result

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SQLTransaction, method, replaced)
        yield calls


def kill(server: Server, config: MySQLConfig) -> int:
    """End the connections of a user; how many there were."""
    found = server.run(
        f"SELECT id FROM information_schema.processlist WHERE user = '{config.user}'"
    )
    for (number,) in found:
        server.run(f"KILL {number}")
    return len(found)


def test_connections_that_were_cut_while_idle(mariadb: Server) -> None:
    """What the server closed meanwhile is opened anew, for reads and for writes."""
    config = mariadb.config()
    with closing(MySQLMetadataStore.open(config)) as store:
        store.write(batch("one"))
        assert kill(mariadb, config) > 0
        assert names(store) == ["one"]
        assert kill(mariadb, config) > 0
        store.write(batch("two"))
        assert names(store) == ["one", "two"]


@pytest.mark.parametrize("method", ["lookup", "apply"])
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("made_by", ["us", "mlmd"])
def test_connections_that_are_cut_in_a_transaction(
    mariadb: Server, method: str, when: str, made_by: str
) -> None:
    """A batch whose connection breaks is written once, by another attempt; only in a store of ML
    Metadata's, and only in COMMIT, nobody can tell.
    """
    config = mariadb.config()
    MySQLMetadataStore.open(config).close()
    if made_by == "mlmd":
        mariadb.run("DROP TABLE metastore_writer, metastore_setting", database=config.database)
    in_doubt = made_by == "mlmd" and (method, when) == ("apply", "after")
    with closing(MySQLMetadataStore.open(config)) as store:
        with killed_in(method, mariadb, config, when):
            if in_doubt:
                with pytest.raises(OutcomeUnknownError, match="whole, or not at all"):
                    store.write(batch("one"))
            else:
                store.write(batch("one"))
        assert names(store) == ([] if in_doubt else ["one"])
        with killed_in(method, mariadb, config, when):
            # An external id tells, too.
            store.write(batch("two", external_id="x"))
        assert names(store)[-1] == "two"


def test_a_name_that_another_program_takes_meanwhile(mariadb: Server) -> None:
    """A name that is taken between look and write is AlreadyExistsError, and nothing is written."""
    config = mariadb.config()
    with closing(MySQLMetadataStore.open(config)) as store:
        type = store.write(batch("one")).types[0].id
        with pytest.raises(AlreadyExistsError), store.transaction() as transaction:
            changes = Planner(batch("two")).run(transaction.lookup)
            mariadb.run(
                f"INSERT INTO Artifact (type_id, name) VALUES ({type}, 'two')",
                database=config.database,
            )
            transaction.apply(changes)
        assert names(store) == ["one", "two"]


def test_a_lock_that_lasts(mariadb: Server) -> None:
    """Who waits for another writer for too long is told with BusyError, and nothing is written."""
    config = mariadb.config()
    with (
        closing(MySQLMetadataStore.open(config)) as one,
        closing(MySQLMetadataStore.open(config.model_copy(update={"busy_timeout": 1.0}))) as other,
    ):
        one.write(batch("one"))
        with one.transaction(), pytest.raises(BusyError, match="busy_timeout"):
            other.write(batch("two"))
        assert names(other) == ["one"]


def test_a_value_that_is_longer_than_a_packet(mariadb: Server) -> None:
    """A value that the server does not take is InvalidError that names the property; shorter ones
    in one batch may be longer than that together.
    """
    config = mariadb.config()
    packet = 4 * 2**20
    (before,) = mariadb.run("SELECT @@global.max_allowed_packet")
    mariadb.run(f"SET GLOBAL max_allowed_packet = {packet}")
    try:
        with closing(MySQLMetadataStore.open(config)) as store:
            with pytest.raises(InvalidError, match="property 'long'"):
                store.write(batch("one", custom_properties={"long": "x" * packet}))
            assert names(store) == []
            made = batch("two", custom_properties={"long": "'" * (packet // 3)})
            for number in range(8):
                made.artifact("T", custom_properties={"long": f"{number}" * (packet // 4)})
            store.write(made)
            assert len(names(store)) == 9
            with pytest.raises(InvalidError, match="max_allowed_packet"):
                store.read_nodes(
                    NodeQuery(ARTIFACT, names=["n" * 200 + f"{n}" for n in range(30_000)])
                )
    finally:
        mariadb.run(f"SET GLOBAL max_allowed_packet = {before[0]}")


@pytest.mark.parametrize("text", ["x" * 5_000_000, "'" * 3_000_000, "é" * 2_000_000])
def test_a_uri_that_is_longer_than_a_packet(mariadb: Server, text: str) -> None:
    """A uri that the server does not take is InvalidError at once, and not tried again."""
    config = mariadb.config()
    (before,) = mariadb.run("SELECT @@global.max_allowed_packet")
    mariadb.run("SET GLOBAL max_allowed_packet = 4194304")
    try:
        with closing(MySQLMetadataStore.open(config)) as store:
            with pytest.raises(InvalidError, match="the uri of artifact"):
                store.write(batch("one", uri=text))
            many = batch("two", uri="'" * 100_000)
            for number in range(60):
                many.artifact("T", uri=f"{number}" + "'😀" * 20_000)
            store.write(many)
            assert len(names(store)) == 61
    finally:
        mariadb.run(f"SET GLOBAL max_allowed_packet = {before[0]}")


def test_a_limit_of_rows(mariadb: Server) -> None:
    """A server that cuts answers short is told not to."""
    config = mariadb.config()
    (before,) = mariadb.run("SELECT @@global.sql_select_limit")
    mariadb.run("SET GLOBAL sql_select_limit = 2")
    try:
        with closing(MySQLMetadataStore.open(config)) as store:
            for number in range(5):
                store.write(batch(f"{number}"))
            assert names(store) == [f"{number}" for number in range(5)]
    finally:
        mariadb.run(f"SET GLOBAL sql_select_limit = {before[0]}")


def test_a_connection_that_is_cut_in_a_snapshot(mariadb: Server) -> None:
    """What follows in the snapshot is a StorageError there, and no error of the driver's."""
    config = mariadb.config()
    with closing(MySQLMetadataStore.open(config)) as store:
        store.write(batch("one"))
        with store.snapshot():
            assert names(store) == ["one"]
            kill(mariadb, config)
            with pytest.raises(StorageError, match="broke"):
                names(store)
        assert names(store) == ["one"]


def test_a_server_without_a_free_connection(mariadb: Server) -> None:
    """Who opens a store waits for a connection, until one is free or the time is up."""
    config = mariadb.config()
    MySQLMetadataStore.open(config).close()
    mariadb.run(f"ALTER USER {config.user}@'%' WITH MAX_USER_CONNECTIONS 1")
    with closing(MySQLMetadataStore.open(config)):
        error = refusal(config.model_copy(update={"busy_timeout": 0.5}))
        assert "no connection free" in str(error)


def test_tables_without_transactions(mariadb: Server) -> None:
    """A store whose tables cannot take back what was written is opened for reading only."""
    config = mariadb.config()
    MySQLMetadataStore.open(config).close()
    mariadb.run("ALTER TABLE Event ENGINE=MyISAM", database=config.database)
    error = refusal(config)
    assert isinstance(error, OpenError)
    assert "Event in an engine without transactions" in str(error)
    MySQLMetadataStore.open(config, mode="r").close()


def test_a_version_that_was_taken_away(mariadb: Server) -> None:
    """A store with types and no version is damaged, and not made anew."""
    config = mariadb.config()
    MySQLMetadataStore.open(config).close()
    mariadb.run("DELETE FROM MLMDEnv", database=config.database)
    assert isinstance(refusal(config), DamagedStoreError)


def test_a_password_is_in_no_variable(mariadb: Server, tmp_path: Path) -> None:
    """No frame of ours shows the password, where variables are shown."""
    config = mariadb.config(tls_ca=tmp_path / "none.pem")
    assert config.password is not None
    try:
        MySQLMetadataStore.open(config)
    except OpenError as error:
        told = traceback.TracebackException.from_exception(error, capture_locals=True)
        assert config.password.reveal() not in "".join(told.format())


def test_the_driver_is_not_shown(mariadb: Server) -> None:
    """Errors of the driver are the cause of ours at most, and never hold a statement or a value."""
    config = mariadb.config()
    with closing(MySQLMetadataStore.open(config)) as store:
        store.write(batch("one"))
        mariadb.run("DROP TABLE ArtifactProperty", database=config.database)
        with pytest.raises(MetastoreError) as raised:
            store.write(batch("two", custom_properties={"k": "confidential"}))
        assert not isinstance(raised.value, pymysql.MySQLError)
        told = whole_text(raised.value)
        assert "confidential" not in told
        assert "restore the store" in str(raised.value)
