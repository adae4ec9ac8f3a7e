"""Filters that the servers would answer in their own way."""

from __future__ import annotations

from contextlib import closing

import pytest
from sqlalchemy import text

from metastore import Batch, Filter, NodeKind, NodeQuery, OrderBy
from metastore.sql import Session
from metastore.sql.database import Statement
from metastore_flavor_mysql import MySQLMetadataStore, _database

from .servers import Server

ARTIFACT = NodeKind.ARTIFACT


@pytest.mark.parametrize(
    ("filter", "expected"),
    [
        ("custom_properties.n.int_value IN (0.5, -1)", [-1]),
        ("custom_properties.n.int_value = 0.5 OR custom_properties.n.int_value = 1", [1]),
        ("custom_properties.n.int_value = 1.0 OR custom_properties.n.int_value = -1", [-1, 1]),
        ("custom_properties.n.int_value > 0.5 OR custom_properties.n.int_value = -1", [-1, 1]),
        ("custom_properties.n.int_value != 0.5", [-1, 0, 1]),
        ("id = 0.5 OR id < 0", []),
    ],
)
def test_whole_numbers_are_no_fractions(mariadb: Server, filter: str, expected: list[int]) -> None:
    """A whole number is not equal to a fraction, whatever the server rounds in a list of them."""
    with closing(MySQLMetadataStore.open(mariadb.config(mariadb.new_database()))) as store:
        batch = Batch()
        batch.type(ARTIFACT, "T")
        for number in (-1, 0, 1):
            batch.artifact("T", custom_properties={"n": number})
        store.write(batch)
        query = NodeQuery(ARTIFACT, filter=Filter.parse(ARTIFACT, filter))
        found = [node.custom_properties["n"] for node in store.find_nodes(query)]
    assert found == expected


@pytest.mark.parametrize("server", ["mariadb", "mysql9"])
def test_a_statement_that_takes_long_is_stopped(
    server: str, request: pytest.FixtureRequest
) -> None:
    """A walk that finds nothing is given up after some milliseconds, in a session that goes on."""
    place: Server = request.getfixturevalue(server)
    with closing(MySQLMetadataStore.open(place.config(place.new_database()))) as store:
        batch = Batch()
        batch.type(ARTIFACT, "T")
        for number in range(3_000):
            batch.artifact("T", custom_properties={"n": number})
        store.write(batch)
        database = store._database
        of_all = text(
            "SELECT count(*) FROM ArtifactProperty a, ArtifactProperty b, ArtifactProperty c "
            "WHERE a.int_value + b.int_value + c.int_value < 0"
        )
        with database.session(write=False) as session:
            soon = session.rows_soon(Statement(text("SELECT 1"), database.dialect))
            assert soon is not None
            assert list(soon) == [(1,)]
            assert session.rows_soon(Statement(of_all, database.dialect)) is None
            after = session.rows(Statement(text("SELECT 2"), database.dialect))
            assert list(after) == [(2,)]


def test_matches_at_the_far_end_are_found(mariadb: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page whose walk was given up is the page that a walk finds, and so are those behind it."""
    with closing(MySQLMetadataStore.open(mariadb.config(mariadb.new_database()))) as store:
        batch = Batch()
        batch.type(ARTIFACT, "T")
        for number in range(6_000):
            batch.artifact("T", custom_properties={"n": number}, create_time_ms=number + 1)
        store.write(batch)
        stopped = []

        def never(self: Session, statement: Statement, **values: object) -> None:
            stopped.append(statement)

        filter = Filter.parse(ARTIFACT, "custom_properties.n.int_value < 3000")
        query = NodeQuery(
            ARTIFACT, filter=filter, order_by=OrderBy.CREATE_TIME, descending=True, limit=100
        )
        walked = list(store.iterate(query))
        monkeypatch.setattr(_database._Session, "rows_soon", never)
        assert list(store.iterate(query)) == walked
        assert stopped
    assert [node.custom_properties["n"] for node in walked] == list(range(2_999, 2_899, -1))
