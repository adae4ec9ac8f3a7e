"""A store as Kubeflow Pipelines fills it, written in bulk; `kubeflow` makes its calls."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import metastore
from metastore import ArtifactState, Batch, EventType, ExecutionState, NodeKind, Ref, Reuse

__all__ = ["BEGIN", "STEPS", "fill"]

BEGIN = 1_700_000_000_000
"""When the first run began."""
STEPS = ("prepare", "train", "evaluate")
_AT_ONCE = 250
_MINUTE = 60_000


def fill(file: Path, runs: int, pipelines: int = 4) -> None:
    """Runs of some pipelines, each of a DAG with three steps, which read and write artifacts.

    Run 7 of a hundred failed; each run trains on the dataset that the first one prepared.
    """
    with metastore.connect(f"sqlite:///{file}") as store:
        shared = _shared(store)
        for first in range(0, runs, _AT_ONCE):
            batch = Batch()
            for number in range(first, min(runs, first + _AT_ONCE)):
                _add_run(batch, number, number % pipelines, shared)
            store.backend.write(batch)
        backend = store.backend
        dags = {
            node.name: node.id
            for node in backend.iterate(
                metastore.NodeQuery(NodeKind.EXECUTION, type_names=["system.DAGExecution"])
            )
        }
    # Kubeflow's driver knows the id of the DAG when it creates a task; one batch does not.
    with sqlite3.connect(file) as connection:
        for number in range(runs):
            connection.execute(
                "UPDATE ExecutionProperty SET int_value = ? "
                "WHERE name = 'parent_dag_id' AND int_value = ?",
                (dags[f"run/{_run_id(number)}"], -1 - number),
            )
        connection.commit()
    connection.close()


def _shared(store: metastore.Store) -> int:
    """What Kubeflow Pipelines imported before the first run; its id."""
    batch = Batch()
    type = batch.type(NodeKind.ARTIFACT, "system.Dataset")
    raw = batch.artifact(
        type,
        uri="minio://bucket/raw.csv",
        state=ArtifactState.LIVE,
        custom_properties={"display_name": "raw"},
        create_time_ms=BEGIN - 1,
    )
    return store.backend.write(batch)[raw].id


def _run_id(number: int) -> str:
    return f"{number:08x}-aaaa-bbbb"


def _add_run(batch: Batch, number: int, pipeline: int, shared: int) -> None:
    at = BEGIN + number * _MINUTE
    for kind, name in (
        (NodeKind.CONTEXT, "system.Pipeline"),
        (NodeKind.CONTEXT, "system.PipelineRun"),
        (NodeKind.EXECUTION, "system.DAGExecution"),
        (NodeKind.EXECUTION, "system.ContainerExecution"),
        (NodeKind.ARTIFACT, "system.Dataset"),
        (NodeKind.ARTIFACT, "system.Model"),
        (NodeKind.ARTIFACT, "system.Metrics"),
    ):
        batch.type(kind, name)
    above = batch.context(
        "system.Pipeline",
        name=f"churn-{pipeline}",
        custom_properties={"pipeline_root": "minio://mlpipeline/v2"},
        mode=Reuse(by="name"),
        create_time_ms=at,
    )
    run = batch.context(
        "system.PipelineRun",
        name=_run_id(number),
        custom_properties={"namespace": "team", "resource_name": "run-resource"},
        create_time_ms=at,
    )
    batch.parent(run, above)
    root = batch.execution(
        "system.DAGExecution",
        name=f"run/{_run_id(number)}",
        state=ExecutionState.COMPLETE,
        custom_properties={"inputs": {"rate": 0.1, "number": float(number)}},
        create_time_ms=at,
        update_time_ms=at + 50_000,
    )
    _belong(batch, (above, run), executions=(root,))
    read: Ref | int = shared
    for index, (task, type) in enumerate(
        zip(STEPS, ("system.Dataset", "system.Model", "system.Metrics"), strict=True)
    ):
        failed = number % 100 == 7 and task == "evaluate"
        step = batch.execution(
            "system.ContainerExecution",
            state=ExecutionState.FAILED if failed else ExecutionState.COMPLETE,
            custom_properties={
                "display_name": task,
                "task_name": task,
                # Of the run's number, until the id of its DAG is known.
                "parent_dag_id": -1 - number,
                "pod_name": f"pod-{number}-{index}",
                "namespace": "team",
                "inputs": {"rate": 0.1},
                "outputs": {"accuracy": number / 4096},
                "cache_fingerprint": f"{number:x}{index}",
            },
            create_time_ms=at + index * 10_000,
            update_time_ms=at + index * 10_000 + 9_000,
        )
        output = batch.artifact(
            type,
            uri=f"minio://bucket/{number}/{task}",
            state=ArtifactState.LIVE,
            custom_properties={"display_name": task},
            create_time_ms=at + index * 10_000 + 8_000,
        )
        batch.event(read, step, EventType.INPUT, path=["input"], time_ms=at + index * 10_000)
        batch.event(output, step, EventType.OUTPUT, path=[task], time_ms=at + index * 10_000 + 8000)
        _belong(batch, (above, run), executions=(step,), artifacts=(output,))
        read = output


def _belong(
    batch: Batch,
    contexts: tuple[Ref, ...],
    *,
    executions: tuple[Ref, ...] = (),
    artifacts: tuple[Ref, ...] = (),
) -> None:
    for context in contexts:
        for execution in executions:
            batch.association(context, execution)
        for artifact in artifacts:
            batch.attribution(context, artifact)
