"""Full disks and failing ones: an error of ours, nothing harmed, and on it goes with room again."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

import metastore
from faults import shim
from faults.batches import batch_of, check
from faults.conftest import Figures
from faults.forking import Forks
from faults.stores import lines_of, new_file, set_journal, url_of
from faults.works import history, selection
from metastore import OpenError, StorageError, pruning
from metastore.config._file import ConfigFile
from metastore.config._stores import NamedStore, Stores
from metastore.transfer import copy, export, written_text

Size = Callable[[int, int], int]

_JOURNALS = ("wal", "delete")
_ROOM = 3 << 20
"""Bytes of the small disk."""


class SmallDisk:
    """A file system of few megabytes, of which the rest is taken, and given back."""

    def __init__(self, folder: Path, chance: random.Random) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"
        self._chance = chance

    @property
    def free(self) -> int:
        """Bytes that are free."""
        found = os.statvfs(self.folder)
        return found.f_bavail * found.f_frsize

    @contextmanager
    def nearly_full(self, most: int = 400_000) -> Iterator[None]:
        """A block with little room, at times with none."""
        left = self._chance.choice([0, 0, self._chance.randrange(most)])
        with self._ballast.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, max(1, self.free - left))
        try:
            yield
        finally:
            self._ballast.unlink()


@pytest.fixture
def disk(tmp_path: Path, chance: random.Random) -> Iterator[SmallDisk]:
    """A small disk; skips where none can be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={_ROOM}", "metastore-faults", str(folder)]
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"no small disk can be mounted here: {done.stderr.strip()}")
    try:
        yield SmallDisk(folder, chance)
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def _emptied(folder: Path) -> None:
    for each in folder.iterdir():
        each.unlink()


@pytest.mark.parametrize("journal", _JOURNALS)
def test_writes_to_a_full_disk(journal: str, disk: SmallDisk, size: Size, figures: Figures) -> None:
    """A batch for which there is no room is `StorageError` and nothing of it is there; what was
    acknowledged stays, and the same store takes batches again when there is room.
    """
    found = Counter[str]()
    while found["full disks"] < size(15, 300):
        _emptied(disk.folder)
        done: list[str] = []
        with metastore.connect(new_file(disk.folder / "store.db", journal)) as store:
            for _ in range(5):
                with disk.nearly_full():
                    failed = _write_until_full(store, done)
                found["full disks"] += 1
                found["batches that were told to have failed"] += len(failed)
                check(store.backend, acknowledged=done, begun=done)
                label = f"again {len(done)}"
                store.write(batch_of(label))
                done.append(label)
                found["batches acknowledged"] += len(done)
        with metastore.connect(url_of(disk.folder / "store.db"), create=False) as store:
            check(store.backend, acknowledged=done, begun=done)
    figures(**found)


def _write_until_full(store: metastore.Store, done: list[str]) -> list[str]:
    """Write until three batches have failed; which ones."""
    failed: list[str] = []
    for number in range(10_000):
        label = f"{len(done)} {number}"
        try:
            store.write(batch_of(label))
        except StorageError:
            failed.append(label)
            if len(failed) == 3:
                return failed
        else:
            done.append(label)
    raise AssertionError("the disk is never full")


def _tried(found: Counter[str], what: str, action: Callable[[], object]) -> bool:
    """Do it where there is little room: it is done, or raises an error of ours."""
    found[what] += 1
    try:
        action()
    except (StorageError, OpenError) as error:
        found[f"{what}: told as {type(error).__name__}"] += 1
        return False
    return True


@pytest.mark.parametrize("journal", _JOURNALS)
def test_work_on_a_full_disk(
    journal: str, disk: SmallDisk, tmp_path: Path, size: Size, figures: Figures
) -> None:
    """To make a store, to copy into one, to prune and to shrink it fail with an error of ours where
    there is no room, harm nothing, and are done when there is.
    """
    full = tmp_path / "full.db"
    with metastore.connect(url_of(full)) as store:
        history(store, 60)
    set_journal(full, journal)
    expected = lines_of(url_of(full))
    works = {"make": _make, "copy": _copy, "prune": _prune, "shrink": _shrink}
    found = Counter[str]()
    for _ in range(size(4, 100)):
        for what, work in works.items():
            _emptied(disk.folder)
            work(disk, full, expected, partial(_tried, found, what))
    assert all(any(key.startswith(f"{what}: ") for key in found) for what in works), found
    figures(**found)


Tried = Callable[[Callable[[], object]], bool]


def _make(disk: SmallDisk, _full: Path, _expected: str, tried: Tried) -> None:
    url = url_of(disk.folder / "store.db")
    with disk.nearly_full():
        tried(lambda: metastore.connect(url).close())
    with metastore.connect(url) as store:
        store.write(batch_of("after"))
        check(store.backend, acknowledged=["after"], begun=["after"])


def _copy(disk: SmallDisk, full: Path, expected: str, tried: Tried) -> None:
    url, journal = url_of(disk.folder / "store.db"), disk.folder / "journal"
    metastore.connect(url).close()

    def work() -> None:
        with metastore.connect(url_of(full), mode="r") as here, metastore.connect(url) as there:
            copy(here.backend, there.backend, journal=journal, page_size=50)

    with disk.nearly_full():
        tried(work)
    work()
    assert lines_of(url) == expected


def _prune(disk: SmallDisk, full: Path, _expected: str, tried: Tried) -> None:
    path = Path(shutil.copy(full, disk.folder / "store.db"))

    def work() -> None:
        with metastore.connect(url_of(path), create=False) as store:
            pruning.plan(store.backend, selection()).run()

    with disk.nearly_full(100_000):
        tried(work)
    # With a write-ahead log not even a reader can begin where there is no room at all.
    lines_of(url_of(path))
    work()
    with metastore.connect(url_of(path), mode="r") as store:
        assert list(store.artifacts()) == []
        assert list(store.backend.problems()) == []


def _shrink(disk: SmallDisk, full: Path, expected: str, tried: Tried) -> None:
    path = Path(shutil.copy(full, disk.folder / "store.db"))
    with metastore.connect(url_of(path), create=False) as store:
        with disk.nearly_full():
            tried(store.backend.shrink)
        store.backend.shrink()
    assert lines_of(url_of(path)) == expected


@pytest.mark.parametrize("suffix", ["", ".gz", ".xz"])
def test_export_to_a_full_disk(
    suffix: str, disk: SmallDisk, tmp_path: Path, size: Size, figures: Figures
) -> None:
    """An export for which there is no room is an error of ours, leaves the file of before, and
    nothing beside it.
    """
    url = url_of(tmp_path / "store.db")
    with metastore.connect(url) as store:
        history(store, 60)
    file = disk.folder / f"store.jsonl{suffix}"
    found = Counter[str]()

    def work() -> None:
        with metastore.connect(url, mode="r") as store, written_text(file) as text:
            export(store.backend, text)

    for _ in range(size(6, 200)):
        _emptied(disk.folder)
        file.write_bytes(b"before")
        with disk.nearly_full(20_000):
            if not _tried(found, "export", work):
                assert file.read_bytes() == b"before"
        assert os.listdir(disk.folder) == [file.name]
        work()
    assert found["export: told as StorageError"]
    figures(**found)


def test_settings_on_a_full_disk(disk: SmallDisk, size: Size, figures: Figures) -> None:
    """A config file for whose new form there is no room stays what it was, and nothing is left
    beside it.
    """
    path = disk.folder / "config.toml"
    stores = Stores(ConfigFile(path))
    found = Counter[str]()
    names: list[str] = []
    for number in range(size(30, 600)):
        name = f"s{number}"

        def work(name: str = name) -> None:
            stores.register(NamedStore(name, "sqlite", {"path": f"/{name}" * 100}))

        with disk.nearly_full(3 * 4096):
            if _tried(found, "register", work):
                names.append(name)
            assert [each.name for each in stores.all()] == sorted(names)
        assert {*os.listdir(disk.folder)} <= {"config.toml", "config.toml.lock"}
    assert found["register: told as StorageError"]
    figures(**found)


# Failing calls.


@pytest.mark.parametrize("journal", _JOURNALS)
def test_calls_that_fail(
    journal: str, tmp_path: Path, chance: random.Random, size: Size, figures: Figures
) -> None:
    """Whichever call to the disk fails while a batch is written, once or from then on: it raises an
    error of ours, the batch is not there, also if the process dies then, and the next one works.
    """
    folder, results = tmp_path / "at", tmp_path / "results"
    folder.mkdir()
    environment = shim.environment(folder)
    with Forks.of(tmp_path, "faults.failing", environment=environment) as forks:
        forks.run(
            "faults.failing:write",
            folder=str(folder),
            results=str(results),
            journal=journal,
            seed=chance.getrandbits(32),
            times=size(30, 1000),
        )
    figures(**json.loads(results.read_text()))
