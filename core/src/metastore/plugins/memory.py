"""The plugin module of the `memory` flavor, which comes with core."""

from __future__ import annotations

from metastore.capabilities import Capabilities
from metastore.errors import InvalidError, Offender
from metastore.plugins._config import FlavorConfig, StoreURL
from metastore.plugins._flavor import Flavor
from metastore.plugins._hooks import hookimpl

__all__ = ["MemoryConfig", "metastore_flavor"]


class MemoryConfig(FlavorConfig):
    """A store in memory has no settings."""

    @classmethod
    def from_url(cls, url: StoreURL) -> MemoryConfig:
        """``memory://``."""
        if url.authority or url.path not in ("", "/"):
            raise InvalidError(
                "a memory store has no path: it is gone when it is closed",
                hint="write memory://",
                offender=Offender("store"),
            )
        return cls.checked(url.scheme, url.options)


@hookimpl
def metastore_flavor() -> Flavor:
    """Describe the flavor."""
    return Flavor(
        name="memory",
        summary="In this process, gone when it ends: for tests and trying out",
        config="metastore.plugins.memory:MemoryConfig",
        store="metastore.memory:MemoryMetadataStore",
        capabilities=Capabilities(snapshot=True),
    )
