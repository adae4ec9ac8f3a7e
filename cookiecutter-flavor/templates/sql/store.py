"""The store: ML Metadata's tables in a database."""

from metastore.sql import EngineMetadataStore


class {{cookiecutter.__class}}MetadataStore(EngineMetadataStore):
    """What the SQL toolkit does, in this database."""

    FLAVOR = "{{cookiecutter.name}}"
