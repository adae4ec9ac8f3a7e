"""The plugin module of the `memory` flavor, which comes with core."""

from __future__ import annotations

from metastore.capabilities import Capabilities
from metastore.plugins._flavor import Flavor
from metastore.plugins._hooks import hookimpl

__all__ = ["metastore_flavor"]


@hookimpl
def metastore_flavor() -> Flavor:
    """Describe the flavor."""
    return Flavor(
        name="memory",
        summary="In this process, gone when it ends: for tests and trying out",
        config="metastore.plugins._memory_config:MemoryConfig",
        store="metastore.memory:MemoryMetadataStore",
        capabilities=Capabilities(snapshot=True, delete=True),
    )
