"""The conformance kit, on flavors that are a few lines each."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from metastore import BaseMetadataStore
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


@pytest.fixture(scope="module")
def users() -> list[str]:
    """Users with an empty store."""
    return []


class TestServer(StoreContract):
    """A database on a PostgreSQL server holds to the contract."""

    @pytest.fixture
    def make_store(
        self, server: Server, users: list[str], request: pytest.FixtureRequest
    ) -> Iterator[Callable[[], BaseMetadataStore]]:
        """The tables of a user of whom no store is open: a new one's, or emptied."""
        made: list[tuple[str, WarehouseMetadataStore]] = []
        # Emptied tables are a store, and this one is about where there is none.
        anew = request.node.originalname == "test_reading_creates_nothing"

        def take_back() -> None:
            for user, store in list(made):
                if store._closed:
                    made.remove((user, store))
                    server.empty(user)
                    users.append(user)

        def make() -> BaseMetadataStore:
            take_back()
            user = users.pop() if users and not anew else server.new_user()
            made.append((user, WarehouseMetadataStore.open(server.config(user))))
            return made[-1][1]

        yield make
        take_back()
