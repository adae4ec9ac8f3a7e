"""The port-forward: what it carries, and what it outlives."""

from __future__ import annotations

import contextlib
import os
import resource
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from metastore.errors import (
    ClosedError,
    InvalidError,
    OpenError,
    StorageError,
    StoreNotFoundError,
)
from metastore.kube import Cluster, PortForward

from .backends import (
    PATIENCE,
    Backend,
    connected,
    echo,
    eventually,
    greeting,
    read_exactly,
    read_line,
)
from .worlds import World

Forward = Callable[..., PortForward]
MIB = 1024 * 1024


@pytest.mark.parametrize("port", [3306, "sql"])
def test_both_directions(pod: str, forward: Forward, port: int | str) -> None:
    """What either side sends arrives as it was sent, by a port's number or name."""
    opened = forward(port=port)
    opened.check()
    sent = os.urandom(3 * MIB)
    with connected(opened.port) as client:
        assert read_line(client) == b"hello"
        writer = threading.Thread(target=client.sendall, args=(sent,))
        writer.start()
        assert read_exactly(client, len(sent)) == sent
        writer.join()
    assert opened.error is None


def test_selector(pod: str, forward: Forward) -> None:
    """Without a service the pods are those of a selector, and the port is theirs."""
    opened = forward(service=None, selector="app=db", port=13306)
    assert greeting(opened.port) == b"hello"


def test_fifty_at_once(pod: str, forward: Forward) -> None:
    """Fifty connections at once each have an answer of their own."""
    opened = forward()
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connected(opened.port)) for _ in range(50)]
        for number, client in enumerate(clients):
            client.sendall(b"%d\n" % number)
        answers = [(read_line(client), read_line(client)) for client in clients]
    assert answers == [(b"hello", b"%d" % number) for number in range(50)]
    assert opened.error is None
    # Nothing is kept of a connection that ended.
    listener = opened._listener
    assert listener is not None
    eventually(lambda: not listener._clients and not listener._tunnels)


def test_replaced_pod(world: World, namespace: str, pod: str, forward: Forward) -> None:
    """A pod that is replaced in the middle ends its connections; the same port leads to the new."""
    opened = forward()
    other = echo(b"the other")
    try:
        with connected(opened.port) as client:
            assert read_line(client) == b"hello"
            world.make_pod(namespace, "db-1", {"app": "db"})
            world.lead(namespace, "db-1", other.port)
            world.delete_pod(namespace, pod)
            assert read_exactly(client, 1) == b""
        eventually(lambda: greeting(opened.port) == b"the other")
    finally:
        other.close()


def test_cut(world: World, pod: str, forward: Forward) -> None:
    """A network that cuts every connection leaves the port as it was."""
    opened = forward()
    with connected(opened.port) as client:
        assert read_line(client) == b"hello"
        world.cut()
        assert read_exactly(client, 1) == b""
    assert greeting(opened.port) == b"hello"
    assert opened.error is None


def test_terminating_pod(
    world: World, namespace: str, pod: str, cluster: Cluster, forward: Forward
) -> None:
    """Of two pods that are Ready, the one that is going to go gets no connection."""
    other = echo(b"the other")
    try:
        world.make_pod(namespace, "db-1", {"app": "db"})
        world.lead(namespace, "db-1", other.port)
        world.delete_pod(namespace, pod, terminating=True)
        opened = forward()
        assert {greeting(opened.port) for _ in range(8)} == {b"the other"}
        assert cluster.ready_pod(service="db") == "db-1"
    finally:
        other.close()


def test_refusing_backend(
    world: World, namespace: str, pod: str, backend: Backend, forward: Forward
) -> None:
    """Where nothing listens in the pod the connection ends, and the node's words are the error."""
    opened = forward()
    world.lead(namespace, pod, "refuse")
    eventually(lambda: greeting(opened.port) == b"")
    assert isinstance(opened.error, StorageError)
    assert "13306" in str(opened.error)
    assert "connection refused" in str(opened.error)
    with pytest.raises(StorageError, match="connection refused"):
        opened.check()
    world.lead(namespace, pod, backend.port)
    eventually(lambda: greeting(opened.port) == b"hello")
    assert opened.error is None


def test_silent_backend(world: World, namespace: str, pod: str, forward: Forward) -> None:
    """A server that waits for its client to speak passes the check."""
    quiet = Backend(lambda connection: connection.sendall(connection.recv(100)))
    try:
        world.lead(namespace, pod, quiet.port)
        opened = forward()
        eventually(lambda: _answered(opened.port))
        opened.check(patience=0.1)
    finally:
        quiet.close()


def _answered(port: int) -> bool:
    with connected(port) as client:
        client.sendall(b"\n")
        return client.recv(1) == b"\n"


def test_pod_not_ready(world: World, namespace: str, forward: Forward) -> None:
    """While no pod is ready the port is there, and the error has the pod's own reason."""
    world.make_pod(namespace, "db-0", {"app": "db"})
    world.set_ready(namespace, "db-0", False, "ImagePullBackOff")
    opened = forward()
    with pytest.raises(StorageError, match="ImagePullBackOff"):
        opened.check()
    assert greeting(opened.port) == b""
    assert "ImagePullBackOff" in str(opened.error)


def test_no_service(cluster: Cluster, forward: Forward) -> None:
    """A service that is not there is no reason to think that the cluster cannot be reached."""
    with pytest.raises(StoreNotFoundError, match="no service 'nope'") as caught:
        forward(service="nope").check()
    assert caught.value.offender is not None
    assert caught.value.offender.name == "nope"


def test_unknown_port(pod: str, forward: Forward) -> None:
    """A port that the service does not have is refused, with those that it has."""
    with pytest.raises(InvalidError, match=r"no port 80.*3306 \(sql\)"):
        forward(port=80).check()


def test_port_taken(cluster: Cluster, forward: Forward) -> None:
    """A local port that somebody else has is an error of one line that names it."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        with pytest.raises(OpenError, match=str(taken)) as caught:
            forward(local_port=taken)
    assert "\n" not in str(caught.value)


def test_fixed_port(pod: str, forward: Forward) -> None:
    """A local port that was asked for is the one, and is free again after closing."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        wanted = other.getsockname()[1]
    for _ in range(2):
        with forward(local_port=wanted) as opened:
            assert opened.port == wanted
            assert greeting(wanted) == b"hello"


def test_use_after_close(pod: str, forward: Forward) -> None:
    """Closing, even twice, ends connections and port; whoever asks for it afterwards is told so."""
    opened = forward()
    with connected(opened.port) as client:
        assert read_line(client) == b"hello"
        # Sooner than anything else would wake its thread.
        client.settimeout(20)
        opened.close()
        opened.close()
        assert read_exactly(client, 1) == b""
    with pytest.raises(ClosedError):
        _ = opened.port


def test_forgotten(pod: str, cluster: Cluster) -> None:
    """A port-forward that nobody holds any more ends by itself."""
    opened = PortForward(cluster, service="db", port=3306)
    port = opened.port
    del opened

    def is_free() -> bool:
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return True
        return False

    eventually(is_free)


def test_unread_bytes(pod: str, backend: Backend, forward: Forward) -> None:
    """A client that leaves with bytes unread ends its connection to the server, and no thread."""
    opened = forward()
    for _ in range(5):
        with connected(opened.port) as client:
            assert read_line(client) == b"hello"
            client.sendall(b"x" * MIB)
            assert client.recv(1) == b"x"
    assert greeting(opened.port) == b"hello"


def test_last_words(world: World, namespace: str, pod: str, forward: Forward) -> None:
    """What a client sends before it goes arrives."""
    heard: list[bytes] = []
    done = threading.Event()

    def serve(connection: socket.socket) -> None:
        with connection.makefile("rb") as stream:
            heard.append(stream.read())
        done.set()

    listener = Backend(serve)
    try:
        world.lead(namespace, pod, listener.port)
        opened = forward()
        eventually(lambda: _delivered(opened.port, done))
        assert heard[-1] == b"goodbye" * 10000
    finally:
        listener.close()


def _delivered(port: int, done: threading.Event) -> bool:
    with contextlib.suppress(ConnectionError), connected(port) as client:
        client.sendall(b"goodbye" * 10000)
    return done.wait(1)


@pytest.mark.slow
def test_back_pressure_up(world: World, namespace: str, pod: str, forward: Forward) -> None:
    """Of 64 MiB for a server that does not read, only what the systems' buffers hold is taken."""
    release = threading.Event()

    def serve(connection: socket.socket) -> None:
        connection.sendall(b"deaf\n")
        release.wait(PATIENCE)

    deaf = Backend(serve, buffer=MIB)
    try:
        world.lead(namespace, pod, deaf.port)
        opened = forward()
        eventually(lambda: greeting(opened.port) == b"deaf")
        with connected(opened.port) as client:
            assert read_line(client) == b"deaf"
            client.settimeout(2)
            assert _push(client, 64 * MIB) < 40 * MIB
    finally:
        release.set()
        deaf.close()


@pytest.mark.slow
def test_back_pressure_down(world: World, namespace: str, pod: str, forward: Forward) -> None:
    """Of 64 MiB for a client that does not read, only what the buffers hold is taken; then all."""
    taken: list[int] = []
    stalled = threading.Event()

    def serve(connection: socket.socket) -> None:
        connection.sendall(b"loud\n")
        if connection.recv(1) != b"!":
            return
        connection.settimeout(2)
        taken.append(_push(connection, 64 * MIB))
        stalled.set()
        connection.settimeout(PATIENCE)
        connection.sendall(bytes(64 * MIB - taken[-1]))

    loud = Backend(serve, buffer=MIB)
    try:
        world.lead(namespace, pod, loud.port)
        opened = forward()
        eventually(lambda: greeting(opened.port) == b"loud")
        with connected(opened.port) as client:
            assert read_line(client) == b"loud"
            client.sendall(b"!")
            assert stalled.wait(PATIENCE)
            assert taken[-1] < 40 * MIB
            assert len(read_exactly(client, 64 * MIB)) == 64 * MIB
    finally:
        loud.close()


def _push(sock: socket.socket, size: int) -> int:
    """Send until nothing is taken for as long as the socket waits; how many bytes were."""
    taken = 0
    block = bytes(65536)
    while taken < size:
        try:
            taken += sock.send(block)
        except (TimeoutError, ConnectionError):
            break
    return taken


@pytest.fixture
def many_files() -> Iterator[None]:
    """Descriptors beyond what select knows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2048 if hard == resource.RLIM_INFINITY else min(hard, 2048)
    if wanted < 1200:
        pytest.skip("the system does not let a process have that many files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    with open(os.devnull, "rb") as null:
        files = [os.dup(null.fileno()) for _ in range(1050)]
        yield
        for each in files:
            os.close(each)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_many_files(pod: str, many_files: None, forward: Forward) -> None:
    """A process with more than a thousand files open forwards as any other."""
    opened = forward()
    opened.check()
    assert greeting(opened.port) == b"hello"


def test_no_secret_is_seen(world: World, pod: str, cluster: Cluster, forward: Forward) -> None:
    """Neither the cluster nor the port-forward shows the token."""
    opened = forward()
    for each in (cluster, opened):
        assert world.token not in f"{each!r} {each}"
    assert world.token not in cluster.location
