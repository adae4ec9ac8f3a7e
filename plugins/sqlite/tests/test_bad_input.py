"""What is no store, what may not be touched, a full disk: an error that says what to do.

Each error is of its class, names the offender, and leaves everything as it was.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import metastore
from metastore import (
    DamagedStoreError,
    MetastoreError,
    NodeQuery,
    NotAStoreError,
    OpenError,
    SchemaVersionError,
    StorageError,
)
from metastore_flavor_sqlite._database import SQLiteDatabase
from metastore_flavor_sqlite._schema import check_schema

from .helpers import (
    ARTIFACT,
    CONTEXT,
    answer_of,
    connect,
    fingerprint,
    open_file,
    real_stores,
    sample,
    start,
    url_of,
)

# Files.


def _sql(path: Path, *statements: str) -> None:
    database = sqlite3.connect(path)
    try:
        for statement in statements:
            database.execute(statement)
        database.commit()
    finally:
        database.close()


def _plain_store(path: Path) -> None:
    """A store in a file without a log beside it."""
    with connect(path) as store:
        store.write(sample(count=300))
    _sql(path, "PRAGMA journal_mode = DELETE")


def _changed(*statements: str) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        _plain_store(path)
        _sql(path, *statements)

    return make


def _of_version(version: int) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        pytest.importorskip(
            "ml_metadata", reason="without ml-metadata nothing makes a store of an old schema"
        )
        from ml_metadata.metadata_store.metadata_store import downgrade_schema
        from ml_metadata.proto import metadata_store_pb2

        from . import mlmd

        mlmd.connect(path)
        config: Any = metadata_store_pb2
        connection = config.ConnectionConfig()
        connection.sqlite.filename_uri = str(path)
        downgrade_schema(connection, version)

    return make


def _real(name: str) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        path.write_bytes((real_stores() / name).read_bytes())

    return make


def _truncated(path: Path) -> None:
    _plain_store(path)
    path.write_bytes(path.read_bytes()[:5000])


class BadFile(NamedTuple):
    """What opening a file that is no store comes to."""

    make: Callable[[Path], object]
    error: type[MetastoreError]
    said: str
    modes: tuple[str, ...] = ("r", "rw")


_BAD_FILES: dict[str, BadFile] = {
    "text": BadFile(lambda p: p.write_text("hello " * 1000), NotAStoreError, "correct the path"),
    "a few bytes": BadFile(lambda p: p.write_bytes(b"\0x"), NotAStoreError, "correct the path"),
    "the header alone": BadFile(
        lambda p: p.write_bytes(b"SQLite format 3\0"), NotAStoreError, "correct the path"
    ),
    "another program's": BadFile(
        lambda p: _sql(p, "CREATE TABLE notes (id)"), NotAStoreError, "another program"
    ),
    "another program's MLMDEnv": BadFile(
        lambda p: _sql(p, "CREATE TABLE MLMDEnv (version)"), NotAStoreError, "correct the path"
    ),
    "empty file": BadFile(lambda p: p.touch(), NotAStoreError, "open it for writing", ("r",)),
    "empty database": BadFile(
        lambda p: _sql(p, "CREATE TABLE t (i)", "DROP TABLE t"),
        NotAStoreError,
        "open it for writing",
        ("r",),
    ),
    "no version": BadFile(
        _changed("DELETE FROM MLMDEnv"), DamagedStoreError, "restore it from a copy"
    ),
    "two versions": BadFile(
        _changed("INSERT INTO MLMDEnv VALUES (9)"), DamagedStoreError, "2 schema versions"
    ),
    "a table is missing": BadFile(
        _changed("DROP TABLE EventPath"), DamagedStoreError, "lacks EventPath;"
    ),
    "a column is missing": BadFile(
        _changed("ALTER TABLE Artifact RENAME COLUMN uri TO old"),
        DamagedStoreError,
        "lacks Artifact.uri",
    ),
    "newer": BadFile(
        _changed("UPDATE MLMDEnv SET schema_version = 11"), SchemaVersionError, "upgrade"
    ),
    **{
        f"schema {version}": BadFile(_of_version(version), SchemaVersionError, "upgrade")
        for version in (0, 1)
    },
    # They can be read: test_upgrade.py.
    **{
        f"schema {version}": BadFile(
            _of_version(version), SchemaVersionError, "metastore upgrade", ("rw",)
        )
        for version in (5, 9)
    },
    **{
        f"real, {name}": BadFile(_real(name), SchemaVersionError, "metastore upgrade", ("rw",))
        for name in ("tfx-chicago-taxi.sqlite", "iowa-liquor.sqlite", "sepsis.sqlite")
    },
    "a folder": BadFile(lambda p: p.mkdir(), OpenError, "is a folder"),
    "a pipe": BadFile(os.mkfifo, NotAStoreError, "correct the path"),
    "cut off": BadFile(_truncated, StorageError, "restore it from a copy"),
}


_OPENINGS = [
    pytest.param(bad, mode, id=f"{name}-{mode}")
    for name, bad in _BAD_FILES.items()
    for mode in bad.modes
]


@pytest.mark.parametrize(("bad", "mode"), _OPENINGS)
def test_a_file_that_is_no_store(bad: BadFile, mode: Any, tmp_path: Path) -> None:
    """Opening it raises its class with a word that helps; the file is as it was, and alone."""
    path = tmp_path / "store.db"
    bad.make(path)
    before = fingerprint(path)
    with pytest.raises(bad.error) as raised:
        connect(path, mode)
    assert bad.said in str(raised.value)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)
    assert raised.value.offender is not None
    assert fingerprint(path) == before


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[sqlite3.Connection]:
    """Every connection that the flavor opens."""
    seen: list[sqlite3.Connection] = []
    original = SQLiteDatabase._open_file

    def watched(self: SQLiteDatabase, uri: str) -> sqlite3.Connection:
        seen.append(original(self, uri))
        return seen[-1]

    monkeypatch.setattr(SQLiteDatabase, "_open_file", watched)
    return seen


def _all_closed(connections: list[sqlite3.Connection]) -> bool:
    for each in connections:
        with pytest.raises(sqlite3.ProgrammingError, match="closed"):
            each.execute("SELECT 1")
    return bool(connections)


@pytest.mark.parametrize("mode", ["r", "rw"])
@pytest.mark.parametrize("name", ["text", "another program's", "two versions", "cut off"])
def test_a_file_that_is_no_store_is_not_held(
    name: str, mode: Any, tmp_path: Path, opened: list[sqlite3.Connection]
) -> None:
    """What cannot be opened is closed before the error comes, though the error is kept."""
    path = tmp_path / "store.db"
    _BAD_FILES[name].make(path)
    opened.clear()
    with pytest.raises(MetastoreError) as raised:
        connect(path, mode)
    assert _all_closed(opened)
    assert isinstance(raised.value, _BAD_FILES[name].error)


def test_a_store_that_is_removed_while_it_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, opened: list[sqlite3.Connection]
) -> None:
    """It is an `OpenError`, and what was opened is closed."""
    path = tmp_path / "store.db"
    open_file(path).close()

    def slow(database: SQLiteDatabase) -> None:
        check_schema(database)
        path.unlink()

    monkeypatch.setattr("metastore_flavor_sqlite.store.check_schema", slow)
    with pytest.raises(OpenError, match="cannot be reached") as raised:
        connect(path)
    assert _all_closed(opened)
    assert raised.value.hint is not None


def _command(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "HOME": "/nonexistent", "COLUMNS": "500"}
    return subprocess.run(
        [sys.executable, "-m", "metastore", *arguments],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
        timeout=120,
    )


_FOR_THE_COMMAND = (
    *("text", "another program's", "empty file", "no version", "a column is missing", "newer"),
    *("schema 1", "a folder", "a pipe", "cut off"),
)


@pytest.mark.slow
@pytest.mark.parametrize("name", _FOR_THE_COMMAND)
def test_the_command_says_it_in_one_line(name: str, tmp_path: Path) -> None:
    """``metastore run list`` of such a file ends with 1 and one line, the one of the error."""
    pytest.importorskip("metastore.cli.run", reason="this release has no command yet")
    bad = _BAD_FILES[name]
    path = tmp_path / "store.db"
    bad.make(path)
    before = fingerprint(path)
    ended = _command("run", "list", "--store", url_of(path))
    assert ended.returncode == 1, ended.stderr
    assert ended.stdout == ""
    assert bad.said in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
    assert fingerprint(path) == before


def test_a_schema_error_says_both_versions(tmp_path: Path) -> None:
    """A program that opens a newer store can tell what was found and what is supported."""
    path = tmp_path / "store.db"
    _changed("UPDATE MLMDEnv SET schema_version = 11")(path)
    with pytest.raises(SchemaVersionError) as raised:
        open_file(path, "r")
    assert (raised.value.found, raised.value.supported) == (11, 10)


@pytest.mark.parametrize(
    ("name", "mode", "create", "said"),
    [
        ("typo.db", "r", True, "correct the path"),
        ("typo.db", "rw", False, "correct the path"),
        ("no/folder/store.db", "rw", True, "make the folder"),
        ("no/folder/store.db", "r", True, "correct the path"),
        ("file/store.db", "rw", True, "folder"),
        ("x" * 300 + ".db", "rw", True, "check the path"),
        ("x" * 300 + ".db", "r", True, "check the path"),
        ("nul%00.db", "rw", True, "NUL"),
    ],
)
def test_a_path_with_nothing_there(
    name: str, mode: Any, create: bool, said: str, tmp_path: Path
) -> None:
    """It is an `OpenError` that names the path, and nothing is made."""
    (tmp_path / "file").write_text("not a folder")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(OpenError) as raised:
        metastore.connect(f"sqlite:///{tmp_path}/{name}", mode=mode, create=create)
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_corrupted_pages(journal: str, tmp_path: Path) -> None:
    """Pages with garbage are a `StorageError` that says what to do; the rest can be read."""
    path = tmp_path / "store.db"
    with connect(path) as good:
        good.write(sample(count=3_000))
    _sql(path, f"PRAGMA journal_mode = {journal}")
    with path.open("r+b") as file:
        size = path.stat().st_size
        file.seek(size // 3)
        file.write(b"\xa5" * (size // 2))
    before = fingerprint(path)
    store = open_file(path, "r")
    with pytest.raises(StorageError, match="restore it from a copy"):
        list(store.iterate(NodeQuery(ARTIFACT)))
    assert store.read_nodes(NodeQuery(CONTEXT)) == []
    store.close()
    assert fingerprint(path) == before
    writer = open_file(path)
    with pytest.raises(StorageError, match="restore it from a copy"):
        writer.write(sample(count=3_000, name=None))
    writer.close()


# Permissions: root may do everything, so that another user is asked.


_needs_root = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can become another user"
)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that everybody can reach: pytest's are closed, and another run closes them again."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        folder = Path(name) / "open"
        folder.mkdir()
        yield folder
        folder.chmod(0o755)


@_needs_root
@pytest.mark.parametrize("journal", ["delete", "wal"])
@pytest.mark.parametrize("folder_mode", [0o555, 0o777], ids=["closed folder", "open folder"])
def test_a_file_that_may_only_be_read(journal: str, folder_mode: int, open_folder: Path) -> None:
    """Who may only read a file can read it, and is told so when writing; the file stays."""
    path = open_folder / "store.db"
    _plain_store(path)
    _sql(path, f"PRAGMA journal_mode = {journal}")
    path.chmod(0o444)
    open_folder.chmod(folder_mode)
    before = fingerprint(path)[path.name]
    assert answer_of(start("as_nobody", path, "read")) == 300
    told = answer_of(start("as_nobody", path, "write"))
    assert told.startswith("ReadOnlyError: ")
    assert "check the permissions" in told
    assert fingerprint(path)[path.name] == before
    with connect(path, "r") as store:
        assert len(store.artifacts()) == 300


@_needs_root
def test_a_file_that_may_not_be_read(open_folder: Path) -> None:
    """Who may not read a file gets an `OpenError` that says to check the permissions."""
    path = open_folder / "store.db"
    _plain_store(path)
    path.chmod(0o600)
    for work in ("read", "write"):
        told = answer_of(start("as_nobody", path, work))
        assert told.startswith("OpenError: ")
        assert "check the permissions" in told


@_needs_root
def test_a_folder_that_may_not_be_entered(open_folder: Path) -> None:
    """Nor does a path behind a closed door end in an error of the system's."""
    path = open_folder / "store.db"
    _plain_store(path)
    open_folder.chmod(0o700)
    for work in ("read", "write"):
        told = answer_of(start("as_nobody", path, work))
        assert told.partition(":")[0] in ("OpenError", "NoStoreError")


@_needs_root
def test_a_folder_that_may_not_be_written(open_folder: Path) -> None:
    """A new store where nobody may make a file is an `OpenError`, and nothing is made."""
    open_folder.chmod(0o555)
    told = answer_of(start("as_nobody", open_folder / "store.db", "write"))
    assert told.startswith("OpenError: ")
    assert list(open_folder.iterdir()) == []


# The disk.


@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_a_full_disk(journal: str, tmp_path: Path) -> None:
    """A batch that finds no room is a `StorageError`; the rest is whole, and smaller ones fit."""
    path = tmp_path / "store.db"
    _plain_store(path)
    _sql(path, f"PRAGMA journal_mode = {journal}")
    # The size of files is limited, which SQLite meets as it meets the end of a disk.
    answer = answer_of(start("fill", path, 2_000_000))
    assert answer["error"].startswith("StorageError: ")
    assert answer["left"] == answer["then"] - 1 == 300
    with connect(path) as store:
        assert len(store.artifacts()) == 301
    assert _whole(path)


@_needs_root
@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_a_full_file_system(journal: str, tmp_path: Path) -> None:
    """On a file system without room the error says so, and nothing of the batch is written."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("no file system can be mounted here; the test above limits the file instead")
    try:
        path = folder / "store.db"
        _plain_store(path)
        _sql(path, f"PRAGMA journal_mode = {journal}")
        with connect(path) as store:
            with pytest.raises(StorageError, match="make room") as raised:
                store.write(sample(count=20_000, uri="x" * 1000))
            assert "no room on the disk" in str(raised.value)
            assert len(store.artifacts()) == 300
            store.write(sample(count=1))
            assert len(store.artifacts()) == 301
        assert _whole(path)
        # Nor is there room for a new store; what it left can be made a store later.
        (folder / "ballast").write_bytes(b"x" * _room(folder))
        with pytest.raises(StorageError, match=r"make room|check the disk"):
            connect(folder / "new.db")
        (folder / "ballast").unlink()
        with connect(folder / "new.db") as store:
            assert len(store.artifacts()) == 0
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def _room(folder: Path) -> int:
    """How many bytes are free, but for a few pages."""
    found = os.statvfs(folder)
    return max(found.f_bavail * found.f_frsize - 3 * 4096, 0)


def _whole(path: Path) -> bool:
    database = sqlite3.connect(path)
    try:
        return bool(database.execute("PRAGMA integrity_check").fetchone() == ("ok",))
    finally:
        database.close()
