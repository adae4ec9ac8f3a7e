"""What answers behind a pod's port, and how a test talks to it."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator

PATIENCE = 60.0
"""Seconds after which a test gives up; none that passes takes nearly as long."""


class Backend:
    """A TCP server on a free port of this machine, one thread a connection."""

    def __init__(self, serve: Callable[[socket.socket], None], *, buffer: int = 0) -> None:
        self.connections: list[socket.socket] = []
        self._serve = serve
        self._listener = socket.socket()
        if buffer:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(128)
        self.port: int = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, name="backend")]
        self._threads[0].start()

    def close(self) -> None:
        """End it and its connections."""
        for each in [self._listener, *self.connections]:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in list(self._threads):
            thread.join(PATIENCE)
        for each in [self._listener, *self.connections]:
            each.close()

    def _accept(self) -> None:
        while True:
            try:
                connection = self._listener.accept()[0]
            except OSError:
                return
            self.connections.append(connection)
            thread = threading.Thread(target=self._one, args=(connection,), name="backend-one")
            self._threads.append(thread)
            thread.start()

    def _one(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            self._serve(connection)
            connection.shutdown(socket.SHUT_RDWR)


def echo(name: bytes = b"hello") -> Backend:
    """Speaks first, a name and a line end, then gives back what it gets."""

    def serve(connection: socket.socket) -> None:
        connection.sendall(name + b"\n")
        while data := connection.recv(65536):
            connection.sendall(data)

    return Backend(serve)


@contextlib.contextmanager
def connected(port: int) -> Iterator[socket.socket]:
    """A client's connection to a port of this machine."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as client:
        yield client


def read_line(client: socket.socket) -> bytes:
    """Up to a line end, or the end."""
    found = b""
    while not found.endswith(b"\n"):
        try:
            piece = client.recv(1)
        except ConnectionError:
            break
        if not piece:
            break
        found += piece
    return found.rstrip(b"\n")


def read_exactly(client: socket.socket, size: int) -> bytes:
    """So many bytes, or fewer where it ends before."""
    found = bytearray()
    while len(found) < size:
        piece = client.recv(min(1 << 20, size - len(found)))
        if not piece:
            break
        found += piece
    return bytes(found)


def greeting(port: int) -> bytes:
    """What answers at a port of this machine; empty where that is nothing."""
    with connected(port) as client:
        return read_line(client)


def eventually(holds: Callable[[], bool]) -> None:
    """Wait for what others do in their own time."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.02)
