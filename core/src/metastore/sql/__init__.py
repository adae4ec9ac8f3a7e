"""The toolkit for relational flavors: ML Metadata's schema and everything above it.

A flavor derives from `SQLMetadataStore` and describes its engine in a `Database`; reading,
writing, types and paging are done here.  Needs the extra ``metastore-core[sql]``.
"""

from metastore.sql.database import Database, Session
from metastore.sql.schema import SCHEMA_VERSION, Schema, SchemaOptions
from metastore.sql.store import SQLMetadataStore

__all__ = [
    "SCHEMA_VERSION",
    "Database",
    "SQLMetadataStore",
    "Schema",
    "SchemaOptions",
    "Session",
]
