"""Servers for the tests: `metastore serve` as users run it, and ML Metadata's engine."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .served import Served


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Served]]:
    """Start ``metastore serve STORE --port 0 OPTIONS...``; every server is stopped at the end."""
    # Not above: it needs ml-metadata, and this file is read where there is none, too.
    from .served import serving

    with ExitStack() as stack:

        def start(store: str, *options: str) -> Served:
            return stack.enter_context(serving(store, *options, folder=tmp_path))

        yield start


@pytest.fixture
def engine_port() -> Iterator[int]:
    """The port of a server around ML Metadata's own engine, with an empty store in memory."""
    command = [sys.executable, str(Path(__file__).with_name("engine.py"))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.terminate()
