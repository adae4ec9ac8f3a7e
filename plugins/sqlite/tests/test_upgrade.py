"""Stores of older schemas: read as they are, and upgraded, as ml-metadata upgrades them."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from metastore import (
    BusyError,
    DamagedStoreError,
    MetastoreError,
    NodeKind,
    NodeQuery,
    SchemaVersionError,
    StorageError,
)
from metastore_flavor_sqlite import SQLiteConfig, SQLiteMetadataStore

pytest.importorskip("ml_metadata", reason="without ml-metadata nothing makes an older store")

from . import mlmd
from .helpers import connect, fingerprint, listing, open_file, real_stores, sample, url_of

VERSIONS = range(2, 10)
_WRITERS: dict[str, Callable[[Path], None]] = {
    "everything": mlmd.write_everything,
    "TFX": mlmd.write_tfx_orchestrated,
    "Kubeflow": mlmd.write_kubeflow,
}


def _downgraded(path: Path, version: int, write: Callable[[Path], None]) -> Path:
    """A store of an older schema, made by ml-metadata itself."""
    from ml_metadata.metadata_store.metadata_store import downgrade_schema
    from ml_metadata.proto import metadata_store_pb2

    write(path)
    config: Any = metadata_store_pb2
    connection = config.ConnectionConfig()
    connection.sqlite.filename_uri = str(path)
    downgrade_schema(connection, version)
    with closing(sqlite3.connect(path)) as file:
        for kind in (
            () if version < 2 else ("Artifact", "Execution", "Context")[: 3 if version > 2 else 2]
        ):
            # Of kinds that came later: a program of that time would not have written them.
            file.execute(
                f"DELETE FROM {kind}Property WHERE int_value IS NULL "
                "AND double_value IS NULL AND string_value IS NULL"
            )
        file.commit()
    return path


@pytest.fixture(scope="session")
def older(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int, str], Path]:
    """A folder with one file: a store of a version, written by one of the writers."""
    folder = tmp_path_factory.mktemp("older")
    made: dict[tuple[int, str], Path] = {}

    def make(version: int, writer: str) -> Path:
        if (version, writer) not in made:
            path = folder / f"{writer}-{version}.db"
            made[version, writer] = _downgraded(path, version, _WRITERS[writer])
        return made[version, writer]

    return make


@pytest.fixture
def old(older: Callable[[int, str], Path], tmp_path: Path) -> Path:
    """A store of schema 6, in a folder of its own."""
    (tmp_path / "old").mkdir()
    return Path(shutil.copy(older(6, "everything"), tmp_path / "old" / "store.db"))


def _upgrade_file(path: Path) -> Any:
    return SQLiteMetadataStore.upgrade(SQLiteConfig(path=path))


@pytest.mark.parametrize("writer", _WRITERS)
@pytest.mark.parametrize("version", VERSIONS)
def test_each_version(
    older: Callable[[int, str], Path], tmp_path: Path, version: int, writer: str
) -> None:
    """Read as it is, upgraded by us, upgraded by ml-metadata: a store lists the same."""
    _compare(older(version, writer), tmp_path)


@pytest.mark.parametrize("name", ["tfx-chicago-taxi.sqlite", "iowa-liquor.sqlite", "sepsis.sqlite"])
def test_real_stores(tmp_path: Path, name: str) -> None:
    """So does one that other people's pipelines wrote."""
    _compare(real_stores() / name, tmp_path)


def _compare(source: Path, folder: Path) -> None:
    theirs = mlmd.upgraded_copy(source, folder / "theirs.db")
    with connect(theirs, "r") as store:
        expected = listing(store.backend)
    (folder / "ours").mkdir()
    path = Path(shutil.copy(source, folder / "ours" / "store.db"))
    before = fingerprint(path)
    with connect(path, "r") as store:
        assert listing(store.backend) == expected
    assert fingerprint(path) == before
    assert _upgrade_file(path).now == 10
    with connect(path, "rw") as store:
        assert listing(store.backend) == expected
    assert mlmd.snapshot(path) == mlmd.snapshot(theirs)


def test_it_is_a_store_like_any_other(old: Path) -> None:
    """An upgraded store is written to, and has ids that were never given before."""
    with closing(sqlite3.connect(old)) as file:
        file.execute("DELETE FROM Artifact WHERE id = (SELECT MAX(id) FROM Artifact)")
        file.commit()
        (last,) = file.execute("SELECT seq FROM sqlite_sequence WHERE name = 'Artifact'").fetchone()
    _upgrade_file(old)
    with closing(open_file(old)) as store:
        written = store.write(sample())
    assert written.nodes[NodeKind.ARTIFACT][0].id == last + 1
    # Twice is once.
    assert _upgrade_file(old) is None


def test_repeated_events(old: Path, tmp_path: Path) -> None:
    """Of an event that is there several times the last one stays, as with ml-metadata."""
    with closing(sqlite3.connect(old)) as file:
        artifact, execution, kind = file.execute(
            "SELECT artifact_id, execution_id, type FROM Event ORDER BY id LIMIT 1"
        ).fetchone()
        added = file.execute(
            "INSERT INTO Event (artifact_id, execution_id, type, milliseconds_since_epoch) "
            "VALUES (?, ?, ?, 99)",
            (artifact, execution, kind),
        ).lastrowid
        file.execute("INSERT INTO EventPath VALUES (?, 0, NULL, 'the last')", (added,))
        file.commit()
    _compare(old, tmp_path)


def test_writing_is_refused(old: Path) -> None:
    """To open it for writing is an error that says what to run; the file stays as it is."""
    before = fingerprint(old)
    with pytest.raises(SchemaVersionError, match="metastore upgrade sqlite:///") as raised:
        open_file(old, "rw")
    assert (raised.value.found, raised.value.supported) == (6, 10)
    assert fingerprint(old) == before


def test_what_it_was_is_kept(old: Path) -> None:
    """Beside the upgraded file is one, of the same rights, that lists what it did before."""
    old.chmod(0o640)
    with connect(old, "r") as store:
        expected = listing(store.backend)
    backup = Path(_upgrade_file(old).backup)
    assert backup.parent == old.parent
    assert backup.name.startswith("store.db.before-schema-10.")
    assert backup.stat().st_mode & 0o777 == 0o640
    with closing(sqlite3.connect(backup)) as file:
        assert file.execute("SELECT schema_version FROM MLMDEnv").fetchall() == [(6,)]
    with connect(backup, "r") as store:
        assert listing(store.backend) == expected


def test_others_write(old: Path) -> None:
    """While another program writes, the upgrade is refused, and nothing is left of it."""
    with closing(sqlite3.connect(old, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        before = sorted(each.name for each in old.parent.iterdir() if "journal" not in each.name)
        with pytest.raises(BusyError):
            SQLiteMetadataStore.upgrade(SQLiteConfig(path=old, busy_timeout=0.05))
        other.execute("ROLLBACK")
        after = sorted(each.name for each in old.parent.iterdir() if "journal" not in each.name)
    assert after == before


def test_a_failure_in_the_middle(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What fails in the middle leaves the file as it was, and alone."""
    before = fingerprint(old)

    def fail(*_: Any) -> None:
        raise StorageError("the disk is full")

    monkeypatch.setattr("metastore.sql.upgrading._write_missing_types", fail)
    with pytest.raises(StorageError, match="full"):
        _upgrade_file(old)
    assert fingerprint(old) == before


_KILLED = """
import os, signal, sys
from pathlib import Path
from metastore.sql import upgrading
from metastore_flavor_sqlite import SQLiteConfig, SQLiteMetadataStore

left = int(sys.argv[2])
add = upgrading._add_column

def counted(*arguments):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    add(*arguments)

upgrading._add_column = counted
SQLiteMetadataStore.upgrade(SQLiteConfig(path=Path(sys.argv[1])))
"""


@pytest.mark.parametrize("statements", [0, 3, 9])
def test_killed(old: Path, statements: int) -> None:
    """A process that is killed while it upgrades leaves the store of before."""
    with connect(old, "r") as store:
        expected = listing(store.backend)
    command = [sys.executable, "-c", _KILLED, str(old), str(statements)]
    assert subprocess.run(command, check=False).returncode == -9
    with connect(old, "r") as store:
        assert listing(store.backend) == expected
    assert _upgrade_file(old).before == 6


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ("DROP TABLE EventPath", "lacks EventPath"),
        ("DROP TABLE ParentContext", "lacks ParentContext"),
        ("ALTER TABLE Artifact RENAME COLUMN uri TO old", "lacks Artifact.uri"),
    ],
)
def test_half_made(old: Path, change: str, word: str) -> None:
    """An older store that lacks what its version has is damaged, and nothing is made of it."""
    with closing(sqlite3.connect(old)) as file:
        file.execute(change)
        file.commit()
    before = fingerprint(old)
    for attempt in (lambda: open_file(old, "r"), lambda: _upgrade_file(old)):
        with pytest.raises(DamagedStoreError, match=word):
            attempt()
        assert fingerprint(old) == before


@pytest.mark.parametrize("version", [0, 1, 11])
def test_too_old_and_too_new(tmp_path: Path, version: int) -> None:
    """What we cannot upgrade is refused with a word that helps, and not touched."""
    path = tmp_path / "store.db"
    if version < 10:
        _downgraded(path, version, mlmd.write_kubeflow)
    else:
        mlmd.write_kubeflow(path)
        with closing(sqlite3.connect(path)) as file:
            file.execute("UPDATE MLMDEnv SET schema_version = 11")
            file.commit()
    before = fingerprint(path)
    with pytest.raises(SchemaVersionError, match="upgrade"):
        _upgrade_file(path)
    assert fingerprint(path) == before


def test_the_copy_is_private_and_goes(
    old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The copy that is read is this user's alone, and is removed with the store."""
    folder = tmp_path / "private"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    store = open_file(old, "r")
    [made] = folder.iterdir()
    assert made.stat().st_mode & 0o777 == 0o700
    assert [each.stat().st_mode & 0o777 for each in made.glob("store.db")] == [0o600]
    assert store.read_nodes(NodeQuery(NodeKind.ARTIFACT))
    assert store.location == url_of(old)
    store.close()
    assert list(folder.iterdir()) == []


def test_no_room_for_the_copy(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the copy cannot be made, one sentence says where there is no room."""

    def full(*_: Any) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("metastore_flavor_sqlite._upgrade.os.open", full)
    with pytest.raises(StorageError, match=r"No space left.*TMPDIR") as raised:
        open_file(old, "r")
    assert isinstance(raised.value, MetastoreError)


def test_the_command(old: Path) -> None:
    """The command says from what to what, and where the file of before is."""
    command = [sys.executable, "-m", "metastore", "upgrade", url_of(old)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "upgraded from schema 6 to 10\n"
    assert "store.db.before-schema-10." in done.stderr
    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert again.stdout == "there is nothing to upgrade\n"
