"""What is handed over while a step is recorded: what is refused, when, and what is kept."""

from __future__ import annotations

import datetime
import decimal
import enum
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from metastore import (
    AlreadyExistsError,
    Batch,
    ExecutionState,
    InvalidError,
    MemoryMetadataStore,
    NodeKind,
    PropertyKind,
    StorageError,
    Store,
)

from .recorded import Failing, record, store

__all__ = ["store"]


ENDLESS: list[Any] = []
ENDLESS.append(ENDLESS)


class Color(enum.Enum):
    """Something that stands for itself by its name."""

    RED = object()


class TestOtherStores:
    """An artifact of another store has an id that means something else here."""

    @pytest.fixture
    def other(self) -> Iterator[Store]:
        """Another store, with artifacts whose ids are those of this one's."""
        with Store(MemoryMetadataStore()) as opened:
            record(opened, uri="theirs")
            yield opened

    def test_an_artifact_of_another_store_is_refused(self, store: Store, other: Store) -> None:
        """As input and as output, as it was read and as it was recorded; its uri will do."""
        record(store, uri="ours")
        with other.run("p") as run, run.step("s") as recorder:
            recorded = recorder.output("out", uri="theirs, too")
        with store.run("p") as run, run.step("s") as step:
            for theirs in (other.artifact(1), recorded, [other.artifact(1)]):
                with pytest.raises(InvalidError, match="another store"):
                    step.input("in", theirs)
            for each in (other.artifact(1), recorded):
                with pytest.raises(InvalidError, match="another store"):
                    step.output("out", each)
            step.input("in", recorded.uri)
        found = store.find_run(run.id).steps["s"]
        assert [each.uri for each in found.inputs.all("in")] == ["theirs, too"]
        assert not found.outputs

    def test_an_update_of_another_stores_node_is_refused(self, store: Store, other: Store) -> None:
        """`Store.update` changes nodes of its own store only."""
        record(store, uri="ours")
        with pytest.raises(InvalidError, match="another store"):
            store.update(other.artifact(1), lambda _: {"a": 1}, custom=True)
        assert store.artifact(1).custom_properties == {}


class TestOutputs:
    """What an output may say, and what contradicts it."""

    def test_a_stored_artifact_keeps_its_type(self, store: Store) -> None:
        """Properties of an output that is there already are of its own type, which they widen."""
        model = record(store, type="Model", uri="m").outputs["out"]
        with store.run("p") as run, run.step("s") as step:
            again = step.output("out", model, properties={"size": 3})
        assert (again.id, again.type, again.uri) == (model.id, "Model", "m")
        assert again.read().properties == {"size": 3}
        assert store.type(NodeKind.ARTIFACT, "Model").properties == {"size": PropertyKind.INT}
        assert run.state is ExecutionState.COMPLETE

    @pytest.mark.parametrize(
        "other",
        [{"type": "Data"}, {"uri": "n"}, {"name": "n"}, {"external_id": "y"}, {"reuse": "uri"}],
    )
    def test_a_stored_artifact_is_not_contradicted(self, store: Store, other: Any) -> None:
        """What is said of an artifact that is there already is what it is, or refused."""
        model = record(store, type="Model", uri="m", external_id="x").outputs["out"]
        with store.run("p") as run, run.step("s") as step:
            with pytest.raises(InvalidError, match=r"leave out"):
                step.output("out", model, **other)
            step.output("out", model, type="Model", uri="m")
        assert store.find_run(run.id).steps["s"].outputs["out"] == model

    @pytest.mark.parametrize("other", [{"uri": "n"}, {"name": "n"}, {"external_id": "y"}])
    def test_a_found_artifact_is_not_contradicted(self, store: Store, other: Any) -> None:
        """So is what is said of an artifact that reuse finds, whatever else is said of it."""
        known: Any = {"type": "Model", "uri": "m", "reuse": "uri"}
        if "uri" in other:
            known = {"type": "Model", "name": "k", "reuse": "name"}
        record(store, type="Model", uri="m", name="k", external_id="x")
        with store.run("p") as run, run.step("s") as step:
            more: Any
            for more in ({}, {"properties": {"a": 1}}):
                with pytest.raises(InvalidError, match=r"leave out"):
                    step.output("out", **known, **other, **more)
            found = step.output("out", **known)
            assert (found.id, found.uri, found.name) == (1, "m", "k")
        assert run.state is ExecutionState.COMPLETE
        assert store.artifact(1).external_id == "x"

    @pytest.mark.parametrize("given", [{}, {"properties": {"a": 1}}])
    def test_what_was_not_known_yet_is_added(self, store: Store, given: Any) -> None:
        """A uri or external id that an artifact has not got yet is added to it."""
        record(store, type="Model", name="k")
        with store.run("p") as run, run.step("s") as step:
            step.output("a", type="Model", name="k", reuse="name", uri="m", **given)
        with store.run("p") as run, run.step("s") as step:
            step.output("a", 1, external_id="x")
        found = store.artifact(1)
        assert (found.uri, found.external_id) == ("m", "x")
        assert found.properties == given.get("properties", {})
        assert run.state is ExecutionState.COMPLETE

    def test_one_artifact_reached_in_two_ways(self, store: Store) -> None:
        """An artifact that is given, and found by uri and by name, is one, with all of it."""
        model = record(store, type="Model", uri="m", name="k").outputs["out"]
        with store.run("p") as run, run.step("s") as step:
            step.output("a", model)
            step.output("b", type="Model", uri="m", reuse="uri", properties={"x": 1})
            step.output("c", type="Model", name="k", reuse="name", properties={"y": 2})
            step.input("d", "m")
        found = store.find_run(run.id).steps["s"]
        assert (found.state, [*found.outputs], [*found.inputs]) == (
            ExecutionState.COMPLETE,
            ["a", "b", "c"],
            ["d"],
        )
        assert store.artifact(1).properties == {"x": 1, "y": 2}
        assert len(store.artifacts()) == 1

    def test_a_uri_stands_for_what_the_step_itself_named(self, store: Store) -> None:
        """A uri is the artifact that the step has just given that uri, whatever its type."""
        with store.run("p") as run, run.step("s") as step:
            step.input("a", "u", type="Dataset")
            step.input("b", "u")
            step.output("c", type="Dataset", uri="v")
            step.input("d", "v")
        inputs = store.find_run(run.id).steps["s"].inputs
        assert [each.uri for each in store.artifacts()] == ["u", "v"]
        assert (inputs["a"].id, inputs["b"].id, inputs["d"].uri) == (1, 1, "v")
        with store.run("p") as run, run.step("s") as step, pytest.raises(InvalidError):
            step.input("a", 1, type="Model")

    @pytest.mark.parametrize(
        "wrong",
        [
            {"type": ""},
            {"type": 3},
            {"uri": 3},
            {"name": ""},
            {"name": 3},
            {"external_id": ""},
            {"external_id": 3},
            {"properties": [1]},
            {"properties": {1: 1}},
            {"properties": {"a": None}},
            {"properties": {"a": math.nan}},
            {"custom_properties": "a"},
            {"custom_properties": {"a": object()}},
            {"reuse": "url", "uri": "u"},
            {"reuse": True, "uri": "u"},
            {"reuse": "name"},
            {"uri": "\ud800"},
        ],
    )
    def test_what_cannot_be_recorded_is_refused_at_once(self, store: Store, wrong: Any) -> None:
        """An output that cannot be recorded is our error where it is given; the rest goes on."""
        with store.run("p") as run, run.step("s") as step:
            with pytest.raises(InvalidError, match="output 'out'"):
                step.output("out", **wrong)
            step.output("out", uri="right")
        found = store.find_run(run.id).steps["s"]
        assert [each.uri for each in found.outputs.all("out")] == ["right"]
        assert found.state is ExecutionState.COMPLETE

    @pytest.mark.parametrize("field", ["name", "external_id"])
    def test_a_name_that_is_taken_is_refused_at_once(self, store: Store, field: Any) -> None:
        """A name or external id that is taken, in the store or the step, says so where it is
        given, and how to mean the same artifact.
        """
        taken: Any = {"type": "Model", field: "taken"}
        new: Any = {"type": "Model", field: "new"}
        record(store, **taken)
        with store.run("p") as run, run.step("s") as step:
            with pytest.raises(AlreadyExistsError, match=f"reuse='{field}'"):
                step.output("a", **taken)
            step.output("b", **new)
            with pytest.raises(AlreadyExistsError, match="of the step"):
                step.output("c", **new)
            step.output("d", **new, reuse=field, properties={"x": 1})
        found = store.find_run(run.id).steps["s"]
        assert {key: found.outputs[key].id for key in found.outputs} == {"b": 2, "d": 2}
        assert store.artifact(2).properties == {"x": 1}

    def test_an_external_id_of_another_type_is_refused(self, store: Store) -> None:
        """Reuse by external id finds an artifact of the type that is given, or says what it is."""
        record(store, type="Model", external_id="x")
        with (
            store.run("p") as run,
            run.step("s") as step,
            pytest.raises(InvalidError, match="type is another"),
        ):
            step.output("out", type="Data", external_id="x", reuse="external_id")
        assert run.state is ExecutionState.COMPLETE

    def test_two_uses_of_one_new_artifact_hold_all(self, store: Store) -> None:
        """Two outputs that are one new artifact give it the properties of both."""
        with store.run("p") as run, run.step("s") as step:
            step.output("a", uri="u", reuse="uri", properties={"x": 1})
            step.output("b", uri="u", reuse="uri", properties={"y": 2}, name="n")
            with pytest.raises(InvalidError, match="another name"):
                step.output("c", uri="u", reuse="uri", name="m")
            step.input("d", "u")
        (artifact,) = store.artifacts()
        assert (artifact.properties, artifact.name) == ({"x": 1, "y": 2}, "n")
        assert run.state is ExecutionState.COMPLETE

    def test_a_refused_value_declares_nothing(self, store: Store) -> None:
        """What an output that was refused would have declared does not bind the next one."""
        with store.run("p") as run, run.step("s") as step:
            with pytest.raises(InvalidError):
                step.output("out", properties={"a": 1, "b": None})
            with pytest.raises(InvalidError):
                step.output("out", properties={"a": 1}, custom_properties={"c": None})
            step.output("out", properties={"a": "text"})
        assert run.state is ExecutionState.COMPLETE

    def test_the_first_value_decides_the_kind(self, store: Store) -> None:
        """An int declares an INT for ever; a fraction later is refused, with the ways out."""
        record(store, type="Model", properties={"accuracy": 1})
        with (
            store.run("p") as run,
            run.step("s") as step,
            pytest.raises(InvalidError, match=r"1\.0, not 1"),
        ):
            step.output("out", type="Model", properties={"accuracy": 0.97})
        assert run.state is ExecutionState.COMPLETE


class TestParameters:
    """Parameters come in every sort that Python has."""

    def test_lists_are_kept_as_json(self, store: Store) -> None:
        """Lists of what JSON holds are JSON text, numbers that are not finite words in it."""
        given = {
            "numbers": [1, 0.5, math.nan, -math.inf, None, True],
            "nested": [{"a": [Path("p")]}, ("x", "é")],
            "set": {3, 1, 2},
            "nan": math.nan,
            "deep": {"a": [1, math.nan, {2: Path("p")}], "when": datetime.date(2026, 1, 2)},
            "large": 2**70,
            "exact": decimal.Decimal("0.10"),
            "color": Color.RED,
        }
        with store.run("p", parameters=given) as run:
            pass
        assert store.find_run(run.id).parameters == {
            "numbers": '[1, 0.5, "NaN", "-Infinity", null, true]',
            "nested": f'[{{"a": [{json.dumps(str(Path("p")))}]}}, ["x", "é"]]',
            "set": "[1, 2, 3]",
            "nan": "NaN",
            "deep": {"a": [1.0, "NaN", {"2": str(Path("p"))}], "when": "2026-01-02"},
            "large": str(2**70),
            "exact": "0.10",
            "color": "RED",
        }

    @pytest.mark.parametrize(
        "wrong",
        [
            [1],
            "a",
            {1: 2},
            {"": 1},
            {"a": object()},
            {"a": [object()]},
            {"a": {1, "x"}},
            {"a": [{b"k": 2}]},
            {"a": {1: 2, "1": 3}},
            {"a": 10**5000},
            {"a": [10**5000]},
            {"a": ENDLESS},
            {"a": "\ud800"},
        ],
        ids=range(13),
    )
    def test_what_is_no_parameter_is_refused(self, store: Store, wrong: Any) -> None:
        """What cannot be kept as it is meant is refused, not kept as something else."""
        for begin in (
            lambda: store.run("p", parameters=wrong),
            lambda: store.run("p").start().step("s", parameters=wrong),
        ):
            with pytest.raises(InvalidError, match="parameter"):
                begin()

    def test_parameters_that_became_known_later(self, store: Store) -> None:
        """A parameter that is given while the step runs is kept beside the first ones."""
        with store.run("p") as run, run.step("s", parameters={"a": 1}) as step:
            step.parameter("b", [2])
            with pytest.raises(InvalidError, match="parameter 'c'"):
                step.parameter("c", object())
        assert store.find_run(run.id).steps["s"].parameters == {"a": 1, "b": "[2]"}


class TestLateErrors:
    """What was right when it was given, and is wrong when the step ends: others wrote meanwhile."""

    def test_a_name_that_was_taken_meanwhile(self, store: Store) -> None:
        """The artifact is left out, all else is kept; the error speaks of the output."""
        with store.run("p") as run:
            with (
                pytest.raises(
                    AlreadyExistsError, match="output 'model' cannot be written"
                ) as error,
                run.step("s", parameters={"lr": 0.1}) as step,
            ):
                step.input("in", "raw")
                lost = step.output("model", type="Model", name="n")
                kept = step.output("log", uri="log.txt", properties={"lines": 3})
                step.metric("loss", 0.5)
                record(store, type="Model", name="n")
            assert "batch" not in str(error.value)
        found = store.find_run(run.id).steps["s"]
        assert (found.state, [*found.inputs], [*found.outputs]) == (
            ExecutionState.FAILED,
            ["in"],
            ["log"],
        )
        assert found.outputs["log"].id == kept.id
        assert found.outputs["log"].properties == {"lines": 3}
        assert (found.metrics, found.parameters) == ({"loss": 0.5}, {"lr": 0.1})
        assert "output 'model'" in (found.error or "")
        with pytest.raises(InvalidError, match="could not record"):
            lost.id  # noqa: B018 - to ask for it is the test

    def test_a_property_that_became_another_kind(self, store: Store) -> None:
        """The property is left out, its artifact and the others are kept."""
        with (
            store.run("p") as run,
            pytest.raises(AlreadyExistsError, match="output 'a'"),
            run.step("s") as step,
        ):
            step.output("a", type="Model", uri="a", properties={"size": 1, "good": 2})
            step.output("b", type="Model", uri="b", properties={"good": 3})
            record(store, type="Model", properties={"size": "large"})
        outputs = store.find_run(run.id).steps["s"].outputs
        assert {key: outputs[key].properties for key in outputs} == {
            "a": {"good": 2},
            "b": {"good": 3},
        }

    def test_a_metric_whose_name_became_a_text(self, store: Store) -> None:
        """The metric is left out, the others are kept."""
        run = store.run("p").start()
        with pytest.raises(AlreadyExistsError), run.step("s", type="T") as step:
            step.metrics({"loss": 0.5, "accuracy": 0.9})
            batch = Batch()
            batch.type(
                NodeKind.EXECUTION,
                "T",
                {"loss": PropertyKind.STRING},
                can_add_properties=True,
                can_omit_properties=True,
            )
            store.write(batch)
        assert store.find_run(run.id).steps["s"].metrics == {"accuracy": 0.9}

    def test_the_users_error_stands(self, store: Store, caplog: pytest.LogCaptureFixture) -> None:
        """When the step fails by itself, its own error is kept; what was left out is logged."""
        with pytest.raises(ZeroDivisionError), store.run("p") as run, run.step("s") as step:
            step.output("model", type="Model", name="n")
            step.output("log")
            record(store, type="Model", name="n")
            raise ZeroDivisionError
        found = store.find_run(run.id).steps["s"]
        assert (found.error or "").startswith("ZeroDivisionError; besides, AlreadyExistsError: ")
        assert [*found.outputs] == ["log"]
        assert "output 'model'" in caplog.text

    def test_the_guilty_alone_is_left_out(self, store: Store) -> None:
        """An input that has no such property is not blamed; a parameter called like a refused
        metric stays; and the next step of the run knows what the types have become.
        """
        data = record(store, type="Data").outputs["out"]
        run = store.run("p").start()
        with pytest.raises(AlreadyExistsError, match="output 'guilty'"), run.step("s") as step:
            step.input("innocent", data)
            step.parameter("lr", 0.1)
            step.metric("lr", 0.1)
            step.output("guilty", properties={"acc": 1.0})
            record(store, properties={"acc": "text"})
            batch = Batch()
            batch.type(
                NodeKind.EXECUTION,
                "s",
                {"lr": PropertyKind.INT},
                can_add_properties=True,
                can_omit_properties=True,
            )
            store.write(batch)
        found = store.find_run(run.id).steps["s"]
        assert (found.parameters, found.metrics) == ({"lr": 0.1}, {})
        assert [*found.inputs, *found.outputs] == ["innocent", "guilty"]
        with run.step("t") as later, pytest.raises(InvalidError, match="declared it as STRING"):
            later.output("out", properties={"acc": 1.0})
        assert later.state is ExecutionState.COMPLETE

    def test_what_was_refused_is_told_when_the_store_comes_back(self) -> None:
        """What was left out is not forgotten when the rest can be written only later."""
        backend = Failing()
        store = Store(backend)
        run = store.run("p").start()
        step = run.step("s").start()
        step.output("gone", type="Model", name="n")
        step.output("kept", uri="u")
        record(store, type="Model", name="n")
        backend.fail_at = 2
        with pytest.raises(StorageError):
            step.finish()
        step.output("more", uri="u", reuse="uri")
        with pytest.raises(AlreadyExistsError, match="output 'gone'"):
            step.finish()
        found = store.find_run(run.id).steps["s"]
        assert (found.state, [*found.outputs]) == (ExecutionState.FAILED, ["kept", "more"])
        assert "output 'gone'" in (found.error or "")

    def test_a_cancel_stays_one(self, store: Store) -> None:
        """A step that is canceled is CANCELED, also when something of it is refused."""
        run = store.run("p").start()
        step = run.step("s").start()
        step.output("gone", type="Model", name="n")
        record(store, type="Model", name="n")
        with pytest.raises(AlreadyExistsError):
            step.cancel()
        assert store.find_run(run.id).steps["s"].state is ExecutionState.CANCELED

    def test_many_errors_at_once(self, store: Store) -> None:
        """Whatever is wrong is left out, one after the other; the first error goes up."""
        run = store.run("p").start()
        with pytest.raises(AlreadyExistsError, match="output 'bad'"), run.step("s") as step:
            for number in range(10):
                step.output("bad", type="Model", name=f"n{number}")
                step.output("good", uri=f"u{number}")
            for number in range(10):
                record(store, type="Model", name=f"n{number}")
        found = store.find_run(run.id).steps["s"]
        assert (found.error or "").count("output 'bad'") == 10
        outputs = found.outputs
        assert [each.uri for each in outputs.all("good")] == [f"u{n}" for n in range(10)]
        assert "bad" not in outputs
