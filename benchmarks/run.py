"""Measure: ``python benchmarks/run.py --help``.  See README.md beside this file."""

from __future__ import annotations

import argparse
import gc
import json
import multiprocessing
import platform
import random
import statistics
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

from candidates import BATCH, CONTEXTS, KNOWN_INPUTS, Candidate, Ground, Target
from data import artifacts, steps
from on_mysql import FarMySQL, MySQL
from on_sqlite import SQLite
from rich.console import Console
from rich.table import Table

GROUNDS: dict[str, Ground] = {"sqlite": SQLite(), "mysql": MySQL(), "mysql-far": FarMySQL()}
CALLS = 200
STEPS_OF_RUN = 20
READ = 1_000
STORED = 5_000
"""Artifacts of which `READ` are read."""


class Work(NamedTuple):
    """A workload: what one turn does, and by how many operations to divide its time."""

    title: str
    operations: int
    turn: Callable[[Candidate, int], Callable[[], None]]
    """Gets the rows ready, by a seed, and returns what is to be timed."""
    fill: Callable[[Candidate], None] | None = None
    """What goes before the first turn."""
    writers: int = 1
    """Processes that do it at once."""


def _write_one_by_one(candidate: Candidate, seed: int) -> Callable[[], None]:
    rows = artifacts(CALLS, seed)

    def timed() -> None:
        for row in rows:
            candidate.write_artifacts((row,))

    return timed


def _write_batch(candidate: Candidate, seed: int) -> Callable[[], None]:
    rows = artifacts(candidate.batch, seed)
    return lambda: candidate.write_artifacts(rows)


def _record_steps(candidate: Candidate, seed: int) -> Callable[[], None]:
    rows = list(steps(CALLS, seed, KNOWN_INPUTS, (1, 2)))

    def timed() -> None:
        for row in rows:
            candidate.record_step(row)

    return timed


def _record_run(candidate: Candidate, seed: int) -> Callable[[], None]:
    rows = list(steps(STEPS_OF_RUN, seed, KNOWN_INPUTS, (1, 2)))
    return lambda: candidate.record_run(rows)


def _read_artifacts(candidate: Candidate, seed: int) -> Callable[[], None]:
    ids = random.Random(seed).sample(range(1, STORED + 1), READ)

    def timed() -> None:
        assert candidate.read_artifacts(ids) == READ

    return timed


def _find_contexts(candidate: Candidate, seed: int) -> Callable[[], None]:
    names = random.Random(seed).choices(CONTEXTS, k=CALLS)

    def timed() -> None:
        for name in names:
            assert candidate.find_context(name)

    return timed


WORK = {
    "A": Work("one artifact with 5 properties a call", CALLS, _write_one_by_one),
    "B": Work(f"{BATCH:,} artifacts with 5 properties in one batch", 1, _write_batch),
    "C": Work(
        "record one step: 1 execution, 2 known inputs, 2 new outputs, 4 events, 2 contexts",
        CALLS,
        _record_steps,
    ),
    "D": Work(f"record a run of {STEPS_OF_RUN} steps as in C, in one batch", 1, _record_run),
    "E": Work(
        f"read {READ:,} artifacts with 5 properties by id, as objects",
        1,
        _read_artifacts,
        fill=lambda candidate: candidate.write_artifacts(artifacts(STORED, 0)),
    ),
    "I": Work("read a context by type and name", CALLS, _find_contexts),
    "W": Work("8 writers at once, a step as in C each", 8 * CALLS, _record_steps, writers=8),
}


class Worker:
    """A candidate in a process of its own, or in one for each writer.

    Of its own, because ml-metadata brings a second SQLite along, and two of them in one process
    break one another's locks (sqlite.org/howtocorrupt.html, section 2.2.1).
    """

    def __init__(self, ground: str, candidate: type[Candidate], url: str, letter: str) -> None:
        self.name = candidate.name
        self.url = url
        self._before = GROUNDS[ground].rows_of(url)
        self._scale = BATCH / candidate.batch if letter == "B" else 1
        self._pipes = []
        self._processes = []
        processes = multiprocessing.get_context("spawn")
        for _ in range(WORK[letter].writers):
            ours, theirs = processes.Pipe()
            process = processes.Process(
                target=_serve, args=(theirs, ground, self.name, url, letter)
            )
            process.start()
            ours.recv()
            self._pipes.append(ours)
            self._processes.append(process)

    def turn(self, seed: int) -> float:
        """One turn at the work; seconds."""
        for number, pipe in enumerate(self._pipes):
            pipe.send(100 * number + seed)
        for pipe in self._pipes:
            pipe.recv()
        # All are ready, and begin.
        for pipe in self._pipes:
            pipe.send(True)
        begun, ended = zip(*(pipe.recv() for pipe in self._pipes), strict=True)
        return (max(ended) - min(begun)) * self._scale  # type: ignore[no-any-return]

    def stop(self) -> None:
        """Let the processes end."""
        for pipe, process in zip(self._pipes, self._processes, strict=True):
            pipe.send(None)
            process.join()

    def written(self, ground: Ground) -> dict[str, int]:
        """Rows that it wrote, of every table."""
        found = ground.rows_of(self.url)
        return {
            name: round((count - self._before[name]) * self._scale) for name, count in found.items()
        }


def _serve(pipe: Connection, ground: str, name: str, url: str, letter: str) -> None:
    work = WORK[letter]
    candidate = next(each for each in GROUNDS[ground].candidates if each.name == name)(url)
    if work.fill is not None:
        work.fill(candidate)
    pipe.send(True)
    while (seed := pipe.recv()) is not None:
        timed = work.turn(candidate, seed)
        gc.collect()
        pipe.send(True)
        pipe.recv()
        begun = time.perf_counter()
        timed()
        pipe.send((begun, time.perf_counter()))


def measure(ground: str, letter: str, rounds: int, console: Console) -> dict[str, list[float]]:
    """Milliseconds an operation of every candidate, a figure a round.

    One more round goes first and does not count: files grow, caches fill, types are learned.
    """
    candidates = GROUNDS[ground].candidates
    times: dict[str, list[float]] = {each.name: [] for each in candidates}
    with GROUNDS[ground].places() as urls:
        workers = [Worker(ground, each, urls[each.name], letter) for each in candidates]
        for number in range(rounds + 1):
            console.print(f"  round {number} of {rounds}", style="dim")
            first = number % len(workers)
            for worker in workers[first:] + workers[:first]:
                seconds = worker.turn(number)
                if number:
                    times[worker.name].append(seconds / WORK[letter].operations * 1000)
        for worker in workers:
            worker.stop()
        counts = {each.name: each.written(GROUNDS[ground]) for each in workers}
        if len({json.dumps(each, sort_keys=True) for each in counts.values()}) > 1:
            sys.exit(f"the candidates did not do the same work: {counts}")
    return times


def report(
    letter: str, targets: tuple[Target, ...], times: dict[str, list[float]], console: Console
) -> None:
    """Two tables: what was measured, and what it means."""
    table = Table(title=f"{letter}: {WORK[letter].title}", title_justify="left")
    for column in ("candidate", "median ms", "min", "max"):
        table.add_column(column, justify="left" if column == "candidate" else "right")
    for name, found in times.items():
        figures = (statistics.median(found), min(found), max(found))
        table.add_row(name, *(f"{figure:.3f}" for figure in figures))
    console.print(table)
    ratios = Table(title=f"{letter}: times as fast (ratio of medians)", title_justify="left")
    for column in ("candidate", "against", "ratio", "target", ""):
        ratios.add_column(column)
    for name, peer, target in targets:
        ratio = statistics.median(times[peer]) / statistics.median(times[name])
        verdict = "met" if ratio >= target else "MISSED"
        ratios.add_row(name, peer, f"{ratio:.2f}", f"{target:.2f}", verdict)
    console.print(ratios)


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--on", choices=sorted(GROUNDS), default="sqlite", help="the database")
    parser.add_argument("--work", help="letters, such as B,C; all by default")
    parser.add_argument("--rounds", type=int, default=7, help="rounds that count (default 7)")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    arguments = parser.parse_args()
    console = Console()
    ground = GROUNDS[arguments.on]
    letters = arguments.work.split(",") if arguments.work else list(ground.targets)
    unknown = sorted(set(letters) - set(ground.targets))
    if unknown:
        parser.error(f"on {arguments.on}, {', '.join(ground.targets)} are measured")
    about = {
        "python": platform.python_version(),
        "metastore-core": version("metastore-core"),
        **ground.about(),
        "ml-metadata": version("ml-metadata"),
        "rounds": arguments.rounds,
    }
    console.print(", ".join(f"{name} {value}" for name, value in about.items()))
    figures = {}
    for letter in letters:
        figures[letter] = measure(arguments.on, letter, arguments.rounds, console)
        report(letter, ground.targets[letter], figures[letter], console)
    if arguments.json:
        text = json.dumps({"about": about, "milliseconds": figures}, indent=1)
        arguments.json.write_text(text + "\n")


if __name__ == "__main__":
    main()
