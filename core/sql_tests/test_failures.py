"""Connections that break, locks that last, and stores that are none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from metastore import (
    AlreadyExistsError,
    BusyError,
    DamagedStoreError,
    InvalidError,
    MetastoreError,
    NodeQuery,
    NotAStoreError,
    OpenError,
    OutcomeUnknownError,
    ReadOnlyError,
    SchemaVersionError,
    StorageError,
    StoreNotFoundError,
)
from metastore.rules import Planner
from metastore.sql import engine_lists, pages
from metastore.sql.engine import EngineDatabase
from metastore.sql.writing import SQLTransaction
from metastore.testing._base import whole_text

from .places import ARTIFACT, FilePlace, Place, ServerPlace, artifacts, names
from .server import Server


@pytest.fixture
def on_server(server: Server) -> ServerPlace:
    """A user's part of the server."""
    return ServerPlace(server)


# Connections.


def test_a_connection_killed_while_idle(on_server: ServerPlace) -> None:
    """What the server closed meanwhile is opened anew, for reads and for writes."""
    store = on_server.open()
    store.write(artifacts(1))
    assert on_server.kill() > 0
    assert names(store) == ["0"]
    on_server.kill()
    store.write(artifacts(1, prefix="more "))
    assert names(store) == ["0", "more 0"]
    store.close()


def test_a_connection_killed_in_a_transaction(on_server: ServerPlace) -> None:
    """A transaction whose connection breaks is a StorageError, writes nothing, and harms none."""
    store = on_server.open()
    store.write(artifacts(1))
    with pytest.raises(StorageError) as raised, store.transaction() as transaction:
        changes = Planner(artifacts(3, prefix="lost ")).run(transaction.lookup)
        on_server.kill()
        transaction.apply(changes)
    assert "nothing was written" in str(raised.value)
    assert "terminating connection" in whole_text(raised.value)
    store.write(artifacts(1, prefix="later "))
    assert names(store) == ["0", "later 0"]
    store.close()


def test_a_write_that_did_not_happen_is_written_again(
    on_server: ServerPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch whose connection breaks before the commit is written once, by a second attempt."""
    store = on_server.open()
    lookup, lookups = SQLTransaction.lookup, []

    def killing(self: SQLTransaction, questions: Any) -> Any:
        lookups.append(1)
        if len(lookups) == 1:
            on_server.kill()
        return lookup(self, questions)

    monkeypatch.setattr(SQLTransaction, "lookup", killing)
    store.write(artifacts(2))
    assert len(lookups) > 1
    assert names(store) == ["0", "1"]
    store.close()


def test_a_commit_in_doubt(on_server: ServerPlace, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that breaks in the commit is OutcomeUnknownError, and no second attempt."""
    store = on_server.open()
    apply, applied = SQLTransaction.apply, []

    def killing(self: SQLTransaction, changes: Any) -> Any:
        applied.append(apply(self, changes))
        on_server.kill()
        return applied[-1]

    monkeypatch.setattr(SQLTransaction, "apply", killing)
    with pytest.raises(OutcomeUnknownError):
        store.write(artifacts(2))
    assert len(applied) == 1
    monkeypatch.undo()
    assert names(store) == []
    store.write(artifacts(1))
    assert names(store) == ["0"]
    store.close()


def test_a_server_that_is_gone(server: Server, on_server: ServerPlace) -> None:
    """A user who may not log in any more gets a StorageError within the timeout, or reads on."""
    store = on_server.open(busy_timeout=0.3)
    store.write(artifacts(1))
    server.run(f"ALTER ROLE {on_server.user} NOLOGIN")
    on_server.kill()
    for call in (lambda: names(store), lambda: store.write(artifacts(1, prefix="more "))):
        with pytest.raises(StorageError, match="cannot be reached"):
            call()
    server.run(f"ALTER ROLE {on_server.user} LOGIN")
    assert names(store) == ["0"]
    store.close()


def test_a_lock_that_lasts(place: Place) -> None:
    """A store that stays locked is a BusyError once the time is up, and works on afterwards."""
    holder = place.open()
    if isinstance(place, ServerPlace):
        place.run(f"ALTER ROLE {place.user} SET lock_timeout = 50")
        other = place.open(busy_timeout=0.3)
    else:
        other = _impatient(place)
    with holder.transaction(), pytest.raises(BusyError):
        other.write(artifacts(1))
    other.write(artifacts(1))
    assert names(holder) == ["0"]
    other.close()
    holder.close()


def _impatient(place: Place) -> Any:
    """A store whose driver does not wait long for a locked file."""
    from .box.config import BoxConfig

    class Impatient(BoxConfig):
        def engine_options(self) -> dict[str, Any]:
            return {"connect_args": {"timeout": 0.05}}

    assert isinstance(place, FilePlace)
    return place.STORE.open(Impatient(path=place.path, busy_timeout=0.3))


@pytest.mark.parametrize("error", [FileNotFoundError, UnicodeDecodeError, KeyboardInterrupt])
def test_what_others_raise_in_a_transaction(place: Place, error: type[BaseException]) -> None:
    """What a block raises that is no driver's goes on unchanged, and nothing is written."""
    store = place.open()
    arguments = ("utf-8", b"", 0, 0, "") if error is UnicodeDecodeError else ()
    raised_by_block = error(*arguments)
    with pytest.raises(error) as raised, store.transaction() as transaction:
        transaction.apply(Planner(artifacts(1)).run(transaction.lookup))
        raise raised_by_block
    assert raised.value is raised_by_block
    assert names(store) == []
    store.close()


def test_a_page_and_its_properties_are_of_one_state(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader whose second statement runs after another's write sees the state of its first."""
    if isinstance(place, FilePlace):
        place.run("PRAGMA journal_mode = WAL")  # or the writer would wait for the reader
    store, other = place.open(), place.open()
    store.write(artifacts(1))
    read = pages._read_properties

    def interrupted(*arguments: Any) -> Any:
        monkeypatch.undo()
        place.run('UPDATE "ArtifactProperty" SET int_value = 42')
        return read(*arguments)

    monkeypatch.setattr(pages, "_read_properties", interrupted)
    assert [dict(node.properties) for node in store.read_nodes(NodeQuery(ARTIFACT))] == [{"n": 0}]
    assert [dict(node.properties) for node in store.read_nodes(NodeQuery(ARTIFACT))] == [{"n": 42}]
    other.close()
    store.close()


# What is there.


def test_reading_creates_nothing(place: Place) -> None:
    """Where there is no store, reading and create=False are StoreNotFoundError and make none."""
    exists = isinstance(place, FilePlace) and place.path.exists()
    # An empty file is something else than a store, an empty database of a server is none.
    error = NotAStoreError if exists else StoreNotFoundError
    for mode, create in (("r", True), ("r", False), ("rw", False)):
        with pytest.raises(error):
            place.open(mode, create=create)  # type: ignore[arg-type]
    assert place.tables() == 0
    assert not isinstance(place, FilePlace) or place.path.exists() == exists


@pytest.mark.parametrize("mode", ["r", "rw"])
@pytest.mark.parametrize(
    ("statements", "error"),
    [
        (["CREATE TABLE things (id INTEGER)"], NotAStoreError),
        (['CREATE TABLE "MLMDEnv" (x INTEGER)'], NotAStoreError),
        (
            ['CREATE TABLE "Type" (id INTEGER)', 'CREATE TABLE "Artifact" (id INTEGER)'],
            SchemaVersionError,
        ),
    ],
)
def test_a_database_of_others(
    place: Place, statements: list[str], error: type[OpenError], mode: Any
) -> None:
    """The database of another program is not opened, nor changed."""
    place.run(*statements)
    with pytest.raises(error):
        place.open(mode)
    assert place.tables() == len(statements)


@pytest.mark.parametrize(
    ("statements", "error"),
    [
        (['UPDATE "MLMDEnv" SET schema_version = 11'], SchemaVersionError),
        (['UPDATE "MLMDEnv" SET schema_version = 9'], SchemaVersionError),
        (['DELETE FROM "MLMDEnv"'], DamagedStoreError),
        (['INSERT INTO "MLMDEnv" (schema_version) VALUES (9)'], DamagedStoreError),
        (['DROP TABLE "EventPath"'], DamagedStoreError),
        (['ALTER TABLE "Artifact" RENAME COLUMN uri TO url'], DamagedStoreError),
    ],
)
def test_a_store_that_is_not_whole(
    place: Place, statements: list[str], error: type[OpenError]
) -> None:
    """A store of another version, or that lacks something, is refused and says what."""
    place.open().close()
    place.run(*statements)
    for mode in ("r", "rw"):
        with pytest.raises(error) as raised:
            place.open(mode)
        assert raised.value.offender is not None
        assert ("a column of Artifact" in str(raised.value)) is ("RENAME" in statements[0])


def test_what_is_no_file_of_a_database(tmp_path: Path) -> None:
    """A text, a folder, and a folder that is not there, are each an OpenError, and left alone."""
    text = tmp_path / "text"
    text.write_text("no database at all" * 100)
    for path, error in (
        (text, NotAStoreError),
        (tmp_path, OpenError),
        (tmp_path / "no" / "x.db", StoreNotFoundError),
    ):
        with pytest.raises(error):
            FilePlace(path).open()
    assert [each.name for each in tmp_path.iterdir()] == ["text"]
    assert text.read_text() == "no database at all" * 100


def test_a_user_who_may_not_create(server: Server, on_server: ServerPlace) -> None:
    """A user who may not make tables gets an OpenError, and no table is made."""
    server.run(f"REVOKE ALL ON SCHEMA {on_server.user} FROM {on_server.user}",
               f"ALTER SCHEMA {on_server.user} OWNER TO admin",
               f"GRANT USAGE ON SCHEMA {on_server.user} TO {on_server.user}")  # fmt: skip
    with pytest.raises(OpenError):
        on_server.open()


def test_an_account_that_may_only_read(server: Server, on_server: ServerPlace) -> None:
    """A user who may only SELECT opens a store for reading, and reads; writing is ReadOnlyError."""
    store = on_server.open()
    store.write(artifacts(2))
    reader = ServerPlace(server)
    server.run(
        f"ALTER ROLE {reader.user} SET search_path = {on_server.user}",
        f"GRANT USAGE ON SCHEMA {on_server.user} TO {reader.user}",
        f"GRANT SELECT ON ALL TABLES IN SCHEMA {on_server.user} TO {reader.user}",
    )
    with_store = reader.open("r")
    assert names(with_store) == ["0", "1"]
    with pytest.raises(ReadOnlyError):
        with_store.write(artifacts(1))
    with_store.close()
    writer = reader.open("rw")
    with pytest.raises(ReadOnlyError):
        writer.write(artifacts(1, prefix="x"))
    writer.close()
    assert not writer.is_same(store)
    store.close()


def test_a_file_that_may_only_be_read(tmp_path: Path) -> None:
    """A file that others keep with a write-ahead log, or without one, is opened for reading."""
    for mode in ("wal", "delete"):
        place = FilePlace(tmp_path / f"{mode}.db")
        place.run(f"PRAGMA journal_mode = {mode}")
        store = place.open()
        store.write(artifacts(1))
        with_store = place.open("r")
        assert names(with_store) == ["0"]
        with_store.close()
        store.close()
        assert place.run("PRAGMA journal_mode") == [(mode,)]


def test_a_failed_open_closes_its_connections(on_server: ServerPlace) -> None:
    """A store that is refused leaves no connection open."""
    on_server.run("CREATE TABLE things (id INTEGER)")
    with pytest.raises(NotAStoreError):
        on_server.open()
    assert on_server.kill() == 0


def test_closing_closes_the_connections(on_server: ServerPlace) -> None:
    """A closed store has no connection left, not even one that was in use when it was closed."""
    store = on_server.open()
    with store.transaction():
        names(store)
        store.close()
    assert on_server.kill() == 0


# What the database is asked when it is opened.


def test_collations_that_compare_otherwise(on_server: ServerPlace) -> None:
    """A store whose names compare without case is refused, which says what to do."""
    on_server.open().close()
    on_server.run(
        "CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level2',"
        " deterministic = false)",
        'ALTER TABLE "Artifact" ALTER COLUMN name TYPE varchar COLLATE loose',
    )
    with pytest.raises(OpenError, match=r"Artifact\.name.*binary"):
        on_server.open()


@pytest.mark.parametrize("collation", ["NOCASE", "RTRIM"])
def test_collations_of_a_file(tmp_path: Path, collation: str) -> None:
    """So is one in a file, for case and for spaces at the end."""
    place = FilePlace(tmp_path / "x.db")
    place.open().close()
    [(made,)] = place.run("SELECT sql FROM sqlite_master WHERE name = 'Context'")
    loose = made.replace("external_id VARCHAR", f"external_id VARCHAR COLLATE {collation}")
    assert loose != made
    place.run('DROP TABLE "Context"', loose)
    with pytest.raises(OpenError, match=r"Context\.external_id"):
        place.open()


def test_a_database_without_json(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database that opens no JSON array is refused before a table is made."""
    monkeypatch.setattr(engine_lists, "_FORMS", ("SELECT nothing(:{name})",))
    with pytest.raises(OpenError, match="JSON"):
        place.open()
    monkeypatch.undo()
    with pytest.raises(OpenError):
        place.open("r")


def test_a_database_without_one_state(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database that gives a transaction no state of its own is refused."""
    monkeypatch.setattr("metastore.sql.engine._ONE_STATE", ())
    with pytest.raises(OpenError, match="isolation levels"):
        place.open()


# Texts and lists.


def test_text_with_nul(place: Place) -> None:
    """Text with a NUL is refused but as a value, which comes back; a query for it finds nothing."""
    store = place.open()
    for field in ("name", "uri", "external_id"):
        batch = artifacts(1)
        batch.artifact("T", **{field: "a\0secret"})  # type: ignore[arg-type]
        with pytest.raises(InvalidError) as raised:
            store.write(batch)
        assert raised.value.offender is not None
        assert raised.value.offender.index == 1
        assert "secret" not in whole_text(raised.value)
    batch = artifacts(1, custom_properties={"p": "a\0b", "q": {"x": "\0"}})
    store.write(batch)
    [node] = store.read_nodes(NodeQuery(ARTIFACT))
    assert node.custom_properties == {"p": "a\0b", "q": {"x": "\0"}}
    for nothing in ({"names": ["0\0"]}, {"uris": ["\0"]}, {"external_ids": ["\0", "\ud800"]}):
        assert store.read_nodes(NodeQuery(ARTIFACT, **nothing)) == []  # type: ignore[arg-type]
    assert names(store) == ["0"]
    store.close()


def test_a_megabyte(place: Place) -> None:
    """A uri and a property of a megabyte come back, and the uri is found; no name is ever cut."""
    import random

    # Not to be compressed: databases measure what is left.
    long = "".join(random.Random(1).choices("abcdefghijklmnopqrstuvwxyzé", k=1_000_000))
    store = place.open()
    store.write(artifacts(1, uri=long, custom_properties={"p": long}))
    [node] = store.read_nodes(NodeQuery(ARTIFACT, uris=[long]))
    assert (node.uri, node.custom_properties) == (long, {"p": long})  # type: ignore[union-attr]
    batch = artifacts(0)
    batch.artifact("T", name=long[:5000])
    try:
        store.write(batch)
    except InvalidError:
        assert names(store) == ["0"]
    else:
        assert names(store) == ["0", long[:5000]]
    store.close()


def test_lists_of_any_length(place: Place) -> None:
    """Ten thousand ids, names and external ids are asked at once."""
    store = place.open()
    batch = artifacts(0)
    for number in range(3000):
        batch.artifact("T", name=f"n{number}", external_id=f"x{number}")
    ids = [each.id for each in store.write(batch).artifacts]
    assert ids == list(range(1, 3001))
    many = range(10_000)
    for query in (
        NodeQuery(ARTIFACT, ids=[*many, 2**70, -1]),
        NodeQuery(ARTIFACT, names=[f"n{each}" for each in many]),
        NodeQuery(ARTIFACT, external_ids=[f"x{each}" for each in many]),
    ):
        assert [node.id for node in store.read_nodes(query)] == ids
    store.close()


def test_a_name_taken_behind_our_back(place: Place) -> None:
    """A name that the database finds taken is AlreadyExistsError, in a direct transaction too."""
    store = place.open()
    store.write(artifacts(1))
    with pytest.raises(AlreadyExistsError), store.transaction() as transaction:
        changes = Planner(artifacts(1, prefix="new ")).run(transaction.lookup)
        changes.inserts[ARTIFACT] = [each._replace(name="0") for each in changes.inserts[ARTIFACT]]
        transaction.apply(changes)
    assert names(store) == ["0"]
    store.close()


def test_what_the_driver_begins_is_asked_of_it(place: Place) -> None:
    """Where the driver begins transactions too late, we do: python's sqlite3, and no server's."""
    store = place.open()
    database = store._database
    assert isinstance(database, EngineDatabase)
    assert database._begins is isinstance(place, FilePlace)
    store.close()


def test_errors_of_sql_are_ours(place: Place) -> None:
    """A table that vanishes under an open store is a StorageError, and the store closes."""
    store = place.open()
    place.run('DROP TABLE "Event"')
    from metastore import EventQuery

    with pytest.raises(MetastoreError) as raised:
        store.read_events(EventQuery())
    assert type(raised.value) is StorageError
    assert raised.value.__cause__ is not None
    store.close()
