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
@click.option("--json", "as_json", is_flag=True, help="Print JSON, an array of problems.")
@debug_option(hidden=True)
def verify(which: str | None, as_json: bool) -> None:
    """Look for what is wrong in a store; exit code 1 where there is something.

    Events and links that point at nothing, properties of nothing, nodes whose type is gone,
    repeated types, impossible states and times, cycles. A store with such rows can be read all the
    same, and nothing is changed.

    JSON fields: kind (always the same for one sort of problem), what (for people), number (how
    many rows have it), examples (the first of them).
    """
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


def _show(found: Sequence[Problem]) -> None:
    from metastore.cli._output import Column, table

    rows = ([str(each.number), each.what, "; ".join(each.examples)] for each in found)
    table([Column("NUMBER"), Column("WHAT"), Column("SUCH AS", shrinks=20)], rows)
