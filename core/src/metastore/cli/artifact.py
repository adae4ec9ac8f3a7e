"""``metastore artifact``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from metastore.cli._errors import hinted
from metastore.cli._lazy import SuggestingGroup
from metastore.cli._options import Page, limit_option, opened, reading

if TYPE_CHECKING:
    from metastore.store import Store
    from metastore.views import ArtifactView

__all__ = ["artifact"]


@click.group(cls=SuggestingGroup)
def artifact() -> None:
    """What steps read and wrote: datasets, models, metrics."""


@artifact.command("list")
@click.option("--type", "type_", metavar="NAME", help="Only artifacts of this type.")
@limit_option
@reading
def list_(store: str | None, type_: str | None, limit: int | None, as_json: bool) -> None:
    """List artifacts, the newest first.

    JSON fields: id, type, name, state, uri, external_id, create_time, update_time, properties,
    custom_properties. Times are ISO 8601 in UTC, or null. An infinite double is "Infinity" or
    "-Infinity", a struct is an object, a proto is an object with type_url and value (base64).
    """
    from metastore.cli import _fields, _json
    from metastore.cli._format import minute
    from metastore.cli._output import Column, remark, state_style, table
    from metastore.views import ArtifactView

    page = Page[ArtifactView](limit, whole=as_json)
    with opened(store) as found:
        listing = found.artifacts(type=type_, order_by="-id", limit=page.asked)
        if as_json:
            _json.write_list(_fields.node(each.node) for each in page.of(listing))
        else:
            count = table(
                [
                    Column("ID"),
                    Column("TYPE"),
                    Column("NAME", shrinks=16),
                    Column("STATE", style=state_style),
                    Column("CREATED (UTC)"),
                    Column("URI", shrinks=8),
                ],
                (
                    [
                        str(each.id),
                        each.type,
                        each.name or "",
                        each.state.name if each.state is not None else "",
                        minute(each.node.create_time_ms),
                        each.uri,
                    ]
                    for each in page.of(listing)
                ),
            )
            if not count:
                remark(_none(found, type_))
        if text := page.remark(lambda: len(found.artifacts(type=type_)), "artifacts, the newest"):
            remark(text)


def _none(store: Store, type_: str | None) -> str:
    from metastore.model import NodeKind

    if type_ is None:
        return f"no artifacts in {store.location}"
    names = [each.name for each in store.types(NodeKind.ARTIFACT)]
    known = "" if type_ in names else f"; types of artifacts: {', '.join(dict.fromkeys(names))}"
    return f"no artifacts of type {type_!r} in {store.location}{known}"


@artifact.command("show")
@click.argument("id", type=int)
@reading
def show(store: str | None, id: int, as_json: bool) -> None:
    """Show all of an artifact, and which steps wrote and read it.

    JSON fields: those of 'metastore artifact list', property_kinds and custom_property_kinds (by
    key INT, DOUBLE, STRING, STRUCT, PROTO or BOOLEAN), produced_by and consumed_by: lists with id
    (of the execution), type, name, step, run_id, run.
    """
    from metastore.cli import _fields, _json
    from metastore.cli._steps import whereabouts

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
    from metastore.cli._format import iso
    from metastore.cli._output import fields, line

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
    _properties("Properties", artifact.properties)
    _properties("Custom properties", artifact.custom_properties)


def _properties(title: str, values: Mapping[str, Any]) -> None:
    from metastore.cli._format import value_text
    from metastore.cli._output import Column, heading, table
    from metastore.values import kind_of

    if values:
        heading(title)
        table(
            [Column("NAME", shrinks=24), Column("KIND"), Column("VALUE", shrinks=8)],
            ([key, kind_of(value).name, value_text(value)] for key, value in values.items()),
        )
