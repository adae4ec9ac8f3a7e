"""``metastore prune``."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import click

from metastore.cli._nodes import MOMENT
from metastore.cli._options import debug_option, opened, without_password

if TYPE_CHECKING:
    from metastore.base import Deleted
    from metastore.pruning import Pruning

__all__ = ["prune"]

_STATES = ["NEW", "RUNNING", "COMPLETE", "FAILED", "CACHED", "CANCELED", "UNKNOWN"]


@click.command()
@click.argument("which", metavar="NAME|URL", callback=without_password)
@click.option(
    "--before",
    type=MOMENT,
    metavar="MOMENT",
    help="Runs that ended before: 2026-11-24, 2026-11-24T09:30 (UTC), or 12h, 7d, 2w ago.",
)
@click.option("--pipeline", metavar="NAME", help="Runs of this pipeline.")
@click.option(
    "--state",
    "states",
    type=click.Choice(_STATES, case_sensitive=False),
    multiple=True,
    help="Runs in this state; may be given several times.  [default: all that have ended]",
)
@click.option(
    "--break-lineage",
    is_flag=True,
    help="Delete also what runs that stay were made from.",
)
@click.option("--shrink", is_flag=True, help="Give the room back to the system; may take long.")
@click.option("--dry-run", is_flag=True, help="Count what would go, and delete nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON; does not ask either.")
@debug_option(hidden=True)
def prune(
    which: str,
    before: datetime | None,
    pipeline: str | None,
    states: tuple[str, ...],
    break_lineage: bool,
    shrink: bool,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Delete old runs, with all that is theirs alone.

    Says which by at least one of --before, --pipeline and --state. With a run go its executions,
    the artifacts that no other run wrote or read, and their events. A run stays whole where one
    that stays was made from what it wrote. Pipelines stay.

    JSON fields: dry_run, runs (how many go), kept (how many stay for the lineage of others),
    artifacts, executions, contexts, events (how many went; in a dry run, would go), shrunk.
    """
    from metastore import pruning
    from metastore.cli import _json
    from metastore.cli._progress import shown_progress
    from metastore.model import ExecutionState

    if before is None and pipeline is None and not states:
        raise click.UsageError(
            "All runs would go. Say which: --before 90d, --pipeline NAME, --state FAILED."
        )
    selection = pruning.Selection(
        None if before is None else int(before.timestamp() * 1000),
        pipeline,
        [ExecutionState[each.upper()] for each in states] or None,
    )
    with opened(which, mode="r" if dry_run else "rw") as store:
        _check_can_delete(store.backend.FLAVOR, can=store.backend.CAPABILITIES.delete)
        with shown_progress("runs") as progress:
            found = pruning.plan(
                store.backend, selection, break_lineage=break_lineage, progress=progress
            )
        if dry_run:
            done = found.count()
        else:
            if found.runs and not (yes or as_json):
                click.confirm(f"Delete {_runs(found)}, which cannot be undone?", abort=True)
            with shown_progress("runs") as progress:
                done = found.run(progress=progress)
        shrunk = shrink and not dry_run and store.backend.shrink()
    if as_json:
        counts = {name: getattr(done, name) for name in _COUNTS}
        _json.write_object(
            {
                "dry_run": dry_run,
                "runs": found.runs,
                "kept": found.kept,
                **counts,
                "shrunk": shrunk,
            }
        )
    else:
        _show(found, done, dry_run=dry_run, shrunk=shrunk if shrink and not dry_run else None)


_COUNTS = ("artifacts", "executions", "contexts", "events")


def _check_can_delete(flavor: str, *, can: bool) -> None:
    from metastore.errors import CapabilityError

    if not can:
        raise CapabilityError(
            f"stores of the flavor {flavor!r} cannot delete (capability 'delete')",
            hint="copy what is to stay into another store (metastore copy)",
        )


def _runs(found: Pruning) -> str:
    return f"{found.runs} run{'s' if found.runs != 1 else ''}"


def _show(found: Pruning, done: Deleted, *, dry_run: bool, shrunk: bool | None) -> None:
    from metastore.cli._output import line, remark

    counts = ", ".join(f"{getattr(done, name)} {name}" for name in _COUNTS)
    if not found.runs:
        line("no run is to go")
    elif dry_run:
        line(f"{_runs(found)} would go, with {counts}")
    else:
        line(f"deleted {_runs(found)}, with {counts}")
    if found.kept:
        remark(
            f"{found.kept} more stay, because runs that stay were made from what they wrote "
            "(--break-lineage deletes them, too)"
        )
    if shrunk is False:
        remark("this flavor gives no room back by itself")
