"""Runs and steps as they are recorded, over the memory flavor."""

from __future__ import annotations

import math
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from metastore import (
    AlreadyExistsError,
    EventQuery,
    EventType,
    ExecutionState,
    ForkError,
    InvalidError,
    LinkKind,
    LinkQuery,
    MemoryMetadataStore,
    NodeKind,
    NotFoundError,
    PropertyKind,
    ReadOnlyError,
    StorageError,
    Store,
    layout,
)
from metastore.batch import Batch, WrittenBatch

from .recorded import Failing, record, store

__all__ = ["store"]


class TestRuns:
    """What `store.run` leaves in the store."""

    def test_a_run_is_complete_when_its_block_ends(self, store: Store) -> None:
        """A run is RUNNING inside its block and COMPLETE after it, with start and end."""
        with store.run("train", parameters={"seed": 7}) as run:
            assert store.find_run(run.id).state is ExecutionState.RUNNING
            assert store.find_run(run.id).end_time is None
        found = store.find_run(run.id)
        assert (found.state, found.pipeline, found.name) == (
            ExecutionState.COMPLETE,
            "train",
            run.name,
        )
        assert found.parameters == {"seed": 7}
        assert found.start_time is not None
        assert found.end_time is not None
        assert found.end_time >= found.start_time

    def test_runs_of_a_pipeline_share_one_context(self, store: Store) -> None:
        """The second run of a pipeline finds the pipeline of the first."""
        for _ in range(3):
            with store.run("train"):
                pass
        assert [each.name for each in store.pipelines()] == ["train"]
        assert len(store.pipeline("train").runs) == 3

    def test_a_run_is_found_by_name_and_by_id(self, store: Store) -> None:
        """A run that was given a name is found by it."""
        with store.run("train", name="nightly") as run:
            pass
        assert store.find_run("nightly") == store.find_run(run.id)

    def test_a_name_that_is_taken_is_refused(self, store: Store) -> None:
        """Two runs cannot have one name, and the second leaves nothing behind."""
        with store.run("train", name="nightly"):
            pass
        with (
            pytest.raises(AlreadyExistsError, match="there is a run 'nightly' already"),
            store.run("other", name="nightly"),
        ):
            pass
        assert [each.name for each in store.pipelines()] == ["train"]

    def test_an_exception_marks_the_run_failed_and_goes_on(self, store: Store) -> None:
        """An exception ends the run as FAILED with its text, and goes on up."""
        with pytest.raises(ZeroDivisionError), store.run("train") as run:
            raise ZeroDivisionError("by zero")
        found = store.find_run(run.id)
        assert found.state is ExecutionState.FAILED
        assert found.error == "ZeroDivisionError: by zero"

    @pytest.mark.parametrize(
        ("error", "state"),
        [
            (KeyboardInterrupt(), ExecutionState.CANCELED),
            (SystemExit(0), ExecutionState.COMPLETE),
            (SystemExit(3), ExecutionState.FAILED),
            (GeneratorExit(), ExecutionState.FAILED),
        ],
    )
    def test_what_is_no_exception_ends_a_run_too(
        self, store: Store, error: BaseException, state: ExecutionState
    ) -> None:
        """KeyboardInterrupt cancels; leaving with status 0 is success; all of them go on up."""
        with pytest.raises(type(error)), store.run("train") as run, run.step("s"):
            raise error
        found = store.find_run(run.id)
        assert (found.state, found.steps["s"].state) == (state, state)

    def test_whose_process_it_was_is_recorded(self, store: Store) -> None:
        """Run and step say on which host and in which process they ran."""
        with store.run("train") as run, run.step("s") as step:
            pass
        for node in (store.context(run.id), store.execution(step.id)):
            assert node.properties[layout.PROCESS] == os.getpid()
            assert node.properties[layout.HOST]

    def test_parameters_of_every_sort_are_kept(self, store: Store) -> None:
        """Lists are kept as JSON, None and paths as text, structs as structs."""
        given = {"layers": [64, 32], "depth": None, "data": Path("a/b"), "deep": {"a": [1]}}
        with store.run("train", parameters=given) as run:
            pass
        assert store.find_run(run.id).parameters == {
            "layers": "[64, 32]",
            "depth": "None",
            "data": str(Path("a/b")),
            "deep": {"a": [1.0]},
        }

    def test_a_parameter_that_cannot_be_kept_is_an_error(self, store: Store) -> None:
        """A parameter of an unknown sort is refused by its name, before anything is written."""
        with (
            pytest.raises(InvalidError, match="'model'"),
            store.run("t", parameters={"model": object()}),
        ):
            pass
        assert len(store.pipelines()) == 0

    def test_a_run_cannot_start_twice(self, store: Store) -> None:
        """A recorder is for one run."""
        with store.run("train") as run:
            pass
        with pytest.raises(InvalidError, match="started already"):
            run.start()

    def test_a_run_without_a_block(self, store: Store) -> None:
        """`start`, `fail` and `cancel` do without a with block what leaving it does."""
        run = store.run("train").start()
        run.step("s").start().cancel()
        run.step("other").start().fail(OSError("gone"))
        run.fail("the disk is gone")
        found = store.find_run(run.id)
        assert (found.state, found.error) == (ExecutionState.FAILED, "the disk is gone")
        assert found.steps["s"].state is ExecutionState.CANCELED
        assert found.steps["other"].error == "OSError: gone"


class TestSteps:
    """What a step leaves in the store."""

    def test_inputs_and_outputs_are_events_with_paths(self, store: Store) -> None:
        """Each input and output is an event whose path is its key and index."""
        with store.run("p") as run:
            with run.step("make") as make:
                parts = [make.output("parts", type="Part", uri=f"u{n}") for n in range(2)]
            with run.step("join") as join:
                join.input("parts", parts)
                join.output("whole", type="Whole")
        events = store.backend.read_events(EventQuery(execution_ids=[join.id]))
        assert [(each.type, each.path) for each in events] == [
            (EventType.INPUT, ("parts", 0)),
            (EventType.INPUT, ("parts", 1)),
            (EventType.OUTPUT, ("whole", 0)),
        ]
        assert [each.uri for each in store.find_run(run.id).steps["join"].inputs.all("parts")] == [
            "u0",
            "u1",
        ]

    def test_artifacts_belong_to_run_and_pipeline(self, store: Store) -> None:
        """Steps are associated with, artifacts attributed to run and pipeline."""
        with store.run("p") as run, run.step("s") as step:
            output = step.output("out")
        contexts = {run.id, store.pipeline("p").id}
        for kind, node in ((LinkKind.ASSOCIATION, step.id), (LinkKind.ATTRIBUTION, output.id)):
            links = store.backend.read_links(LinkQuery(kind, other_ids=[node]))
            assert {link.context_id for link in links} == contexts

    def test_an_output_has_an_id_when_its_step_has_ended(self, store: Store) -> None:
        """Before the step has ended an output has no id, and asking says when it will."""
        with store.run("p") as run, run.step("s") as step:
            output = step.output("out")
            with pytest.raises(InvalidError, match="after the step"):
                output.id  # noqa: B018 - to ask for it is the test
        assert store.artifact(output.id) == output.read()

    def test_metrics_are_doubles_and_the_last_counts(self, store: Store) -> None:
        """Metrics are numbers, kept as doubles; the last one of a name counts."""
        with store.run("p") as run, run.step("s") as step:
            step.metric("loss", 2)
            step.metrics({"loss": 0.5, "accuracy": 1})
        metrics = store.find_run(run.id).steps["s"].metrics
        assert metrics == {"loss": 0.5, "accuracy": 1.0}
        assert all(type(value) is float for value in metrics.values())

    def test_metrics_that_are_not_finite(self, store: Store) -> None:
        """A loss that becomes NaN or infinite is recorded; the last value of a name counts."""
        with store.run("p") as run, run.step("s") as step:
            step.metrics({"loss": 0.5, "gap": math.inf, "drop": -math.inf, "back": math.nan})
            step.metrics({"loss": math.nan, "back": 1})
        metrics = store.find_run(run.id).steps["s"].metrics
        assert math.isnan(metrics["loss"])
        assert {name: value for name, value in metrics.items() if name != "loss"} == {
            "gap": math.inf,
            "drop": -math.inf,
            "back": 1.0,
        }
        assert run.state is ExecutionState.COMPLETE

    @pytest.mark.parametrize("value", [None, "high", {"a": 1}])
    def test_a_metric_that_is_no_number_is_refused(self, store: Store, value: Any) -> None:
        """A metric that is no number is refused by its name; the step says why it failed."""
        with (
            pytest.raises(InvalidError, match="'loss'"),
            store.run("p") as run,
            run.step("s") as step,
        ):
            step.metric("loss", value)
        assert "loss" in (store.find_run(run.id).steps["s"].error or "")

    def test_reserved_metrics_are_refused(self, store: Store) -> None:
        """A metric cannot overwrite what the store itself keeps."""
        with store.run("p") as run, run.step("s") as step, pytest.raises(InvalidError):
            step.metric(layout.FINISHED, 1.0)

    def test_a_cached_step(self, store: Store) -> None:
        """A cached step ends as CACHED, its outputs being those of the earlier step."""
        first = record(store, type="Model", uri="m")
        with store.run("p") as run, run.step("s") as step:
            step.cached()
            step.output("out", first.outputs["out"])
        found = store.find_run(run.id).steps["s"]
        assert found.state is ExecutionState.CACHED
        assert found.outputs["out"].id == first.outputs["out"].id
        assert len(store.artifacts()) == 1

    def test_a_failed_step_keeps_what_it_recorded(self, store: Store) -> None:
        """What a step recorded before it failed is there."""
        with pytest.raises(OSError), store.run("p") as run, run.step("s") as step:
            step.metric("loss", 0.5)
            step.output("log", uri="log.txt")
            raise OSError("gone")
        found = store.find_run(run.id).steps["s"]
        assert (found.state, found.error) == (ExecutionState.FAILED, "OSError: gone")
        assert found.metrics == {"loss": 0.5}
        assert found.outputs["log"].uri == "log.txt"

    def test_error_texts_of_any_kind_are_kept(self, store: Store) -> None:
        """An exception's text may be long, or hold what is no Unicode, and the step is FAILED."""
        with pytest.raises(ValueError), store.run("p") as run, run.step("s"):
            raise ValueError("\ud800" + "x" * 100_000)
        error = store.find_run(run.id).steps["s"].error
        assert error is not None
        assert error.startswith("ValueError: ?x")
        assert len(error) == 10_000

    def test_repeated_steps(self, store: Store) -> None:
        """Steps may have one name; by name the last is found, by position all are."""
        with store.run("p") as run:
            for number in range(3):
                with run.step("try", parameters={"number": number}):
                    pass
        steps = store.find_run(run.id).steps
        assert len(steps) == 3
        assert steps["try"].parameters == {"number": 2}

    def test_a_step_outside_of_its_run_is_refused(self, store: Store) -> None:
        """A step cannot begin before or after its run, nor record before or after itself."""
        run = store.run("p")
        with pytest.raises(InvalidError, match="has not started"):
            run.step("s")
        with run, run.step("s") as step:
            pass
        with pytest.raises(InvalidError, match="has ended"):
            run.step("s")
        with pytest.raises(InvalidError, match="has ended"):
            step.output("late")

    def test_an_artifact_used_twice_is_one_event(self, store: Store) -> None:
        """An artifact that is given as input twice is one event with both keys; as input and
        output, it is two.
        """
        first = record(store, uri="u")
        artifact = first.outputs["out"]
        with store.run("p") as run, run.step("s") as step:
            step.input("a", artifact)
            step.input("b", artifact.id)
            step.output("c", artifact)
        events = store.backend.read_events(EventQuery(execution_ids=[step.id]))
        assert [(each.type, each.path) for each in events] == [
            (EventType.INPUT, ("a", 0, "b", 0)),
            (EventType.OUTPUT, ("c", 0)),
        ]
        found = store.find_run(run.id).steps["s"]
        assert [*found.inputs] == ["a", "b"]
        assert found.inputs["b"] == artifact

    def test_an_artifact_of_many_places_is_found_in_each(self, store: Store) -> None:
        """Keys that share artifacts, with one or with several of them, all keep theirs."""
        parts = [record(store, uri=f"u{n}").outputs["out"] for n in range(3)]
        with store.run("p") as run, run.step("s") as step:
            step.input("all", parts)
            step.input("train", parts[2])
            step.input("eval", [parts[0], parts[2]])
        inputs = store.find_run(run.id).steps["s"].inputs
        assert inputs.all("all") == tuple(parts)
        assert inputs.all("train") == (parts[2],)
        assert inputs.all("eval") == (parts[0], parts[2])


class TestEnds:
    """Who ends what, and when that cannot be written."""

    def test_a_run_waits_for_its_steps(self, store: Store) -> None:
        """A run is not complete while a step of it has not ended, and says which."""
        run = store.run("p").start()
        step = run.step("s").start()
        with pytest.raises(InvalidError, match="'s' has not ended"):
            run.finish()
        step.finish()
        run.finish()
        assert store.find_run(run.id).state is ExecutionState.COMPLETE

    def test_a_failed_run_ends_its_open_steps(self, store: Store) -> None:
        """What ends a run by an exception ends the steps that nobody else will end."""
        with pytest.raises(ZeroDivisionError), store.run("p") as run:
            run.step("s").start().metric("loss", 0.5)
            raise ZeroDivisionError
        found = store.find_run(run.id).steps["s"]
        assert (found.state, found.error) == (ExecutionState.FAILED, "ZeroDivisionError")
        assert found.metrics == {"loss": 0.5}

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
    @pytest.mark.parametrize("ending", ["exit", "step", "output"])
    def test_a_forked_child_ends_nothing(self, tmp_path: Path, ending: str) -> None:
        """A child that leaves its parent's blocks records nothing, and may not add to them."""
        report = tmp_path / "report"
        backend = Writes()
        with Store(backend).run("p") as run, run.step("s") as step:
            step.output("out", uri="u")
            child = os.fork()
            if child == 0:
                backend.report = report
                try:
                    if ending == "step":
                        run.step("t")
                    if ending == "output":
                        step.output("more")
                except ForkError:
                    report.write_text("refused")
                # As leaving the blocks does; pytest itself must not go on in the child.
                step.__exit__(None, None, None)
                run.__exit__(ValueError, ValueError("child"), None)
                os._exit(0)
            os.waitpid(child, 0)
        found = Store(backend).find_run(run.id)
        assert (found.state, found.steps["s"].state) == (ExecutionState.COMPLETE,) * 2
        assert (report.read_text() if report.exists() else "") == (
            "" if ending == "exit" else "refused"
        )

    @pytest.mark.parametrize(
        ("error", "state"),
        [
            (ValueError("gone wrong"), ExecutionState.FAILED),
            (KeyboardInterrupt(), ExecutionState.CANCELED),
        ],
    )
    def test_a_verdict_is_not_forgotten(self, error: BaseException, state: ExecutionState) -> None:
        """What failed or was canceled while the store was away ends as that, when it is back."""
        backend = Failing()
        run = Store(backend).run("p").start()
        with pytest.raises(type(error)), run.step("s") as step:
            backend.broken = True
            raise error
        backend.broken = False
        step.finish()
        run.finish()
        found = Store(backend).find_run(run.id).steps["s"]
        assert (found.state, found.error) == (
            state,
            "ValueError: gone wrong" if state is ExecutionState.FAILED else None,
        )

    def test_an_exception_that_cannot_be_read(self, store: Store) -> None:
        """An exception whose text raises goes on up as it is, and is recorded by its class."""

        class BrokenError(Exception):
            def __str__(self) -> str:
                raise RuntimeError

        with pytest.raises(BrokenError), store.run("p") as run, run.step("s") as step:
            step.metric("loss", 0.5)
            raise BrokenError
        found = store.find_run(run.id).steps["s"]
        assert (found.state, found.metrics) == (ExecutionState.FAILED, {"loss": 0.5})
        assert (found.error or "").startswith("Broken")

    def test_threads_record_in_one_step(self, store: Store) -> None:
        """Outputs of many threads are all kept, each in a place of its own; one that comes when
        the step has ended is refused.
        """
        refused: list[InvalidError] = []

        def work(step: Any) -> None:
            try:
                for _ in range(100):
                    step.output("out")
            except InvalidError as error:
                refused.append(error)

        with store.run("p") as run, run.step("s") as step:
            threads = [threading.Thread(target=work, args=(step,)) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads[:3]:
                thread.join()
        threads[3].join()
        events = store.backend.read_events(EventQuery(execution_ids=[step.id]))
        assert len({each.path for each in events}) == len(events) == len(store.artifacts())
        assert 300 <= len(events) <= 400
        assert len(refused) == (len(events) < 400)


class TestTypes:
    """Types are created and widened as they are used."""

    def test_types_are_created_and_widened(self, store: Store) -> None:
        """The first use creates the type, a new property widens it, for old nodes too."""
        record(store, type="Model", properties={"accuracy": 0.9})
        record(store, type="Model", properties={"size": 3})
        assert store.type(NodeKind.ARTIFACT, "Model").properties == {
            "accuracy": PropertyKind.DOUBLE,
            "size": PropertyKind.INT,
        }

    def test_an_int_is_a_double_where_the_type_says_so(self, store: Store) -> None:
        """1 is 1.0 where the type declares a double."""
        record(store, type="Model", properties={"accuracy": 0.9})
        step = record(store, type="Model", properties={"accuracy": 1})
        value = step.outputs["out"].properties["accuracy"]
        assert (value, type(value)) == (1.0, float)

    def test_a_value_of_another_kind_is_refused_at_once(self, store: Store) -> None:
        """A value that the type cannot take is refused where it is given, naming what would do."""
        record(store, type="Model", properties={"accuracy": 0.9})
        with store.run("p") as run, run.step("s") as step:
            with pytest.raises(InvalidError, match="custom_properties"):
                step.output("out", type="Model", properties={"accuracy": "high"})
            step.output("out", type="Model", custom_properties={"accuracy": "high"})
        assert store.find_run(run.id).steps["s"].state is ExecutionState.COMPLETE

    def test_numbers_of_other_libraries(self, store: Store) -> None:
        """Numbers that only behave like numbers are kept as what they stand for."""

        class Scalar:
            ndim = 0

            def item(self) -> float:
                return 0.25

        step = record(store, properties={"a": Scalar(), "b": True})
        assert step.outputs["out"].properties == {"a": 0.25, "b": True}


class TestReuse:
    """Artifacts are told apart by uri, external id or name where that is asked for."""

    def test_without_reuse_every_output_is_new(self, store: Store) -> None:
        """The same uri written twice is two artifacts."""
        record(store, uri="u")
        record(store, uri="u")
        assert len(store.artifacts(uri="u")) == 2

    @pytest.mark.parametrize(
        ("by", "identity"),
        [("uri", {"uri": "u"}), ("external_id", {"external_id": "x"}), ("name", {"name": "n"})],
    )
    def test_reuse_finds_the_same_artifact(
        self, store: Store, by: Any, identity: dict[str, str]
    ) -> None:
        """With reuse the second output is the first artifact, with its new properties."""
        for number in range(2):
            record(store, type="Model", **identity, reuse=by, properties={f"p{number}": number})
        (artifact,) = store.artifacts(type="Model")
        assert artifact.properties == {"p0": 0, "p1": 1}

    def test_reuse_within_a_step(self, store: Store) -> None:
        """Two outputs of one step with the same identity are one artifact and one event."""
        with store.run("p") as run, run.step("s") as step:
            outputs = [step.output(key, uri="u", reuse="uri") for key in ("a", "b")]
        assert outputs[0].id == outputs[1].id
        assert run.state is ExecutionState.COMPLETE

    def test_reuse_needs_something_to_go_by(self, store: Store) -> None:
        """Reuse by a field that is not given is refused."""
        with store.run("p") as run, run.step("s") as step, pytest.raises(InvalidError, match="uri"):
            step.output("out", reuse="uri")

    def test_an_input_by_uri_is_the_newest_artifact(self, store: Store) -> None:
        """A uri as input is the newest artifact that has it."""
        record(store, uri="u")
        newest = record(store, uri="u").outputs["out"]
        with store.run("p") as run, run.step("s") as step:
            step.input("in", "u")
        assert store.find_run(run.id).steps["s"].inputs["in"].id == newest.id

    def test_an_input_that_nobody_recorded_is_made(self, store: Store) -> None:
        """A uri that nobody recorded becomes an artifact; used again, it is the same one."""
        for _ in range(2):
            with store.run("p") as run, run.step("s") as step:
                step.input("in", "s3://raw.csv", type="Dataset")
        assert len(store.artifacts(uri="s3://raw.csv", type="Dataset")) == 1

    @pytest.mark.parametrize("wrong", [None, 1.5, True, object(), b"u", ["u", None], {"u": 1}])
    def test_an_input_that_is_no_artifact_is_refused(self, store: Store, wrong: Any) -> None:
        """What is neither artifact nor id nor uri is refused at once."""
        with store.run("p") as run, run.step("s") as step, pytest.raises(InvalidError):
            step.input("in", wrong)
        assert not store.find_run(run.id).steps["s"].inputs

    def test_what_is_of_another_kind_is_no_input(self, store: Store) -> None:
        """A run or step has an id too, but is no artifact; neither does a plain record say
        of which store it is.
        """
        record(store, uri="u")
        found = store.runs()[0]
        with store.run("p") as run, run.step("s") as step:
            for wrong in (
                run,
                step,
                found,
                found.steps[0],
                found.context,
                found.steps[0].execution,
            ):
                with pytest.raises(InvalidError, match="where an artifact is wanted"):
                    step.input("in", wrong)  # type: ignore[arg-type]  # the test's point
            with pytest.raises(InvalidError, match="of which store"):
                step.input("in", store.artifact(1).node)  # type: ignore[arg-type]  # see above
        assert not store.find_run(run.id).steps["s"].inputs

    def test_an_input_that_does_not_exist_is_refused(self, store: Store) -> None:
        """An id that no artifact has is an error where it is given, and spoils nothing else."""
        with store.run("p") as run, run.step("s") as step:
            with pytest.raises(NotFoundError, match="424242"):
                step.input("in", 424242)
            step.output("out")
        found = store.find_run(run.id).steps["s"]
        assert (found.state, [*found.outputs]) == (ExecutionState.COMPLETE, ["out"])


class Writes(MemoryMetadataStore):
    """A store that says into a file when it is written, by whatever process."""

    report: Path | None = None

    def write(self, batch: Batch) -> WrittenBatch:
        """Write."""
        if self.report is not None:
            self.report.write_text("written")
        return super().write(batch)


class TestFailingStore:
    """The store fails while a run is recorded."""

    def test_the_users_exception_matters_more(self, caplog: pytest.LogCaptureFixture) -> None:
        """When both fail, the user's own exception goes up and the store's is logged."""
        backend = Failing()
        with pytest.raises(ZeroDivisionError), Store(backend).run("p"):
            backend.broken = True
            raise ZeroDivisionError
        assert "the disk is gone" in caplog.text

    def test_a_lost_end_is_an_error(self) -> None:
        """When only the store fails, its error goes up."""
        backend = Failing()
        with pytest.raises(StorageError), Store(backend).run("p"):
            backend.broken = True

    def test_nothing_is_lost_when_the_store_comes_back(self) -> None:
        """A step whose end could not be written can be finished when the store is back."""
        backend = Failing()
        store = Store(backend)
        run = store.run("p").start()
        with pytest.raises(StorageError), run.step("s") as step:
            step.output("out", uri="u")
            step.metric("loss", 0.5)
            backend.broken = True
        backend.broken = False
        step.finish()
        run.finish()
        found = store.find_run(run.id).steps["s"]
        assert (found.state, found.outputs["out"].uri, found.metrics) == (
            ExecutionState.COMPLETE,
            "u",
            {"loss": 0.5},
        )

    def test_a_store_for_reading_refuses_a_run(self) -> None:
        """A run in a store that is open for reading is refused before its block begins."""
        entered = False
        with (
            pytest.raises(ReadOnlyError),
            Store(MemoryMetadataStore(mode="r")).run("p"),
        ):
            entered = True
        assert not entered


def test_two_writes_a_step(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step is written exactly twice, whatever it records."""
    writes: list[Batch] = []
    write = type(store.backend).write

    def counted(self: MemoryMetadataStore, batch: Batch) -> WrittenBatch:
        writes.append(batch)
        return write(self, batch)

    monkeypatch.setattr(MemoryMetadataStore, "write", counted)
    with store.run("p") as run:
        before = len(writes)
        with run.step("s", parameters={"a": 1}) as step:
            step.input("in", "u")
            for number in range(10):
                step.output("out", uri=str(number))
            step.metric("loss", 0.1)
        assert len(writes) - before == 2
