"""What a mutant is, and what most of them derive from."""

from __future__ import annotations

import inspect
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any, TypeAlias, TypeVar

from metastore.base import BaseMetadataStore, OpenMode, Transaction
from metastore.changes import (
    Applied,
    Changes,
    NewEvent,
    NodeInsert,
    NodeUpdate,
    TypeInsert,
    TypeUpdate,
)
from metastore.memory import MemoryMetadataStore, Tables
from metastore.model import AnyNode, NodeKind
from metastore.plugins._config import FlavorConfig
from metastore.query import NodeQuery

__all__ = [
    "ARTIFACT",
    "CONTEXT",
    "EXECUTION",
    "MUTANTS",
    "PATIENCE",
    "UNMUTATED",
    "Apart",
    "Asked",
    "Flavor",
    "Meeting",
    "Mutant",
    "Plugin",
    "Read",
    "Rows",
    "Texts",
    "Unlocked",
    "UnlockedReads",
    "by_a_second_thread",
    "mutant",
]

ARTIFACT, EXECUTION, CONTEXT = NodeKind.ARTIFACT, NodeKind.EXECUTION, NodeKind.CONTEXT

Reopen: TypeAlias = Callable[[BaseMetadataStore, Tables, OpenMode], BaseMetadataStore]

GREEN = 0.8
"""Share of the cases that a mutant still passes: what fails nearly all of them proves nothing."""


class Plugin:
    """The plugin module of a flavor; `before` is what it does besides."""

    summary = "A test"
    config = "tests.mutants._cellar:CellarConfig"
    store = "tests.mutants._cellar:CellarStore"
    capabilities = "snapshot=True, delete=True"
    before = ""

    @classmethod
    def source(cls) -> str:
        """Its text."""
        return (
            "from metastore import Capabilities, Flavor, hookimpl\n"
            f"{cls.before}\n"
            "@hookimpl\n"
            "def metastore_flavor():\n"
            f"    return Flavor(name='cellar', summary={cls.summary!r}, config={cls.config!r},\n"
            f"        store={cls.store!r}, capabilities=Capabilities({cls.capabilities}))\n"
        )


class Flavor:
    """The stores of one test, and the tables that they forget when they are closed."""

    plugin: type[Plugin] | None = None
    """The module that its entry point leads to; None for what core itself brings."""

    def __init__(self, mutant: Mutant) -> None:
        self._mutant = mutant
        self._tables: dict[BaseMetadataStore, Tables] = {}

    def make(self) -> BaseMetadataStore:
        """A new store."""
        tables = self._mutant.tables()
        store = self._mutant.store(tables)
        self._tables[store] = tables
        return store

    def reopen(self, store: BaseMetadataStore, mode: OpenMode) -> BaseMetadataStore:
        """Another store over the same tables."""
        if self._mutant.reopen is not None:
            return self._mutant.reopen(store, self._tables[store], mode)
        again = self._mutant.store(self._tables[store], mode=mode)
        first: Any = store
        # Tables are not safe for threads: stores over the same ones take turns.
        if not isinstance(again, Unlocked | Apart):
            again._lock = first._lock
        return again

    def end(self) -> None:
        """Forget what is kept for other stores over the same data."""


@dataclass(frozen=True)
class Mutant:
    """A store that does one thing wrong, as the author of a flavor might."""

    name: str
    wrong: str
    """What it does wrong, a sentence."""
    caught_by: str
    """The test of the kit that must fail; any of its cases, where it has parameters."""
    tables: Callable[[], Tables] = Tables
    store: Callable[..., MemoryMetadataStore] = MemoryMetadataStore
    reopen: Reopen | None = None
    """How to open a store again, given the store, its tables and the mode."""
    flavor: type[Flavor] = Flavor
    """How its stores are made."""
    config: type[FlavorConfig] | None = None
    """Its settings, where its flavor has some."""
    plugin: type[Plugin] | None = None
    """Its plugin module, where its flavor has one that can be wrong."""
    green: float = GREEN
    """Share of the cases that must still pass; 0 where no store is as it should be."""


UNMUTATED = Mutant("unmutated", "Nothing.", "none")

MUTANTS: list[Mutant] = []
"""All of them."""

_C = TypeVar("_C", bound="type[Tables | MemoryMetadataStore | Flavor | FlavorConfig | Plugin]")


def mutant(
    caught_by: str,
    *,
    tables: type[Tables] = Tables,
    store: type[MemoryMetadataStore] = MemoryMetadataStore,
    reopen: Reopen | None = None,
    flavor: type[Flavor] | None = None,
    green: float = GREEN,
) -> Callable[[_C], _C]:
    """Enter a class in the table of mutants: of tables, a store, a flavor, a config or a plugin.

    Its name in words is the mutant's, and its docstring is the sentence.  What a class of stores
    calls its ``MADE_BY`` makes them where no `flavor` is said.
    """

    def enter(cls: _C) -> _C:
        name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", cls.__name__).lower()
        wrong = " ".join((inspect.getdoc(cls) or "").split())
        entry = Mutant(name, wrong, caught_by, tables, store, reopen, flavor or Flavor, green=green)
        if issubclass(cls, Tables):
            entry = replace(entry, tables=cls)
        elif issubclass(cls, MemoryMetadataStore):
            made_by: type[Flavor] = getattr(cls, "MADE_BY", Flavor)
            entry = replace(entry, store=cls, flavor=flavor or made_by)
        elif issubclass(cls, Flavor):
            entry = replace(entry, flavor=cls)
        elif issubclass(cls, FlavorConfig):
            entry = replace(entry, config=cls)
        else:
            entry = replace(entry, plugin=cls)
        MUTANTS.append(entry)
        return cls

    return enter


# Bases: each mutant overrides one method.


class Rows(Tables):
    """Writes other rows than it is told to."""

    def value(self, value: Any) -> Any:
        """What is written of a property's value; None for nothing."""
        return value

    def values(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """What is written of a map of properties."""
        kept = ((key, self.value(value)) for key, value in values.items())
        return {key: value for key, value in kept if value is not None}

    def insert(self, row: NodeInsert) -> NodeInsert:
        """What is written of a new node."""
        return row._replace(
            properties=self.values(row.properties),
            custom_properties=self.values(row.custom_properties),
        )

    def update(self, row: NodeUpdate, stored: AnyNode) -> NodeUpdate:
        """What is written of an update."""
        return row._replace(
            set_properties=self.values(row.set_properties),
            set_custom_properties=self.values(row.set_custom_properties),
        )

    def event(self, row: NewEvent) -> NewEvent:
        """What is written of an event."""
        return row

    def type_insert(self, row: TypeInsert) -> TypeInsert:
        """What is written of a new type."""
        return row

    def type_update(self, row: TypeUpdate) -> TypeUpdate:
        """What is written of a type that was found."""
        return row

    def apply(self, changes: Changes) -> Applied:
        """Write the rows that the methods above make of those that are given."""
        changes.type_inserts = [self.type_insert(row) for row in changes.type_inserts]
        changes.type_updates = [self.type_update(row) for row in changes.type_updates]
        for kind, inserts in changes.inserts.items():
            changes.inserts[kind] = [self.insert(row) for row in inserts]
        for kind, updates in changes.updates.items():
            changes.updates[kind] = [self.update(row, self.nodes[kind][row.id]) for row in updates]
        changes.events = [self.event(row) for row in changes.events]
        return super().apply(changes)


class Texts(Rows):
    """Writes other texts of nodes than it is told to."""

    def text(self, text: str) -> str:
        """What is written of a text."""
        return text

    def value(self, value: Any) -> Any:
        """Of the values, texts only are changed."""
        return self.text(value) if isinstance(value, str) else value

    def insert(self, row: NodeInsert) -> NodeInsert:
        """Properties, name, uri and external id."""
        return (
            super()
            .insert(row)
            ._replace(
                name=None if row.name is None else self.text(row.name),
                uri=self.text(row.uri),
                external_id=None if row.external_id is None else self.text(row.external_id),
            )
        )


class Read(Tables):
    """Reads other nodes than were written."""

    def node(self, node: Any) -> Any:
        """What is read of a node."""
        return node

    def read_nodes(self, query: NodeQuery) -> list[AnyNode]:
        """What the method above makes of the nodes."""
        return [self.node(node) for node in super().read_nodes(query)]


class Asked(Tables):
    """Answers another query for nodes than it is asked."""

    def asked(self, query: NodeQuery) -> NodeQuery:
        """The query that is answered."""
        return query

    def read_nodes(self, query: NodeQuery) -> list[AnyNode]:
        """The answer to the other query."""
        return super().read_nodes(self.asked(query))

    def count(self, query: NodeQuery) -> int:
        """The count of the other query."""
        return super().count(self.asked(query))


class Unlocked(MemoryMetadataStore):
    """Lets all threads in at once."""

    def __init__(self, tables: Tables | None = None, *, mode: OpenMode = "rw") -> None:
        super().__init__(tables, mode=mode)
        nothing: Any = nullcontext()
        self._lock = nothing


class Apart(MemoryMetadataStore):
    """Locks out the threads of its own, not those of another store over the same data."""


class UnlockedReads(Unlocked):
    """Lets readers in while there is a writer, and one writer at a time."""

    def __init__(self, tables: Tables | None = None, *, mode: OpenMode = "rw") -> None:
        super().__init__(tables, mode=mode)
        self._writing = threading.RLock()

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """A transaction that keeps out other writers."""
        with self._writing, super().transaction() as transaction:
            yield transaction


# Threads: what goes wrong when two meet must not be left to luck.

PATIENCE = 30
"""Seconds that a thread waits at most for what is sure to come, were the test as it is today."""


class Meeting:
    """The first thread that comes waits for the second one; after that nobody waits."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._come = 0
        self._second = threading.Event()

    def attend(self) -> None:
        """Wait, as the first; let the first one go, as the second."""
        with self._lock:
            self._come += 1
            come = self._come
        if come == 1:
            self._second.wait(PATIENCE)
        else:
            self._second.set()


def by_a_second_thread() -> bool:
    """Whether the thread is one that a test started."""
    return threading.current_thread() is not threading.main_thread()
