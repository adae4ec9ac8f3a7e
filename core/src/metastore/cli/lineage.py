"""``metastore lineage``."""

from __future__ import annotations

import sys

import click

from metastore.cli._errors import hinted
from metastore.cli._options import opened, reading
from metastore.errors import CapabilityError

__all__ = ["lineage"]


@click.command()
@click.argument("artifact", type=int)
@click.option("--up", is_flag=True, help="What it was made from; the default.")
@click.option("--down", is_flag=True, help="What was made from it; both may be given.")
@click.option(
    "--siblings", is_flag=True, help="Both, and at every node: what was made beside it, too."
)
@click.option(
    "--max-hops",
    type=click.IntRange(min=1),
    metavar="N",
    help="How far: from an artifact to a step, or on to an artifact, is one hop.",
)
@click.option(
    "--stop-at", metavar="FILTER", help="Go no further than artifacts such as \"type = 'Model'\"."
)
@click.option(
    "--stop-at-execution", metavar="FILTER", help="Go no further than such steps and executions."
)
@click.option("--to", type=int, metavar="ID", help="Only how it is connected with this artifact.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["tree", "boxes", "mermaid", "dot", "html"]),
    default="tree",
    show_default=True,
    help="A tree, boxes, a page for a browser, Mermaid's language or Graphviz's.",
)
@reading
def lineage(
    store: str | None,
    artifact: int,
    up: bool,
    down: bool,
    siblings: bool,
    max_hops: int | None,
    stop_at: str | None,
    stop_at_execution: str | None,
    to: int | None,
    form: str,
    as_json: bool,
) -> None:
    """Show what an artifact was made from; ARTIFACT is its id.

    JSON fields: artifact (the id), upstream, downstream, siblings; artifacts: id, type, name, uri;
    executions: id, type, name, state, step (its name in its run), step_state (what its run makes
    of the state); events between them: artifact, execution, type, path (keys and indexes), time.
    """
    from metastore import json_fields as _fields
    from metastore.cli import _json
    from metastore.cli._output import lines, remark, terminal_width

    if form != "tree" and as_json:
        raise click.UsageError("--json and --format exclude one another.")
    with opened(store) as found, hinted("'metastore artifact list' lists them"):
        view = found.artifact(artifact)
        if to is not None:
            found.artifact(to)
        walked = view.lineage(
            upstream=up or siblings or not down,
            downstream=down or siblings,
            siblings=siblings,
            max_hops=max_hops,
            stop_at=stop_at,
            stop_at_execution=stop_at_execution,
        )
    if to is not None:
        left = [
            *(["walk --up too"] if not walked.upstream else []),
            *(["walk --down too"] if not walked.downstream else []),
            *(["leave out --max-hops"] if max_hops is not None else []),
            *(["leave out --stop-at"] if stop_at or stop_at_execution else []),
        ]
        if not siblings and walked.upstream and walked.downstream:
            left.append("see with --siblings whether they hang together at all")
        with hinted(", or ".join(left) or "nothing connects the two"):
            walked = walked.paths_to(to)
    if form != "tree":
        write = {"mermaid": walked.to_mermaid, "dot": walked.to_dot, "html": walked.to_html}
        if form in write:
            sys.stdout.write(write[form]())
            return
        boxes = walked.boxes(terminal_width())
        if boxes is None:
            raise CapabilityError(
                "the lineage is too large for boxes here", hint="narrow it, or take --format html"
            )
        lines(boxes)
        return
    if as_json:
        _json.write_object(_fields.lineage(walked))
        return
    lines(walked.tree())
    if not walked.events and to is None:
        remark(f"no step is recorded that {_ASKED[walked.upstream, walked.downstream]} it")


_ASKED = {
    (True, True): "made or used",
    (True, False): "made",
    (False, True): "used",
}
