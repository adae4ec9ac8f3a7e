"""Fixtures of the command's tests."""

from __future__ import annotations

from functools import partial

import pytest

from .helper import Command, run_command


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """Runs the command; nobody's own store is in reach."""
    monkeypatch.delenv("METASTORE_STORE", raising=False)
    return partial(run_command, capsys)
