"""Lineage: what an artifact was made from, and what was made from it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from metastore import json_fields
from metastore.display import iso
from metastore.errors import InvalidError, NotFoundError
from metastore.lineage import Lineage
from metastore.model import NodeKind
from metastore.ui._page import Page, Rows, Shown, View
from metastore.ui._run import missing

__all__ = ["LINEAGE"]

MOST_DRAWN = 300
"""Artifacts and executions of a picture that anybody reads, and any browser draws."""
_MOST_WRITTEN = 50_000
"""Of a download."""
_DEPTH = 2
_DEEPEST = 10_000
_DIRECTIONS = {"both": (True, True), "up": (True, False), "down": (False, True)}


def _depth(view: View) -> int | None:
    """Hops; None for all the way."""
    if view.text("depth") == "all":
        return None
    return view.number("depth", _DEPTH, least=1, most=_DEEPEST)


def _walked(view: View, most: int) -> Lineage:
    upstream, downstream = _DIRECTIONS[view.choice("direction", _DIRECTIONS, "both")]
    return view.store.artifact(view.id()).lineage(
        upstream=upstream, downstream=downstream, max_hops=_depth(view), max_nodes=most
    )


def _show(view: View) -> Shown:
    artifact = view.store.artifact(view.id())
    walked = _walked(view, MOST_DRAWN)
    on: Collection[tuple[NodeKind, int]] = ()
    error: InvalidError | None = None
    target = view.number("highlight", 0, least=1) if view.text("highlight") else None
    if target is not None:
        try:
            way = walked.paths_to(target)
            on = {
                *((NodeKind.ARTIFACT, id) for id in way.artifacts),
                *((NodeKind.EXECUTION, id) for id in way.executions),
            }
        except NotFoundError:
            error = InvalidError(
                f"no way in this picture leads to artifact {target}",
                hint="go more hops, or both ways",
            )
    return Shown(
        "lineage.html",
        f"Lineage of {artifact.name or f'artifact {artifact.id}'}",
        {
            "artifact": artifact,
            "graph": walked,
            "on": on,
            "target": target,
            "depth": _depth(view),
            "direction": view.choice("direction", _DIRECTIONS, "both"),
            "most": MOST_DRAWN,
            "missing": missing(walked),
            "far": sorted(walked.artifacts.values(), key=lambda each: each.id),
            "ran": sorted(walked.executions.values(), key=lambda each: each.id),
        },
        lambda: {**json_fields.lineage(walked), "is_cut": walked.is_cut},
        error=error,
    )


def _whole(view: View) -> Lineage:
    walked = _walked(view, _MOST_WRITTEN)
    if walked.is_cut:
        raise InvalidError(
            f"the lineage has more than {_MOST_WRITTEN:,} artifacts and executions",
            hint="go fewer hops, or write it with: "
            + view.command("lineage", view.id(), "--format", "dot"),
        )
    return walked


def _rows(view: View) -> Rows:
    walked = _whole(view)
    head = (
        *("artifact", "artifact_type", "artifact_name", "uri", "event", "path", "time"),
        *("execution", "execution_type", "step", "state", "run"),
    )

    def row(event: Any) -> list[Any]:
        artifact = walked.artifacts.get(event.artifact_id)
        execution = walked.executions.get(event.execution_id)
        step = walked.steps.get(event.execution_id)
        state = step.state if step else execution.state if execution else None
        return [
            event.artifact_id,
            artifact.type if artifact else None,
            artifact.name if artifact else None,
            artifact.uri if artifact else None,
            event.type.name,
            list(event.path),
            iso(event.time_ms),
            event.execution_id,
            execution.type if execution else None,
            step.name if step else None,
            None if state is None else state.name,
            step.run if step else None,
        ]

    return Rows(head, map(row, walked.events))


def _drawn(view: View, form: str) -> str:
    walked = _whole(view)
    if form == "svg":
        if not walked.is_drawn:
            raise InvalidError(
                f"there are more than {MOST_DRAWN} artifacts and executions",
                hint="go fewer hops, or take another form: .dot, .mmd, .csv",
            )
        return walked.picture()
    return walked.to_dot() if form == "dot" else walked.to_mermaid()


LINEAGE = Page("/lineage/{id}", _show, _rows, _drawn, place="artifacts")
