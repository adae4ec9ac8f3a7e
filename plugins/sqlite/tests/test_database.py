"""The file itself: journal modes, indexes, ids, values as they are stored, damage, settings."""

from __future__ import annotations

import base64
import math
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import metastore
from metastore import (
    Artifact,
    Batch,
    BusyError,
    EventQuery,
    EventType,
    InvalidError,
    LinkKind,
    LinkQuery,
    Merge,
    NodeKind,
    NodeQuery,
    NotAStoreError,
    OpenMode,
    OutcomeUnknownError,
    PropertyKind,
    Proto,
    StorageError,
    StoreURL,
)
from metastore.query import Cursor, OrderBy, TypeQuery
from metastore.rules import Planner
from metastore.values import same_value
from metastore_flavor_sqlite import SQLiteConfig, SQLiteMetadataStore
from metastore_flavor_sqlite._database import SQLiteDatabase
from metastore_flavor_sqlite._errors import translate

from .helpers import (
    ARTIFACT,
    CONTEXT,
    EXECUTION,
    answer_of,
    connect,
    fingerprint,
    listing,
    open_file,
    sample,
    start,
    url_of,
    write_run_like,
)


def _ask(path: Path, statement: str, *parameters: Any) -> list[Any]:
    """What another program reads of the file, or does to it."""
    database = sqlite3.connect(path)
    try:
        rows = database.execute(statement, parameters).fetchall()
        database.commit()
    finally:
        database.close()
    return rows


# Journals.


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """The first words of each statement that SQLite gets, and the connection's synchronous mode."""
    seen: list[tuple[str, str]] = []
    original = SQLiteDatabase._connect

    def watched(self: SQLiteDatabase) -> sqlite3.Connection:
        connection = original(self)
        [(mode,)] = connection.execute("PRAGMA synchronous").fetchall()
        names = {0: "OFF", 1: "NORMAL", 2: "FULL", 3: "EXTRA"}
        connection.set_trace_callback(lambda text: seen.append((text, names[mode])))
        return connection

    monkeypatch.setattr(SQLiteDatabase, "_connect", watched)
    return seen


@pytest.mark.parametrize("journal", ["wal", "delete", "truncate", "persist"])
def test_an_existing_file_keeps_its_journal_mode(
    journal: str, tmp_path: Path, traced: list[tuple[str, str]]
) -> None:
    """A file that is there keeps the journal mode it has; its folder is synced, too."""
    path = tmp_path / "store.db"
    open_file(path).close()
    database = sqlite3.connect(path)
    assert database.execute(f"PRAGMA journal_mode = {journal}").fetchone() == (journal,)
    database.close()
    kept = "wal" if journal == "wal" else "delete"
    with connect(path) as store:
        store.write(sample())
        assert len(store.artifacts()) == 1
        # Truncate and persist belong to a connection, not to the file.
        assert _ask(path, "PRAGMA journal_mode") == [(kept,)]
    assert _ask(path, "PRAGMA journal_mode") == [(kept,)]
    assert {mode for _, mode in traced} == {"EXTRA"}


def test_a_new_file_has_a_write_ahead_log(tmp_path: Path, traced: list[tuple[str, str]]) -> None:
    """A file of ours has a write-ahead log, every commit of which is synced to the disk."""
    path = tmp_path / "store.db"
    open_file(path).close()
    assert _ask(path, "PRAGMA journal_mode") == [("wal",)]
    assert {mode for _, mode in traced} == {"EXTRA"}
    assert set(fingerprint(path)) == {"store.db"}


def test_an_empty_file_becomes_a_store(tmp_path: Path) -> None:
    """A file of no bytes (from ``touch`` or mkstemp) is made a store when opened for writing."""
    path = tmp_path / "store.db"
    path.touch()
    with connect(path) as store:
        store.write(sample())
    assert _ask(path, "PRAGMA journal_mode") == [("wal",)]


def test_writers_lock_at_once(tmp_path: Path, traced: list[tuple[str, str]]) -> None:
    """A write begins with BEGIN IMMEDIATE, before it reads; a read never asks for that lock."""
    with connect(tmp_path / "store.db") as store:
        store.write(sample())
        traced.clear()
        store.write(sample())
        assert traced[0][0] == "BEGIN IMMEDIATE"
        assert traced[-1][0] == "COMMIT"
        assert sum(text.startswith("BEGIN") for text, _ in traced) == 1
        traced.clear()
        list(store.artifacts())
        assert {text for text, _ in traced if text.startswith("BEGIN")} == {"BEGIN"}


def test_reading_a_file_with_a_log_leaves_nothing(tmp_path: Path) -> None:
    """A closed file with a write-ahead log that is read is the same, with nothing beside it."""
    path = tmp_path / "store.db"
    with connect(path) as store:
        store.write(sample(count=100))
    before = fingerprint(path)
    assert set(before) == {"store.db"}
    for _ in range(3):
        with connect(path, "r") as reader:
            assert len(reader.artifacts()) == len(list(reader.artifacts())) == 100
    assert fingerprint(path) == before


def test_reading_while_a_writer_is_at_work(tmp_path: Path) -> None:
    """A reader sees what was committed, nothing of what is not, and does not wait."""
    path = tmp_path / "store.db"
    with connect(path) as writer:
        writer.write(sample(count=2))
        with connect(path, "r") as reader:
            assert len(reader.artifacts()) == 2
            with writer.backend.transaction() as transaction:
                from metastore.rules import Planner

                planner = Planner(sample(count=5))
                transaction.apply(planner.run(transaction.lookup))
                assert len(reader.artifacts()) == 2
            assert len(reader.artifacts()) == 7
        assert len(writer.artifacts()) == 7
    assert set(fingerprint(path)) == {"store.db"}


def test_a_copy_without_its_log_says_what_is_missing(tmp_path: Path) -> None:
    """A file copied while it was in use, without its log, is answered with what to copy."""
    path, copy = tmp_path / "store.db", tmp_path / "copy.db"
    with connect(path) as writer:
        writer.write(sample())
        shutil.copyfile(path, copy)
    before = fingerprint(copy)
    with pytest.raises(NotAStoreError, match="copied without"):
        connect(copy, "r")
    assert fingerprint(copy) == before


def test_one_file_by_several_paths_is_one_store(tmp_path: Path) -> None:
    """Stores over one file know it, whatever they call it; other files, and stores in memory, are
    others, and a step takes artifacts from any store over its own file.
    """
    path = tmp_path / "store.db"
    link = tmp_path / "link.db"
    with connect(path) as store:
        link.symlink_to(path)
        with connect(link, "r") as same, connect(tmp_path / "other.db") as other:
            assert store.backend.is_same(same.backend)
            assert not store.backend.is_same(other.backend)
            with metastore.Store(SQLiteMetadataStore.open(SQLiteConfig())) as memory:
                assert memory.backend.is_same(memory.backend)
                assert not memory.backend.is_same(store.backend)
                assert not store.backend.is_same(memory.backend)
            with store.run("p") as run, run.step("first") as step:
                output = step.output("out", uri="u")
            with store.run("p") as run, run.step("second") as step:
                step.input("in", same.artifact(output.id))
            assert store.find_run(run.id).steps["second"].inputs["in"].uri == "u"


def test_another_file_in_its_place_is_another_store(tmp_path: Path) -> None:
    """A store whose file was renamed is not the same as the one that took its place."""
    path = tmp_path / "store.db"
    open_file(path).close()
    # A log would have to be renamed too, which no open store survives.
    assert _ask(path, "PRAGMA journal_mode = delete") == [("delete",)]
    with connect(path) as old:
        path.rename(tmp_path / "old.db")
        with connect(path) as new:
            assert not new.backend.is_same(old.backend)
            with connect(tmp_path / "old.db", "r") as renamed:
                assert renamed.backend.is_same(old.backend)


@pytest.mark.parametrize("journal", ["wal", "delete"])
@pytest.mark.parametrize("mode", ["r", "rw"])
def test_opening_a_store_keeps_the_locks_of_others(
    journal: str, mode: OpenMode, tmp_path: Path
) -> None:
    """To open and close a store beside one that this process is writing with leaves its locks as
    they are: no other process writes in between, and nothing is lost.

    A process that closes any file descriptor of a file loses all its locks on it
    (sqlite.org/howtocorrupt.html, section 2.2).
    """
    path = tmp_path / "store.db"
    open_file(path).close()
    assert _ask(path, f"PRAGMA journal_mode = {journal}") == [(journal,)]
    with connect(path) as store:
        store.write(sample(count=1))
        with store.backend.transaction() as transaction:
            planner = Planner(sample(count=1))
            transaction.apply(planner.run(transaction.lookup))
            connect(path, mode).close()
            tried = subprocess.run(
                [
                    sys.executable,
                    "-c",
                    "import sqlite3, sys\n"
                    "file = sqlite3.connect(sys.argv[1], timeout=0, isolation_level=None)\n"
                    "file.execute('BEGIN IMMEDIATE')\n",
                    str(path),
                ],
                capture_output=True,
                text=True,
                check=False,
            )
            assert "database is locked" in tried.stderr
        assert len(store.artifacts()) == 2
    assert _ask(path, "PRAGMA integrity_check") == [("ok",)]


def test_nothing_is_lost_beside_a_reader_that_closes(tmp_path: Path) -> None:
    """Runs of two processes on one file are all there, though one of them opens and closes the
    store for reading in between.
    """
    path = tmp_path / "store.db"
    script = (
        "import metastore, sys\n"
        "with metastore.connect(sys.argv[1]) as store, store.run('p', name=sys.argv[2]): pass\n"
    )

    def elsewhere(name: str) -> None:
        subprocess.run([sys.executable, "-c", script, f"sqlite:///{path}", name], check=True)

    with connect(path) as store:
        with store.run("p", name="a1"):
            pass
        connect(path, "r").close()
        elsewhere("b1")
        with store.run("p", name="a2"):
            pass
        elsewhere("b2")
        assert [run.name for run in store.runs()] == ["a1", "b1", "a2", "b2"]
    with connect(path, "r") as store:
        assert [run.name for run in store.runs()] == ["a1", "b1", "a2", "b2"]


def test_types_that_were_rolled_back_are_forgotten(tmp_path: Path) -> None:
    """Types of a transaction that was rolled back are not taken for those of others, though the
    numbers of rows are the same.
    """
    path = tmp_path / "store.db"

    def one_type(name: str) -> Batch:
        batch = Batch()
        batch.type(ARTIFACT, name)
        return batch

    with connect(path) as store, connect(path) as other:
        with pytest.raises(ZeroDivisionError), store.backend.transaction() as transaction:
            for name in ("First", "First"):
                planner = Planner(one_type(name))
                transaction.apply(planner.run(transaction.lookup))
            raise ZeroDivisionError
        other.write(one_type("Second"))
        store.write(one_type("First"))
        store.write(one_type("Second"))
        names = [each.name for each in store.types(ARTIFACT) if not each.name.startswith("mlmd.")]
        assert names == ["Second", "First"]


def test_a_log_that_was_left_behind_is_read(tmp_path: Path) -> None:
    """What a killed writer had committed to its log is read, by mode "r" and by mode "rw"."""
    path = tmp_path / "store.db"
    with connect(path) as writer:
        writer.write(sample(count=3))
        copy = tmp_path / "copy" / "store.db"
        copy.parent.mkdir()
        for name in ("store.db", "store.db-wal"):
            shutil.copyfile(path.with_name(name), copy.with_name(name))
    before = fingerprint(copy)["store.db"]
    with connect(copy, "r") as reader:
        assert len(reader.artifacts()) == 3
    assert fingerprint(copy)["store.db"] == before
    with connect(copy) as store:
        assert len(store.artifacts()) == 3
    assert set(fingerprint(copy)) == {"store.db"}


@pytest.mark.parametrize("mode", ["r", "rw"])
def test_a_journal_that_was_left_behind_is_rolled_back(mode: Any, tmp_path: Path) -> None:
    """What a killed writer wrote into the file without a commit is taken back before reading."""
    path = tmp_path / "store.db"
    open_file(path).close()
    _ask(path, "PRAGMA journal_mode = delete")
    with connect(path) as store:
        store.write(sample(count=3))
    answer_of(start("die_while_writing", path), expect=-9)
    assert path.with_name("store.db-journal").exists()
    with connect(path, mode) as store:
        assert len(store.artifacts()) == 3
    assert set(fingerprint(path)) == {"store.db"}


# Indexes.


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of some thousand rows of each table."""
    path = tmp_path_factory.mktemp("large") / "store.db"
    with connect(path) as store:
        for number in range(10):
            batch = Batch()
            for kind in NodeKind:
                batch.type(kind, "T", {"n": PropertyKind.INT})
                batch.type(kind, f"U{number}")
            contexts = [batch.context("T", name=f"{number} {n}") for n in range(40)]
            executions = [
                batch.execution("T", name=f"{number} {n}", external_id=f"{number} {n}")
                for n in range(200)
            ]
            for n in range(400):
                artifact = batch.artifact(
                    "T",
                    name=f"{number} {n}",
                    uri=f"/{number}/{n}",
                    external_id=f"{number} {n}",
                    properties={"n": n},
                )
                batch.event(artifact, executions[n % 200], EventType.OUTPUT, path=["out", n])
                batch.attribution(contexts[n % 40], artifact)
            for n, execution in enumerate(executions):
                batch.association(contexts[n % 40], execution)
            for child, parent in zip(contexts[1:], contexts, strict=False):
                batch.parent(child, parent)
            store.write(batch)
    return path


_READS: dict[str, Callable[[metastore.BaseMetadataStore], Any]] = {
    "artifacts by id": lambda s: s.read_nodes(NodeQuery(ARTIFACT, ids=[1, 7, 400])),
    "executions by id": lambda s: s.read_nodes(NodeQuery(EXECUTION, ids=[1, 7, 400])),
    "artifacts by uri": lambda s: s.read_nodes(NodeQuery(ARTIFACT, uris=["/1/1", "/2/2"])),
    "artifacts by external id": lambda s: s.read_nodes(NodeQuery(ARTIFACT, external_ids=["1 1"])),
    "executions by external id": lambda s: s.read_nodes(NodeQuery(EXECUTION, external_ids=["1 1"])),
    "context by type and name": lambda s: s.read_nodes(
        NodeQuery(CONTEXT, type=metastore.TypeKey(CONTEXT, "T"), names=["1 1"])
    ),
    "artifact by types of a name and name": lambda s: s.read_nodes(
        NodeQuery(ARTIFACT, type_names=["T"], names=["1 1"])
    ),
    "a page of artifacts by id": lambda s: s.read_nodes(
        NodeQuery(ARTIFACT, after=Cursor(100, 100), limit=10)
    ),
    "a page of artifacts by time": lambda s: s.read_nodes(
        NodeQuery(ARTIFACT, order_by=OrderBy.CREATE_TIME, descending=True, limit=10)
    ),
    "a later page of artifacts by time": lambda s: (
        s.read_nodes(
            NodeQuery(
                ARTIFACT, order_by=OrderBy.UPDATE_TIME, after=Cursor(2_000_000_000_000, 5), limit=10
            )
        )
        or [1]
    ),
    "artifacts of a context": lambda s: s.read_nodes(NodeQuery(ARTIFACT, context_ids=[3])),
    "executions of a context": lambda s: s.read_nodes(NodeQuery(EXECUTION, context_ids=[3])),
    "contexts of an artifact": lambda s: s.read_links(
        LinkQuery(LinkKind.ATTRIBUTION, other_ids=[5])
    ),
    "contexts of an execution": lambda s: s.read_links(
        LinkQuery(LinkKind.ASSOCIATION, other_ids=[5])
    ),
    "parents": lambda s: s.read_nodes(NodeQuery(CONTEXT, parents_of=[5])),
    "children": lambda s: s.read_nodes(NodeQuery(CONTEXT, children_of=[5])),
    "events of an artifact": lambda s: s.read_events(EventQuery(artifact_ids=[5])),
    "events of an execution": lambda s: s.read_events(EventQuery(execution_ids=[5])),
    "a type by name": lambda s: s.read_types(
        TypeQuery(ARTIFACT, keys=[metastore.TypeKey(ARTIFACT, "T")])
    ),
}


def _plans(path: Path, texts: list[str]) -> list[str]:
    """How SQLite goes about these statements, a line each step."""
    database = sqlite3.connect(path)
    try:
        return [
            step
            for text in texts
            if text.startswith("SELECT")
            for *_, step in database.execute(f"EXPLAIN QUERY PLAN {text}")
        ]
    finally:
        database.close()


def _full_scans(plan: list[str]) -> list[str]:
    # A list that is bound as JSON is scanned, of course, and so is the small table of types.  A
    # scan by an index that also orders the rows ends with the page.
    return [
        step
        for step in plan
        if step.startswith("SCAN")
        and "json_each" not in step
        and "VIRTUAL TABLE" not in step
        and "USING INDEX idx_" not in step
        and "USING INTEGER PRIMARY KEY" not in step
    ]


@pytest.mark.parametrize("read", _READS.values(), ids=_READS)
def test_common_reads_scan_no_table(
    read: Callable[..., Any], large: Path, traced: list[tuple[str, str]]
) -> None:
    """The common reads go by an index: none looks at every row of a table."""
    store = open_file(large, "r")
    traced.clear()
    assert read(store)
    texts = [text for text, _ in traced]
    store.close()
    plan = _plans(large, texts)
    assert plan
    assert _full_scans(plan) == [], plan


@pytest.mark.parametrize(
    ("read", "index"),
    [
        ("contexts of an execution", "idx_association_execution_id"),
        ("contexts of an artifact", "idx_attribution_artifact_id"),
    ],
)
def test_the_two_added_indexes_are_used(
    read: str, index: str, large: Path, traced: list[tuple[str, str]]
) -> None:
    """The contexts of an execution and of an artifact are found by the indexes that we added."""
    store = open_file(large, "r")
    traced.clear()
    assert _READS[read](store)
    store.close()
    assert any(index in step for step in _plans(large, [text for text, _ in traced]))
    # The test can fail: without the index the same statement looks elsewhere.
    copy = large.with_name(f"without {index}.db")
    shutil.copyfile(large, copy)
    _ask(copy, f"DROP INDEX {index}")
    plan = _plans(copy, [text for text, _ in traced])
    assert not any(index in step for step in plan)
    copy.unlink()


def test_writing_scans_no_table(large: Path, traced: list[tuple[str, str]], tmp_path: Path) -> None:
    """Nor does a batch that reuses, updates and links look at every row of a table."""
    path = tmp_path / "store.db"
    shutil.copyfile(large, path)
    store = open_file(path)
    traced.clear()
    batch = Batch()
    reused = batch.artifact("T", uri="/1/1", mode=metastore.Reuse("uri"))
    execution = batch.execution("T", external_id="new")
    batch.artifact(custom_properties={"k": 1}, mode=Merge(7))
    context = batch.context("T", name="1 1", mode=metastore.Reuse("name"))
    batch.event(reused, execution, EventType.INPUT)
    batch.event(1, 2, EventType.INPUT)
    batch.association(context, execution)
    batch.parent(1, 400)
    store.write(batch)
    store.close()
    texts = [text for text, _ in traced if 'max("Type".id)' not in text]
    scans = _full_scans(_plans(path, texts))
    # Types are few, and read whole when somebody added one.
    large_tables = ("Artifact", "Execution", "Context", "Event", "Attribution", "Association")
    assert [step for step in scans if step.split()[1] in large_tables] == []


# Ids.


def test_ids_are_never_used_again(tmp_path: Path) -> None:
    """Rows that somebody deleted by hand do not give their ids to new ones."""
    path = tmp_path / "store.db"
    with connect(path) as store:
        first = write_run_like(store, outputs=3)
        for table in ("Artifact", "Execution", "Event", "Type", "Context"):
            _ask(path, f"DELETE FROM {table} WHERE id > 9 OR '{table}' <> 'Type'")
        second = write_run_like(store, outputs=3)
        assert [each.id for each in first.artifacts] == [1, 2, 3]
        assert [each.id for each in second.artifacts] == [4, 5, 6]
        assert second.executions[0].id == first.executions[0].id + 1
        assert min(each.id for each in second.types) > max(each.id for each in first.types)
        assert [each.id for each in store.backend.read_events(EventQuery())] == [4, 5, 6]


def test_ids_go_on_where_the_sequence_was_reset(tmp_path: Path) -> None:
    """Where somebody emptied or lowered SQLite's sequences, ids go on behind the rows there are."""
    path = tmp_path / "store.db"
    with connect(path) as store:
        assert [each.id for each in write_run_like(store, outputs=3).artifacts] == [1, 2, 3]
        _ask(path, "DELETE FROM sqlite_sequence")
        assert [each.id for each in write_run_like(store, outputs=2).artifacts] == [4, 5]
        _ask(path, "UPDATE sqlite_sequence SET seq = 1")
        assert [each.id for each in write_run_like(store, outputs=1).artifacts] == [6]


def test_ids_of_rows_that_others_wrote(tmp_path: Path) -> None:
    """Rows that another program inserted with ids of its own are passed over."""
    path = tmp_path / "store.db"
    with connect(path) as store:
        store.write(sample())
        _ask(path, "INSERT INTO Artifact (id, type_id) VALUES (1000, 10)")
        assert store.write(sample(count=2)).artifacts[0].id == 1001


# Values as they are stored.

_STRUCT = base64.b64encode(b"\n\x07\n\x01a\x12\x02 \x01").decode()

_STORED: dict[str, tuple[Any, dict[str, Any]]] = {
    # value, the columns that hold it
    "int": (7, {"int_value": 7}),
    "great int": (2**63 - 1, {"int_value": 2**63 - 1}),
    "double": (0.1, {"double_value": 0.1}),
    "whole double": (5.0, {"double_value": 5.0}),
    "minus zero": (-0.0, {"double_value": 0.0, "byte_value": b"-0.0"}),
    "zero": (0.0, {"double_value": 0.0}),
    "infinity": (math.inf, {"double_value": math.inf}),
    "smallest double": (5e-324, {"double_value": 5e-324}),
    "text": ("é 😀", {"string_value": "é 😀"}),
    "empty text": ("", {"string_value": ""}),
    "NUL": ("a\0b", {"string_value": "a\0b"}),
    "its word for NULL": ("__MLMD_NULL__", {"string_value": "__MLMD_NULL__"}),
    "text of digits": ("12", {"string_value": "12"}),
    "text like a struct": (
        "mlmd-struct::" + _STRUCT,
        {"string_value": "mlmd-struct::" + _STRUCT, "byte_value": b"text"},
    ),
    "struct": ({"a": True}, {"string_value": "mlmd-struct::" + _STRUCT}),
    "empty struct": ({}, {"string_value": "mlmd-struct::"}),
    "true": (True, {"bool_value": 1}),
    "false": (False, {"bool_value": 0}),
    "proto": (
        Proto("u", b"\0\xff"),
        {"proto_value": base64.b64encode(b"\n\x01u\x12\x02\0\xff").decode()},
    ),
    "proto without content": (
        Proto("u", b""),
        {"proto_value": base64.b64encode(b"\n\x01u").decode()},
    ),
}
_COLUMNS = ("int_value", "double_value", "string_value", "bool_value", "proto_value", "byte_value")


@pytest.mark.parametrize(("value", "columns"), _STORED.values(), ids=_STORED)
def test_how_a_value_is_stored(value: Any, columns: dict[str, Any], tmp_path: Path) -> None:
    """Each value fills the columns that ML Metadata has for it, and comes back as it was."""
    path = tmp_path / "store.db"
    with connect(path) as store:
        batch = Batch()
        batch.type(ARTIFACT, "T")
        batch.artifact("T", custom_properties={"k": value})
        store.write(batch)
        assert same_value(store.artifact(1).custom_properties, {"k": value})
        # Written anew over another value, nothing of the old one stays.
        for each in ("mlmd-struct::x", -0.0, 1, value):
            batch = Batch()
            batch.artifact(custom_properties={"k": each}, mode=Merge(1))
            store.write(batch)
        assert same_value(store.artifact(1).custom_properties, {"k": value})
    [row] = _ask(path, f"SELECT {', '.join(_COLUMNS)} FROM ArtifactProperty")
    expected = tuple(columns.get(name) for name in _COLUMNS)
    assert row == expected
    assert [type(each) for each in row] == [type(each) for each in expected]


# Damage.


def _damaged(path: Path, *statements: str) -> metastore.BaseMetadataStore:
    """A store with one artifact of three properties, one execution, an event, all in a context."""
    with connect(path) as store:
        batch = Batch()
        batch.type(ARTIFACT, "T", {"n": PropertyKind.INT, "s": PropertyKind.STRUCT})
        for kind in (EXECUTION, CONTEXT):
            batch.type(kind, "T")
        artifact = batch.artifact(
            "T", uri="/x", properties={"n": 1, "s": {"a": 1.0}}, custom_properties={"c": "d"}
        )
        execution, context = batch.execution("T"), batch.context("T", name="c")
        batch.event(artifact, execution, EventType.OUTPUT, path=["out", 0])
        batch.attribution(context, artifact)
        batch.association(context, execution)
        store.write(batch)
    for statement in statements:
        _ask(path, statement)
    return open_file(path, "r")


def _the_artifact(store: metastore.BaseMetadataStore) -> Artifact:
    [node] = store.read_nodes(NodeQuery(ARTIFACT, ids=[1]))
    assert isinstance(node, Artifact)
    return node


_BAD_VALUES = {
    # what stands in the row of property n, what is read: None is no value
    "no value at all": ("int_value = NULL", None),
    "struct that is none": (
        "int_value = NULL, string_value = 'mlmd-struct::%%%'",
        "mlmd-struct::%%%",
    ),
    "struct of broken bytes": (
        "int_value = NULL, string_value = 'mlmd-struct:://///w=='",
        "mlmd-struct:://///w==",
    ),
    "struct not ASCII": (
        "int_value = NULL, string_value = 'mlmd-struct::é'",
        "mlmd-struct::é",
    ),
    "proto that is none": ("int_value = NULL, proto_value = '%%%'", None),
    "proto of broken bytes": ("int_value = NULL, proto_value = x'FFFFFF'", None),
    "half a bool": ("int_value = NULL, bool_value = 0.5", None),
    "two values": ("string_value = 'too'", 1),
    "a mark alone": ("int_value = NULL, byte_value = CAST('text' AS BLOB)", None),
    "text that is no Unicode": (
        "int_value = NULL, string_value = CAST(x'6FFF6B' AS TEXT)",
        "o\ufffdk",
    ),
}


@pytest.mark.parametrize(("change", "read"), _BAD_VALUES.values(), ids=_BAD_VALUES)
def test_a_damaged_value(change: str, read: Any, tmp_path: Path) -> None:
    """A value that cannot be one is text or nothing; the rest of its node is read."""
    store = _damaged(
        tmp_path / "store.db", f"UPDATE ArtifactProperty SET {change} WHERE name = 'n'"
    )
    node = _the_artifact(store)
    assert same_value(node.properties.get("n"), read)
    assert same_value(node.properties["s"], {"a": 1.0})
    assert same_value(node.custom_properties, {"c": "d"})
    store.close()


def test_a_type_that_is_gone(tmp_path: Path) -> None:
    """A node whose type is gone is read, with an empty type; so are its events and links."""
    store = _damaged(tmp_path / "store.db", "DELETE FROM Type WHERE name = 'T'")
    node = _the_artifact(store)
    assert (node.type, node.uri, node.properties["n"]) == ("", "/x", 1)
    assert store.count(NodeQuery(ARTIFACT)) == 1
    assert store.read_nodes(NodeQuery(ARTIFACT, type_names=["T"])) == []
    assert len(listing(store)["events"]) == 1
    store.close()


def test_events_and_links_that_lead_nowhere(tmp_path: Path) -> None:
    """Events, links and lineage are read where their nodes are gone; what is there is found."""
    path = tmp_path / "store.db"
    store = _damaged(path, "DELETE FROM Artifact", "DELETE FROM Context")
    [event] = store.read_events(EventQuery())
    assert (event.artifact_id, event.execution_id, event.path) == (1, 1, ("out", 0))
    assert [tuple(link) for link in store.read_links(LinkQuery(LinkKind.ATTRIBUTION))] == [(1, 1)]
    assert store.read_nodes(NodeQuery(ARTIFACT, context_ids=[1])) == []
    store.close()
    with connect(path, "r") as seen:
        assert dict(seen.execution(1).outputs) == {}
    _ask(path, "DELETE FROM Execution")
    _ask(path, "INSERT INTO Artifact (id, type_id, name) VALUES (1, 4242, 'back')")
    with connect(path, "r") as seen:
        assert seen.artifact(1).producer is None
        assert seen.artifact(1).lineage().executions == {}
        assert list(seen.runs()) == []


_ODD_ROWS = {
    "a state to come": "UPDATE Artifact SET state = 99",
    "a negative state": "UPDATE Artifact SET state = -1",
    "a state that is text": "UPDATE Artifact SET state = 'live'",
    "an event type to come": "UPDATE Event SET type = 99",
    "an event without a time": "UPDATE Event SET milliseconds_since_epoch = NULL",
    "an event path without a step": "UPDATE EventPath SET step_key = NULL, step_index = NULL",
    "a type of no kind": "UPDATE Type SET type_kind = 9 WHERE name = 'T' AND type_kind = 2",
    "a property kind that is NULL": "UPDATE TypeProperty SET data_type = NULL",
    "a property kind to come": "UPDATE TypeProperty SET data_type = 99",
    "a base type that is gone": "INSERT INTO ParentType SELECT id, 4242 FROM Type",
    "no uri": "UPDATE Artifact SET uri = NULL",
    "a time before all times": "UPDATE Artifact SET create_time_since_epoch = -9223372036854775808",
    "a time after all times": "UPDATE Artifact SET create_time_since_epoch = 9223372036854775807",
    "a name that is no Unicode": "UPDATE Artifact SET name = CAST(x'FF' AS TEXT)",
}


@pytest.mark.parametrize("statement", _ODD_ROWS.values(), ids=_ODD_ROWS)
def test_rows_that_nobody_should_write(statement: str, tmp_path: Path) -> None:
    """A row with what is not foreseen is read as far as it goes, and everything else whole."""
    store = _damaged(tmp_path / "store.db", statement)
    found = listing(store)
    assert [len(found[kind]) for kind in ("artifacts", "executions", "contexts")] == [1, 1, 1]
    assert [len(found[kind]) for kind in ("events", "attributions", "associations")] == [1, 1, 1]
    node = _the_artifact(store)
    assert node.properties["n"] == 1
    assert node.create_time.tzinfo is not None
    assert repr(node)
    store.close()


def test_a_cycle_of_parents_that_is_stored(tmp_path: Path) -> None:
    """A store whose parent contexts go in a circle is read, and can still be written."""
    path = tmp_path / "store.db"
    _damaged(path, "INSERT INTO ParentContext VALUES (1, 1)").close()
    with connect(path) as store:
        assert [each.id for each in store.context(1).parents] == [1]
        batch = Batch()
        batch.parent(batch.context("T", name="below"), 1)
        store.write(batch)
        assert [each.id for each in store.context(1).children] == [1, 2]


def test_a_type_that_is_stored_twice(tmp_path: Path) -> None:
    """Of a type that racing writers stored twice, both kinds of nodes are read and updated."""
    path = tmp_path / "store.db"
    with connect(path) as store:
        store.write(sample())
        _ask(path, "INSERT INTO Type (id, name, type_kind) VALUES (50, 'T', 1)")
        _ask(path, "INSERT INTO TypeProperty VALUES (50, 'n', 1)")
        _ask(path, "INSERT INTO Artifact (id, type_id) VALUES (50, 50)")
        assert [node.id for node in store.artifacts(type="T")] == [1, 50]
        batch = Batch()
        batch.artifact("T", properties={"n": 5}, mode=Merge(50))
        batch.artifact("T", properties={"n": 6})
        written = store.write(batch)
        assert store.artifact(50).properties == {"n": 5}
        assert store.artifact(written.artifacts[1].id).node.type_id == 10


# Names and settings.


def test_text_with_a_nul_is_found_again(tmp_path: Path) -> None:
    """Names, uris and external ids that hold a NUL are found, and told from those that do not."""
    with connect(tmp_path / "store.db") as store:
        batch = Batch()
        batch.type(ARTIFACT, "T\0U")
        batch.type(ARTIFACT, "T")
        texts = ("a", "a\0", "a\0b", "\0", "")
        for text in texts:
            batch.artifact("T\0U", name=text, uri=text, external_id=text)
        batch.artifact("T")
        store.write(batch)
        for text in texts:
            for condition in ("names", "uris", "external_ids"):
                wanted: dict[str, Any] = {condition: [text, "none\0"]}
                found = store.backend.read_nodes(NodeQuery(ARTIFACT, **wanted))
                expected = [text, None] if condition == "uris" and not text else [text]
                assert [node.name for node in found] == expected
        assert len(store.artifacts(type="T\0U")) == len(texts)
        assert len(store.artifacts(type="T")) == 1
        again = Batch()
        again.artifact("T\0U", name="a\0b", mode=metastore.Reuse("name"))
        assert store.write(again).artifacts[0].id == 3


_FILE_NAMES = (
    "with space.db",
    "é 漢字 😀.db",
    "question?mark.db",
    "a?busy_timeout=nonsense.db",
    "hash#tag.db",
    "percent%41.db",
    "percent%.db",
    "a&b=c;d.db",
    "quote'\"`.db",
    "back\\slash.db",
    "[brackets].db",
    "colon:.db",
    "new\nline.db",
    "tab\t.db",
    "-dash.db",
    "file:x.db",
    " .db",
)


@pytest.mark.parametrize("name", _FILE_NAMES)
def test_file_names(name: str, tmp_path: Path) -> None:
    """Whatever a file is called, it is this file, also when opened by the store's location."""
    path = tmp_path / name
    store = metastore.connect(url_of(path))
    store.write(sample())
    location = store.location
    store.close()
    assert [each.name for each in tmp_path.iterdir()] == [name]
    assert "\n" not in location
    for mode in ("r", "rw"):
        with metastore.connect(location, mode=mode, create=False) as again:
            assert len(again.artifacts()) == 1
        with connect(path, mode) as again:
            assert len(again.artifacts()) == 1


@pytest.mark.parametrize(
    ("url", "path", "timeout"),
    [
        ("sqlite:///runs.db", "runs.db", 60.0),
        ("sqlite:////data/runs.db", "/data/runs.db", 60.0),
        ("sqlite:///a/b/../c.db", "a/b/../c.db", 60.0),
        ("sqlite:///runs.db?busy_timeout=5", "runs.db", 5.0),
        ("sqlite:///runs.db?busy_timeout=0.25", "runs.db", 0.25),
        ("sqlite:///runs.db?busy_timeout=0", "runs.db", 0.0),
        ("sqlite:///a%20b%3F.db", "a b?.db", 60.0),
        ("sqlite:///a#b.db", "a#b.db", 60.0),
        ("sqlite://", None, 60.0),
        ("sqlite:///:memory:", None, 60.0),
        ("sqlite://?busy_timeout=1", None, 1.0),
    ],
)
def test_urls(url: str, path: str | None, timeout: float) -> None:
    """Three slashes are a relative path, four an absolute one, none is memory."""
    config = SQLiteConfig.from_url(StoreURL.parse(url))
    assert config.path == (None if path is None else Path(path))
    assert config.busy_timeout == timeout


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("sqlite:///", "sqlite:///file.db"),
        ("sqlite:///x.db?busy_timout=5", "busy_timout"),
        ("sqlite:///x.db?busy_timeout=soon", "busy_timeout"),
        ("sqlite:///x.db?busy_timeout=-1", "busy_timeout"),
        ("sqlite:///x.db?busy_timeout=nan", "busy_timeout"),
        ("sqlite:///x.db?busy_timeout=inf", "busy_timeout"),
        ("sqlite:///x.db?busy_timeout=", "busy_timeout"),
        ("sqlite:///x.db?busy_timeout=1&busy_timeout=2", "twice"),
        ("sqlite:///x.db?path=y.db", "sqlite:///"),
        ("sqlite://x.db", "sqlite:///file.db"),
        ("sqlite://data/runs.db", "sqlite:///file.db"),
    ],
)
def test_bad_urls(url: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A URL that is wrong is an `InvalidError` that says what is right, and makes no file."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidError) as raised:
        metastore.connect(url)
    assert said in str(raised.value)
    assert list(tmp_path.iterdir()) == []


def test_a_store_in_memory_is_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each store in memory is empty at first, apart from others, and makes no file."""
    monkeypatch.chdir(tmp_path)
    first = SQLiteMetadataStore.open(SQLiteConfig())
    second = SQLiteMetadataStore.open(SQLiteConfig(), mode="r")
    first.write(sample())
    assert first.count(NodeQuery(ARTIFACT)) == 1
    assert second.count(NodeQuery(ARTIFACT)) == 0
    first.close()
    second.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("how", ["removed", "replaced"])
def test_a_file_that_is_gone_takes_no_writes(tmp_path: Path, how: str) -> None:
    """Nothing is acknowledged that nobody could find: reads and writes are StorageError."""
    file, other = tmp_path / "s.db", tmp_path / "other.db"
    metastore.connect(f"sqlite:///{other}").close()
    with metastore.connect(f"sqlite:///{file}") as store:
        batch = metastore.Batch()
        batch.type(metastore.NodeKind.ARTIFACT, "T")
        store.write(batch)
        if how == "removed":
            file.unlink()
        else:
            other.replace(file)
        with pytest.raises(metastore.StorageError, match=how):
            store.write(batch)
        with pytest.raises(metastore.StorageError, match=how):
            len(store.artifacts())


def test_a_snapshot_takes_no_write_of_its_thread(tmp_path: Path) -> None:
    """It is refused with a sentence, where it would wait for itself on a rollback journal."""
    with metastore.connect(f"sqlite:///{tmp_path}/s.db") as store:
        batch = metastore.Batch()
        batch.type(metastore.NodeKind.ARTIFACT, "T")
        with store.backend.snapshot():
            with store.backend.snapshot():
                pass
            with pytest.raises(metastore.InvalidError, match="inside a snapshot"):
                store.write(batch)
        store.write(batch)


# Failing disks.


@pytest.mark.parametrize(
    ("text", "committing", "kind"),
    [
        ("disk I/O error", False, StorageError),
        ("disk I/O error", True, OutcomeUnknownError),
        ("database or disk is full", True, StorageError),
        ("database is locked", True, BusyError),
    ],
)
def test_what_a_failing_commit_says(text: str, committing: bool, kind: type[Exception]) -> None:
    """A disk that fails in COMMIT leaves open whether the batch is written: its frames may be in
    the log, and found there when this process has died.
    """
    told = translate(sqlite3.OperationalError(text), "sqlite:///x.db", committing=committing)
    assert type(told) is kind
