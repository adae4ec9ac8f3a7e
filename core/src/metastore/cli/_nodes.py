"""What the nouns of nodes share: how artifacts, executions and contexts are listed and shown."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click

from metastore.cli._options import Page, limit_option, opened, reading
from metastore.errors import FilterError

if TYPE_CHECKING:
    from metastore.cli._output import Column, Row
    from metastore.listing import Listing
    from metastore.model import NodeKind, Type
    from metastore.store import Store

__all__ = [
    "MOMENT",
    "Wanted",
    "combined",
    "did_you_mean",
    "listing_options",
    "show_list",
    "show_properties",
    "since_option",
    "where_option",
]

F = TypeVar("F", bound=Callable[..., Any])

_ORDERS = ("id", "create_time", "update_time")


class Wanted(NamedTuple):
    """What the options of a list ask for."""

    store: str | None
    type: str | None
    where: str | None
    since: datetime | None
    order: str
    limit: int | None
    as_json: bool

    def condition(self, kind: NodeKind) -> str | None:
        """`where` and `since` as one filter; raises `FilterError` for what is wrong in `where`."""
        return combined(kind, self.where, self.since)


def combined(kind: NodeKind, where: str | None, since: datetime | None) -> str | None:
    """A filter, and that nodes were created since then."""
    from metastore.query import Filter

    if where is not None:
        # By itself, so that an error shows what was typed.
        Filter.parse(kind, where)
    if since is None:
        return where
    began = f"create_time_since_epoch >= {int(since.timestamp() * 1000)}"
    if where is None:
        return began
    both = f"({where}) AND {began}"
    try:
        Filter.parse(kind, both)
    except FilterError as error:
        # The mark would be below what nobody has typed.
        raise FilterError(f"with --since, {error.message}", hint=error.hint) from error
    return both


where_option = click.option(
    "--where",
    metavar="FILTER",
    help='Only those for which the filter holds, such as "properties.accuracy > 0.9".',
)


class _Moment(click.ParamType[datetime]):
    """A date, a time, or how long ago."""

    name = "moment"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        """The moment; a time without zone is one of UTC."""
        if isinstance(value, datetime):
            return value
        text = str(value)
        ago = re.fullmatch(r"(\d{1,6})([mhdw])", text)
        if ago:
            unit = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}[ago[2]]
            try:
                return datetime.now(timezone.utc) - timedelta(**{unit: int(ago[1])})
            except OverflowError:
                self.fail(f"{text!r} is before all time.", param, ctx)
        try:
            # Python 3.10 does not read the Z.
            moment = datetime.fromisoformat(re.sub(r"[zZ]$", "+00:00", text))
        except ValueError:
            self.fail(
                f"{text!r} is no moment; write 2026-11-24, 2026-11-24T09:30 (UTC), or how long "
                "ago: 30m, 12h, 7d, 2w.",
                param,
                ctx,
            )
        return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)


MOMENT = _Moment()

since_option = click.option(
    "--since",
    type=MOMENT,
    metavar="MOMENT",
    help="Only those created since: 2026-11-24, 2026-11-24T09:30 (UTC), or 30m, 12h, 7d, 2w ago.",
)


def listing_options(f: F) -> F:
    """The options of a list of nodes; the function gets one `Wanted`."""

    def command(**options: Any) -> Any:
        wanted = Wanted(type=options.pop("type_"), **options)
        return f(wanted)

    command.__doc__ = f.__doc__
    command.__name__ = f.__name__
    for option in (
        reading,
        limit_option,
        click.option(
            "--order",
            type=click.Choice([sign + each for each in _ORDERS for sign in ("", "-")]),
            default="-id",
            show_default=True,
            help="By what; with a minus in front, the last first.",
        ),
        since_option,
        where_option,
        click.option("--type", "type_", metavar="NAME", help="Only those of this type."),
    ):
        command = option(command)
    return command  # type: ignore[return-value]  # click only needs to call it


def show_list(
    wanted: Wanted,
    kind: NodeKind,
    listing: Callable[[Store, int | None], Listing[Any]],
    columns: Sequence[Column],
    row: Callable[[Any], Row],
) -> None:
    """A list of nodes, as JSON or as a table."""
    from metastore import json_fields as _fields
    from metastore.cli import _json
    from metastore.cli._output import remark, table

    page = Page[Any](wanted.limit, whole=wanted.as_json)
    with opened(wanted.store) as found:
        if wanted.as_json:
            nodes = (_fields.node(each.node) for each in page.of(listing(found, page.asked)))
            _json.write_list(nodes)
        else:
            count = table(columns, (row(each) for each in page.of(listing(found, page.asked))))
            if not count:
                remark(_none(found, kind, wanted))
        place = {"-id": ", the newest", "id": ", the oldest"}.get(wanted.order, "")
        if text := page.remark(lambda: len(listing(found, None)), f"{kind.label}s{place}"):
            remark(text)


def _none(store: Store, kind: NodeKind, wanted: Wanted) -> str:
    which = " for which that holds" if wanted.where or wanted.since else ""
    if wanted.type is None:
        return f"no {kind.label}s{which} in {store.location}"
    names = [each.name for each in store.types(kind)]
    known = ""
    if wanted.type not in names:
        from metastore.model import SIMPLE_TYPES

        own = [each for each in dict.fromkeys(names) if each not in SIMPLE_TYPES[kind]]
        near = did_you_mean(wanted.type, store.types(kind))
        known = f"; {near or f'types of {kind.label}s: ' + (', '.join(own) or 'none')}"
    return f"no {kind.label}s of type {wanted.type!r}{which} in {store.location}{known}"


def did_you_mean(name: str, types: Sequence[Type]) -> str | None:
    """The name of a type that is much like it, as a question."""
    import difflib

    names = [each.name for each in types]
    # Whoever types "Model" may mean "system.Model".
    ends = [each for each in names if each.lower().endswith(f".{name.lower()}")]
    near = ends or difflib.get_close_matches(name, names, n=1)
    return f"did you mean {near[0]}?" if near else None


def show_properties(properties: Mapping[str, Any], custom: Mapping[str, Any]) -> None:
    """Both maps of properties, where there are any."""
    from metastore.cli._output import Column, heading, remark, table
    from metastore.display import is_cut, value_text
    from metastore.values import kind_of

    for title, values in (("Properties", properties), ("Custom properties", custom)):
        if values:
            heading(title)
            table(
                [Column("NAME", shrinks=24), Column("KIND"), Column("VALUE", shrinks=8)],
                ([key, kind_of(value).name, value_text(value)] for key, value in values.items()),
            )
    if any(is_cut(value_text(value)) for value in (*properties.values(), *custom.values())):
        remark("long values are cut; --json has all of them")
