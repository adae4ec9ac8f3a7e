"""What else is killed: each runs in a fork, from its beginning to its end."""

from __future__ import annotations

from pathlib import Path

import metastore
from faults.forking import is_orphan
from faults.ledger import Ledger
from metastore import Batch, EventType, ExecutionState, NodeKind, PropertyKind, Store, pruning
from metastore.config._file import ConfigFile
from metastore.config._stores import NamedStore, Stores
from metastore.transfer import copy, export, written_text

__all__ = [
    "STEPS",
    "copied",
    "exported",
    "history",
    "made",
    "pruned",
    "registered",
    "registered_once",
    "selection",
    "shrunk",
    "upgraded",
]

STEPS = 5
"""Of each run of a history; each writes one artifact, which the next one reads."""


def history(store: Store, runs: int, pipeline: str = "old") -> None:
    """Runs of a pipeline, as recording them one by one would leave them."""
    head = Batch()
    head.type(NodeKind.CONTEXT, "metastore.Pipeline")
    head.type(NodeKind.CONTEXT, "metastore.Run")
    head.type(NodeKind.EXECUTION, "Step", {"text": PropertyKind.STRING})
    head.type(NodeKind.ARTIFACT, "Data", {"x": PropertyKind.DOUBLE})
    parent = store.write(head)
    named = Batch()
    ref = named.context("metastore.Pipeline", name=pipeline)
    parent = store.write(named)
    for start in range(0, runs, 100):
        batch = Batch()
        for number in range(start, min(start + 100, runs)):
            run = batch.context("metastore.Run", name=f"{pipeline}-{number}")
            batch.parent(run, parent[ref].id)
            before = None
            for at in range(STEPS):
                step = batch.execution(
                    "Step",
                    state=ExecutionState.COMPLETE,
                    properties={"text": f"step {at} of run {number} " + "x" * 200},
                )
                batch.association(run, step)
                if before is not None:
                    batch.event(before, step, EventType.INPUT)
                before = batch.artifact("Data", uri=f"/{number}/{at}", properties={"x": number / 7})
                batch.attribution(run, before)
                batch.event(before, step, EventType.OUTPUT, path=("out", at))
        store.write(batch)


def made(url: str) -> None:
    """Make a store."""
    metastore.connect(url).close()


def upgraded(path: str) -> None:
    """Upgrade a file."""
    from metastore_flavor_sqlite import SQLiteConfig, SQLiteMetadataStore

    SQLiteMetadataStore.upgrade(SQLiteConfig(path=Path(path)))


def copied(source: str, target: str, journal: str) -> None:
    """Copy one store into another."""
    with metastore.connect(source, mode="r") as here, metastore.connect(target) as there:
        copy(here.backend, there.backend, journal=Path(journal), page_size=50)


def selection(pipeline: str = "old") -> pruning.Selection:
    """All runs of a pipeline; those that were written in bulk have no state."""
    return pruning.Selection(pipeline=pipeline, states=[ExecutionState.UNKNOWN])


def pruned(url: str) -> None:
    """Delete all runs of the pipeline "old"."""
    with metastore.connect(url) as store:
        pruning.plan(store.backend, selection()).run()


def shrunk(url: str) -> None:
    """Give the room of what was deleted back."""
    with metastore.connect(url) as store:
        store.backend.shrink()


def exported(url: str, file: str) -> None:
    """Write a store to a file."""
    with metastore.connect(url, mode="r") as store, written_text(Path(file)) as text:
        export(store.backend, text)


def registered_once(path: str, name: str) -> None:
    """Register one named store."""
    stores = Stores(ConfigFile(Path(path)))
    stores.register(NamedStore(name, "sqlite", {"path": f"/{name}.db"}))


def registered(path: str, ledger: str, writer: str) -> None:
    """Register one named store after the other, until killed."""
    notes = Ledger(Path(ledger))
    stores = Stores(ConfigFile(Path(path)))
    number = 0
    while not is_orphan() and not notes.get("stop"):
        number += 1
        notes.set("begun", number)
        named = NamedStore(f"{writer}-{number}", "sqlite", {"path": f"/{writer}/{number}.db"})
        stores.register(named)
        notes.set("acknowledged", number)
