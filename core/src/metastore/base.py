"""What a flavor implements.

A flavor derives from `BaseMetadataStore` and fills in the abstract methods; writing follows the
rules of `metastore.rules` without the flavor knowing one of them.  `docs/contract.md` states what
each method must do; the tests in `metastore.testing` prove it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any, ClassVar, Literal, NamedTuple, TypeAlias

from metastore import rules
from metastore.batch import Batch, WrittenBatch
from metastore.capabilities import Capabilities
from metastore.changes import Answers, Applied, Changes, Questions
from metastore.errors import CapabilityError, InvalidError
from metastore.model import AnyNode, Event, Link, NodeKind, Type
from metastore.problems import Problem, problems_of
from metastore.query import (
    Cursor,
    EventQuery,
    LinkQuery,
    NodeQuery,
    OrderBy,
    TypeQuery,
    WalkQuery,
    select,
    walked,
)

__all__ = [
    "BaseMetadataStore",
    "Capabilities",
    "Deleted",
    "OpenMode",
    "Transaction",
    "Upgrade",
    "cursor_of",
]

OpenMode: TypeAlias = Literal["r", "rw"]
"""``"r"`` reads only and never creates a file, a database or a table; ``"rw"`` reads and writes."""


class Deleted(NamedTuple):
    """How much was deleted."""

    artifacts: int = 0
    executions: int = 0
    contexts: int = 0
    events: int = 0
    links: int = 0
    """Attributions, associations and parent links."""

    def plus(self, other: Deleted) -> Deleted:
        """The sum of two."""
        return Deleted(*(one + more for one, more in zip(self, other, strict=True)))


class Upgrade(NamedTuple):
    """What became of an older store."""

    before: int
    """The version of its schema."""
    now: int
    backup: str | None
    """Where it is kept as it was; None where the flavor makes no backup."""


class Transaction(ABC):
    """Exclusive access for one batch: no other writer changes what `lookup` answered."""

    @abstractmethod
    def lookup(self, questions: Questions) -> Answers:
        """What is stored of what is asked, in a few reads."""

    @abstractmethod
    def apply(self, changes: Changes) -> Applied:
        """Write the changes as they are; they are checked already."""


class BaseMetadataStore(ABC):
    """A metadata store on one backend.

    Methods raise errors of `metastore.errors` only; the backend's own error is their cause.
    Threads may share a store.
    """

    FLAVOR: ClassVar[str]
    """The flavor's name: its entry point, its descriptor and its URL scheme."""

    CAPABILITIES: ClassVar[Capabilities] = Capabilities()

    CONFIG: ClassVar[type[Any] | None] = None
    """The flavor's `FlavorConfig`, where the class is registered without a descriptor that says so
    (``metastore flavor register``); None for one without settings."""

    @classmethod
    @abstractmethod
    def open(cls, config: Any, *, mode: OpenMode = "rw", create: bool = True) -> BaseMetadataStore:
        """Open the store that the flavor's config describes.

        Raises
        ------
        OpenError
            There is no store (and `create` is false or `mode` is ``"r"``), or something else is
            there; nothing was created or changed.
        """

    @abstractmethod
    def close(self) -> None:
        """Release everything; closing twice is fine, any other call afterwards `ClosedError`."""

    @property
    @abstractmethod
    def location(self) -> str:
        """Where the store is, for people: a URL without secrets."""

    @abstractmethod
    def transaction(self) -> AbstractContextManager[Transaction]:
        """Begin to write; commit when the block ends, roll all of it back when it raises.

        Raises
        ------
        ReadOnlyError
            The store was opened with ``mode="r"``.
        BusyError
            Others kept the store locked for too long.
        """

    @abstractmethod
    def read_types(self, query: TypeQuery) -> Sequence[Type]:
        """The types that the query asks for."""

    @abstractmethod
    def read_nodes(self, query: NodeQuery) -> Sequence[AnyNode]:
        """One page of the nodes that the query asks for."""

    @abstractmethod
    def read_events(self, query: EventQuery) -> Sequence[Event]:
        """The events that the query asks for."""

    @abstractmethod
    def read_links(self, query: LinkQuery) -> Sequence[Link]:
        """The links that the query asks for."""

    notice: str | None = None
    """A sentence for people who look at the store, where there is something to know about how it
    is read: that it is a copy of an older one, say."""

    # What follows has a body that is right for every flavor; override it where the backend can do
    # better.  New methods of later versions arrive the same way.

    def write(self, batch: Batch) -> WrittenBatch:
        """Write the batch whole, or raise and write nothing.

        Raises
        ------
        InvalidError, NotFoundError, AlreadyExistsError, ConflictError
            The batch breaks a rule; `MetastoreError.offender` says what does.
        ReadOnlyError, BusyError, StorageError, OutcomeUnknownError
            The backend cannot, or may not have, written it.
        """
        planner = rules.Planner(batch)
        with self.transaction() as transaction:
            changes = planner.run(transaction.lookup)
            applied = transaction.apply(changes) if changes else Applied()
        return planner.written(applied)

    def walk_events(self, query: WalkQuery) -> Sequence[Event]:
        """The events that the walk goes over, each once.

        Here a hop is a question to `read_events`; a backend that can walk itself is asked once.
        """
        return walked(self, query)

    def find_nodes(self, query: NodeQuery) -> Sequence[AnyNode]:
        """One page of the nodes that the query asks for, its filter included.

        As `read_nodes`; where the flavor has no filters of its own (capability `native_filter`),
        the filter is evaluated here, on page after page until there are enough.
        """
        if query.filter is None or self.CAPABILITIES.native_filter:
            return self.read_nodes(query)
        return filtered(self, query)

    def count(self, query: NodeQuery) -> int:
        """How many nodes the query asks for, its page left aside."""
        return sum(1 for _ in self.iterate(replace(query, after=None, limit=None)))

    def iterate(self, query: NodeQuery, *, page_size: int = 1000) -> Iterator[AnyNode]:
        """All nodes that the query asks for, read page by page."""
        if page_size < 1:
            raise InvalidError("a page of nodes has no room", hint="use a page_size of at least 1")
        left = query.limit
        while left is None or left > 0:
            size = page_size if left is None else min(page_size, left)
            page = self.find_nodes(replace(query, limit=size))
            yield from page
            if len(page) < size:
                return
            query = replace(query, after=cursor_of(page[-1], query.order_by))
            left = None if left is None else left - size

    def is_same(self, other: BaseMetadataStore) -> bool:
        """Whether both are open over the same data, so that an id of one is that of the other.

        False where that cannot be told: to take two stores for one would link to wrong nodes.
        """
        return other is self

    def delete(self, nodes: Mapping[NodeKind, Collection[int]]) -> Deleted:  # noqa: ARG002
        """Delete nodes with everything that hangs on them, whole or not at all.

        With a node go its properties, its events with their paths, and its links.  Ids that are
        not stored are passed over; those of deleted nodes are never given again.  Needs the
        capability `delete`.

        Raises
        ------
        CapabilityError
            The flavor cannot delete.
        ReadOnlyError, BusyError, StorageError, OutcomeUnknownError
            As `write`.
        """
        raise CapabilityError(
            f"flavor {self.FLAVOR!r} cannot delete (capability 'delete')",
            hint="copy what is to stay into another store (metastore copy)",
        )

    def shrink(self) -> bool:
        """Give room that deleted rows have left back to the system, where the backend can.

        Returns whether it did; it may take long, and keep writers waiting.
        """
        return False

    def problems(self) -> Iterator[Problem]:
        """What is wrong with the rows of the store: what points at nothing, and the like.

        Of a store that was written through `write` alone there is nothing.
        """
        yield from problems_of(self)

    @classmethod
    def upgrade(cls, config: Any) -> Upgrade | None:  # noqa: ARG003 - for those who override it
        """Bring an older store to the form that this release writes, after a backup, or not at all.

        None where there is nothing to do: the store is of that form, as those of flavors are that
        have no older one.

        Raises
        ------
        OpenError
            There is no store, or one that cannot be upgraded; it was not touched.
        BusyError
            Others use it.
        StorageError
            It failed; the store is as it was, or, where the backend cannot take back what it did,
            so that the same call goes on.
        """
        return None

    # The service behind the store, for flavors with the capability `provision`.  They are asked of
    # the class, with a config: there may be nothing yet that could be opened.  What takes long is
    # told, a line a step, to the logger `metastore.service` at level INFO, which the command shows.

    @classmethod
    def provision(cls, config: Any) -> None:  # noqa: ARG003 - for those who override it
        """Make the service that the config describes, and wait until it answers; idempotent.

        Raises
        ------
        CapabilityError
            The flavor has no service to make.
        StorageError
            It cannot be made; the error says what stands in the way.
        """
        raise cls._without_service()

    @classmethod
    def deprovision(cls, config: Any, *, delete_data: bool = False) -> None:  # noqa: ARG003
        """Take the service down; its data stay, unless `delete_data`; raises as `provision`."""
        raise cls._without_service()

    @classmethod
    def suspend(cls, config: Any) -> None:
        """Stop the service for a while; where a flavor has no such state, take it down."""
        cls.deprovision(config)

    @classmethod
    def resume(cls, config: Any) -> None:
        """Let a suspended service go on; where a flavor has no such state, bring it up."""
        cls.provision(config)

    @classmethod
    def is_provisioned(cls, config: Any) -> bool:  # noqa: ARG003
        """Whether the service is there; True where there is none to make."""
        return True

    @classmethod
    def is_running(cls, config: Any) -> bool:  # noqa: ARG003
        """Whether the service answers; True where there is none to make."""
        return True

    @classmethod
    def manifest(cls, config: Any) -> Mapping[str, str]:  # noqa: ARG003 - as above
        """What `provision` would make, for other tools to make it: names of files, and their texts.

        Nothing is asked of the backend for it, and no secret is in it.

        Raises
        ------
        CapabilityError
            The flavor has no service to make, or none that can be written down.
        """
        raise CapabilityError(
            f"flavor {cls.FLAVOR!r} cannot write down what it would make",
            hint="bring the service up, where it has one, without --dry-run and --output",
        )

    @classmethod
    def describe_service(cls, config: Any) -> Sequence[tuple[str, str]]:  # noqa: ARG003 - as above
        """What there is of the service, and what of it is not as the config says: names and words.

        For ``metastore store status``.  It changes nothing; raises as `provision`.
        """
        return ()

    @classmethod
    def _without_service(cls) -> CapabilityError:
        return CapabilityError(
            f"flavor {cls.FLAVOR!r} has no service to bring up or down (capability 'provision')",
            hint="its stores need none",
        )

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Reads inside the block see one state of the store; needs the capability `snapshot`."""
        raise CapabilityError(
            f"flavor {self.FLAVOR!r} cannot hold one state of the store for several reads "
            "(capability 'snapshot')"
        )
        yield


_FILTERED_PAGE = 1000
"""Nodes that are read at once to evaluate a filter."""


def cursor_of(node: AnyNode, order_by: OrderBy) -> Cursor:
    """The cursor behind a node, for `NodeQuery.after`."""
    match order_by:
        case OrderBy.ID:
            return Cursor(node.id, node.id)
        case OrderBy.CREATE_TIME:
            return Cursor(node.create_time_ms, node.id)
        case OrderBy.UPDATE_TIME:
            return Cursor(node.update_time_ms, node.id)


def filtered(store: BaseMetadataStore, query: NodeQuery) -> list[AnyNode]:
    """One page of what the query asks for, its filter evaluated here on page after page.

    For flavors with filters of their own that a few filters are too much for.
    """
    filter, limit = query.filter, query.limit
    assert filter is not None
    found: list[AnyNode] = []
    query = replace(query, filter=None, limit=_FILTERED_PAGE)
    while limit is None or len(found) < limit:
        page = store.read_nodes(query)
        found += select(filter, page, store)
        if len(page) < _FILTERED_PAGE:
            break
        query = replace(query, after=cursor_of(page[-1], query.order_by))
    return found[:limit]
