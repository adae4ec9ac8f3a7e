"""Files copied into files: killed and gone on with, real stores, and little memory."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from metastore import Batch, EventType, NodeKind, NodeQuery, PropertyKind
from metastore.batch import NodeRef
from metastore.cli import cli
from metastore.errors import SchemaVersionError
from metastore.model import Value
from metastore.testing import compare_stores
from metastore.transfer import compare, copy

from .helpers import (
    ARTIFACT,
    CONTEXT,
    EXECUTION,
    connect,
    fingerprint,
    listing,
    open_file,
    real_stores,
    url_of,
    with_all_digits,
)

KILLS = int(os.environ.get("METASTORE_TEST_KILLS", "5"))
"""How often a copy is killed."""
MEMORY = int(os.environ.get("METASTORE_TEST_COPIED", "2000"))
"""Artifacts of the smaller of two stores, of which the larger one has ten times as many."""

_COPIER = Path(__file__).with_name("copier.py")


def history(path: Path, artifacts: int) -> None:
    """A store of executions with ten artifacts each, no two alike, in runs of a pipeline."""
    with connect(path) as store:
        batch = Batch()
        kinds = {"n": PropertyKind.INT, "x": PropertyKind.DOUBLE, "s": PropertyKind.STRING}
        for kind in NodeKind:
            batch.type(kind, "T", kinds)
        pipeline = batch.context("T", name="pipeline")
        pipeline_id = store.write(batch)[pipeline].id
        for start in range(0, artifacts, 1000):
            batch = Batch()
            run = batch.context("T", name=f"run {start}")
            batch.parent(run, pipeline_id)
            execution: NodeRef = 0
            for number in range(start, min(start + 1000, artifacts)):
                values: dict[str, Value] = {"n": number, "x": number / 7, "s": f"text {number}"}
                if number % 10 == 0:
                    execution = batch.execution("T", properties=values)
                    batch.association(run, execution)
                # Some have a name, others only what is in them.
                artifact = batch.artifact(
                    "T", name=f"a{number}" if number % 3 else None, properties=values
                )
                batch.event(artifact, execution, EventType.OUTPUT, path=("out", number))
                batch.attribution(run, artifact)
            store.write(batch)


def start(source: Path, target: Path, journal: Path, page: int) -> subprocess.Popen[str]:
    """A process that copies; it has begun."""
    command = [sys.executable, str(_COPIER), *map(str, (source, target, journal, page))]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "go\n"
    return process


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of some hundred nodes."""
    path = tmp_path_factory.mktemp("source") / "source.db"
    history(path, 600)
    return path


@pytest.mark.slow
def test_a_copy_that_is_killed_goes_on(source: Path, tmp_path: Path) -> None:
    """Killed at any moment, the same copy again makes it whole and doubles nothing."""
    began = time.monotonic()
    with start(source, tmp_path / "whole.db", tmp_path / "whole", 7) as process:
        assert process.wait() == 0
    took, killed, round, halfway = time.monotonic() - began, 0, 0, 0
    while killed < KILLS:
        round += 1
        target, journal = tmp_path / f"{round}.db", tmp_path / f"{round}"
        with start(source, target, journal, 7) as process:
            with suppress(subprocess.TimeoutExpired):
                process.wait(random.uniform(0, took))
                continue
            process.kill()
            killed += 1
        with closing(open_file(source, "r")) as here, closing(open_file(target)) as there:
            halfway += 0 < there.count(NodeQuery(ARTIFACT)) < 600
            report = copy(here, there, journal=journal)
            assert not report.differences, report.differences
            assert compare_stores(here, there) == []
    # It was not always before the first artifact or behind the last one.
    assert halfway or KILLS < 10


@pytest.mark.slow
def test_memory_does_not_grow_with_the_store(tmp_path: Path) -> None:
    """To copy ten times as many nodes takes at most 1.3 times the memory."""
    peaks = []
    for name, count in (("small", MEMORY), ("large", 10 * MEMORY)):
        history(tmp_path / f"{name}.db", count)
        to, journal = tmp_path / f"{name} copy.db", tmp_path / name
        with start(tmp_path / f"{name}.db", to, journal, 500) as process:
            out, _ = process.communicate()
            assert process.returncode == 0
        peaks.append(int(out))
    assert peaks[1] <= 1.3 * peaks[0], peaks


def readable_stores() -> Iterator[Path]:
    """Real stores that this release reads."""
    for path in sorted(real_stores().glob("*.sqlite")):
        with suppress(SchemaVersionError):
            open_file(path, "r").close()
            yield path


def test_real_stores_are_copied_whole(tmp_path: Path) -> None:
    """What TFX and others wrote is in the copy, and nothing of the original changed."""
    paths = [*readable_stores()]
    assert paths
    for path in paths:
        before = fingerprint(path)
        with (
            closing(open_file(path, "r")) as here,
            closing(open_file(tmp_path / path.name)) as there,
        ):
            report = copy(here, there, page_size=3)
            assert not report.differences
            assert not report.left_out
            assert compare_stores(here, there) == []
            assert not compare(here, there)
        assert fingerprint(path) == before


def test_a_run_is_the_same_in_the_copy(tmp_path: Path) -> None:
    """Pipelines, runs, steps and what these read and wrote are read from the copy as before."""
    for path in readable_stores():
        with connect(path, "r") as here, connect(tmp_path / path.name) as there:
            here.copy_to(there)
            for one, other in zip(here.runs(), there.runs(), strict=True):
                assert (one.name, one.pipeline, one.state) == (
                    other.name,
                    other.pipeline,
                    other.state,
                )
                assert [(each.name, each.state, each.outputs.texts()) for each in one.steps] == [
                    (each.name, each.state, each.outputs.texts()) for each in other.steps
                ]


def test_ml_metadata_reads_the_copy_as_the_original(tmp_path: Path) -> None:
    """ML Metadata opens the copy, and lists in it what it lists in the original."""
    pytest.importorskip("ml_metadata", reason="without ml-metadata nothing says what it reads")
    from . import mlmd

    for path in readable_stores():
        target = tmp_path / path.name
        with closing(open_file(path, "r")) as here, closing(open_file(target)) as there:
            copy(here, there)
            ours = listing(there)
        theirs = mlmd.snapshot(target)
        for section, records in ours.items():
            assert len(records) == len(theirs[section]), section
            for one, other in zip(records, theirs[section], strict=True):
                assert one == with_all_digits(other, one)
        # Of an older schema some are.
        original = mlmd.upgraded_copy(path, tmp_path / f"original of {path.name}")
        # Ids aside, which may be other ones.
        counts = {section: len(records) for section, records in mlmd.snapshot(original).items()}
        assert counts == {section: len(records) for section, records in theirs.items()}


def test_every_night(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command copies what is new each time, from whichever folder it is started."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    history(tmp_path / "source.db", 30)
    assert run("copy", "sqlite:///source.db", "sqlite:///target.db") == 0
    with (
        connect(tmp_path / "source.db") as store,
        store.run("p") as recorder,
        recorder.step("s") as step,
    ):
        step.output("out", type="Model", uri="new")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert run("copy", "sqlite:///../source.db", url_of(tmp_path / "target.db")) == 0
    with connect(tmp_path / "source.db") as here, connect(tmp_path / "target.db") as there:
        assert compare_stores(here.backend, there.backend) == []


def test_a_dry_run_makes_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A dry run into a store that is not there counts what would be new, and makes nothing."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    history(tmp_path / "source.db", 30)
    before = sorted(tmp_path.iterdir())
    assert run("copy", "sqlite:///source.db", "sqlite:///target.db", "--dry-run", "--json") == 0
    assert json.loads(capsys.readouterr().out)["created"]["artifact"] == 30
    assert sorted(tmp_path.iterdir()) == before


def test_a_damaged_file_is_copied_as_far_as_it_can_be(tmp_path: Path) -> None:
    """Rows that point at nothing are left out and counted."""
    import sqlite3

    path = tmp_path / "source.db"
    history(path, 30)
    with closing(sqlite3.connect(path)) as file, file:
        file.execute("DELETE FROM Artifact WHERE id = 5")
        file.execute("DELETE FROM Execution WHERE id = 3")
        file.execute("UPDATE Artifact SET type_id = 9999 WHERE id = 7")
        file.execute("INSERT INTO Attribution (context_id, artifact_id) VALUES (77, 6)")
    with closing(open_file(path, "r")) as here, closing(open_file(tmp_path / "to.db")) as there:
        report = copy(here, there)
        assert not report.differences
        assert {reason: left.count for reason, left in report.left_out.items()} == {
            "artifacts of a type that is not there": 1,
            "attributions of nodes that are not there": 3,
            "associations of nodes that are not there": 1,
            "events of nodes that are not there": 12,
        }
        counts = [there.count(NodeQuery(kind)) for kind in (ARTIFACT, EXECUTION, CONTEXT)]
        assert counts == [28, 2, 2]


def run(*arguments: str) -> object:
    """The exit code of a command."""
    with pytest.raises(SystemExit) as ended:
        cli.main(list(arguments), prog_name="metastore")
    return ended.value.code
