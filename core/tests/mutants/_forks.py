"""Section 10.6 of the contract done wrong: processes that are forked."""

from __future__ import annotations

import os
import select
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager

from metastore.base import OpenMode
from metastore.errors import StorageError
from metastore.memory import MemoryMetadataStore, Tables

from ._mutant import mutant


class _Forked(MemoryMetadataStore):
    """Notices that it is in a forked child."""

    def __init__(self, tables: Tables | None = None, *, mode: OpenMode = "rw") -> None:
        super().__init__(tables, mode=mode)
        self._opened_in = os.getpid()

    def asked(self) -> None:
        """What happens before each call."""

    def _own_lock(self) -> AbstractContextManager[object]:
        self.asked()
        return super()._own_lock()


@mutant("test_a_forked_child_reads")
class WaitsForItsThread(_Forked):
    """Works in a thread of its own, which a forked child does not have, and waits for it."""

    def __init__(self, tables: Tables | None = None, *, mode: OpenMode = "rw") -> None:
        super().__init__(tables, mode=mode)
        self._worker = ThreadPoolExecutor(1)

    def asked(self) -> None:
        if self._tables is not None:
            self._worker.submit(os.getpid).result()

    def release(self) -> None:
        self._worker.shutdown()


@mutant("test_a_forked_child_reads")
class ForkedIsARuntimeError(_Forked):
    """Lets out what its driver raises in a forked child."""

    def asked(self) -> None:
        if os.getpid() != self._opened_in:
            raise RuntimeError("the connection was made in another process")


@mutant("test_a_forked_child_writes")
class ForkedIsAStorageError(_Forked):
    """Says in a forked child that its backend failed, and not that it was forked."""

    def asked(self) -> None:
        if os.getpid() != self._opened_in:
            raise StorageError("the server closed the connection")


class _Connected(_Forked):
    """Has a connection, which parent and child share."""

    def __init__(self, tables: Tables | None = None, *, mode: OpenMode = "rw") -> None:
        super().__init__(tables, mode=mode)
        self._connection, self._server = socket.socketpair()

    def is_cut(self) -> bool:
        """Whether the other end has hung up."""
        return self._tables is not None and bool(select.select([self._connection], [], [], 0)[0])

    def release(self) -> None:
        self._connection.close()
        self._server.close()


@mutant("test_a_forked_child_reads")
class ClosesItsParents(_Connected):
    """Ends its parent's connection in a forked child, before it makes one of its own."""

    def asked(self) -> None:
        if os.getpid() != self._opened_in:
            self._connection.shutdown(socket.SHUT_RDWR)
            self._opened_in = os.getpid()
        elif self.is_cut():
            raise StorageError("the server closed the connection")


@mutant("test_a_forked_child_writes")
class MixesUpTheConnection(_Connected):
    """Writes over its parent's connection in a forked child, so that its parent gets the answer."""

    def commit(self, rows: object) -> None:
        if os.getpid() != self._opened_in:
            self._server.send(b"committed")
        elif self.is_cut():
            raise StorageError("lost synchronization with the server")
