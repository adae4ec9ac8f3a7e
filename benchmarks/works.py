"""The works: what a store finds when they begin, what one turn does, and what is timed of it."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, NamedTuple

from candidates import BATCH, CONTEXTS, KNOWN_INPUTS, Candidate, Fill
from data import FEW, HALF, OLDEST, ArtifactRow, Match, artifacts, artifacts_to_find, chains, steps

CALLS = 200
REPEATS = 5
"""How often a turn does what takes milliseconds, so that one hiccup is not all of it."""
STEPS_OF_RUN = 20
STEPS_OF_WRITER = 50
MOST_ERRORS = 10_000
"""So often a writer asks again, before that is no matter of others who write."""
READ = 1_000
STORED = 5_000
"""Artifacts of which `READ` are read."""
MANY = 100_000
LIMIT = 100
"""Artifacts that are asked for, where more match."""
HOPS = 20
DEPTH, BESIDE = 100, 100
"""Steps of a chain, and chains side by side: 10,000 executions."""
TRACED = 20

Timed = Callable[[], Any]
"""What is timed; it gives an answer, which is to be the same whoever gives it."""


class Work(NamedTuple):
    """A workload: what one turn does, and by how many operations to divide its time."""

    title: str
    operations: int
    turn: Callable[[Candidate, int], Timed]
    """Gets the rows ready, by a seed, and returns what is to be timed."""
    fill: Fill | None = None
    """What goes before the first turn."""
    writers: int = 1
    """Processes that do it at once."""
    writes: bool = True
    """Whether the store is another one afterwards, and none for the next work."""


class Writer(NamedTuple):
    """How it went for one of several writers."""

    worst: float
    """Seconds of its slowest operation, in which it asked until it was not refused."""
    errors: int
    """How often it was refused."""


def fill_few(candidate: Candidate) -> None:
    """What E reads from."""
    candidate.write_artifacts(artifacts(STORED, 0))


def fill_many(candidate: Candidate, count: int = MANY, every: int = 1_000) -> None:
    """What F and H read."""
    for some in _some(artifacts_to_find(count, every), 1_000):
        candidate.write_artifacts(some)


def fill_graph(candidate: Candidate) -> None:
    """What G walks."""
    for layer in chains(DEPTH, BESIDE, KNOWN_INPUTS):
        candidate.record_run(layer)


def _some(rows: Iterable[ArtifactRow], size: int) -> Iterator[list[ArtifactRow]]:
    left = iter(rows)
    while some := list(islice(left, size)):
        yield some


def write_one_by_one(candidate: Candidate, seed: int) -> Timed:
    """`CALLS` calls, an artifact each."""
    rows = artifacts(CALLS, seed)

    def timed() -> None:
        for row in rows:
            candidate.write_artifacts((row,))

    return timed


def write_batch(candidate: Candidate, seed: int) -> Timed:
    """One call, as many artifacts as the candidate is given at once."""
    rows = artifacts(candidate.batch, seed)
    return lambda: candidate.write_artifacts(rows)


def record_steps(candidate: Candidate, seed: int) -> Timed:
    """`CALLS` calls, a step each."""
    rows = list(steps(CALLS, seed, KNOWN_INPUTS, (1, 2)))

    def timed() -> None:
        for row in rows:
            candidate.record_step(row)

    return timed


def _record_run(candidate: Candidate, seed: int) -> Timed:
    runs = [
        list(steps(STEPS_OF_RUN, REPEATS * seed + number, KNOWN_INPUTS, (1, 2)))
        for number in range(REPEATS)
    ]

    def timed() -> None:
        for rows in runs:
            candidate.record_run(rows)

    return timed


def _record_beside_others(candidate: Candidate, seed: int) -> Timed:
    rows = list(steps(STEPS_OF_WRITER, seed, KNOWN_INPUTS, (1, 2)))

    def timed() -> Writer:
        worst, errors = 0.0, 0
        for row in rows:
            begun = time.perf_counter()
            while True:
                try:
                    candidate.record_step(row)
                    break
                except candidate.refused:
                    errors += 1
                    if errors > MOST_ERRORS:
                        raise
            worst = max(worst, time.perf_counter() - begun)
        return Writer(worst, errors)

    return timed


def read_by_id(stored: int, *, together: bool = False) -> Callable[[Candidate, int], Timed]:
    """`READ` of so many artifacts, at random or those of one stretch of ids."""

    def turn(candidate: Candidate, seed: int) -> Timed:
        chance = random.Random(seed)
        if together:
            firsts = [chance.randrange(1, stored - READ + 2) for _ in range(REPEATS)]
            lists = [list(range(first, first + READ)) for first in firsts]
        else:
            lists = [chance.sample(range(1, stored + 1), READ) for _ in range(REPEATS)]

        def timed() -> None:
            for ids in lists:
                assert candidate.read_artifacts(ids) == READ

        return timed

    return turn


def find_contexts(candidate: Candidate, seed: int) -> Timed:
    """`CALLS` contexts, one after the other."""
    names = random.Random(seed).choices(CONTEXTS, k=CALLS)

    def timed() -> None:
        for name in names:
            assert candidate.find_context(name)

    return timed


def find_newest(match: Match) -> Callable[[Candidate, int], Timed]:
    """The newest artifacts that match."""

    def turn(candidate: Candidate, _: int) -> Timed:
        return lambda: [candidate.newest(match, LIMIT) for _ in range(REPEATS)]

    return turn


def _trace(candidate: Candidate, seed: int) -> Timed:
    # Far enough down that there are so many hops above.
    first = KNOWN_INPUTS + HOPS // 2 * BESIDE + 1
    ids = random.Random(seed).sample(range(first, KNOWN_INPUTS + DEPTH * BESIDE + 1), TRACED)
    return lambda: [candidate.trace(id, HOPS) for id in ids]


def _read_all(candidate: Candidate, _: int) -> Timed:
    return candidate.read_all


def _finding(match: Match) -> Work:
    return Work(
        f"filter, newest first, limit {LIMIT}, over {MANY:,} artifacts: {match.title}",
        REPEATS,
        find_newest(match),
        fill=fill_many,
        writes=False,
    )


def _writing(writers: int) -> Work:
    return Work(
        f"{writers} writer{'s at once' if writers > 1 else ''}, a step as in C each",
        writers * STEPS_OF_WRITER,
        _record_beside_others,
        writers=writers,
    )


WORK = {
    "A": Work("one artifact with 5 properties a call", CALLS, write_one_by_one),
    "B": Work(f"{BATCH:,} artifacts with 5 properties in one batch", 1, write_batch),
    "C": Work(
        "record one step: 1 execution, 2 known inputs, 2 new outputs, 4 events, 2 contexts",
        CALLS,
        record_steps,
    ),
    "D": Work(f"record a run of {STEPS_OF_RUN} steps as in C, in one batch", REPEATS, _record_run),
    "E": Work(
        f"read {READ:,} artifacts with 5 properties by id, as objects",
        REPEATS,
        read_by_id(STORED),
        fill=fill_few,
        writes=False,
    ),
    "F1": _finding(HALF),
    "F2": _finding(FEW),
    "F3": _finding(OLDEST),
    "G": Work(
        f"lineage, {HOPS} hops in a graph of {DEPTH * BESIDE:,} executions",
        TRACED,
        _trace,
        fill=fill_graph,
        writes=False,
    ),
    "H": Work(
        f"read all of {MANY:,} artifacts with 5 properties, as objects",
        1,
        _read_all,
        fill=fill_many,
        writes=False,
    ),
    "I": Work("read a context by type and name", CALLS, find_contexts, writes=False),
    **{f"W{writers}": _writing(writers) for writers in (1, 2, 4, 8)},
}
