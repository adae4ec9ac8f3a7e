"""The flavor works with the protocol modules of ml-metadata 1.21 as with those of 1.17.

Run in an environment with protobuf 6, where ``ml_metadata/proto`` of 1.21's wheel is on the path:
``tox -e protobuf6``.  In one with ml-metadata 1.17 they hold as well.
"""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator

import google.protobuf
import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from ml_metadata.proto import metadata_store_pb2 as pb
from ml_metadata.proto import metadata_store_service_pb2 as service
from ml_metadata.proto import metadata_store_service_pb2_grpc as service_grpc

import metastore
from metastore_flavor_kubeflow.serving._service import RPCS, Service


@pytest.fixture
def channel() -> Iterator[grpc.Channel]:
    """A channel to `metastore serve memory://`."""
    command = [sys.executable, "-m", "metastore", "serve", "memory://", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        found = re.search(r"127\.0\.0\.1:\d+", process.stdout.readline())
        assert found is not None
        with grpc.insecure_channel(found[0]) as channel:
            yield channel
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0


def test_the_modules_describe_the_calls_that_are_served() -> None:
    """Every RPC of the modules is served, and there are 52."""
    assert len(RPCS) == 52


def test_a_story_through_the_generated_stub(channel: grpc.Channel) -> None:
    """Types, nodes with every kind of property, events, lists with filters, lineage."""
    stub = service_grpc.MetadataStoreServiceStub(channel)
    kinds = {"i": pb.INT, "d": pb.DOUBLE, "s": pb.STRING, "b": pb.BOOLEAN, "st": pb.STRUCT}
    types = stub.PutTypes(
        service.PutTypesRequest(
            artifact_types=[pb.ArtifactType(name="A", properties={**kinds, "p": pb.PROTO})],
            execution_types=[pb.ExecutionType(name="E", base_type=pb.ExecutionType.TRAIN)],
            context_types=[pb.ContextType(name="C", version="v1")],
        )
    )
    artifact = pb.Artifact(type_id=types.artifact_type_ids[0], uri="u", state=pb.Artifact.LIVE)
    artifact.properties["i"].int_value = 2**62
    artifact.properties["d"].double_value = 1e-9
    artifact.properties["s"].string_value = "text"
    artifact.properties["b"].bool_value = False
    artifact.properties["st"].struct_value.update({"a": [1, None, {"b": "c"}]})
    artifact.properties["p"].proto_value.Pack(pb.Event(type=pb.Event.OUTPUT))
    request = service.PutExecutionRequest()
    request.execution.type_id = types.execution_type_ids[0]
    pair = request.artifact_event_pairs.add(artifact=artifact)
    pair.event.type = pb.Event.OUTPUT
    pair.event.path.steps.add().key = "model"
    request.contexts.add(type_id=types.context_type_ids[0], name="run")
    put = stub.PutExecution(request)

    (found,) = stub.GetArtifactsByID(
        service.GetArtifactsByIDRequest(artifact_ids=put.artifact_ids)
    ).artifacts
    assert found.properties == artifact.properties
    listed = service.GetArtifactsByContextRequest(context_id=put.context_ids[0])
    listed.options.filter_query = "properties.s.string_value = 'text' AND state = LIVE"
    listed.options.max_result_size = 1
    assert [each.id for each in stub.GetArtifactsByContext(listed).artifacts] == [found.id]
    lineage = service.GetLineageSubgraphRequest()
    lineage.lineage_subgraph_query_options.starting_executions.filter_query = "id = 1"
    graph = stub.GetLineageSubgraph(lineage).lineage_subgraph
    assert [each.path.steps[0].key for each in graph.events] == ["model"]
    with pytest.raises(grpc.RpcError) as caught:
        stub.GetArtifactType(service.GetArtifactTypeRequest(type_name="none"))
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


def test_the_health_service_works_with_this_protobuf(channel: grpc.Channel) -> None:
    """Its messages were generated for protobuf 4, and are used with 6 as well."""
    stub = health_pb2_grpc.HealthStub(channel)
    answer = stub.Check(health_pb2.HealthCheckRequest(service="ml_metadata.MetadataStoreService"))
    assert answer.status == health_pb2.HealthCheckResponse.SERVING
    assert google.protobuf.__version__.split(".")[0] in ("4", "6")


def test_a_service_answers_without_grpc() -> None:
    """Bytes in, bytes out: what a server of one's own would call."""
    with metastore.connect("memory://") as store:
        request = service.GetArtifactTypesRequest().SerializeToString()
        assert Service(store.backend).call("GetArtifactTypes", request) == b""
