"""TFX's two conventions.

Up to 0.2x, and in notebooks until today: contexts `pipeline`, `run` and `component_run`
(tfx/orchestration/metadata.py, tfx/orchestration/experimental/interactive).  From 1.0 on, where a
pipeline is orchestrated: contexts `pipeline`, `pipeline_run` and `node`
(tfx/orchestration/portable/mlmd/context_lib.py).  ZenML up to 0.13 writes the latter; its steps
are told by their properties, one by one, since both may have written to a store.
"""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Mapping, Sequence

from metastore.base import BaseMetadataStore
from metastore.model import Context, Execution, ExecutionState, LinkKind, NodeKind, Value
from metastore.pipelines import _zenml
from metastore.pipelines._convention import (
    Convention,
    contexts_of_executions,
    executions_of_contexts,
    parents_of_contexts,
    run_of_steps,
)
from metastore.pipelines._records import RunRecord, StepRecord, has_ended
from metastore.query import LinkQuery, NodeQuery

__all__ = ["TFXComponentRuns", "TFXNodes"]

_RUN_TYPES = ("pipeline_run", "run")


class _TFX(Convention):
    """What both have in common: contexts are joined by the executions that they share."""

    PIPELINE_TYPES = ("pipeline",)

    def runs_of(self, backend: BaseMetadataStore, pipeline: Context) -> NodeQuery:
        """Runs that share an execution with the pipeline, or are its children (TFX 1.11 on)."""
        executions = [
            link.other_id
            for link in backend.read_links(
                LinkQuery(LinkKind.ASSOCIATION, context_ids=[pipeline.id])
            )
        ]
        shared = backend.read_links(LinkQuery(LinkKind.ASSOCIATION, other_ids=executions))
        children = backend.read_links(LinkQuery(LinkKind.PARENT, other_ids=[pipeline.id]))
        ids = {link.context_id for link in (*shared, *children)}
        return NodeQuery(NodeKind.CONTEXT, ids=sorted(ids), type_names=list(_RUN_TYPES))

    def steps(self, backend: BaseMetadataStore, run: Context) -> list[StepRecord]:
        """The executions that are associated with the run."""
        return self._steps(backend, [run.id])[run.id]

    def _steps(
        self, backend: BaseMetadataStore, runs: Sequence[int]
    ) -> dict[int, list[StepRecord]]:
        found = executions_of_contexts(backend, runs)
        every = {each.id: each for executions in found.values() for each in executions}
        names = self._names(backend, list(every.values()))
        return {
            id: [_step(each, names.get(each.id)) for each in executions]
            for id, executions in found.items()
        }

    def describe_steps(
        self, backend: BaseMetadataStore, executions: Sequence[Execution]
    ) -> dict[int, StepRecord]:
        """Those that have a name as a step."""
        names = self._names(backend, executions)
        return {each.id: _step(each, names[each.id]) for each in executions if each.id in names}

    @abstractmethod
    def _names(self, backend: BaseMetadataStore, executions: Sequence[Execution]) -> dict[int, str]:
        """What executions are called as steps, by id."""


class TFXComponentRuns(_TFX):
    """TFX with `component_run` contexts: notebooks, and orchestrators up to 0.2x."""

    NAME = "tfx-component-run"
    RUN_TYPES = ("run",)

    def describe_runs(
        self, backend: BaseMetadataStore, contexts: Sequence[Context]
    ) -> list[RunRecord]:
        """The pipeline's name is a property of the run."""
        steps = self._steps(backend, [each.id for each in contexts])
        return [
            run_of_steps(
                self.NAME,
                each,
                each.name or "",
                _word(each.properties, "pipeline_name"),
                steps[each.id],
            )
            for each in contexts
        ]

    def _names(self, backend: BaseMetadataStore, executions: Sequence[Execution]) -> dict[int, str]:
        """By the property `component_id`; context names hold dots and cannot be split."""
        names = ((each.id, _either(each, "component_id")) for each in executions)
        return {id: name for id, name in names if name}


class TFXNodes(_TFX):
    """TFX with `node` contexts: orchestrators from 1.0 on."""

    NAME = "tfx"
    RUN_TYPES = ("pipeline_run",)

    def describe_runs(
        self, backend: BaseMetadataStore, contexts: Sequence[Context]
    ) -> list[RunRecord]:
        """The pipeline is the run's parent, or that of its executions."""
        ids = [each.id for each in contexts]
        steps = self._steps(backend, ids)
        pipelines = {
            id: set(names)
            for id, names in parents_of_contexts(backend, ids, self.PIPELINE_TYPES).items()
        }
        orphans = {step.execution.id: id for id in ids if id not in pipelines for step in steps[id]}
        if orphans:
            shared = contexts_of_executions(backend, orphans, self.PIPELINE_TYPES)
            for execution, found in shared.items():
                pipelines.setdefault(orphans[execution], set()).update(
                    each.name or "" for each in found
                )
        return [
            run_of_steps(
                self._name(steps[each.id]),
                each,
                each.name or "",
                # Two pipelines that were started with one run id share the context.
                ", ".join(sorted(pipelines.get(each.id, ()))) or None,
                steps[each.id],
            )
            for each in contexts
        ]

    def _name(self, steps: Sequence[StepRecord]) -> str:
        return _zenml.NAME if any(_zenml.is_step(each.execution) for each in steps) else self.NAME

    def _names(self, backend: BaseMetadataStore, executions: Sequence[Execution]) -> dict[int, str]:
        """By the `node` context ``<pipeline>.<node>``; both parts may hold dots."""
        ids = [each.id for each in executions]
        contexts = contexts_of_executions(backend, ids, ("node", *self.PIPELINE_TYPES))
        names: dict[int, str] = {}
        for id, found in contexts.items():
            nodes = [each.name or "" for each in found if each.type == "node"]
            prefixes = [f"{each.name}." for each in found if each.type == "pipeline"]
            for node in nodes:
                prefix = max(
                    (each for each in prefixes if node.startswith(each)), key=len, default=""
                )
                names[id] = node[len(prefix) :]
        called = ((each.id, _zenml.name_of(each)) for each in executions)
        return names | {id: name for id, name in called if name}


_WORDS = {
    "new": ExecutionState.FAILED,
    "complete": ExecutionState.COMPLETE,
    "cached": ExecutionState.CACHED,
    "failed": ExecutionState.FAILED,
    "skipped": ExecutionState.CANCELED,
}
"""The string property `state` (tfx/orchestration/metadata.py); a step that failed stays "new"."""

_NEVER_FINISHED = "it never finished: TFX left its property 'state' at 'new'"
_BOOKKEEPING = frozenset({"state", "pipeline_name", "pipeline_root", "run_id", "component_id"})


def _state(execution: Execution) -> tuple[ExecutionState, str | None]:
    stored = execution.state or ExecutionState.UNKNOWN
    word = _either(execution, "state")
    if word not in _WORDS or has_ended(stored):
        return stored, None
    if word == "new":
        return ExecutionState.FAILED, _NEVER_FINISHED
    return _WORDS[word], f"its property 'state' says {word!r}"


def _step(execution: Execution, name: str | None) -> StepRecord:
    state, reason = _state(execution)
    # Since 1.0 parameters are custom properties, before that declared ones.
    parameters = {
        key: value
        for values in (execution.properties, execution.custom_properties)
        for key, value in values.items()
        if key not in _BOOKKEEPING and not key.startswith("__")
    }
    if _zenml.is_step(execution):
        parameters = _zenml.parameters_of(parameters)
    started = execution.create_time_ms or None
    return StepRecord(
        name or execution.name or execution.type.rpartition(".")[2],
        execution,
        state,
        reason,
        error=_error(execution),
        parameters=parameters,
        metrics={},
        started_ms=started,
        finished_ms=execution.update_time_ms
        if started and has_ended(state) and not reason
        else None,
    )


def _error(execution: Execution) -> str | None:
    result = execution.custom_properties.get("__execution_result__")
    if not isinstance(result, str):
        return None
    try:
        message: object = json.loads(result).get("resultMessage")
    except (ValueError, AttributeError, RecursionError):
        return result
    return message if isinstance(message, str) and message else None


def _either(execution: Execution, key: str) -> str | None:
    return _word(execution.properties, key) or _word(execution.custom_properties, key)


def _word(values: Mapping[str, Value], key: str) -> str | None:
    value = values.get(key)
    return value if isinstance(value, str) else None
