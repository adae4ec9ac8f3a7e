"""The store."""

from metastore.sql import EngineMetadataStore


class WarehouseMetadataStore(EngineMetadataStore):
    """A store in a database on a PostgreSQL server."""

    FLAVOR = "warehouse"
