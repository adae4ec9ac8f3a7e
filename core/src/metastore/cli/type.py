"""``metastore type``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from metastore.cli._lazy import SuggestingGroup
from metastore.cli._nodes import did_you_mean
from metastore.cli._options import Page, limit_option, opened, reading

if TYPE_CHECKING:
    from metastore.model import Type
    from metastore.store import Store

__all__ = ["type_"]

_KIND = click.option(
    "--kind",
    type=click.Choice(["artifact", "execution", "context"]),
    help="Only types of these nodes.",
)


@click.group("type", cls=SuggestingGroup)
def type_() -> None:
    """Types: which properties artifacts, executions and contexts have."""


@type_.command("list")
@_KIND
@limit_option
@reading
def list_(store: str | None, kind: str | None, limit: int | None, as_json: bool) -> None:
    """List types; those that every store has (mlmd.*) are left out, but of JSON.

    JSON fields: id, kind (artifact, execution or context), name, version, description, base_type,
    external_id, properties (by key INT, DOUBLE, STRING, STRUCT, PROTO or BOOLEAN).
    """
    from metastore import json_fields as _fields
    from metastore.cli import _json
    from metastore.cli._output import Column, remark, table
    from metastore.model import SIMPLE_TYPES

    with opened(store) as found:
        types = _types(found, kind)
        page = Page[Any](limit, whole=as_json)
        if as_json:
            _json.write_list(map(_fields.type_, page.of(types)))
            return
        shown = [each for each in types if each.name not in SIMPLE_TYPES[each.kind]]
        count = table(
            [
                Column("ID"),
                Column("KIND"),
                Column("NAME", shrinks=24),
                Column("VERSION"),
                Column("PROPERTIES", shrinks=8),
            ],
            (
                [
                    str(each.id),
                    each.kind.label,
                    each.name,
                    each.version or "",
                    ", ".join(each.properties),
                ]
                for each in page.of(shown)
            ),
        )
        if not count:
            remark(f"no types but those of every store in {found.location}")
        if text := page.remark(lambda: len(shown), "types"):
            remark(text)


@type_.command("show")
@click.argument("name")
@_KIND
@reading
def show(store: str | None, name: str, kind: str | None, as_json: bool) -> None:
    """Show the types of a name: one for each kind of nodes and version.

    JSON: a list; fields as of 'metastore type list', and nodes (how many are of the type).
    """
    from metastore import json_fields as _fields
    from metastore.cli import _json
    from metastore.cli._output import Column, fields, heading, line, table
    from metastore.errors import NotFoundError, Offender
    from metastore.query import NodeQuery

    with opened(store) as found:
        types = [each for each in _types(found, kind) if each.name == name]
        if not types:
            raise NotFoundError(
                f"there is no {f'{kind} ' if kind else ''}type {name!r} in {found.location}",
                hint=did_you_mean(name, _types(found, kind)) or "'metastore type list' lists them",
                offender=Offender("type", name=name),
            )
        counts = [found.backend.count(NodeQuery(each.kind, type=each.key)) for each in types]
        if as_json:
            _json.write_list(
                {**_fields.type_(each), "nodes": count}
                for each, count in zip(types, counts, strict=True)
            )
            return
        for each, count in zip(types, counts, strict=True):
            line(f"{each.kind.label} type {each.key} (id {each.id})", style="bold")
            fields(
                [
                    ("description", each.description),
                    ("base type", each.base_type),
                    ("external id", each.external_id),
                    (f"{each.kind.label}s", str(count)),
                ]
            )
            if each.properties:
                heading("Properties")
                rows = [[key, value.name] for key, value in each.properties.items()]
                table([Column("NAME", shrinks=24), Column("KIND")], rows)


def _types(store: Store, kind: str | None) -> Sequence[Type]:
    from metastore.model import NodeKind

    kinds = (NodeKind.ARTIFACT, NodeKind.EXECUTION, NodeKind.CONTEXT)
    return [each for one in kinds if kind in (None, one.label) for each in store.types(one)]
