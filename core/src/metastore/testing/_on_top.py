"""What is built once, on every flavor: recording, pipelines, lineage, transfer."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest

from metastore.base import BaseMetadataStore
from metastore.batch import Batch
from metastore.errors import AlreadyExistsError, NotFoundError
from metastore.lineage import walk
from metastore.model import EventType, ExecutionState, NodeKind
from metastore.query import NodeQuery, WalkQuery, Way, walked
from metastore.store import Store
from metastore.testing._base import ARTIFACT, CONTEXT, EXECUTION, ContractBase, batch_with, read
from metastore.testing.lineage import history

_GRAPH = [
    (0, 0, EventType.OUTPUT),
    (0, 1, EventType.INPUT),
    (0, 2, EventType.INPUT),
    (1, 1, EventType.OUTPUT),
    (2, 2, EventType.OUTPUT),
    (1, 3, EventType.INPUT),
    (2, 3, EventType.INPUT),
    (3, 3, EventType.OUTPUT),
    (3, 4, EventType.DECLARED_INPUT),
]
"""A diamond: artifact, execution and type, by position."""


def _write_graph(store: BaseMetadataStore) -> list[int]:
    """The diamond, beside a graph of its own; the ids of its artifacts."""
    batch = batch_with()
    artifacts = [batch.artifact("T", name=f"a{n}") for n in range(5)]
    executions = [batch.execution("T", name=f"e{n}") for n in range(6)]
    for artifact, execution, type in _GRAPH:
        batch.event(artifacts[artifact], executions[execution], type, path=["k", 0])
    batch.event(artifacts[4], executions[5], EventType.OUTPUT)
    written = store.write(batch)
    return [written[ref].id for ref in artifacts]


def _id(store: BaseMetadataStore, kind: NodeKind, name: str) -> int:
    [node] = store.read_nodes(NodeQuery(kind, names=[name]))
    return node.id


def _names(store: BaseMetadataStore, starts: list[int], **how: object) -> set[str | None]:
    found = walk(store, starts, **how)  # type: ignore[arg-type]  # each test says its own
    return {node.name for node in (*found.artifacts.values(), *found.executions.values())}


class LineageContract(ContractBase):
    """Lineage is walked over the flavor's events."""

    def test_lineage_goes_up_and_down(self, store: BaseMetadataStore) -> None:
        """What an artifact was made from, and what was made from it, is found; no more. [8.14]

        On failure: `read_events` must fulfil both conditions of an `EventQuery`, for lists of ids,
        and give every event's type, artifact and execution as they were written.
        """
        ids = _write_graph(store)
        assert _names(store, [ids[3]]) == {"a0", "a1", "a2", "a3", "e0", "e1", "e2", "e3"}
        below = {"a1", "a3", "e3", "e4"}
        assert _names(store, [ids[1]], upstream=False, downstream=True) == below
        assert _names(store, [ids[4]]) == {"a4", "e5"}

    def test_lineage_stops_after_hops(self, store: BaseMetadataStore) -> None:
        """A walk of so many hops ends there. [8.14]

        On failure: `read_events` with `artifact_ids` must not give events of other artifacts.
        """
        ids = _write_graph(store)
        assert _names(store, [ids[3]], max_hops=1) == {"a3", "e3"}
        assert _names(store, [ids[3]], max_hops=2) == {"a3", "e3", "a1", "a2"}

    @pytest.mark.parametrize("way", Way)
    @pytest.mark.parametrize("kind", [ARTIFACT, EXECUTION], ids=lambda kind: kind.label)
    def test_walks_go_over_what_leads_on(
        self, store: BaseMetadataStore, kind: NodeKind, way: Way
    ) -> None:
        """A walk goes over the events that lead on, each once, as far as it may, and ends. [8.18]

        On failure: if you override `walk_events`, compare it with the default, which asks
        `read_events` hop by hop: which types of events lead on from which kind of node, that a
        hop is one event, and that a walk which comes back to where it was ends.
        """
        _write_graph(store)
        batch = Batch()
        # One that changes what it reads: a circle.
        for type in (EventType.INTERNAL_INPUT, EventType.INTERNAL_OUTPUT, EventType.PENDING_OUTPUT):
            batch.event(_id(store, ARTIFACT, "a1"), _id(store, EXECUTION, "e2"), type)
        store.write(batch)
        ids = [node.id for node in store.read_nodes(NodeQuery(kind))]
        starts = [[], [2**40, -1], ids[-1:] * 2, *([each] for each in ids), ids]
        for start in starts:
            for hops in (0, 1, 2, 3, 50, None):
                query = WalkQuery(kind, start, way, hops)
                found = store.walk_events(query)
                assert sorted(found) == sorted(walked(store, query)), query

    @pytest.mark.parametrize("way", Way)
    def test_walks_over_many_ways_end(self, store: BaseMetadataStore, way: Way) -> None:
        """Where each step reads all that was made before, a walk gives each event once, however
        many ways lead there. [8.18]

        On failure: if you override `walk_events`, a walk must not go on from where it was before;
        if you do not, `read_events` must give the events of several nodes once.
        """
        steps = 20
        store.write(history(steps, reads_all=True))
        [first, *_, last] = [node.id for node in store.read_nodes(NodeQuery(ARTIFACT))]
        start = last if way is Way.UP else first
        for hops in (None, 2 * steps):
            found = store.walk_events(WalkQuery(ARTIFACT, [start], way, hops))
            # Downwards not over what wrote the first one.
            assert len(found) == steps * (steps + 1) // 2 - (way is Way.DOWN)
            assert len(set(found)) == len(found)

    def test_lineage_is_drawn(self, store: BaseMetadataStore) -> None:
        """Lineage is a tree with the names of what was stored. [8.12]

        On failure: look at what `read_nodes` gives for a list of ids: names and types as they are
        stored, in the order of the ids.
        """
        ids = _write_graph(store)
        text = str(Store(store).artifact(ids[3]).lineage())
        for name in ("a0", "a1", "a2", "a3", "e0", "e3"):
            assert name in text


class RecordingContract(ContractBase):
    """Runs and steps are recorded in, and read from, any store."""

    @pytest.fixture
    def recorded(self, store: BaseMetadataStore) -> Iterator[Store]:
        """The store, as people hold it."""
        return Store(store)  # type: ignore[return-value]  # closed by the fixture `store`

    def test_a_run_is_recorded_and_read(self, recorded: Store) -> None:
        """A run comes back with its steps, parameters, metrics, inputs and outputs. [7.1, 8.12]

        On failure: a step is one batch with nodes, events, an association and attributions that
        refer to one another by `New`: `apply` has to give each the id of its row.
        """
        loss = 0.1234567890123 if recorded.backend.CAPABILITIES.exact_doubles else 0.123457
        with recorded.run("train", parameters={"seed": 7, "lr": 0.1, "deep": {"a": [1.0]}}) as run:
            with run.step("prepare") as step:
                step.input("raw", "s3://raw", type="Dataset")
                examples = step.output("examples", type="Dataset", uri="s3://examples")
            with run.step("fit", parameters={"layers": 2}) as step:
                step.input("examples", examples)
                model = step.output("model", type="Model", properties={"accuracy": 0.97})
                step.metric("loss", loss)
                step.metric("gap", math.inf)
        found = recorded.find_run(run.id)
        assert (found.pipeline, found.state) == ("train", ExecutionState.COMPLETE)
        assert found.parameters == {"seed": 7, "lr": 0.1, "deep": {"a": [1.0]}}
        assert [each.name for each in found.steps] == ["prepare", "fit"]
        fit = found.steps["fit"]
        assert fit.parameters == {"layers": 2}
        assert fit.metrics == {"loss": loss, "gap": math.inf}
        assert fit.inputs["examples"] == found.steps["prepare"].outputs["examples"]
        assert fit.outputs["model"].id == model.id
        assert fit.outputs["model"].properties["accuracy"] == 0.97
        above = fit.outputs["model"].lineage().artifacts.values()
        assert {each.uri for each in above} == {"s3://raw", "s3://examples", ""}

    def test_a_run_that_fails_is_recorded(self, recorded: Store) -> None:
        """An exception ends step and run as FAILED, is kept as their error, and goes on. [4.8]

        On failure: the end of a step is an update by `Merge`: `apply` must write a new state and
        new properties of a stored execution, and leave its other properties.
        """
        with (
            pytest.raises(ZeroDivisionError),
            recorded.run("train") as run,
            run.step("fit", parameters={"layers": 2}),
        ):
            raise ZeroDivisionError("by zero")
        found = recorded.find_run(run.id)
        assert found.state is found.steps["fit"].state is ExecutionState.FAILED
        assert found.steps["fit"].error == "ZeroDivisionError: by zero"
        assert found.steps["fit"].parameters == {"layers": 2}

    def test_a_run_is_seen_while_it_runs(self, recorded: Store) -> None:
        """Run and step are RUNNING until they end, and what ended is there already. [7.2]

        On failure: what `write` has returned for must be seen by the next read: no cache of nodes
        that outlives a write, no buffer that is written when the store is closed.
        """
        with recorded.run("train") as run:
            with run.step("prepare"):
                pass
            with run.step("fit"):
                found = recorded.find_run(run.id)
                states = [each.state for each in found.steps]
                assert found.state is ExecutionState.RUNNING
                assert states == [ExecutionState.COMPLETE, ExecutionState.RUNNING]

    def test_pipelines_list_their_runs(self, recorded: Store) -> None:
        """Runs of one pipeline share it, keep their order, and are found by name. [4.17, 8.8]

        On failure: a pipeline is found with `Reuse(by="name")`: `lookup` must answer
        `Questions.names`; runs are the contexts whose parent it is: `read_nodes` with
        `children_of`.
        """
        for name in ("first", "second", "third"):
            with recorded.run("train", name=name):
                pass
        with recorded.run("other"):
            pass
        assert [each.name for each in recorded.pipelines()] == ["train", "other"]
        assert [each.name for each in recorded.pipeline("train").runs] == [
            "first",
            "second",
            "third",
        ]
        newest = recorded.runs(newest_first=True, limit=2)
        assert [each.pipeline for each in newest] == ["other", "train"]
        assert recorded.find_run("second").name == "second"
        with pytest.raises(NotFoundError):
            recorded.find_run("fourth")

    def test_a_run_s_name_is_its_own(self, recorded: Store) -> None:
        """A second run of a name is refused, and leaves nothing behind. [4.3, 7.1]

        On failure: `lookup` must find a context by type and name (`Questions.names`); what a
        refused batch had begun must be rolled back with it.
        """
        with recorded.run("train", name="nightly"):
            pass
        with (
            pytest.raises(AlreadyExistsError, match="nightly"),
            recorded.run("other", name="nightly"),
        ):
            pass
        assert [each.name for each in recorded.pipelines()] == ["train"]

    def test_an_artifact_is_used_by_many_runs(self, recorded: Store) -> None:
        """An artifact that was recorded once is an input of later runs, and not doubled. [4.19]

        On failure: an event may refer to a stored artifact and to an execution of the same batch:
        `apply` must take an `int` as it is and look up a `New`.
        """
        with recorded.run("make") as run, run.step("s") as step:
            made = step.output("data", type="Dataset", uri="u")
        for _ in range(2):
            with recorded.run("use") as run, run.step("s") as step:
                step.input("data", recorded.artifact(made.id))
        backend = recorded.backend
        assert len(read(backend, ARTIFACT)) == 1
        assert len(read(backend, EXECUTION)) == 3
        users = recorded.artifact(made.id).lineage(upstream=False, downstream=True)
        assert len(users.executions) == 2

    def test_lists_are_sequences(self, recorded: Store) -> None:
        """Lists of nodes count, page, slice, reverse and filter on any flavor. [8.9, 8.11, 8.16]

        On failure: look at `read_nodes` with `limit`, `after` and `descending`, and at `count`.
        """
        batch = Batch()
        batch.type(NodeKind.ARTIFACT, "T")
        for number in range(25):
            batch.artifact("T", name=f"n{number}", custom_properties={"n": number})
        recorded.write(batch)
        found = recorded.artifacts(type="T")
        assert len(found) == 25
        assert found[-1].name == "n24"
        assert [each.name for each in found[3:6]] == ["n3", "n4", "n5"]
        assert [each.name for each in found] == [f"n{number}" for number in range(25)]
        few = recorded.artifacts(where="custom_properties.n >= 20", order_by="-id", limit=3)
        assert [each.name for each in few] == ["n24", "n23", "n22"]

    def test_contexts_of_a_run_hold_its_nodes(self, recorded: Store) -> None:
        """What a run did is attributed to and associated with its context. [6.2, 8.6]

        On failure: `read_nodes` with `context_ids` must follow attributions for artifacts, and
        associations for executions.
        """
        # So that the ids of its executions are not those of its artifacts.
        with recorded.run("other") as run, run.step("s"):
            pass
        with recorded.run("train") as run, run.step("s") as step:
            made = [step.output(name, type="Dataset", uri="u") for name in ("data", "more")]
        backend = recorded.backend
        assert run.id in [each.id for each in read(backend, CONTEXT)]
        assert [each.id for each in read(backend, ARTIFACT, context_ids=[run.id])] == [
            each.id for each in made
        ]
        assert [each.id for each in read(backend, EXECUTION, context_ids=[run.id])] == [step.id]
