"""Filters that the servers would answer in their own way."""

from __future__ import annotations

from contextlib import closing

import pytest

from metastore import Batch, Filter, NodeKind, NodeQuery
from metastore_flavor_mysql import MySQLMetadataStore

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
