"""The toolkit for flavors whose backend only keeps rows: a file, a key-value store, a service.

A flavor derives from `PlainMetadataStore` and says how rows get in and out; answering, changing
and undoing are done here, over `Tables`.  Rows as JSON: `record_of`, `row_of`.
"""

from metastore.plain.records import Record, record_of, row_of
from metastore.plain.store import PlainMetadataStore
from metastore.plain.tables import Row, StoredLink, Tables

__all__ = ["PlainMetadataStore", "Record", "Row", "StoredLink", "Tables", "record_of", "row_of"]
