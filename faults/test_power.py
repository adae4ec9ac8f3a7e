"""The power fails while a file is written: what was acknowledged is there when it comes back."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import metastore
from faults import shim, works
from faults.batches import check
from faults.conftest import Figures
from faults.disk import Disk, Image
from faults.forking import ROOT
from faults.older import make_older, needs_mlmd
from faults.recorded import ACKNOWLEDGED, STORE, label_of
from faults.shim import Call, Sort
from faults.stores import lines_of, url_of, whole
from metastore import SchemaVersionError

_BATCHES = 24
"""That are written while the power fails."""


def _record(folder: Path, *words: str) -> list[Call]:
    """What a Python process asks of the disk, of files in the folder."""
    log = folder.with_name(f"calls of {folder.name}")
    subprocess.run(
        [sys.executable, *words],
        check=True,
        cwd=ROOT,
        env=os.environ | shim.environment(folder, log),
        capture_output=True,
    )
    return [*shim.recorded(log)]


def _acknowledged(image: Image) -> int:
    """How many batches were; this file is the harness's own, and outlives all."""
    return image.get(ACKNOWLEDGED, b"").count(b"\n")


def _images(
    calls: list[Call], disk: Disk, chance: random.Random, share: float
) -> Iterator[tuple[str, int, int, Image]]:
    """What may be found after each call, or after a share of them: how it was made, after which
    call, how many batches had been acknowledged, and the files.
    """
    for number, call in enumerate(calls):
        disk.hear(call)
        if chance.random() >= share or call.sort in (Sort.OPEN, Sort.CLOSE):
            continue
        everything = disk.everything()
        done = _acknowledged(everything)
        yield "nothing unsynced", number, done, disk.only_synced()
        yield "everything", number, done, everything
        for _ in range(2):
            yield "torn", number, done, disk.torn(chance)


def _write(image: Image, folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name, content in image.items():
        (folder / name).write_bytes(content)


class _Replay:
    """Images, looked at one after the other."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.counts = Counter[str]()

    def look(self, image: Image, acknowledged: int, *, begun: int) -> None:
        """Raise AssertionError unless the store of the image is as it must be."""
        _write(image, self._folder)
        path = self._folder / STORE
        self.counts["images"] += 1
        journal = image.get(f"{STORE}-journal", b"")
        self.counts["with a journal"] += bool(journal)
        self.counts["with a write-ahead log"] += bool(image.get(f"{STORE}-wal"))
        with metastore.connect(url_of(path), create=not acknowledged) as store:
            check(
                store.backend,
                acknowledged=[label_of(number + 1) for number in range(acknowledged)],
                begun=[label_of(number + 1) for number in range(begun)],
            )
        whole(path)


def _replay(
    folder: Path,
    journal: str,
    synchronous: str,
    chance: random.Random,
    share: float,
    *,
    least: int = 0,
) -> Counter[str]:
    """Record, and look at the images of a share of the calls, once so many are acknowledged."""
    at = folder / "at"
    at.mkdir()
    disk = Disk.of(at)
    words = ("-m", "faults.recorded", str(at), journal, synchronous, str(_BATCHES))
    calls = _record(at, *words)
    replay = _Replay(folder / "replayed")
    seen = set[int]()
    for kind, number, acknowledged, image in _images(calls, disk, chance, share):
        key = hash((acknowledged, tuple(sorted(image.items()))))
        if acknowledged < least:
            continue
        if key in seen:
            replay.counts["images that were like another"] += 1
            continue
        seen.add(key)
        try:
            replay.look(image, acknowledged, begun=acknowledged + 1)
        except Exception as error:
            where = f"{kind}, after call {number} of {len(calls)} ({calls[number].sort.name})"
            raise AssertionError(f"{where}, {acknowledged} acknowledged: {error}") from error
    replay.counts["calls"] = len(calls)
    replay.counts["syncs"] = sum(call.sort is Sort.SYNC for call in calls)
    replay.counts["batches"] = _BATCHES
    return replay.counts


@pytest.mark.parametrize("journal", ["wal", "delete"])
def test_power_loss(
    journal: str,
    tmp_path: Path,
    chance: random.Random,
    size: Callable[[int, int], int],
    figures: Figures,
) -> None:
    """Whenever the power fails, and whatever the disk had not yet written then, the file opens,
    has every batch that was acknowledged, and no part of another.
    """
    counts = _replay(tmp_path, journal, "as it is", chance, size(2, 100) / 100)
    figures(**counts)


@pytest.mark.parametrize(
    ("journal", "synchronous"),
    [("wal", "OFF"), ("wal", "NORMAL"), ("delete", "OFF"), ("delete", "FULL")],
)
def test_a_store_that_does_not_sync_is_found_out(
    journal: str, synchronous: str, tmp_path: Path, chance: random.Random
) -> None:
    """A store that waits for the disk less than it must does not pass: the harness can fail.

    With a rollback journal FULL is less: the folder is not synced behind the removal of the
    journal, which comes back and takes a batch back that was acknowledged.
    """
    with pytest.raises(AssertionError, match=r"[1-9]\d* acknowledged: "):
        _replay(tmp_path, journal, synchronous, chance, 0.5, least=1)


@needs_mlmd
@pytest.mark.parametrize("journal", ["wal", "delete"])
def test_power_loss_while_a_file_is_upgraded(
    journal: str,
    tmp_path: Path,
    chance: random.Random,
    size: Callable[[int, int], int],
    figures: Figures,
) -> None:
    """Whenever the power fails, the store is of the old schema or of the new one, and holds the
    same; where it is of the new one, its backup is whole; once the command has ended, it is.
    """
    at = tmp_path / "at"
    at.mkdir()
    make_older(at / STORE, 6, journal, 20)
    expected = lines_of(url_of(at / STORE))
    disk = Disk.of(at)
    calls = _record(at, "-m", "metastore", "upgrade", url_of(at / STORE))
    found = Counter[str]()
    folder = tmp_path / "replayed"
    for _, _, _, image in _images(calls, disk, chance, size(4, 100) / 100):
        _write(image, folder)
        found["images"] += 1
        found["of schema 10"] += _is_upgraded(folder, expected)
    _write(disk.only_synced(), folder)
    assert _is_upgraded(folder, expected)
    figures(calls=len(calls), **found)


def _replay_of_file(at: Path, name: str, words: str, chance: random.Random) -> Counter[str]:
    """Whatever is found of a file that is written anew, it is the old one or the new one."""
    before = (at / name).read_bytes()
    disk = Disk.of(at)
    calls = _record(at, "-c", f"from faults import works; works.{words}")
    after = (at / name).read_bytes()
    assert after != before
    found = Counter(calls=len(calls))
    for kind, number, _, image in _images(calls, disk, chance, 1):
        there = image.get(name, b"nothing at all")
        assert there in {before, after}, f"{kind}, after call {number} of {len(calls)}: {there!r}"
        found["images"] += 1
        found["with the new file"] += there == after
    assert disk.only_synced()[name] == after, "not on the disk when it is done"
    return found


def test_settings_that_are_interrupted(
    tmp_path: Path, chance: random.Random, figures: Figures
) -> None:
    """Killed after any call, or without power from there on, settings are the old ones or the new
    ones; the new ones once they are written.
    """
    at = tmp_path / "at"
    at.mkdir()
    works.registered_once(str(at / "config.toml"), "first")
    words = f"registered_once({str(at / 'config.toml')!r}, 'second')"
    figures(**_replay_of_file(at, "config.toml", words, chance))


@pytest.mark.parametrize("suffix", ["", ".gz", ".bz2", ".xz"])
def test_an_export_that_is_interrupted(
    suffix: str, tmp_path: Path, chance: random.Random, figures: Figures
) -> None:
    """So is the file of an export."""
    at = tmp_path / "at"
    at.mkdir()
    url = url_of(tmp_path / "store.db")
    with metastore.connect(url) as store:
        works.history(store, 30)
    (at / f"export{suffix}").write_bytes(b"before")
    words = f"exported({url!r}, {str(at / f'export{suffix}')!r})"
    figures(**_replay_of_file(at, f"export{suffix}", words, chance))


def _is_upgraded(folder: Path, expected: str) -> bool:
    """Whether the store is of the new schema; it holds what is expected, and so does a backup."""
    assert lines_of(url_of(folder / STORE)) == expected
    try:
        metastore.connect(url_of(folder / STORE), create=False).close()
    except SchemaVersionError:
        return False
    (backup,) = folder.glob("*.before-schema-10.*Z")
    assert lines_of(url_of(backup)) == expected
    return True
