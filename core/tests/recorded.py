"""For tests of what is recorded: a store, and a short way to record."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from metastore import Batch, MemoryMetadataStore, StorageError, Store, WrittenBatch

__all__ = ["Failing", "record", "store"]


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


class Failing(MemoryMetadataStore):
    """A store whose writes fail: all of them while it is `broken`, or the one that is `fail_at`."""

    broken = False
    fail_at = 0

    def write(self, batch: Batch) -> WrittenBatch:
        """Write, or fail."""
        self.fail_at -= 1
        if self.broken or self.fail_at == 0:
            raise StorageError("the disk is gone")
        return super().write(batch)
