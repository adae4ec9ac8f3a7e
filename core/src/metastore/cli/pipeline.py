"""``metastore pipeline``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from metastore.cli._lazy import SuggestingGroup
from metastore.cli._options import Page, limit_option, opened, reading

if TYPE_CHECKING:
    from metastore.store import Store

__all__ = ["pipeline", "show_pipelines"]


@click.group(cls=SuggestingGroup)
def pipeline() -> None:
    """Pipelines: what there are runs of."""


@pipeline.command("list")
@limit_option
@reading
def list_(store: str | None, limit: int | None, as_json: bool) -> None:
    """List pipelines, the oldest first.

    JSON fields: id, type, name, runs (how many), external_id, create_time, update_time,
    properties, custom_properties.
    """
    with opened(store) as found:
        show_pipelines(found, limit=limit, as_json=as_json)


def show_pipelines(store: Store, *, limit: int | None = None, as_json: bool = False) -> None:
    """The list."""
    from metastore import json_fields as _fields
    from metastore.cli import _json
    from metastore.cli._output import Column, remark, table
    from metastore.display import minute
    from metastore.views import Pipeline

    page = Page[Pipeline](limit, whole=as_json)
    every = store.pipelines()
    if as_json:
        _json.write_list(map(_fields.pipeline, page.of(every)))
    else:
        count = table(
            [Column("ID"), Column("NAME", shrinks=8), Column("RUNS"), Column("CREATED (UTC)")],
            (
                [
                    str(each.id),
                    each.name,
                    str(len(each.runs)),
                    minute(each.context.node.create_time_ms),
                ]
                for each in page.of(every)
            ),
        )
        if not count:
            remark(f"no pipelines in {store.location}")
    if text := page.remark(lambda: len(every), "pipelines, the oldest"):
        remark(text)
