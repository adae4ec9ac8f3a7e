"""Sections 10 and 11 of the contract done wrong: closing, modes, several stores, threads."""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

from metastore.base import BaseMetadataStore, Capabilities, OpenMode, Transaction
from metastore.batch import Batch, WrittenBatch
from metastore.changes import Answers, Applied, Changes, NodeInsert, Questions
from metastore.errors import ClosedError
from metastore.memory import MemoryMetadataStore, Tables
from metastore.model import AnyNode, NodeKind, Type
from metastore.query import NodeQuery, TypeQuery
from metastore.testing import compare_stores

from ._mutant import (
    ARTIFACT,
    CONTEXT,
    EXECUTION,
    PATIENCE,
    Apart,
    Meeting,
    Unlocked,
    UnlockedReads,
    by_a_second_thread,
    mutant,
)

# Closing.


class _Closing(MemoryMetadataStore):
    """Knows whether it was closed, and keeps its tables."""

    def __init__(self, tables: Tables | None = None, *, mode: OpenMode = "rw") -> None:
        super().__init__(tables, mode=mode)
        self._kept = self._tables
        self._closed = False

    def close(self) -> None:
        super().close()
        self._closed = True


@mutant("test_reading_after_close")
class ReadsAfterClose(_Closing):
    """Lets a closed store read on: its connection comes from a pool."""

    def read_nodes(self, query: NodeQuery) -> list[AnyNode]:
        assert self._kept is not None
        return self._kept.read_nodes(query)


@mutant("test_reading_after_close")
class ClosedIsAValueError(MemoryMetadataStore):
    """Lets out what its backend raises once it is closed."""

    @contextmanager
    def _open_tables(self) -> Iterator[Tables]:
        if self._tables is None:
            raise ValueError("I/O operation on closed file")
        with super()._open_tables() as tables:
            yield tables


@mutant("test_writing_after_close")
class WritesNothingAfterClose(MemoryMetadataStore):
    """Takes an empty batch without asking whether the store is open."""

    def write(self, batch: Batch) -> WrittenBatch:
        if self._tables is None and not batch.types:
            return WrittenBatch([], {kind: [] for kind in NodeKind})
        return super().write(batch)


@mutant("test_a_transaction_after_close")
class BeginsAfterClose(MemoryMetadataStore):
    """Begins a transaction lazily, with the first question."""

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        if self._tables is None:
            yield Tables()
            return
        with super().transaction() as transaction:
            yield transaction

    def write(self, batch: Batch) -> WrittenBatch:
        if self._tables is None:
            raise ClosedError("the store is closed")
        return super().write(batch)


@mutant("test_a_snapshot_after_close")
class SnapshotsAfterClose(MemoryMetadataStore):
    """Begins a snapshot without asking whether the store is open."""

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        with self._lock:
            yield


@mutant("test_closing_twice_is_fine")
class ClosesOnce(_Closing):
    """Refuses to be closed a second time."""

    def close(self) -> None:
        if self._closed:
            raise ClosedError("the store is closed")
        super().close()


@mutant("test_location")
class LocatesWithoutScheme(MemoryMetadataStore):
    """Says where it is without saying of which flavor it is."""

    @property
    def location(self) -> str:
        return "localhost:8080/metadata"


@mutant("test_location")
class LocatesWhileOpen(MemoryMetadataStore):
    """Says where it is only while it is open."""

    @property
    def location(self) -> str:
        if self._tables is None:
            raise ClosedError("the store is closed")
        return super().location


@mutant("test_a_store_tells_itself_from_others")
class SameAsAll(MemoryMetadataStore):
    """Compares locations to tell stores apart, and has one for all."""

    def is_same(self, other: BaseMetadataStore) -> bool:
        return other.location == self.location


@mutant("test_a_store_tells_itself_from_others")
class SameAsNone(MemoryMetadataStore):
    """Cannot tell, and says so of itself too."""

    def is_same(self, other: BaseMetadataStore) -> bool:
        return False


@mutant("test_a_store_that_is_opened_again_is_no_other")
class SameWithoutMarks(MemoryMetadataStore):
    """Tells stores apart by a mark that a new one is given, and that one opened again lacks."""

    def __init__(self, tables: Tables | None = None, *, mode: OpenMode = "rw") -> None:
        super().__init__(tables, mode=mode)
        self._mark = None if mode == "r" else object()

    def is_same(self, other: BaseMetadataStore) -> bool:
        return isinstance(other, SameWithoutMarks) and other._mark is self._mark


@mutant("test_a_store_that_is_opened_again_is_no_other")
class SameWithNothing(MemoryMetadataStore):
    """Compares what two stores hold, which of empty ones is the same."""

    def is_same(self, other: BaseMetadataStore) -> bool:
        if self._mode == "rw":
            return other is self
        return compare_stores(self, other) == []


# Opened again.


def _copied(tables: Tables) -> Tables:
    return copy.deepcopy(tables)


class _Saving(Tables):
    """Remembers what there was before the last batch."""

    def __init__(self) -> None:
        super().__init__()
        self.saved: Tables | None = None

    def apply(self, changes: Changes) -> Applied:
        small = sum(map(len, changes.inserts.values())) < 100
        self.saved = None
        self.saved = _copied(self) if small else None
        return super().apply(changes)


@mutant(
    "test_what_was_written_is_there_again",
    tables=_Saving,
    reopen=lambda store, tables, mode: MemoryMetadataStore(
        getattr(tables, "saved", None) or tables, mode=mode
    ),
)
class LosesTheLastBatch(MemoryMetadataStore):
    """Writes a batch to the disk when the next one comes, and not when it is closed."""


def _numbered_anew(store: BaseMetadataStore, tables: Tables, mode: OpenMode) -> BaseMetadataStore:
    again = _copied(tables)
    again._last_ids = {Type: again._last_ids[Type]}
    return MemoryMetadataStore(again, mode=mode)


@mutant("test_what_was_written_is_there_again", reopen=_numbered_anew)
class CountsIdsAnew(MemoryMetadataStore):
    """Counts ids in the process, from 1 on when the store is opened again."""


@mutant(
    "test_two_stores_over_the_same_data",
    reopen=lambda store, tables, mode: MemoryMetadataStore(_copied(tables), mode=mode),
)
class ReadsTheFileOnce(MemoryMetadataStore):
    """Reads all data when it is opened, and nothing of what others write afterwards."""


@mutant("test_a_reading_store_sees_what_others_write")
class KeepsTypes(MemoryMetadataStore):
    """Reads all types when it is opened, and again only when it has written itself."""

    def __init__(self, tables: Tables | None = None, *, mode: OpenMode = "rw") -> None:
        super().__init__(tables, mode=mode)
        self._types: dict[NodeKind, set[int]] = {}
        self._learn()

    def _learn(self) -> None:
        if self._tables is not None:
            for kind in NodeKind:
                self._types[kind] = {each.id for each in super().read_types(TypeQuery(kind))}

    def read_types(self, query: TypeQuery) -> list[Type]:
        return [each for each in super().read_types(query) if each.id in self._types[query.kind]]

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        with super().transaction() as transaction:
            yield transaction
        self._learn()


@mutant("test_a_store_sees_the_updates_of_others")
class KeepsNodes(MemoryMetadataStore):
    """Keeps the nodes that it has read, as the session of an ORM does, until it writes itself."""

    def __init__(self, tables: Tables | None = None, *, mode: OpenMode = "rw") -> None:
        super().__init__(tables, mode=mode)
        self._known: dict[tuple[NodeKind, int], AnyNode] = {}

    def read_nodes(self, query: NodeQuery) -> list[AnyNode]:
        found = super().read_nodes(query)
        if len(found) > 100:
            return found
        known = [self._known.setdefault((query.kind, node.id), node) for node in found]
        return copy.deepcopy(known)

    def write(self, batch: Batch) -> WrittenBatch:
        self._known.clear()
        return super().write(batch)


# Modes.


@mutant("test_a_reading_store_does_not_write")
class WritesInReadMode(MemoryMetadataStore):
    """Leaves it to the account whether a store may write."""

    def __init__(self, tables: Tables | None = None, *, mode: OpenMode = "rw") -> None:
        super().__init__(tables)


@mutant("test_a_reading_store_does_not_write")
class WritesNothingInReadMode(MemoryMetadataStore):
    """Takes an empty batch without asking for the mode."""

    def write(self, batch: Batch) -> WrittenBatch:
        if self._mode == "r" and not batch.types and self._tables is not None:
            return WrittenBatch([], {kind: [] for kind in NodeKind})
        return super().write(batch)


@mutant("test_a_reading_store_has_no_transaction")
class BeginsInReadMode(MemoryMetadataStore):
    """Lets a transaction begin on a store for reading, and fails at its first write."""

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        if self._mode == "r":
            with self._open_tables() as tables:
                yield tables
        else:
            with super().transaction() as transaction:
                yield transaction

    def write(self, batch: Batch) -> WrittenBatch:
        if self._mode == "r":
            with super().transaction():
                pass
        return super().write(batch)


@mutant("test_a_closed_reading_store_is_closed")
class ReadOnlyAfterClose(MemoryMetadataStore):
    """Asks for the mode before it asks whether it is open."""

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        if self._tables is None and self._mode == "r":
            with MemoryMetadataStore(mode="r").transaction():
                pass
        with super().transaction() as transaction:
            yield transaction


class _Connected(Tables):
    """Knows the stores that are open over it."""

    def __init__(self) -> None:
        super().__init__()
        self.stores: list[MemoryMetadataStore] = []


@mutant("test_closing_one_store_leaves_the_others", tables=_Connected)
class ClosesTheOthers(MemoryMetadataStore):
    """Has one connection for all stores over the same data, and closes it with the first."""

    def __init__(self, tables: Tables | None = None, *, mode: OpenMode = "rw") -> None:
        super().__init__(tables, mode=mode)
        self._connected = tables.stores if isinstance(tables, _Connected) else [self]
        self._connected.append(self)

    def close(self) -> None:
        for each in self._connected:
            MemoryMetadataStore.close(each)


# What a flavor says of itself.


@mutant("test_the_class_is_complete")
class OddFlavor(MemoryMetadataStore):
    """Has a flavor that no URL can have as its scheme."""

    FLAVOR: ClassVar[str] = "My_Memory"

    @property
    def location(self) -> str:
        return "My_Memory://"


@mutant("test_the_class_is_complete")
class OddCapabilities(MemoryMetadataStore):
    """Declares an atomicity that there is not."""

    CAPABILITIES: ClassVar[Capabilities] = Capabilities(
        snapshot=True,
        atomic_batch="none",  # type: ignore[arg-type]
    )


@mutant("test_a_store_without_a_service")
class NeverRunning(MemoryMetadataStore):
    """Says that its service does not run, though there is none to run."""

    @classmethod
    def is_running(cls, config: Any) -> bool:
        return False


@mutant("test_a_new_store_is_empty")
class BeginsWithAContext(Tables):
    """Makes a context of its own in a new store, for bookkeeping."""

    def __init__(self) -> None:
        super().__init__()
        type_id = next(iter(self.types))
        row = NodeInsert(type_id, "default", "", None, None, {}, {}, 5, 5)
        self._insert(CONTEXT, row, [])


# Several stores and threads.


@mutant("test_stores_are_independent")
class OneCacheOfTypes(MemoryMetadataStore):
    """Keeps types in a cache of the class, which all open stores share."""

    _open: ClassVar[list[Tables]] = []

    def __init__(self, tables: Tables | None = None, *, mode: OpenMode = "rw") -> None:
        super().__init__(tables, mode=mode)
        self._mine = self._tables
        if self._mine is not None and not any(each is self._mine for each in self._open):
            self._open.append(self._mine)

    def close(self) -> None:
        self._open[:] = [each for each in self._open if each is not self._mine]
        super().close()

    def read_types(self, query: TypeQuery) -> list[Type]:
        found = super().read_types(query)
        others = [each for tables in self._open for each in tables.read_types(query)]
        known = {each.key for each in found}
        return [*found, *(each for each in others if each.key not in known)]


class _Met(Tables):
    """Two threads meet between what they ask and what they write."""

    def __init__(self) -> None:
        super().__init__()
        self._meeting = Meeting()

    def meets(self, questions: Questions, answers: Answers) -> bool:
        """Whether this question is where the first thread waits for the second."""
        return False

    def lookup(self, questions: Questions) -> Answers:
        answers = super().lookup(questions)
        if by_a_second_thread() and self.meets(questions, answers):
            self._meeting.attend()
        return answers


@mutant("test_writers_do_not_overtake_one_another", store=Unlocked)
class LosesUpdates(_Met):
    """Locks nothing between what it answers of a node and what it writes."""

    def meets(self, questions: Questions, answers: Answers) -> bool:
        return any(questions.nodes.values())


class _TwoStores(Apart):
    """Knows whether there is another store over its tables."""

    def __init__(self, tables: Tables | None = None, *, mode: OpenMode = "rw") -> None:
        super().__init__(tables, mode=mode)
        if isinstance(tables, LocksItsOwnThreads):
            tables.stores += 1


@mutant("test_two_stores_write_at_once", store=_TwoStores)
class LocksItsOwnThreads(_Met):
    """Locks in the process what threads of one store do, and nothing between two stores."""

    def __init__(self) -> None:
        super().__init__()
        self.stores = 0

    def meets(self, questions: Questions, answers: Answers) -> bool:
        # Threads of one store would wait for one another's lock.
        return self.stores > 1 and bool(questions.names.get(CONTEXT))


@mutant("test_creating_types_in_threads_ends_with_one", store=Unlocked)
class CreatesTypesTwice(_Met):
    """Has no lock and no unique index for types."""

    def meets(self, questions: Questions, answers: Answers) -> bool:
        return len(questions.types) == 1 and not answers.types


@mutant("test_threads_reuse_one_node", store=Unlocked)
class CreatesContextsTwice(_Met):
    """Has no lock and no unique index for the names of contexts."""

    def meets(self, questions: Questions, answers: Answers) -> bool:
        return bool(questions.names.get(CONTEXT)) and not answers.names[CONTEXT]


@mutant("test_threads_share_a_store", store=Unlocked)
class OneLastId(Tables):
    """Keeps the last ids that were given in an attribute, where another thread's replace them."""

    def __init__(self) -> None:
        super().__init__()
        self._meeting = Meeting()
        self._applied = Applied()

    def apply(self, changes: Changes) -> Applied:
        self._applied = super().apply(changes)
        # The one test in which several threads write such batches.
        if (
            by_a_second_thread()
            and changes.inserts[EXECUTION]
            and len(changes.inserts[CONTEXT]) < 2
        ):
            self._meeting.attend()
        return self._applied


@mutant("test_readers_see_whole_batches", store=UnlockedReads)
class CommitsEveryNode(Tables):
    """Writes each node of a batch for all to see before the next one."""

    def __init__(self) -> None:
        super().__init__()
        self._half = False
        self._seen = threading.Event()

    def apply(self, changes: Changes) -> Applied:
        self._half = False
        self._large = by_a_second_thread() and len(changes.inserts[ARTIFACT]) > 2
        return super().apply(changes)

    def _insert(self, kind: NodeKind, row: NodeInsert, type_ids: list[int]) -> int:
        id = super()._insert(kind, row, type_ids)
        if kind is ARTIFACT and self._large and not self._half and not self._seen.is_set():
            self._half = True
            self._seen.wait(PATIENCE)
        return id

    def read_nodes(self, query: NodeQuery) -> list[AnyNode]:
        # Only what began when there was half a batch of these is sure to see it.
        half = self._half and query.kind is ARTIFACT
        found = super().read_nodes(query)
        if half:
            self._seen.set()
        return found
