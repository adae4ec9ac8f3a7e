"""Phase one: which flavors are installed.  Reads metadata, imports nothing of them."""

from __future__ import annotations

from typing import Any, NamedTuple

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
        for each in _read(distribution):
            found.setdefault((each.name, each.distribution), each)
    return sorted(found.values())


def _read(distribution: Any) -> list[FoundFlavor]:
    # Metadata are files that anybody may have written, or half removed: what cannot be read of one
    # distribution must not hide the others.
    try:
        entry_points = distribution.entry_points.select(group=ENTRY_POINT_GROUP)
    except Exception:  # noqa: BLE001 - see above
        return []
    if not entry_points:
        return []
    location = str(distribution.locate_file(""))
    try:
        name, version = distribution.metadata["Name"], distribution.version
    except Exception:  # noqa: BLE001 - see above
        name, version = None, None
    return [
        FoundFlavor(each.name, name or "unknown", version or "unknown", each.value, location)
        for each in entry_points
    ]
