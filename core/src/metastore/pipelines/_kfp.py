"""Kubeflow Pipelines v2 (backend/src/v2/metadata/client.go of kubeflow/pipelines, up to 2.18).

A run is a `system.PipelineRun` context, whose name is the run's id, and a child of its
`system.Pipeline`.  Executions are containers, importers and DAGs; each but the root DAG
(``run/<run id>``) has the DAG that it belongs to in `parent_dag_id`.  A loop is a DAG with an
`iteration_count`, below it a DAG for each iteration.  All values are custom properties.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import cast

from metastore.base import BaseMetadataStore
from metastore.model import Context, Execution, ExecutionState, NodeKind, Value
from metastore.pipelines._convention import (
    Convention,
    executions_of_contexts,
    parents_of_contexts,
)
from metastore.pipelines._records import RunRecord, StepRecord, has_ended, state_of_run
from metastore.query import NodeQuery

__all__ = ["KubeflowPipelines"]

_DAG = "system.DAGExecution"
_TYPES = frozenset(
    {
        _DAG,
        "system.ContainerExecution",
        "system.ImporterExecution",
        "system.ImporterWorkspaceExecution",
    }
)
_NOT_TRIGGERED = "it was not triggered: its condition did not hold"
_NOT_UPDATED = "it was not updated when what belongs to it ended"
_DEEPEST = 100
"""Levels of DAGs; a damaged store may hold a cycle."""


class KubeflowPipelines(Convention):
    """Stores of Kubeflow Pipelines v2."""

    NAME = "kubeflow"
    PIPELINE_TYPES = ("system.Pipeline",)
    RUN_TYPES = ("system.PipelineRun",)

    def runs_of(self, backend: BaseMetadataStore, pipeline: Context) -> NodeQuery:
        """The pipeline's child contexts."""
        return NodeQuery(
            NodeKind.CONTEXT, type_names=list(self.RUN_TYPES), children_of=[pipeline.id]
        )

    def describe_runs(
        self, backend: BaseMetadataStore, contexts: Sequence[Context]
    ) -> list[RunRecord]:
        """State and times are those of the executions."""
        ids = [each.id for each in contexts]
        pipelines = parents_of_contexts(backend, ids, self.PIPELINE_TYPES)
        found = executions_of_contexts(backend, ids)
        return [self._run(each, pipelines.get(each.id, []), found[each.id]) for each in contexts]

    def _run(self, context: Context, pipelines: list[str], found: list[Execution]) -> RunRecord:
        root = next((each for each in found if _is_root(each)), None)
        steps = _steps(found, found)
        state = _state_of_run(steps)
        if root is not None and has_ended(root.state or ExecutionState.UNKNOWN):
            state = root.state or state
        elif root is not None and state is ExecutionState.COMPLETE:
            # Between two tasks none is running.
            begun = {_turn(each) for each in found if _parent(each) == root.id}
            if len(begun) < (_integer(root, "total_dag_tasks") or 0):
                state = ExecutionState.RUNNING
        started = [step.started_ms for step in steps if step.started_ms is not None]
        finished = [step.finished_ms for step in steps if step.finished_ms is not None]
        began = context.create_time_ms or None
        return RunRecord(
            context.name or "",
            context,
            self.NAME,
            ", ".join(pipelines) or None,
            state,
            error=next((step.error for step in steps if step.error), None),
            parameters={} if root is None else _struct(root, "inputs"),
            started_ms=min(started, default=began) if began is None else began,
            finished_ms=max(finished, default=None) if has_ended(state) else None,
        )

    def steps(self, backend: BaseMetadataStore, run: Context) -> list[StepRecord]:
        """All executions of the run but its root."""
        found = executions_of_contexts(backend, [run.id])[run.id]
        return _steps(found, found)

    def describe_steps(
        self, backend: BaseMetadataStore, executions: Sequence[Execution]
    ) -> dict[int, StepRecord]:
        """Those of the types of Kubeflow Pipelines; DAGs above them are read for their names."""
        mine = [each for each in executions if each.type in _TYPES]
        known = {each.id: each for each in mine}
        for _ in range(_DEEPEST):
            above = {parent for each in known.values() if (parent := _parent(each)) is not None}
            missing = sorted(above - known.keys())
            if not missing:
                break
            found = backend.read_nodes(NodeQuery(NodeKind.EXECUTION, ids=missing))
            if not found:
                break
            known |= {node.id: cast("Execution", node) for node in found}
        return {step.execution.id: step for step in _steps(mine, known.values())}


def _steps(wanted: Iterable[Execution], known: Iterable[Execution]) -> list[StepRecord]:
    by_id = {each.id: each for each in known}
    children: dict[int, list[Execution]] = {}
    for each in by_id.values():
        parent = _parent(each)
        if parent is not None:
            children.setdefault(parent, []).append(each)
    tasks = (each for each in wanted if each.type in _TYPES and not _is_root(each))
    return [_step(each, by_id, children) for each in tasks]


def _step(
    execution: Execution, known: Mapping[int, Execution], children: Mapping[int, list[Execution]]
) -> StepRecord:
    state, reason = _state(execution, children)
    above = known.get(_parent(execution) or 0)
    outputs = _struct(execution, "outputs")
    started = execution.create_time_ms or None
    path = _path(execution, known)
    return StepRecord(
        "/".join(path),
        execution,
        state,
        reason,
        parameters=_struct(execution, "inputs"),
        metrics={key: value for key, value in outputs.items() if isinstance(value, float)},
        started_ms=started,
        finished_ms=execution.update_time_ms
        if started and has_ended(state) and reason is not _NOT_UPDATED
        else None,
        parent=None if above is None or _is_root(above) else above.id,
        short_name=path[-1] if path else None,
    )


def _state(
    execution: Execution, children: Mapping[int, list[Execution]], depth: int = 0
) -> tuple[ExecutionState, str | None]:
    stored = execution.state or ExecutionState.UNKNOWN
    if stored is ExecutionState.CANCELED:
        return stored, _NOT_TRIGGERED
    below = children.get(execution.id, [])
    if execution.type == _DAG and below and not has_ended(stored) and depth < _DEEPEST:
        # The launcher of the last task updates the DAG; where that one was lost, nobody does.
        # Of a task that was tried several times, the last try counts.
        states = {_turn(each): _state(each, children, depth + 1)[0] for each in below}.values()
        expected = _integer(execution, "iteration_count") or _integer(execution, "total_dag_tasks")
        if all(map(has_ended, states)):
            if ExecutionState.FAILED in states:
                return ExecutionState.FAILED, _NOT_UPDATED
            if expected is not None and len(states) >= expected:
                return ExecutionState.COMPLETE, _NOT_UPDATED
    return stored, None


def _state_of_run(steps: Sequence[StepRecord]) -> ExecutionState:
    """By the tasks; what was not triggered says nothing of the run."""
    tasks = [step for step in steps if step.execution.type != _DAG] or list(steps)
    triggered = [step for step in tasks if step.state is not ExecutionState.CANCELED]
    return state_of_run(triggered or tasks)


def _path(execution: Execution, known: Mapping[int, Execution]) -> list[str]:
    """What a task is called in its run, from the outside in: ``for-loop-1[0]``, ``train``."""
    path: list[str] = []
    current: Execution | None = execution
    for _ in range(_DEEPEST):
        if current is None or _is_root(current):
            break
        parent = known.get(_parent(current) or 0)
        index = _integer(current, "iteration_index")
        name = _called(current)
        if index is not None and parent is not None and _called(parent) == name:
            # An iteration has the name of its loop.
            path.append(f"{name}[{index}]")
            parent = known.get(_parent(parent) or 0)
        else:
            path.append(name if index is None else f"{name}[{index}]")
        current = parent
    return path[::-1]


def _called(execution: Execution) -> str:
    for key in ("task_name", "display_name"):
        value = execution.custom_properties.get(key)
        if isinstance(value, str) and value:
            return value
    return execution.name or execution.type.rpartition(".")[2]


def _is_root(execution: Execution) -> bool:
    return execution.type == _DAG and (
        (execution.name or "").startswith("run/") or _parent(execution) is None
    )


def _turn(execution: Execution) -> tuple[str, int | None]:
    """What tells a task, or a turn of a loop, from the others below its DAG."""
    return _called(execution), _integer(execution, "iteration_index")


def _parent(execution: Execution) -> int | None:
    return _integer(execution, "parent_dag_id") or None


def _integer(execution: Execution, key: str) -> int | None:
    value = execution.custom_properties.get(key)
    return value if type(value) is int else None


def _struct(execution: Execution, key: str) -> Mapping[str, Value]:
    """The values of a struct, by name: it keeps no order; what no value can be, as it prints."""
    found = execution.custom_properties.get(key)
    if not isinstance(found, dict):
        return {}
    return {
        name: value if isinstance(value, bool | float | str | dict) else str(value)
        for name, value in sorted(found.items())
    }
