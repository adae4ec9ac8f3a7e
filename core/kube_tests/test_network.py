"""API servers that are not there, do not answer, or are none."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from aiohttp import web

from metastore.errors import BusyError, MetastoreError, OpenError, StorageError
from metastore.kube import Cluster, ClusterConfig, PortForward

from .backends import Backend, connected, echo, eventually, greeting, read_exactly, read_line
from .worlds import StandInWorld

PODS = "/api/v1/namespaces/default/pods"
TOKEN = "do-not-show"


def cluster_at(folder: Path, server: str, timeout: float = 20.0, ca: Path | None = None) -> Cluster:
    """A cluster whose API server is said to be there."""
    cluster = {"server": server, **({"certificate-authority": str(ca)} if ca else {})}
    path = folder / "some.config"
    path.write_text(
        json.dumps(
            {
                "current-context": "c",
                "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
                "clusters": [{"name": "c", "cluster": cluster}],
                "users": [{"name": "u", "user": {"token": TOKEN}}],
            }
        )
    )
    return Cluster.load(ClusterConfig(kubeconfig=path, connect_timeout=timeout))


@pytest.fixture
def failing(tmp_path: Path) -> Iterator[Callable[..., MetastoreError]]:
    """The error of a request to a server, which is that of a forward to it as well."""
    made: list[Backend] = []

    def fail(answer: bytes | None, timeout: float = 20.0) -> MetastoreError:
        def serve(connection: socket.socket) -> None:
            connection.recv(65536)
            if answer is None:
                while connection.recv(65536):
                    pass
            else:
                connection.sendall(answer)

        made.append(Backend(serve))
        cluster = cluster_at(tmp_path, f"http://127.0.0.1:{made[-1].port}", timeout)
        with pytest.raises(MetastoreError) as caught:
            cluster.request("GET", PODS)
        with PortForward(cluster, selector="a=b", port=1) as forward:
            assert greeting(forward.port) == b""
            assert type(forward.error) is type(caught.value)
        assert f"127.0.0.1:{made[-1].port}" in str(caught.value)
        assert "\n" not in str(caught.value)
        assert TOKEN not in str(caught.value)
        # Silence is not waited for twice.
        assert answer is not None or len(made[-1].connections) == 2
        return caught.value

    yield fail
    for each in made:
        each.close()


def test_silent(failing: Callable[..., MetastoreError]) -> None:
    """A server that takes the connection and never answers is given up after the timeout."""
    error = failing(None, timeout=0.3)
    assert isinstance(error, StorageError)
    assert "no answer within 0.3 s" in str(error)


@pytest.mark.parametrize("status", ["200 OK", "404 Not Found", "403 Forbidden", "500 Oops"])
def test_web_page(failing: Callable[..., MetastoreError], status: str) -> None:
    """A page of a proxy or a login is no answer of an API server, whatever its status."""
    page = b"<html>please log in</html>"
    head = f"HTTP/1.1 {status}\r\nContent-Type: text/html\r\nContent-Length: {len(page)}\r\n\r\n"
    error = failing(head.encode() + page)
    assert isinstance(error, OpenError)
    assert "<html>" not in str(error)


@pytest.mark.parametrize("answer", [b"[]", b"3", b"{", b"\xff\xfe"])
def test_other_json(failing: Callable[..., MetastoreError], answer: bytes) -> None:
    """An answer that is no JSON object is none of an API server."""
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(answer)}\r\n\r\n".encode()
    assert isinstance(failing(head + answer), OpenError)


def test_no_http(failing: Callable[..., MetastoreError]) -> None:
    """A server of another protocol is told apart from one that cannot be reached."""
    error = failing(b"5.5.5-10.11.6-MariaDB\x00nonsense\r\n\r\n")
    assert isinstance(error, OpenError)


def test_hung_up(failing: Callable[..., MetastoreError]) -> None:
    """A server that closes the connection without an answer is one that may answer later."""
    assert isinstance(failing(b""), StorageError)


def test_refused(tmp_path: Path) -> None:
    """A port that nothing listens on is named."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(StorageError, match=f"{port} .*refused"):
        cluster_at(tmp_path, f"https://127.0.0.1:{port}").request("GET", PODS)


def test_unknown_name(tmp_path: Path) -> None:
    """A name that nobody knows is named."""
    with pytest.raises(StorageError, match=r"nowhere\.invalid.* cannot be resolved"):
        cluster_at(tmp_path, "https://nowhere.invalid:6443").request("GET", PODS)


@pytest.mark.parametrize(
    "server", ["ftp://x", "https://", "x:y:z", "https://[::1", "http://x:99999"]
)
def test_nonsense_server(tmp_path: Path, server: str) -> None:
    """A server whose URL is none is an error of ours."""
    with pytest.raises(MetastoreError):
        cluster_at(tmp_path, server, timeout=1).request("GET", PODS)


def test_user_in_server(tmp_path: Path) -> None:
    """A password in the server's URL is not shown."""
    cluster = cluster_at(tmp_path, "http://me:do-not-show@127.0.0.1:1")
    with pytest.raises(StorageError) as caught:
        cluster.request("GET", PODS)
    assert TOKEN not in f"{caught.value} {cluster!r}"


def test_other_authority(standin: StandInWorld, tmp_path: Path) -> None:
    """A server whose certificate is another's is not trusted, and not talked to."""
    other = standin.server.url.replace("127.0.0.1", "localhost")
    for cluster in (
        cluster_at(tmp_path, standin.server.url),
        cluster_at(tmp_path, other, ca=tmp_path / "ca.crt"),
    ):
        with pytest.raises(OpenError, match="cannot be trusted") as caught:
            cluster.request("GET", PODS)
        assert "certificate-authority" in str(caught.value)
    assert standin.server.asked == []


def test_http_for_https(standin: StandInWorld, tmp_path: Path) -> None:
    """TLS with a server that has none, and the other way round, is an error of ours."""
    plain = echo(b"HTTP/1.1 400 Bad Request\r\n")
    try:
        with pytest.raises(OpenError, match="no TLS"):
            cluster_at(tmp_path, f"https://127.0.0.1:{plain.port}").request("GET", PODS)
    finally:
        plain.close()
    with pytest.raises(MetastoreError):
        cluster_at(tmp_path, standin.server.url.replace("https", "http")).request("GET", PODS)


class Trouble:
    """A stand-in with the service ``db`` and a pod, whose forwards can be made to go wrong."""

    def __init__(self, world: StandInWorld, backend: Backend) -> None:
        self.world = world
        self.namespace = world.make_namespace()
        world.make_service(self.namespace, "db")
        world.make_pod(self.namespace, "db-0", {"app": "db"})
        world.lead(self.namespace, "db-0", backend.port)

    def forward(self, timeout: float = 20.0) -> PortForward:
        """A port-forward to the service."""
        config = self.world.config(namespace=self.namespace, connect_timeout=timeout)
        return PortForward(Cluster.load(config), service="db", port=3306)

    def answers(self, *answers: int | str | None) -> None:
        """How the next WebSockets are answered: a status, ``silence``, or None for as usual."""
        left = list(answers)

        async def before(method: str, path: str) -> web.Response | None:
            answer = left.pop(0) if path.endswith("/portforward") and left else None
            if answer == "silence":
                await asyncio.sleep(60)
            return None if answer is None else web.Response(status=int(answer))

        self.world.server.before = before

    @property
    def tried(self) -> int:
        """How many WebSockets were asked for."""
        return sum(path.endswith("/portforward") for _, path in self.world.server.asked)


@pytest.fixture
def trouble(standin: StandInWorld, backend: Backend) -> Trouble:
    """A stand-in that can be made to fail."""
    return Trouble(standin, backend)


def test_silent_websocket(trouble: Trouble) -> None:
    """A server that answers requests, but not a WebSocket, is given up after the timeout."""
    trouble.answers("silence")
    with trouble.forward(timeout=0.5) as forward:
        with pytest.raises(StorageError, match=r"no answer within 0\.5 s"):
            forward.check()
        forward.check()


@pytest.mark.parametrize("status", [404, 500, 502, 503, 429])
def test_tried_again(trouble: Trouble, status: int) -> None:
    """A pod that went meanwhile, and a server in trouble, are tried again, a few times."""
    trouble.answers(status, status)
    with trouble.forward() as forward:
        assert greeting(forward.port) == b"hello"
        assert forward.error is None
        assert trouble.tried == 3
        trouble.answers(*[status] * 9)
        assert greeting(forward.port) == b""
        assert trouble.tried == 6
        kind = BusyError if status in (429, 503) else MetastoreError
        assert isinstance(forward.error, kind)


@pytest.mark.parametrize("status", [301, 200, 400])
def test_no_websocket(trouble: Trouble, status: int) -> None:
    """A proxy that does not let WebSockets through is an error, and no redirect is followed."""
    trouble.answers(status)
    with trouble.forward() as forward:
        assert greeting(forward.port) == b""
        assert isinstance(forward.error, MetastoreError)
        assert trouble.tried == 1
        assert greeting(forward.port) == b"hello"


def test_abrupt_cut(trouble: Trouble) -> None:
    """A connection to the API server that breaks ends that of the client, with an error."""
    with trouble.forward() as forward:
        with connected(forward.port) as client:
            assert read_line(client) == b"hello"
            trouble.world.server.cut(abruptly=True)
            assert read_exactly(client, 1) == b""
        eventually(lambda: isinstance(forward.error, StorageError))
        assert greeting(forward.port) == b"hello"
        assert forward.error is None


def test_closed_while_connecting(trouble: Trouble) -> None:
    """Closing does not wait for a server that does not answer."""
    trouble.answers("silence")
    with trouble.forward(timeout=2) as forward, connected(forward.port) as client:
        eventually(lambda: trouble.tried == 1)
        forward.close()
        client.settimeout(60)
        assert client.recv(1) == b""


def test_other_server(trouble: Trouble, tmp_path: Path) -> None:
    """A cluster that was made anew elsewhere is found by who has the old one's address."""
    path = trouble.world.kubeconfig()
    good = path.read_text()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        gone = listener.getsockname()[1]
    path.write_text(good.replace(str(trouble.world.server.port), str(gone)))
    config = ClusterConfig(kubeconfig=path, namespace=trouble.namespace)
    with PortForward(Cluster.load(config), service="db", port=3306) as forward:
        assert greeting(forward.port) == b""
        assert "refused" in str(forward.error)
        path.write_text(good)
        assert greeting(forward.port) == b"hello"


def test_proxy(trouble: Trouble) -> None:
    """Requests and WebSockets go through the proxy that the kubeconfig names."""
    asked: list[bytes] = []

    def serve(client: socket.socket) -> None:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += client.recv(1)
        asked.append(head.split(b"\r\n")[0])
        with socket.create_connection(("127.0.0.1", trouble.world.server.port)) as server:
            client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            back = threading.Thread(target=_copy, args=(server, client))
            back.start()
            _copy(client, server)
            back.join()

    proxy = Backend(serve)
    try:
        path = trouble.world.kubeconfig()
        config = json.loads(path.read_text())
        config["clusters"][0]["cluster"] |= {
            "server": "https://only.the.proxy.knows:6443",
            "tls-server-name": "127.0.0.1",
            "proxy-url": f"http://127.0.0.1:{proxy.port}",
        }
        path.write_text(json.dumps(config))
        cluster = Cluster.load(trouble.world.config(path, namespace=trouble.namespace))
        with PortForward(cluster, service="db", port=3306) as forward:
            forward.check()
            assert greeting(forward.port) == b"hello"
        assert len(asked) >= 3
        assert {each.split()[1] for each in asked} == {b"only.the.proxy.knows:6443"}
    finally:
        proxy.close()


def _copy(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_RDWR)
