"""``metastore verify``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from metastore.cli._options import debug_option, opened, without_password

if TYPE_CHECKING:
    from collections.abc import Sequence

    from metastore.problems import Problem

__all__ = ["verify"]


@click.command()
@click.argument("which", required=False, metavar="[NAME|URL]", callback=without_password)
@click.argument("other", required=False, metavar="[NAME|URL]", callback=without_password)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@debug_option(hidden=True)
def verify(which: str | None, other: str | None, as_json: bool) -> None:
    """Look for what is wrong in a store; exit code 1 where there is something.

    With two stores: whether the second holds what the first does, ids aside, which differ in a
    copy.

    Events and links that point at nothing, properties of nothing, nodes whose type is gone,
    repeated types, impossible states and times, cycles. A store with such rows can be read all the
    same, and nothing is changed.

    JSON: an array of problems with kind (always the same for one sort of problem), what (for
    people), number (how many rows have it), examples (the first of them). With two stores: an
    object with differences (how many) and first (sentences).
    """
    if other is not None:
        _compare(which, other, as_json=as_json)
        return
    from metastore.cli import _json
    from metastore.cli._output import remark

    with opened(which) as store:
        found = list(store.backend.problems())
        location = store.location
    if as_json:
        _json.write_list(each._asdict() for each in found)
    elif found:
        _show(found)
    else:
        remark(f"nothing is wrong in {location}")
    if found:
        raise click.exceptions.Exit(1)


def _compare(which: str | None, other: str, *, as_json: bool) -> None:
    from metastore import transfer
    from metastore.cli import _json
    from metastore.cli._output import line, lines
    from metastore.cli._progress import shown_progress

    with opened(which) as one, opened(other) as two, shown_progress() as progress:
        found = transfer.compare(one.backend, two.backend, progress=progress)
    if as_json:
        _json.write_object({"differences": found.count, "first": found.first})
    elif found:
        line(f"{found.count} differences" if found.count != 1 else "1 difference")
        lines(f"  {each}" for each in found.first)
    else:
        line("both hold the same")
    if found:
        raise click.exceptions.Exit(1)


def _show(found: Sequence[Problem]) -> None:
    from metastore.cli._output import Column, table

    rows = ([str(each.number), each.what, "; ".join(each.examples)] for each in found)
    table([Column("NUMBER"), Column("WHAT"), Column("SUCH AS", shrinks=20)], rows)
