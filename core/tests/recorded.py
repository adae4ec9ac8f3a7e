"""For tests of what is recorded: a store, and a short way to record."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from metastore import MemoryMetadataStore, Store

__all__ = ["record", "store"]


@pytest.fixture
def store() -> Iterator[Store]:
    """An empty store in memory."""
    with Store(MemoryMetadataStore()) as opened:
        yield opened


def record(store: Store, **step: Any) -> Any:
    """A run with one step that has one output, which gets `step`; the step as it is read."""
    with store.run("p") as run, run.step("s") as recorder:
        recorder.output("out", **step)
    return store.find_run(run.id).steps["s"]
