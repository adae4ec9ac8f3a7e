"""Commands that plugins add."""

from __future__ import annotations

from metastore.cli._lazy import Noun
from metastore.cli._output import remark
from metastore.config._file import ConfigFile
from metastore.config._flavors import registry_of
from metastore.errors import MetastoreError
from metastore.plugins._commands import commands_of
from metastore.plugins._registry import FlavorRegistry

__all__ = ["commands_of_plugins"]


def commands_of_plugins() -> dict[str, Noun]:
    """The commands of all plugins that load, by name; a remark about those that do not."""
    try:
        registry = registry_of(ConfigFile.of_user())
    except MetastoreError:
        # A damaged config file is told about where it is needed.
        registry = FlavorRegistry.discover()
    commands, problems = commands_of(registry)
    for each in problems:
        remark(f"warning: {each}")
    return {each.name: Noun(each.where, each.summary) for each in commands}
