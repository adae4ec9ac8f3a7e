"""The store behind the pages: one that is open, or one that is opened when it is needed."""

from __future__ import annotations

import threading
from collections.abc import Callable

from metastore.store import Store

__all__ = ["Source"]


class Source:
    """Gives the store to the threads that answer requests, which share it.

    What cannot be opened is tried again at the next request: a database may come up after us.
    """

    def __init__(self, store: Store | Callable[[], Store], name: str | None) -> None:
        self._lock = threading.Lock()
        self._open = None if isinstance(store, Store) else store
        self._store = store if isinstance(store, Store) else None
        self.name = name
        """What the store is called on a command line; None for its location."""

    def store(self) -> Store:
        """The store; raises what `connect` does."""
        with self._lock:
            if self._store is None:
                assert self._open is not None
                self._store = self._open()
            return self._store

    @property
    def location(self) -> str | None:
        """Where the store is, where it is open."""
        return None if self._store is None else self._store.location

    @property
    def notice(self) -> str | None:
        """What there is to know about how the store is read."""
        return None if self._store is None else self._store.backend.notice

    def close(self) -> None:
        """Close what was opened here; a store that was given is its owner's."""
        with self._lock:
            if self._open is not None and self._store is not None:
                self._store.close()
                self._store = None
