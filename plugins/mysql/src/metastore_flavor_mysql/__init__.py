"""The `mysql` flavor of metastore: a shared store on MySQL, MariaDB and what speaks like them."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from metastore_flavor_mysql.config import MySQLConfig
    from metastore_flavor_mysql.store import MySQLMetadataStore

__all__ = ["MySQLConfig", "MySQLMetadataStore"]


def __getattr__(name: str) -> object:
    # Lazily: the plugin module is imported to list flavors, and must not load a driver.
    if name == "MySQLConfig":
        from metastore_flavor_mysql.config import MySQLConfig

        return MySQLConfig
    if name == "MySQLMetadataStore":
        from metastore_flavor_mysql.store import MySQLMetadataStore

        return MySQLMetadataStore
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
