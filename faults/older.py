"""Stores of older schemas; ``python -m faults.older PATH VERSION``: ML Metadata makes one so."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import metastore
from faults.forking import ROOT
from faults.stores import set_journal, url_of
from faults.works import history

__all__ = ["make_older", "needs_mlmd"]

needs_mlmd = pytest.mark.skipif(
    importlib.util.find_spec("ml_metadata") is None,
    reason="without ml-metadata nothing makes a store of an older schema",
)


def make_older(path: Path, version: int, journal: str, runs: int) -> None:
    """A store of an older schema with a history of so many runs."""
    with metastore.connect(url_of(path)) as store:
        history(store, runs)
    set_journal(path, "delete")
    command = [sys.executable, "-m", "faults.older", str(path), str(version)]
    subprocess.run(command, check=True, cwd=ROOT, capture_output=True)
    set_journal(path, journal)


def _downgrade(path: str, version: int) -> None:
    from ml_metadata.metadata_store.metadata_store import downgrade_schema
    from ml_metadata.proto import metadata_store_pb2

    messages: Any = metadata_store_pb2
    connection = messages.ConnectionConfig()
    connection.sqlite.filename_uri = path
    downgrade_schema(connection, version)


if __name__ == "__main__":
    _downgrade(sys.argv[1], int(sys.argv[2]))
