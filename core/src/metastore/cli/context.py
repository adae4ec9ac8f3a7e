"""``metastore context``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from metastore.cli._errors import hinted
from metastore.cli._lazy import SuggestingGroup
from metastore.cli._nodes import Wanted, listing_options, show_list, show_properties
from metastore.cli._options import opened, reading

if TYPE_CHECKING:
    from metastore.listing import Listing
    from metastore.views import ContextView

__all__ = ["context"]

_SHOWN = 20
"""Relatives that are told one by one."""


@click.group(cls=SuggestingGroup)
def context() -> None:
    """What groups artifacts and executions: runs, pipelines, experiments."""


@context.command("list")
@listing_options
def list_(wanted: Wanted) -> None:
    """List contexts, the newest first.

    JSON fields: id, type, name, external_id, create_time, update_time, properties,
    custom_properties; as of 'metastore artifact list'.
    """
    from metastore.cli._output import Column
    from metastore.display import minute
    from metastore.model import NodeKind

    where = wanted.condition(NodeKind.CONTEXT)
    show_list(
        wanted,
        NodeKind.CONTEXT,
        lambda store, limit: store.contexts(
            type=wanted.type, where=where, order_by=wanted.order, limit=limit
        ),
        [
            Column("ID"),
            Column("TYPE", shrinks=16),
            Column("NAME", shrinks=24),
            Column("CREATED (UTC)"),
        ],
        lambda each: [
            str(each.id),
            each.type,
            each.name or "",
            minute(each.node.create_time_ms),
        ],
    )


@context.command("show")
@click.argument("id", type=int)
@reading
def show(store: str | None, id: int, as_json: bool) -> None:
    """Show all of a context, and how many artifacts and executions belong to it.

    JSON fields: those of 'metastore context list', property_kinds and custom_property_kinds,
    artifacts and executions (how many), parents and children (lists with id, type, name).
    """
    from metastore import json_fields as _fields
    from metastore.cli import _json

    with opened(store) as found, hinted("'metastore context list' lists them"):
        view = found.context(id)
        if as_json:
            _json.write_object(
                {
                    **_fields.node(view.node),
                    "property_kinds": _fields.kinds(view.properties),
                    "custom_property_kinds": _fields.kinds(view.custom_properties),
                    "artifacts": len(view.artifacts),
                    "executions": len(view.executions),
                    "parents": [_fields.short(each.node) for each in view.parents],
                    "children": [_fields.short(each.node) for each in view.children],
                }
            )
        else:
            _show(view)


def _show(view: ContextView) -> None:
    from metastore.cli._output import fields, line
    from metastore.display import iso

    line(f"context {view.id}", style="bold")
    fields(
        [
            ("type", view.type or "unknown"),
            ("name", view.name),
            ("external id", view.external_id),
            ("created", iso(view.node.create_time_ms) or "unknown"),
            ("updated", iso(view.node.update_time_ms) or "unknown"),
            ("artifacts", str(len(view.artifacts))),
            ("executions", str(len(view.executions))),
            ("parents", _relatives(view.parents)),
            ("children", _relatives(view.children)),
        ]
    )
    show_properties(view.properties, view.custom_properties)


def _relatives(contexts: Listing[ContextView]) -> list[str]:
    count = len(contexts)
    told = [f"{each.type or 'context'} {each.id} {each.name}" for each in contexts[:_SHOWN]]
    return told if count <= _SHOWN else [*told, f"... {count} in all"]
