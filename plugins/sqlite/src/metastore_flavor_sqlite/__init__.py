"""The `sqlite` flavor of metastore: a store in a file, which ML Metadata can open too."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from metastore_flavor_sqlite.config import SQLiteConfig
    from metastore_flavor_sqlite.store import SQLiteMetadataStore

__all__ = ["SQLiteConfig", "SQLiteMetadataStore"]


def __getattr__(name: str) -> object:
    # Lazily: the plugin module is imported to list flavors, and must not load SQLAlchemy.
    if name == "SQLiteConfig":
        from metastore_flavor_sqlite.config import SQLiteConfig

        return SQLiteConfig
    if name == "SQLiteMetadataStore":
        from metastore_flavor_sqlite.store import SQLiteMetadataStore

        return SQLiteMetadataStore
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
