"""Processes that are there at once: forks of one that has imported everything already.

``python -m faults.forking MODULE...`` is the one that forks; it has no threads and no store open.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = ["ROOT", "Fork", "Forks", "is_orphan"]

ROOT = Path(__file__).parents[1]


class Fork:
    """A process that runs one function."""

    def __init__(self, forks: Forks, pid: int) -> None:
        self.pid = pid
        self._forks = forks
        self._status: int | None = None

    def kill(self) -> None:
        """End it as a crash does, whatever it is doing now."""
        if self._status is None:
            # It stays a zombie until it is waited for, so that the number is no other process's.
            os.kill(self.pid, signal.SIGKILL)

    @property
    def has_ended(self) -> bool:
        """Whether it has ended, and was not waited for."""
        try:
            state = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return False
        return state == "Z"

    def wait(self) -> int:
        """How it ended: 0, or minus the signal's number; what it raised, as an AssertionError."""
        if self._status is None:
            self._status = int(self._forks.ask({"wait": self.pid})["status"])
        if self._status > 0:
            raise AssertionError(f"a process failed:\n{self._forks.complaints()}")
        return self._status


class Forks:
    """What starts processes, fast."""

    def __init__(
        self, folder: Path, *modules: str, environment: dict[str, str] | None = None
    ) -> None:
        self._errors = folder / "errors of forks"
        with self._errors.open("wb") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-W", "error", "-m", "faults.forking", *modules],
                cwd=ROOT,
                env=os.environ | (environment or {}),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )

    @classmethod
    @contextmanager
    def of(
        cls, folder: Path, *modules: str, environment: dict[str, str] | None = None
    ) -> Iterator[Forks]:
        """One that lasts as long as the block; its forks end with it."""
        forks = cls(folder, *modules, environment=environment)
        try:
            yield forks
        finally:
            forks.close()

    def start(self, action: str, /, **arguments: Any) -> Fork:
        """Run a function, ``module:name``, in a fork of its own."""
        return Fork(self, int(self.ask({"start": action, "arguments": arguments})["pid"]))

    def run(self, action: str, /, **arguments: Any) -> None:
        """Run a function in a fork, and wait for its end."""
        assert self.start(action, **arguments).wait() == 0

    def ask(self, told: dict[str, Any]) -> dict[str, Any]:
        """Tell the one that forks, and hear its answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(told) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise AssertionError(f"the process that forks has ended:\n{self.complaints()}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def complaints(self) -> str:
        """What the processes have said of what went wrong."""
        return self._errors.read_text(errors="replace")

    def close(self) -> None:
        """End it; its forks see that they are orphans, and end."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()


_parent = 0


def is_orphan() -> bool:
    """In a fork: whether the harness is gone."""
    return os.getppid() != _parent


def _run(action: str, arguments: dict[str, Any]) -> None:
    module, _, name = action.partition(":")
    status = 1
    try:
        getattr(importlib.import_module(module), name)(**arguments)
        status = 0
    except BaseException:  # noqa: BLE001 - told to the harness, whatever it is
        traceback.print_exc()
    sys.stderr.flush()
    # Nothing of what the parent would do at its end.
    os._exit(status)


def _serve() -> None:
    global _parent  # noqa: PLW0603 - of this process, for its forks
    for module in sys.argv[1:]:
        importlib.import_module(module)
    _parent = os.getpid()
    for line in sys.stdin:
        told = json.loads(line)
        if "wait" in told:
            _, status = os.waitpid(told["wait"], 0)
            answer = {"status": os.waitstatus_to_exitcode(status)}
        else:
            pid = os.fork()
            if pid == 0:
                _run(told["start"], told["arguments"])
            answer = {"pid": pid}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    # Under its own name too: forks ask that one whether they are orphans.
    sys.modules["faults.forking"] = sys.modules["__main__"]
    _serve()
