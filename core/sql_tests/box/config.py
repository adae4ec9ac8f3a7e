"""The settings of a box store."""

from metastore.sql import FileConfig


class BoxConfig(FileConfig):
    """Where the file is."""

    DRIVER = "sqlite"
