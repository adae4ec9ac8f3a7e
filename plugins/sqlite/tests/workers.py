"""What other processes do in test_concurrency.py: ``python workers.py ACTION ARGUMENT...``.

A worker prints its answer as JSON.  Those that race say "ready" and wait for a line first.
"""

from __future__ import annotations

import gc
import json
import multiprocessing
import os
import sys
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import metastore
from metastore import Batch, MetastoreError, NodeKind, OpenMode, PropertyKind, Store

ARTIFACT = NodeKind.ARTIFACT


def connect(path: str, **options: Any) -> Store:
    """The store in the file."""
    return metastore.connect(f"sqlite:///{quote(path)}", **options)


def say(text: object) -> None:
    """Tell whoever started this process."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def wait_for_the_others() -> None:
    """Say that this process is ready, and wait for the word to go."""
    say("ready")
    sys.stdin.readline()


def artifacts(count: int, prefix: str = "") -> Batch:
    """A batch of artifacts of type T."""
    batch = Batch()
    batch.type(ARTIFACT, "T", {"n": PropertyKind.INT})
    for number in range(count):
        batch.artifact("T", name=f"{prefix}{number}", properties={"n": number})
    return batch


# Racing.


def update(path: str, times: str) -> int:
    """Count up the property ``n`` of artifact 1, so many times."""
    with connect(path) as store:
        wait_for_the_others()
        node = store.artifact(1)
        for _ in range(int(times)):
            store.update(node, lambda node: {"n": int(str(node.properties["n"])) + 1})
    return int(times)


def create(folder: str, trials: str, number: str) -> int:
    """Open the same new files as others do at the same time, and write one artifact to each."""
    wait_for_the_others()
    for trial in range(int(trials)):
        with connect(f"{folder}/{trial}.db") as store:
            store.write(artifacts(1, prefix=f"{number} "))
    return int(trials)


def record(path: str, runs: str, number: str) -> list[str]:
    """Record runs of one pipeline with types that all others use too; their names."""
    names = []
    with connect(path) as store:
        wait_for_the_others()
        for each in range(int(runs)):
            run = store.run("shared", name=f"{number}-{each}")
            with run, run.step(f"step {each}") as step:
                step.input("data", "/shared/data", type=f"Data{each}")
                step.output("model", type=f"Model{each}", properties={f"p{number}": 1})
                step.metric("loss", 0.5)
            names.append(run.name)
    return names


def write_until_killed(path: str) -> None:
    """Write batches of 50 artifacts, for ever; a line for each that was acknowledged."""
    with connect(path) as store:
        for number in range(1_000_000):
            store.write(artifacts(50, prefix=f"{number} "))
            say(number)


def die_while_writing(path: str) -> None:
    """Die (SIGKILL) after everything of a batch was sent to SQLite, but before the commit."""
    with connect(path) as store, store.backend.transaction() as transaction:
        from metastore.rules import Planner
        from metastore_flavor_sqlite import _session

        # With little memory for pages, some of it is in the file by then.
        _session._CACHE_FOR_MANY = _session._CACHE
        changes = Planner(artifacts(20_000)).run(transaction.lookup)
        transaction.apply(changes)
        os.kill(os.getpid(), 9)


def hold(path: str) -> None:
    """Hold the write lock until told to let it go."""
    with connect(path) as store, store.backend.transaction():
        wait_for_the_others()


# Forking.


def in_fork(work: Callable[[], Any]) -> Any:
    """What `work` returns in a forked child."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    child = context.Process(target=lambda: theirs.send(attempt(work)))
    child.start()
    # Closed here, so that a child that dies is the end of the file and not for ever.
    theirs.close()
    found = ours.recv()
    child.join()
    return {"answer": found, "exit": child.exitcode}


def attempt(work: Callable[[], Any]) -> Any:
    """The answer, or the class and the text of the error."""
    try:
        return work()
    except MetastoreError as error:
        return f"{type(error).__name__}: {error}"


def fork(path: str) -> Any:
    """Read and write in a forked child, with the store of the parent, and in the parent again."""
    store = connect(path)
    store.write(artifacts(3, prefix="parent "))

    def child() -> Any:
        seen = len(store.artifacts())
        store.write(artifacts(2, prefix="child "))
        here = len(store.artifacts())
        store.close()
        return [seen, here]

    first = in_fork(child)
    store.write(artifacts(1, prefix="later "))
    second = in_fork(lambda: [node.name for node in store.artifacts()])
    store.close()
    return {"first": first, "second": second}


def fork_in_transaction(path: str) -> Any:
    """Fork while a batch is applied but not committed; the child ends before the commit."""
    store = connect(path)
    store.write(artifacts(1, prefix="before "))
    from metastore.rules import Planner

    with store.backend.transaction() as transaction:
        planner = Planner(artifacts(5_000, prefix="during "))
        transaction.apply(planner.run(transaction.lookup))
        child = os.fork()
        if child == 0:
            told = [
                attempt(lambda: len(store.artifacts())),
                attempt(lambda: connect(path, mode="r")),
            ]
            # As a child that just goes on and ends: with all that Python does at the end.
            sys.exit(0 if all(str(each).startswith("ForkError: ") for each in told) else 1)
        status = os.waitpid(child, 0)[1]
    found = len(store.artifacts())
    store.close()
    return {"status": status, "artifacts": found}


def fork_and_leave_block(path: str) -> Any:
    """Fork inside a transaction; the child leaves the block as if it had been its own."""
    store = connect(path)
    store.write(artifacts(0))
    parent = os.getpid()
    status = seen = -1
    try:
        with store.backend.transaction() as transaction:
            from metastore.rules import Planner

            transaction.apply(Planner(artifacts(10)).run(transaction.lookup))
            child = os.fork()
            if child:
                status = os.waitpid(child, 0)[1]
                with connect(path, mode="r") as reader:
                    seen = len(reader.artifacts())
    except MetastoreError as error:
        assert os.getpid() != parent
        sys.exit(7 if type(error).__name__ == "ForkError" else 1)
    return {"status": os.WEXITSTATUS(status), "seen": seen, "artifacts": len(store.artifacts())}


def fork_and_close(path: str) -> Any:
    """A child goes on writing after its parent closed the store and another process wrote to it."""
    store = connect(path)
    store.write(artifacts(1, prefix="parent "))
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()

    def child() -> None:
        store.write(artifacts(1, prefix="child "))
        theirs.send("wrote")
        theirs.recv()
        store.write(artifacts(1, prefix="child again "))

    process = context.Process(target=child)
    process.start()
    theirs.close()
    ours.recv()
    store.close()
    with connect(path) as other:
        other.write(artifacts(1, prefix="another "))
    ours.send("go on")
    process.join()
    with connect(path) as store:
        return [node.name for node in store.artifacts()]


def fork_many(path: str) -> Any:
    """A pool of forked children that all write with the parent's store, while it writes too."""
    store = connect(path)
    store.write(artifacts(0))
    context = multiprocessing.get_context("fork")
    children = [
        context.Process(
            target=lambda number: [
                store.write(artifacts(1, prefix=f"{number} {each} ")) for each in range(20)
            ],
            args=(number,),
        )
        for number in range(4)
    ]
    for child in children:
        child.start()
    for each in range(20):
        store.write(artifacts(1, prefix=f"parent {each} "))
    for child in children:
        child.join()
    found = len(store.artifacts())
    store.close()
    return {"exits": [child.exitcode for child in children], "artifacts": found}


def fork_memory(_: str) -> Any:
    """Use the store in the parent's memory, in a forked child and in the parent."""
    store = metastore.connect("sqlite://")
    store.write(artifacts(2))

    def child() -> Any:
        return [
            attempt(lambda: len(store.artifacts())),
            attempt(lambda: store.write(artifacts(1, prefix="child ")).artifacts[0].id),
            attempt(store.close),
            warnings_of_garbage(),
        ]

    first = in_fork(child)
    found = len(store.artifacts())
    store.close()
    return {"child": first, "parent": found}


def warnings_of_garbage() -> list[str]:
    """What is said when the garbage is collected; from Python 3.13 on, of open connections."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        gc.collect()
    return [str(each.message) for each in caught]


def fork_with_threads(path: str) -> Any:
    """Fork while threads of the parent are writing, and when they have ended."""
    store = connect(path)
    store.write(artifacts(1, prefix="first "))
    stop = threading.Event()

    def busy(number: int) -> None:
        each = 0
        while not stop.is_set():
            store.write(artifacts(1, prefix=f"thread {number} {each} "))
            each += 1

    threads = [threading.Thread(target=busy, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()

    def write(number: int) -> Any:
        return store.write(artifacts(1, prefix=f"fork {number} ")).artifacts[0].outcome.name

    during = [in_fork(lambda number=number: write(number)) for number in range(10)]  # type: ignore[misc]
    stop.set()
    for thread in threads:
        thread.join()
    after = in_fork(lambda: write(10))
    names = [node.name or "" for node in store.artifacts()]
    store.close()
    return {"during": during, "after": after, "names": names}


# As somebody else, or with little room.


def as_nobody(path: str, work: str) -> Any:
    """Read or write the store as a user who owns nothing."""
    from metastore_flavor_sqlite import SQLiteConfig, SQLiteMetadataStore

    # First once by hand: what is imported later may lie where nobody may look.
    with metastore.connect("sqlite://") as warm:
        warm.write(artifacts(1))
        len(warm.artifacts())
    os.setgid(65534)
    os.setuid(65534)

    # Without `connect`, which would look for flavors in folders that only root may enter.
    def attempted() -> Any:
        config = SQLiteConfig(path=Path(path))
        mode: OpenMode = "r" if work == "read" else "rw"
        with metastore.Store(SQLiteMetadataStore.open(config, mode=mode)) as store:
            if work == "write":
                store.write(artifacts(1, prefix="nobody's "))
            return len(store.artifacts())

    return attempt(attempted)


def fill(path: str, limit: str) -> Any:
    """Write more than fits into files of so many bytes, then something that fits."""
    import resource

    with connect(path) as store:
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
        error = attempt(lambda: store.write(artifacts(100_000, prefix="x" * 200)))
        left = len(store.artifacts())
        store.write(artifacts(1, prefix="small "))
        return {"error": error, "left": left, "then": len(store.artifacts())}


_ACTIONS: dict[str, Callable[..., Any]] = {
    each.__name__: each
    for each in (
        *(update, create, record, write_until_killed, die_while_writing, hold),
        *(fork, fork_in_transaction, fork_and_leave_block, fork_and_close),
        *(fork_many, fork_memory, fork_with_threads),
        *(as_nobody, fill),
    )
}

if __name__ == "__main__":
    answer = _ACTIONS[sys.argv[1]](*sys.argv[2:])
    say(json.dumps(answer))
