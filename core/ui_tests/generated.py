"""A realistic store, for pictures and tests: some pipelines of some weeks, as teams record them."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

from metastore import (
    Batch,
    EventType,
    ExecutionState,
    NodeKind,
    PropertyKind,
    Ref,
    Reuse,
    Store,
)
from metastore.layout import PIPELINE_TYPE, RUN_PROPERTIES, RUN_TYPE, STEP_PROPERTIES

__all__ = ["NOW", "fill"]

NOW = 1_795_860_000_000
"""When the newest run begins: 2026-11-28, in milliseconds."""
_HOUR = 3_600_000

# Of each step: what it reads, what it writes, about how many seconds it takes.
_Plan = Mapping[str, tuple[Sequence[str], Mapping[str, str], int]]

PLANS: dict[str, _Plan] = {
    "churn-weekly": {
        "ingest": ([], {"events": "Dataset"}, 240),
        "validate": (["events"], {"report": "Statistics"}, 45),
        "features": (["events"], {"features": "Dataset"}, 600),
        "split": (["features"], {"train": "Dataset", "test": "Dataset"}, 20),
        "train": (["train"], {"model": "Model"}, 1500),
        "evaluate": (["model", "test"], {"metrics": "Metrics"}, 90),
        "push": (["model", "metrics"], {"endpoint": "Deployment"}, 15),
    },
    "embeddings": {
        "crawl": ([], {"pages": "Dataset"}, 900),
        "clean": (["pages"], {"text": "Dataset"}, 300),
        "tokenize": (["text"], {"tokens": "Dataset"}, 420),
        "pretrain": (["tokens"], {"encoder": "Model"}, 5400),
        "probe": (["encoder", "text"], {"metrics": "Metrics"}, 240),
    },
    "fraud-hourly": {
        "pull": ([], {"payments": "Dataset"}, 12),
        "score": (["payments"], {"scores": "Dataset"}, 30),
        "alert": (["scores"], {"report": "Statistics"}, 4),
    },
}
_ERRORS = (
    "ValueError: column 'tenure' has 312 values that are no numbers",
    "RuntimeError: CUDA out of memory. Tried to allocate 2.50 GiB",
    "TimeoutError: the warehouse did not answer within 300 s",
)


def fill(
    store: Store,
    runs: int,
    *,
    seed: int = 7,
    together: int = 50,
    now: int = NOW,
    shared: bool = False,
) -> None:
    """Write so many runs, the same each time; one in nine has failed, the newest one still runs.

    Where it is `shared`, the first step of each run reads one and the same artifact, of id 1.
    """
    dice = random.Random(seed)
    for first in range(0, runs, together):
        batch = Batch()
        _types(batch)
        pipelines = {
            name: batch.context(PIPELINE_TYPE, name=name, mode=Reuse("name")) for name in PLANS
        }
        calendar = None
        if shared:
            calendar = batch.artifact(
                "Dataset", name="calendar", uri="s3://ml-lake/calendar", mode=Reuse("name")
            )
        for number in range(first, min(first + together, runs)):
            _run(
                batch,
                dice,
                now - (runs - 1 - number) * 3 * _HOUR,
                number,
                runs,
                pipelines,
                calendar,
            )
        store.write(batch)


def _types(batch: Batch) -> None:
    batch.type(NodeKind.CONTEXT, PIPELINE_TYPE)
    batch.type(NodeKind.CONTEXT, RUN_TYPE, RUN_PROPERTIES)
    metrics = dict.fromkeys(("loss", "auc", "accuracy", "rows_per_s"), PropertyKind.DOUBLE)
    for plan in PLANS.values():
        for step, (_, outputs, _) in plan.items():
            batch.type(NodeKind.EXECUTION, step, {**STEP_PROPERTIES, **metrics})
            for type in outputs.values():
                batch.type(
                    NodeKind.ARTIFACT,
                    type,
                    {
                        "rows": PropertyKind.INT,
                        "auc": PropertyKind.DOUBLE,
                        "format": PropertyKind.STRING,
                    },
                )


def _run(
    batch: Batch,
    dice: random.Random,
    around: int,
    number: int,
    runs: int,
    pipelines: Mapping[str, Ref],
    calendar: Ref | None,
) -> None:
    pipeline = dice.choices([*PLANS], [3, 2, 4])[0]
    is_last = number == runs - 1
    pipeline = "churn-weekly" if is_last else pipeline
    began = around - dice.randrange(_HOUR)
    plan = PLANS[pipeline]
    fails_at = dice.choice([*plan]) if dice.random() < 1 / 9 and not is_last else None
    runs_at = "train" if is_last else None
    parameters: dict[str, Any] = {
        "seed": dice.randrange(100),
        "lr": dice.choice([0.1, 0.03, 0.01, 0.003]),
        "window": dice.choice(["7d", "28d", "90d"]),
        "full_refresh": dice.random() < 0.2,
    }
    moment = began
    steps: list[dict[str, Any]] = []
    for step, (reads, writes, seconds) in plan.items():
        took = int(1000 * seconds * dice.uniform(0.7, 1.6))
        state = ExecutionState.COMPLETE
        if step == fails_at:
            state = ExecutionState.FAILED
        elif step == runs_at:
            state = ExecutionState.RUNNING
        elif not reads and dice.random() < 0.15:
            state, took = ExecutionState.CACHED, 300
        steps.append(
            {"step": step, "reads": reads, "writes": writes, "state": state, "began": moment}
        )
        moment += took
        steps[-1]["ended"] = moment
        if state in (ExecutionState.FAILED, ExecutionState.RUNNING):
            break
    last: ExecutionState = steps[-1]["state"]
    state = last if last is not ExecutionState.CACHED else ExecutionState.COMPLETE
    error = dice.choice(_ERRORS)
    properties: dict[str, Any] = {"state": state.name, "metastore_host": "trainer-2"}
    if state is not ExecutionState.RUNNING:
        properties["metastore_finished"] = float(moment)
    if state is ExecutionState.FAILED:
        properties["metastore_error"] = error
    run = batch.context(
        RUN_TYPE,
        name=f"{pipeline}-{number:06d}",
        properties=properties,
        custom_properties=parameters,
        create_time_ms=began,
        update_time_ms=moment,
    )
    batch.parent(run, pipelines[pipeline])
    made: dict[str, Ref] = {} if calendar is None else {"calendar": calendar}
    if calendar is not None:
        steps[0]["reads"] = ["calendar"]
    for each in steps:
        _step(batch, dice, number, pipeline, run, pipelines[pipeline], made, each, error)


def _step(
    batch: Batch,
    dice: random.Random,
    number: int,
    pipeline: str,
    run: Ref,
    of: Ref,
    made: dict[str, Ref],
    each: Mapping[str, Any],
    error: str,
) -> None:
    step, state = each["step"], each["state"]
    properties: dict[str, Any] = {"metastore_step": step, "metastore_host": "trainer-2"}
    if state is not ExecutionState.RUNNING:
        properties["metastore_finished"] = float(each["ended"])
    if state is ExecutionState.FAILED:
        properties["metastore_error"] = error
    if step in ("train", "pretrain", "evaluate", "probe") and state is ExecutionState.COMPLETE:
        properties["loss"] = round(dice.uniform(0.1, 0.5), 4)
        properties["auc"] = round(dice.uniform(0.81, 0.97), 4)
    execution = batch.execution(
        step,
        state=state,
        properties=properties,
        custom_properties={"batch_size": dice.choice([64, 256])} if "train" in step else {},
        create_time_ms=each["began"],
        update_time_ms=each["ended"],
    )
    batch.association(run, execution)
    batch.association(of, execution)
    for key in each["reads"]:
        batch.event(made[key], execution, EventType.INPUT, path=[key, 0], time_ms=each["began"])
    if state in (ExecutionState.FAILED, ExecutionState.RUNNING):
        return
    for key, type in each["writes"].items():
        made[key] = batch.artifact(
            type,
            name=f"{pipeline}-{key}-{number:06d}",
            uri=f"s3://ml-lake/{pipeline}/{number:06d}/{key}",
            properties={"rows": dice.randrange(10**6), "format": "parquet"},
            create_time_ms=each["ended"],
        )
        batch.event(made[key], execution, EventType.OUTPUT, path=[key, 0], time_ms=each["ended"])
        batch.attribution(run, made[key])
