"""Candidates at work on a ground, taking turns."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from candidates import BATCH, Candidate, Ground
from on_memory import SQLiteInMemory
from on_mysql import FarMySQL, MySQL
from on_sqlite import SQLite
from processes import Processes, Turn
from rich.console import Console
from targets import Measured
from works import WORK, Timed, Writer

GROUNDS: dict[str, Ground] = {
    "sqlite": SQLite(),
    "sqlite-memory": SQLiteInMemory(),
    "mysql": MySQL(),
    "mysql-far": FarMySQL(),
}


@dataclass(frozen=True)
class Stall:
    """Where a candidate works on a ground."""

    ground: str
    name: str
    url: str
    letter: str
    """The first work, whose store it is."""

    def open(self) -> Candidate:
        """Connect."""
        return GROUNDS[self.ground].open(self.name, self.url, WORK[self.letter].fill)

    def turn(self, candidate: Candidate, letter: str, seed: int) -> Timed:
        """A turn at a work."""
        return WORK[letter].turn(candidate, seed)


class Worker:
    """A candidate on a ground."""

    def __init__(self, ground: str, candidate: type[Candidate], url: str, letter: str) -> None:
        self.name = candidate.name
        self._url = url
        self._ground = GROUNDS[ground]
        self._before = self._ground.rows_of(url)
        self._scale = BATCH / candidate.batch if letter == "B" else 1
        self._processes = Processes(Stall(ground, self.name, url, letter), WORK[letter].writers)

    def turn(self, letter: str, seed: int) -> Turn:
        """One turn at the work."""
        found = self._processes.turn(letter, seed)
        return found._replace(seconds=found.seconds * self._scale)

    def stop(self) -> dict[str, int]:
        """End; how many rows it wrote, of every table."""
        self._processes.stop()
        found = self._ground.rows_of(self._url)
        return {
            name: round((count - self._before[name]) * self._scale) for name, count in found.items()
        }


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
        _check_same({each.name: each.stop() for each in workers}, "wrote")
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
