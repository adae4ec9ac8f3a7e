"""Works that are done in processes of their own, whose turns this one gives and times."""

from __future__ import annotations

import gc
import multiprocessing
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Any, NamedTuple, Protocol

from candidates import Candidate
from works import Timed

__all__ = ["Place", "Processes", "Turn"]


class Place(Protocol):
    """Where a process finds its store, and what it does there; it is sent to the process."""

    def open(self) -> Candidate:
        """Connect."""

    def turn(self, candidate: Candidate, letter: str, seed: int) -> Timed:
        """Get a turn at a work ready."""


class Turn(NamedTuple):
    """What came of a turn."""

    seconds: float
    answers: Sequence[Any]
    """Of each of its processes."""


class Processes:
    """Some processes that do the same at once.

    Of their own, because ml-metadata brings a second SQLite along, and two of them in one process
    break one another's locks (sqlite.org/howtocorrupt.html, section 2.2.1).
    """

    def __init__(self, place: Place, count: int = 1) -> None:
        self._pipes = []
        self._processes = []
        context = multiprocessing.get_context("spawn")
        for _ in range(count):
            ours, theirs = context.Pipe()
            # Whatever ends the measuring, they end with it.
            process = context.Process(target=_serve, args=(theirs, place), daemon=True)
            process.start()
            # Its end is the process's alone: when that dies, we are told.
            theirs.close()
            ours.recv()
            self._pipes.append(ours)
            self._processes.append(process)

    def turn(self, letter: str, seed: int) -> Turn:
        """One turn at a work."""
        for number, pipe in enumerate(self._pipes):
            pipe.send((letter, 100 * number + seed))
        for pipe in self._pipes:
            pipe.recv()
        # All are ready, and begin.
        for pipe in self._pipes:
            pipe.send(True)
        begun, ended, answers = zip(*(pipe.recv() for pipe in self._pipes), strict=True)
        return Turn(max(ended) - min(begun), answers)

    def stop(self) -> None:
        """Let the processes end."""
        for pipe, process in zip(self._pipes, self._processes, strict=True):
            pipe.send(None)
            process.join()


def _serve(pipe: Connection, place: Place) -> None:
    candidate = place.open()
    pipe.send(True)
    while (asked := pipe.recv()) is not None:
        timed = place.turn(candidate, *asked)
        gc.collect()
        pipe.send(True)
        pipe.recv()
        begun = time.perf_counter()
        answer = timed()
        pipe.send((begun, time.perf_counter(), answer))
