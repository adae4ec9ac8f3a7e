"""The power fails while a file is written: what was acknowledged is there when it comes back."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

import metastore
from faults import shim
from faults.batches import check
from faults.conftest import Figures
from faults.disk import Disk, Image
from faults.forking import ROOT
from faults.recorded import ACKNOWLEDGED, STORE, label_of
from faults.shim import Call, Sort

_BATCHES = 24
"""That are written while the power fails."""


def _record(folder: Path, journal: str, synchronous: str) -> list[Call]:
    """What a process that writes asks of the disk."""
    (folder / "at").mkdir()
    log = folder / "log"
    subprocess.run(
        [
            *(sys.executable, "-m", "faults.recorded", str(folder / "at")),
            *(journal, synchronous, str(_BATCHES)),
        ],
        check=True,
        cwd=ROOT,
        env=os.environ | shim.environment(folder / "at", log),
    )
    return [*shim.recorded(log)]


def _acknowledged(image: Image) -> int:
    """How many batches were; this file is the harness's own, and outlives all."""
    return image.get(ACKNOWLEDGED, b"").count(b"\n")


def _images(
    calls: list[Call], folder: Path, chance: random.Random, share: float
) -> Iterator[tuple[str, int, int, Image]]:
    """What may be found after each call, or after a share of them: how it was made, after which
    call, how many batches had been acknowledged, and the files.
    """
    disk = Disk(folder)
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


class _Replay:
    """Images, looked at one after the other."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.counts = Counter[str]()

    def look(self, image: Image, acknowledged: int, *, begun: int) -> None:
        """Raise AssertionError unless the store of the image is as it must be."""
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir()
        for name, content in image.items():
            (self._folder / name).write_bytes(content)
        path = self._folder / STORE
        self.counts["images"] += 1
        journal = image.get(f"{STORE}-journal", b"")
        self.counts["with a journal"] += bool(journal)
        self.counts["with a write-ahead log"] += bool(image.get(f"{STORE}-wal"))
        with metastore.connect(f"sqlite:///{path}", create=not acknowledged) as store:
            check(
                store.backend,
                acknowledged=[label_of(number + 1) for number in range(acknowledged)],
                begun=[label_of(number + 1) for number in range(begun)],
            )
        with closing(sqlite3.connect(path)) as file:
            assert file.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


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
    calls = _record(folder, journal, synchronous)
    replay = _Replay(folder / "replayed")
    seen = set[int]()
    for kind, number, acknowledged, image in _images(calls, folder / "at", chance, share):
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
