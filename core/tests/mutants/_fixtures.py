"""Fixtures of authors done wrong: what `make_store` gives, and what its stores leave behind."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable

from metastore.base import BaseMetadataStore, OpenMode
from metastore.memory import MemoryMetadataStore, Tables

from ._mutant import Flavor, mutant


@mutant("test_two_stores_have_nothing_in_common")
class GivesOneStore(Flavor):
    """Makes one store for all calls of a test."""

    def make(self) -> BaseMetadataStore:
        return next(iter(self._tables), None) or super().make()


@mutant("test_two_stores_have_nothing_in_common")
class OpensOnePlace(Flavor):
    """Opens the same data at each call of a test."""

    def make(self) -> BaseMetadataStore:
        for tables in self._tables.values():
            store = self._mutant.store(tables)
            self._tables[store] = tables
            return store
        return super().make()


_kept = Tables()


# Nothing but tests of closed stores can pass then.
@mutant("test_no_test_sees_what_another_wrote", green=0)
class OpensOnePlaceForAllTests(Flavor):
    """Opens the same data in every test: its scope is the session."""

    def make(self) -> BaseMetadataStore:
        store = MemoryMetadataStore(_kept)
        self._tables[store] = _kept
        return store


@mutant("test_the_store_can_be_written", green=0)
class GivesAClosedStore(Flavor):
    """Returns a store from inside a block that closes it."""

    def make(self) -> BaseMetadataStore:
        store = super().make()
        store.close()
        return store


@mutant("test_the_store_can_be_written", green=0)
class GivesAStoreForReading(Flavor):
    """Opens stores for reading."""

    def make(self) -> BaseMetadataStore:
        tables = Tables()
        store = MemoryMetadataStore(tables, mode="r")
        self._tables[store] = tables
        return store


class _Leaving(MemoryMetadataStore):
    """Leaves something behind when it is closed."""

    def __init__(self, tables: Tables | None = None, *, mode: OpenMode = "rw") -> None:
        super().__init__(tables, mode=mode)
        self.remove = self.leave()

    def leave(self) -> Callable[[], object]:
        """Make something; gives what removes it, so that other mutants do not suffer."""
        raise NotImplementedError


class _Left(Flavor):
    """Clears away what stores of a test have left."""

    def end(self) -> None:
        for store in self._tables:
            if isinstance(store, _Leaving):
                store.remove()


@mutant("test_closed_stores_leave_nothing_open", flavor=_Left)
class LeavesFilesOpen(_Leaving):
    """Opens a file for a lock, and does not close it."""

    def leave(self) -> Callable[[], object]:
        return open(os.devnull).close


@mutant("test_closed_stores_leave_nothing_open", flavor=_Left)
class LeavesSocketsOpen(_Leaving):
    """Keeps its connection when it is closed, for a pool that nobody empties."""

    def leave(self) -> Callable[[], object]:
        return socket.socket().close


@mutant("test_closed_stores_leave_nothing_open", flavor=_Left)
class LeavesThreads(_Leaving):
    """Has a thread that keeps its connection alive, and does not tell it that it is closed."""

    def leave(self) -> Callable[[], object]:
        gone = threading.Event()
        threading.Thread(target=gone.wait, daemon=True).start()
        return gone.set
