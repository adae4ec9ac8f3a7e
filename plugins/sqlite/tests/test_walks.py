"""Walks over events, for lineage: one statement, except where that would take longer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import metastore
from metastore import Store, WalkQuery, Way
from metastore.base import BaseMetadataStore
from metastore.query import walked
from metastore.testing.lineage import history
from metastore_flavor_sqlite._database import SQLiteDatabase
from metastore_flavor_sqlite._session import SQLiteSession

from .helpers import ARTIFACT

STEPS = 60


@pytest.fixture
def store() -> Iterator[Store]:
    """A store in memory."""
    with metastore.connect("sqlite://") as opened:
        yield opened


class Asked:
    """What was asked: how many queries, and how many of them were given up."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.queries = self.given_up = 0
        read, soon = SQLiteSession.read, SQLiteSession.rows_soon

        def watched_read(session: SQLiteSession, *arguments: Any, **values: Any) -> Any:
            self.queries += 1
            return read(session, *arguments, **values)

        def watched_soon(session: SQLiteSession, *arguments: Any, **values: Any) -> Any:
            rows = soon(session, *arguments, **values)
            self.given_up += rows is None
            return rows

        monkeypatch.setattr(SQLiteSession, "read", watched_read)
        monkeypatch.setattr(SQLiteSession, "rows_soon", watched_soon)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    """What is asked from now on."""
    return Asked(monkeypatch)


@pytest.mark.parametrize("hops", [None, 40])
def test_a_walk_is_one_question(store: Store, asked: Asked, hops: int | None) -> None:
    """However far a walk goes, its events and their paths are one question to the file."""
    store.write(history(STEPS, reads_all=False))
    for start, way in ((1, Way.ALL), (STEPS, Way.UP)):
        asked.queries = 0
        found = store.backend.walk_events(WalkQuery(ARTIFACT, [start], way, hops))
        assert len(found) == (hops or 2 * STEPS - 1) + (way is Way.ALL and hops is not None)
        assert any(event.path == ("model", 0) for event in found)
        assert asked.queries == 1


def test_a_walk_goes_very_far(store: Store) -> None:
    """A history of thousands of steps is walked to its beginning."""
    store.write(history(3_000, reads_all=False))
    assert len(store.backend.walk_events(WalkQuery(ARTIFACT, [3_000], Way.UP))) == 5_999


def test_a_walk_over_many_ways_goes_hop_by_hop(store: Store, asked: Asked) -> None:
    """Where very many ways of different length lead to the same nodes, as where each step reads all
    that was made before, a walk of so many hops is given up, and done a hop at a time.
    """
    store.write(history(STEPS, reads_all=True))
    for way in (Way.UP, Way.DOWN, Way.ALL):
        query = WalkQuery(ARTIFACT, [STEPS if way is Way.UP else 1], way, 50)
        found = store.backend.walk_events(query)
        assert sorted(found) == sorted(walked(store.backend, query))
        assert len(found) == STEPS * (STEPS + 1) / 2 - (way is Way.DOWN)
    assert asked.given_up == 3


def test_walks_are_not_given_up_by_chance(store: Store, asked: Asked) -> None:
    """A short walk is never given up, however often it was done before."""
    store.write(history(STEPS, reads_all=False))
    for _ in range(200):
        store.backend.walk_events(WalkQuery(ARTIFACT, [STEPS], Way.UP, 40))
    assert asked.given_up == 0


def test_an_old_sqlite_is_asked_hop_by_hop(
    store: Store, asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where SQLite cannot walk, lineage is the same, and takes a question a hop."""
    store.write(history(STEPS, reads_all=False))
    query = WalkQuery(ARTIFACT, [STEPS], Way.UP, 40)
    expected = store.backend.walk_events(query)
    monkeypatch.setattr(SQLiteDatabase, "can_walk", False)
    asked.queries = 0
    assert sorted(store.backend.walk_events(query)) == sorted(expected)
    assert sorted(BaseMetadataStore.walk_events(store.backend, query)) == sorted(expected)
    assert asked.queries == 80
