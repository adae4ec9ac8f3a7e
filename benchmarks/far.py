"""A way to a server that takes time, as one over a network does."""

from __future__ import annotations

import multiprocessing
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection

__all__ = ["far"]


@contextmanager
def far(port: int, seconds: float) -> Iterator[int]:
    """A port of this machine that leads to another one; each way takes so many seconds."""
    processes = multiprocessing.get_context("spawn")
    ours, theirs = processes.Pipe()
    process = processes.Process(target=_serve, args=(theirs, port, seconds), daemon=True)
    process.start()
    try:
        yield ours.recv()
    finally:
        process.terminate()
        process.join()


def _serve(pipe: Connection, port: int, seconds: float) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    pipe.send(listener.getsockname()[1])
    while True:
        near, _ = listener.accept()
        beyond = socket.create_connection(("127.0.0.1", port))
        for each in (near, beyond):
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for source, target in ((near, beyond), (beyond, near)):
            threading.Thread(target=_carry, args=(source, target, seconds), daemon=True).start()


def _carry(source: socket.socket, target: socket.socket, seconds: float) -> None:
    with suppress(OSError):
        while some := source.recv(1 << 20):
            time.sleep(seconds)
            target.sendall(some)
    for each in (source, target):
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
