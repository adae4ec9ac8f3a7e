"""HPE's Common Metadata Framework (cmflib/cmf.py).

A pipeline is a `Parent_Context`, its stages are `Pipeline_Stage` contexts below it, and executions
belong to stages.  It has no runs: all executions of a pipeline count as one.
"""

from __future__ import annotations

from collections.abc import Sequence

from metastore.base import BaseMetadataStore
from metastore.model import Context, Execution, ExecutionState, LinkKind, NodeKind
from metastore.pipelines._convention import Convention, executions_of_contexts, run_of_steps
from metastore.pipelines._records import RunRecord, StepRecord, has_ended
from metastore.query import LinkQuery, NodeQuery

__all__ = ["CMF"]

_BOOKKEEPING = frozenset(
    {
        "Context_ID",
        "Context_Type",
        "Execution",
        "Git_End_Commit",
        "Git_Repo",
        "Git_Start_Commit",
        "Pipeline_Type",
        "Pipeline_id",
    }
)


class CMF(Convention):
    """Stores written by cmflib."""

    NAME = "cmf"
    PIPELINE_TYPES = ("Parent_Context",)
    RUN_TYPES = ("Parent_Context",)

    def runs_of(self, backend: BaseMetadataStore, pipeline: Context) -> NodeQuery:
        """The pipeline itself."""
        return NodeQuery(NodeKind.CONTEXT, ids=[pipeline.id])

    def describe_runs(
        self, backend: BaseMetadataStore, contexts: Sequence[Context]
    ) -> list[RunRecord]:
        """A run has the name of its pipeline."""
        steps = self._steps(backend, contexts)
        return [
            run_of_steps(self.NAME, each, each.name or "", each.name, steps[each.id])
            for each in contexts
        ]

    def steps(self, backend: BaseMetadataStore, run: Context) -> list[StepRecord]:
        """The executions of all stages."""
        return self._steps(backend, [run])[run.id]

    def _steps(
        self, backend: BaseMetadataStore, pipelines: Sequence[Context]
    ) -> dict[int, list[StepRecord]]:
        links = backend.read_links(
            LinkQuery(LinkKind.PARENT, other_ids=[each.id for each in pipelines])
        )
        found = executions_of_contexts(backend, {link.context_id for link in links})
        steps: dict[int, dict[int, Execution]] = {each.id: {} for each in pipelines}
        for link in links:
            steps[link.other_id] |= {each.id: each for each in found[link.context_id]}
        return {
            id: [_step(execution) for _, execution in sorted(executions.items())]
            for id, executions in steps.items()
        }

    def describe_steps(
        self, backend: BaseMetadataStore, executions: Sequence[Execution]
    ) -> dict[int, StepRecord]:
        """Those that have the properties of CMF's executions."""
        return {
            each.id: _step(each)
            for each in executions
            if "Pipeline_Type" in each.properties and "Context_Type" in each.properties
        }


def _step(execution: Execution) -> StepRecord:
    state = execution.state or ExecutionState.UNKNOWN
    parameters = {
        key: value
        for values in (execution.properties, execution.custom_properties)
        for key, value in values.items()
        if key not in _BOOKKEEPING
    }
    return StepRecord(
        execution.name or execution.type,
        execution,
        state,
        parameters=parameters,
        metrics={},
        started_ms=execution.create_time_ms or None,
        finished_ms=execution.update_time_ms if has_ended(state) else None,
    )
