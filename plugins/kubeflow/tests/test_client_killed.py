"""A server that is killed while our client writes and reads, and started again."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
from collections import Counter
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ml_metadata.metadata_store", reason="the judge is not installed here")

import metastore
from metastore import (
    BaseMetadataStore,
    Batch,
    EventQuery,
    EventType,
    LinkKind,
    LinkQuery,
    Merge,
    NodeKind,
    NodeQuery,
    OutcomeUnknownError,
)
from metastore.model import AnyNode, PropertyKind
from metastore_flavor_kubeflow import KubeflowConfig, KubeflowMetadataStore
from metastore_flavor_kubeflow.client import _channel

from .served import serving

KILLS = int(os.environ.get("METASTORE_KILLS", "15"))
WRITERS, READERS = 4, 2
UNNAMED = " without a name"
"""Behind the label of a step of which nothing has one: nobody could look for it."""


class Worker:
    """Writes batches of every kind, and keeps what became of them."""

    def __init__(
        self,
        number: int,
        port: int,
        told: threading.Condition,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        self._number = number
        self._store = _open(port)
        self._told = told
        self.acknowledged: list[str] = []
        self.unknown: list[str] = []
        self.error: BaseException | None = None
        self.is_writing = False
        """Whether a call that writes is under way."""
        self._once = self._store._channel.once
        monkeypatch.setattr(self._store._channel, "once", self._call)

    def _call(self, rpc: str, request: Any, **more: Any) -> Any:
        if not rpc.startswith("Put"):
            return self._once(rpc, request, **more)
        with self._told:
            self.is_writing = True
            self._told.notify_all()
        try:
            return self._once(rpc, request, **more)
        finally:
            self.is_writing = False

    def run(self, stopped: threading.Event) -> None:
        """Write step after step: with names, and every other without."""
        try:
            with closing(self._store):
                count = 0
                while not stopped.is_set():
                    self._write(f"{self._number}-{count}{'' if count % 2 else UNNAMED}")
                    count += 1
        except BaseException as error:  # noqa: BLE001 - the test looks at it
            self.error = error
        finally:
            with self._told:
                self._told.notify_all()

    def _write(self, label: str) -> None:
        try:
            written = self._store.write(_step(label))
        except OutcomeUnknownError:
            self.unknown.append(label)
            return
        with self._told:
            self.acknowledged.append(label)
            self._told.notify_all()
        update = Batch()
        id = written.nodes[NodeKind.EXECUTION][0].id
        update.execution(custom_properties={"ended": label}, mode=Merge(id))
        # It may be repeated: no doubt is left.
        self._store.write(update)


def _open(port: int) -> KubeflowMetadataStore:
    config = KubeflowConfig(host="127.0.0.1", port=port, connect_timeout=60, retry_timeout=60)
    return KubeflowMetadataStore.open(config)


def _step(label: str) -> Batch:
    batch = Batch()
    name = None if label.endswith(UNNAMED) else label
    execution = batch.execution("T", name=name, properties={"of": label})
    artifact = batch.artifact("T", name=name, uri=label, properties={"of": label})
    batch.event(artifact, execution, EventType.OUTPUT, path=[label])
    if name is not None:
        context = batch.context("T", name=name)
        batch.association(context, execution)
        batch.attribution(context, artifact)
    return batch


def _read(port: int, stopped: threading.Event, errors: list[BaseException]) -> None:
    try:
        with closing(_open(port)) as store:
            last = 0
            while not stopped.is_set():
                nodes = store.read_nodes(NodeQuery(NodeKind.EXECUTION))
                ids = [node.id for node in nodes[:50]]
                store.read_events(EventQuery(execution_ids=ids))
                assert len(nodes) >= last, "what was there is gone"
                last = len(nodes)
    except BaseException as error:  # noqa: BLE001 - the test looks at it
        errors.append(error)


class Server:
    """A server on a file, as a process that can be killed and started again on its port."""

    def __init__(self, kind: str, file: Path) -> None:
        self._kind = kind
        self._file = file
        self._stack = ExitStack()
        self._process: subprocess.Popen[str] | None = None
        self.port = 0

    def start(self) -> None:
        """Start it; it listens when this returns."""
        if self._kind == "ours":
            store, folder = f"sqlite:///{self._file}", self._file.parent
            served = self._stack.enter_context(serving(store, folder=folder, port=self.port))
            self._process, self.port = served.process, served.port
            return
        command = [sys.executable, str(Path(__file__).with_name("engine.py"))]
        command += ["--store", str(self._file), "--port", str(self.port)]
        self._process = self._stack.enter_context(
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())

    def kill(self) -> None:
        """At once, in the middle of whatever it does."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """Leave nothing running."""
        self.kill()
        self._stack.close()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["engine", "ours"])
def test_nothing_is_lost_or_doubled(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was acknowledged is there once and whole, what is unknown whole or not; reads go on.

    ``METASTORE_KILLS`` says how often the server is killed, 15 times by default.
    """
    monkeypatch.setattr(_channel, "_FIRST_WAIT", 0.1)
    monkeypatch.setattr(_channel, "_LONGEST_WAIT", 0.5)
    told, stopped, errors = threading.Condition(), threading.Event(), list[BaseException]()
    with closing(Server(kind, tmp_path / "killed.db")) as server:
        server.start()
        _make_types(server.port)
        workers = [Worker(number, server.port, told, monkeypatch) for number in range(WRITERS)]
        threads = [
            *(threading.Thread(target=each.run, args=(stopped,)) for each in workers),
            *(
                threading.Thread(target=_read, args=(server.port, stopped, errors))
                for _ in range(READERS)
            ),
        ]
        for thread in threads:
            thread.start()
        try:
            _kill_again_and_again(server, workers, told)
        finally:
            stopped.set()
            for thread in threads:
                thread.join()
    assert [each.error for each in workers] == [None] * WRITERS
    assert errors == []
    acknowledged = [label for each in workers for label in each.acknowledged]
    unknown = {label for each in workers for label in each.unknown}
    with metastore.connect(f"sqlite:///{tmp_path}/killed.db", mode="r") as opened:
        _check_whole(opened.backend, set(acknowledged), unknown)


def _kill_again_and_again(server: Server, workers: list[Worker], told: threading.Condition) -> None:
    chance = random.Random(7)

    def count() -> int:
        assert [each.error for each in workers] == [None] * WRITERS
        return sum(len(each.acknowledged) for each in workers)

    for _ in range(KILLS):
        with told:
            wanted = count() + chance.randrange(1, 40)
            writing = chance.randrange(1, WRITERS)
            assert told.wait_for(
                lambda wanted=wanted, writing=writing: (  # type: ignore[misc]  # mypy cannot infer it
                    count() >= wanted and sum(each.is_writing for each in workers) >= writing
                ),
                120,
            )
        server.kill()
        server.start()


def _make_types(port: int) -> None:
    batch = Batch()
    for kind in NodeKind:
        batch.type(kind, "T", {"of": PropertyKind.STRING})
    with closing(_open(port)) as store:
        store.write(batch)


def _check_whole(backend: BaseMetadataStore, acknowledged: set[str], unknown: set[str]) -> None:
    contexts = {node.id: node.name or "" for node in _nodes(backend, NodeKind.CONTEXT)}
    executions = {node.id: node for node in _nodes(backend, NodeKind.EXECUTION)}
    artifacts = {node.id: node for node in _nodes(backend, NodeKind.ARTIFACT)}
    labels = Counter(str(node.properties["of"]) for node in executions.values())
    # Each once, those without names, too.
    assert set(labels.values()) == {1}
    assert acknowledged <= labels.keys() <= acknowledged | unknown
    assert Counter(str(node.properties["of"]) for node in artifacts.values()) == labels
    named = Counter(label for label in labels if not label.endswith(UNNAMED))
    assert Counter(contexts.values()) == named
    for execution in executions.values():
        ended = execution.custom_properties.get("ended")
        label = execution.properties["of"]
        assert ended == label or (ended is None and label in unknown)
    pairs = [
        (artifacts[each.artifact_id].properties["of"], executions[each.execution_id])
        for each in backend.read_events(EventQuery())
    ]
    assert all(label == execution.properties["of"] for label, execution in pairs)
    assert Counter(str(label) for label, _ in pairs) == labels
    for kind, others in (
        (LinkKind.ATTRIBUTION, artifacts),
        (LinkKind.ASSOCIATION, executions),
    ):
        links = [
            (contexts[each.context_id], others[each.other_id].properties["of"])
            for each in backend.read_links(LinkQuery(kind))
        ]
        assert Counter(links) == Counter((label, label) for label in named)


def _nodes(backend: BaseMetadataStore, kind: NodeKind) -> list[AnyNode]:
    return list(backend.iterate(NodeQuery(kind)))
