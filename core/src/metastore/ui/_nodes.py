"""An artifact, an execution, a context."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any, NamedTuple, cast

from metastore import json_fields, lineage, pipelines
from metastore.lineage import Graph, StepLabel
from metastore.model import Context, Execution, LinkKind, NodeKind
from metastore.query import EventQuery, LinkQuery, NodeQuery
from metastore.ui._page import Page, Rows, Shown, View
from metastore.ui._run import missing
from metastore.views import ArtifactView, StepOfRun, steps_of_runs

__all__ = ["ARTIFACT", "CONTEXT", "EXECUTION"]

_MOST = 50
"""Neighbours of a sort that are shown; a link leads to all of them."""
_MOST_NODES = 60
"""Of a small picture beside other things."""

_IS_INPUT = "INPUT, DECLARED_INPUT, INTERNAL_INPUT"
_IS_OUTPUT = "OUTPUT, DECLARED_OUTPUT, INTERNAL_OUTPUT, PENDING_OUTPUT"


class Touching(NamedTuple):
    """Executions that wrote an artifact, or that read it."""

    steps: list[StepOfRun]
    all: int
    """How many there are."""
    where: str
    """The filter that finds all of them."""


def _touching(view: View, artifact: int, *, outputs: bool) -> Touching:
    """By a filter: all runs of a large store may have read one dataset."""
    kinds = _IS_OUTPUT if outputs else _IS_INPUT
    where = f"events_e.artifact_id = {artifact} AND events_e.type IN ({kinds})"
    every = view.store.executions(where=where, order_by="id" if outputs else "-id")
    if view.store.backend.CAPABILITIES.native_filter:
        found = [each.node for each in every.page(_MOST).items]
        count = len(found) if len(found) < _MOST else len(every)
    else:
        events = view.store.backend.read_events(EventQuery(artifact_ids=[artifact]))
        touching = (e for e in events if (e.type.is_output if outputs else e.type.is_input))
        ids = sorted({each.execution_id for each in touching}, reverse=not outputs)
        query = NodeQuery(NodeKind.EXECUTION, ids=ids[:_MOST], descending=not outputs)
        found = cast("list[Execution]", view.store.backend.read_nodes(query))
        count = len(ids)
    return Touching(steps_of_runs(view.store.backend, found), count, where)


def _artifact(view: View) -> Shown:
    artifact = view.store.artifact(view.id())
    producers = _touching(view, artifact.id, outputs=True)
    consumers = _touching(view, artifact.id, outputs=False)
    is_near = producers.all + consumers.all < _MOST_NODES
    walked = _near(artifact) if is_near else None
    return Shown(
        "artifact.html",
        artifact.name or f"Artifact {artifact.id}",
        {
            "artifact": artifact,
            "producers": producers,
            "consumers": consumers,
            "graph": walked,
            "missing": 0 if walked is None else missing(walked),
            "contexts_where": f"artifacts_a.id = {artifact.id}",
        },
        lambda: {
            **json_fields.node(artifact.node),
            "property_kinds": json_fields.kinds(artifact.properties),
            "custom_property_kinds": json_fields.kinds(artifact.custom_properties),
            "produced_by": [each.as_json() for each in producers.steps],
            "consumed_by": [each.as_json() for each in consumers.steps],
        },
        has_rows=False,
    )


def _near(artifact: ArtifactView) -> Graph:
    return artifact.lineage(upstream=True, downstream=True, max_hops=2, max_nodes=_MOST_NODES)


def _execution(view: View) -> Shown:
    execution = view.store.execution(view.id())
    backend = view.store.backend
    (whereabouts,) = steps_of_runs(backend, [execution.node])
    links = backend.read_links(LinkQuery(LinkKind.ASSOCIATION, other_ids=[execution.id]))
    ids = sorted({each.context_id for each in links})[: _MOST + 1]
    contexts = cast("list[Context]", backend.read_nodes(NodeQuery(NodeKind.CONTEXT, ids=ids)))
    step = whereabouts.step
    graph = lineage.around(backend, [execution.node], title=f"Execution {execution.id}")
    if step is not None:
        label = StepLabel(step.name, step.state, step.parent)
        graph = replace(graph, steps={execution.id: label})
    state = step.state if step is not None else execution.state
    called = step.name if step is not None else execution.name
    return Shown(
        "execution.html",
        called or f"Execution {execution.id}",
        {
            "execution": execution,
            "called": called,
            "step": step,
            "state": state,
            "run": whereabouts.run,
            "contexts": contexts[:_MOST],
            "graph": graph,
            "missing": missing(graph),
            "now": time.time_ns() // 1_000_000,
        },
        lambda: {
            **json_fields.node(execution.node),
            "property_kinds": json_fields.kinds(execution.properties),
            "custom_property_kinds": json_fields.kinds(execution.custom_properties),
            "step": None if step is None else step.name,
            "step_state": None if step is None else step.state.name,
            "reason": None if step is None else step.reason,
            "run_id": None if whereabouts.run is None else whereabouts.run.id,
            "run": None if whereabouts.run is None else whereabouts.run.name,
            "inputs": json_fields.ports(execution.inputs),
            "outputs": json_fields.ports(execution.outputs),
        },
        is_live=str(state) in ("RUNNING", "NEW"),
    )


def _execution_rows(view: View) -> Rows:
    execution = view.store.execution(view.id())

    def of(side: str, ports: Any) -> list[list[Any]]:
        return [
            [side, key, each.id, each.type, each.name, each.uri]
            for key in ports
            for each in ports.all(key)
        ]

    rows = [*of("input", execution.inputs), *of("output", execution.outputs)]
    return Rows(("side", "key", "artifact", "type", "name", "uri"), iter(rows))


def _execution_drawn(view: View, form: str) -> str:
    execution = view.store.execution(view.id())
    graph = lineage.around(view.store.backend, [execution.node], title=f"Execution {execution.id}")
    return str({"svg": graph.picture, "dot": graph.to_dot, "mmd": graph.to_mermaid}[form]())


def _context(view: View) -> Shown:
    context = view.store.context(view.id())
    convention = pipelines.convention_of(context.node)
    is_pipeline = context.type in (pipelines.pipelines_query().type_names or ())
    members: dict[str, Any] = {
        "artifacts": context.artifacts.newest_first(_MOST),
        "executions": context.executions.newest_first(_MOST),
        "parents": context.parents.newest_first(_MOST),
        "children": context.children.newest_first(_MOST),
    }
    shown = {key: list(each) for key, each in members.items()}
    # To count the executions of all runs of a pipeline takes long, and is of little use.
    counts = {
        key: str(len(found)) if len(found) < _MOST else f"{_MOST} or more"
        for key, found in shown.items()
    }
    return Shown(
        "context.html",
        context.name or f"Context {context.id}",
        {
            "context": context,
            "is_run": convention is not None,
            "is_pipeline": is_pipeline,
            "counts": counts,
            **shown,
        },
        lambda: {
            **json_fields.node(context.node),
            "property_kinds": json_fields.kinds(context.properties),
            "custom_property_kinds": json_fields.kinds(context.custom_properties),
            "artifacts": len(context.artifacts),
            "executions": len(context.executions),
            "parents": [json_fields.short(each.node) for each in shown["parents"]],
            "children": [json_fields.short(each.node) for each in shown["children"]],
        },
        has_rows=False,
    )


ARTIFACT = Page("/artifacts/{id}", _artifact, place="artifacts")
EXECUTION = Page(
    "/executions/{id}", _execution, _execution_rows, _execution_drawn, place="executions"
)
CONTEXT = Page("/contexts/{id}", _context, place="contexts")
