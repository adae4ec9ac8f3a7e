"""The plugin module: what core reads before it needs the store.  Imports no driver."""

from __future__ import annotations

from metastore import Capabilities, Flavor, hookimpl


@hookimpl
def metastore_flavor() -> Flavor:
    """Describe the flavor."""
    return Flavor(
        name="mysql",
        summary="A shared store on MySQL, MariaDB or Galera; opens ML Metadata's stores unchanged",
        config="metastore_flavor_mysql.config:MySQLConfig",
        store="metastore_flavor_mysql.store:MySQLMetadataStore",
        capabilities=Capabilities(native_filter=True, snapshot=True, delete=True),
        interface_version=1,
    )
