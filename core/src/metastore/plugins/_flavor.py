"""The descriptor that a flavor's plugin module returns."""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from metastore.capabilities import Capabilities
from metastore.errors import FlavorError, Offender

if TYPE_CHECKING:
    from metastore.base import BaseMetadataStore
    from metastore.plugins._config import FlavorConfig

__all__ = ["INTERFACE_VERSION", "Flavor"]

INTERFACE_VERSION = 1
"""The version of the contract between core and flavors that this core speaks."""


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
    """

    name: str
    summary: str
    config: str
    store: str
    capabilities: Capabilities = field(default_factory=Capabilities)
    interface_version: int = INTERFACE_VERSION

    def load_config_class(self) -> type[FlavorConfig]:
        """Import the config class."""
        from metastore.plugins._config import FlavorConfig

        return self._load(self.config, FlavorConfig)  # type: ignore[no-any-return]

    def load_store_class(self) -> type[BaseMetadataStore]:
        """Import the store class, and with it the driver."""
        from metastore.base import BaseMetadataStore

        found = self._load(self.store, BaseMetadataStore)
        if getattr(found, "FLAVOR", None) != self.name:
            raise self._broken(f"{self.store} has another FLAVOR than {self.name!r}")
        return found  # type: ignore[no-any-return]

    def _load(self, where: str, base: type[Any]) -> Any:
        module, _, name = where.partition(":")
        try:
            found = getattr(importlib.import_module(module), name)
        # A stranger's module may raise anything at all when it is imported.
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            raise self._broken(f"{where} cannot be imported ({type(error).__name__})") from error
        if not (isinstance(found, type) and issubclass(found, base)):
            raise self._broken(f"{where} is no {base.__name__}")
        return found

    def _broken(self, why: str) -> FlavorError:
        return FlavorError(
            f"the flavor {self.name!r} is broken: {why}",
            hint="upgrade or uninstall its distribution; 'metastore flavor list' names it",
            offender=Offender("flavor", name=self.name),
        )
