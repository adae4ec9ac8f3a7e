"""The conformance kit passes on stores that declare to do less, and do no more than that."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from metastore.base import BaseMetadataStore
from metastore.batch import Batch, LinkDraft, Ref, WrittenBatch
from metastore.capabilities import Capabilities
from metastore.changes import Applied, Changes, NodeInsert, NodeUpdate
from metastore.memory import MemoryMetadataStore, Tables
from metastore.model import LinkKind, NodeKind
from metastore.testing import StoreContract

pytestmark = pytest.mark.slow


class _Parts(MemoryMetadataStore):
    """Writes types before, and parent links behind, the rest."""

    CAPABILITIES = Capabilities(snapshot=True, atomic_batch="nodes")

    def write(self, batch: Batch) -> WrittenBatch:
        """Three batches, of which the later ones may fail alone."""
        types, nodes, parents = (copy.copy(batch) for _ in range(3))
        nodes.types = []
        nodes.links = batch.links | {LinkKind.PARENT: []}
        none: dict[NodeKind, Any] = {kind: [] for kind in NodeKind}
        types.nodes = parents.nodes = none
        types.events = parents.events = []
        types.links = {kind: [] for kind in LinkKind}
        parents.types = []
        of_types = super().write(types).types
        written = super().write(nodes)

        def id_of(end: Any) -> Any:
            # What is no context of this batch is left for the planner to refuse.
            is_there = (
                isinstance(end, Ref)
                and end.kind is NodeKind.CONTEXT
                and end.batch in (0, batch.number)
                and 0 <= end.index < len(written.contexts)
            )
            return written[end].id if is_there else end

        if batch.links[LinkKind.PARENT]:
            parents.links = types.links | {
                LinkKind.PARENT: [
                    LinkDraft(id_of(each.context), id_of(each.other))
                    for each in batch.links[LinkKind.PARENT]
                ]
            }
            super().write(parents)
        return WrittenBatch(of_types, written.nodes, batch.number)


class _OwnTimes(Tables):
    """Sets the times of nodes itself."""

    def apply(self, changes: Changes) -> Applied:
        """Every given time is passed over."""
        now = time.time_ns() // 1_000_000

        def inserted(row: NodeInsert) -> NodeInsert:
            return row._replace(create_time_ms=now, update_time_ms=now)

        def updated(kind: NodeKind, row: NodeUpdate) -> NodeUpdate:
            last = self.nodes[kind][row.id].update_time_ms
            return row._replace(update_time_ms=max(now, last + 1))

        own = copy.copy(changes)
        own.inserts = {kind: [*map(inserted, rows)] for kind, rows in changes.inserts.items()}
        own.updates = {
            kind: [updated(kind, row) for row in rows] for kind, rows in changes.updates.items()
        }
        return super().apply(own)


class _SixDigits(Tables):
    """Keeps six digits of a double."""

    def apply(self, changes: Changes) -> Applied:
        """Doubles are rounded, in structs too."""
        own = copy.copy(changes)
        own.inserts = {
            kind: [
                row._replace(
                    properties=_rounded(row.properties),
                    custom_properties=_rounded(row.custom_properties),
                )
                for row in rows
            ]
            for kind, rows in changes.inserts.items()
        }
        own.updates = {
            kind: [
                row._replace(
                    set_properties=_rounded(row.set_properties),
                    set_custom_properties=_rounded(row.set_custom_properties),
                )
                for row in rows
            ]
            for kind, rows in changes.updates.items()
        }
        return super().apply(own)


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, list):
        return [_rounded(each) for each in value]
    if hasattr(value, "items"):
        return {key: _rounded(each) for key, each in value.items()}
    return value


class _SetsTimes(MemoryMetadataStore):
    CAPABILITIES = replace(MemoryMetadataStore.CAPABILITIES, given_times=False)


class _Rounds(MemoryMetadataStore):
    CAPABILITIES = replace(MemoryMetadataStore.CAPABILITIES, exact_doubles=False)


class _InMemory(StoreContract):
    """What the three have in common."""

    @pytest.fixture
    def reopen(self) -> None:
        """There is nothing to open again."""


class TestParts(_InMemory):
    """A store whose batches are not atomic, but for their nodes."""

    @pytest.fixture
    def make_store(self) -> Callable[[], BaseMetadataStore]:
        """A new store a call."""
        return _Parts


class TestOwnTimes(_InMemory):
    """A store that sets times itself."""

    @pytest.fixture
    def make_store(self) -> Callable[[], BaseMetadataStore]:
        """A new store a call."""
        return lambda: _SetsTimes(_OwnTimes())


class TestSixDigits(_InMemory):
    """A store that rounds doubles."""

    @pytest.fixture
    def make_store(self) -> Callable[[], BaseMetadataStore]:
        """A new store a call."""
        return lambda: _Rounds(_SixDigits())
