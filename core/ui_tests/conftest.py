"""For all tests: nobody's own stores and settings are in reach; a store to look at."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import metastore
from metastore import MemoryMetadataStore, Store

from .client import Client
from .generated import fill


@pytest.fixture(autouse=True, scope="session")
def _nobodys_settings(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Other processes that a test starts get the same environment."""
    for name in [name for name in os.environ if name.startswith("METASTORE_")]:
        if not name.startswith("METASTORE_TEST_"):
            del os.environ[name]
    os.environ["METASTORE_CONFIG"] = str(tmp_path_factory.mktemp("config") / "config.toml")


@pytest.fixture
def store() -> Iterator[Store]:
    """An empty store in memory."""
    with Store(MemoryMetadataStore()) as opened:
        yield opened


@pytest.fixture
def client(store: Store) -> Client:
    """Its pages."""
    return Client(store)


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with some hundred runs; for reading."""
    path = tmp_path_factory.mktemp("filled") / "store.db"
    with metastore.connect(f"sqlite:///{path}") as writing:
        fill(writing, 130)
    return path


@pytest.fixture
def runs(filled: Path) -> Iterator[Client]:
    """The pages of that file."""
    with metastore.connect(f"sqlite:///{filled}", mode="r") as reading:
        yield Client(reading)
