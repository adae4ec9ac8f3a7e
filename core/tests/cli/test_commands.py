"""What the commands find out."""

from __future__ import annotations

from pathlib import Path

import pytest

import metastore
from metastore import Batch, Merge, Store, layout

from .helper import Command, store_with, use


def test_runs_are_listed_newest_first(command: Command, store: Store) -> None:
    """``run list`` begins with the last run, and --pipeline keeps the others out."""
    found = command("run", "list", "--json").data
    assert [each["name"] for each in found] == [each.name for each in store.runs()][::-1]
    mine = command("run", "list", "--json", "--pipeline", "train").data
    assert [each["name"] for each in mine] == ["2", "first"]
    assert mine[1]["state"] == "FAILED"
    assert mine[1]["error"] == "ValueError: no luck"
    assert mine[1]["parameters"] == {"seed": 7}


def test_an_unknown_pipeline_is_an_error(command: Command, store: Store) -> None:
    """A pipeline that is not there has no empty list of runs; the hint is a command."""
    code, out, err = command("run", "list", "--pipeline", "nope")
    assert (code, out) == (1, "")
    assert err.endswith("; 'metastore pipeline list' lists them\n")


def test_a_run_is_found_by_id_then_by_name(command: Command, store: Store) -> None:
    """A number is an id where there is such a run, and a name otherwise."""
    first = store.find_run("first")
    by_id = command("run", "show", str(first.id), "--json")
    assert command("run", "show", "first", "--json").out == by_id.out
    by_name = store.find_run("2")
    assert by_name.id != 2
    assert first.id == 2
    assert command("run", "show", "2", "--json").data["name"] == "first"
    with store.run("train", name="2024"):
        pass
    assert command("run", "show", "2024", "--json").data["name"] == "2024"
    for unknown in ("nope", "0", "9" * 19, "9" * 5000):
        assert command("run", "show", unknown).code == 1


def test_a_run_that_is_called_like_an_id_is_found_by_name(command: Command, store: Store) -> None:
    """Where a number is one run's id and another's name, both are within reach."""
    shown = command("run", "show", "2", "--json")
    assert shown.data["name"] == "first"
    assert "--name" in shown.err
    assert command("run", "show", "--name", "2", "--json").data["name"] == "2"
    assert command("run", "show", "--name", "3").code == 1


def test_a_run_is_shown_with_its_steps(command: Command, store: Store) -> None:
    """``run show`` tells parameters, states, what went in and out, metrics."""
    run = store.find_run("2")
    found = command("run", "show", str(run.id), "--json").data
    [step] = found["steps"]
    assert step["name"] == "fit"
    assert step["state"] == "COMPLETE"
    assert step["parameters"] == {"lr": 0.1}
    assert step["metrics"] == {"loss": 0.25}
    assert step["inputs"] == {
        "data": [{"id": 1, "type": "Artifact", "name": None, "uri": "s3://data"}]
    }
    assert step["outputs"]["model"][0]["uri"] == "s3://model"
    out = command("run", "show", str(run.id)).out
    assert "data: Artifact #1" in out
    assert "model: Model #2" in out
    assert "0.25" in out


def test_a_run_is_shown_with_a_picture(command: Command, store: Store) -> None:
    """Steps that hang together are drawn as boxes with arrows; one alone is not drawn."""
    assert "▼" not in command("run", "show", "2").out
    with store.run("train", name="both") as run:
        with run.step("prepare") as step:
            data = step.output("data", type="Dataset", uri="s3://prepared")
        with run.step("fit") as step:
            step.input("data", data)
    out = command("run", "show", "both").out
    assert out.index("│ prepare │") < out.index("▼") < out.index("│ fit │")
    with store.run("train", name="apart") as run:
        for name in ("a", "b"):
            with run.step(name):
                pass
    assert "Graph" not in command("run", "show", "apart").out


def test_a_run_that_is_too_large_for_a_picture(command: Command, store: Store) -> None:
    """It is said how to see it otherwise; nothing is drawn."""
    with store.run("train", name="large") as run:
        for number in range(61):
            with run.step(f"s{number}"):
                pass
    shown = command("run", "show", "large")
    assert "--format html" in shown.err
    assert "Graph" not in shown.out


@pytest.mark.parametrize(
    ("form", "begins"),
    [("mermaid", "flowchart LR"), ("dot", "digraph"), ("html", "<!doctype html>")],
)
def test_a_run_in_other_formats(command: Command, store: Store, form: str, begins: str) -> None:
    """The graph of a run in the languages of other programs, and the run as a page."""
    out = command("run", "show", "first", "--format", form).out
    assert out.startswith(begins)
    assert "fit" in out
    assert command("run", "show", "first", "--format", form, "--json").code == 2


def test_a_failure_is_told_where_it_happened(command: Command, store: Store) -> None:
    """The error of a step stands below its row, that of the run in the header."""
    out = command("run", "show", "first").out
    assert out.count("ValueError: no luck") == 2


def test_an_artifact_tells_who_wrote_and_read_it(command: Command, store: Store) -> None:
    """``artifact show`` names steps and runs, not executions alone."""
    found = command("artifact", "show", "2", "--json").data
    [producer] = found["produced_by"]
    assert (producer["step"], producer["run"]) == ("fit", "2")
    assert found["consumed_by"] == []
    readers = command("artifact", "show", "1", "--json").data["consumed_by"]
    assert [each["run"] for each in readers] == ["first", "2"]
    assert "fit (execution 2) of run 2 (id " in command("artifact", "show", "2").out


def test_an_unknown_type_of_artifacts_is_told_apart(command: Command, store: Store) -> None:
    """A type without artifacts is an empty list; a type that is not there gets the known ones."""
    assert [
        each["id"] for each in command("artifact", "list", "--type", "Model", "--json").data
    ] == [2]
    assert "did you mean Model?" in command("artifact", "list", "--type", "Modle").err
    assert "types of artifacts: Artifact, Model" in command("artifact", "list", "--type", "Q").err
    assert "types of artifacts" not in command("artifact", "list", "--type", "mlmd.Model").err


@pytest.mark.parametrize(
    ("options", "upstream", "downstream"),
    [
        ((), True, False),
        (("--up",), True, False),
        (("--down",), False, True),
        (("--up", "--down"), True, True),
    ],
)
def test_lineage_goes_where_it_is_told(
    command: Command, store: Store, options: tuple[str, ...], upstream: bool, downstream: bool
) -> None:
    """Upstream by default; --down goes the other way, both go both ways."""
    found = command("lineage", "2", "--json", *options).data
    assert (found["upstream"], found["downstream"]) == (upstream, downstream)
    assert {each["id"] for each in found["artifacts"]} == ({1, 2} if upstream else {2})
    assert [each["step"] for each in found["executions"]] == (["fit"] if upstream else [])


def test_lineage_is_a_tree(command: Command, store: Store) -> None:
    """The tree names steps and artifacts, and --max-hops ends it."""
    out = command("lineage", "2").out.splitlines()
    assert out[0] == "Model 2 s3://model"
    assert "made by fit (execution 2 COMPLETE, run 3) as model" in out[1]
    assert "data: Artifact 1 s3://data" in out[2]
    assert command("lineage", "2", "--max-hops", "1").out.splitlines() == out[:2]


def test_lineage_of_what_nobody_made_says_so(command: Command, store: Store) -> None:
    """An artifact without a producer is shown alone, with a remark."""
    assert command("lineage", "1") == (
        0,
        "Artifact 1 s3://data\n",
        "no step is recorded that made it\n",
    )


@pytest.mark.parametrize("arguments", [("artifact", "show", "9"), ("lineage", "9")])
def test_an_unknown_artifact_is_an_error(
    command: Command, store: Store, arguments: tuple[str, ...]
) -> None:
    """An id that is not there is named, with the command that lists those that are."""
    code, out, err = command(*arguments)
    assert (code, out) == (1, "")
    assert err.startswith("error: there is no artifact with id 9 in memory://")
    assert err.endswith("'metastore artifact list' lists them\n")


def test_flavors_are_listed_with_their_distribution(command: Command) -> None:
    """``flavor list`` shows core's own flavor like any other."""
    found = {each["name"]: each for each in command("flavor", "list", "--json").data}
    assert found["memory"]["state"] == "ok"
    assert found["memory"]["reason"] is None
    assert found["memory"]["distribution"] == "metastore-core"
    assert "memory" in command("flavor", "list").out


def test_the_demo_records_wherever_it_is_told(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The demo needs no particular flavor; of a store in memory it says that nothing is left."""
    monkeypatch.chdir(tmp_path)
    code, out, err = command("demo", "--store", "memory://")
    assert (code, err) == (0, "")
    assert "made by generate (execution 5 CACHED, run 3) as flowers" in out
    assert "gone" in out
    assert (tmp_path / "metastore-demo" / "flowers.csv").is_file()


def test_a_demo_that_cannot_begin_leaves_nothing(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the store cannot be opened, no folder is made."""
    monkeypatch.chdir(tmp_path)
    assert command("demo", "--store", "nowhere://").code == 1
    assert command("demo", "--store", "runs.db").code == 2
    assert list(tmp_path.iterdir()) == []


def test_stores_are_closed(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command closes the store that it opened."""
    store = store_with()
    use(monkeypatch, store)
    command("run", "list")
    with pytest.raises(metastore.ClosedError):
        store.artifact(1)


def test_abandoned_runs_are_flagged_and_canceled(command: Command, store: Store) -> None:
    """``run list`` says whose process is gone, ``run cancel`` ends it, once."""
    run = store.run("train", name="killed").start()
    run.step("fit").start()
    batch = Batch()
    batch.context(properties={layout.PROCESS: 2**30}, mode=Merge(run.id))
    store.write(batch)
    listed = command("run", "list")
    assert f"its process {2**30} is gone; 'metastore run cancel {run.id}' ends it" in listed.out
    assert listed.out.count("is gone") == 1
    assert command("run", "list", "--json").data[0]["is_abandoned"] is True
    assert "which is gone" in command("run", "show", "killed").out
    canceled = command("run", "cancel", "killed", "--reason", "out of memory")
    assert (canceled.code, "with 1 of its steps" in canceled.out) == (0, True)
    shown = command("run", "show", "killed", "--json").data
    assert (shown["state"], shown["error"]) == ("CANCELED", "out of memory")
    again = command("run", "cancel", "killed")
    assert (again.code, "has ended already" in again.err) == (1, True)
    assert command("run", "cancel", "none").code == 1


def test_lineage_in_other_languages(command: Command, store: Store) -> None:
    """``lineage --format`` writes Mermaid, DOT or a page; ``--to`` draws what lies between."""
    model = store.artifacts(type="Model")[0].id
    data = store.artifacts(uri="s3://data")[0].id
    assert command("lineage", str(model), "--format", "mermaid").out.startswith("flowchart LR\n")
    assert command("lineage", str(model), "--format", "dot").out.startswith("digraph lineage {\n")
    whole = command("lineage", str(model), "--format", "html").out
    assert (whole.startswith("<!doctype html>\n"), f"Model {model}" in whole) == (True, True)
    assert f"Artifact {data}" in command("lineage", str(model), "--to", str(data)).out
    assert command("lineage", str(data), "--down", "--to", str(model)).code == 0
    failed = command("lineage", str(data), "--to", str(model))
    assert (failed.code, "--down" in failed.err) == (1, True)


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        (("1", "--to", "2"), "walk --down too"),
        (("2", "--down", "--to", "1"), "walk --up too"),
        (("2", "--max-hops", "1", "--to", "1"), "walk --down too, or leave out --max-hops"),
        (
            (
                "2",
                "--up",
                "--down",
                "--stop-at-execution",
                "id = 2",
                "--max-hops",
                "1",
                "--to",
                "1",
            ),
            "leave out --max-hops, or leave out --stop-at, or see with --siblings",
        ),
        (("1", "--to", "99"), "'metastore artifact list' lists them"),
    ],
)
def test_why_no_way_was_found(
    command: Command, store: Store, options: tuple[str, ...], hint: str
) -> None:
    """Where two artifacts are not connected, it is said what was left out of the search."""
    code, _, err = command("lineage", *options)
    assert code == 1
    assert hint in err


def test_runs_of_a_state(command: Command, store: Store) -> None:
    """``run list --state`` goes by the state that is shown."""
    failed = command("run", "list", "--state", "failed", "--json").data
    assert [each["name"] for each in failed] == ["first"]
    found = command("run", "list", "--state", "COMPLETE", "--limit", "1")
    assert found.err == "1 runs, the newest; --limit 0 shows all of them\n"
    assert "for which that holds" in command("run", "list", "--state", "NEW").err


def test_a_pipelines_name_is_no_runs(command: Command, store: Store) -> None:
    """Who asks for a run by its pipeline's name is told how to list its runs."""
    assert "run list --pipeline train" in command("run", "show", "train").err


def test_types_have_a_limit(command: Command, store: Store) -> None:
    """``type list`` shows as many types as are wanted."""
    found = command("type", "list", "--limit", "1")
    assert found.out.count("\n") == 2
    assert "--limit 0" in found.err
