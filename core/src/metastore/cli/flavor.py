"""``metastore flavor``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from metastore.cli._lazy import SuggestingGroup
from metastore.cli._options import debug_option

if TYPE_CHECKING:
    from metastore.plugins._finder import FoundFlavor

__all__ = ["flavor"]


class FlavorState(NamedTuple):
    """An installed flavor, and whether it can be used as far as that is known unloaded."""

    found: FoundFlavor
    state: str
    reason: str | None = None
    """Why it is not ok, and what to do."""

    def as_json(self) -> dict[str, Any]:
        """The fields that ``flavor list --json`` names."""
        return {
            "name": self.found.name,
            "state": self.state,
            "reason": self.reason,
            "distribution": self.found.distribution,
            "version": self.found.version,
            "location": self.found.location,
            "entry_point": self.found.value,
        }


@click.group(cls=SuggestingGroup)
def flavor() -> None:
    """The installed flavors: kinds of stores."""


@flavor.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with all there is.")
@debug_option(hidden=True)
def list_(as_json: bool) -> None:
    """List the flavors that are installed; a flavor's name is the scheme of its stores' URLs.

    None is loaded for it: "ok" says that it was found, and that no other distribution claims its
    name.

    JSON fields: name, state (ok or conflict), reason (null when ok), distribution, version,
    location (the folder it is installed in), entry_point.
    """
    from metastore.cli import _json
    from metastore.cli._output import Column, Row, remark, state_style, table
    from metastore.plugins._finder import find_flavors

    states = states_of(find_flavors())
    if as_json:
        _json.write_list(each.as_json() for each in states)
        return
    rows: list[Row] = []
    for state in states:
        each = state.found
        rows.append([each.name, state.state, each.distribution, each.version, each.location])
        if state.reason:
            rows.append(state.reason)
    count = table(
        [
            Column("NAME"),
            Column("STATE", style=state_style),
            Column("DISTRIBUTION"),
            Column("VERSION"),
            Column("LOCATION", shrinks=8),
        ],
        rows,
    )
    if not count:
        remark("no flavors are installed, not even core's own: its metadata is missing")


def states_of(flavors: Sequence[FoundFlavor]) -> list[FlavorState]:
    """The state of each, in the same order."""
    return [
        _state(each, [other for other in flavors if other.name == each.name]) for each in flavors
    ]


def _state(flavor: FoundFlavor, claims: Sequence[FoundFlavor]) -> FlavorState:
    if len(claims) == 1:
        return FlavorState(flavor, "ok")
    others = " and ".join(each.distribution for each in claims if each is not flavor)
    reason = f"{others} claims this name too, so neither is used; pip uninstall one of them"
    return FlavorState(flavor, "conflict", reason)
