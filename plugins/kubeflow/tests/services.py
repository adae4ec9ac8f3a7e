"""Metadata services for tests, hosted by a process that lives as long as the tests do."""

from __future__ import annotations

import atexit
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

__all__ = ["calls_to", "engine_service", "our_service"]


class _Host:
    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("host.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            stderr=subprocess.DEVNULL,
        )
        self._lock = threading.Lock()
        atexit.register(self._end)

    def ask(self, command: str) -> Any:
        """The answer to a command."""
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        with self._lock:
            process.stdin.write(command + "\n")
            process.stdin.flush()
            return json.loads(process.stdout.readline())

    def _end(self) -> None:
        self._process.kill()
        self._process.wait()


@cache
def _host() -> _Host:
    return _Host()


def calls_to(port: int) -> dict[str, int]:
    """How often each RPC of a service was called since this was last asked."""
    counts: dict[str, int] = _host().ask(f"calls {port}")
    return counts


@contextmanager
def engine_service(file: Path | None = None) -> Iterator[int]:
    """The port of a server around ML Metadata's engine: what Kubeflow Pipelines runs."""
    with _service(f"new engine {file or '-'}") as port:
        yield port


@contextmanager
def our_service(url: str = "memory://") -> Iterator[int]:
    """The port of our own server over a store."""
    with _service(f"new ours {url}") as port:
        yield port


@contextmanager
def _service(command: str) -> Iterator[int]:
    port: int = _host().ask(command)
    try:
        yield port
    finally:
        _host().ask(f"stop {port}")
