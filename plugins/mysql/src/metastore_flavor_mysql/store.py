"""`MySQLMetadataStore`."""

from __future__ import annotations

from typing import ClassVar

from metastore import Capabilities
from metastore.sql import EngineDatabase, EngineMetadataStore
from metastore_flavor_mysql._database import MySQLDatabase

__all__ = ["MySQLMetadataStore"]


class MySQLMetadataStore(EngineMetadataStore):
    """A store in a database of MySQL, MariaDB, or a cluster of them, of ML Metadata's schema 10.

    Stores that it makes have ids and numbers of 64 bits and take any text; those that ML Metadata
    made open as they are, and keep their limits.  Writers take turns, on all nodes of a Galera
    cluster together.  A write that got no answer is looked for, and never written twice.
    """

    FLAVOR: ClassVar[str] = "mysql"
    CAPABILITIES: ClassVar[Capabilities] = Capabilities(native_filter=True, snapshot=True)
    DATABASE: ClassVar[type[EngineDatabase]] = MySQLDatabase
