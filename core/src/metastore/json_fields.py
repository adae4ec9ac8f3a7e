"""Things as JSON: the same fields for the same things in every command and page (docs/json.md).

Times are ISO 8601 in UTC with milliseconds, ``null`` where the store does not say.

Property values: INT, DOUBLE, STRING and BOOLEAN as numbers, strings and booleans, except what JSON
lacks: ``"Infinity"``, ``"-Infinity"`` and, among metrics, ``"NaN"``, as protocol buffers' JSON has
them; STRUCT as an object; PROTO as ``{"type_url": ..., "value": base64}``.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from metastore.display import iso
from metastore.model import AnyNode, Artifact, Execution, Proto
from metastore.values import kind_of, nonfinite_text

if TYPE_CHECKING:
    from metastore.lineage import Lineage
    from metastore.model import Type
    from metastore.views import Pipeline, Ports, Run, Step

__all__ = [
    "kinds",
    "lineage",
    "node",
    "pipeline",
    "ports",
    "run",
    "short",
    "step",
    "type_",
    "value",
    "values",
]


def node(node: AnyNode) -> dict[str, Any]:
    """Any artifact, execution or context."""
    fields: dict[str, Any] = {"id": node.id, "type": node.type, "name": node.name}
    if isinstance(node, Artifact | Execution):
        fields["state"] = None if node.state is None else node.state.name
    if isinstance(node, Artifact):
        fields["uri"] = node.uri
    return fields | {
        "external_id": node.external_id,
        "create_time": iso(node.create_time_ms),
        "update_time": iso(node.update_time_ms),
        "properties": values(node.properties),
        "custom_properties": values(node.custom_properties),
    }


def short(node: AnyNode) -> dict[str, Any]:
    """A node that is mentioned in another one."""
    fields: dict[str, Any] = {"id": node.id, "type": node.type, "name": node.name}
    return fields | ({"uri": node.uri} if isinstance(node, Artifact) else {})


def pipeline(pipeline: Pipeline) -> dict[str, Any]:
    """A pipeline, its context's own fields included."""
    return {**node(pipeline.context.node), "name": pipeline.name, "runs": len(pipeline.runs)}


def run(run: Run) -> dict[str, Any]:
    """A run without its steps."""
    record = run.record
    return {
        "id": run.id,
        "type": record.context.type,
        "name": run.name,
        "pipeline": run.pipeline,
        "convention": run.convention,
        "state": run.state.name,
        "error": run.error,
        **_times(record.started_ms, record.finished_ms),
        "host": record.host,
        "process": record.process,
        "is_abandoned": run.is_abandoned,
        "parameters": values(run.parameters),
    }


def step(step: Step) -> dict[str, Any]:
    """A step of a run."""
    record = step.record
    return {
        "id": step.id,
        "type": record.execution.type,
        "name": step.name,
        "state": step.state.name,
        "parent": step.parent,
        "reason": step.reason,
        "error": step.error,
        **_times(record.started_ms, record.finished_ms),
        "host": record.host,
        "process": record.process,
        "parameters": values(step.parameters),
        "metrics": values(step.metrics),
        "inputs": ports(step.inputs),
        "outputs": ports(step.outputs),
    }


def values(values: Mapping[str, Any]) -> dict[str, Any]:
    """Property values by key."""
    return {key: value(each) for key, each in values.items()}


def kinds(values: Mapping[str, Any]) -> dict[str, str]:
    """The kind of each value, which tells ``"Infinity"`` the text from the number."""
    return {key: kind_of(value).name for key, value in values.items()}


def value(given: Any) -> Any:
    """One property value."""
    if isinstance(given, Proto):
        encoded = base64.b64encode(given.value).decode("ascii")
        return {"type_url": given.type_url, "value": encoded}
    if isinstance(given, float):
        return nonfinite_text(given) or given
    if isinstance(given, Mapping):
        return values(given)
    if isinstance(given, list):
        return [value(each) for each in given]
    return given


def _times(start: int | None, end: int | None) -> dict[str, Any]:
    known = start is not None and end is not None
    return {
        "start_time": iso(start),
        "end_time": iso(end),
        "duration_ms": end - start if known else None,  # type: ignore[operator]  # both are ints
    }


def ports(ports: Ports) -> dict[str, Any]:
    """Inputs or outputs: by key, the artifacts."""
    return {key: [short(each.node) for each in ports.all(key)] for key in ports}


def lineage(walked: Lineage) -> dict[str, Any]:
    """What a walk found, and the events between."""
    return {
        "artifact": walked.start[0],
        "upstream": walked.upstream,
        "downstream": walked.downstream,
        "siblings": walked.siblings,
        "artifacts": [short(each) for _, each in sorted(walked.artifacts.items())],
        "executions": [
            {
                **short(each),
                "state": None if each.state is None else each.state.name,
                "step": walked.steps[id].name if id in walked.steps else None,
                "step_state": walked.steps[id].state.name if id in walked.steps else None,
            }
            for id, each in sorted(walked.executions.items())
        ],
        "events": [
            {
                "artifact": each.artifact_id,
                "execution": each.execution_id,
                "type": each.type.name,
                "path": list(each.path),
                "time": iso(each.time_ms),
            }
            for each in walked.events
        ],
    }


def type_(type: Type) -> dict[str, Any]:
    """A type."""
    return {
        "id": type.id,
        "kind": type.kind.label,
        "name": type.name,
        "version": type.version,
        "description": type.description,
        "base_type": type.base_type,
        "external_id": type.external_id,
        "properties": {key: kind.name for key, kind in type.properties.items()},
    }
