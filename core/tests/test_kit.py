"""The conformance kit itself: it compares exactly, it notices, and it cannot be thinned out."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from metastore import model
from metastore.base import BaseMetadataStore, OpenMode
from metastore.batch import Batch, Merge
from metastore.capabilities import Capabilities
from metastore.changes import Applied, Changes
from metastore.memory import MemoryMetadataStore, Tables
from metastore.model import AnyNode, ArtifactState, EventType, NodeKind, PropertyKind, Proto
from metastore.query import NodeQuery
from metastore.testing import (
    LifecycleContract,
    ModelContract,
    ReadingContract,
    StoreContract,
    actions,
    compare_stores,
    contents,
    exact,
    replay,
)
from metastore.testing._base import ContractBase, needs, prepare, put
from metastore.testing.actions import OpenAgain, Put, PutEvent, PutType, ReadPages, RollBack
from metastore.testing.contract import missing_tests

ARTIFACT, EXECUTION, CONTEXT = NodeKind.ARTIFACT, NodeKind.EXECUTION, NodeKind.CONTEXT


def _store() -> MemoryMetadataStore:
    return MemoryMetadataStore.open()


# Comparing.


@pytest.mark.parametrize(
    "value",
    [0, 1, True, False, 0.0, -0.0, 1.0, "1", "", {}, {"a": 1.0}, {"a": True}, Proto("t", b"")],
    ids=repr,
)
def test_exact_keeps_apart(value: Any) -> None:
    """`exact` of a value equals that of the same value only."""
    others: list[Any] = [0, 1, True, False, 0.0, -0.0, 1.0, "1", "", {}, {"a": 1.0}, {"a": True}]
    others.append(Proto("t", b""))
    assert [repr(each) for each in others if exact(each) == exact(value)] == [repr(value)]


def _filled(order: int = 1) -> MemoryMetadataStore:
    store = _store()
    for name in ("T", "U")[::order]:
        batch = Batch()
        for kind in NodeKind:
            batch.type(kind, name, {"a": PropertyKind.INT})
        store.write(batch)
    batch = Batch()
    made = batch.artifact("T", name="n", properties={"a": 1}, create_time_ms=5)
    ran = batch.execution("U", create_time_ms=5)
    group, above = (batch.context("T", name=name, create_time_ms=5) for name in ("g", "h"))
    batch.event(made, ran, EventType.OUTPUT, path=["a", 0], time_ms=6)
    batch.attribution(group, made)
    batch.association(group, ran)
    batch.parent(group, above)
    store.write(batch)
    return store


def test_stores_with_other_ids_may_hold_the_same() -> None:
    """Two stores whose types have other ids compare as the same."""
    left, right = _filled(), _filled(-1)
    assert compare_stores(left, right) == []
    assert contents(left) == contents(right)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda batch: batch.type(ARTIFACT, "V"), "types"),
        (
            lambda batch: batch.type(ARTIFACT, "T", {"a": PropertyKind.INT}, external_id="x"),
            "types",
        ),
        (lambda batch: batch.artifact("T", create_time_ms=5), "artifacts"),
        (lambda batch: batch.artifact(mode=Merge(1), properties={"a": 2}), "artifacts"),
        (lambda batch: batch.artifact(mode=Merge(1), custom_properties={"a": True}), "artifacts"),
        (lambda batch: batch.artifact(mode=Merge(1, frozenset({"uri"})), uri="u"), "artifacts"),
        (
            lambda batch: batch.artifact(
                mode=Merge(1, frozenset({"state"})), state=ArtifactState.UNKNOWN
            ),
            "artifacts",
        ),
        (lambda batch: batch.context(mode=Merge(1, frozenset({"name"})), name="x"), "contexts"),
        (lambda batch: batch.execution(mode=Merge(1, force_update=True)), "executions"),
        (lambda batch: batch.event(1, 1, EventType.INPUT), "events"),
        (lambda batch: batch.attribution(2, 1), "attributions"),
        (lambda batch: batch.association(2, 1), "associations"),
        (lambda batch: (batch.context("T", name="i"), batch.parent(1, 1)), "parent contexts"),
    ],
)
def test_any_difference_is_noticed(change: Any, word: str) -> None:
    """Whatever differs between two stores is a difference, named by what it is."""
    left, right = _filled(), _filled()
    batch = Batch()
    if word == "parent contexts":
        batch.parent(1, put(right, CONTEXT, name="i", create_time_ms=5).id)
        put(left, CONTEXT, name="i", create_time_ms=5)
    else:
        change(batch)
    right.write(batch)
    differences = compare_stores(left, right)
    assert differences
    assert all(each.startswith(word) for each in differences)
    assert contents(left) != contents(right)


def test_times_can_be_left_out() -> None:
    """Without times, stores that differ in times only hold the same."""
    left, right = _filled(), _filled()
    batch = Batch()
    batch.artifact(mode=Merge(1, force_update=True))
    right.write(batch)
    assert compare_stores(left, right)
    assert compare_stores(left, right, times=False) == []


# Noticing: stores that break the contract in one point each.


class _Forgetful(Tables):
    """Does not write the paths of events."""

    def apply(self, changes: Changes) -> Applied:
        changes.events = [event._replace(path=()) for event in changes.events]
        return super().apply(changes)


class _Rounding(Tables):
    """Keeps six digits of a double, as ML Metadata does."""

    def apply(self, changes: Changes) -> Applied:
        for kind, rows in changes.inserts.items():
            changes.inserts[kind] = [
                row._replace(
                    custom_properties={
                        key: round(value, 6) if type(value) is float else value
                        for key, value in row.custom_properties.items()
                    }
                )
                for row in rows
            ]
        return super().apply(changes)


class _Hasty(Tables):
    """Gives an update the old time."""

    def apply(self, changes: Changes) -> Applied:
        for kind, rows in changes.updates.items():
            changes.updates[kind] = [
                row._replace(update_time_ms=self.nodes[kind][row.id].update_time_ms) for row in rows
            ]
        return super().apply(changes)


@pytest.mark.parametrize(
    ("tables", "history"),
    [
        (
            _Forgetful,
            [[Put(ARTIFACT), Put(EXECUTION)], [PutEvent(0, 0, path=("k", 0))]],
        ),
        (_Hasty, [[Put(ARTIFACT)], [Put(ARTIFACT, how="merge", properties=(("a", 1),))]]),
    ],
)
def test_a_history_shows_what_is_wrong(tables: type[Tables], history: Any) -> None:
    """Replaying a history fails at the step after which a wrong store differs."""
    replay(history, _store(), _store())
    with pytest.raises(AssertionError, match=f"after step {len(history)} of the history"):
        replay([*history, [Put(ARTIFACT)]], MemoryMetadataStore(tables()), _store())


def test_a_wrong_value_is_seen_at_once() -> None:
    """Every history begins with nodes and values that many wrong stores lose."""
    with pytest.raises(AssertionError, match="with what every history begins"):
        replay([], MemoryMetadataStore(_Rounding()), _store())


@pytest.mark.slow
@pytest.mark.parametrize(("tables", "action"), [(_Forgetful, PutEvent), (_Hasty, Put)])
def test_a_failure_is_told_by_few_steps(tables: type[Tables], action: type) -> None:
    """A random history that fails is told by what shows it and no more, and can be pasted."""
    with pytest.raises(AssertionError, match="of the history") as raised:
        ModelContract().test_histories(lambda: MemoryMetadataStore(tables()), None)
    told = re.findall(r"^    (.*),$", str(raised.value).partition("\n]")[0], re.MULTILINE)
    pasted = [
        eval(re.sub(r"<(\w+\.\w+): \d+>", r"\1", each.strip()), vars(actions) | vars(model))  # noqa: S307
        for each in told
    ]
    # Two where the second changes what the first puts there: a batch changes no node of its own.
    assert 1 <= len(pasted) <= 2
    assert all(type(only) is action for [only] in pasted)
    with pytest.raises(AssertionError, match=f"after step {len(pasted)} of the history"):
        replay(pasted, MemoryMetadataStore(tables()), _store())


def test_an_error_that_is_none_of_ours_is_told_too() -> None:
    """A store that raises what it must not is shown by few steps as well, with its own error."""

    class Crashing(Tables):
        def apply(self, changes: Changes) -> Applied:
            if changes.events:
                raise KeyError("events")
            return super().apply(changes)

    with pytest.raises(KeyError, match="events"):
        ModelContract().test_histories(lambda: MemoryMetadataStore(Crashing()), None)


def test_steps_of_a_history_are_done_to_both() -> None:
    """Rolling back, reading pages and opening again are steps that a wrong store differs in."""

    class Staying(Tables):
        @contextmanager
        def undone_on_error(self) -> Iterator[Any]:
            yield list

    class Unsorted(Tables):
        def read_nodes(self, query: NodeQuery) -> list[AnyNode]:
            return super().read_nodes(replace(query, descending=False))

    def forget(store: BaseMetadataStore, mode: OpenMode) -> BaseMetadataStore:
        return _store()

    for tables, step, reopen in (
        (Staying(), RollBack([Put(ARTIFACT)]), None),
        (Unsorted(), ReadPages(ARTIFACT, descending=True), None),
        (Tables(), OpenAgain(), forget),
    ):
        with pytest.raises(AssertionError, match="after step 1"):
            replay([step], MemoryMetadataStore(tables), _store(), reopen)


def test_histories_read_well() -> None:
    """An action prints as what differs from the defaults, so that a failure can be read."""
    assert repr(Put(ARTIFACT, name="n")) == "Put(kind=<NodeKind.ARTIFACT: 1>, name='n')"
    assert repr(PutType(CONTEXT, "T")) == "PutType(kind=<NodeKind.CONTEXT: 2>, name='T')"


def test_a_history_says_what_errors_there_were() -> None:
    """A store that accepts what the other refuses differs by what it said."""

    class Lenient(MemoryMetadataStore):
        def write(self, batch: Batch) -> Any:
            batch.events.clear()
            return super().write(batch)

    with pytest.raises(AssertionError, match=r"expected \('NotFoundError'"):
        replay([[PutEvent(9, 0)]], Lenient(), _store())


# The classes.


def test_no_part_hides_a_test_of_another() -> None:
    """No two parts of the contract define a test or fixture of the same name."""
    defined: dict[str, list[str]] = defaultdict(list)
    for base in StoreContract.__mro__:
        if issubclass(base, ContractBase) and base is not ContractBase:
            for name in vars(base):
                if not name.startswith("__"):
                    defined[name].append(base.__name__)
    assert {name: bases for name, bases in defined.items() if len(bases) > 1} == {}


_KNOWING = """
import pytest
from metastore.memory import MemoryMetadataStore
from metastore.testing import StoreContract

class TestKnowing(StoreContract):
    KNOWN_FAILURES = {known!r}

    @pytest.fixture
    def make_store(self):
        return MemoryMetadataStore.open
"""


def _run_knowing(folder: Path, known: dict[str, str], which: str) -> str:
    """What pytest says of a flavor's class that knows of these failures."""
    (folder / "test_knowing.py").write_text(_KNOWING.format(known=known), encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", which]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout
    return done.stdout


def test_a_known_failure_must_fail(tmp_path: Path) -> None:
    """A case that is said to fail, and does not, fails for that; the other cases run as ever."""
    known = {"test_texts[null word of MLMD]": "so it was once"}
    said = _run_knowing(tmp_path, known, "test_texts")
    assert "[XPASS(strict)] so it was once" in said
    assert re.search(r"1 failed, \d\d+ passed", said)


def test_a_known_failure_names_a_test(tmp_path: Path) -> None:
    """What is no test of the contract is no known failure."""
    said = _run_knowing(tmp_path, {"test_of_nothing[x]": "who knows"}, "test_no_test_is_lost")
    assert "no reason, or no test of the contract: test_of_nothing[x]" in said


def test_a_test_cannot_be_lost() -> None:
    """A class that removes or replaces a test of the contract is told so, unless it marks it."""

    class Thinned(StoreContract):
        test_paths = None

        def test_bools(self) -> None:  # type: ignore[override]
            """Not what the contract says."""

        @pytest.mark.xfail
        def test_ints(self) -> None:  # type: ignore[override]
            """Without a reason."""

        @pytest.mark.xfail(reason="the backend has no doubles")
        def test_doubles(self) -> None:  # type: ignore[override]
            """Not strict: nobody would notice when the reason is gone."""

        @pytest.mark.xfail(reason="the backend has no protos", strict=True)
        def test_protos(self) -> None:  # type: ignore[override]
            """With a reason."""

        @pytest.fixture
        def store(self) -> None:
            """What the tests of the contract are made with is not the author's either."""

        @pytest.fixture
        def make_store(self) -> None:
            """This is."""

        def test_of_our_own(self) -> None:
            """No test of the contract."""

    assert missing_tests(Thinned) == [
        "store",
        "test_bools",
        "test_doubles",
        "test_ints",
        "test_paths",
    ]
    assert missing_tests(StoreContract) == []


def test_tests_are_skipped_visibly() -> None:
    """What a flavor declares not to have is skipped, with the name of the capability."""

    class Lesser(MemoryMetadataStore):
        CAPABILITIES = replace(MemoryMetadataStore.CAPABILITIES, given_times=False)

    store = Lesser.open()
    with pytest.raises(pytest.skip.Exception, match="given_times"):
        needs(store, "given_times")
    needs(store, "exact_doubles")
    needs(store, "atomic_batch", "full")


# The base class, by a flavor that implements no more than it must.


class _Bare(MemoryMetadataStore):
    """Counts and iterates as the base class does."""

    CAPABILITIES = Capabilities()
    count = BaseMetadataStore.count
    snapshot = BaseMetadataStore.snapshot


class TestBare(ReadingContract, LifecycleContract):
    """Reading over what the base class brings; nothing can be opened again."""

    @pytest.fixture
    def make_store(self) -> Any:
        """A new store a call."""
        return _Bare.open

    @pytest.fixture
    def reopen(self) -> None:
        """There is nothing to open again."""


def test_preparing_twice_is_fine() -> None:
    """The helper that makes types finds those that are there."""
    store = _store()
    prepare(store, a=PropertyKind.INT)
    prepare(store)
    assert put(store, ARTIFACT, properties={"a": 1}).id == 1
