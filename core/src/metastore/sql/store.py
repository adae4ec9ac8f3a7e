"""`SQLMetadataStore`: the contract on any database that a `Database` describes."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import ClassVar, TypeVar

from metastore.base import BaseMetadataStore, Deleted, OpenMode, Transaction, filtered
from metastore.capabilities import Capabilities
from metastore.errors import ClosedError, ForkError, InvalidError, ReadOnlyError
from metastore.model import AnyNode, Event, Link, NodeKind, Type
from metastore.problems import Problem
from metastore.query import EventQuery, LinkQuery, NodeQuery, TypeQuery, WalkQuery
from metastore.sql import checking, deleting, pages, reading
from metastore.sql.database import Database, Session
from metastore.sql.lists import one_is_empty
from metastore.sql.types import TypeCache
from metastore.sql.writing import SQLTransaction

__all__ = ["SQLMetadataStore"]

_T = TypeVar("_T")


class SQLMetadataStore(BaseMetadataStore):
    """A store in a relational database.

    A flavor derives from it, sets `FLAVOR`, and in `open` makes a `Database` whose tables are
    there and checked.
    """

    CAPABILITIES: ClassVar[Capabilities] = Capabilities(native_filter=True)

    def __init__(self, database: Database, *, location: str, mode: OpenMode = "rw") -> None:
        self._database = database
        self._location = location
        self._mode = mode
        self._closed = False
        self._types = TypeCache()
        self._snapshot = threading.local()
        """Its `session`, where the thread is inside `snapshot`."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._location}{' closed' if self._closed else ''}>"

    @property
    def location(self) -> str:
        """Where the store is: a URL without secrets."""
        return self._location

    def close(self) -> None:
        """Close every connection."""
        self._closed = True
        self._database.close()

    def _check_open(self) -> None:
        if self._closed:
            raise ClosedError(
                f"the store {self._location} is closed", hint="open it again with connect()"
            )

    def _check_writable(self) -> None:
        self._check_open()
        if self._mode == "r":
            raise ReadOnlyError(
                f"the store {self._location} is open for reading only",
                hint="open it with mode='rw'",
            )
        if self._pinned() is not None:
            raise InvalidError(
                f"the store {self._location} is written inside a snapshot of the same thread",
                hint="write before or after it",
            )

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """An exclusive transaction."""
        self._check_writable()
        with self._database.session(write=True) as session:
            yield SQLTransaction(session, self._types)

    def delete(self, nodes: Mapping[NodeKind, Collection[int]]) -> Deleted:
        """Delete nodes, in one transaction, with everything that hangs on them."""
        if not self.CAPABILITIES.delete:
            return super().delete(nodes)
        self._check_writable()
        with self._database.session(write=True) as session:
            return deleting.delete_nodes(session, nodes)

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Reads of this thread inside the block are one transaction, and see one state.

        For flavors whose database gives a transaction one state from its first read (SQLite;
        REPEATABLE READ), and which therefore declare the capability.
        """
        if not self.CAPABILITIES.snapshot:
            with super().snapshot():
                yield
            return
        if self._pinned() is not None:
            yield
            return
        self._check_open()
        with self._database.session(write=False) as session:
            self._snapshot.session = session
            self._snapshot.process = os.getpid()
            try:
                yield
            finally:
                self._snapshot.session = None

    def _pinned(self) -> Session | None:
        pinned: Session | None = getattr(self._snapshot, "session", None)
        if pinned is not None and self._snapshot.process != os.getpid():
            # Two processes on one connection would read each other's answers.
            raise ForkError(
                f"the snapshot of {self._location} is one of the parent process",
                hint="fork outside of snapshots, or open the store anew",
            )
        return pinned

    def _read(self, question: Callable[[Session], _T]) -> _T:
        """What the question says of one state of the database."""
        self._check_open()
        pinned = self._pinned()
        if pinned is not None:
            return question(pinned)
        with self._database.session(write=False) as session:
            return question(session)

    def read_types(self, query: TypeQuery) -> Sequence[Type]:
        """The types that the query asks for."""
        return self._read(lambda session: reading.read_types(session, query))

    def read_nodes(self, query: NodeQuery) -> Sequence[AnyNode]:
        """One page of the nodes that the query asks for, in two statements."""
        if query.filter is not None and not self._database.can_answer(query.filter):
            return filtered(self, query)
        if one_is_empty(query.ids, query.names, query.context_ids):
            self._check_open()
            return []
        return self._read(lambda session: pages.read_nodes(session, query))

    def count(self, query: NodeQuery) -> int:
        """How many nodes the query asks for."""
        if query.filter is not None and not self._database.can_answer(query.filter):
            return super().count(query)
        return self._read(lambda session: pages.count_nodes(session, query))

    def read_events(self, query: EventQuery) -> Sequence[Event]:
        """The events that the query asks for, in two statements."""
        if one_is_empty(query.artifact_ids, query.execution_ids):
            self._check_open()
            return []
        return self._read(lambda session: reading.read_events(session, query))

    def walk_events(self, query: WalkQuery) -> Sequence[Event]:
        """The events that the walk goes over, in one statement where the database can walk."""
        if not query.ids or not self._database.can_walk:
            return super().walk_events(query)
        events = self._read(lambda session: reading.walk_events(session, query))
        return super().walk_events(query) if events is None else events

    def read_links(self, query: LinkQuery) -> Sequence[Link]:
        """The links that the query asks for."""
        if one_is_empty(query.context_ids, query.other_ids):
            self._check_open()
            return []
        return self._read(lambda session: reading.read_links(session, query))

    def problems(self) -> Iterator[Problem]:
        """What is wrong with the rows, counted by the database in one state of them."""
        yield from self._read(lambda session: list(checking.problems_of(session)))
