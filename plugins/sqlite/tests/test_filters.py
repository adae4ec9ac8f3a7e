"""Filters on SQLite, beyond what every flavor must do: odd texts, hostile ones, statements."""

from __future__ import annotations

import math
import os
import random
import signal
from collections.abc import Iterator
from types import FrameType

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metastore import Batch, Filter, FilterError, MetastoreError, NodeKind, NodeQuery, PropertyKind
from metastore.testing import compare_filters
from metastore.testing.random_filters import Words
from metastore_flavor_sqlite import SQLiteConfig, SQLiteMetadataStore

from .helpers import ARTIFACT

ODD = Words(
    texts=(
        "a\0b",
        "a",
        "\0",
        "A",
        "",
        "\u202e",
        "e\u0301",
        "é",
        "ﬁ",
        "ß",
        "İ",
        "\U0001f600",
        "x" * 9,
    ),
    doubles=(0.0, -0.0, math.inf, -math.inf, 1.5, 5e-324, 1.7976931348623157e308),
)


@settings(
    deadline=None,
    derandomize=bool(os.environ.get("CI")),
    max_examples=int(os.environ.get("METASTORE_TEST_FILTERS", "40")),
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(chance=st.randoms(use_true_random=False))
def test_filters_on_odd_values(chance: random.Random) -> None:
    """NULs, infinities and letters of every sort make no difference between SQL and Python."""
    store = SQLiteMetadataStore.open(SQLiteConfig())
    compare_filters(store, chance, words=ODD)
    store.close()


HOSTILE = {
    "injection in a text": "name = '\\' OR 1=1 --'",
    "injection in a key": "properties.`a\"; DROP TABLE Artifact; --`.string_value = 'x'",
    "injection in an alias": "contexts_x.name = 'x\\'); DELETE FROM Context; --'",
    "injection in a pattern": "name LIKE '%\\'; DROP TABLE Artifact; --'",
    "a thousand conditions": " OR ".join(f"id = {n}" for n in range(2, 1002)),
    "a thousand properties": " AND ".join(f"properties.k{n}.int_value = 1" for n in range(700)),
    "a list of thousands": f"id IN ({', '.join(map(str, range(2, 15_000)))})",
    "texts of thousands": f"name IN ({', '.join(repr(str(n)) for n in range(9_000))})",
    "a pattern of stars": "name LIKE '" + "%a" * 999 + "b'",
    "two neighbours": "contexts_0.id < contexts_1.id",
    "entangled neighbours": " AND ".join(
        f"contexts_{n}.id < contexts_{n + 1}.id" for n in range(3)
    ),
    "many neighbours": " AND ".join(f"contexts_{n}.id = {n + 2}" for n in range(200)),
    "large sums": "id + 9223372036854775807 + 9223372036854775807 < 0",
    "products beyond doubles": "1e300 * 1e300 - 1e300 * 1e300 = 0",
}


LARGEST = {
    "levels": "(" * 11 + "id = 1" + " AND id = 1 OR id = 3)" * 11,
    "levels of neighbours": "(contexts_a.id > 0 AND (properties.k = 2 OR " * 11
    + "contexts_b.name = '7'"
    + "))" * 11,
    "levels of sums": "1 + (" * 22 + "id" + ")" * 22 + " > 0",
    "levels of signs": "-" * 22 + "id = 1",
    "levels of functions": "LOWER(" * 22 + "name" + ")" * 22 + " != 'u'",
    "sums": "id" + " + 1" * 22 + " = 23",
    "arguments": "COALESCE(" + ", ".join(["uri"] * 9_000) + ", 'none') = ''",
    "doubles": f"id IN ({', '.join(f'{n}.5' for n in range(998))}, 1.0)",
    "conditions": " OR ".join(f"id = {n}" for n in range(1, 1001)),
}


@pytest.fixture
def store() -> Iterator[SQLiteMetadataStore]:
    """A store in memory with one artifact that is easily found, in many contexts."""
    opened = SQLiteMetadataStore.open(SQLiteConfig())
    batch = Batch()
    batch.type(ARTIFACT, "T", {"n": PropertyKind.INT})
    batch.type(NodeKind.CONTEXT, "T")
    artifact = batch.artifact("T", name="a" * 3000)
    for number in range(50):
        batch.attribution(batch.context("T", name=str(number)), artifact)
    opened.write(batch)
    yield opened
    opened.close()


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_filters(text: str, store: SQLiteMetadataStore) -> None:
    """A hostile filter is answered or refused by an error of ours, and changes nothing."""
    try:
        found = store.read_nodes(NodeQuery(ARTIFACT, filter=Filter.parse(ARTIFACT, text)))
    except FilterError:
        found = []
    assert len(found) == (text == HOSTILE["two neighbours"])
    assert len(store.read_nodes(NodeQuery(ARTIFACT))) == 1


@pytest.mark.parametrize("text", LARGEST.values(), ids=LARGEST.keys())
def test_the_largest_filters(text: str, store: SQLiteMetadataStore) -> None:
    """A filter within the limits of the language is within those of SQLite."""
    found = store.read_nodes(NodeQuery(ARTIFACT, filter=Filter.parse(ARTIFACT, text)))
    assert [node.id for node in found] == [1]


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="there are no timers of signals")
def test_a_long_answer_is_interrupted(store: SQLiteMetadataStore) -> None:
    """Ctrl-C ends a query that takes long, and the store goes on."""

    def stop(number: int, frame: FrameType | None) -> None:
        # Only while SQLite is at work.
        if frame is not None and frame.f_code.co_name == "_let_signals_in":
            raise KeyboardInterrupt

    batch = Batch()
    for number in range(3000):
        batch.attribution(batch.context("T", name=f"more {number}"), 1)
    store.write(batch)
    query = NodeQuery(ARTIFACT, filter=Filter.parse(ARTIFACT, "contexts_a.id + contexts_b.id = -1"))
    before = signal.signal(signal.SIGALRM, stop)
    try:
        # Nine million combinations: a second.
        signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)
        with pytest.raises(KeyboardInterrupt):
            store.read_nodes(query)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert len(store.read_nodes(NodeQuery(ARTIFACT))) == 1
    store.write(Batch())


def test_every_shape_is_one_statement(store: SQLiteMetadataStore) -> None:
    """Filters that differ in their literals share a statement; old shapes are forgotten."""
    database = store._database
    for number in range(20):
        store.read_nodes(NodeQuery(ARTIFACT, filter=Filter.parse(ARTIFACT, f"id = {number}")))
    assert len(database._of_filters) == 1
    for number in range(260):
        left, right = divmod(number, 17)
        text = " OR ".join(["id = 1"] * (left + 1) + ["name = 'x' AND id = 1"] * (right + 1))
        store.count(NodeQuery(ARTIFACT, filter=Filter.parse(ARTIFACT, text)))
    assert len(database._of_filters) <= 256


def test_literals_are_never_part_of_a_statement(store: SQLiteMetadataStore) -> None:
    """Nothing of what a filter says stands in the text of its statement, but its shape."""
    text = "name = 'needle1' AND properties.needle2.string_value LIKE 'needle3%' AND id = 987654321"
    store.read_nodes(NodeQuery(ARTIFACT, filter=Filter.parse(ARTIFACT, text)))
    (statement,) = store._database._of_filters.values()
    assert "needle" not in statement.text
    assert "987654321" not in statement.text


def test_no_error_of_a_filter_is_the_drivers(store: SQLiteMetadataStore) -> None:
    """What SQLite cannot answer is an error of ours."""
    filter = Filter.parse(ARTIFACT, "name IN ('\\x00', '" + "x" * 90_000 + "')")
    try:
        store.read_nodes(NodeQuery(ARTIFACT, filter=filter))
    except MetastoreError as error:
        pytest.fail(f"it can be answered: {error}")
