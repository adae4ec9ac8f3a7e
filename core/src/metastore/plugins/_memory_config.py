"""The settings of a store in memory; apart from its plugin module, which imports little."""

from __future__ import annotations

from metastore.errors import InvalidError, Offender
from metastore.plugins._config import FlavorConfig, StoreURL

__all__ = ["MemoryConfig"]


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
