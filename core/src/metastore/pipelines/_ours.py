"""The convention that `metastore.recording` writes; see `metastore.layout`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

from metastore import layout
from metastore.base import BaseMetadataStore
from metastore.model import Context, Execution, ExecutionState, NodeKind, Value
from metastore.pipelines._convention import Convention, parents_of_contexts
from metastore.pipelines._records import RunRecord, StepRecord, has_ended
from metastore.query import NodeQuery

__all__ = ["Ours"]


class Ours(Convention):
    """Runs that were recorded with ``store.run``."""

    NAME = "metastore"
    PIPELINE_TYPES = (layout.PIPELINE_TYPE,)
    RUN_TYPES = (layout.RUN_TYPE,)

    def runs_of(self, backend: BaseMetadataStore, pipeline: Context) -> NodeQuery:
        """The pipeline's child contexts."""
        return NodeQuery(
            NodeKind.CONTEXT, type_names=list(self.RUN_TYPES), children_of=[pipeline.id]
        )

    def describe_runs(
        self, backend: BaseMetadataStore, contexts: Sequence[Context]
    ) -> list[RunRecord]:
        """State and times stand in the run's own properties."""
        ids = [each.id for each in contexts]
        pipelines = parents_of_contexts(backend, ids, self.PIPELINE_TYPES)
        return [self._run(each, pipelines.get(each.id, [])) for each in contexts]

    def _run(self, context: Context, pipelines: list[str]) -> RunRecord:
        properties = context.properties
        word = properties.get(layout.STATE)
        known = isinstance(word, str) and word in ExecutionState.__members__
        state = ExecutionState[str(word)] if known else ExecutionState.UNKNOWN
        return RunRecord(
            context.name or "",
            context,
            self.NAME,
            ", ".join(pipelines) or None,
            state,
            error=_text(properties, layout.ERROR),
            parameters=_by_name(context.custom_properties),
            started_ms=context.create_time_ms,
            finished_ms=_finished(properties, state, context.update_time_ms),
            host=_text(properties, layout.HOST),
            process=_int(properties, layout.PROCESS),
            process_started_ms=_int(properties, layout.PROCESS_START),
            process_namespace=_int(properties, layout.PROCESS_NAMESPACE),
        )

    def steps(self, backend: BaseMetadataStore, run: Context) -> list[StepRecord]:
        """The executions that are associated with the run."""
        executions = backend.read_nodes(NodeQuery(NodeKind.EXECUTION, context_ids=[run.id]))
        return [self._step(each) for each in executions if isinstance(each, Execution)]

    def _step(self, execution: Execution) -> StepRecord:
        properties = execution.properties
        state = execution.state or ExecutionState.UNKNOWN
        return StepRecord(
            _text(properties, layout.STEP) or execution.type,
            execution,
            state,
            error=_text(properties, layout.ERROR),
            parameters=_by_name(execution.custom_properties),
            metrics=_metrics(properties),
            started_ms=execution.create_time_ms,
            finished_ms=_finished(properties, state, execution.update_time_ms),
            host=_text(properties, layout.HOST),
            process=_int(properties, layout.PROCESS),
            process_started_ms=_int(properties, layout.PROCESS_START),
            process_namespace=_int(properties, layout.PROCESS_NAMESPACE),
        )

    def describe_steps(
        self, backend: BaseMetadataStore, executions: Sequence[Execution]
    ) -> dict[int, StepRecord]:
        """Those that have a property of ours."""
        mine = (each for each in executions if _text(each.properties, layout.STEP))
        return {each.id: self._step(each) for each in mine}


V = TypeVar("V")


def _by_name(values: Mapping[str, V]) -> dict[str, V]:
    # A store keeps no order of properties.
    return dict(sorted(values.items()))


def _metrics(properties: Mapping[str, Value]) -> dict[str, float]:
    metrics = {
        name: value
        for name, value in properties.items()
        if isinstance(value, float) and not name.startswith(layout.RESERVED)
    }
    words = properties.get(layout.NONFINITE)
    if isinstance(words, dict):
        metrics |= {name: float(str(word)) for name, word in words.items() if word in _WORDS}
    return _by_name(metrics)


_WORDS = ("NaN", "Infinity", "-Infinity")


def _text(properties: Mapping[str, Value], key: str) -> str | None:
    value = properties.get(key)
    return value if isinstance(value, str) else None


def _int(properties: Mapping[str, Value], key: str) -> int | None:
    value = properties.get(key)
    # What has more than 32 bits is kept as a double.
    return int(value) if type(value) in (int, float) else None  # type: ignore[arg-type]


def _finished(
    properties: Mapping[str, Value], state: ExecutionState, update_time_ms: int
) -> int | None:
    value = _int(properties, layout.FINISHED)
    if value is not None:
        return value
    return update_time_ms if has_ended(state) else None
