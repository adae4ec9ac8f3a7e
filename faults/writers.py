"""What the writers do that are killed: each runs in a fork, and notes how far it is."""

from __future__ import annotations

import time
from pathlib import Path

import metastore
from faults.batches import batch_of, in_two
from faults.forking import is_orphan
from faults.ledger import Ledger, Stage
from faults.watching import watch_mysql, watch_sqlite
from metastore import MetastoreError

__all__ = ["label_of", "write"]


def label_of(writer: str, number: int) -> str:
    """The label of a writer's batch; its first one is number 1."""
    return f"{writer}-{number}"


def write(url: str, ledger: str, writer: str, wrong: str | None = None) -> None:
    """Write one batch after the other until killed, or told to stop by the ledger.

    A batch is noted as begun before it is written, and as acknowledged when `write` has returned.
    While the ledger says "hold" no other one is begun.  `wrong`: what this writer does wrong, so
    that the harness must find it out: "early", it acknowledges before it writes; "two", it writes
    in two transactions.
    """
    notes = Ledger(Path(ledger))
    (watch_sqlite if url.startswith("sqlite:") else watch_mysql)(notes)
    number = 0
    with metastore.connect(url, create=False) as store:
        while not notes.get("stop") and not is_orphan():
            if notes.get("hold"):
                time.sleep(0.0005)
                continue
            number += 1
            label = label_of(writer, number)
            notes.set("begun", number)
            if wrong == "early":
                notes.set("acknowledged", number)
            try:
                if wrong == "two":
                    in_two(store, label)
                else:
                    store.write(batch_of(label))
            except MetastoreError:
                notes.set("failed", notes.get("failed") + 1)
                raise
            notes.set("stage", Stage.OUTSIDE)
            notes.set("acknowledged", number)
