"""Calls of every sort to ``metastore serve``: each gets a status, and the next one works."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("ml_metadata", reason="without ml-metadata nothing is served")

import grpc
from ml_metadata.proto import metadata_store_pb2 as pb
from ml_metadata.proto import metadata_store_service_pb2 as service
from plugins.kubeflow.tests.served import Served, serving

import metastore
from metastore import NodeKind, NodeQuery

from .conftest import Figures
from .hostile.messages import random_bytes, random_message

if TYPE_CHECKING:
    from plugins.mysql.tests.servers import Server

Size = Callable[[int, int], int]

_NAME = "ml_metadata.MetadataStoreService"
_METHODS = {
    each.name: each for each in service.DESCRIPTOR.services_by_name["MetadataStoreService"].methods
}
_SAID = {"INVALID_ARGUMENT", "NOT_FOUND", "ALREADY_EXISTS", "FAILED_PRECONDITION", "UNIMPLEMENTED"}
_SAID |= {"OUT_OF_RANGE"}
"""What a wrong request may be answered with; INTERNAL is a fault of the server's."""


def _class_of(method: Any) -> Any:
    return getattr(service, method.input_type.name)


def _fill(stub: Callable[[str, bytes], bytes]) -> None:
    """A few types, nodes, events and links."""
    types = service.PutTypesRequest(
        artifact_types=[pb.ArtifactType(name="T", properties={"p": pb.STRING, "n": pb.INT})],
        execution_types=[pb.ExecutionType(name="T", properties={"p": pb.STRING})],
        context_types=[pb.ContextType(name="T", properties={"p": pb.STRING})],
    )
    put = service.PutTypesResponse.FromString(stub("PutTypes", types.SerializeToString()))
    step = service.PutExecutionRequest(
        execution=pb.Execution(type_id=put.execution_type_ids[0], name="e"),
        artifact_event_pairs=[
            service.PutExecutionRequest.ArtifactAndEvent(
                artifact=pb.Artifact(type_id=put.artifact_type_ids[0], name="a", uri="here"),
                event=pb.Event(type=pb.Event.OUTPUT),
            )
        ],
        contexts=[pb.Context(type_id=put.context_type_ids[0], name="c")],
    )
    stub("PutExecution", step.SerializeToString())


def _fuzz(served: Served, seed: int, count: int) -> dict[str, object]:
    chance, statuses, per_rpc = random.Random(seed), Counter[str](), Counter[str]()
    with grpc.insecure_channel(
        served.address, options=[("grpc.max_receive_message_length", -1)]
    ) as channel:

        def call(rpc: str, content: bytes) -> bytes:
            answered: bytes = channel.unary_unary(f"/{_NAME}/{rpc}")(content, timeout=120)
            return answered

        _fill(call)
        for number in range(count):
            rpc = chance.choice(list(_METHODS))
            message = random_message(chance, _class_of(_METHODS[rpc])())
            content = message.SerializeToString()
            kind = "message"
            if chance.random() < 0.25:
                kind, content = "bytes", random_bytes(chance, content)
            shown = f"call {number} of seed {seed}: {rpc} with {kind} {content[:3000]!r}"
            per_rpc[rpc] += 1
            try:
                call(rpc, content)
                statuses["OK"] += 1
            except grpc.RpcError as error:
                code = error.code().name
                assert code in _SAID, f"{code}: {error.details()}: {shown}"
                assert error.details(), shown
                statuses[code] += 1
            assert served.process.poll() is None, f"the server has ended: {shown}"
            if number % 200 == 0:
                _good_call(call, number)
        _good_call(call, count)
    assert "Traceback" not in served.log
    assert "failed with" not in served.log
    assert len(per_rpc) == len(_METHODS) or count < 500
    return {"seed": seed, "calls": count, "rpcs": len(per_rpc), **dict(sorted(statuses.items()))}


def _good_call(call: Callable[[str, bytes], bytes], number: int) -> None:
    """A write that is right is written, and read as it was."""
    put = service.PutArtifactTypeRequest(artifact_type=pb.ArtifactType(name=f"good-{number}"))
    type_id = service.PutArtifactTypeResponse.FromString(
        call("PutArtifactType", put.SerializeToString())
    ).type_id
    request = service.PutArtifactsRequest(artifacts=[pb.Artifact(type_id=type_id, uri="here")])
    (id,) = service.PutArtifactsResponse.FromString(
        call("PutArtifacts", request.SerializeToString())
    ).artifact_ids
    get = service.GetArtifactsByIDRequest(artifact_ids=[id])
    (found,) = service.GetArtifactsByIDResponse.FromString(
        call("GetArtifactsByID", get.SerializeToString())
    ).artifacts
    assert (found.type_id, found.uri) == (type_id, "here")


_OF_CLIENTS = {"lineage-cycle", "parent-cycle"}
"""Problems of what events and links say, which any client may say, not of how they are stored."""


def _verify(url: str) -> None:
    """The store has nothing that points at nothing, and is read whole."""
    with metastore.connect(url, mode="r") as store:
        found = [each for each in store.backend.problems() if each.kind not in _OF_CLIENTS]
        assert found == []
        for kind in NodeKind:
            store.backend.read_nodes(NodeQuery(kind))


def test_served_sqlite(tmp_path: Path, size: Size, figures: Figures) -> None:
    """Over a file: any message of any call is answered with OK or an error of the caller's, never
    INTERNAL, and the server goes on; the store is whole in the end.
    """
    with serving("sqlite:///s.db", folder=tmp_path) as served:
        found = _fuzz(served, 1, size(700, 60_000))
        assert served.stop() == 0
    _verify(f"sqlite:///{tmp_path}/s.db")
    figures(**found)


def test_served_memory(tmp_path: Path, size: Size, figures: Figures) -> None:
    """Over memory, whose flavor evaluates in Python."""
    with serving("memory://", folder=tmp_path) as served:
        found = _fuzz(served, 2, size(500, 30_000))
    figures(**found)


def test_served_mariadb(tmp_path: Path, mariadb: Server, size: Size, figures: Figures) -> None:
    """Over MariaDB."""
    database = mariadb.new_database()
    url = mariadb.url(database).replace(f":{mariadb.password_of(database)}@", "@")
    secret = tmp_path / "password"
    secret.write_text(mariadb.password_of(database))
    with serving(f"{url}?password=file:{secret}", folder=tmp_path) as served:
        found = _fuzz(served, 3, size(300, 15_000))
    _verify(mariadb.url(database))
    figures(**found)


def test_deep_structs(tmp_path: Path) -> None:
    """Structs of any depth, lists in lists, and texts of many megabytes are stored or refused."""
    with (
        serving("sqlite:///s.db", folder=tmp_path) as served,
        grpc.insecure_channel(served.address) as channel,
    ):

        def call(rpc: str, content: bytes) -> bytes:
            answered: bytes = channel.unary_unary(f"/{_NAME}/{rpc}")(content, timeout=120)
            return answered

        _fill(call)
        stored = refused = 0
        for levels in (1, 28, 30, 31, 33, 60, 99, 1000):
            inner = b""
            for _ in range(levels):
                # Struct.fields { key: "a" value { struct_value { ... } } }
                value = b"\x2a" + _size(inner) + inner
                entry = b"\x0a\x01a\x12" + _size(value) + value
                inner = b"\x0a" + _size(entry) + entry
            struct = b"\x22" + _size(inner) + inner
            entry = b"\x0a\x01s\x12" + _size(struct) + struct
            artifact = b"\x10\x0a\x2a" + _size(entry) + entry
            try:
                call("PutArtifacts", b"\x0a" + _size(artifact) + artifact)
                stored += 1
            except grpc.RpcError as error:
                assert error.code().name in _SAID, (levels, error.details())
                refused += 1
        assert stored
        assert refused
        text = "x" * 20_000_000
        request = service.PutArtifactsRequest(artifacts=[pb.Artifact(type_id=10, uri=text)])
        call("PutArtifacts", request.SerializeToString())
        _good_call(call, 0)


def _size(content: bytes) -> bytes:
    number, found = len(content), b""
    while number > 127:
        found += bytes([number & 127 | 128])
        number >>= 7
    return found + bytes([number])
