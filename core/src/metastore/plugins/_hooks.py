"""The hooks that a plugin module implements, as pluggy specifications."""

from __future__ import annotations

import pluggy

from metastore.plugins._flavor import Flavor

__all__ = ["HookSpecs", "hookimpl", "plugin_manager"]

PROJECT = "metastore"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


class HookSpecs:
    """A plugin module defines functions of these names, marked with `hookimpl`."""

    @hookspec
    def metastore_flavor(self) -> Flavor:
        """Describe the flavor; called once, when the flavor is first needed."""
        raise NotImplementedError


def plugin_manager() -> pluggy.PluginManager:
    """A manager that knows our hooks and no plugin yet."""
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(HookSpecs)
    return manager
