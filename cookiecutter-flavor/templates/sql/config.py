"""Where the database is."""

from metastore.sql import FileConfig


class {{cookiecutter.__class}}Config(FileConfig):
    """A database in a file."""

    DRIVER = "sqlite"
