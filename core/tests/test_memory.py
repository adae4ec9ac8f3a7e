"""The memory flavor, held to the contract."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from metastore.base import BaseMetadataStore
from metastore.batch import Batch
from metastore.errors import ReadOnlyError
from metastore.memory import MemoryMetadataStore, Tables
from metastore.model import NodeKind
from metastore.plugins._memory_config import MemoryConfig
from metastore.query import NodeQuery
from metastore.testing import StoreContract
from metastore.testing._base import Reopen


class TestOpened(StoreContract):
    """A store as users open it; when it is closed, its data are gone."""

    @pytest.fixture
    def make_store(self) -> Callable[[], BaseMetadataStore]:
        """A new store a call."""
        return lambda: MemoryMetadataStore.open(MemoryConfig())

    @pytest.fixture
    def reopen(self) -> None:
        """There is nothing to open again."""


class TestMemory(StoreContract):
    """The whole contract; a store is opened again over the tables of the first."""

    @pytest.fixture
    def tables(self) -> dict[BaseMetadataStore, Tables]:
        """The tables of the stores of a test, which the stores themselves forget when closed."""
        return {}

    @pytest.fixture
    def make_store(
        self, tables: dict[BaseMetadataStore, Tables]
    ) -> Callable[[], BaseMetadataStore]:
        """A new store a call."""

        def make() -> BaseMetadataStore:
            own = Tables()
            store = MemoryMetadataStore(own)
            tables[store] = own
            return store

        return make

    @pytest.fixture
    def reopen(self, tables: dict[BaseMetadataStore, Tables]) -> Reopen:
        """Another store over the same tables."""
        return lambda store, mode: MemoryMetadataStore(tables[store], mode=mode)


def test_open_makes_stores_of_their_own() -> None:
    """Every `open` is a new store, in the mode that was asked for."""
    with pytest.raises(ReadOnlyError):
        MemoryMetadataStore.open(mode="r").write(Batch())
    assert MemoryMetadataStore.open() is not MemoryMetadataStore.open()


def _names(store: MemoryMetadataStore) -> list[str | None]:
    return [node.name for node in store.read_nodes(NodeQuery(NodeKind.ARTIFACT))]


def _add(store: MemoryMetadataStore, name: str) -> None:
    batch = Batch()
    batch.type(NodeKind.ARTIFACT, "T")
    batch.artifact("T", name=name)
    store.write(batch)


def test_a_transaction_inside_another_is_part_of_it() -> None:
    """What an inner transaction wrote goes with the outer one; one that failed is gone already."""
    store = MemoryMetadataStore.open()
    _add(store, "before")

    def write(*, fail: bool) -> None:
        with store.transaction():
            _add(store, "first")
            with pytest.raises(ZeroDivisionError), store.transaction():
                _add(store, "inner")
                raise ZeroDivisionError
            assert _names(store) == ["before", "first"]
            _add(store, "last")
            if fail:
                raise KeyError

    with pytest.raises(KeyError):
        write(fail=True)
    assert _names(store) == ["before"]
    write(fail=False)
    assert _names(store) == ["before", "first", "last"]
