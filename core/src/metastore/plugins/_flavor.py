"""The descriptor that a flavor's plugin module returns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from metastore.capabilities import Capabilities

__all__ = ["INTERFACE_VERSION", "Command", "Flavor"]

INTERFACE_VERSION = 1
"""The version of the contract between core and flavors that this core speaks."""


class Command(NamedTuple):
    """A command that a plugin adds to ``metastore``, imported when it is used."""

    name: str
    """Its word on the command line."""
    where: str
    """Where the `click.Command` is: ``"package.module:name"``."""
    summary: str
    """Its line in ``metastore --help``."""


@dataclass(frozen=True)
class Flavor:
    """What core must know of a flavor before anything heavy of it is imported.

    name:
        As the entry point and `BaseMetadataStore.FLAVOR` say it.
    summary:
        One line for ``metastore flavor list``.
    config, store:
        Where the `FlavorConfig` and the `BaseMetadataStore` are: ``"package.module:Class"``.
    capabilities:
        As `BaseMetadataStore.CAPABILITIES` says them.
    interface_version:
        The `INTERFACE_VERSION` that the flavor was written for.
    secret_schemes:
        Of which references ``scheme:...`` its hook `metastore_resolve_secret` knows the secrets.
    """

    name: str
    summary: str
    config: str
    store: str
    capabilities: Capabilities = field(default_factory=Capabilities)
    interface_version: int = INTERFACE_VERSION
    secret_schemes: tuple[str, ...] = ()
