"""Sixteen processes that write and read at once for long: no error, no leak, nothing lost."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from plugins.mysql.tests.servers import Server

import metastore
from faults.batches import check
from faults.conftest import Figures
from faults.forking import Forks
from faults.killing import Writer, verify_by_command
from faults.stores import new_file

_PROCESSES = 16
_SAMPLES = 40
"""Of memory, files and the log, over the whole time."""
_WARM = 0.25
"""Of the time: what grows until then are caches that fill."""
_FLAT_MEMORY = 1.15
_SLACK_MEMORY = 8 << 20
"""Bytes, which a sample may be off: the page cache of a connection, the answer that is read."""
_SLACK_FILES = 4
"""A connection's files, which a sample may just see open."""
_LOG = 64 << 20
"""Bytes of a write-ahead log that are not without bound."""

Size = Callable[[int, int], int]


@pytest.fixture(scope="module")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    """What starts the processes."""
    flavors = ("metastore_flavor_sqlite.store", "metastore_flavor_mysql.store")
    with Forks.of(tmp_path_factory.mktemp("forks"), "faults.loading", *flavors) as found:
        yield found


@dataclass
class Load:
    """Processes at work on one store, and what is seen of them meanwhile."""

    forks: Forks
    folder: Path
    url: str
    chance: random.Random
    longest: float = 0
    """Seconds of a pause between two calls of a process, at most."""
    processes: int = _PROCESSES
    wrong: str | None = None
    memory: list[int] = field(default_factory=list)
    """Bytes of all processes together, at each sample."""
    files: list[int] = field(default_factory=list)
    """That all processes hold open, at each sample."""
    logs: list[int] = field(default_factory=list)
    """Bytes of the write-ahead log, at each sample."""
    batches: int = 0
    took: dict[str, list[float]] = field(default_factory=dict)
    """Seconds of each call."""

    def run(self, seconds: float, log: Path | None = None) -> None:
        """Let them work for so long, and see what is there."""
        workers = [
            Writer(
                self.forks,
                self.folder,
                f"p{number}",
                action="faults.loading:work",
                url=self.url,
                times=str(self.folder / f"times {number}"),
                seed=self.chance.getrandbits(32),
                longest=self.longest,
                wrong=self.wrong if number == 0 else None,
            )
            for number in range(self.processes)
        ]
        try:
            for worker in workers:
                worker.wait_for_begin(2)
            for _ in range(_SAMPLES):
                time.sleep(seconds / _SAMPLES)
                if self.wrong:
                    # However slow the machine is: it has done something wrong since.
                    workers[0].wait_for_begin(workers[0].ledger.get("begun") + 1)
                self._sample(workers, log)
            for worker in workers:
                # What any of them raised is raised here.
                worker.stop()
            self._look(workers)
        finally:
            for worker in workers:
                worker.ledger.set("stop", 1)
                worker.ledger.close()

    def _sample(self, workers: list[Writer], log: Path | None) -> None:
        self.memory.append(sum(each.ledger.get("memory") for each in workers))
        self.files.append(sum(each.ledger.get("descriptors") for each in workers))
        if log is not None:
            self.logs.append(log.stat().st_size if log.exists() else 0)

    def _look(self, workers: list[Writer]) -> None:
        done = [label for each in workers for label in each.labels("acknowledged")]
        with metastore.connect(self.url, create=False) as store:
            assert check(store.backend, acknowledged=done, begun=done) == set(done)
        self.batches = len(done)
        for number in range(self.processes):
            found = json.loads((self.folder / f"times {number}").read_text())
            for what, times in found.items():
                self.took.setdefault(what, []).extend(times)
        verify_by_command(self.url)

    def figures(self, seconds: int) -> dict[str, Any]:
        """What was done and seen, in numbers."""
        found: dict[str, Any] = {
            "processes": self.processes,
            "seconds": seconds,
            "pauses at most, seconds": self.longest,
            "errors": 0,
            "batches acknowledged, and there": self.batches,
        }
        for what, times in self.took.items():
            found[f"{what}s"] = len(times)
            for name, share in (("p50", 0.5), ("p99", 0.99), ("worst", 1.0)):
                found[f"{what} {name}, ms"] = round(1000 * _quantile(times, share), 1)
        for what, series in (("memory, MiB a process", self.memory), ("files", self.files)):
            warm, end = _ends(series)
            scale = self.processes * (1 << 20 if "MiB" in what else 1)
            found[f"{what}, after warm-up"] = round(warm / scale, 1)
            found[f"{what}, at the end"] = round(end / scale, 1)
        if self.logs:
            found["write-ahead log at most, MiB"] = round(max(self.logs) / (1 << 20), 2)
            found["write-ahead log at the end, MiB"] = round(self.logs[-1] / (1 << 20), 2)
        return found


def _quantile(times: Sequence[float], share: float) -> float:
    ordered = sorted(times)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def _ends(series: Sequence[int]) -> tuple[float, float]:
    """What was seen behind the warm-up, and at the end: the most of some samples at each."""
    some = max(1, len(series) // 8)
    warm = int(_WARM * len(series))
    return max(series[warm : warm + some]), max(series[-some:])


def check_flat(load: Load) -> None:
    """Memory and open files at the end are those behind the warm-up, but for a slack.

    Raises
    ------
    AssertionError
        They have grown.
    """
    warm, end = _ends(load.memory)
    most = _FLAT_MEMORY * warm + _SLACK_MEMORY * load.processes / 4
    assert end <= most, f"memory grows: from {warm} to {end} bytes"
    warm, end = _ends(load.files)
    assert end <= warm + _SLACK_FILES * load.processes / 4, f"files: from {warm} to {end}"


_SECONDS = (4, 600)
_PAUSES = (0, 1)
"""Seconds at most: so that the store of the long form is one that can be looked at whole."""


@pytest.mark.parametrize("journal", ["wal", "delete"])
def test_load_of_a_file(
    journal: str,
    forks: Forks,
    tmp_path: Path,
    chance: random.Random,
    size: Size,
    figures: Figures,
) -> None:
    """Sixteen processes write and read one file: none meets an error, every acknowledged batch is
    there, memory and open files stay what they are, and the log does not grow without bound.
    """
    path = tmp_path / "store.db"
    load = Load(forks, tmp_path, new_file(path, journal), chance, longest=size(*_PAUSES))
    load.run(size(*_SECONDS), path.with_name("store.db-wal"))
    check_flat(load)
    assert max(load.logs) <= _LOG, f"the log has {max(load.logs)} bytes"
    figures(**load.figures(size(*_SECONDS)))


def test_load_of_a_server(
    mariadb: Server,
    forks: Forks,
    tmp_path: Path,
    chance: random.Random,
    size: Size,
    figures: Figures,
) -> None:
    """The same of one database of a MariaDB server."""
    url = mariadb.url(mariadb.new_database())
    metastore.connect(url).close()
    load = Load(forks, tmp_path, url, chance, longest=size(*_PAUSES))
    load.run(size(*_SECONDS))
    check_flat(load)
    figures(**load.figures(size(*_SECONDS)))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [("files", "files: from"), ("memory", "memory grows"), ("skip", "lost: |_by|_lin")],
)
def test_a_wrong_process_is_found_out(
    wrong: str, said: str, forks: Forks, tmp_path: Path, chance: random.Random
) -> None:
    """A process that keeps files or memory, or acknowledges what it did not write, does not pass:
    the harness can fail.
    """
    url = new_file(tmp_path / "store.db", "wal")
    load = Load(forks, tmp_path, url, chance, processes=2, wrong=wrong)
    with pytest.raises(AssertionError, match=said):
        _run_and_check(load)


def _run_and_check(load: Load) -> None:
    load.run(1)
    check_flat(load)
