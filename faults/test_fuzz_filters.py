"""Filters of every sort: read to the end or refused by an error of ours; SQL and Python agree."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING

import pytest

from metastore import (
    BaseMetadataStore,
    Filter,
    FilterError,
    MemoryMetadataStore,
    MetastoreError,
    NodeKind,
    NodeQuery,
)
from metastore.query import select
from metastore.testing.random_filters import PLAIN, Words, random_batch
from metastore_flavor_mysql import MySQLMetadataStore
from metastore_flavor_sqlite import SQLiteConfig, SQLiteMetadataStore

from .conftest import Figures
from .hostile.damage import Outcomes, cpu_limit
from .hostile.filters import SORTS, deep, huge, mutated, written

if TYPE_CHECKING:
    from plugins.mysql.tests.servers import Server

Size = Callable[[int, int], int]

_KINDS = list(NodeKind)
_SECONDS = 20.0
"""Of the processor for one filter: the longest that may be takes about one."""

ODD = Words(
    texts=(
        *("a\0b", "a", "\0", "A", "", "\u202e", "e\u0301", "é", "ﬁ", "ß", "İ", "ı", "\U0001f600"),
        *("x%y", "x_y", "back\\slash", "it's", "uri", "\u2028", "\ufeff", "a ", "\uffff", "q" * 50),
    ),
    doubles=(0.0, -0.0, float("inf"), float("-inf"), 1.5, 5e-324, 1.7976931348623157e308),
)


def _many(
    make: Callable[[random.Random, NodeKind], str], seed: int, count: int, *, per_input: bool
) -> Outcomes:
    chance, outcomes = random.Random(seed), Outcomes()
    for number in range(count):
        kind = _KINDS[number % 3]
        text = make(chance, kind)

        def shown(kind: NodeKind = kind, text: str = text, number: int = number) -> str:
            return f"input {number} of seed {seed}, for {kind.label}s: {text[:2000]!r}"

        if per_input:
            with cpu_limit(_SECONDS, shown):
                outcomes.of(partial(Filter.parse, kind, text), shown)
        else:
            outcomes.of(partial(Filter.parse, kind, text), shown)
    return outcomes


@pytest.mark.parametrize("part", range(4))
@pytest.mark.parametrize("sort", SORTS)
def test_filter_texts(sort: str, part: int, size: Size, figures: Figures) -> None:
    """A text is a filter or `FilterError`, whatever it is, and none takes long."""
    seed, count = 1000 * part + len(sort), size(700, 100_000)
    outcomes = _many(SORTS[sort], seed, count, per_input=True)
    assert set(outcomes.refused) <= {"FilterError"}
    assert outcomes.right > count // 3 or sort != "written"
    figures(seed=seed, **outcomes.figures())


@pytest.mark.parametrize("make", [deep, huge])
def test_filters_beyond_limits(
    make: Callable[[random.Random, NodeKind], str], size: Size, figures: Figures
) -> None:
    """Levels, characters and conditions beyond the limits are `FilterError`, and take no longer."""
    outcomes = _many(make, 7, size(60, 1500), per_input=True)
    assert set(outcomes.refused) <= {"FilterError"}
    figures(seed=7, **outcomes.figures())


class _Both:
    """A store that answers in SQL, and the same in memory, where Python answers."""

    def __init__(self, store: BaseMetadataStore, chance: random.Random, words: Words) -> None:
        self.store, self.model = store, MemoryMetadataStore.open()
        batch = random_batch(chance, words)
        for each in (self.store, self.model):
            each.write(batch)
        self.nodes = {kind: self.model.read_nodes(NodeQuery(kind)) for kind in NodeKind}
        # Filters speak of ids.
        for kind, nodes in self.nodes.items():
            stored = self.store.read_nodes(NodeQuery(kind))
            assert [node.id for node in stored] == [node.id for node in nodes]
            assert [node.type_id for node in stored] == [node.type_id for node in nodes]

    def agree(self, filter: Filter, shown: Callable[[], str]) -> str:
        """Ask both; what came of it."""
        kind = filter.kind
        try:
            expected = [node.id for node in select(filter, self.nodes[kind], self.model)]
        except FilterError:
            # Too many combinations of neighbours: SQL may know better.
            expected = None
        try:
            found = [n.id for n in self.store.find_nodes(NodeQuery(kind, filter=filter))]
        except MetastoreError as error:
            return type(error).__name__
        except BaseException as error:
            raise AssertionError(f"{type(error).__name__} for {shown()}") from error
        if expected is None:
            return "answered by SQL alone"
        assert found == expected, shown()
        return "found some" if found else "found none"


def _compare(
    open_store: Callable[[], BaseMetadataStore], seed: int, stores: int, each: int, words: Words
) -> dict[str, object]:
    chance, outcomes, tried = random.Random(seed), Counter[str](), 0
    for _ in range(stores):
        with closing(open_store()) as store:
            both = _Both(store, chance, words)
            for _ in range(each):
                kind = chance.choice(_KINDS)
                if chance.random() < 0.7:
                    text = written(chance, kind, words)
                else:
                    text = mutated(chance, kind)
                tried += 1

                def shown(kind: NodeKind = kind, text: str = text, number: int = tried) -> str:
                    return f"filter {number} of seed {seed}, for {kind.label}s: {text!r}"

                try:
                    filter = Filter.parse(kind, text)
                except FilterError:
                    outcomes["refused"] += 1
                    continue
                with cpu_limit(_SECONDS, shown):
                    outcomes[both.agree(filter, shown)] += 1
            both.model.close()
    assert outcomes["found some"] > tried // 20
    assert outcomes["found none"] > tried // 20
    return {"seed": seed, "stores": stores, "filters": tried, **dict(sorted(outcomes.items()))}


@pytest.mark.parametrize("part", range(2))
@pytest.mark.parametrize("words", [PLAIN, ODD], ids=["plain", "odd"])
def test_filters_sqlite(words: Words, part: int, size: Size, figures: Figures) -> None:
    """SQLite finds the nodes that Python finds, whatever the filter and the values."""
    found = _compare(
        lambda: SQLiteMetadataStore.open(SQLiteConfig()),
        seed=50 + part,
        stores=size(6, 150),
        each=size(50, 200),
        words=words,
    )
    figures(**found)


@pytest.mark.parametrize("words", [PLAIN, ODD], ids=["plain", "odd"])
def test_filters_mariadb(words: Words, mariadb: Server, size: Size, figures: Figures) -> None:
    """MariaDB finds the nodes that Python finds, whatever the filter and the values."""
    if words is ODD:
        # What MySQL's doubles cannot hold is refused when it is written.
        words = Words(texts=ODD.texts, doubles=tuple(d for d in ODD.doubles if abs(d) < 1e309))
    found = _compare(
        lambda: MySQLMetadataStore.open(mariadb.config()),
        seed=60,
        stores=size(2, 25),
        each=size(50, 400),
        words=words,
    )
    figures(**found)
