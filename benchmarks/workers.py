"""Candidates at work, each in a process of its own, taking turns."""

from __future__ import annotations

import gc
import json
import multiprocessing
import sys
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

from candidates import BATCH, Candidate, Ground
from on_memory import SQLiteInMemory
from on_mysql import FarMySQL, MySQL
from on_sqlite import SQLite
from rich.console import Console
from targets import Measured
from works import WORK, Writer

GROUNDS: dict[str, Ground] = {
    "sqlite": SQLite(),
    "sqlite-memory": SQLiteInMemory(),
    "mysql": MySQL(),
    "mysql-far": FarMySQL(),
}


class Turn(NamedTuple):
    """What came of a turn."""

    seconds: float
    answers: Sequence[Any]
    """Of each of its processes."""


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

    def turn(self, letter: str, seed: int) -> Turn:
        """One turn at the work."""
        for number, pipe in enumerate(self._pipes):
            pipe.send((letter, 100 * number + seed))
        for pipe in self._pipes:
            pipe.recv()
        # All are ready, and begin.
        for pipe in self._pipes:
            pipe.send(True)
        begun, ended, answers = zip(*(pipe.recv() for pipe in self._pipes), strict=True)
        return Turn((max(ended) - min(begun)) * self._scale, answers)

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
    candidate = GROUNDS[ground].open(name, url, WORK[letter].fill)
    pipe.send(True)
    while (asked := pipe.recv()) is not None:
        letter, seed = asked
        timed = WORK[letter].turn(candidate, seed)
        gc.collect()
        pipe.send(True)
        pipe.recv()
        begun = time.perf_counter()
        answer = timed()
        ended = time.perf_counter()
        pipe.send((begun, ended, answer))


def together(letters: Sequence[str]) -> list[list[str]]:
    """The works that can be measured on the same stores, for their filling takes long."""
    groups: list[list[str]] = []
    for letter in letters:
        work = WORK[letter]
        shared = (
            group
            for group in groups
            if not work.writes
            and work.fill is not None
            and not WORK[group[0]].writes
            and WORK[group[0]].fill is work.fill
        )
        group = next(shared, None)
        if group is None:
            groups.append([letter])
        else:
            group.append(letter)
    return groups


def measure(
    ground: str, letters: Sequence[str], rounds: int, console: Console
) -> dict[str, Measured]:
    """What each of the works takes every candidate, on the same stores.

    One more round goes first and does not count: files grow, caches fill, types are learned.
    """
    place = GROUNDS[ground]
    candidates = place.taking_part(letters)
    fill = WORK[letters[0]].fill
    with place.places(candidates, fill) as urls:
        workers = [Worker(ground, each, urls[each.name], letters[0]) for each in candidates]
        measured = {}
        for letter in letters:
            names = {each.name for each in place.taking_part([letter])}
            at_it = [each for each in workers if each.name in names]
            measured[letter] = _rounds(letter, at_it, rounds, console)
        for worker in workers:
            worker.stop()
        counts = {each.name: each.written(place) for each in workers}
        _check_same(counts, "wrote")
    return measured


def _rounds(letter: str, workers: list[Worker], rounds: int, console: Console) -> Measured:
    work = WORK[letter]
    measured = Measured({each.name: [] for each in workers})
    for number in range(rounds + 1):
        console.print(f"  {letter}: round {number} of {rounds}", style="dim")
        first = number % len(workers)
        answers = {}
        for worker in workers[first:] + workers[:first]:
            found = worker.turn(letter, number)
            answers[worker.name] = found.answers
            if number:
                measured.milliseconds[worker.name].append(found.seconds / work.operations * 1000)
        if isinstance(next(iter(answers.values()))[0], Writer):
            if number:
                _add_writers(measured, answers)
        else:
            _check_same(answers, "answered")
    return measured


def _add_writers(measured: Measured, answers: dict[str, Sequence[Writer]]) -> None:
    for name, writers in answers.items():
        worst = 1000 * max(each.worst for each in writers)
        measured.worst[name] = max(worst, measured.worst.get(name, 0))
        errors = sum(each.errors for each in writers)
        measured.errors[name] = measured.errors.get(name, 0) + errors


def _check_same(found: dict[str, Any], did: str) -> None:
    if len({json.dumps(each, sort_keys=True) for each in found.values()}) > 1:
        sys.exit(f"the candidates {did} not the same: {found}")
