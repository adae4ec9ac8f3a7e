"""The kit notices what is wrong: stores with one mistake each fail the test that is about it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from zlib import crc32

import pytest

from metastore.testing import StoreContract

from .kit_process import Kit, Outcomes
from .mutants import MUTANTS, UNMUTATED, UNMUTATED_CELLAR, Mutant

STEP = 1 if os.environ.get("METASTORE_TEST_MUTANTS") == "whole" else 8
"""The share of green is judged by every eighth case; by all it takes many times as long."""


@pytest.fixture(scope="module")
def kit() -> Iterator[Kit]:
    """The kit, collected once for all mutants of this process."""
    kit = Kit()
    yield kit
    kit.close()


@pytest.fixture(scope="module")
def unmutated(kit: Kit) -> Outcomes:
    """What becomes of each case on the memory flavor as it is."""
    return kit.run(UNMUTATED)


def _names(outcomes: Outcomes, *wanted: str) -> list[str]:
    return [name for name, case in outcomes.items() if case.outcome in wanted]


def test_the_table_is_whole() -> None:
    """There are enough mutants, of names of their own, for enough tests, and the tests exist."""
    assert len(MUTANTS) >= 260
    assert len({each.caught_by for each in MUTANTS}) >= 160
    names = Counter(each.name for each in (UNMUTATED, UNMUTATED_CELLAR, *MUTANTS))
    assert [name for name, times in names.items() if times > 1] == []
    for each in MUTANTS:
        assert hasattr(StoreContract, each.caught_by), each.name
        assert each.wrong.endswith("."), each.name


@pytest.mark.slow
def test_the_unmutated_store_passes(unmutated: Outcomes) -> None:
    """Under the same runner the memory flavor passes everything: mutants are wrong by one thing."""
    assert _names(unmutated, "failed", "error") == []
    assert len(_names(unmutated, "passed")) > 800


@pytest.mark.slow
def test_the_unmutated_cellar_passes(kit: Kit, unmutated: Outcomes) -> None:
    """A flavor with settings and lasting data passes everything too, and skips less."""
    cellar = kit.run(UNMUTATED_CELLAR)
    assert _names(cellar, "failed", "error") == []
    assert len(_names(cellar, "passed")) > len(_names(unmutated, "passed"))
    skipped = {name.partition("[")[0] for name in _names(cellar, "skipped")}
    # What needs a flavor that lacks the capability.
    assert skipped == {"test_a_snapshot_needs_the_capability", "test_without_the_capability"}


@pytest.mark.slow
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_is_caught(kit: Kit, unmutated: Outcomes, mutant: Mutant) -> None:
    """A mutant fails the test that it names, in the test itself, and passes most of the others."""
    named = {name for name in unmutated if name.partition("[")[0] == mutant.caught_by}
    # Which ones depends on the mutant, so that all of them together see all of the kit.
    others = _names(unmutated, "passed")[crc32(mutant.name.encode()) % STEP :: STEP]
    if not mutant.green:
        others = []
    outcomes = kit.run(mutant, named.union(others))
    # A test that cannot begin or end has not noticed anything.
    assert {outcomes[name].outcome for name in named} <= {"passed", "failed", "skipped"}
    assert "failed" in {outcomes[name].outcome for name in named}, mutant.wrong
    green = [name for name in others if outcomes[name].outcome == "passed"]
    assert len(green) >= mutant.green * len(others), _names(outcomes, "failed")
