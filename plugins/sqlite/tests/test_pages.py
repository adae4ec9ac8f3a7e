"""Pages of lists: in large stores they are neither fetched nor sorted whole, and always right."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import metastore
from metastore import (
    Filter,
    FilterError,
    MemoryMetadataStore,
    NodeKind,
    NodeQuery,
    OrderBy,
    Ref,
    Store,
    TypeKey,
)
from metastore.base import cursor_of
from metastore.sql import pages
from metastore.testing.random_filters import random_batch, random_filter
from metastore_flavor_sqlite import SQLiteConfig, SQLiteMetadataStore, _session
from metastore_flavor_sqlite._session import SQLiteSession

from .helpers import ARTIFACT, CONTEXT, sample


@pytest.fixture(scope="module")
def large() -> Iterator[Store]:
    """A store in memory with 4,000 artifacts that share everything."""
    with metastore.connect("sqlite://") as opened:
        batch = sample(count=4_000)
        batch.type(CONTEXT, "T")
        context = batch.context("T", name="shared")
        for artifact in range(4_000):
            batch.attribution(context, Ref(ARTIFACT, artifact))
        opened.write(batch)
        yield opened


@pytest.mark.parametrize("order", [*OrderBy], ids=lambda order: order.name)
@pytest.mark.parametrize(
    "narrowed",
    [
        {"type_names": ["T"]},
        {"type": TypeKey(ARTIFACT, "T")},
        {"context_ids": [1]},
        {"filter": "type = 'T'"},
        {"filter": "properties.n >= 0"},
        {"filter": "contexts_c.name = 'shared'"},
        {"filter": "create_time_since_epoch > 5"},
        {"filter": "type = 'T' AND properties.n >= 0 AND last_update_time_since_epoch > 5"},
    ],
    ids=str,
)
def test_a_page_of_very_many_is_not_sorted(
    narrowed: dict[str, Any], order: OrderBy, large: Store, plan: list[str]
) -> None:
    """Where very many nodes fulfil what is asked, a page does not fetch and sort all of them."""
    if "filter" in narrowed:
        narrowed = {"filter": Filter.parse(ARTIFACT, narrowed["filter"])}
    query = NodeQuery(ARTIFACT, order_by=order, limit=100, **narrowed)
    assert len(large.backend.find_nodes(query)) == 100
    assert [step for step in plan if "TEMP B-TREE" in step] == []


def test_a_walk_that_finds_nothing_is_given_up(
    large: Store, plan: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page whose walk takes too many steps is fetched and sorted, and is the same page."""
    filter = Filter.parse(ARTIFACT, "properties.n >= 0")
    query = NodeQuery(ARTIFACT, order_by=OrderBy.CREATE_TIME, limit=100, filter=filter)
    walked = large.backend.find_nodes(query)
    assert not any("TEMP B-TREE" in step for step in plan)
    monkeypatch.setattr(_session, "_STEPS_OF_A_WALK", 1)
    assert large.backend.find_nodes(query) == walked
    assert any("TEMP B-TREE" in step for step in plan)


def test_a_page_of_few_is_looked_up(large: Store, plan: list[str]) -> None:
    """Where few nodes fulfil what is asked, the index leads to them, whatever the order."""
    filter = Filter.parse(ARTIFACT, "properties.n = 7")
    query = NodeQuery(ARTIFACT, filter=filter, order_by=OrderBy.CREATE_TIME, limit=100)
    assert len(large.backend.find_nodes(query)) == 1
    assert any("idx_artifact_property_int" in step for step in plan)
    assert not any(step.startswith("SCAN Artifact") for step in plan)


@pytest.fixture
def plan(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """How SQLite goes about the queries that are asked for nodes, step by step."""
    steps: list[str] = []
    original = SQLiteSession.read

    def explained(self: SQLiteSession, take: Any, statement: Any, **values: Any) -> Any:
        if "ORDER BY" in statement.text:
            text = f"EXPLAIN QUERY PLAN {statement.text}"
            self.cursor.execute(text, statement.parameters(values))
            steps.extend(row[3] for row in self.cursor.fetchall())
        return original(self, take, statement, **values)

    monkeypatch.setattr(SQLiteSession, "read", explained)
    return steps


@settings(
    deadline=None,
    derandomize=bool(os.environ.get("CI")),
    max_examples=int(os.environ.get("METASTORE_TEST_FILTERS", "60")),
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(chance=st.randoms(use_true_random=False))
def test_looked_up_or_walked_is_the_same(chance: random.Random) -> None:
    """Whichever conditions are looked at node by node, a page has what the memory flavor finds."""
    ours, model = SQLiteMetadataStore.open(SQLiteConfig()), MemoryMetadataStore.open()
    batch = random_batch(chance)
    for each in (ours, model):
        each.write(batch)
    for _ in range(15):
        kind = chance.choice(list(NodeKind))
        query = random_query(chance, kind)
        if query is None:
            continue
        walked = frozenset(each for each in ("type", "context", *range(8)) if chance.random() < 0.6)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(pages, "walked_conditions", lambda *_, walked=walked: walked)
            found = [node.id for node in ours.find_nodes(query)]
        assert found == [node.id for node in model.find_nodes(query)], (query, walked)
    ours.close()


def random_query(chance: random.Random, kind: NodeKind) -> NodeQuery | None:
    """A page of what a random filter finds, mostly of a type or of some contexts too."""
    text = random_filter(chance, kind)
    try:
        filter = Filter.parse(kind, text)
    except FilterError:
        return None
    by: dict[str, Any] = chance.choice(
        [{}, {"type_names": ["T"]}, {"type": TypeKey(kind, "U", chance.choice([None, "1"]))}]
    )
    if kind is not NodeKind.CONTEXT and chance.random() < 0.3:
        by["context_ids"] = [1, 2]
    return NodeQuery(
        kind,
        filter=filter,
        order_by=chance.choice(list(OrderBy)),
        descending=chance.random() < 0.5,
        limit=chance.randint(1, 9),
        **by,
    )


def test_what_is_many_now_may_be_few_later(large: Store) -> None:
    """A page behind another one is found as that was; the first page looks anew."""
    database = large.backend._database  # type: ignore[attr-defined]
    query = NodeQuery(ARTIFACT, filter=Filter.parse(ARTIFACT, "properties.n > 3990"), limit=5)
    first = large.backend.find_nodes(query)
    behind = replace(query, after=cursor_of(first[-1], query.order_by))
    assert database.walked[next(reversed(database.walked))] == frozenset()
    database.walked[next(reversed(database.walked))] = frozenset([0])
    assert [node.id for node in large.backend.find_nodes(behind)] == [3997, 3998, 3999, 4000]
    large.backend.find_nodes(query)
    assert database.walked[next(reversed(database.walked))] == frozenset()
