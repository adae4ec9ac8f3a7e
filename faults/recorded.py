"""``python -m faults.recorded FOLDER JOURNAL SYNCHRONOUS BATCHES``: what a power cut falls into.

A process that makes a store, writes batches, and notes each that is acknowledged in a file beside
it; it closes and opens the store on the way, so that logs are put back into the file.
"""

from __future__ import annotations

import os
import sqlite3
import sys
from pathlib import Path

import metastore
from faults.batches import batch_of
from faults.stores import new_file
from metastore import NodeKind, NodeQuery

__all__ = ["ACKNOWLEDGED", "STORE", "label_of"]

STORE, ACKNOWLEDGED = "store.db", "acknowledged"
_SESSION = 4
"""Batches between an opening and a closing."""


def label_of(number: int) -> str:
    """The label of the batch of that number, from 1."""
    return f"b{number}"


def _set_synchronous(word: str) -> None:
    """Have the store's connections synchronize as they should not, or as they did."""
    from metastore_flavor_sqlite._database import SQLiteDatabase

    connecting = SQLiteDatabase._connect

    def connect(self: SQLiteDatabase) -> sqlite3.Connection:
        connection = connecting(self)
        connection.execute(f"PRAGMA synchronous = {word}")
        return connection

    SQLiteDatabase._connect = connect  # type: ignore[method-assign]


def _record(folder: Path, journal: str, synchronous: str, batches: int) -> None:
    if synchronous != "as it is":
        _set_synchronous(synchronous)
    path = folder / STORE
    url = new_file(path, journal)
    notes = os.open(folder / ACKNOWLEDGED, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for first in range(1, batches + 1, _SESSION):
        with metastore.connect(url, create=False) as store:
            for number in range(first, min(first + _SESSION, batches + 1)):
                store.write(batch_of(label_of(number)))
                os.write(notes, f"{number}\n".encode())
                # A reader that is there, too.
                store.backend.count(NodeQuery(NodeKind.ARTIFACT))


if __name__ == "__main__":
    _record(Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]))
