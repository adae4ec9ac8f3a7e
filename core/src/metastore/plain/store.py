"""`PlainMetadataStore`: the contract for a backend that only has to keep rows."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import ClassVar

from metastore.base import BaseMetadataStore, OpenMode, Transaction
from metastore.capabilities import Capabilities
from metastore.errors import ClosedError, InvalidError, ReadOnlyError
from metastore.model import AnyNode, Event, Link, Type
from metastore.plain.tables import Row, Tables
from metastore.query import EventQuery, LinkQuery, NodeQuery, TypeQuery

__all__ = ["PlainMetadataStore"]


class PlainMetadataStore(BaseMetadataStore):
    """A store whose rows fit into memory, and are kept somewhere else as well.

    `Tables` answers and changes; a flavor derives from this class, sets `FLAVOR`, writes `open`,
    and says how rows get there and back::

        exclusive()     keep other processes from writing while this one does
        refresh()       bring in what others wrote since: `Tables.load`
        commit(rows)    keep new and changed rows, whole or not at all

    All three are called by one thread at a time.  A backend without a lock leaves `exclusive` out;
    its `commit` then notices that somebody else was faster, and raises `BusyError`.
    `metastore.plain.record_of` and `row_of` turn rows into JSON and back.  Every process holds all
    rows: right for some hundred thousand of them, not for many millions.
    """

    CAPABILITIES: ClassVar[Capabilities] = Capabilities(snapshot=True)

    def __init__(
        self, tables: Tables | None = None, *, location: str, mode: OpenMode = "rw"
    ) -> None:
        self._tables: Tables | None = Tables() if tables is None else tables
        self._location = location
        self._mode = mode
        self._lock = threading.RLock()
        self._held = 0
        """Blocks that are open in the thread that has the lock: nothing is refreshed in them."""
        self._process = os.getpid()

    def __repr__(self) -> str:
        closed = " closed" if self._tables is None else ""
        return f"<{type(self).__name__} {self._location}{closed}>"

    # What a flavor says.

    def exclusive(self) -> AbstractContextManager[object]:
        """Keep other processes from writing until the block ends; by default, nothing does.

        Raises
        ------
        BusyError
            Others kept the store locked for too long.
        """
        return nullcontext()

    def refresh(self, tables: Tables) -> None:
        """Bring `tables` up to date; before every read, and at the beginning of a transaction."""

    def commit(self, rows: Sequence[Row]) -> None:
        """Keep these rows, new or changed, whole or not at all; what it raises undoes the batch.

        When it returns they are durable.  It is not called where there are none.

        Raises
        ------
        BusyError
            Somebody else wrote since the last `refresh`; nothing was kept.
        StorageError
            They cannot be kept; nothing was.
        OutcomeUnknownError
            They may have been kept.
        """

    def release(self) -> None:
        """Let go of files and connections; called once, when the store is closed."""

    # What core does with it.

    @property
    def location(self) -> str:
        """Where the store is: a URL without secrets."""
        return self._location

    def close(self) -> None:
        """Forget the rows, and let go of what holds them."""
        with self._own_lock():
            if self._tables is not None:
                self._tables = None
                self.release()

    def _own_lock(self) -> AbstractContextManager[object]:
        if self._process != os.getpid():
            # A forked child: the lock may be held by a thread that is not here, and what that
            # thread has not committed is not stored.
            self._process, self._held = os.getpid(), 0
            self._lock = threading.RLock()
            if self._tables is not None:
                self._tables.abandon()
        return self._lock

    @contextmanager
    def _open_tables(self) -> Iterator[Tables]:
        with self._own_lock():
            tables = self._usable()
            if not self._held:
                self.refresh(tables)
            yield tables

    def _usable(self) -> Tables:
        if self._tables is None:
            raise ClosedError(f"the store {self._location} is closed", hint="open it again")
        return self._tables

    def _writable(self) -> Tables:
        tables = self._usable()
        if self._mode == "r":
            raise ReadOnlyError(
                f"the store {self._location} is open for reading only",
                hint="open it with mode='rw'",
            )
        return tables

    @contextmanager
    def _holding(self) -> Iterator[None]:
        self._held += 1
        try:
            yield
        finally:
            self._held -= 1

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """The locks are held until the block ends; one inside another one is part of it."""
        with self._own_lock():
            tables = self._writable()
            if tables.is_changing:
                with tables.undone_on_error():
                    yield tables
                return
            if self._held:
                raise InvalidError(
                    f"the store {self._location} is written inside a snapshot of the same thread",
                    hint="write before or after it",
                )
            with self.exclusive():
                self.refresh(tables)
                with self._holding(), tables.undone_on_error() as written:
                    yield tables
                    if rows := written():
                        self.commit(rows)

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """What others write meanwhile is seen after the block; threads of this store wait."""
        with self._open_tables(), self._holding():
            yield

    def read_types(self, query: TypeQuery) -> list[Type]:
        """The types that the query asks for."""
        with self._open_tables() as tables:
            return tables.read_types(query)

    def read_nodes(self, query: NodeQuery) -> list[AnyNode]:
        """One page of the nodes that the query asks for."""
        with self._open_tables() as tables:
            return tables.read_nodes(query)

    def count(self, query: NodeQuery) -> int:
        """How many nodes the query asks for."""
        if query.filter is not None:
            return super().count(query)
        with self._open_tables() as tables:
            return tables.count(query)

    def read_events(self, query: EventQuery) -> list[Event]:
        """The events that the query asks for."""
        with self._open_tables() as tables:
            return tables.read_events(query)

    def read_links(self, query: LinkQuery) -> list[Link]:
        """The links that the query asks for."""
        with self._open_tables() as tables:
            return tables.read_links(query)
