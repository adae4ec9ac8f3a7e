"""Walks over events, for lineage: one statement, except where that would take longer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from metastore import NodeKind, WalkQuery, Way
from metastore.base import BaseMetadataStore
from metastore.query import walked
from metastore.testing.lineage import history
from metastore_flavor_mysql import MySQLMetadataStore
from metastore_flavor_mysql._database import MySQLDatabase, _Session

from .servers import Server

ARTIFACT, EXECUTION = NodeKind.ARTIFACT, NodeKind.EXECUTION
STEPS = 60


@pytest.fixture(params=["mariadb", "mysql9"])
def store(request: pytest.FixtureRequest) -> Iterator[BaseMetadataStore]:
    """An empty store on each server."""
    server: Server = request.getfixturevalue(request.param)
    with closing(MySQLMetadataStore.open(server.config())) as store:
        yield store


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """The queries that are asked from now on: whether each was given up."""
    answered: list[bool] = []
    rows, soon = _Session.rows, _Session.rows_soon

    def watched_rows(session: _Session, *arguments: Any, **values: Any) -> Any:
        answered.append(False)
        return rows(session, *arguments, **values)

    def watched_soon(session: _Session, *arguments: Any, **values: Any) -> Any:
        found = soon(session, *arguments, **values)
        answered[-1] = found is None
        return found

    monkeypatch.setattr(_Session, "rows", watched_rows)
    monkeypatch.setattr(_Session, "rows_soon", watched_soon)
    return answered


@pytest.mark.parametrize("hops", [None, 40])
def test_a_walk_is_one_question(
    store: BaseMetadataStore, asked: list[bool], hops: int | None
) -> None:
    """However far a walk goes, its events and their paths are one way to the server."""
    store.write(history(STEPS, reads_all=False))
    for start, way in ((1, Way.ALL), (STEPS, Way.UP)):
        asked.clear()
        found = store.walk_events(WalkQuery(ARTIFACT, [start], way, hops))
        assert len(found) == (hops or 2 * STEPS - 1) + (way is Way.ALL and hops is not None)
        assert any(event.path == ("model", 0) for event in found)
        assert asked == [False]


def test_a_walk_goes_very_far(store: BaseMetadataStore) -> None:
    """A history of more steps than the server's own limit of recursion is walked to its beginning;
    MariaDB would leave out the rest without a word.
    """
    store.write(history(700, reads_all=False))
    assert len(store.walk_events(WalkQuery(ARTIFACT, [700], Way.UP))) == 1_399


def test_a_walk_that_takes_long_goes_hop_by_hop(
    store: BaseMetadataStore, asked: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where very many ways of different length lead to the same nodes, as where each step reads all
    that was made before, a walk of so many hops is given up, and done a hop at a time.
    """
    store.write(history(STEPS, reads_all=True))
    monkeypatch.setattr("metastore_flavor_mysql._database._WALK", 1)
    asked.clear()
    query = WalkQuery(ARTIFACT, [STEPS], Way.UP, 50)
    found = store.walk_events(query)
    assert asked.count(True) == 1
    assert asked[0]
    assert sorted(found) == sorted(walked(store, query))
    assert len(found) == STEPS * (STEPS + 1) / 2


def test_an_old_server_is_asked_hop_by_hop(
    mariadb: Server, asked: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the server cannot walk, lineage is the same, and takes a question a hop."""
    with closing(MySQLMetadataStore.open(mariadb.config())) as store:
        store.write(history(STEPS, reads_all=False))
        query = WalkQuery(ARTIFACT, [STEPS], Way.UP, 40)
        expected = store.walk_events(query)
        monkeypatch.setattr(MySQLDatabase, "can_walk", False)
        asked.clear()
        assert sorted(store.walk_events(query)) == sorted(expected)
        assert len(asked) == 40
