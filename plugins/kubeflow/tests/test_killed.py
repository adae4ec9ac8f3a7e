"""A server that is killed while clients write, and started again."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip(
    "ml_metadata", reason="without ml-metadata nothing is served; `tox -e protobuf6` tests it here"
)

import grpc
from ml_metadata.proto import metadata_store_pb2 as pb
from ml_metadata.proto import metadata_store_service_pb2 as service
from ml_metadata.proto import metadata_store_service_pb2_grpc as service_grpc

import metastore
from metastore import EventQuery, LinkKind, LinkQuery, NodeKind, NodeQuery

from .served import serving

KILLS = int(os.environ.get("METASTORE_KILLS", "4"))
WRITERS = 4


class Writer:
    """Writes steps, one call each, and keeps what was acknowledged."""

    def __init__(self, number: int, port: int) -> None:
        self._number = number
        # Reconnects soon: a killed server is back in a second.
        options = [("grpc.max_reconnect_backoff_ms", 200), ("grpc.use_local_subchannel_pool", 1)]
        self._channel = grpc.insecure_channel(f"127.0.0.1:{port}", options=options)
        self._stub = service_grpc.MetadataStoreServiceStub(self._channel)
        self.acknowledged: list[str] = []
        self.failed = 0
        self.unexpected: list[Exception] = []

    def write_until(self, stopped: threading.Event) -> None:
        """Write step after step."""
        count = 0
        while not stopped.is_set():
            name = f"step-{self._number}-{count}"
            count += 1
            try:
                self._stub.PutExecution(_step(name), timeout=60, wait_for_ready=True)
                self.acknowledged.append(name)
            except grpc.RpcError as error:
                if error.code() is not grpc.StatusCode.UNAVAILABLE:
                    self.unexpected.append(error)
                    return
                self.failed += 1
        self._channel.close()


def _step(name: str) -> Any:
    """An execution with an artifact that it wrote and a context, all new and of that name."""
    request = service.PutExecutionRequest()
    request.execution.CopyFrom(pb.Execution(type_id=11, name=name))
    pair = request.artifact_event_pairs.add()
    pair.artifact.CopyFrom(pb.Artifact(type_id=10, name=name, uri=name))
    pair.artifact.properties["of"].string_value = name
    pair.event.type = pb.Event.OUTPUT
    request.contexts.append(pb.Context(type_id=12, name=name))
    return request


def _make_types(port: int) -> None:
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = service_grpc.MetadataStoreServiceStub(channel)
        stub.PutTypes(
            service.PutTypesRequest(
                artifact_types=[pb.ArtifactType(name="A", properties={"of": pb.STRING})],
                execution_types=[pb.ExecutionType(name="E")],
                context_types=[pb.ContextType(name="C")],
            )
        )


@contextmanager
def _writing(port: int) -> Iterator[list[Writer]]:
    writers = [Writer(number, port) for number in range(WRITERS)]
    stopped = threading.Event()
    threads = [threading.Thread(target=each.write_until, args=(stopped,)) for each in writers]
    for each in threads:
        each.start()
    try:
        yield writers
    finally:
        stopped.set()
        for each in threads:
            each.join()


@pytest.mark.slow
def test_nothing_acknowledged_is_lost_when_the_server_is_killed(tmp_path: Path) -> None:
    """After every kill what was acknowledged is there, and every step is whole.

    ``METASTORE_KILLS`` says how often it is killed, 4 times by default.
    """
    chance = random.Random(5)
    store = "sqlite:///killed.db"
    with serving(store, folder=tmp_path) as first:
        port = first.port
        _make_types(port)
    with _server(store, tmp_path, port) as start, _writing(port) as writers:
        for _ in range(KILLS):
            served = start()
            wanted = sum(len(each.acknowledged) for each in writers) + chance.randrange(1, 60)
            while sum(len(each.acknowledged) for each in writers) < wanted:
                assert not any(each.unexpected for each in writers)
                time.sleep(0.001)
            served.process.kill()
            served.process.wait()
        start()
    assert [each.unexpected for each in writers] == [[]] * WRITERS
    acknowledged = {name for each in writers for name in each.acknowledged}
    assert len(acknowledged) > KILLS
    with metastore.connect(f"sqlite:///{tmp_path}/killed.db", mode="r") as opened:
        _check_whole(opened.backend, acknowledged)


@contextmanager
def _server(store: str, folder: Path, port: int) -> Iterator[Any]:
    from contextlib import ExitStack

    with ExitStack() as stack:
        yield lambda: stack.enter_context(serving(store, folder=folder, port=port))


def _check_whole(backend: Any, acknowledged: set[str]) -> None:
    nodes = {
        kind: {node.name: node for node in backend.iterate(NodeQuery(kind))} for kind in NodeKind
    }
    names = {kind: set(found) for kind, found in nodes.items()}
    assert acknowledged <= names[NodeKind.EXECUTION]
    assert names[NodeKind.ARTIFACT] == names[NodeKind.EXECUTION] == names[NodeKind.CONTEXT]
    events = {(each.artifact_id, each.execution_id) for each in backend.read_events(EventQuery())}
    links = {
        kind: {(each.context_id, each.other_id) for each in backend.read_links(LinkQuery(kind))}
        for kind in (LinkKind.ATTRIBUTION, LinkKind.ASSOCIATION)
    }
    for name, execution in nodes[NodeKind.EXECUTION].items():
        artifact, context = nodes[NodeKind.ARTIFACT][name], nodes[NodeKind.CONTEXT][name]
        assert artifact.properties == {"of": name}
        assert (artifact.id, execution.id) in events
        assert (context.id, artifact.id) in links[LinkKind.ATTRIBUTION]
        assert (context.id, execution.id) in links[LinkKind.ASSOCIATION]
