"""The process that runs the kit on mutants, seen from outside: see `mutant_kit`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path
from threading import Timer
from typing import NamedTuple, TypeAlias

from .mutants import Mutant

__all__ = ["Case", "Kit", "Outcomes"]


class Case(NamedTuple):
    """What became of a test of the kit, or of one of its parameters."""

    outcome: str
    """``"passed"``, ``"skipped"``, ``"failed"`` in the test itself, ``"error"`` around it."""
    message: str


Outcomes: TypeAlias = "dict[str, Case]"
"""By the name of the case, such as ``test_ints[zero]``."""


class Kit:
    """The process above; to be closed."""

    def __init__(self) -> None:
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed with the process
        # Alike at every run: hypothesis draws the same examples where it believes to be in a CI.
        limits = {"CI": "1", "METASTORE_TEST_FILTERS": "2", "METASTORE_TEST_HISTORIES": "10"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", f"{Path(__file__).parent.name}.mutant_kit"],
            cwd=Path(__file__).parents[1],
            env=os.environ | limits,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )

    def run(
        self, mutant: Mutant, cases: Collection[str] | None = None, *, patience: float = 280
    ) -> Outcomes:
        """What these cases of the kit, or all, say to the mutant.

        Raises after `patience` seconds, which is for what hangs: all of them take some seconds.
        """
        wanted = None if cases is None else sorted(cases)
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([mutant.name, wanted]) + "\n")
        self._process.stdin.flush()
        timer = Timer(patience, self._process.kill)
        timer.start()
        try:
            return dict(self._answers())
        finally:
            timer.cancel()

    def _answers(self) -> Iterator[tuple[str, Case]]:
        assert self._process.stdout is not None
        last = "none"
        for line in self._process.stdout:
            answer = json.loads(line)
            if answer is None:
                return
            last, outcome, message = answer
            yield last, Case(outcome, message)
        self._process.wait()
        self._errors.seek(0)
        raise AssertionError(
            f"the kit ended, or hung, after the case {last}: {self._errors.read()}"
        )

    def close(self) -> None:
        """End the process."""
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()
        try:
            self._process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            # A thread of a mutant may hang.
            self._process.kill()
            self._process.wait()
        self._errors.close()
