"""The settings of a warehouse store."""

from metastore.sql import ServerConfig


class WarehouseConfig(ServerConfig):
    """Where the database is."""

    DRIVER = "postgresql+psycopg"
