"""A run: its steps, how they hang together, when they went on."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, cast

from metastore import json_fields, pipelines
from metastore.display import iso
from metastore.errors import NotFoundError, Offender
from metastore.lineage import Graph
from metastore.model import Context, NodeKind
from metastore.query import NodeQuery
from metastore.ui._page import Page, Rows, Shown, View
from metastore.ui._timeline import timeline
from metastore.views import Run, Step, graph_of, runs_listing

__all__ = ["RUN", "missing", "related", "runs_by_id"]

PART = 200
"""Steps on a page."""
_MOST_RELATED = 50


class Part(NamedTuple):
    """Some of the steps, each with how deep it is inside of others."""

    steps: list[tuple[int, Step]]
    number: int
    """From 0."""
    of: int
    all: int


def runs_by_id(view: View, ids: Sequence[int]) -> list[Run]:
    """Runs, in this order, in a few reads; raises `NotFoundError` for one that is not there."""
    query = NodeQuery(NodeKind.CONTEXT, ids=list(ids), type_names=pipelines.runs_query().type_names)
    found = {each.id: each for each in runs_listing(view.store.backend, query)}
    for id in ids:
        if id not in found:
            raise NotFoundError(
                f"there is no run with id {id} in {view.store.location}",
                offender=Offender("run", id=id),
            )
    return [found[id] for id in ids]


def related(view: View, run: Run) -> tuple[list[Run], list[Run]]:
    """The runs that it is a part of, and those that are parts of it: by parent contexts."""
    backend = view.store.backend
    types = pipelines.runs_query().type_names

    def read(**ends: Any) -> list[Run]:
        query = NodeQuery(NodeKind.CONTEXT, type_names=types, limit=_MOST_RELATED + 1, **ends)
        nodes = cast("Sequence[Context]", backend.read_nodes(query))
        return [Run(backend, each) for each in pipelines.describe_runs(backend, nodes)]

    return read(parents_of=[run.id]), read(children_of=[run.id])


def missing(graph: Graph) -> int:
    """How many artifacts and executions the store names and does not have."""
    artifacts = {each.artifact_id for each in graph.events} - graph.artifacts.keys()
    executions = {each.execution_id for each in graph.events} - graph.executions.keys()
    return len(artifacts) + len(executions)


def _show(view: View) -> Shown:
    (run,) = runs_by_id(view, [view.id()])
    nested = list(run.steps.nested())
    parts = max((len(nested) + PART - 1) // PART, 1)
    number = view.number("part", 1, least=1, most=parts) - 1
    shown = nested[number * PART : (number + 1) * PART]
    graph = graph_of(view.store.backend, [step for _, step in shown], f"Run {run.name}")
    above, below = related(view, run)
    now = time.time_ns() // 1_000_000
    return Shown(
        "run.html",
        run.name,
        {
            "run": run,
            "now": now,
            "part": Part(shown, number, parts, len(nested)),
            "graph": graph,
            "missing": missing(graph),
            "states": _counted(run.steps),
            "timeline": timeline([step for _, step in shown], now),
            "above": above,
            "below": below[:_MOST_RELATED],
            "is_long": len(below) > _MOST_RELATED,
            "pipeline": _pipeline(view, run),
        },
        lambda: {
            **json_fields.run(run),
            "steps": [json_fields.step(step) for _, step in shown],
            "parts": parts,
            "parents": [json_fields.short(each.record.context) for each in above],
            "children": [json_fields.short(each.record.context) for each in below],
        },
        is_live=run.state.name in ("RUNNING", "NEW"),
    )


def _pipeline(view: View, run: Run) -> int | None:
    """The id of its pipeline, where one has its name."""
    if run.pipeline is None:
        return None
    query = pipelines.pipelines_query()
    found = view.store.backend.read_nodes(
        NodeQuery(NodeKind.CONTEXT, type_names=query.type_names, names=[run.pipeline], limit=1)
    )
    return found[0].id if found else None


def _counted(steps: Iterable[Step]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for step in steps:
        counts[step.state.name] = counts.get(step.state.name, 0) + 1
    return dict(sorted(counts.items(), key=lambda each: -each[1]))


def _rows(view: View) -> Rows:
    (run,) = runs_by_id(view, [view.id()])
    head = (
        *("id", "step", "type", "state", "reason", "error", "start_time", "end_time"),
        *("duration_ms", "parameters", "metrics", "inputs", "outputs"),
    )
    steps = list(run.steps)

    def rows() -> Iterable[Sequence[Any]]:
        for at in range(0, len(steps), PART):
            graph_of(view.store.backend, steps[at : at + PART], "")
            for step in steps[at : at + PART]:
                yield _row(step)

    return Rows(head, iter(rows()))


def _row(step: Step) -> list[Any]:
    fields = json_fields.step(step)
    return [
        step.id,
        step.name,
        fields["type"],
        fields["state"],
        step.reason,
        step.error,
        iso(step.record.started_ms),
        iso(step.record.finished_ms),
        fields["duration_ms"],
        fields["parameters"],
        fields["metrics"],
        step.inputs.texts(),
        step.outputs.texts(),
    ]


def _drawn(view: View, form: str) -> str:
    (run,) = runs_by_id(view, [view.id()])
    write = {"svg": run.graph.picture, "dot": run.graph.to_dot, "mmd": run.graph.to_mermaid}
    return str(write[form]())


RUN = Page("/runs/{id}", _show, _rows, _drawn, place="runs")
