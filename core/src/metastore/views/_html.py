"""What a notebook shows of nodes, runs and steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from metastore.display import brief, duration, minute, pairs, second, value_text
from metastore.drawing import Html, Word, card, fields, page, table
from metastore.errors import MetastoreError
from metastore.model import ExecutionState, Value
from metastore.values import kind_of

if TYPE_CHECKING:
    from metastore.drawing._html import Cell
    from metastore.views._nodes import ArtifactView, ContextView, ExecutionView, Ports
    from metastore.views._runs import Pipeline, Run, Step

__all__ = [
    "artifact",
    "artifact_row",
    "context",
    "context_row",
    "execution",
    "execution_row",
    "pipeline",
    "pipeline_row",
    "run",
    "run_page",
    "run_row",
    "shown",
    "step",
    "steps",
]

_MOST = 10
"""Rows of a list inside something else."""
_MOST_STEPS = 100


def shown(draw: Callable[[Any], Html], thing: Any) -> str:
    """A drawing; where the store cannot be read any more, a sentence."""
    try:
        return draw(thing)
    except MetastoreError as error:
        return card("", f"{thing!r}: {error}")


# Nodes.


def artifact(artifact: ArtifactView) -> Html:
    """Fields, properties, and which executions wrote and read it."""
    node = artifact.node
    producer = artifact.producer
    return card(
        f"artifact {artifact.id}",
        fields(
            [
                ("type", artifact.type or "unknown"),
                ("name", artifact.name),
                ("uri", artifact.uri),
                ("state", None if artifact.state is None else artifact.state.name),
                ("external id", artifact.external_id),
                ("created", second(node.create_time_ms)),
                ("produced by", _called(producer) if producer else None),
                ("consumed by", [*map(_called, artifact.consumers[:_MOST])]),
            ]
        ),
        _properties(artifact.properties, "Properties"),
        _properties(artifact.custom_properties, "Custom properties"),
    )


def execution(execution: ExecutionView) -> Html:
    """Fields, properties, inputs and outputs."""
    return card(
        f"execution {execution.id}",
        fields(
            [
                ("type", execution.type or "unknown"),
                ("name", execution.name),
                ("state", None if execution.state is None else _state(execution.state)),
                ("external id", execution.external_id),
                ("created", second(execution.node.create_time_ms)),
            ]
        ),
        _properties(execution.properties, "Properties"),
        _properties(execution.custom_properties, "Custom properties"),
        _ports(execution.inputs, "Inputs"),
        _ports(execution.outputs, "Outputs"),
    )


def context(context: ContextView) -> Html:
    """Fields and properties, and of how much it is the context."""
    return card(
        f"context {context.id}",
        fields(
            [
                ("type", context.type or "unknown"),
                ("name", context.name),
                ("external id", context.external_id),
                ("created", second(context.node.create_time_ms)),
                ("artifacts", str(len(context.artifacts))),
                ("executions", str(len(context.executions))),
            ]
        ),
        _properties(context.properties, "Properties"),
        _properties(context.custom_properties, "Custom properties"),
    )


def artifact_row(artifact: ArtifactView) -> dict[str, Cell]:
    """For a list of artifacts."""
    return {
        "id": str(artifact.id),
        "type": artifact.type,
        "name": artifact.name or "",
        "state": "" if artifact.state is None else artifact.state.name,
        "created (UTC)": Word(minute(artifact.node.create_time_ms), "nowrap"),
        "uri": brief(artifact.uri),
    }


def execution_row(execution: ExecutionView) -> dict[str, Cell]:
    """For a list of executions."""
    return {
        "id": str(execution.id),
        "type": execution.type,
        "name": execution.name or "",
        "state": "" if execution.state is None else _state(execution.state),
        "created (UTC)": Word(minute(execution.node.create_time_ms), "nowrap"),
    }


def context_row(context: ContextView) -> dict[str, Cell]:
    """For a list of contexts."""
    return {
        "id": str(context.id),
        "type": context.type,
        "name": context.name or "",
        "created (UTC)": Word(minute(context.node.create_time_ms), "nowrap"),
    }


# Pipelines, runs and steps.


def pipeline(pipeline: Pipeline) -> Html:
    """Its newest runs."""
    count = len(pipeline.runs)
    newest = [run_row(each) for each in pipeline.runs.newest_first(_MOST)]
    return card(
        f"pipeline {pipeline.name}",
        f"{count} runs" + (", the newest:" if count > _MOST else ""),
        rows(newest),
    )


def run(run: Run) -> Html:
    """Fields, steps and the picture."""
    return card(f"run {run.name}", *_run_parts(run))


def run_page(run: Run) -> str:
    """The same as a page of its own."""
    return page(f"Run {run.name}", card("", *_run_parts(run)))


def _run_parts(run: Run) -> list[str]:
    record = run.record
    abandoned = f"its process {run.process} is gone" if run.is_abandoned else None
    graph = run.graph.picture() if run.steps else Html()
    return [
        fields(
            [
                ("pipeline", run.pipeline or "unknown"),
                ("state", _state(run.state)),
                ("", abandoned),
                ("error", run.error and brief(run.error)),
                ("started", second(record.started_ms)),
                ("duration", duration(record.started_ms, record.finished_ms)),
                ("parameters", pairs(run.parameters)),
            ]
        ),
        _steps(list(run.steps.nested())) if run.steps else "It has no steps.",
        graph,
    ]


def step(step: Step) -> Html:
    """Fields, inputs and outputs."""
    record = step.record
    return card(
        f"step {step.name}",
        fields(
            [
                ("state", _state(step.state)),
                ("", step.reason),
                ("error", step.error and brief(step.error)),
                ("started", second(record.started_ms)),
                ("duration", duration(record.started_ms, record.finished_ms)),
                ("parameters", pairs(step.parameters)),
                ("metrics", pairs(step.metrics)),
            ]
        ),
        _ports(step.inputs, "Inputs"),
        _ports(step.outputs, "Outputs"),
    )


def steps(steps: Sequence[tuple[int, Step]]) -> Html:
    """A table of steps, each with its depth."""
    return card("", _steps(steps))


def pipeline_row(pipeline: Pipeline) -> dict[str, Cell]:
    """For a list of pipelines."""
    return {
        "id": str(pipeline.id),
        "name": pipeline.name,
        "runs": str(len(pipeline.runs)),
        "created (UTC)": Word(minute(pipeline.context.node.create_time_ms), "nowrap"),
    }


def run_row(run: Run) -> dict[str, Cell]:
    """For a list of runs."""
    record = run.record
    return {
        "id": str(run.id),
        "name": run.name,
        "pipeline": run.pipeline or "",
        "state": _state(run.state),
        "started (UTC)": Word(minute(record.started_ms), "nowrap"),
        "duration": Word(duration(record.started_ms, record.finished_ms), "nowrap"),
    }


def rows(found: Sequence[Mapping[str, Cell]], *, title: str = "") -> Html:
    """A table of rows that have the same columns."""
    return table([*found[0]], ([*row.values()] for row in found), title=title) if found else Html()


def _steps(found: Sequence[tuple[int, Step]]) -> Html:
    left = len(found) - _MOST_STEPS
    made = rows([_step_row(depth, each) for depth, each in found[:_MOST_STEPS]], title="Steps")
    return Html(f"{made}<p>... and {left} more</p>") if left > 0 else made


def _step_row(depth: int, step: Step) -> dict[str, Cell]:
    record = step.record
    row: dict[str, Cell] = {
        "step": Word(step.short_name, f"nowrap in{min(depth, 8)}"),
        "state": _state(step.state),
        "duration": Word(duration(record.started_ms, record.finished_ms), "nowrap"),
        "inputs": step.inputs.texts(),
        "outputs": step.outputs.texts(),
        "parameters": pairs(step.parameters),
        "metrics": pairs(step.metrics),
        "": [each for each in (step.reason, brief(step.error) if step.error else None) if each],
    }
    return row


_LOOKS = {
    ExecutionState.COMPLETE: "good",
    ExecutionState.CACHED: "good",
    ExecutionState.FAILED: "bad",
    ExecutionState.RUNNING: "busy",
    ExecutionState.NEW: "busy",
}


def _state(state: ExecutionState) -> Word:
    return Word(state.name, _LOOKS.get(state, ""))


def _called(execution: ExecutionView) -> str:
    return f"{execution.name or execution.type} (execution {execution.id})"


def _properties(values: Mapping[str, Value], title: str) -> Html:
    return table(
        ["name", "kind", "value"],
        (
            [brief(key), Word(kind_of(value).name, "small"), value_text(value)]
            for key, value in values.items()
        ),
        title=title,
    )


def _ports(ports: Ports, title: str) -> Html:
    return table(
        ["key", "artifact", "type", "name", "uri"],
        (
            [key, str(each.id), each.type, each.name or "", brief(each.uri)]
            for key in ports
            for each in ports.all(key)
        ),
        title=title,
    )
