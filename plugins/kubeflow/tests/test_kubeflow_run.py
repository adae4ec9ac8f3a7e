"""A run of Kubeflow Pipelines, recorded through its own calls, reads as its users know it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip(
    "ml_metadata", reason="without ml-metadata nothing is served; `tox -e protobuf6` tests it here"
)

import metastore

from .kubeflow import replay
from .served import Served


def _shown(folder: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "metastore", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout


def test_run_show_tells_of_a_run_that_kubeflow_recorded(
    serve: Callable[..., Served], tmp_path: Path
) -> None:
    """DAG, loop, cached, failed, imported and skipped steps stand under their names."""
    served = serve("sqlite:///kfp.db")
    replay(served.client())
    assert served.stop() == 0

    with metastore.connect(f"sqlite:///{tmp_path}/kfp.db", mode="r") as store:
        (run,) = store.pipeline("churn").runs
        states = {(step.name, step.state.name) for step in run.steps}
        assert run.state.name == "FAILED"
        assert states >= {
            ("importer", "COMPLETE"),
            ("condition-1/train", "COMPLETE"),
            ("condition-1/evaluate", "CACHED"),
            ("for-loop-2[0]/tune", "COMPLETE"),
            ("for-loop-2[1]/tune", "FAILED"),
            ("deploy", "CANCELED"),
        }
        model = run.steps["condition-1/train"].outputs["model"]
        assert model.uri == "minio://bucket/model"
        lineage = model.lineage(upstream=True)
        assert [each.uri for each in lineage.artifacts.values()] == [
            "minio://bucket/raw.csv",
            "minio://bucket/model",
        ]
    shown = _shown(tmp_path, "run", "show", "11111111-aaaa", "--store", "sqlite:///kfp.db")
    for text in ("churn", "FAILED", "importer", "condition-1", "for-loop-2", "tune", "accuracy"):
        assert text in shown


def test_a_kubeflow_run_is_the_same_again_over_memory(serve: Callable[..., Served]) -> None:
    """The memory flavor serves the same calls."""
    replay(serve("memory://").client())


def test_kubeflow_finds_its_run_again(serve: Callable[..., Served]) -> None:
    """A second driver of the same run meets AlreadyExists, and finds what the first one made."""
    client = serve("sqlite:///kfp.db").client()
    replay(client)
    replay(client)
    assert len(client.get_contexts_by_type("system.PipelineRun")) == 1
