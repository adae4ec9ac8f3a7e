"""Phase one: which flavors are installed.  Reads metadata, imports nothing of them."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["ENTRY_POINT_GROUP", "FoundFlavor", "find_flavors"]

ENTRY_POINT_GROUP = "metastore.flavors"


class FoundFlavor(NamedTuple):
    """An entry point of the group, and who declares it."""

    name: str
    """The flavor's name, and its URL scheme."""
    distribution: str
    version: str
    value: str
    """The plugin module, as the entry point says it."""
    location: str
    """The folder that the distribution is installed in."""


def find_flavors() -> list[FoundFlavor]:
    """Every installed flavor, in the order of name and distribution.

    A distribution that stands on the path twice counts once: the first one is what Python imports.
    """
    import importlib_metadata

    found: dict[tuple[str, str], FoundFlavor] = {}
    for distribution in importlib_metadata.distributions():
        entry_points = distribution.entry_points.select(group=ENTRY_POINT_GROUP)
        if not entry_points:
            continue
        # Metadata is read from files that anybody may have written: a missing name is no crash.
        name = distribution.metadata["Name"] or "unknown"
        for each in entry_points:
            found.setdefault(
                (each.name, name),
                FoundFlavor(
                    each.name,
                    name,
                    distribution.version or "unknown",
                    each.value,
                    str(distribution.locate_file("")),
                ),
            )
    return sorted(found.values())
