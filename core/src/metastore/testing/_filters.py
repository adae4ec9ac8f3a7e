"""Section 8 of the contract: filters."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import replace
from itertools import islice
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metastore.base import BaseMetadataStore, filtered
from metastore.batch import Batch
from metastore.errors import FilterError, InvalidError
from metastore.memory import MemoryMetadataStore
from metastore.model import (
    AnyNode,
    ArtifactState,
    EventType,
    ExecutionState,
    NodeKind,
    PropertyKind,
)
from metastore.query import Cursor, Filter, NodeQuery, OrderBy
from metastore.testing._base import ARTIFACT, CONTEXT, EXECUTION, ContractBase, MakeStore, needs
from metastore.testing.random_filters import random_batch, random_filter

__all__ = ["FilterContract", "compare_filters"]

EXAMPLES = int(os.environ.get("METASTORE_TEST_FILTERS", "60"))
"""Random stores; each is asked 25 filters."""


_Ids = dict[NodeKind, list[int]]


def _world(store: BaseMetadataStore) -> _Ids:
    """Artifacts 1 to 4, executions 1 and 2, contexts 1 to 3 of which 1 is the parent of 2.

    These are their numbers, in their order; which ids a store gives them is its own affair.
    """
    batch = Batch()
    properties = {
        "n": PropertyKind.INT,
        "x": PropertyKind.DOUBLE,
        "s": PropertyKind.STRING,
        "b": PropertyKind.BOOLEAN,
    }
    for kind in NodeKind:
        batch.type(kind, "T", properties)
    batch.type(ARTIFACT, "Other")
    a1 = batch.artifact(
        "T",
        name="a",
        uri="u/1",
        state=ArtifactState.LIVE,
        properties={"n": 1, "x": 0.5, "s": "one", "b": True},
        custom_properties={"k": 1, "two words": "w"},
    )
    a2 = batch.artifact(
        "T", name="B", uri="u_2", properties={"n": 2}, custom_properties={"k": "text"}
    )
    batch.artifact("Other", name="a%", uri="u/3", external_id="x", state=ArtifactState.DELETED)
    batch.artifact("T", properties={"s": "", "b": False, "x": 2.0})
    e1 = batch.execution("T", name="e1", state=ExecutionState.COMPLETE)
    e2 = batch.execution("T", name="e2")
    c1 = batch.context("T", name="pipeline")
    c2 = batch.context("T", name="run 1")
    c3 = batch.context("T", name="run 2")
    batch.event(a1, e1, EventType.OUTPUT, time_ms=5)
    batch.event(a1, e2, EventType.INPUT, time_ms=7)
    batch.event(a2, e2, EventType.OUTPUT, time_ms=9)
    for context, artifact in ((c1, a1), (c2, a1), (c1, a2), (c3, a2)):
        batch.attribution(context, artifact)
    batch.association(c2, e1)
    batch.parent(c2, c1)
    written = store.write(batch)
    return {
        kind: [each.id for each in written.nodes[kind]] for kind in (ARTIFACT, EXECUTION, CONTEXT)
    }


def _with_ids(text: str, ids: _Ids) -> str:
    """The text with ids in the places of ``#a1``, artifact 1, and ``#e2``, execution 2."""
    kinds = {"a": ARTIFACT, "e": EXECUTION}
    return re.sub(r"#([ae])(\d)", lambda found: str(ids[kinds[found[1]]][int(found[2]) - 1]), text)


def _numbers(nodes: Iterable[AnyNode], ids: list[int]) -> list[int]:
    return [ids.index(node.id) + 1 for node in nodes]


CASES: list[tuple[NodeKind, str, list[int]]] = [
    (ARTIFACT, "id = #a2", [2]),
    (ARTIFACT, "id > #a1 AND id <= #a3", [2, 3]),
    (ARTIFACT, "id BETWEEN #a2 AND #a3", [2, 3]),
    (ARTIFACT, "id NOT BETWEEN #a2 AND #a3", [1, 4]),
    (ARTIFACT, "id IN (#a1, #a4, 123456789)", [1, 4]),
    (ARTIFACT, "id + 1 = #a2 + 1 OR id * 2 = #a4 * 2 OR - id = - #a1", [1, 2, 4]),
    (ARTIFACT, "name = 'a'", [1]),
    (ARTIFACT, "name IN ('a', 'B')", [1, 2]),
    (ARTIFACT, "name NOT IN ('a')", [2, 3]),
    (ARTIFACT, "NOT name = 'a'", [2, 3]),
    (ARTIFACT, "name IS NULL", [4]),
    (ARTIFACT, "name < 'a'", [2]),
    (ARTIFACT, "name LIKE 'A%'", [1, 3]),
    (ARTIFACT, r"name LIKE 'a\\%'", [3]),
    (ARTIFACT, r"uri LIKE 'u\\_2' OR uri LIKE '%3'", [2, 3]),
    (ARTIFACT, "LOWER(name) = 'b' OR LENGTH(name) = 2", [2, 3]),
    (ARTIFACT, "COALESCE(name, 'none') = 'none'", [4]),
    (ARTIFACT, "type = 'Other'", [3]),
    (ARTIFACT, "type != 'Other' AND external_id IS NULL", [1, 2, 4]),
    (ARTIFACT, "external_id = 'x'", [3]),
    (ARTIFACT, "state = LIVE", [1]),
    (ARTIFACT, "state != LIVE", [2, 3, 4]),
    (ARTIFACT, "state IN (LIVE, DELETED)", [1, 3]),
    (ARTIFACT, "state NOT IN (LIVE, DELETED)", [2, 4]),
    (ARTIFACT, "state IS NULL", [2, 4]),
    (ARTIFACT, "properties.n.int_value = 1", [1]),
    (ARTIFACT, "properties.n >= 1", [1, 2]),
    (ARTIFACT, "properties.x > 0.5", [4]),
    (ARTIFACT, "properties.x = 2", [4]),
    (ARTIFACT, "properties.s = ''", [4]),
    (ARTIFACT, "properties.b", [1]),
    (ARTIFACT, "NOT properties.b", [4]),
    (ARTIFACT, "properties.b != TRUE", [4]),
    (ARTIFACT, "properties.n IS NULL", [3, 4]),
    (ARTIFACT, "properties.zz IS NOT NULL", []),
    (ARTIFACT, "custom_properties.k = 1", [1]),
    (ARTIFACT, "custom_properties.k = 'text'", [2]),
    (ARTIFACT, "custom_properties.k IS NOT NULL", [1, 2]),
    (ARTIFACT, "custom_properties.`two words`.string_value = 'w'", [1]),
    (ARTIFACT, "properties.n.int_value = custom_properties.k.int_value", [1]),
    (ARTIFACT, "properties.n = 1 OR name = 'a%'", [1, 3]),
    (ARTIFACT, "contexts_a.name = 'pipeline'", [1, 2]),
    (ARTIFACT, "contexts_a.name = 'pipeline' AND contexts_a.name LIKE 'run%'", []),
    (ARTIFACT, "contexts_a.name = 'pipeline' AND contexts_b.name = 'run 2'", [2]),
    (ARTIFACT, "contexts_a.name != 'pipeline'", [1, 2]),
    (ARTIFACT, "contexts_a.id IS NULL", [3, 4]),
    (ARTIFACT, "contexts_a.name = 'run 1' OR name = 'a%'", [1, 3]),
    (ARTIFACT, "contexts_a.id < contexts_b.id AND contexts_b.name = 'run 1'", [1]),
    (ARTIFACT, "events_0.type = INPUT", [1]),
    (ARTIFACT, "events_0.type = OUTPUT AND events_0.execution_id = #e2", [2]),
    (ARTIFACT, "events_0.milliseconds_since_epoch > 6", [1, 2]),
    (EXECUTION, "last_known_state = COMPLETE", [1]),
    (EXECUTION, "state != COMPLETE", [2]),
    (EXECUTION, "contexts_a.name = 'run 1'", [1]),
    (EXECUTION, "events_0.artifact_id = #a1 AND events_0.type = INPUT", [2]),
    (CONTEXT, "artifacts_a.name = 'B'", [1, 3]),
    (CONTEXT, "executions_a.last_known_state = COMPLETE", [2]),
    (CONTEXT, "parent_contexts_p.name = 'pipeline'", [2]),
    (CONTEXT, "child_contexts_c.name = 'run 1'", [1]),
    (CONTEXT, "artifacts_a.state = LIVE AND artifacts_a.uri LIKE 'u/%'", [1, 2]),
    (CONTEXT, "TRUE", [1, 2, 3]),
]


class FilterContract(ContractBase):
    """What a filter finds."""

    @pytest.mark.parametrize(
        ("kind", "text", "expected"),
        CASES,
        ids=[f"{kind.label}: {text}" for kind, text, _ in CASES],
    )
    def test_filters(
        self, store: BaseMetadataStore, kind: NodeKind, text: str, expected: list[int]
    ) -> None:
        """A filter finds the nodes of which it is true, counted and listed. [8.16]

        On failure: without `native_filter`, core evaluates the filter on what `read_nodes`,
        `read_events` and `read_links` give: their own tests come first. With it, look at your
        translation of the operator in the test's id; NULL is neither true nor false, and LIKE takes
        a to z for A to Z.
        """
        ids = _world(store)
        query = NodeQuery(kind, filter=Filter.parse(kind, _with_ids(text, ids)))
        assert _numbers(store.find_nodes(query), ids[kind]) == expected
        assert store.count(query) == len(expected)

    def test_filters_and_other_conditions(self, store: BaseMetadataStore) -> None:
        """A filter narrows what other conditions leave, in their order and pages. [8.16, 8.9]

        On failure: with `native_filter`, put the filter in parentheses beside the other conditions,
        and apply `limit` behind it. Without, look at `read_nodes` with `descending` and `after`, by
        which the next page is read.
        """
        ids = _world(store)
        query = NodeQuery(
            ARTIFACT,
            type_names=["T"],
            filter=Filter.parse(ARTIFACT, "properties.zz IS NULL"),
            order_by=OrderBy.ID,
            descending=True,
            limit=2,
        )
        page = store.find_nodes(query)
        assert _numbers(page, ids[ARTIFACT]) == [4, 2]
        assert _numbers(store.iterate(query, page_size=1), ids[ARTIFACT]) == [4, 2]

    def test_a_filter_for_another_kind(self, store: BaseMetadataStore) -> None:
        """A filter for nodes of another kind is InvalidError. [8.16]

        On failure: making the `NodeQuery` raises before your store is asked, so that no flavor can
        fail here. Look whether your tests replace `Filter` or `NodeQuery`.
        """
        with pytest.raises(InvalidError):
            store.find_nodes(NodeQuery(CONTEXT, filter=Filter.parse(ARTIFACT, "id = 1")))

    @settings(
        deadline=None,
        derandomize=bool(os.environ.get("CI")),
        max_examples=EXAMPLES,
        database=None,
        suppress_health_check=[
            HealthCheck.function_scoped_fixture,
            HealthCheck.differing_executors,
            HealthCheck.too_slow,
            HealthCheck.data_too_large,
            HealthCheck.large_base_example,
        ],
    )
    @given(chance=st.randoms(use_true_random=False))
    def test_random_filters(self, make_store: MakeStore, chance: Random) -> None:
        """Random filters find in random stores what their evaluation in Python finds. [8.16]

        On failure: the message shows the filter: ask your store for its parts, one by one, until
        one alone differs. Usual causes in a translation are NULL under NOT and IN, texts not
        compared by code points, and integers beyond 64 bits.
        """
        store = make_store()
        try:
            for capability, wanted in (
                ("given_times", True),
                ("exact_doubles", True),
                ("atomic_batch", "full"),
            ):
                needs(store, capability, wanted)
            compare_filters(store, chance)
        finally:
            store.close()

    def test_counts_of_filters_and_other_conditions(self, store: BaseMetadataStore) -> None:
        """A count with a filter counts the nodes that fulfil the other conditions as well, and
        no page. [8.11, 8.16]

        On failure: look at how `count` puts a filter and the other conditions together. The count
        of `BaseMetadataStore` is right for every flavor, if slow.
        """
        ids = _world(store)
        first, _, _, fourth = ids[ARTIFACT]
        filter = Filter.parse(ARTIFACT, "properties.zz IS NULL")
        contexts = [node.id for node in store.find_nodes(NodeQuery(CONTEXT))]
        conditions: list[tuple[dict[str, Any], int]] = [
            ({}, 4),
            ({"type_names": ["T"]}, 3),
            ({"names": ["a", "a%", "none"]}, 2),
            ({"ids": [first, fourth]}, 2),
            ({"context_ids": contexts}, 2),
            ({"uris": []}, 0),
            ({"type_names": ["T"], "limit": 1}, 3),
            ({"type_names": ["T"], "limit": 1, "after": Cursor(first, first)}, 3),
        ]
        for each, expected in conditions:
            assert store.count(NodeQuery(ARTIFACT, filter=filter, **each)) == expected

    def test_a_filter_comes_before_the_limit(self, store: BaseMetadataStore) -> None:
        """A page is the first `limit` nodes for which the filter holds, not those of the first
        `limit` nodes for which it does. [8.9, 8.16]

        On failure: look at where the filter stands beside LIMIT and the cursor: it is a condition
        like the others, and a page that is filtered once it is read comes out too short.
        """
        ids = _world(store)
        filter = Filter.parse(ARTIFACT, "properties.n >= 1")
        for order_by in OrderBy:
            for descending in (False, True):
                query = NodeQuery(ARTIFACT, filter=filter, order_by=order_by, descending=descending)
                # No more than the nodes that there are: pages may come again and again.
                some = islice(store.iterate(query, page_size=1), 4)
                found = _numbers(some, ids[ARTIFACT])
                assert found == ([2, 1] if descending else [1, 2])
                page = store.find_nodes(replace(query, limit=1))
                assert _numbers(page, ids[ARTIFACT]) == found[:1]


def compare_filters(
    store: BaseMetadataStore, chance: Random, *, count: int = 25, **words: Any
) -> int:
    """Fill a new store at random and ask it random filters; how many were right and are alike.

    Fails at the first one for which the store finds other nodes than the memory flavor, whose
    filters are evaluated in Python.
    """
    model, alike = MemoryMetadataStore.open(), 0
    batch = random_batch(chance, **words)
    for each in (store, model):
        each.write(batch)
    for _ in range(count):
        kind = chance.choice(list(NodeKind))
        text = random_filter(chance, kind, **words)
        try:
            filter = Filter.parse(kind, text)
        except FilterError:
            # Too many neighbours that depend on one another, mostly.
            continue
        query = NodeQuery(kind, filter=filter)
        found = [node.id for node in store.find_nodes(query)]
        # Filters speak of ids: where the store gives others, it is compared with what Python makes
        # of its own nodes.
        alike_ids = all(
            [each.id for each in store.read_nodes(NodeQuery(every))]
            == [each.id for each in model.read_nodes(NodeQuery(every))]
            for every in NodeKind
        )
        expected = [node.id for node in filtered(model if alike_ids else store, query)]
        assert found == expected, f"{kind.label}s where {text}"
        alike += 1
    model.close()
    return alike
