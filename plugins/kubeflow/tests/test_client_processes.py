"""Forks, threads and the end: who may use a store of the client, and who learns that it may not."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest

pytest.importorskip("ml_metadata.metadata_store", reason="the judge is not installed here")

from metastore import (
    Batch,
    ClosedError,
    EventQuery,
    EventType,
    NodeKind,
    NodeQuery,
    OutcomeUnknownError,
    Reuse,
)
from metastore.model import PropertyKind
from metastore_flavor_kubeflow import KubeflowConfig, KubeflowMetadataStore

from .services import engine_service, our_service
from .stand_in import SILENCE, standing_in

ARTIFACT, EXECUTION = NodeKind.ARTIFACT, NodeKind.EXECUTION


@pytest.fixture(params=[engine_service, our_service], ids=["engine", "ours"])
def port(request: Any) -> Iterator[int]:
    """A service with types."""
    with request.param() as found:
        with closing(_open(found)) as store:
            batch = Batch()
            for kind in NodeKind:
                batch.type(kind, "T", {"of": PropertyKind.STRING})
            store.write(batch)
        yield found


def _open(port: int, **settings: Any) -> KubeflowMetadataStore:
    return KubeflowMetadataStore.open(KubeflowConfig(host="127.0.0.1", port=port, **settings))


_FORKED = """
import os, sys, threading
import metastore
from metastore import Batch, ForkError, NodeKind, NodeQuery

url = sys.argv[1]
store = metastore.connect(url)
query = NodeQuery(NodeKind.ARTIFACT)
count = store.backend.count(query)
stopped = threading.Event()


def read():
    while not stopped.is_set():
        store.backend.count(query)


threads = [threading.Thread(target=read) for _ in range(3)]
for thread in threads:
    thread.start()
for number in range(5):
    child = os.fork()
    if not child:
        refused = 0
        batch = Batch()
        batch.artifact("T", name=f"of child {number}")
        for call in (lambda: store.backend.count(query), lambda: store.backend.write(batch)):
            try:
                call()
            except ForkError as error:
                refused += "open the store again in the child" in str(error)
        store.close()
        os._exit(0 if refused == 2 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    batch = Batch()
    batch.artifact("T", name=f"of the parent {number}")
    store.backend.write(batch)
stopped.set()
for thread in threads:
    thread.join()
print(store.backend.count(query) - count)
store.close()
"""


def test_a_forked_child_gets_an_error_and_the_parent_goes_on(port: int) -> None:
    """While threads of the parent read: a child is told, whatever it calls; stderr stays empty."""
    command = [sys.executable, "-c", _FORKED, f"kubeflow://127.0.0.1:{port}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "5\n", "")


def test_a_child_may_open_a_store_of_its_own(port: int) -> None:
    """One that forks before it opens anything, as servers with workers do."""
    script = """
import os, sys
import metastore
from metastore import NodeKind, NodeQuery
import metastore_flavor_kubeflow.store
for _ in range(2):
    child = os.fork()
    if not child:
        with metastore.connect(sys.argv[1]) as store:
            store.backend.count(NodeQuery(NodeKind.ARTIFACT))
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""
    command = [sys.executable, "-c", script, f"kubeflow://127.0.0.1:{port}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def _together(count: int, work: Callable[[int], None]) -> list[BaseException]:
    """Threads that begin at once; what they raised."""
    begin, errors = threading.Barrier(count), list[BaseException]()

    def run(number: int) -> None:
        begin.wait()
        try:
            work(number)
        except BaseException as error:  # noqa: BLE001 - the test looks at it
            errors.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return errors


def test_32_threads_share_a_store(port: int) -> None:
    """Each writes and reads its own; nothing is lost, doubled or mixed up."""
    with closing(_open(port)) as store:

        def work(number: int) -> None:
            for turn in range(3):
                label = f"{number}-{turn}"
                batch = Batch()
                artifact = batch.artifact("T", name=label, properties={"of": label})
                execution = batch.execution("T", properties={"of": label})
                batch.event(artifact, execution, EventType.OUTPUT, path=[label])
                shared = batch.context("T", name="shared", mode=Reuse(by="name"))
                batch.attribution(shared, artifact)
                written = store.write(batch)
                id = written[artifact].id
                (node,) = store.read_nodes(NodeQuery(ARTIFACT, ids=[id]))
                assert (node.name, node.properties) == (label, {"of": label})
                (event,) = store.read_events(EventQuery(artifact_ids=[id]))
                assert (event.execution_id, event.path) == (written[execution].id, (label,))

        assert _together(32, work) == []
        assert store.count(NodeQuery(ARTIFACT)) == store.count(NodeQuery(EXECUTION)) == 96
        assert store.count(NodeQuery(NodeKind.CONTEXT)) == 1


def test_32_stores_create_one_type_and_context(port: int) -> None:
    """Clients that are first at the same time all end with one of each, and none fails."""
    found: list[tuple[int, int]] = []

    def work(number: int) -> None:
        with closing(_open(port)) as store:
            batch = Batch()
            batch.type(NodeKind.CONTEXT, "New")
            run = batch.context("New", name="run", mode=Reuse(by="name"))
            written = store.write(batch)
            found.append((written.types[0].id, written[run].id))

    assert _together(16, work) == []
    assert len(found) == 16
    assert len(set(found)) == 1


def test_closing_while_others_call(port: int) -> None:
    """Each of them gets its answer or ClosedError, and closing twice is fine."""
    store = _open(port)
    answered = threading.Semaphore(0)

    def work(number: int) -> None:
        if number == 0:
            for _ in range(20):
                answered.acquire()
            store.close()
            store.close()
            return
        with pytest.raises(ClosedError):
            while True:
                store.read_nodes(NodeQuery(ARTIFACT))
                answered.release()

    assert _together(9, work) == []
    store.close()
    with pytest.raises(ClosedError):
        store.count(NodeQuery(ARTIFACT))


def test_a_write_whose_store_is_closed_is_unknown(port: int) -> None:
    """It had been sent, and may have arrived; a read that waits gets ClosedError."""
    with standing_in(port) as stand_in:
        store = _open(stand_in.port)
        for rpc in ("PutArtifacts", "GetExecutions"):
            stand_in.fail(rpc, SILENCE, times=100)
        batch = Batch()
        batch.artifact("T", name="a")

        def work(number: int) -> None:
            if number == 0:
                with pytest.raises(OutcomeUnknownError, match="was closed meanwhile"):
                    store.write(batch)
            elif number == 1:
                with pytest.raises(ClosedError):
                    store.read_nodes(NodeQuery(EXECUTION))
            else:
                for rpc in ("PutArtifacts", "GetExecutions"):
                    stand_in.wait_for(rpc)
                store.close()

        assert _together(3, work) == []
        with closing(_open(port)) as other:
            assert [node.name for node in other.read_nodes(NodeQuery(ARTIFACT))] == ["a"]
