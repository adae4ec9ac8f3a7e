"""The hooks that a plugin module implements, as pluggy specifications; see docs/plugins.md."""

from __future__ import annotations

from collections.abc import Sequence

import pluggy

from metastore.plugins._flavor import Command, Flavor

__all__ = ["HookSpecs", "hookimpl", "plugin_manager"]

PROJECT = "metastore"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)
"""Marks a function of a plugin module as one of the hooks of `HookSpecs`."""


class HookSpecs:
    """A plugin module defines functions of these names, marked with `hookimpl`."""

    @hookspec
    def metastore_flavor(self) -> Flavor:
        """Describe the flavor of the entry point; every plugin module implements this one.

        Called once, when the flavor is first needed.
        """
        raise NotImplementedError

    @hookspec
    def metastore_commands(self) -> Sequence[Command]:
        """Commands to add to ``metastore``.

        Called for ``metastore --help`` and for a first word that core does not know.  Nothing of
        the commands may be imported for it: a `Command` says where each of them is.
        """
        raise NotImplementedError

    @hookspec(firstresult=True)
    def metastore_resolve_secret(self, scheme: str, reference: str) -> str | None:
        """The secret that ``scheme:reference`` stands for.

        Called when a store is opened whose configuration has such a reference, of plugins whose
        `Flavor.secret_schemes` has the scheme; core's own (``env``, ``file`` and ``keyring``) are
        never asked for.  The text of a `MetastoreError` that is raised is shown, and must not hold
        the secret; of anything else only the class is.
        """
        raise NotImplementedError


def plugin_manager() -> pluggy.PluginManager:
    """A manager that knows our hooks and no plugin yet."""
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(HookSpecs)
    return manager
