"""`metastore serve` as a server: what it says, refuses and survives."""

from __future__ import annotations

import signal
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip(
    "ml_metadata", reason="without ml-metadata nothing is served; `tox -e protobuf6` tests it here"
)

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from ml_metadata.proto import metadata_store_pb2 as pb
from ml_metadata.proto import metadata_store_service_pb2 as service

from .served import Served

Serve = Callable[..., Served]
SECRET = "canary-5417"


def _status(call: Callable[[], object]) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return caught.value.code(), caught.value.details()


def _store_something(stub: Any, uri: str = "here") -> int:
    type_id = stub.PutArtifactType(
        service.PutArtifactTypeRequest(
            artifact_type=pb.ArtifactType(name="T", properties={"p": pb.STRING})
        )
    ).type_id
    request = service.PutArtifactsRequest(artifacts=[pb.Artifact(type_id=type_id, uri=uri)])
    (id,) = stub.PutArtifacts(request).artifact_ids
    return int(id)


def test_it_says_where_it_serves_what(serve: Serve) -> None:
    """One line on stdout: the store, the address with its port, whether there is TLS."""
    served = serve("memory://")
    assert served.line == (
        f"Serving memory:// at 127.0.0.1:{served.port}, without TLS; Ctrl-C stops it.\n"
    )


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it(serve: Serve, sig: int) -> None:
    """Both signals end it with status 0, and the port is free again."""
    served = serve("memory://")
    assert served.stop(sig) == 0
    with socket.create_server(("127.0.0.1", served.port)):
        pass


def test_a_call_that_has_begun_ends_before_the_server_does(serve: Serve) -> None:
    """A write that waits while the server is told to stop is answered, and stored."""
    served = serve("sqlite:///s.db")
    file = served.folder / "s.db"
    with served.stub() as stub:
        _store_something(stub)
        blocker = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
        blocker.execute("BEGIN IMMEDIATE")
        waiting = stub.PutArtifacts.future(
            service.PutArtifactsRequest(artifacts=[pb.Artifact(type_id=10, uri="late")])
        )
        # It is there when the log of a later call is not: calls are taken in order.
        stub.GetArtifactTypes(service.GetArtifactTypesRequest())
        served.process.send_signal(signal.SIGTERM)
        while "stopping" not in served.log:
            assert served.process.poll() is None
        blocker.execute("COMMIT")
        blocker.close()
        assert list(waiting.result(30).artifact_ids) == [2]
    assert served.process.wait(30) == 0


def test_a_taken_port_is_a_sentence(serve: Serve, tmp_path: Path) -> None:
    """Two servers cannot share a port; the second says so and exits with 1."""
    port = serve("memory://").port
    command = [sys.executable, "-m", "metastore", "serve", "memory://", "--port", str(port)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 1
    assert "choose another --port or --host" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["memory://", "--tls-cert", "{file}"], 2, "go together"),
        (["memory://", "--tls-client-ca", "{file}"], 2, "needs --tls-cert"),
        (["memory://", "--tls-cert", "no", "--tls-key", "no"], 2, "does not exist"),
        (["memory://", "--tls-cert", "{file}", "--tls-key", "{file}"], 1, "PEM files"),
        (["memory://", "--host", "256.1.1.1", "--port", "0"], 1, "no such address"),
        (["memory://", "--port", "70000"], 2, "70000"),
        (["memory://", "--host", "unix"], 2, "neither a host's name nor an address"),
        (["memory://", "--host", ""], 2, "neither a host's name nor an address"),
        (["memory://", "--grace", "nan"], 2, "not a number"),
        (["sqlite:///gone/s.db"], 1, "there is no folder"),
        (["sqlite:///s.db", "--read-only"], 1, "there is no file"),
        (["nowhere"], 1, "nowhere"),
        (["sqlite://u:" + SECRET + "@h/x"], 2, "password"),
    ],
)
def test_wrong_use_is_a_sentence(
    tmp_path: Path, arguments: list[str], status: int, says: str
) -> None:
    """What cannot be meant ends with 2, what cannot be done with 1, never with a traceback."""
    file = tmp_path / "file.pem"
    file.write_text("no certificate")
    command = [sys.executable, "-m", "metastore", "serve"]
    command += [each.format(file=file) for each in arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == status, done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert SECRET not in done.stdout + done.stderr


def test_an_address_that_others_reach_is_warned_about(serve: Serve) -> None:
    """Beyond loopback it says that the protocol has no authentication; on loopback it does not."""
    assert "no authentication" not in serve("memory://").log
    served = serve("memory://", "--host", "0.0.0.0")
    served.stop()
    assert "no authentication" in served.log


def test_read_only_refuses_writes_and_changes_nothing(serve: Serve) -> None:
    """Reads work, writes are PERMISSION_DENIED, the file stays as it was."""
    writing = serve("sqlite:///s.db")
    with writing.stub() as stub:
        id = _store_something(stub)
    writing.stop()
    before = (writing.folder / "s.db").read_bytes()
    served = serve("sqlite:///s.db", "--read-only")
    with served.stub() as stub:
        found = stub.GetArtifactsByID(service.GetArtifactsByIDRequest(artifact_ids=[id]))
        assert found.artifacts[0].uri == "here"
        code, _ = _status(lambda: _store_something(stub))
        assert code is grpc.StatusCode.PERMISSION_DENIED
    served.stop()
    assert (writing.folder / "s.db").read_bytes() == before


def test_the_health_service_answers(serve: Serve) -> None:
    """Kubernetes' gRPC probe finds the whole and the service SERVING."""
    served = serve("memory://")
    with grpc.insecure_channel(served.address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        for name in ("", "ml_metadata.MetadataStoreService"):
            answer = stub.Check(health_pb2.HealthCheckRequest(service=name))
            assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_the_log_has_no_values(serve: Serve) -> None:
    """A line a call: RPC, outcome, time and sizes; nothing of what was sent or found."""
    served = serve("sqlite:///s.db")
    with served.stub() as stub:
        _store_something(stub, uri=SECRET)
        request = service.GetArtifactsRequest()
        request.options.filter_query = f"uri = '{SECRET}' AND nonsense = '{SECRET}'"
        code, _ = _status(lambda: stub.GetArtifacts(request))
        assert code is grpc.StatusCode.INVALID_ARGUMENT
        bad = service.PutArtifactsRequest(artifacts=[pb.Artifact(type_id=10)])
        bad.artifacts[0].properties["p"].struct_value.update({"x": SECRET})
        code, told = _status(lambda: stub.PutArtifacts(bad))
        assert code is grpc.StatusCode.INVALID_ARGUMENT
        assert SECRET not in told
    served.stop()
    assert " GetArtifacts INVALID_ARGUMENT " in served.log
    assert " PutArtifacts OK " in served.log
    assert SECRET not in served.log


def test_the_log_can_be_silenced(serve: Serve) -> None:
    """--no-access-log leaves stderr empty."""
    served = serve("memory://", "--no-access-log")
    with served.stub() as stub:
        _store_something(stub)
    served.stop()
    assert served.log == ""


def test_an_answer_beyond_the_limit_says_what_to_do(serve: Serve) -> None:
    """RESOURCE_EXHAUSTED with the way out; page by page the same nodes are served."""
    served = serve("memory://", "--max-message-size", "1")
    with served.stub() as stub:
        _store_something(stub)
        for _ in range(3):
            artifact = pb.Artifact(type_id=10)
            artifact.custom_properties["long"].string_value = "x" * 500_000
            stub.PutArtifacts(service.PutArtifactsRequest(artifacts=[artifact]))
        code, told = _status(lambda: stub.GetArtifacts(service.GetArtifactsRequest()))
        assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "max_result_size" in told
        request = service.GetArtifactsRequest()
        request.options.max_result_size = 1
        seen = []
        while True:
            answer = stub.GetArtifacts(request)
            seen += [each.id for each in answer.artifacts]
            if not answer.next_page_token:
                break
            request.options.next_page_token = answer.next_page_token
        assert seen == [1, 2, 3, 4]


def test_pages_of_any_size_are_whole(serve: Serve) -> None:
    """More than 100 nodes a page come, with a token where there are more (contract 12.15)."""
    with serve("memory://").stub() as stub:
        _store_something(stub)
        artifacts = [pb.Artifact(type_id=10) for _ in range(299)]
        stub.PutArtifacts(service.PutArtifactsRequest(artifacts=artifacts))
        request = service.GetArtifactsRequest()
        request.options.max_result_size = 250
        first = stub.GetArtifacts(request)
        assert len(first.artifacts) == 250
        request.options.next_page_token = first.next_page_token
        second = stub.GetArtifacts(request)
        assert [each.id for each in second.artifacts] == list(range(251, 301))
        assert second.next_page_token == ""


def test_parents_and_children_of_many_contexts(serve: Serve) -> None:
    """The two RPCs that ML Metadata's client lacks answer by the id of each context."""
    with serve("memory://").stub() as stub:
        stub.PutContextType(service.PutContextTypeRequest(context_type=pb.ContextType(name="C")))
        contexts = [pb.Context(type_id=10, name=name) for name in "abcd"]
        stub.PutContexts(service.PutContextsRequest(contexts=contexts))
        links = [(2, 1), (3, 1), (3, 2)]
        stub.PutParentContexts(
            service.PutParentContextsRequest(
                parent_contexts=[pb.ParentContext(child_id=c, parent_id=p) for c, p in links]
            )
        )
        parents = stub.GetParentContextsByContexts(
            service.GetParentContextsByContextsRequest(context_ids=[2, 3, 4, 99])
        )
        children = stub.GetChildrenContextsByContexts(
            service.GetChildrenContextsByContextsRequest(context_ids=[1, 4])
        )
    assert {
        id: [each.name for each in found.parent_contexts] for id, found in parents.contexts.items()
    } == {2: ["a"], 3: ["a", "b"]}
    assert {
        id: [each.name for each in found.children_contexts]
        for id, found in children.contexts.items()
    } == {1: ["b", "c"]}


def test_get_lineage_graph_is_unimplemented(serve: Serve) -> None:
    """As everywhere."""
    with serve("memory://").stub() as stub:
        code, _ = _status(lambda: stub.GetLineageGraph(service.GetLineageGraphRequest()))
    assert code is grpc.StatusCode.UNIMPLEMENTED


def test_doubles_and_texts_come_back_whole(serve: Serve) -> None:
    """What ML Metadata loses (contract 12.1 to 12.3) comes back through the protocol."""
    artifact = pb.Artifact(type_id=10)
    artifact.custom_properties["small"].double_value = 1e-9
    artifact.custom_properties["pi"].double_value = 3.141592653589793
    artifact.custom_properties["nul"].string_value = "a\0b"
    artifact.custom_properties["null"].string_value = "__MLMD_NULL__"
    artifact.custom_properties["looks"].string_value = "mlmd-struct::x"
    with serve("sqlite:///s.db").stub() as stub:
        _store_something(stub)
        (id,) = stub.PutArtifacts(service.PutArtifactsRequest(artifacts=[artifact])).artifact_ids
        request = service.GetArtifactsByIDRequest(artifact_ids=[id])
        found = stub.GetArtifactsByID(request).artifacts[0]
    assert found.custom_properties == artifact.custom_properties


def test_a_value_without_content_is_refused(serve: Serve) -> None:
    """What ends ML Metadata's process is INVALID_ARGUMENT (contract 12.4)."""
    with serve("memory://").stub() as stub:
        _store_something(stub)
        artifact = pb.Artifact(type_id=10)
        artifact.custom_properties["empty"].SetInParent()
        code, told = _status(
            lambda: stub.PutArtifacts(service.PutArtifactsRequest(artifacts=[artifact]))
        )
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert "'empty'" in told


# Clients that mean no good.


def test_garbage_is_refused_and_the_others_are_served(serve: Serve) -> None:
    """Bytes that are no HTTP/2, no message, no text in UTF-8: an error, and the server goes on."""
    served = serve("sqlite:///s.db")
    garbage = [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\0" * 5000,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 999,
    ]
    for each in garbage:
        with socket.create_connection(("127.0.0.1", served.port), timeout=20) as connection:
            connection.sendall(each)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(4096):
                pass
    with grpc.insecure_channel(served.address) as channel:
        path = "/ml_metadata.MetadataStoreService/"
        for rpc, sent in (
            ("PutArtifacts", b"\xff\xff\xff"),
            ("PutArtifactType", b"\x0a\x04\x12\x02\xff\xfe"),
            ("GetContextByTypeAndName", b"\x0a\x02\xff\xfe"),
        ):
            code, _ = _status(partial(channel.unary_unary(path + rpc), sent))
            assert code is grpc.StatusCode.INVALID_ARGUMENT, rpc
        code, _ = _status(lambda: channel.unary_unary(path + "DropEverything")(b""))
        assert code is grpc.StatusCode.UNIMPLEMENTED
    with served.stub() as stub:
        assert _store_something(stub) == 1


def test_an_oversized_message_is_refused(serve: Serve) -> None:
    """RESOURCE_EXHAUSTED, also where it is large only when unpacked; the others are served."""
    served = serve("memory://", "--max-message-size", "1")
    request = service.GetArtifactsByURIRequest(uris=["x" * 3_000_000])
    for compression in (grpc.Compression.NoCompression, grpc.Compression.Gzip):
        with served.stub() as stub:
            call = partial(stub.GetArtifactsByURI, request, compression=compression)
            code, _ = _status(call)
            assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
    with served.stub() as stub:
        assert _store_something(stub) == 1


class SlowClient:
    """Opens a call by hand and sends all but the end of its message."""

    PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        path = b"/ml_metadata.MetadataStoreService/GetArtifacts"
        headers = b"".join(
            b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value
            for name, value in (
                (b":method", b"POST"),
                (b":scheme", b"http"),
                (b":path", path),
                (b":authority", b"localhost"),
                (b"te", b"trailers"),
                (b"content-type", b"application/grpc"),
            )
        )
        # RFC 9113: SETTINGS; HEADERS with END_HEADERS; the first byte of a gRPC message as DATA.
        self.socket.sendall(
            self.PREFACE
            + self._frame(4, 0, 0, b"")
            + self._frame(1, 4, 1, headers)
            + self._frame(0, 0, 1, b"\0")
        )

    @staticmethod
    def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
        head = len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big")
        return head + payload


@pytest.mark.slow
def test_slow_clients_hold_nobody_up(serve: Serve) -> None:
    """A hundred calls whose messages do not end, and two workers: the others are served."""
    served = serve("memory://", "--workers", "2", "--grace", "0")
    slow = [SlowClient(served.port) for _ in range(100)]
    try:
        with served.stub() as stub:
            for _ in range(20):
                _store_something(stub)
            found = stub.GetArtifacts(service.GetArtifactsRequest(), timeout=30)
            assert len(found.artifacts) == 20
    finally:
        for each in slow:
            each.socket.close()
    assert served.stop() == 0


@pytest.mark.slow
def test_a_thousand_connections_are_served(serve: Serve) -> None:
    """Each of 1,000 connections gets its answer, all of them open at once."""
    served = serve("sqlite:///s.db", "--no-access-log")
    # Connections of their own: gRPC shares one among channels to the same server otherwise.
    options = [("grpc.use_local_subchannel_pool", 1)]
    path = "/ml_metadata.MetadataStoreService/GetArtifacts"
    with served.stub() as stub:
        _store_something(stub)
    with ExitStack() as stack, ThreadPoolExecutor(16) as pool:
        channels = [
            stack.enter_context(grpc.insecure_channel(served.address, options=options))
            for _ in range(1000)
        ]

        def ask(channel: grpc.Channel) -> int:
            answer = channel.unary_unary(path)(b"", timeout=60)
            return len(service.GetArtifactsResponse.FromString(answer).artifacts)

        assert list(pool.map(ask, channels)) == [1] * 1000
        assert list(pool.map(ask, channels)) == [1] * 1000


def test_threads_of_one_client_lose_nothing(serve: Serve) -> None:
    """Eight threads put 25 artifacts each: 200 are there, with ids of their own."""
    served = serve("sqlite:///s.db")
    with served.stub() as stub:
        _store_something(stub)
        ids: list[int] = []

        def put() -> None:
            for _ in range(25):
                request = service.PutArtifactsRequest(artifacts=[pb.Artifact(type_id=10)])
                ids.extend(stub.PutArtifacts(request).artifact_ids)

        threads = [threading.Thread(target=put) for _ in range(8)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        found = stub.GetArtifacts(service.GetArtifactsRequest())
    assert sorted(ids) == list(range(2, 202))
    assert len(found.artifacts) == 201


@pytest.mark.slow
def test_a_burst_of_calls_is_answered(serve: Serve) -> None:
    """Three thousand calls at one time all get their answer."""
    served = serve("memory://", "--no-access-log")
    with served.stub() as stub:
        _store_something(stub)
        calls = [stub.GetArtifacts.future(service.GetArtifactsRequest()) for _ in range(3000)]
        assert [len(each.result(60).artifacts) for each in calls] == [1] * 3000


class Locked:
    """Another program that holds the write lock of a store's file."""

    def __init__(self, file: Path) -> None:
        self._connection = sqlite3.connect(file, isolation_level=None)
        self._connection.execute("BEGIN IMMEDIATE")

    def release(self) -> None:
        """Let the others write."""
        self._connection.execute("COMMIT")
        self._connection.close()


def _put_named(stub: Any, name: str) -> Any:
    artifact = pb.Artifact(type_id=10, name=name)
    return stub.PutArtifacts.future(service.PutArtifactsRequest(artifacts=[artifact]))


def test_reads_are_served_while_writes_wait(serve: Serve) -> None:
    """Writes that wait for another program's lock, more than there are workers, hold no read up."""
    served = serve("sqlite:///s.db", "--workers", "2")
    with served.stub() as stub:
        _store_something(stub)
        locked = Locked(served.folder / "s.db")
        waiting = [_put_named(stub, f"n{number}") for number in range(6)]
        found = stub.GetArtifacts(service.GetArtifactsRequest(), timeout=30)
        assert len(found.artifacts) == 1
        locked.release()
        ids = sorted(id for each in waiting for id in each.result(60).artifact_ids)
        assert ids == [2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize("signals", [1, 2])
def test_who_is_given_up_is_told_what_is_known(serve: Serve, signals: int) -> None:
    """When time is up, or at a second signal, a write that has begun is UNKNOWN, one that has not
    is UNAVAILABLE and never written; the server ends, whatever its threads wait for.
    """
    grace = "0.2" if signals == 1 else "600"
    served = serve("sqlite:///s.db", "--workers", "1", "--grace", grace)
    with served.stub() as stub:
        _store_something(stub)
        locked = Locked(served.folder / "s.db")
        begun = _put_named(stub, "begun")
        waiting = _put_named(stub, "waiting")
        # Calls of one connection are taken in their order.
        stub.GetArtifactTypes(service.GetArtifactTypesRequest())
        for _ in range(signals):
            served.process.send_signal(signal.SIGTERM)
            while "stopping" not in served.log:
                assert served.process.poll() is None
        code, told = begun.code(), begun.details()
        assert code is grpc.StatusCode.UNKNOWN, told
        assert waiting.code() is grpc.StatusCode.UNAVAILABLE
    assert served.process.wait(30) == 1
    locked.release()
    assert "1 calls had not ended" in served.log
    assert "Traceback" not in served.log
    with closing(sqlite3.connect(served.folder / "s.db")) as connection:
        names = [name for (name,) in connection.execute("SELECT name FROM Artifact")]
    assert "waiting" not in names


def test_a_stream_of_the_health_service_delays_no_stop(serve: Serve) -> None:
    """Streams that never end are not waited for."""
    served = serve("memory://", "--grace", "3600")
    with grpc.insecure_channel(served.address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        stream = stub.Watch(health_pb2.HealthCheckRequest())
        assert next(stream).status == health_pb2.HealthCheckResponse.SERVING
        assert served.stop() == 0
    assert "Traceback" not in served.log


def test_long_names_leave_the_code_as_it_is(serve: Serve) -> None:
    """An error that names long text in another script has its code, and travels."""
    with serve("memory://").stub() as stub:
        _store_something(stub)
        assert _put_named(stub, "\u540d" * 3000).result().artifact_ids
        code, told = _status(_put_named(stub, "\u540d" * 3000).result)
    assert code is grpc.StatusCode.ALREADY_EXISTS
    assert "\u540d" in told


@pytest.mark.slow
@pytest.mark.parametrize("store", ["sqlite:///s.db", "memory://"])
def test_a_read_sees_one_state(serve: Serve, store: str) -> None:
    """A list of several pages is of one state, whatever is written meanwhile."""
    served = serve(store, "--no-access-log")
    with served.stub() as stub:
        _store_something(stub)
        artifacts = [pb.Artifact(type_id=10, uri="0") for _ in range(2500)]
        ids = stub.PutArtifacts(service.PutArtifactsRequest(artifacts=artifacts)).artifact_ids
        for number in range(1, 6):
            changed = [pb.Artifact(id=id, uri=str(number)) for id in ids]
            writing = stub.PutArtifacts.future(service.PutArtifactsRequest(artifacts=changed))
            reads = 0
            while not writing.done() or not reads:
                found = stub.GetArtifactsByID(service.GetArtifactsByIDRequest(artifact_ids=ids))
                assert len({each.uri for each in found.artifacts}) == 1
                reads += 1
            writing.result()


def test_artifacts_of_one_external_id_are_one(serve: Serve) -> None:
    """Reused by external id, twice in a request or without its type, an artifact is found."""
    with serve("sqlite:///s.db").stub() as stub:
        _store_something(stub)
        stub.PutExecutionType(
            service.PutExecutionTypeRequest(execution_type=pb.ExecutionType(name="E"))
        )
        request = service.PutExecutionRequest()
        request.execution.type_id = 11
        request.options.reuse_artifact_if_already_exist_by_external_id = True
        for uri, event in (("1", pb.Event.OUTPUT), ("2", pb.Event.INPUT)):
            pair = request.artifact_event_pairs.add()
            pair.artifact.CopyFrom(pb.Artifact(type_id=10, external_id="e", uri=uri))
            pair.event.type = event
        assert list(stub.PutExecution(request).artifact_ids) == [2, 2]
        del request.artifact_event_pairs[1]
        request.artifact_event_pairs[0].artifact.CopyFrom(pb.Artifact(external_id="e", uri="3"))
        assert list(stub.PutExecution(request).artifact_ids) == [2]
        (found,) = stub.GetArtifactsByID(
            service.GetArtifactsByIDRequest(artifact_ids=[2])
        ).artifacts
        assert found.uri == "3"
        request.artifact_event_pairs[0].artifact.external_id = "other"
        code, _ = _status(lambda: stub.PutExecution(request))
        assert code is grpc.StatusCode.INVALID_ARGUMENT


def test_an_empty_external_id_takes_none_from_a_type(serve: Serve) -> None:
    """A type put with an empty external id keeps the one that it has."""
    with serve("memory://").stub() as stub:
        for external_id in ("zz", ""):
            stub.PutContextType(
                service.PutContextTypeRequest(
                    context_type=pb.ContextType(name="Z", external_id=external_id)
                )
            )
        found = stub.GetContextType(service.GetContextTypeRequest(type_name="Z")).context_type
    assert found.external_id == "zz"


def test_the_uri_of_old_clients_is_refused(serve: Serve) -> None:
    """Field 1 of GetArtifactsByURI, which is no more, is an error and not an empty answer."""
    with grpc.insecure_channel(serve("memory://").address) as channel:
        ask = channel.unary_unary("/ml_metadata.MetadataStoreService/GetArtifactsByURI")
        code, _ = _status(lambda: ask(b"\x0a\x01x"))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
