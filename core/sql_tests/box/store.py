"""The store."""

from metastore.sql import EngineMetadataStore


class BoxMetadataStore(EngineMetadataStore):
    """A store in an SQLite file."""

    FLAVOR = "box"
