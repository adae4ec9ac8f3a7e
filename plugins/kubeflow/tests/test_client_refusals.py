"""What a client says of what is no metadata service, or one that it cannot talk to: one line."""

from __future__ import annotations

import http.server
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

pytest.importorskip("ml_metadata.metadata_store", reason="the judge is not installed here")

import grpc
import trustme
from grpc import StatusCode

from metastore import (
    Batch,
    InvalidError,
    MetastoreError,
    NodeKind,
    NodeQuery,
    NotAStoreError,
    StorageError,
)
from metastore.model import PropertyKind
from metastore_flavor_kubeflow import KubeflowConfig, KubeflowMetadataStore

from .services import engine_service, our_service
from .stand_in import SILENCE, standing_in

CANARY = "canary-of-a-value"


class Place(NamedTuple):
    """A port, and the settings with which it is asked."""

    port: int
    settings: dict[str, Any]


@contextmanager
def _closed(_: Path) -> Iterator[Place]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    yield Place(port, {})


class _Quiet(http.server.BaseHTTPRequestHandler):
    def log_message(self, format: str, *arguments: Any) -> None:
        """Not on stderr."""


@contextmanager
def _web(_: Path) -> Iterator[Place]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Quiet)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield Place(server.server_port, {})
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def _silent(_: Path) -> Iterator[Place]:
    # The kernel takes up the connection; nobody reads from it.
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield Place(server.getsockname()[1], {})


@contextmanager
def _served(handler: Callable[..., Any], credentials: Any = None) -> Iterator[int]:
    """A gRPC server that answers every call by a handler."""

    class Handlers(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpc has no types
        def service(self, details: Any) -> Any:
            return grpc.unary_unary_rpc_method_handler(handler)

    server = grpc.server(ThreadPoolExecutor(4), options=[("grpc.so_reuseport", 0)])
    server.add_generic_rpc_handlers((Handlers(),))
    port = (
        server.add_insecure_port("127.0.0.1:0")
        if credentials is None
        else server.add_secure_port("127.0.0.1:0", credentials)
    )
    server.start()
    try:
        yield port
    finally:
        server.stop(None).wait()


def _aborting(code: StatusCode, details: str) -> Callable[[bytes, Any], bytes]:
    return lambda _, context: context.abort(code, details)


@contextmanager
def _envoy(_: Path) -> Iterator[Place]:
    # What gRPC makes of an answer of HTTP/2 with the status 404.
    text = "Received http2 header with status: 404"
    with _served(_aborting(StatusCode.UNIMPLEMENTED, text)) as port:
        yield Place(port, {})


@contextmanager
def _behind_a_proxy(_: Path) -> Iterator[Place]:
    text = f"upstream connect error or disconnect/reset before headers. {CANARY}"
    with _served(_aborting(StatusCode.UNAVAILABLE, text)) as port:
        yield Place(port, {})


@contextmanager
def _never_answering(_: Path) -> Iterator[Place]:
    with engine_service() as real, standing_in(real) as stand_in:
        stand_in.fail("GetArtifactTypesByID", SILENCE, times=10)
        yield Place(stand_in.port, {})


def _with_tls(ca: str | None, **settings: Any) -> Callable[[Path], Any]:
    @contextmanager
    def place(folder: Path) -> Iterator[Place]:
        right, wrong = trustme.CA(), trustme.CA()
        for name, each in (("right", right), ("wrong", wrong)):
            each.cert_pem.write_to_path(folder / name)
        issued = right.issue_cert("127.0.0.1")
        pair = (issued.private_key_pem.bytes(), issued.cert_chain_pems[0].bytes())
        credentials = grpc.ssl_server_credentials([pair])
        with _served(lambda *_: b"", credentials) as port:
            more = {} if ca is None else {"tls_ca": str(folder / ca)}
            yield Place(port, {**settings, **more})

    return place


@contextmanager
def _without_tls(folder: Path) -> Iterator[Place]:
    trustme.CA().cert_pem.write_to_path(folder / "ca")
    with engine_service() as port:
        yield Place(port, {"tls_ca": str(folder / "ca")})


NO_SERVICE = "is no metadata service"
CASES = {
    "closed port": (_closed, "the connection was refused", "check host and port"),
    "web server": (_web, NO_SERVICE, "the port is that of gRPC"),
    "silent port": (_silent, "does not take up the connection|did not answer", ""),
    "Envoy": (_envoy, NO_SERVICE, "Envoy's, 9090, is for browsers"),
    "proxy": (_behind_a_proxy, "a proxy in front of it does not reach it", "look at the service"),
    "no answer": (_never_answering, "did not answer GetArtifactTypesByID within 3 sec", "timeout"),
    "wrong CA": (_with_tls("wrong"), "a CA that is not trusted here", "tls_ca"),
    "no CA": (_with_tls(None, tls=True), "a CA that is not trusted here", "tls_ca"),
    "wrong name": (
        _with_tls("right", tls_server_name="elsewhere"),
        "its certificate is for another name",
        "tls_server_name",
    ),
    "no TLS asked": (_with_tls(None), "it closed the connection", "if it wants TLS, set tls=true"),
    "no TLS given": (_without_tls, "it answers without TLS", "leave out the settings of TLS"),
}


@pytest.mark.parametrize("case", CASES)
def test_one_line_says_what_is_wrong(case: str, tmp_path: Path) -> None:
    """The command ends with 1, and stderr has one line: what, where, and what to do."""
    make, what, hint = CASES[case]
    with make(tmp_path) as place:
        settings = {"connect_timeout": 3, **place.settings}
        options = "&".join(f"{key}={value}" for key, value in settings.items()).replace("True", "1")
        url = f"kubeflow://127.0.0.1:{place.port}?{options}"
        command = [sys.executable, "-m", "metastore", "run", "list", "--store", url]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith("error: ")
    assert any(each in done.stderr for each in what.split("|")), done.stderr
    assert hint in done.stderr
    assert f"kubeflow://127.0.0.1:{place.port}" in done.stderr
    assert CANARY not in done.stderr


@pytest.mark.parametrize("case", ["wrong CA", "wrong name", "no TLS given", "web server", "Envoy"])
def test_what_will_last_is_not_tried_again(case: str, tmp_path: Path) -> None:
    """An hour of patience is not waited for: the error comes at once."""
    make, _, _ = CASES[case]
    with make(tmp_path) as place, pytest.raises((NotAStoreError, StorageError)):
        _open(place.port, connect_timeout=3600, **place.settings)


def _open(port: int, **settings: Any) -> KubeflowMetadataStore:
    return KubeflowMetadataStore.open(KubeflowConfig(host="127.0.0.1", port=port, **settings))


def test_the_right_ca_is_all_it_takes(tmp_path: Path) -> None:
    """With it the store opens, under the name that the certificate has."""
    with _with_tls("right")(tmp_path) as place, closing(_open(place.port, **place.settings)):
        pass


@pytest.mark.parametrize("code", [code for code in StatusCode if code is not StatusCode.OK])
@pytest.mark.parametrize("service", [engine_service, our_service], ids=["engine", "ours"])
def test_no_error_holds_a_text_of_ml_metadata(code: StatusCode, service: Any) -> None:
    """Neither messages nor tracebacks hold SQL and values that a server says, whatever its status.

    Nor does the error of a write hold the values that were written.
    """
    text = f"INSERT INTO `ArtifactProperty` VALUES ('{CANARY}')"
    with ExitStack() as stack:
        stand_in = stack.enter_context(standing_in(stack.enter_context(service())))
        stand_in.hides_itself = True
        store = stack.enter_context(closing(_open(stand_in.port, retry_timeout=0)))
        types = Batch()
        types.type(NodeKind.ARTIFACT, "T", {"p": PropertyKind.STRING})
        store.write(types)
        for rpc in ("GetArtifacts", "PutArtifacts", "PutLineageSubgraph", "GetArtifactType"):
            stand_in.fail(rpc, code, forward=False, times=1000, details=text)
        batch, step = Batch(), Batch()
        batch.artifact("T", name="a", properties={"p": CANARY}, custom_properties={"q": CANARY})
        step.artifact("T", name="a", properties={"p": CANARY})
        step.event(0, step.execution("T"), 4)  # type: ignore[arg-type]  # as a number
        calls: list[Callable[[], Any]] = [
            lambda: store.read_nodes(NodeQuery(NodeKind.ARTIFACT)),
            lambda: store.write(batch),
            lambda: store.write(step),
        ]
        for call in calls:
            with pytest.raises(MetastoreError) as caught:
                call()
            # Frames show source lines, not what was in them.
            shown = "".join(traceback.format_exception(caught.value))
            assert CANARY not in shown
            assert "INSERT" not in shown


def test_an_answer_that_is_no_message(capfd: pytest.CaptureFixture[str]) -> None:
    """Garbage is an error of ours, and gRPC prints no traceback of it."""
    with (
        _served(lambda *_: b"\xff\xff garbage") as port,
        pytest.raises(StorageError, match="with what is no message of ML Metadata's"),
    ):
        _open(port, connect_timeout=20)
    assert capfd.readouterr() == ("", "")


def test_half_of_a_pair_is_asked_for_in_vain() -> None:
    """Half of a surrogate pair in a question is `InvalidError`: no message can hold it."""
    with engine_service() as port:
        config = KubeflowConfig(host="127.0.0.1", port=port)
        with closing(KubeflowMetadataStore.open(config)) as store:
            for query in (
                NodeQuery(NodeKind.ARTIFACT, uris=["\ud800"]),
                NodeQuery(NodeKind.ARTIFACT, external_ids=["\ud800"]),
            ):
                with pytest.raises(InvalidError, match="surrogate"):
                    store.read_nodes(query)
