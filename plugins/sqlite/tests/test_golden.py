"""Pipelines, runs and steps of stores that other programs wrote: what people see, by hand."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

import pytest

pytest.importorskip(
    "ml_metadata", reason="without ml-metadata the stores that are read here cannot be made"
)

from metastore import Batch, ExecutionState, NodeKind, Store
from metastore.views import Ports, Run

from . import mlmd
from .golden import (
    GOLDEN,
    GOLDEN_KUBEFLOW,
    GOLDEN_TFX_ORCHESTRATED,
    GOLDEN_ZENML,
    GoldenRun,
)
from .helpers import connect, fingerprint, real_stores

_ORCHESTRATED = "tfx-orchestrated"
_KUBEFLOW = "kubeflow"
_ZENML = "zenml"
_GENERATED = {
    _ORCHESTRATED: mlmd.write_tfx_orchestrated,
    _KUBEFLOW: mlmd.write_kubeflow,
    _ZENML: mlmd.write_zenml,
}
_TABLES: Mapping[str, tuple[GoldenRun, ...]] = {
    **GOLDEN,
    _ORCHESTRATED: GOLDEN_TFX_ORCHESTRATED,
    _KUBEFLOW: GOLDEN_KUBEFLOW,
    _ZENML: GOLDEN_ZENML,
}
_CONVENTIONS = {
    "active-learning.sqlite": "cmf",
    "failed-runs.sqlite": "tfx-component-run",
    "iowa-liquor.sqlite": "tfx-component-run",
    "sepsis.sqlite": "tfx-component-run",
    "tfx-chicago-taxi.sqlite": "tfx-component-run",
    _ORCHESTRATED: "tfx",
    _KUBEFLOW: "kubeflow",
    _ZENML: "zenml",
}


@pytest.fixture(scope="module", params=sorted(_TABLES))
def name(request: pytest.FixtureRequest) -> str:
    """Each store's name."""
    found: str = request.param
    return found


@pytest.fixture(scope="module")
def path(name: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store, of schema 10."""
    path = tmp_path_factory.mktemp("golden") / "store.sqlite"
    if name in _GENERATED:
        _GENERATED[name](path)
        return path
    return mlmd.upgraded_copy(real_stores() / name, path)


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    """The store, opened as people do who only look."""
    with connect(path, "r") as store:
        yield store


@pytest.fixture
def table(name: str) -> tuple[GoldenRun, ...]:
    """What a person reads out of the store's rows."""
    return _TABLES[name]


def _ports(ports: Ports) -> dict[str, tuple[int, ...]]:
    return {key: tuple(artifact.id for artifact in ports.all(key)) for key in ports}


def test_pipelines(store: Store, table: tuple[GoldenRun, ...]) -> None:
    """The pipelines are those of the table, each once, in the order of their first runs."""
    found = [pipeline.name for pipeline in store.pipelines()]
    # A store may hold contexts of pipelines that never ran; the tables hold runs only.
    assert [name for name in found if name in {run.pipeline for run in table}] == list(
        dict.fromkeys(run.pipeline for run in table)
    )
    for unused in set(found) - {run.pipeline for run in table}:
        assert list(store.pipeline(unused).runs) == []


def test_runs(store: Store, table: tuple[GoldenRun, ...], name: str) -> None:
    """The runs, their pipelines and their states are those of the table, in its order."""
    runs = store.runs()
    assert [(run.name, run.pipeline, run.state.name) for run in runs] == [
        (run.name, run.pipeline, run.state) for run in table
    ]
    assert len(runs) == len(table)
    assert {run.convention for run in runs} == {_CONVENTIONS[name]}
    assert [run.name for run in store.runs(newest_first=True)] == [
        run.name for run in reversed(table)
    ]


def test_runs_of_each_pipeline(store: Store, table: tuple[GoldenRun, ...]) -> None:
    """A pipeline's runs are the table's, and a run is found by its name and by its id."""
    for pipeline in {run.pipeline for run in table}:
        names = [run.name for run in store.pipeline(pipeline).runs]
        assert names == [run.name for run in table if run.pipeline == pipeline]
    for run in table:
        found = store.find_run(run.name)
        assert found.name == run.name
        assert store.find_run(found.id) == found


def _run_of(store: Store, run: GoldenRun) -> Run:
    return store.find_run(run.name)


def test_steps(store: Store, table: tuple[GoldenRun, ...]) -> None:
    """The steps of each run, their executions and their states are those of the table."""
    for run in table:
        assert [(step.name, step.state.name, step.id) for step in _run_of(store, run).steps] == [
            (step.name, step.state, step.execution_id) for step in run.steps
        ]


def test_inputs_and_outputs(store: Store, table: tuple[GoldenRun, ...]) -> None:
    """What each step read and wrote, by port and in order, is what the table says."""
    for run in table:
        steps = _run_of(store, run).steps
        for golden, step in zip(run.steps, steps, strict=True):
            assert _ports(step.inputs) == golden.inputs, golden.name
            assert _ports(step.outputs) == golden.outputs, golden.name
            for key in golden.outputs:
                assert step.outputs[key].id == golden.outputs[key][0]


def test_lineage_goes_back_to_the_first_inputs(store: Store, table: tuple[GoldenRun, ...]) -> None:
    """The lineage of an output holds the step that wrote it and all that this step read."""
    for run in table:
        for golden in run.steps:
            for ids in golden.outputs.values():
                found = store.artifact(ids[0]).lineage()
                assert golden.execution_id in found.executions
                label = found.steps[golden.execution_id]
                assert (label.name, label.state.name) == (golden.name, golden.state)
                for inputs in golden.inputs.values():
                    assert set(inputs) <= set(found.artifacts)


def test_looking_changes_nothing(path: Path, table: tuple[GoldenRun, ...]) -> None:
    """A store that people looked at is the same, byte by byte, and nothing lies beside it."""
    before = fingerprint(path)
    with connect(path, "r") as store:
        for run in table:
            for step in _run_of(store, run).steps:
                repr((step.inputs, step.outputs, step.metrics, step.duration))
        repr(store.runs())
    assert fingerprint(path) == before


def test_what_kubeflow_tells(tmp_path: Path) -> None:
    """Inputs are parameters, numbers among the outputs metrics; steps know what they are part of,
    and why their state is what it is.
    """
    path = tmp_path / "kubeflow.sqlite"
    mlmd.write_kubeflow(path)
    with connect(path, "r") as store:
        run = store.find_run("11111111-aaaa")
        assert run.parameters == {"rate": 0.1, "tune": True}
        assert run.steps["train"].parameters == {"rate": 0.1}
        assert run.steps["train"].metrics == {"accuracy": 0.9}
        assert run.steps["train"].parent is None
        assert run.steps["for-loop-2[1]/tune"].parent == run.steps["for-loop-2[1]"].id
        assert run.steps["for-loop-2[1]"].parent == run.steps["for-loop-2"].id
        assert [(depth, step.short_name) for depth, step in run.steps.nested()] == [
            (0, "importer"),
            (0, "train"),
            (0, "condition-1"),
            (1, "evaluate"),
            (0, "for-loop-2"),
            (1, "for-loop-2[0]"),
            (2, "tune"),
            (1, "for-loop-2[1]"),
            (2, "tune"),
            (0, "deploy"),
        ]
        picture = str(run.graph)
        assert "│ for-loop-2 FAILED │" in picture
        assert "tune" not in picture
        assert "not triggered" in (run.steps["deploy"].reason or "")
        assert "not updated" in (run.steps["condition-1"].reason or "")
        assert store.runs()[1].end_time is None


@pytest.mark.parametrize(
    ("states", "total", "expected"),
    [
        ({"a": "C"}, 3, "RUNNING"),
        ({"a": "C", "b": "C", "c": "C"}, 3, "COMPLETE"),
        ({"a": "C", "b": "F", "c": "C"}, 3, "FAILED"),
        ({"a": "F", "a again": "C", "b": "C"}, 2, "COMPLETE"),
        ({"a": "F", "a again": "C"}, 2, "RUNNING"),
    ],
)
def test_kubeflow_between_two_tasks(
    tmp_path: Path, states: dict[str, str], total: int, expected: str
) -> None:
    """A run, or a part of it, is complete when all of its tasks are, not when none is running;
    of a task that was tried again, the last try counts.
    """
    letters = {"C": ExecutionState.COMPLETE, "F": ExecutionState.FAILED}
    with connect(tmp_path / "kubeflow.sqlite", "rw") as store:
        batch = Batch()
        batch.type(NodeKind.CONTEXT, "system.PipelineRun")
        for type in ("system.DAGExecution", "system.ContainerExecution"):
            batch.type(NodeKind.EXECUTION, type)
        context = batch.context("system.PipelineRun", name="run")
        root = batch.execution(
            "system.DAGExecution",
            name="run/run",
            state=ExecutionState.RUNNING,
            custom_properties={"total_dag_tasks": total + 1},
        )
        batch.association(context, root)
        root_id = store.backend.write(batch)[root].id
        batch = Batch()
        inner = batch.execution(
            "system.DAGExecution",
            state=ExecutionState.RUNNING,
            custom_properties={
                "task_name": "inner",
                "parent_dag_id": root_id,
                "total_dag_tasks": total,
            },
        )
        batch.association(store.find_run("run").id, inner)
        inner_id = store.backend.write(batch)[inner].id
        batch = Batch()
        for parent in (root_id, inner_id):
            for name, letter in states.items():
                task = batch.execution(
                    "system.ContainerExecution",
                    state=letters[letter],
                    custom_properties={"task_name": name.split()[0], "parent_dag_id": parent},
                )
                batch.association(store.find_run("run").id, task)
        store.backend.write(batch)
        found = store.find_run("run")
        assert (found.state.name, found.steps["inner"].state.name) == (expected, expected)
        assert (found.end_time is None) == (expected == "RUNNING")


def test_what_zenml_tells(tmp_path: Path) -> None:
    """Parameters are what they were before ZenML made them JSON; its own properties are none."""
    path = tmp_path / "zenml.sqlite"
    mlmd.write_zenml(path)
    with connect(path, "r") as store:
        complete, failed = store.pipeline("mnist_pipeline").runs
        assert complete.steps["trainer"].parameters == {"gamma": 0.001, "kernel": "rbf"}
        assert failed.steps["trainer"].parameters == {"layers": "[8, 8]", "decay": "null"}
        assert failed.steps["evaluator"].parameters == {}


def test_conventions_beside_one_another(tmp_path: Path) -> None:
    """In a store that several programs wrote to, each run is read by the convention it follows,
    and what belongs to none is still an execution.
    """
    path = tmp_path / "mixed.sqlite"
    mlmd.write_tfx_orchestrated(path)
    mlmd.write_zenml(path)
    mlmd.write_kubeflow(path)
    with connect(path, "rw") as store:
        with store.run("ours") as run, run.step("train"):
            pass
        batch = Batch()
        batch.type(NodeKind.EXECUTION, "elsewhere")
        alone = batch.execution("elsewhere")
        id = store.backend.write(batch)[alone].id
        expected = [run.name for table in _MIXED for run in table]
        assert [each.name for each in store.runs()] == [*expected, run.name]
        conventions = {each.name: each.convention for each in store.runs()}
        assert list(dict.fromkeys(conventions[name] for name in expected)) == [
            "tfx",
            "zenml",
            "kubeflow",
        ]
        assert conventions[run.name] == "metastore"
        steps = [len(each.steps) for table in _MIXED for each in table]
        assert [len(store.find_run(name).steps) for name in expected] == steps
        assert store.execution(id).type == "elsewhere"
        assert len(store.executions()) > sum(steps) + 1


_MIXED = (GOLDEN_TFX_ORCHESTRATED, GOLDEN_ZENML, GOLDEN_KUBEFLOW)


def test_a_cycle_of_dags_is_read(tmp_path: Path) -> None:
    """A damaged store whose DAGs belong to one another is read, whatever it says."""
    path = tmp_path / "kubeflow.sqlite"
    mlmd.write_kubeflow(path)
    with closing(sqlite3.connect(path)) as damaged, damaged:
        damaged.execute(
            "UPDATE ExecutionProperty SET int_value = 7 "
            "WHERE execution_id = 6 AND name = 'parent_dag_id'"
        )
    with connect(path, "r") as store:
        assert len(store.runs()[0].steps) == 10
        assert store.execution(8).id == 8
