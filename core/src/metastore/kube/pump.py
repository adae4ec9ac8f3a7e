"""Carrying bytes between a client's socket and a tunnel, in one thread, within bounded memory."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable

from metastore.kube.tunnel import CHUNK, LIMIT, Tunnel

__all__ = ["pump"]

PING_AFTER = 30.0
"""Seconds of silence after which a ping is sent."""
LINGER = 10.0
"""Seconds without progress after which a client's last bytes are given up, once it has hung up."""
READ, WRITE, HUNG_UP, GONE = 1, 2, 4, 8


def pump(client: socket.socket, tunnel: Tunnel, is_closing: Callable[[], bool]) -> None:
    """Carry bytes until one side ends; both sockets stay open for the caller to close.

    A side that does not read is not read for, either: what waits for it is about `LIMIT` at most.
    A client that ends its side ends the connection, because the protocol has no word for half of
    it; what it sent before is carried first.
    """
    client.setblocking(False)
    to_client = bytearray()
    done = hung_up = False
    progress = time.monotonic()
    while not is_closing():
        if tunnel.ended and (done or not to_client):
            return
        if done and not tunnel.unsent:
            # The answer to the goodbye is waited for: closing before would drop, on its way, what
            # was sent, as soon as anything had come in that nobody read.
            tunnel.say_goodbye()
        if (done or hung_up) and time.monotonic() - progress > LINGER:
            return
        up = not done and not tunnel.ended and tunnel.unsent < LIMIT
        down = not tunnel.ended and (done or len(to_client) < LIMIT)
        waits: dict[int, int] = {}
        if not done:
            waits[client.fileno()] = (
                READ * up | WRITE * bool(to_client) | HUNG_UP * (not up and not hung_up)
            )
        if not tunnel.ended:
            blocked = tunnel.wants_read
            waits[tunnel.fileno()] = READ * (down or blocked) | WRITE * (
                tunnel.unsent > 0 and not blocked
            )
        pending = down and tunnel.pending
        seen = _wait(waits, 0.0 if pending else 1.0 if done or hung_up else PING_AFTER)
        if not (seen or pending or done or hung_up or tunnel.unsent or tunnel.ended):
            tunnel.ping()
        client_seen = seen.get(client.fileno(), 0)
        if up and client_seen:
            data = _read(client)
            done = data == b""
            if data:
                tunnel.put(data)
                progress = time.monotonic()
        elif client_seen & GONE:
            return
        elif client_seen & HUNG_UP:
            # Behind bytes that wait for room: those are still carried, for a while.
            hung_up, progress = True, time.monotonic()
        if tunnel.unsent and not tunnel.ended and tunnel.flush():
            progress = time.monotonic()
        if down and not tunnel.ended and (pending or seen.get(tunnel.fileno(), 0)):
            arrived = tunnel.receive()
            if not done:
                to_client += arrived
        if to_client and not done:
            before = len(to_client)
            if not _write(client, to_client):
                return
            if len(to_client) < before:
                progress = time.monotonic()


def _read(client: socket.socket) -> bytes | None:
    """What the client sent; empty when it ended, None when that is nothing yet."""
    try:
        return client.recv(CHUNK)
    except (BlockingIOError, InterruptedError):
        return None
    except OSError:
        return b""


def _write(client: socket.socket, waiting: bytearray) -> bool:
    """Hand the client what it takes now; False when it is gone."""
    try:
        while waiting:
            sent = client.send(memoryview(waiting)[:CHUNK])
            del waiting[:sent]
    except (BlockingIOError, InterruptedError):
        pass
    except OSError:
        return False
    return True


def _wait(waits: dict[int, int], timeout: float) -> dict[int, int]:
    """What can be done, by descriptor, after at most so many seconds.

    poll, where there is one: select knows no descriptor above 1023.
    """
    if not hasattr(select, "poll"):
        return _select(waits, timeout)
    poll = select.poll()
    hang_up = getattr(select, "POLLRDHUP", 0)
    for number, wanted in waits.items():
        poll.register(
            number,
            select.POLLIN * bool(wanted & READ)
            | select.POLLOUT * bool(wanted & WRITE)
            | hang_up * bool(wanted & HUNG_UP),
        )
    return {
        number: READ * bool(events & select.POLLIN)
        | WRITE * bool(events & select.POLLOUT)
        | HUNG_UP * bool(events & hang_up)
        | GONE * bool(events & (select.POLLHUP | select.POLLERR | select.POLLNVAL))
        for number, events in poll.poll(timeout * 1000)
    }


def _select(waits: dict[int, int], timeout: float) -> dict[int, int]:
    reading = [number for number, wanted in waits.items() if wanted & READ]
    writing = [number for number, wanted in waits.items() if wanted & WRITE]
    if not reading and not writing:
        time.sleep(timeout)
        return {}
    readable, writable, _ = select.select(reading, writing, [], timeout)
    return {
        number: READ * (number in readable) | WRITE * (number in writable)
        for number in {*readable, *writable}
    }
