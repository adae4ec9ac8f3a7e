"""The first page, and pipelines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from metastore import json_fields
from metastore.display import iso
from metastore.errors import NotFoundError, Offender
from metastore.model import Context, ExecutionState, NodeKind
from metastore.pipelines import pipelines_query
from metastore.query import NodeQuery
from metastore.ui._page import Page, Rows, Shown, View
from metastore.ui._runs import RUN_COLUMNS, run_row
from metastore.views import Pipeline, Run

__all__ = ["OVERVIEW", "PIPELINE", "PIPELINES"]

_NEWEST = 12
_WINDOW = 200
"""Newest runs that are read to say how pipelines are doing."""
_STRIP = 20
_PAGE = 50
_BARS = 60
"""Runs on the chart of a pipeline."""


class Doing(NamedTuple):
    """A pipeline, and its newest runs among the newest ones of the store, the newest last."""

    pipeline: Pipeline
    runs: list[Run]


class Bar(NamedTuple):
    """A run on a chart."""

    run: Run
    share: int | None
    """How long it took, of the longest one, in thousandths; None where that is not known."""


def _doing(pipelines: Sequence[Pipeline], newest: Sequence[Run]) -> list[Doing]:
    found: dict[str, list[Run]] = {each.name: [] for each in pipelines}
    for run in newest:
        called = run.pipeline or ""
        # Where a run belongs to several, they are told with commas between them.
        for name in [called] if called in found else called.split(", "):
            if name in found and len(found[name]) < _STRIP:
                found[name].append(run)
    return [Doing(each, found[each.name][::-1]) for each in pipelines]


def _overview(view: View) -> Shown:
    store = view.store
    runs = store.runs(newest_first=True)
    newest = list(runs.page(_WINDOW).items)
    pipelines = [*store.pipelines().newest_first(_NEWEST)]
    counts = {
        "pipelines": len(store.pipelines()),
        "runs": len(runs),
        "artifacts": len(store.artifacts()),
        "executions": len(store.executions()),
        "contexts": len(store.contexts()),
    }
    # What no convention explains is shown as what it is.
    artifacts = [] if newest else [*store.artifacts(order_by="-id", limit=_NEWEST)]
    executions = [] if newest else [*store.executions(order_by="-id", limit=_NEWEST)]
    return Shown(
        "overview.html",
        "Overview",
        {
            "counts": counts,
            "runs": newest[:_NEWEST],
            "doing": _doing(pipelines, newest),
            "artifacts": artifacts,
            "executions": executions,
            "failed": sum(each.state is ExecutionState.FAILED for each in newest),
            "window": len(newest),
        },
        lambda: {
            "store": store.location,
            "flavor": store.flavor,
            "notice": store.backend.notice,
            "counts": counts,
            "runs": [json_fields.run(each) for each in newest[:_NEWEST]],
        },
        is_live=any(each.state is ExecutionState.RUNNING for each in newest[:_NEWEST]),
        has_rows=False,
    )


def _pipelines(view: View) -> Shown:
    listing = view.store.pipelines().newest_first()
    page = listing.page(_PAGE, view.text("page"))
    newest = list(view.store.runs(newest_first=True).page(_WINDOW).items)
    doing = _doing(page.items, newest)
    following = page.next_token
    return Shown(
        "pipelines.html",
        "Pipelines",
        {
            "doing": doing,
            "window": len(newest),
            "next": None if following is None else view.link.here(page=following),
            "is_first": view.text("page") is None,
        },
        lambda: {
            "pipelines": [_fields(each) for each in page.items],
            "next": None if following is None else view.link.here(form="json", page=following),
        },
    )


def _fields(pipeline: Pipeline) -> dict[str, Any]:
    return {**json_fields.node(pipeline.context.node), "name": pipeline.name}


def _pipeline_rows(view: View) -> Rows:
    return Rows(
        ("id", "name", "type", "create_time", "update_time", "properties", "custom_properties"),
        (
            [
                each.id,
                each.name,
                each.context.type,
                iso(each.context.node.create_time_ms),
                iso(each.context.node.update_time_ms),
                json_fields.values(each.context.properties),
                json_fields.values(each.context.custom_properties),
            ]
            for each in view.store.pipelines()
        ),
    )


def _the_pipeline(view: View) -> Pipeline:
    query = NodeQuery(NodeKind.CONTEXT, ids=[view.id()], type_names=pipelines_query().type_names)
    found = view.store.backend.read_nodes(query)
    if not found or not isinstance(found[0], Context):
        raise NotFoundError(
            f"there is no pipeline with id {view.id()}", offender=Offender("pipeline", id=view.id())
        )
    return Pipeline(view.store.backend, found[0])


def _pipeline(view: View) -> Shown:
    pipeline = _the_pipeline(view)
    listing = pipeline.runs.newest_first()
    page = listing.page(_BARS)
    runs = list(page.items)
    count = len(runs) if page.next_token is None else len(listing)
    took = [_took(each) for each in runs]
    longest = max([each for each in took if each is not None], default=0) or 1
    bars = [
        Bar(run, None if each is None else max(1000 * each // longest, 30))
        for run, each in zip(runs, took, strict=True)
    ]
    return Shown(
        "pipeline.html",
        pipeline.name,
        {
            "pipeline": pipeline,
            "runs": runs[:_NEWEST],
            "bars": bars[::-1],
            "count": count,
            "longest": longest,
            "states": _counted(runs),
        },
        lambda: {
            **_fields(pipeline),
            "runs": count,
            "newest": [json_fields.run(each) for each in runs],
        },
        is_live=any(each.state is ExecutionState.RUNNING for each in runs),
    )


def _took(run: Run) -> int | None:
    started, finished = run.record.started_ms, run.record.finished_ms
    if started is None or finished is None or finished < started:
        return None
    return finished - started


def _counted(runs: Sequence[Run]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for run in runs:
        counts[run.state.name] = counts.get(run.state.name, 0) + 1
    return dict(sorted(counts.items(), key=lambda each: -each[1]))


def _rows_of_pipeline(view: View) -> Rows:
    return Rows(RUN_COLUMNS, map(run_row, _the_pipeline(view).runs))


OVERVIEW = Page("/", _overview, place="overview")
PIPELINES = Page("/pipelines", _pipelines, _pipeline_rows, place="pipelines")
PIPELINE = Page("/pipelines/{id}", _pipeline, _rows_of_pipeline, place="pipelines")
