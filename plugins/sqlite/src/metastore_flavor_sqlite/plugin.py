"""The plugin module: what core reads before it needs the store.  Imports no driver."""

from __future__ import annotations

from metastore import Capabilities, Flavor, hookimpl


@hookimpl
def metastore_flavor() -> Flavor:
    """Describe the flavor."""
    return Flavor(
        name="sqlite",
        summary="A file on this machine; opens ML Metadata's SQLite stores unchanged",
        config="metastore_flavor_sqlite.config:SQLiteConfig",
        store="metastore_flavor_sqlite.store:SQLiteMetadataStore",
        capabilities=Capabilities(native_filter=True, snapshot=True, delete=True),
        interface_version=1,
    )
