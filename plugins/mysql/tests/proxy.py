"""A proxy between clients and a server that cuts connections in the middle of replies."""

from __future__ import annotations

import random
import select
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

__all__ = ["Proxy", "cutting"]

_QUERY = 3
"""The command of a packet that holds a statement (COM_QUERY of MySQL's protocol)."""
_AT_ONCE = struct.pack("ii", 1, 0)
"""SO_LINGER: what was not sent yet is dropped, and the other side gets a reset."""


class Proxy:
    """What was cut, and whether anything is cut now."""

    def __init__(self, port: int, chance: random.Random) -> None:
        self._server = port
        self._chance = chance
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.cuts = 0
        self.cuts_in_transactions = 0
        self.cuts_of_commits = 0
        self.is_cutting = True
        self._changed = threading.Condition()
        self._ended = False

    def serve(self) -> None:
        """Accept clients until the listener is closed."""
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._pass_on, args=(client,), daemon=True).start()

    def end(self) -> None:
        """Accept nobody any more."""
        self._ended = True
        # Wakes up the thread in accept().
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def wait_for(self, cuts: int, patience: float) -> None:
        """Wait until so many connections were cut."""
        with self._changed:
            there = self._changed.wait_for(lambda: self.cuts >= cuts, patience)
        assert there, f"only {self.cuts} connections were cut"

    def _pass_on(self, client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", self._server)) as server:
            in_transaction = committing = False
            while not self._ended:
                readable, _, _ = select.select([client, server], [], [], 1.0)
                for side in readable:
                    try:
                        data = side.recv(65536)
                    except OSError:
                        data = b""
                    if not data:
                        return
                    if side is client:
                        statement = data[5:30].upper() if data[4:5] == bytes([_QUERY]) else b""
                        if statement.startswith(b"INSERT"):
                            in_transaction = True
                        committing = statement.startswith(b"COMMIT")
                        server.sendall(data)
                        continue
                    if self._wants_to_cut(in_transaction, committing):
                        # A part of the reply, or nothing of it.
                        with suppress(OSError):
                            client.sendall(data[: self._chance.randrange(len(data))])
                        for each in (client, server):
                            each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
                        return
                    if committing:
                        in_transaction = committing = False
                    try:
                        client.sendall(data)
                    except OSError:
                        return

    def _wants_to_cut(self, in_transaction: bool, committing: bool) -> bool:
        # More often inside transactions, and most often where it is the hardest.
        chance = 0.15 if committing else 0.04 if in_transaction else 0.03
        if not self.is_cutting or self._chance.random() > chance:
            return False
        with self._changed:
            self.cuts += 1
            self.cuts_in_transactions += in_transaction
            self.cuts_of_commits += committing
            self._changed.notify_all()
        return True


@contextmanager
def cutting(port: int, seed: int) -> Iterator[Proxy]:
    """A proxy in front of a server, while the block lasts."""
    proxy = Proxy(port, random.Random(seed))
    thread = threading.Thread(target=proxy.serve, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.end()
        thread.join(10)
