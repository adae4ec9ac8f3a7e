"""The conformance kit, on a file and in memory."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest

from metastore import BaseMetadataStore
from metastore.testing import StoreContract
from metastore_flavor_sqlite import SQLiteConfig, SQLiteMetadataStore

from .helpers import open_file


class TestFile(StoreContract):
    """A file holds to the contract, also when it is closed and opened again."""

    @pytest.fixture
    def make_store(self, tmp_path: Path) -> Callable[[], BaseMetadataStore]:
        """A new file each time."""
        numbers = itertools.count()
        return lambda: open_file(tmp_path / f"{next(numbers)}.db")


class TestMemory(StoreContract):
    """A store in memory holds to the contract; it is gone when it is closed."""

    @pytest.fixture
    def make_store(self) -> Callable[[], BaseMetadataStore]:
        """A new store in memory each time."""
        return lambda: SQLiteMetadataStore.open(SQLiteConfig())

    @pytest.fixture
    def reopen(self) -> None:
        """There is nothing to open again."""
