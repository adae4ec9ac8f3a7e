"""Repositories with a core and a flavor that could be released, but for what a test changes."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

__all__ = ["make"]

MANIFEST = """
    [build-system]
    requires = ["setuptools>=77"]
    build-backend = "setuptools.build_meta"

    [project]
    name = "{distribution}"
    version = "{version}"
    description = "A test"
    readme = "README.md"
    requires-python = ">=3.10"
    {more}

    [tool.setuptools.packages.find]
    where = ["src"]
"""
CHANGELOG = """\
# Changelog

## [Unreleased]

## [{version}] - 2026-11-30

### Added

- Something.
"""
CORE_MORE = """
    [project.scripts]
    metastore = "metastore:main"
"""
FLAVOR_MORE = """
    dependencies = ["{dependency}"]

    [project.entry-points."metastore.flavors"]
    sqlite = "metastore_flavor_sqlite.plugin"
"""
PLUGIN = "    return Flavor(name='sqlite', interface_version=1)\n"

CORE_MODULE = """
import json, sys
from importlib.metadata import entry_points

def main():
    if "list" in sys.argv:
        names = {"memory"} | {each.name for each in entry_points(group="metastore.flavors")}
        print(json.dumps([{"name": name, "state": "ok"} for name in names]))
    else:
        print("ok")
"""
"""A command that says what the real one says when all is well."""


def make(
    root: Path,
    *,
    version: str = "0.1.3",
    dependency: str = "metastore-core>=0.1,<0.2",
    plugin: str = PLUGIN,
) -> Path:
    """A repository whose core has a version, and whose sqlite flavor may be released as 0.1.0."""
    write(root / "core/src/metastore/__init__.py", CORE_MODULE)
    write(root / "core/src/metastore/plugins/_flavor.py", '"""It."""\n\nINTERFACE_VERSION = 1\n')
    distribution(root / "core", "metastore-core", version, CORE_MORE)
    package = root / "plugins/sqlite/src/metastore_flavor_sqlite"
    write(package / "__init__.py", "")
    write(package / "plugin.py", f"def metastore_flavor():\n{plugin}")
    more = FLAVOR_MORE.format(dependency=dependency)
    distribution(root / "plugins/sqlite", "metastore-flavor-sqlite", "0.1.0", more)
    return root


def distribution(folder: Path, name: str, version: str, more: str) -> None:
    """What every distribution has beside its package."""
    manifest = dedent(MANIFEST).format(distribution=name, version=version, more=dedent(more))
    write(folder / "pyproject.toml", manifest)
    write(folder / "CHANGELOG.md", CHANGELOG.format(version=version))
    write(folder / "README.md", f"# {name}\n")


def write(path: Path, text: str) -> None:
    """Write a file, in a folder that may not be there yet."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
