"""Other processes of the tests: ``python workers.py ACTION``, settings as JSON in a line of stdin.

A worker tells what it did in lines of JSON.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

from metastore import EventType, MetastoreError, NodeKind, PropertyKind
from metastore.batch import Batch
from metastore_flavor_mysql import MySQLConfig, MySQLMetadataStore


def say(told: object) -> None:
    """One line, which is out before anything else happens."""
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


def step(label: str) -> Batch:
    """What one step of a pipeline writes; without names, so that nothing but care keeps it one."""
    batch = Batch()
    for kind in NodeKind:
        batch.type(kind, "T", {"label": PropertyKind.STRING})
    execution = batch.execution("T", properties={"label": label})
    for number in range(2):
        artifact = batch.artifact(
            "T", properties={"label": label}, custom_properties={"number": number}
        )
        batch.event(artifact, execution, EventType.OUTPUT, path=["model", number])
    return batch


def write(config: MySQLConfig, given: dict[str, Any]) -> None:
    """Write one batch after the other until stdin ends; say which are acknowledged."""
    import threading

    stopped = threading.Event()

    def wait() -> None:
        sys.stdin.readline()
        stopped.set()

    threading.Thread(target=wait, daemon=True).start()
    store = MySQLMetadataStore.open(config, create=False)
    number = 0
    while not stopped.is_set():
        number += 1
        label = f"{os.getpid()}-{number}"
        try:
            store.write(step(label))
        except MetastoreError as error:
            say({"failed": label, "error": type(error).__name__, "message": str(error)})
        else:
            say({"written": label})
        time.sleep(given.get("pause", 0))
    store.close()
    say({"end": number})


def make_types(config: MySQLConfig, given: dict[str, Any]) -> None:
    """Make types that another process makes at the same time; one for each line of stdin."""
    store = MySQLMetadataStore.open(config, create=False)
    say("ready")
    for line in sys.stdin:
        batch = Batch()
        batch.type(NodeKind.ARTIFACT, line.strip(), {"a": PropertyKind.INT})
        say(store.write(batch).types[0].id)
    store.close()


def make_store(config: MySQLConfig, given: dict[str, Any]) -> None:
    """Make a store that others make too, and write to it."""
    say("ready")
    sys.stdin.readline()
    store = MySQLMetadataStore.open(config)
    store.write(step(str(os.getpid())))
    store.close()
    say("made")


if __name__ == "__main__":
    settings = json.loads(sys.stdin.readline())
    actions = {"write": write, "make_types": make_types, "make_store": make_store}
    actions[sys.argv[1]](MySQLConfig(**settings["config"]), settings)
