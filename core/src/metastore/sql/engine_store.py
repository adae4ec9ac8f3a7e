"""`EngineMetadataStore`: a store on any SQLAlchemy URL."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, TypeVar

from metastore.base import BaseMetadataStore, Capabilities, Deleted, OpenMode
from metastore.batch import Batch, WrittenBatch
from metastore.errors import MetastoreError, Offender, OpenError
from metastore.model import NodeKind
from metastore.sql.database import Session
from metastore.sql.engine import EngineDatabase
from metastore.sql.engine_config import EngineConfig, FileConfig
from metastore.sql.engine_schema import prepare
from metastore.sql.store import SQLMetadataStore

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["EngineMetadataStore"]

_T = TypeVar("_T")


class EngineMetadataStore(SQLMetadataStore):
    """A store in a database that SQLAlchemy has a dialect for.

    A flavor derives from it, sets `FLAVOR`, and has a config class that says the driver.  Reads,
    and writes that surely did not happen, are tried again for `EngineConfig.busy_timeout` seconds
    when others, or a lost connection, keep them from happening.
    """

    CAPABILITIES: ClassVar[Capabilities] = Capabilities(snapshot=True)
    DATABASE: ClassVar[type[EngineDatabase]] = EngineDatabase
    """The class that describes the database."""

    _identity: Hashable = None

    @classmethod
    def open(cls, config: EngineConfig, *, mode: OpenMode = "rw", create: bool = True) -> Self:
        """Open the database; with ``mode="rw"`` and `create`, make the tables where there are none.

        Raises
        ------
        OpenError
            It cannot be reached, or what is there cannot be used.
        FlavorError
            The driver is not installed.
        """
        creating = mode == "rw" and create
        location = config.location(cls.FLAVOR)
        config = config.relative_to(Path.cwd())
        config.check(creating=creating)
        database = cls.DATABASE(config, location=location)
        database.reading = mode == "r"
        try:
            database.tried_again(lambda: cls.prepare(database, config, creating=creating))
        except BaseException as error:
            database.close()
            if isinstance(error, OpenError) or not isinstance(error, MetastoreError):
                raise
            raise OpenError(
                error.message, hint=error.hint, offender=Offender("store", name=location)
            ) from error
        database.opened()
        store = cls(database, location=location, mode=mode)
        store._identity = config.identity()
        return store

    @classmethod
    def prepare(cls, database: EngineDatabase, config: EngineConfig, *, creating: bool) -> None:
        """Make the tables where they may be made, check them, and learn what is to be known.

        Raises
        ------
        OpenError
            There is no store that we can use.
        """
        prepare(database, creating=creating, is_file=isinstance(config, FileConfig))

    def is_same(self, other: BaseMetadataStore) -> bool:
        """Whether both are open on one file, or on one database of a server by the same user."""
        if type(other) is not type(self):
            return False
        assert isinstance(other, EngineMetadataStore)
        return other is self or (self._identity is not None and self._identity == other._identity)

    def write(self, batch: Batch) -> WrittenBatch:
        """Write the batch whole, or raise and write nothing; see `BaseMetadataStore.write`.

        Raises
        ------
        InvalidError
            Also for a text that the database cannot hold: one with a NUL that is no value of a
            property, or a name, external id or key that is longer than it takes.
        """
        database = self._database
        assert isinstance(database, EngineDatabase)
        database.check_batch(batch, self.FLAVOR)
        write = super().write
        return database.tried_again(lambda: write(batch))

    def delete(self, nodes: Mapping[NodeKind, Collection[int]]) -> Deleted:
        """Delete nodes, in one transaction; tried again where it surely did not happen."""
        delete, database = super().delete, self._database
        assert isinstance(database, EngineDatabase)
        return database.tried_again(lambda: delete(nodes))

    def _read(self, question: Callable[[Session], _T]) -> _T:
        read = super()._read
        database = self._database
        assert isinstance(database, EngineDatabase)
        if self._pinned() is not None:
            # Not tried again: what follows in the snapshot would be of another state.
            with database.answering():
                return read(question)
        return database.tried_again(lambda: read(question))
