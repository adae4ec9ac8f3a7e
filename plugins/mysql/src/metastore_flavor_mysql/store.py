"""`MySQLMetadataStore`."""

from __future__ import annotations

from typing import ClassVar

from metastore import Capabilities
from metastore.base import Upgrade
from metastore.sql import EngineConfig, EngineDatabase, EngineMetadataStore
from metastore_flavor_mysql._database import MySQLDatabase
from metastore_flavor_mysql._schema import prepare
from metastore_flavor_mysql._upgrade import upgrade_database
from metastore_flavor_mysql.config import MySQLConfig

__all__ = ["MySQLMetadataStore"]


class MySQLMetadataStore(EngineMetadataStore):
    """A store in a database of MySQL, MariaDB, or a cluster of them, of ML Metadata's schema 10.

    Stores that it makes have ids and numbers of 64 bits and take any text; those that ML Metadata
    made open as they are, and keep their limits.  Writers take turns, on all nodes of a Galera
    cluster together.  A write that got no answer is looked for, and never written twice.
    """

    FLAVOR: ClassVar[str] = "mysql"
    CAPABILITIES: ClassVar[Capabilities] = Capabilities(
        native_filter=True, snapshot=True, delete=True
    )
    DATABASE: ClassVar[type[EngineDatabase]] = MySQLDatabase

    @classmethod
    def prepare(cls, database: EngineDatabase, config: EngineConfig, *, creating: bool) -> None:
        """Make the tables where they may be made, check them, and learn what they take."""
        assert isinstance(database, MySQLDatabase)
        assert isinstance(config, MySQLConfig)
        prepare(database, config, creating=creating)

    @classmethod
    def upgrade(cls, config: MySQLConfig) -> Upgrade | None:
        """Bring a store of schema 2 to 9 to schema 10, step by step; see `BaseMetadataStore`.

        There is no backup: make one before.  One that was interrupted goes on when it is called
        again.
        """
        database = MySQLDatabase(config, location=config.location(cls.FLAVOR))
        try:
            return database.tried_again(lambda: upgrade_database(database))
        finally:
            database.close()
