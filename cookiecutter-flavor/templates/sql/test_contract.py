"""The flavor, held to the contract; and what is its own."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from pathlib import Path

import metastore
import pytest
from metastore.testing import StoreContract

from {{cookiecutter.__package}}.config import {{cookiecutter.__class}}Config
from {{cookiecutter.__package}}.store import {{cookiecutter.__class}}MetadataStore


class Test{{cookiecutter.__class}}(StoreContract):
    """The whole contract."""

    @pytest.fixture
    def make_store(self, tmp_path: Path) -> Callable[[], metastore.BaseMetadataStore]:
        """A new, empty store a call."""
        numbers = count()

        def make() -> metastore.BaseMetadataStore:
            config = {{cookiecutter.__class}}Config(path=tmp_path / f"{next(numbers)}.db")
            return {{cookiecutter.__class}}MetadataStore.open(config)

        return make


def test_a_store_is_opened_by_its_url(tmp_path: Path) -> None:
    """What is recorded under a URL is read under it."""
    url = f"{{cookiecutter.name}}:///{(tmp_path / 'runs.db').as_posix()}"
    with metastore.connect(url) as store, store.run("train", name="first"):
        pass
    with metastore.connect(url, mode="r") as store:
        assert [run.name for run in store.runs()] == ["first"]
