"""Which steps of which runs touched an artifact."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, cast

from metastore import pipelines
from metastore.base import BaseMetadataStore
from metastore.model import Context, Execution, NodeKind
from metastore.pipelines import StepRecord
from metastore.query import EventQuery, NodeQuery

__all__ = ["StepOfRun", "steps_of_runs", "whereabouts"]


class StepOfRun(NamedTuple):
    """An execution, and what it is in its run, where that is known."""

    execution: Execution
    step: StepRecord | None
    run: Context | None

    def __str__(self) -> str:
        execution = self.execution
        called = self.step.name if self.step else execution.name
        text = called or execution.type or "execution"
        text += f" (execution {execution.id})"
        return text if self.run is None else f"{text} of run {self.run.name} (id {self.run.id})"

    def as_json(self) -> dict[str, Any]:
        """The fields that ``artifact show --json`` names."""
        return {
            "id": self.execution.id,
            "type": self.execution.type,
            "name": self.execution.name,
            "step": self.step.name if self.step else None,
            "run_id": None if self.run is None else self.run.id,
            "run": None if self.run is None else self.run.name,
        }


def whereabouts(backend: BaseMetadataStore, artifact: int, *, outputs: bool) -> list[StepOfRun]:
    """The executions that wrote an artifact, or those that read it, in the order of events."""
    ids = dict.fromkeys(
        event.execution_id
        for event in backend.read_events(EventQuery(artifact_ids=[artifact]))
        if (event.type.is_output if outputs else event.type.is_input)
    )
    found = cast(
        "list[Execution]", backend.read_nodes(NodeQuery(NodeKind.EXECUTION, ids=list(ids)))
    )
    by_id = {each.execution.id: each for each in steps_of_runs(backend, found)}
    # A damaged store may name an execution that is gone.
    return [by_id[id] for id in ids if id in by_id]


def steps_of_runs(backend: BaseMetadataStore, executions: Sequence[Execution]) -> list[StepOfRun]:
    """What each of the executions is in its run."""
    steps = pipelines.describe_steps(backend, executions)
    runs = pipelines.runs_of_executions(backend, [each.id for each in executions])
    return [
        StepOfRun(
            each,
            steps.get(each.id),
            next(iter(runs[each.id]), None),
        )
        for each in executions
    ]
