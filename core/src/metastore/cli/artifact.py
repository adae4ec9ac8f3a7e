"""``metastore artifact``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from metastore.cli._errors import hinted
from metastore.cli._lazy import SuggestingGroup
from metastore.cli._nodes import Wanted, listing_options, show_list, show_properties
from metastore.cli._options import opened, reading

if TYPE_CHECKING:
    from metastore.views import ArtifactView

__all__ = ["artifact"]


@click.group(cls=SuggestingGroup)
def artifact() -> None:
    """What steps read and wrote: datasets, models, metrics."""


@artifact.command("list")
@listing_options
def list_(wanted: Wanted) -> None:
    """List artifacts, the newest first.

    JSON fields: id, type, name, state, uri, external_id, create_time, update_time, properties,
    custom_properties. Times are ISO 8601 in UTC, or null. An infinite double is "Infinity" or
    "-Infinity", a struct is an object, a proto is an object with type_url and value (base64).
    """
    from metastore.cli._output import Column, state_style
    from metastore.display import minute
    from metastore.model import NodeKind

    where = wanted.condition(NodeKind.ARTIFACT)
    show_list(
        wanted,
        NodeKind.ARTIFACT,
        lambda store, limit: store.artifacts(
            type=wanted.type, where=where, order_by=wanted.order, limit=limit
        ),
        [
            Column("ID"),
            Column("TYPE"),
            Column("NAME", shrinks=16),
            Column("STATE", style=state_style),
            Column("CREATED (UTC)"),
            Column("URI", shrinks=8),
        ],
        lambda each: [
            str(each.id),
            each.type,
            each.name or "",
            each.state.name if each.state is not None else "",
            minute(each.node.create_time_ms),
            each.uri,
        ],
    )


@artifact.command("show")
@click.argument("id", type=int)
@reading
def show(store: str | None, id: int, as_json: bool) -> None:
    """Show all of an artifact, and which steps wrote and read it.

    JSON fields: those of 'metastore artifact list', property_kinds and custom_property_kinds (by
    key INT, DOUBLE, STRING, STRUCT, PROTO or BOOLEAN), produced_by and consumed_by: lists with id
    (of the execution), type, name, step, run_id, run.
    """
    from metastore import json_fields as _fields
    from metastore.cli import _json
    from metastore.views import whereabouts

    with opened(store) as found, hinted("'metastore artifact list' lists them"):
        artifact = found.artifact(id)
        producers = whereabouts(found.backend, artifact.id, outputs=True)
        consumers = whereabouts(found.backend, artifact.id, outputs=False)
        if as_json:
            _json.write_object(
                {
                    **_fields.node(artifact.node),
                    "property_kinds": _fields.kinds(artifact.properties),
                    "custom_property_kinds": _fields.kinds(artifact.custom_properties),
                    "produced_by": [each.as_json() for each in producers],
                    "consumed_by": [each.as_json() for each in consumers],
                }
            )
        else:
            _show(artifact, [str(each) for each in producers], [str(each) for each in consumers])


def _show(artifact: ArtifactView, producers: Sequence[str], consumers: Sequence[str]) -> None:
    from metastore.cli._output import fields, line
    from metastore.display import iso

    line(f"artifact {artifact.id}", style="bold")
    fields(
        [
            ("type", artifact.type or "unknown"),
            ("name", artifact.name),
            ("uri", artifact.uri),
            ("state", None if artifact.state is None else artifact.state.name),
            ("external id", artifact.external_id),
            ("created", iso(artifact.node.create_time_ms) or "unknown"),
            ("updated", iso(artifact.node.update_time_ms) or "unknown"),
            ("produced by", producers or "nothing that is recorded"),
            ("consumed by", consumers or "nothing that is recorded"),
        ]
    )
    show_properties(artifact.properties, artifact.custom_properties)
