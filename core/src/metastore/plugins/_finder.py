"""Phase one: which flavors are installed.  Reads metadata, imports nothing of them.

Where the path holds nothing but folders, their metadata are read here, in a hundredth of the time
that importlib-metadata takes to be imported and to look at every distribution; a test compares the
two.  Archives and finders of others are left to importlib-metadata.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

__all__ = ["ENTRY_POINT_GROUP", "FoundFlavor", "find_flavors", "normalized"]

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
    """The folder that the distribution is installed in; where it is editable, its project."""
    editable: bool = False
    """Whether its sources are used where they lie (``pip install -e``)."""


def find_flavors() -> list[FoundFlavor]:
    """Every installed flavor, in the order of name and distribution.

    A distribution that stands on the path twice counts once: the first one is what Python imports.
    """
    if all(map(_is_plain, sys.path)) and not any(map(_finds_distributions, sys.meta_path)):
        return sorted(_in_folders(sys.path))
    return sorted(_as_importlib_metadata_finds())


def normalized(distribution: str) -> str:
    """A distribution's name, as installers compare names (PEP 503)."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


# In folders.


def _is_plain(folder: object) -> bool:
    return isinstance(folder, str) and not os.path.isfile(folder) and not folder.endswith(".egg")


def _finds_distributions(finder: Any) -> bool:
    """Whether it is a finder of somebody else's that knows distributions."""
    known = finder.__module__ if isinstance(finder, type) else type(finder).__module__
    ours = ("_frozen_importlib_external", "importlib_metadata", "importlib.metadata")
    return hasattr(finder, "find_distributions") and known not in ours


def _in_folders(path: list[str]) -> Iterator[FoundFlavor]:
    seen: set[str] = set()
    for folder in path:
        try:
            names = os.listdir(folder or ".")
        except OSError:
            continue
        for name in names:
            stem, suffix = os.path.splitext(name)
            if suffix not in (".dist-info", ".egg-info"):
                continue
            key = normalized(stem.partition("-")[0])
            if key not in seen:
                seen.add(key)
                yield from _in_metadata(os.path.join(folder or ".", name), folder)


def _in_metadata(info: str, folder: str) -> Iterator[FoundFlavor]:
    text = _text(info, "entry_points.txt")
    # Most distributions have no flavors: no more of them is read.
    if f"[{ENTRY_POINT_GROUP}]" not in text:
        return
    values = _section(text, ENTRY_POINT_GROUP)
    headers = _text(info, "METADATA") or _text(info, "PKG-INFO")
    yield from _flavors(
        values,
        _header(headers, "Name"),
        _header(headers, "Version"),
        os.path.abspath(folder or "."),
        _text(info, "direct_url.json"),
    )


def _text(info: str, name: str) -> str:
    # Metadata are files that anybody may have written, or half removed: what cannot be read of one
    # distribution must not hide the others.
    try:
        with open(os.path.join(info, name), encoding="utf-8") as file:
            return file.read()
    except (OSError, ValueError):
        return ""


def _section(text: str, wanted: str) -> list[tuple[str, str]]:
    """The pairs of a section (packaging.python.org, "Entry points specification")."""
    pairs: list[tuple[str, str]] = []
    section = ""
    for line in map(str.strip, text.splitlines()):
        if line.startswith("[") and line.endswith("]"):
            section = line[1:-1]
        elif section == wanted and line and not line.startswith("#"):
            name, _, value = line.partition("=")
            pairs.append((name.strip(), value.strip()))
    return pairs


def _header(text: str, name: str) -> str:
    found = re.search(rf"^{name}:[ \t]*(.+?)[ \t\r]*$", text.partition("\n\n")[0], re.MULTILINE)
    return found[1] if found else "unknown"


def _flavors(
    values: list[tuple[str, str]], distribution: str, version: str, folder: str, direct_url: str
) -> Iterator[FoundFlavor]:
    project = _project(direct_url)
    for name, value in values:
        yield FoundFlavor(
            name, distribution, version, value, project or folder, project is not None
        )


def _project(direct_url: str) -> str | None:
    """The folder of an editable install (PEP 610); None for any other."""
    try:
        found = json.loads(direct_url)
        if not found["dir_info"]["editable"]:
            return None
        from urllib.parse import unquote, urlsplit

        path = unquote(urlsplit(found["url"]).path)
        # file:///C:/project
        return path[1:].replace("/", os.sep) if os.name == "nt" else path
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None


# Otherwise.


def _as_importlib_metadata_finds() -> Iterator[FoundFlavor]:
    import importlib_metadata

    seen: set[str] = set()
    for distribution in importlib_metadata.distributions():
        try:
            name, version = distribution.metadata["Name"], distribution.version
            entry_points = distribution.entry_points.select(group=ENTRY_POINT_GROUP)
            direct_url = distribution.read_text("direct_url.json")
            location = os.path.abspath(str(distribution.locate_file("")))
            if not isinstance(name, str):
                continue
        except Exception:  # noqa: BLE001 - what is damaged must not hide the others
            continue
        if normalized(name) in seen:
            continue
        seen.add(normalized(name))
        values = [(each.name, each.value) for each in entry_points]
        yield from _flavors(values, name, version, location, direct_url or "")
