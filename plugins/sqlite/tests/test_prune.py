"""`metastore prune` on a file: counts, asks, deletes, shrinks; ML Metadata reads what is left."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from metastore import Batch, EventType, ExecutionState, NodeKind

from .helpers import connect, fingerprint, listing, open_file, url_of

SMALLER = int(os.environ.get("METASTORE_TEST_PRUNED", "300"))
"""Runs of the smaller store where memory is measured."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A store with three runs of "old" and one of "new", which read what the last of them wrote."""
    found = tmp_path / "store.db"
    with connect(found) as store:
        made: Any = None
        for number in range(3):
            with store.run("old") as run, run.step("make") as step:
                step.input("raw", f"/raw/{number}")
                made = step.output("data", uri=f"/data/{number}", properties={"big": "x" * 50_000})
        with store.run("new") as run, run.step("use") as step:
            step.input("data", made)
            step.output("model", uri="/model")
    return found


def _prune(path: Path, *words: str, said: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "metastore", "prune", url_of(path), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, input=said)


def test_a_dry_run(path: Path) -> None:
    """With --dry-run the counts are told, and the file stays as it is."""
    before = fingerprint(path)
    done = _prune(path, "--pipeline", "old", "--dry-run")
    assert done.returncode == 0, done.stderr
    expected = "2 runs would go, with 4 artifacts, 2 executions, 2 contexts, 4 events\n"
    assert done.stdout == expected
    assert "1 more stay" in done.stderr
    assert fingerprint(path) == before


def test_it_asks(path: Path) -> None:
    """It asks before it deletes, and a no changes nothing."""
    before = fingerprint(path)
    assert _prune(path, "--pipeline", "old", said="n\n").returncode != 0
    assert fingerprint(path) == before
    done = _prune(path, "--pipeline", "old", said="y\n")
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(
        "deleted 2 runs, with 4 artifacts, 2 executions, 2 contexts, 4 events\n"
    )
    with closing(open_file(path, "r")) as store:
        assert list(store.problems()) == []


def test_which_must_be_said(path: Path) -> None:
    """Without a word about which runs, it is wrong use."""
    done = _prune(path, "--yes")
    assert done.returncode == 2
    assert "Say which" in done.stderr


def test_json_and_room(path: Path) -> None:
    """As JSON it does not ask; told so, the file loses the room of what is gone."""
    size = path.stat().st_size
    words = ("--pipeline", "old", "--break-lineage", "--shrink", "--json")
    done = _prune(path, *words)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "dry_run": False,
        "runs": 3,
        "kept": 0,
        "artifacts": 5,
        "executions": 3,
        "contexts": 3,
        "events": 6,
        "shrunk": True,
    }
    assert path.stat().st_size < size - 90_000
    with closing(open_file(path, "r")) as store:
        assert list(store.problems()) == []


def test_ml_metadata_reads_what_is_left(path: Path) -> None:
    """What is left lists the same with ml-metadata."""
    pytest.importorskip("ml_metadata", reason="without ml-metadata nobody judges")
    from . import mlmd as judge

    assert _prune(path, "--pipeline", "old", "--yes").returncode == 0
    with closing(open_file(path, "r")) as store:
        ours = listing(store)
    theirs = judge.snapshot(path)
    assert ours.keys() == theirs.keys()
    assert [each["id"] for each in ours["artifacts"]] == [
        each["id"] for each in theirs["artifacts"]
    ]
    assert ours["events"] == theirs["events"]


_MEASURED = """
import resource, sys, metastore
from metastore import pruning
store = metastore.connect(sys.argv[1])
# Written in bulk, they are runs of no state.
selection = pruning.Selection(pipeline="old", states=[metastore.ExecutionState.UNKNOWN])
found = pruning.plan(store.backend, selection)
assert found.runs == int(sys.argv[2]), found
found.run()
assert not list(store.backend.problems())
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def _large(path: Path, runs: int) -> None:
    """Runs of a pipeline, each of 5 steps, written in bulk."""
    with closing(open_file(path)) as store:
        head = Batch()
        head.type(NodeKind.CONTEXT, "metastore.Pipeline")
        head.type(NodeKind.CONTEXT, "metastore.Run")
        head.type(NodeKind.EXECUTION, "Step")
        head.type(NodeKind.ARTIFACT, "Data")
        ref = head.context("metastore.Pipeline", name="old")
        parent = store.write(head)[ref].id
        for start in range(0, runs, 200):
            batch = Batch()
            for number in range(start, min(start + 200, runs)):
                run = batch.context("metastore.Run", name=f"old-{number}")
                batch.parent(run, parent)
                before = None
                for _ in range(5):
                    step = batch.execution("Step", state=ExecutionState.COMPLETE)
                    batch.association(run, step)
                    if before is not None:
                        batch.event(before, step, EventType.INPUT)
                    before = batch.artifact("Data", uri=f"/{number}")
                    batch.attribution(run, before)
                    batch.event(before, step, EventType.OUTPUT)
            store.write(batch)


@pytest.mark.slow
def test_memory_is_bounded(tmp_path: Path) -> None:
    """To prune ten times as many runs takes at most 1.3 times the memory, and leaves no problem."""
    peaks = []
    for factor in (1, 10):
        path = tmp_path / f"{factor}.db"
        _large(path, SMALLER * factor)
        command = [sys.executable, "-c", _MEASURED, url_of(path), str(SMALLER * factor)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        peaks.append(int(done.stdout))
    assert peaks[1] <= 1.3 * peaks[0], peaks
