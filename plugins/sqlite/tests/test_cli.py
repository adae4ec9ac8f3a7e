"""The command on real stores: the demo's, and those that other programs wrote."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from metastore.cli import cli

from .golden import GOLDEN, GoldenRun
from .helpers import connect, fingerprint, real_stores, sample, url_of

READING = [
    ("pipeline", "list"),
    ("run", "list"),
    ("run", "show", "1"),
    ("artifact", "list"),
    ("artifact", "show", "1"),
    ("lineage", "1"),
]


class Result(NamedTuple):
    """What a command said and how it ended."""

    code: Any
    out: str
    err: str


Command = Callable[..., Result]


@pytest.fixture
def command(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Command:
    """Runs the command, in an empty folder that is also the user's home."""
    monkeypatch.delenv("METASTORE_STORE", raising=False)
    for variable in ("HOME", "XDG_DATA_HOME", "USERPROFILE"):
        monkeypatch.setenv(variable, str(tmp_path))
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> Result:
        with pytest.raises(SystemExit) as ended:
            cli.main(list(arguments), prog_name="metastore")
        return Result(ended.value.code, *capsys.readouterr())

    return run


def _json(result: Result) -> Any:
    assert (result.code, result.err) == (0, "")
    return json.loads(result.out)


# The demo.

DEMO = "sqlite:///metastore-demo/metastore.db"


def test_the_demo_can_be_looked_at(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """The demo records two runs, of which the second did not make its dataset again."""
    shown = command("demo")
    assert (shown.code, shown.err) == (0, "")
    assert "demo-flowers" in shown.out
    assert "made by train" in shown.out
    monkeypatch.setenv("METASTORE_STORE", DEMO)
    [pipeline] = _json(command("pipeline", "list", "--json"))
    assert (pipeline["name"], pipeline["runs"]) == ("demo-flowers", 2)
    runs = _json(command("run", "list", "--json"))
    assert [each["state"] for each in runs] == ["COMPLETE", "COMPLETE"]
    assert runs[0]["parameters"]["epochs"] > runs[1]["parameters"]["epochs"]
    second, first = (_json(command("run", "show", each["name"], "--json")) for each in runs)
    names = ["generate", "split", "train", "evaluate"]
    assert [step["name"] for step in first["steps"]] == names
    assert [step["state"] for step in first["steps"]] == ["COMPLETE"] * 4
    assert [step["state"] for step in second["steps"]] == ["CACHED"] + ["COMPLETE"] * 3
    assert second["steps"][0]["outputs"] == first["steps"][0]["outputs"]
    better = second["steps"][2]["metrics"]["loss"], first["steps"][2]["metrics"]["loss"]
    assert better[0] < better[1]


def test_the_demo_writes_the_files_it_records(command: Command, tmp_path: Path) -> None:
    """Every artifact of the demo is a file in its folder, and the model has its lineage."""
    command("demo")
    artifacts = _json(command("artifact", "list", "--json", "--store", DEMO))
    for each in artifacts:
        assert each["uri"].startswith((tmp_path / "metastore-demo").as_uri())
        assert Path(each["uri"].removeprefix("file://")).is_file()
    model = next(each for each in artifacts if each["type"] == "Model")
    lineage = _json(command("lineage", str(model["id"]), "--json", "--store", DEMO))
    assert {each["step"] for each in lineage["executions"]} == {"generate", "split", "train"}


def test_what_the_demo_says_to_try_works(command: Command) -> None:
    """The commands that the demo shows and suggests can be typed in as they are."""
    said = [
        line.split("metastore ", 1)[1]
        for line in command("demo").out.splitlines()
        if line.startswith(("$ metastore", "Next, try:", "or:"))
    ]
    assert len(said) == 5
    for line in said:
        assert command(*line.split()).code == 0, line


def test_the_demo_may_be_run_again(command: Command) -> None:
    """A second demo adds two runs to the first one's, and makes no dataset anew."""
    command("demo")
    assert command("demo").code == 0
    runs = _json(command("run", "list", "--json", "--store", DEMO))
    assert len({each["name"] for each in runs}) == 4
    newest = _json(command("run", "show", runs[0]["name"], "--json", "--store", DEMO))
    assert newest["steps"][0]["state"] == "CACHED"


def test_the_demo_makes_anew_what_was_changed(command: Command, tmp_path: Path) -> None:
    """A dataset that is no longer the recorded one is not taken for it."""
    command("demo")
    (tmp_path / "metastore-demo" / "flowers.csv").write_text("nothing")
    command("demo")
    runs = _json(command("run", "list", "--json", "--store", DEMO))
    states = [
        _json(command("run", "show", each["name"], "--json", "--store", DEMO))["steps"][0]["state"]
        for each in runs
    ]
    assert states == ["CACHED", "COMPLETE", "CACHED", "COMPLETE"]


def test_the_demo_keeps_out_of_other_stores(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """METASTORE_STORE does not lead the demo into one's own store; --store does."""
    monkeypatch.setenv("METASTORE_STORE", "sqlite:///own.db")
    assert command("demo").code == 0
    assert not (tmp_path / "own.db").exists()
    assert command("demo", "--store", "sqlite:///own.db").code == 0
    assert len(_json(command("run", "list", "--json"))) == 2


def test_a_demo_that_cannot_be_written_is_one_line(command: Command, tmp_path: Path) -> None:
    """A file in the place of the demo's folder is an error of one line."""
    (tmp_path / "metastore-demo").touch()
    code, out, err = command("demo")
    assert (code, out) == (1, "")
    assert err.startswith("error: ")
    assert "metastore-demo" in err
    assert err.count("\n") == 1


# Reading.


@pytest.mark.parametrize("arguments", READING)
def test_reading_creates_nothing(
    command: Command, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    """A typo in the path, or no store at all, is an error of one line, and no file appears."""
    for option in (("--store", "sqlite:///typo.db"), ("--store", "sqlite:///no/typo.db"), ()):
        code, out, err = command(*arguments, *option)
        assert (code, out) == (1, "")
        assert err.startswith("error: ")
        assert err.count("\n") == 1
        assert list(tmp_path.iterdir()) == []
    assert "metastore demo" in command(*arguments).err


@pytest.mark.parametrize("arguments", READING)
def test_reading_changes_nothing(
    command: Command, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    """No command that reads changes the file of a store, nor leaves one beside it."""
    path = tmp_path / "store.db"
    with connect(path) as store, store.run("p") as run, run.step("s") as step:
        step.output("o", uri="/data")
    before = fingerprint(path)
    command(*arguments, "--store", "sqlite:///store.db")
    command(*arguments, "--store", "sqlite:///store.db", "--json")
    assert fingerprint(path) == before


@pytest.mark.parametrize("option", [(), ("--json",)])
def test_a_reader_that_goes_away_is_no_error(tmp_path: Path, option: tuple[str, ...]) -> None:
    """``| head`` ends the command quietly, however much it had still to say."""
    path = tmp_path / "store.db"
    with connect(path) as store:
        store.write(sample(count=20_000, uri="u" * 20))
    with subprocess.Popen(
        [sys.executable, "-m", "metastore", "artifact", "list", "--store", url_of(path), *option],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline()
        process.stdout.close()
        err = process.stderr.read()
    assert (process.returncode, err) == (0, "")


# Stores that other programs wrote.


@pytest.fixture(scope="module", params=sorted(GOLDEN))
def real(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, tuple[GoldenRun, ...]]:
    """The URL of a real store that this release reads, and what is in it."""
    name = request.param
    source = real_stores() / name
    path = source
    if name not in ("active-learning.sqlite", "failed-runs.sqlite"):
        pytest.importorskip("ml_metadata", reason="it upgrades the stores of older schemas")
        from . import mlmd

        path = mlmd.upgraded_copy(source, tmp_path_factory.mktemp("upgraded") / name)
    return url_of(path), GOLDEN[name]


def test_runs_of_real_stores_are_listed(
    command: Command, real: tuple[str, tuple[GoldenRun, ...]]
) -> None:
    """``run list`` has the runs, pipelines and states that the tables written by hand have."""
    url, golden = real
    found = _json(command("run", "list", "--json", "--store", url))
    assert [(each["name"], each["pipeline"], each["state"]) for each in reversed(found)] == [
        (each.name, each.pipeline, each.state) for each in golden
    ]
    lines = command("run", "list", "--store", url).out.splitlines()[1:]
    for line, run in zip(reversed(lines), golden, strict=True):
        assert line.split()[1:4] == [run.name, run.pipeline, run.state]


def test_runs_of_real_stores_are_shown(
    command: Command, real: tuple[str, tuple[GoldenRun, ...]]
) -> None:
    """``run show`` has their steps, with what each read and wrote."""
    url, golden = real
    for run in golden:
        found = _json(command("run", "show", run.name, "--json", "--store", url))
        assert found["state"] == run.state
        assert [
            (
                step["name"],
                step["state"],
                step["id"],
                *(
                    {key: tuple(each["id"] for each in some) for key, some in step[side].items()}
                    for side in ("inputs", "outputs")
                ),
            )
            for step in found["steps"]
        ] == [tuple(step) for step in run.steps]
        out = command("run", "show", run.name, "--store", url).out
        for step in run.steps:
            for ports in (step.inputs, step.outputs):
                assert all(f"#{id}" in out for ids in ports.values() for id in ids)


def test_every_artifact_of_real_stores_is_shown(
    command: Command, real: tuple[str, tuple[GoldenRun, ...]]
) -> None:
    """Artifacts and their lineage can be shown, and name the steps that the tables have."""
    url, golden = real
    wrote: dict[int, set[str]] = {}
    for step in (step for run in golden for step in run.steps):
        for id in (id for ids in step.outputs.values() for id in ids):
            wrote.setdefault(id, set()).add(step.name)
    for each in _json(command("artifact", "list", "--json", "--store", url)):
        found = _json(command("artifact", "show", str(each["id"]), "--json", "--store", url))
        assert {key: found[key] for key in each} == each
        assert {step["step"] for step in found["produced_by"]} == wrote.get(each["id"], set())
        assert all(step["run"] for step in found["produced_by"])
        assert command("artifact", "show", str(each["id"]), "--store", url).code == 0
        assert command("lineage", str(each["id"]), "--down", "--up", "--store", url).code == 0


def test_a_failed_step_says_why(command: Command) -> None:
    """A step that its execution calls RUNNING and we call FAILED comes with the reason."""
    url = url_of(real_stores() / "failed-runs.sqlite")
    out = command("run", "show", "4", "--store", url).out
    assert "its execution says RUNNING; it never finished" in out
