"""Measure: ``python benchmarks/run.py --help``.  See README.md beside this file."""

from __future__ import annotations

import argparse
import gc
import json
import multiprocessing
import platform
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

from candidates import CANDIDATES, KNOWN_INPUTS, Candidate, prepare, rows_of
from data import artifacts, steps
from rich.console import Console
from rich.table import Table

BATCH = 10_000
STEPS = 200


class Work(NamedTuple):
    """A workload: what one turn does, and by how many operations to divide its time."""

    title: str
    operations: int
    turn: Callable[[Candidate, int], float]
    targets: tuple[tuple[str, str, float], ...]
    """Candidate, peer, and how many times as fast as the peer it is to be (design, section 12)."""


def _write_batch(candidate: Candidate, seed: int) -> float:
    rows = artifacts(BATCH, seed)
    begun = time.perf_counter()
    candidate.write_artifacts(rows)
    return time.perf_counter() - begun


def _record_steps(candidate: Candidate, seed: int) -> float:
    rows = list(steps(STEPS, seed, KNOWN_INPUTS, (1, 2)))
    begun = time.perf_counter()
    for row in rows:
        candidate.record_step(row)
    return time.perf_counter() - begun


WORK = {
    "B": Work(
        f"{BATCH:,} artifacts with 5 properties in one batch",
        1,
        _write_batch,
        (
            ("ours", "mlmd", 3.0),
            ("ours", "plain", 1.2),
            ("ours-delete", "mlmd", 3.0),
            ("ours-delete", "plain-delete", 1.2),
        ),
    ),
    "C": Work(
        "record one step: 1 execution, 2 known inputs, 2 new outputs, 4 events, 2 contexts",
        STEPS,
        _record_steps,
        (
            ("ours", "mlmd", 3.0),
            ("ours", "mlmd-wal", 1.5),
            ("ours", "plain", 0.7),
            ("ours-delete", "mlmd", 1.2),
            ("ours-delete", "plain-delete", 0.8),
        ),
    ),
}


class Worker:
    """A candidate in a process of its own.

    Of its own, because ml-metadata brings a second SQLite along, and two of them in one process
    break one another's locks (sqlite.org/howtocorrupt.html, section 2.2.1).
    """

    def __init__(self, candidate: type[Candidate], folder: Path) -> None:
        self.name = candidate.name
        self.path = folder / f"{candidate.name}.db"
        prepare(self.path)
        processes = multiprocessing.get_context("spawn")
        self._pipe, theirs = processes.Pipe()
        self._process = processes.Process(target=_serve, args=(theirs, candidate.name, folder))
        self._process.start()

    def turn(self, letter: str, seed: int) -> float:
        """One turn at the work; seconds."""
        self._pipe.send((letter, seed))
        return self._pipe.recv()  # type: ignore[no-any-return]

    def stop(self) -> None:
        """Let the process end."""
        self._pipe.send(None)
        self._process.join()


def _serve(pipe: Connection, name: str, folder: Path) -> None:
    candidate = next(each for each in CANDIDATES if each.name == name)(folder)
    while (task := pipe.recv()) is not None:
        letter, seed = task
        gc.collect()
        pipe.send(WORK[letter].turn(candidate, seed))


def measure(letter: str, rounds: int, console: Console) -> dict[str, list[float]]:
    """Milliseconds an operation of every candidate, a figure a round.

    One more round goes first and does not count: files grow, caches fill, types are learned.
    """
    times: dict[str, list[float]] = {each.name: [] for each in CANDIDATES}
    with tempfile.TemporaryDirectory(prefix="metastore-bench-", dir=".") as folder:
        workers = [Worker(each, Path(folder).resolve()) for each in CANDIDATES]
        for number in range(rounds + 1):
            console.print(f"  round {number} of {rounds}", style="dim")
            first = number % len(workers)
            for worker in workers[first:] + workers[:first]:
                seconds = worker.turn(letter, number)
                if number:
                    times[worker.name].append(seconds / WORK[letter].operations * 1000)
        for worker in workers:
            worker.stop()
        counts = {each.name: rows_of(each.path) for each in workers}
        if len({json.dumps(each) for each in counts.values()}) > 1:
            sys.exit(f"the candidates did not do the same work: {counts}")
    return times


def report(letter: str, work: Work, times: dict[str, list[float]], console: Console) -> None:
    """Two tables: what was measured, and what it means."""
    table = Table(title=f"{letter}: {work.title}", title_justify="left")
    for column in ("candidate", "median ms", "min", "max"):
        table.add_column(column, justify="left" if column == "candidate" else "right")
    for name, found in times.items():
        figures = (statistics.median(found), min(found), max(found))
        table.add_row(name, *(f"{figure:.3f}" for figure in figures))
    console.print(table)
    ratios = Table(title=f"{letter}: times as fast (ratio of medians)", title_justify="left")
    for column in ("candidate", "against", "ratio", "target", ""):
        ratios.add_column(column)
    for name, peer, target in work.targets:
        ratio = statistics.median(times[peer]) / statistics.median(times[name])
        verdict = "met" if ratio >= target else "MISSED"
        ratios.add_row(name, peer, f"{ratio:.2f}", f"{target:.2f}", verdict)
    console.print(ratios)


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", default=",".join(WORK), help="letters, such as B,C")
    parser.add_argument("--rounds", type=int, default=7, help="rounds that count (default 7)")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    arguments = parser.parse_args()
    console = Console()
    about = {
        "python": platform.python_version(),
        "sqlite3 module": sqlite3.sqlite_version,
        "metastore-core": version("metastore-core"),
        "metastore-flavor-sqlite": version("metastore-flavor-sqlite"),
        "ml-metadata": version("ml-metadata"),
        "rounds": arguments.rounds,
    }
    console.print(", ".join(f"{name} {value}" for name, value in about.items()))
    figures = {}
    for letter in arguments.work.split(","):
        work = WORK[letter]
        figures[letter] = measure(letter, arguments.rounds, console)
        report(letter, work, figures[letter], console)
    if arguments.json:
        text = json.dumps({"about": about, "milliseconds": figures}, indent=1)
        arguments.json.write_text(text + "\n")


if __name__ == "__main__":
    main()
