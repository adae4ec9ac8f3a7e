"""``metastore run``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

import click

from metastore.cli._errors import Refused, hinted
from metastore.cli._lazy import SuggestingGroup
from metastore.cli._nodes import combined, since_option, where_option
from metastore.cli._options import (
    Page,
    debug_option,
    limit_option,
    opened,
    reading,
    store_option,
)
from metastore.errors import InvalidError, MetastoreError

if TYPE_CHECKING:
    from metastore.cli._output import Row
    from metastore.listing import Listing
    from metastore.store import Store
    from metastore.views import Run, Step

__all__ = ["run", "show_runs"]

T = TypeVar("T")


@click.group(cls=SuggestingGroup)
def run() -> None:
    """Runs of pipelines, and their steps."""


@run.command("list")
@click.option("--pipeline", metavar="NAME|ID", help="Only the runs of this pipeline.")
@where_option
@since_option
@click.option(
    "--state",
    type=click.Choice(
        ["NEW", "RUNNING", "COMPLETE", "FAILED", "CANCELED", "UNKNOWN"], case_sensitive=False
    ),
    help="Only those in this state.",
)
@limit_option
@reading
def list_(
    store: str | None,
    pipeline: str | None,
    where: str | None,
    since: datetime | None,
    state: str | None,
    limit: int | None,
    as_json: bool,
) -> None:
    """List runs, the newest first; a filter is one on the contexts that they are.

    What is no field of the context, such as the state of a run whose program left that to its
    steps, a filter does not know; --state goes by what is shown.

    JSON fields: id, type, name, pipeline, convention (of the program that recorded it), state
    (UNKNOWN, NEW, RUNNING, COMPLETE, FAILED, CACHED or CANCELED), error, start_time, end_time,
    duration_ms, host, process (its id there), is_abandoned (whether it says RUNNING and its process
    is gone; null where that cannot be told), parameters. Times are ISO 8601 in UTC; they, host and
    process are null where the store does not say.
    """
    from metastore.model import NodeKind

    where = combined(NodeKind.CONTEXT, where, since)
    with opened(store) as found:
        show_runs(found, pipeline=pipeline, where=where, state=state, limit=limit, as_json=as_json)


@run.command("show")
@click.argument("which", metavar="RUN")
@click.option("--name", "is_name", is_flag=True, help="RUN is a name, even if it is a number.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "mermaid", "dot", "html"]),
    default="text",
    show_default=True,
    help="Text, a page for a browser, its graph in Mermaid's language or Graphviz's.",
)
@reading
def show(store: str | None, which: str, is_name: bool, form: str, as_json: bool) -> None:
    """Show a run, its steps and how they hang together; RUN is its id or its name.

    JSON fields: those of 'metastore run list', and steps: a list with id (of the execution), type,
    name, state, parent (the id of the step that it is a part of), reason (why the state is not the
    execution's own), error, start_time, end_time, duration_ms, host, process, parameters, metrics,
    inputs and outputs (by key a list of artifacts with id, type, name, uri).
    """
    from metastore import json_fields as _fields
    from metastore.cli import _json

    with opened(store) as found:
        run = _find(found, which, is_name=is_name)
        graph = run.graph
        if form != "text" and as_json:
            raise click.UsageError("--json and --format exclude one another.")
        if form != "text":
            write = {"mermaid": graph.to_mermaid, "dot": graph.to_dot, "html": run.to_html}
            sys.stdout.write(write[form]())
        elif as_json:
            _json.write_object({**_fields.run(run), "steps": [*map(_fields.step, run.steps)]})
        else:
            _show(run)


@run.command("cancel")
@click.argument("which", metavar="RUN")
@click.option("--name", "is_name", is_flag=True, help="RUN is a name, even if it is a number.")
@click.option("--reason", metavar="TEXT", help="Why; kept as the run's error.")
@click.option("--force", is_flag=True, help="Also when its process is, or may be, still running.")
@store_option(help="The store, such as sqlite:///runs.db.")
@debug_option(hidden=True)
def cancel(store: str | None, which: str, is_name: bool, reason: str | None, force: bool) -> None:
    """Mark a run that did not end, and its open steps, as CANCELED; RUN is its id or its name.

    For runs whose process was killed: 'metastore run list' says which these are.
    """
    from metastore.cli._output import line
    from metastore.recording import cancel_run

    with opened(store, mode="rw", create=False) as found:
        run = _find(found, which, is_name=is_name)
        try:
            steps = cancel_run(found.backend, run.id, reason=reason, force=force)
        except InvalidError as error:
            # Not wrong to ask: it depends on the run.
            raise Refused(str(error)) from error
        line(f"run {run.name} (id {run.id}) is CANCELED, with {len(steps)} of its steps")


def show_runs(
    store: Store,
    *,
    pipeline: str | None = None,
    where: str | None = None,
    state: str | None = None,
    limit: int | None = None,
    as_json: bool = False,
) -> None:
    """The list."""
    from metastore import json_fields as _fields
    from metastore.cli import _json
    from metastore.cli._output import Column, remark, state_style, table
    from metastore.views import Run

    def found(most: int | None) -> Iterable[Run]:
        if state is None:
            return _runs(store, pipeline, where, most)
        every = _runs(store, pipeline, where, None)
        return islice((each for each in every if each.state.name == state), most)

    page = Page[Run](limit, whole=as_json)
    if as_json:
        _json.write_list(map(_fields.run, page.of(found(page.asked))))
    else:
        count = table(
            [
                Column("ID"),
                Column("NAME", shrinks=24),
                Column("PIPELINE", shrinks=8),
                Column("STATE", style=state_style),
                Column("STARTED (UTC)"),
                Column("DURATION"),
            ],
            (row for each in page.of(found(page.asked)) for row in _rows(each)),
        )
        if not count:
            of = f" of pipeline {pipeline!r}" if pipeline else ""
            which = " for which that holds" if where or state else ""
            remark(f"no runs{of}{which} in {store.location}")
    total = (lambda: len(_runs(store, pipeline, where, None))) if state is None else None
    if text := page.remark(total, "runs, the newest"):
        remark(text)


def _rows(run: Run) -> Iterator[Row]:
    from metastore.display import duration, minute

    yield [
        str(run.id),
        run.name,
        run.pipeline or "",
        run.state.name,
        minute(run.record.started_ms),
        duration(run.record.started_ms, run.record.finished_ms),
    ]
    if run.is_abandoned:
        yield f"its process {run.process} is gone; 'metastore run cancel {run.id}' ends it"


def _runs(store: Store, pipeline: str | None, where: str | None, limit: int | None) -> Listing[Run]:
    if pipeline is None:
        return store.runs(where=where, newest_first=True, limit=limit)
    with hinted("'metastore pipeline list' lists them"):
        found = _by_id_or_name(store.pipeline, pipeline, "pipeline") or store.pipeline(pipeline)
    runs = found.runs if where is None else found.runs.where(where)
    return runs.newest_first(limit)


def _find(store: Store, which: str, *, is_name: bool) -> Run:
    with hinted("'metastore run list' lists them"):
        found = None if is_name else _by_id_or_name(store.find_run, which, "run")
    if found:
        return found
    hint = "'metastore run list' lists them"
    with suppress(MetastoreError):
        store.pipeline(which)
        hint = f"a pipeline is called so: 'metastore run list --pipeline {which}' lists its runs"
    with hinted(hint):
        return store.find_run(which)


def _by_id_or_name(find: Callable[[int | str], T], which: str, what: str) -> T | None:
    """What a number stands for: an id, or else a name; None for what is no number, or unknown."""
    from metastore.cli._output import remark
    from metastore.errors import NotFoundError

    # Runs may be called 2024; what is longer than an id is no id.
    if not (which.isascii() and which.isdigit() and len(which) < 19 and int(which)):
        return None
    found: list[T] = []
    for each in (int(which), which):
        with suppress(NotFoundError):
            found.append(find(each))
    if len(found) == 2 and found[0] != found[1]:
        remark(f"another {what} is called {which!r}" + ("; --name shows it" * (what == "run")))
    return found[0] if found else None


def _show(run: Run) -> None:
    from metastore.cli._output import Column, fields, heading, line, state_style, table
    from metastore.display import brief, duration, iso, pairs, value_text

    record = run.record
    line(f"run {run.name} (id {run.id})", style="bold")
    fields(
        [
            ("pipeline", run.pipeline or "unknown"),
            ("state", run.state.name),
            ("error", brief(run.error) if run.error else None),
            ("convention", run.convention),
            ("started", iso(record.started_ms) or "unknown"),
            ("duration", duration(record.started_ms, record.finished_ms) or "unknown"),
            ("process", _process(run)),
            ("parameters", pairs(run.parameters)),
        ]
    )
    if not run.steps:
        line("It has no steps.")
        return
    heading("Steps")
    table(
        [
            Column("STEP", shrinks=18),
            Column("STATE", style=state_style),
            Column("DURATION"),
            Column("INPUTS", shrinks=8),
            Column("OUTPUTS", shrinks=8),
        ],
        (row for depth, step in run.steps.nested() for row in _step_rows(step, depth)),
    )
    _picture(run)
    for title, values in (
        ("Metrics", [(step.name, step.metrics) for step in run.steps]),
        ("Parameters of steps", [(step.name, step.parameters) for step in run.steps]),
    ):
        rows = [
            [name, key, value_text(value)] for name, found in values for key, value in found.items()
        ]
        if rows:
            heading(title)
            table(
                [
                    Column("STEP", shrinks=20),
                    Column("NAME", shrinks=20),
                    Column("VALUE", shrinks=8),
                ],
                rows,
            )


def _process(run: Run) -> str | None:
    if run.process is None:
        return None
    text = f"{run.process} on {run.host}" if run.host else str(run.process)
    return f"{text}, which is gone" if run.is_abandoned else text


def _picture(run: Run) -> None:
    """How the steps hang together, where they do."""
    from metastore.cli._output import heading, lines, remark, terminal_width

    outermost = [step for depth, step in run.steps.nested() if not depth]
    if len(outermost) < 2:
        return
    drawn = run.graph.boxes(terminal_width())
    if drawn is None:
        remark(
            "the graph of the steps is too large for a picture here; "
            f"'metastore run show {run.id} --format html' draws it for a browser"
        )
    elif any("▼" in each or "▲" in each for each in drawn):
        heading("Graph")
        lines(drawn)


def _step_rows(step: Step, depth: int) -> Iterator[Row]:
    from metastore.display import brief, duration

    yield [
        "  " * depth + step.short_name,
        step.state.name,
        duration(step.record.started_ms, step.record.finished_ms),
        step.inputs.texts(),
        step.outputs.texts(),
    ]
    stored = step.record.execution.state
    # Where the execution says nothing, nothing is contradicted.
    if step.reason and stored:
        other = "" if stored is step.state else f"its execution says {stored.name}; "
        yield f"{'  ' * depth}{other}{step.reason}"
    if step.error:
        yield f"{'  ' * depth}error: {brief(step.error)}"
