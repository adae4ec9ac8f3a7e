"""The conformance kit, on flavors that are a few lines each."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest

from metastore import BaseMetadataStore, OpenMode
from metastore.testing import StoreContract

from .box.config import BoxConfig
from .box.store import BoxMetadataStore
from .server import Server
from .warehouse.store import WarehouseMetadataStore


class TestFile(StoreContract):
    """An SQLite file through SQLAlchemy holds to the contract."""

    @pytest.fixture
    def make_store(self, tmp_path: Path) -> Callable[[], BaseMetadataStore]:
        """A new file each time."""
        numbers = itertools.count()
        return lambda: BoxMetadataStore.open(BoxConfig(path=tmp_path / f"{next(numbers)}.db"))

    @pytest.fixture
    def reopen(self) -> Callable[[BaseMetadataStore, OpenMode], BaseMetadataStore]:
        """The same file, found by the store's location."""

        def open_it(store: BaseMetadataStore, mode: OpenMode) -> BaseMetadataStore:
            path = Path(store.location.removeprefix("box:///"))
            return BoxMetadataStore.open(BoxConfig(path=path), mode=mode)

        return open_it


class TestServer(StoreContract):
    """A database on a PostgreSQL server holds to the contract."""

    @pytest.fixture
    def make_store(self, server: Server) -> Callable[[], BaseMetadataStore]:
        """A new user's tables each time."""
        return lambda: WarehouseMetadataStore.open(server.config())

    @pytest.fixture
    def reopen(self, server: Server) -> Callable[[BaseMetadataStore, OpenMode], BaseMetadataStore]:
        """The same user's tables, found by the store's location."""

        def open_it(store: BaseMetadataStore, mode: OpenMode) -> BaseMetadataStore:
            user = store.location.removeprefix("warehouse://").partition("@")[0]
            return WarehouseMetadataStore.open(server.config(user), mode=mode)

        return open_it
