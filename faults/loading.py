"""What each of many processes does at once: batches and questions, and how long each takes."""

from __future__ import annotations

import json
import os
import random
import time
from array import array
from pathlib import Path

import metastore
from faults.batches import batch_of, size_of
from faults.forking import is_orphan
from faults.ledger import Ledger
from faults.writers import label_of
from metastore import NodeKind, NodeQuery, Store

__all__ = ["descriptors", "memory", "work"]

_WRITES = 0.4
"""Of all that is done."""
_PAUSES = 0.2
"""Calls before which a process that pauses does so; the others come in bursts."""


def memory() -> int:
    """Bytes of this process that are in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def descriptors() -> int:
    """Files that this process holds open."""
    return len(os.listdir("/proc/self/fd"))


def work(
    url: str,
    ledger: str,
    writer: str,
    times: str,
    seed: int,
    longest: float,
    wrong: str | None = None,
) -> None:
    """Write and read until the ledger says stop; an error ends it, and is the harness's to see.

    The seconds that each call took go to the file `times`.  `longest`: seconds that it pauses at
    most, as people's programs do something else, too.  `wrong`: what it does wrong, so that
    the harness must find it out: "files", it opens files and keeps them; "memory", it keeps all
    that it reads; "skip", it acknowledges a batch that it has not written.
    """
    notes = Ledger(Path(ledger))
    chance = random.Random(seed)
    took = {"write": array("d"), "read": array("d")}
    kept: list[object] = []
    number = 0
    with metastore.connect(url, create=False) as store:
        while not notes.get("stop") and not is_orphan():
            if longest and chance.random() < _PAUSES:
                time.sleep(chance.uniform(0, longest))
            # The first thing of each is a write, so that there is something to read.
            if number == 0 or chance.random() < _WRITES:
                number += 1
                notes.set("begun", number)
                began = time.perf_counter()
                if not (wrong == "skip" and number % 5 == 0):
                    store.write(batch_of(label_of(writer, number)))
                took["write"].append(time.perf_counter() - began)
                notes.set("acknowledged", number)
            else:
                label = label_of(writer, chance.randint(1, number))
                began = time.perf_counter()
                chance.choice(_QUESTIONS)(store, label)
                took["read"].append(time.perf_counter() - began)
            if wrong == "files":
                kept.append(os.open(os.devnull, os.O_RDONLY))
            elif wrong == "memory":
                kept.append(bytearray(b"x" * 4_000_000))
            notes.set("memory", memory())
            notes.set("descriptors", descriptors())
    Path(times).write_text(json.dumps({what: list(each) for what, each in took.items()}))


# Each finds what this process has written before: a wrong answer is an AssertionError.


def _by_filter(store: Store, label: str) -> None:
    found = store.artifacts(where=f"properties.label.string_value = '{label}'")
    assert len(found) == size_of(label), label


def _by_name(store: Store, label: str) -> None:
    query = NodeQuery(NodeKind.CONTEXT, names=[label])
    (context,) = store.backend.read_nodes(query)
    query = NodeQuery(NodeKind.ARTIFACT, context_ids=[context.id])
    assert len(store.backend.read_nodes(query)) == size_of(label), label


def _newest(store: Store, label: str) -> None:
    found = store.executions(order_by="-create_time", limit=20)
    assert 0 < len(list(found)) <= 20


def _lineage(store: Store, label: str) -> None:
    query = NodeQuery(NodeKind.ARTIFACT, uris=[f"/{label}/0"])
    (node,) = store.backend.read_nodes(query)
    graph = store.artifact(node.id).lineage(upstream=True)
    assert len(graph.executions) == 1, label


def _types(store: Store, label: str) -> None:
    assert any(each.name == "T" for each in store.types(NodeKind.ARTIFACT))


_QUESTIONS = (_by_filter, _by_name, _newest, _lineage, _types)
