"""The conformance kit, on flavors that are a few lines each."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
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


@pytest.fixture(scope="module")
def users() -> list[str]:
    """Users with an empty store."""
    return []


class TestServer(StoreContract):
    """A database on a PostgreSQL server holds to the contract."""

    @pytest.fixture
    def make_store(
        self, server: Server, users: list[str]
    ) -> Iterator[Callable[[], BaseMetadataStore]]:
        """The tables of a user of whom no store is open: a new one's, or emptied."""
        made: list[tuple[str, WarehouseMetadataStore]] = []

        def take_back() -> None:
            for user, store in list(made):
                if store._closed:
                    made.remove((user, store))
                    server.empty(user)
                    users.append(user)

        def make() -> BaseMetadataStore:
            take_back()
            user = users.pop() if users else server.new_user()
            made.append((user, WarehouseMetadataStore.open(server.config(user))))
            return made[-1][1]

        yield make
        take_back()

    @pytest.fixture
    def reopen(self, server: Server) -> Callable[[BaseMetadataStore, OpenMode], BaseMetadataStore]:
        """The same user's tables, found by the store's location."""

        def open_it(store: BaseMetadataStore, mode: OpenMode) -> BaseMetadataStore:
            user = store.location.removeprefix("warehouse://").partition("@")[0]
            return WarehouseMetadataStore.open(server.config(user), mode=mode)

        return open_it
