"""Old runs are deleted with what is theirs alone, and the lineage of what stays is whole."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from metastore import layout, pruning
from metastore.base import Deleted
from metastore.batch import Batch
from metastore.memory import MemoryMetadataStore
from metastore.model import EventType, ExecutionState, NodeKind
from metastore.problems import problems_of
from metastore.pruning import Selection
from metastore.query import NodeQuery
from metastore.store import Store

ARTIFACT, EXECUTION, CONTEXT = NodeKind.ARTIFACT, NodeKind.EXECUTION, NodeKind.CONTEXT


@pytest.fixture
def store() -> Iterator[Store]:
    """An empty store."""
    with Store(MemoryMetadataStore.open()) as opened:
        yield opened


def _run(store: Store, pipeline: str, *inputs: str, output: str, fails: bool = False) -> int:
    """Record a run of one step; the id of its context."""
    run = store.run(pipeline)
    with suppress(RuntimeError), run, run.step("work") as step:
        for uri in inputs:
            step.input(uri.strip("/"), uri)
        step.output("out", uri=output, reuse="uri")
        if fails:
            raise RuntimeError("it failed")
    return run.id


def _names(store: Store) -> list[str]:
    return [str(run.pipeline) for run in store.runs()]


def _uris(store: Store) -> set[str]:
    return {getattr(node, "uri", "") for node in store.backend.iterate(NodeQuery(ARTIFACT))}


def _prune(store: Store, selection: Selection, *, break_lineage: bool = False) -> Deleted:
    found = pruning.plan(store.backend, selection, break_lineage=break_lineage)
    told = found.count()
    done = found.run()
    assert told == done._replace(links=0)
    assert list(problems_of(store.backend)) == []
    return done


def test_a_run_goes_with_what_is_its_own(store: Store) -> None:
    """With a run go its step, its output, its input that nobody else read, and their events."""
    _run(store, "old", "/raw", output="/old")
    _run(store, "new", "/other", output="/new")
    done = _prune(store, Selection(pipeline="old"))
    assert (done.artifacts, done.executions, done.contexts, done.events) == (2, 1, 1, 2)
    assert _names(store) == ["new"]
    assert _uris(store) == {"/other", "/new"}
    # Pipelines stay.
    assert {pipeline.name for pipeline in store.pipelines()} == {"old", "new"}


def test_what_others_read_stays(store: Store) -> None:
    """An input that a run which stays has read, too, stays."""
    _run(store, "old", "/shared", output="/old")
    _run(store, "new", "/shared", output="/new")
    _prune(store, Selection(pipeline="old"))
    assert _uris(store) == {"/shared", "/new"}


def test_lineage_stays(store: Store) -> None:
    """A run stays whose output was read by one that stays, and what it was made from, too."""
    _run(store, "raw", output="/raw")
    _run(store, "clean", "/raw", output="/clean")
    _run(store, "train", "/clean", output="/model")
    _run(store, "report", "/model", output="/report")
    old = Selection(pipeline="raw")
    found = pruning.plan(store.backend, old)
    assert (found.runs, found.kept) == (0, 1)
    # The last of the chain goes, and then what was made for it alone.
    for name in ("report", "train", "clean", "raw"):
        assert _prune(store, Selection(pipeline=name)).executions == 1
    assert _names(store) == []
    assert _uris(store) == set()


def test_a_chain_goes_at_once(store: Store) -> None:
    """Runs that were made from one another go together; but for those before one that stays."""
    _run(store, "p", output="/a")
    _run(store, "p", "/a", output="/b")
    _run(store, "q", "/b", output="/kept")
    _run(store, "p", "/b", output="/c")
    _run(store, "p", "/c", output="/d")
    found = pruning.plan(store.backend, Selection(pipeline="p"))
    assert (found.runs, found.kept) == (2, 2)
    found.run()
    assert _uris(store) == {"/a", "/b", "/kept"}


def test_lineage_may_be_broken(store: Store) -> None:
    """Told so, it deletes also what others were made from; what they read themselves stays."""
    _run(store, "old", "/raw", output="/data")
    _run(store, "new", "/data", output="/model")
    done = _prune(store, Selection(pipeline="old"), break_lineage=True)
    assert done.executions == 1
    assert _uris(store) == {"/data", "/model"}


def test_an_execution_of_no_run_needs_what_it_read(store: Store) -> None:
    """What an execution outside of all runs has read is needed as well."""
    _run(store, "old", output="/data")
    [data] = store.backend.read_nodes(NodeQuery(ARTIFACT))
    batch = Batch()
    batch.type(EXECUTION, "By hand")
    batch.event(data.id, batch.execution("By hand"), EventType.INPUT)
    store.backend.write(batch)
    assert pruning.plan(store.backend, Selection(pipeline="old")).kept == 1


@pytest.mark.parametrize(
    ("states", "left"),
    [
        ([ExecutionState.FAILED], ["good"]),
        ([ExecutionState.COMPLETE], ["bad"]),
        (None, []),
        ([ExecutionState.RUNNING], ["bad", "good"]),
    ],
)
def test_states(store: Store, states: list[ExecutionState] | None, left: list[str]) -> None:
    """Runs in one of the states go; without any, all that have ended."""
    _run(store, "good", output="/good")
    _run(store, "bad", output="/bad", fails=True)
    _prune(store, Selection(states=states))
    assert sorted(_names(store)) == left


def test_a_run_that_goes_on_stays(store: Store) -> None:
    """A run that has not ended is not deleted, unless its state is named."""
    with store.run("p") as run, run.step("work") as step:
        assert pruning.plan(store.backend, Selection(pipeline="p")).runs == 0
        running = Selection(states=[ExecutionState.RUNNING])
        assert pruning.plan(store.backend, running).runs == 1
        step.output("out", uri="/out")


def test_age(store: Store) -> None:
    """Runs go that ended before a moment, and no later ones."""
    batch = Batch()
    batch.type(CONTEXT, layout.RUN_TYPE, layout.RUN_PROPERTIES)
    for name, ended in (("first", 1000.0), ("second", 2000.0), ("third", 3000.0)):
        properties: dict[str, Any] = {layout.STATE: "COMPLETE", layout.FINISHED: ended}
        batch.context(layout.RUN_TYPE, name=name, properties=properties)
    store.backend.write(batch)
    _prune(store, Selection(before_ms=2000))
    assert sorted(run.name for run in store.runs()) == ["second", "third"]


def test_many_runs(store: Store) -> None:
    """More runs than are looked at at once go, and an artifact of them all is counted once."""
    for number in range(130):
        _run(store, "many", "/shared", output=f"/{number}")
    _run(store, "other", output="/other")
    done = _prune(store, Selection(pipeline="many"))
    assert (done.executions, done.artifacts, done.contexts) == (130, 131, 130)
    assert _uris(store) == {"/other"}


def test_it_can_be_interrupted(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Interrupted between two portions it leaves no half, and goes on when it is done again."""
    for number in range(120):
        _run(store, "many", output=f"/{number}")
    found = pruning.plan(store.backend, Selection(pipeline="many"))
    calls: list[object] = []

    def once(self: MemoryMetadataStore, nodes: object) -> Deleted:
        calls.append(nodes)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(nodes)  # type: ignore[arg-type]

    real = store.backend.delete
    monkeypatch.setattr(MemoryMetadataStore, "delete", once)
    with pytest.raises(KeyboardInterrupt):
        found.run()
    assert list(problems_of(store.backend)) == []
    left = len(store.runs())
    assert 0 < left < 120
    monkeypatch.undo()
    assert _prune(store, Selection(pipeline="many")).executions == left


def test_contexts_that_hold_nothing_any_more(store: Store) -> None:
    """A context beside run and pipeline goes when it holds nothing any more, and not before."""
    batch = Batch()
    for kind, name in ((CONTEXT, "run"), (CONTEXT, "Group"), (CONTEXT, "metastore.Run")):
        batch.type(kind, name, can_omit_properties=True)
    batch.type(EXECUTION, "Work")
    alone = batch.context("Group", name="of the run alone")
    shared = batch.context("Group", name="of others, too")
    run = batch.context("metastore.Run", name="doomed", properties={})
    ran = batch.execution("Work", state=ExecutionState.COMPLETE)
    other = batch.execution("Work", state=ExecutionState.COMPLETE)
    for context in (alone, shared, run):
        batch.association(context, ran)
    batch.association(shared, other)
    store.backend.write(batch)
    found = pruning.plan(store.backend, Selection(states=[ExecutionState.UNKNOWN]))
    assert found.run().contexts == 2
    left = {node.name for node in store.backend.iterate(NodeQuery(CONTEXT))}
    assert left == {"of others, too"}
