"""How time grows with what a store holds: ``python benchmarks/growth.py --help``.

On SQLite files with a write-ahead log.  The sizes take turns, so that whatever the machine does
meanwhile hits all of them; what a checkpoint costs is part of every write.
"""

from __future__ import annotations

import argparse
import signal
import sqlite3
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import report
from candidates import BATCH, KNOWN_INPUTS, Candidate, Fill, Ours
from data import FEW, artifacts, chains, diamonds, fan
from on_sqlite import copy_file, filled_file, journal_of
from plain_sqlite import SCHEME, PlainSQLite
from processes import Processes
from rich.console import Console
from works import (
    CALLS,
    REPEATS,
    Timed,
    Work,
    fill_many,
    find_contexts,
    find_newest,
    read_by_id,
    record_steps,
    write_batch,
    write_one_by_one,
)

CANDIDATES: dict[str, type[Candidate]] = {each.name: each for each in (Ours, PlainSQLite)}
MATCHING = 1_000
"""Artifacts that F finds in a store of any size."""
SHAPES = {
    "chain": lambda size: chains(size, 1, KNOWN_INPUTS),
    "diamonds": lambda size: diamonds(size, KNOWN_INPUTS),
    "fan": lambda size: fan(size, KNOWN_INPUTS),
}
MOST = {"E": 2.0, "E consecutive": 1.5, "F": 1.5, "I": 1.5, "A": 2.0, "C": 2.0, "B": 5.0}
"""How many times the smallest store's time it may take in the largest (design, section 12)."""

Figures = dict[str, dict[int, list[float]]]
"""Milliseconds of an operation by candidate and size, a figure a round."""


def works_of(size: int) -> dict[str, Work]:
    """What is measured in a store of so many artifacts; what changes it comes last."""
    return {
        "E": Work("1,000 artifacts by random ids", REPEATS, read_by_id(size), writes=False),
        "E consecutive": Work(
            "1,000 artifacts of consecutive ids",
            REPEATS,
            read_by_id(size, together=True),
            writes=False,
        ),
        "F": Work(
            f"the newest 100 of {MATCHING:,} artifacts that match",
            REPEATS,
            find_newest(FEW),
            writes=False,
        ),
        "I": Work("a context by type and name", CALLS, find_contexts, writes=False),
        "A": Work("one artifact a call", CALLS, write_one_by_one),
        "C": Work("one step a call", CALLS, record_steps),
        "B": Work(f"{BATCH:,} artifacts in one batch", 1, write_batch),
    }


@dataclass(frozen=True)
class Grown:
    """A store of so many artifacts, and who works there."""

    name: str
    size: int
    path: Path

    def open(self) -> Candidate:
        """Connect, and write something: what is learned from the types is learned before."""
        candidate = CANDIDATES[self.name](f"{SCHEME}{self.path}")
        candidate.write_artifacts(artifacts(1, 0))
        return candidate

    def turn(self, candidate: Candidate, letter: str, seed: int) -> Timed:
        """A turn, which ends with a checkpoint where the store was written to."""
        work = works_of(self.size)[letter]
        timed = work.turn(candidate, seed)
        if not work.writes:
            return timed
        connection = sqlite3.connect(self.path, isolation_level=None)

        def with_checkpoint() -> None:
            timed()
            connection.execute("PRAGMA wal_checkpoint(FULL)").fetchall()
            connection.close()

        return with_checkpoint


@dataclass(frozen=True)
class Shaped:
    """A graph of a shape, walked from its end to its beginnings."""

    name: str
    shape: str
    size: int
    path: Path

    def open(self) -> Candidate:
        """Connect."""
        return CANDIDATES[self.name](f"{SCHEME}{self.path}")

    def turn(self, candidate: Candidate, letter: str, seed: int) -> Timed:  # noqa: ARG002 - one work
        """As many walks as make a turn that is long enough."""
        last = KNOWN_INPUTS + sum(len(layer) for layer in SHAPES[self.shape](self.size))
        return lambda: [candidate.trace(last, 10**6) for _ in range(walks(self.size))]


def walks(size: int) -> int:
    """Walks of a turn."""
    return max(1, 1_000 // size)


def fill_shape(candidate: Candidate, shape: str, size: int) -> None:
    """Record a graph."""
    for layer in SHAPES[shape](size):
        candidate.record_run(layer)


class Stores:
    """Files: one that is filled for each size, and copies of it that are written to."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._filled: dict[object, Path] = {}

    def fill(self, key: object, fill: Fill) -> None:
        """Make the file that copies are made of."""
        path = self._folder / f"filled-{len(self._filled)}.db"
        self._filled[key] = filled_file(path, fill)

    def copy(self, key: object, name: str) -> Path:
        """A copy, with a write-ahead log; it takes the place of an earlier one."""
        source = self._filled[key]
        target = self._folder / f"{name}-{source.name}"
        for old in self._folder.glob(f"{target.name}*"):
            old.unlink()
        copy_file(source, target)
        journal_of(target, "wal")
        return target


class Options(NamedTuple):
    """What the command line asks for."""

    candidates: Sequence[str]
    sizes: Sequence[int]
    rounds: int


def measure_sizes(stores: Stores, options: Options, console: Console) -> dict[str, Figures]:
    """What each work takes in stores of every size."""
    for size in options.sizes:
        console.print(f"  filling a store of {size:,} artifacts", style="dim")
        stores.fill(size, partial(fill_many, count=size, every=size // MATCHING))
    pairs = [(name, size) for size in options.sizes for name in options.candidates]
    workers = {pair: Processes(Grown(*pair, stores.copy(pair[1], pair[0]))) for pair in pairs}
    found: dict[str, Figures] = {}
    for letter in MOST:
        figures = found[letter] = _empty(options)
        for number, first, pair in _turns(pairs, options.rounds):
            if first:
                console.print(f"  {letter}: round {number} of {options.rounds}", style="dim")
            if letter == "B":
                # It makes of the smallest store one of twice the size.
                workers[pair].stop()
                name, size = pair
                workers[pair] = Processes(Grown(name, size, stores.copy(size, name)))
            seconds = workers[pair].turn(letter, number).seconds
            if number:
                operations = works_of(pair[1])[letter].operations
                figures[pair[0]][pair[1]].append(seconds / operations * 1000)
    for each in workers.values():
        each.stop()
    return found


def measure_shapes(stores: Stores, options: Options, console: Console) -> dict[str, Figures]:
    """What a walk takes in graphs of each shape and size."""
    found: dict[str, Figures] = {}
    for shape in SHAPES:
        for size in options.sizes:
            stores.fill((shape, size), partial(fill_shape, shape=shape, size=size))
        pairs = [(name, size) for size in options.sizes for name in options.candidates]
        workers = {
            (name, size): Processes(
                Shaped(name, shape, size, stores.copy((shape, size), f"{name}-{shape}"))
            )
            for name, size in pairs
        }
        figures = found[shape] = _empty(options)
        for number, first, pair in _turns(pairs, options.rounds):
            if first:
                console.print(f"  {shape}: round {number} of {options.rounds}", style="dim")
            turn = workers[pair].turn(shape, number)
            if number:
                figures[pair[0]][pair[1]].append(turn.seconds / walks(pair[1]) * 1000)
        for each in workers.values():
            each.stop()
    return found


def _empty(options: Options) -> Figures:
    return {name: {size: [] for size in options.sizes} for name in options.candidates}


def _turns(
    pairs: Sequence[tuple[str, int]], rounds: int
) -> Iterator[tuple[int, bool, tuple[str, int]]]:
    """The number of each round, whether it begins, and whose turn it is; round 0 does not count."""
    for number in range(rounds + 1):
        first = number % len(pairs)
        for position, pair in enumerate([*pairs[first:], *pairs[:first]]):
            yield number, position == 0, pair


def show(title: str, figures: Figures, most: float | None, console: Console) -> dict[str, Any]:
    """A table of medians and their ratios to the smallest size; the same for a file."""
    sizes = list(next(iter(figures.values())))
    columns = ["candidate", *(f"{size:,}" for size in sizes), "largest / smallest", "at most", ""]
    table = report.new_table(title, columns)
    content: dict[str, Any] = {"title": title, "milliseconds": {}, "ratio": {}}
    for name, by_size in figures.items():
        medians = [statistics.median(by_size[size]) for size in sizes]
        ratio = medians[-1] / medians[0]
        told = most is not None and name == Ours.name
        verdict = ("met" if ratio <= most else "MISSED") if told and most is not None else ""
        table.add_row(
            name,
            *(f"{each:.3f}" for each in medians),
            f"{ratio:.2f}",
            f"{most:g}" if told else "",
            verdict,
        )
        content["milliseconds"][name] = {
            str(size): [round(each, 4) for each in found] for size, found in by_size.items()
        }
        content["ratio"][name] = round(ratio, 3)
    if most is not None:
        content["at most"] = most
    console.print(table)
    return content


@contextmanager
def _stores() -> Iterator[Stores]:
    with tempfile.TemporaryDirectory(prefix="metastore-bench-", dir=".") as folder:
        yield Stores(Path(folder).resolve())


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--graphs", type=int, nargs="*", default=[99, 999, 9_999])
    parser.add_argument("--candidates", nargs="+", choices=CANDIDATES, default=list(CANDIDATES))
    parser.add_argument("--rounds", type=int, default=5, help="rounds that count (default 5)")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    arguments = parser.parse_args()
    if min(arguments.sizes) < MATCHING:
        parser.error(f"a store has at least {MATCHING:,} artifacts")
    # Told to end, it puts away its files.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    console = Console()
    facts = report.about(
        **{
            "sqlite3 module": sqlite3.sqlite_version,
            "metastore-flavor-sqlite": version("metastore-flavor-sqlite"),
            "rounds": arguments.rounds,
        }
    )
    console.print(report.said(facts))
    content: dict[str, Any] = {"about": facts, "growth": {}, "lineage": {}}
    options = Options(arguments.candidates, sorted(arguments.sizes), arguments.rounds)
    with _stores() as stores:
        titles = works_of(MATCHING)
        for letter, figures in measure_sizes(stores, options, console).items():
            title = f"{letter}: {titles[letter].title}; milliseconds by artifacts stored"
            content["growth"][letter] = show(title, figures, MOST[letter], console)
    if arguments.graphs:
        options = options._replace(sizes=sorted(arguments.graphs))
        with _stores() as stores:
            for shape, figures in measure_shapes(stores, options, console).items():
                title = f"lineage, {shape}: milliseconds by executions, all of them walked"
                content["lineage"][shape] = show(title, figures, None, console)
    if arguments.json:
        report.write(arguments.json, content)


if __name__ == "__main__":
    main()
