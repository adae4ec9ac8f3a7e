"""One store in many hands: threads, forked children, pools; started as a process of its own.

Each batch is an execution, three artifacts it wrote and a context around them, none of which has a
name: what is written twice is there twice.
"""

from __future__ import annotations

import faulthandler
import json
import multiprocessing
import os
import random
import sys
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import metastore
from metastore import (
    BaseMetadataStore,
    Batch,
    ClosedError,
    ConflictError,
    EventQuery,
    EventType,
    Filter,
    ForkError,
    Merge,
    MetastoreError,
    NodeKind,
    NodeQuery,
    PropertyKind,
    Reuse,
)

__all__ = ["closing_in_use", "forks", "halves", "lost", "pools", "prepare", "put", "shared"]

ARTIFACT, EXECUTION, CONTEXT = NodeKind.ARTIFACT, NodeKind.EXECUTION, NodeKind.CONTEXT
_OUTPUTS = 3


def prepare(store: BaseMetadataStore) -> int:
    """Types, and a node that is counted up; its id."""
    batch = Batch()
    for kind in NodeKind:
        batch.type(kind, "S", {"batch": PropertyKind.STRING, "n": PropertyKind.INT})
    counter = batch.artifact("S", name="counter", properties={"n": 0})
    return store.write(batch)[counter].id


def put(store: BaseMetadataStore, which: str) -> None:
    """Write a batch of that name."""
    batch = Batch()
    execution = batch.execution("S", properties={"batch": which})
    context = batch.context("S", name="shared", mode=Reuse("name"))
    batch.association(context, execution)
    for number in range(_OUTPUTS):
        artifact = batch.artifact("S", properties={"batch": which, "n": number})
        batch.event(artifact, execution, EventType.OUTPUT)
        batch.attribution(context, artifact)
    store.write(batch)


def _count_up(store: BaseMetadataStore, id: int) -> None:
    """Add one to the counter, again where somebody else was faster."""
    while True:
        [node] = store.read_nodes(NodeQuery(ARTIFACT, ids=[id]))
        batch = Batch()
        value = int(str(node.properties["n"])) + 1
        batch.artifact(
            "S",
            properties={"n": value},
            mode=Merge(
                id, properties=frozenset({"n"}), expected_update_time_ms=node.update_time_ms
            ),
        )
        try:
            store.write(batch)
            return
        except ConflictError:
            continue


def lost(store: BaseMetadataStore, acknowledged: Iterable[str]) -> list[str]:
    """Acknowledged batches that are not there once, and what is there of others by halves."""
    executions = Counter(
        str(node.properties["batch"]) for node in store.read_nodes(NodeQuery(EXECUTION))
    )
    wrong = [
        f"{each} is there {executions[each]} times"
        for each in acknowledged
        if executions[each] != 1
    ]
    return wrong + halves(store)


def halves(store: BaseMetadataStore) -> list[str]:
    """Batches of which a part is there."""
    of_artifacts: dict[str, list[int]] = defaultdict(list)
    for node in store.read_nodes(NodeQuery(ARTIFACT)):
        if "batch" in node.properties:
            of_artifacts[str(node.properties["batch"])].append(node.id)
    executions = {
        str(node.properties["batch"]): node.id for node in store.read_nodes(NodeQuery(EXECUTION))
    }
    written: dict[int, set[int]] = defaultdict(set)
    for event in store.read_events(EventQuery()):
        written[event.execution_id].add(event.artifact_id)
    wrong = [f"of {each} only artifacts" for each in of_artifacts if each not in executions]
    for each, id in executions.items():
        artifacts = set(of_artifacts[each])
        if len(artifacts) != _OUTPUTS or written[id] != artifacts:
            wrong.append(f"of {each} {len(artifacts)} artifacts, {len(written[id])} events")
    return wrong


def _in_threads(work: Callable[[int], None], count: int) -> list[str]:
    """Run in so many threads that start together; what they raised."""
    start, raised = threading.Barrier(count), []

    def run(number: int) -> None:
        start.wait()
        try:
            work(number)
        except BaseException as error:  # noqa: BLE001 - reported
            raised.append(f"{type(error).__name__}: {error}")

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    return raised


def shared(url: str, *, seed: int, threads: int, each: int) -> dict[str, Any]:
    """Threads write, count up, read by filter, list and ask for lineage, with one store."""
    with metastore.connect(url) as view:
        store = view.backend
        id = prepare(store)
        acknowledged: list[str] = []
        counted: list[int] = []
        of_one = Filter.parse(ARTIFACT, "properties.n = 1 AND events_e.type = OUTPUT")

        def work(number: int) -> None:
            chance = random.Random(seed * 1000 + number)
            mine: list[str] = []
            for step in range(each):
                which = chance.randrange(6)
                if which < 3:
                    put(store, f"{number}-{step}")
                    mine.append(f"{number}-{step}")
                    acknowledged.append(mine[-1])
                elif which == 3:
                    _count_up(store, id)
                    counted.append(1)
                elif which == 4:
                    found = store.find_nodes(NodeQuery(ARTIFACT, filter=of_one))
                    names = {str(node.properties["batch"]) for node in found}
                    assert {*mine} <= names, "a thread does not see what it wrote"
                    assert len(found) == len(names), "a node is there twice"
                else:
                    for artifact in view.artifacts(limit=3):
                        artifact.lineage(upstream=True, downstream=True)
                    list(view.contexts(type="S", limit=3))

        raised = _in_threads(work, threads)
        [node] = store.read_nodes(NodeQuery(ARTIFACT, ids=[id]))
        return {
            "batches": len(acknowledged),
            "counted": len(counted),
            "counter": node.properties["n"],
            "raised": raised,
            "wrong": lost(store, acknowledged),
        }


def forks(url: str, *, seed: int, rounds: int, children: int) -> dict[str, Any]:
    """A store that threads use is used on by forked children and their children, and the parent."""
    acknowledged: list[str] = []
    raised: list[str] = []
    said: Counter[str] = Counter()
    with metastore.connect(url) as view:
        store = view.backend
        prepare(store)
        for number in range(rounds):
            stop = threading.Event()

            def use(who: int, number: int = number, stop: threading.Event = stop) -> None:
                step = 0
                while not stop.is_set():
                    which = f"r{number}-t{who}-{step}"
                    put(store, which)
                    acknowledged.append(which)
                    store.count(NodeQuery(ARTIFACT))
                    step += 1

            users = [threading.Thread(target=_told, args=(use, who, raised)) for who in range(4)]
            # Half of the times nobody is at it: a child can use the store then.
            for each in users if number % 2 else ():
                each.start()
            pids = [(child, *_forked(store, f"r{number}-c{child}")) for child in range(children)]
            for child, pid, pipe in pids:
                with os.fdopen(pipe, "rb") as answers:
                    for line in answers.read().decode().splitlines():
                        what, _, name = line.partition(" ")
                        said[what] += 1
                        if what == "wrote":
                            acknowledged.append(name)
                _, status = os.waitpid(pid, 0)
                if status:
                    raised.append(f"child {child} of round {number} ended with {status}")
            put(store, f"r{number}-parent")
            acknowledged.append(f"r{number}-parent")
            stop.set()
            for each in users if number % 2 else ():
                each.join()
    with metastore.connect(url) as view:
        wrong = lost(view.backend, acknowledged)
    return {"batches": len(acknowledged), "raised": raised, "said": dict(said), "wrong": wrong}


def _told(work: Callable[[int], None], number: int, raised: list[str]) -> None:
    try:
        work(number)
    except BaseException as error:  # noqa: BLE001 - reported
        raised.append(f"{type(error).__name__}: {error}")


def _forked(store: BaseMetadataStore, name: str, depth: int = 0) -> tuple[int, int]:
    """A child that writes three batches, and has a child that does; its pid, and what it says."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writing)
        return pid, reading
    code = 3
    try:
        os.close(reading)
        for step in range(3):
            which = f"{name}-{depth}-{step}"
            try:
                put(store, which)
                os.write(writing, f"wrote {which}\n".encode())
            except ForkError:
                os.write(writing, f"ForkError {which}\n".encode())
            if step == 1 and depth == 0:
                child, pipe = _forked(store, name, 1)
                with os.fdopen(pipe, "rb") as answers:
                    os.write(writing, answers.read())
                os.waitpid(child, 0)
        if depth == 0:
            store.close()
            try:
                put(store, f"{name}-late")
            except (ClosedError, ForkError):
                os.write(writing, f"closed {name}\n".encode())
        code = 0
    except BaseException as error:  # noqa: BLE001 - told
        os.write(writing, f"{type(error).__name__} {error}\n".encode())
    finally:
        os._exit(code)


_of_pool: BaseMetadataStore | None = None


def _in_pool(which: str) -> str:
    assert _of_pool is not None
    try:
        put(_of_pool, which)
        _of_pool.count(NodeQuery(ARTIFACT))
    except ForkError:
        return f"ForkError {which}"
    return f"wrote {which}"


def pools(url: str, *, seed: int, tasks: int, workers: int) -> dict[str, Any]:
    """A pool of `multiprocessing`, forked while the store is open, uses its parent's store."""
    global _of_pool  # noqa: PLW0603 - how a pool inherits
    said: Counter[str] = Counter()
    acknowledged: list[str] = []
    with metastore.connect(url) as view:
        store = _of_pool = view.backend
        prepare(store)
        put(store, "before")
        names = [f"pool-{number}" for number in range(tasks)]
        with multiprocessing.get_context("fork").Pool(workers) as pool:
            for number, line in enumerate(pool.imap_unordered(_in_pool, names)):
                what, _, name = line.partition(" ")
                said[what] += 1
                if what == "wrote":
                    acknowledged.append(name)
                if number % 5 == 0:
                    put(store, f"parent-{number}")
                    acknowledged.append(f"parent-{number}")
        put(store, "after")
        acknowledged += ["before", "after"]
        wrong = lost(store, acknowledged)
    return {"batches": len(acknowledged), "said": dict(said), "raised": [], "wrong": wrong}


def closing_in_use(url: str, *, seed: int, rounds: int, threads: int) -> dict[str, Any]:
    """A store is closed while threads use it, each time at another moment."""
    chance = random.Random(seed)
    acknowledged: list[str] = []
    ends: Counter[str] = Counter()
    wrong: list[str] = []
    with metastore.connect(url) as view:
        prepare(view.backend)
    for number in range(rounds):
        view = metastore.connect(url)
        store = view.backend
        if url.startswith("memory"):
            prepare(store)
        enough, done = chance.randrange(1, 40), threading.Semaphore(0)

        def use(who: int, number: int = number, view: Any = view, done: Any = done) -> None:
            step = 0
            try:
                while True:
                    which = f"r{number}-t{who}-{step}"
                    put(view.backend, which)
                    acknowledged.append(which)
                    done.release()
                    if who % 4 == 0:
                        list(view.artifacts(limit=20))
                    elif who % 4 == 1 and view.backend.CAPABILITIES.snapshot:
                        with view.backend.snapshot():
                            view.backend.count(NodeQuery(ARTIFACT))
                    elif who % 4 == 2:
                        view.backend.read_events(EventQuery())
                    step += 1
            except MetastoreError as error:
                ends[type(error).__name__] += 1
            except BaseException as error:  # noqa: BLE001 - reported
                wrong.append(f"{type(error).__name__}: {error}")

        users = [threading.Thread(target=use, args=(who,)) for who in range(threads)]
        for each in users:
            each.start()
        finished = 0
        while finished < enough and any(each.is_alive() for each in users):
            # Nobody may be left to say so.
            finished += done.acquire(timeout=0.1)
        closers = [threading.Thread(target=view.close) for _ in range(2)]
        for each in (*closers, *users):
            if each in closers:
                each.start()
        for each in (*closers, *users):
            each.join()
    if not url.startswith("memory"):
        with metastore.connect(url) as view:
            wrong += lost(view.backend, acknowledged)
    return {"batches": len(acknowledged), "ends": dict(ends), "raised": wrong, "wrong": []}


def main() -> None:
    """Do what stdin says, and print what came of it as JSON."""
    # Whatever waits for ever says where.
    faulthandler.dump_traceback_later(600, exit=True)
    asked = json.load(sys.stdin)
    work: Callable[..., dict[str, Any]] = globals()[asked.pop("work")]
    sys.stdout.write(json.dumps(work(asked.pop("url"), **asked)))


if __name__ == "__main__":
    main()
