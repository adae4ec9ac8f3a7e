"""The memory flavor, held to the contract."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from metastore.base import BaseMetadataStore
from metastore.memory import MemoryMetadataStore, Tables
from metastore.testing import StoreContract
from metastore.testing._base import Reopen


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
    with pytest.raises(Exception, match="reading only"):
        MemoryMetadataStore.open(mode="r").transaction().__enter__()
    assert MemoryMetadataStore.open() is not MemoryMetadataStore.open()
