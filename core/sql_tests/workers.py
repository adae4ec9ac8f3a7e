"""What other processes do: ``python -m sql_tests.workers ACTION ARGUMENT... -- PLACE...``.

A worker prints its answer as JSON.  Those that race say "ready" and wait for a line first.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from typing import Any

from metastore import Merge, MetastoreError, NodeQuery
from metastore.batch import Batch
from metastore.rules import Planner

from .places import ARTIFACT, Place, artifacts, names, opened


def say(text: object) -> None:
    """Tell whoever started this process."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def wait_for_the_others() -> None:
    """Say that this process is ready, and wait for the word to go."""
    say("ready")
    sys.stdin.readline()


def create(place: Place, number: str) -> str:
    """Make the store that others make at the same time, and write one artifact."""
    wait_for_the_others()
    with_store = place.open()
    with_store.write(artifacts(1, prefix=f"{number} "))
    with_store.close()
    return number


def count_up(place: Place, times: str) -> int:
    """Count up the property ``n`` of artifact 1 by read, compare and write, so many times."""
    from metastore import ConflictError

    store = place.open()
    wait_for_the_others()
    done = 0
    while done < int(times):
        [node] = store.read_nodes(NodeQuery(ARTIFACT, ids=[1]))
        batch = Batch()
        seen = node.properties["n"]
        assert isinstance(seen, int)
        mode = Merge(1, expected_update_time_ms=node.update_time_ms)
        batch.artifact(mode=mode, properties={"n": seen + 1})
        batch.artifact("T", name=f"{os.getpid()} {done}")
        try:
            store.write(batch)
        except ConflictError:
            continue
        done += 1
    store.close()
    return done


def in_fork(work: Callable[[], Any]) -> Any:
    """What `work` returns in a forked child, as JSON, and how the child ended."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.close(reading)
            os.write(writing, json.dumps(attempt(work)).encode())
            status = 0
        finally:
            # With all that Python does at the end, which must not touch the parent's connections.
            sys.exit(status)
    os.close(writing)
    with os.fdopen(reading) as answer:
        text = answer.read()
    _, status = os.waitpid(child, 0)
    return [json.loads(text) if text else None, os.waitstatus_to_exitcode(status)]


def attempt(work: Callable[[], Any]) -> Any:
    """The answer, or the class of the error."""
    try:
        return work()
    except MetastoreError as error:
        return type(error).__name__


def fork(place: Place) -> Any:
    """Read and write in a forked child with the parent's store, and in the parent again."""
    store = place.open()
    store.write(artifacts(2, prefix="parent "))

    def child() -> Any:
        before = len(names(store))
        store.write(artifacts(1, prefix="child "))
        store.close()
        return [before, attempt(lambda: names(store))]

    told = in_fork(child)
    store.write(artifacts(1, prefix="later "))
    found = names(store)
    store.close()
    return [told, found]


def fork_in_transaction(place: Place) -> Any:
    """Fork while a batch is applied but not committed; the child tries, and ends first."""
    store = place.open()
    store.write(artifacts(1, prefix="before "))
    with store.transaction() as transaction:
        transaction.apply(Planner(artifacts(50, prefix="during ")).run(transaction.lookup))
        told = in_fork(lambda: attempt(lambda: len(names(store))))
    found = len(names(store))
    store.close()
    return [told, found]


def fork_and_leave_block(place: Place) -> Any:
    """Fork inside a transaction; the child leaves the block as if it had been its own."""
    store = place.open()
    store.write(artifacts(1, prefix="before "))
    parent = os.getpid()
    status = -1
    try:
        with store.transaction() as transaction:
            transaction.apply(Planner(artifacts(10)).run(transaction.lookup))
            child = os.fork()
            if child:
                status = os.waitpid(child, 0)[1]
    except MetastoreError as error:
        assert os.getpid() != parent
        sys.exit(7 if type(error).__name__ == "ForkError" else 1)
    found = len(names(store))
    store.close()
    return [os.waitstatus_to_exitcode(status), found]


_ACTIONS: dict[str, Callable[..., Any]] = {
    each.__name__: each
    for each in (create, count_up, fork, fork_in_transaction, fork_and_leave_block)
}

if __name__ == "__main__":
    action, *rest = sys.argv[1:]
    at = rest.index("--")
    say(json.dumps(_ACTIONS[action](opened(rest[at + 1 :]), *rest[:at])))
