"""`EngineMetadataStore`: a store on any SQLAlchemy URL."""

from __future__ import annotations

import random
import time
from collections.abc import Hashable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from metastore.base import BaseMetadataStore, Capabilities, OpenMode
from metastore.batch import Batch, WrittenBatch
from metastore.errors import (
    BusyError,
    InvalidError,
    MetastoreError,
    Offender,
    OpenError,
)
from metastore.sql.engine import EngineDatabase
from metastore.sql.engine_config import EngineConfig, FileConfig
from metastore.sql.engine_errors import LostConnectionError
from metastore.sql.engine_schema import prepare
from metastore.sql.store import SQLMetadataStore

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["EngineMetadataStore"]


class EngineMetadataStore(SQLMetadataStore):
    """A store in a database that SQLAlchemy has a dialect for.

    A flavor derives from it, sets `FLAVOR`, and has a config class that says the driver.  Writes
    that others kept from happening are tried again for `EngineConfig.busy_timeout` seconds.
    """

    CAPABILITIES: ClassVar[Capabilities] = Capabilities(snapshot=True)
    DATABASE: ClassVar[type[EngineDatabase]] = EngineDatabase
    """The class that describes the database."""

    _identity: Hashable = None
    _timeout = 0.0

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
        try:
            prepare(database, creating=creating, is_file=isinstance(config, FileConfig))
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
        store._timeout = config.busy_timeout
        return store

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
        self._check_texts(batch)
        deadline = time.monotonic() + self._timeout
        pause = 0.01
        while True:
            try:
                return super().write(batch)
            except (BusyError, LostConnectionError):
                # Neither was committed.
                if time.monotonic() + pause > deadline:
                    raise
            time.sleep(random.uniform(0, pause))
            pause = min(2 * pause, 1.0)

    def _check_texts(self, batch: Batch) -> None:
        limit = getattr(self._database.schema.type.c.name.type, "length", None)
        for text, what, offender, is_long in _texts(batch):
            if not isinstance(text, str):
                continue
            if "\0" in text:
                raise InvalidError(
                    f"the {what} of {offender} holds a NUL, which flavor {self.FLAVOR!r} cannot "
                    "store there",
                    hint="leave it out, or keep it as a property",
                    offender=offender,
                )
            if limit is not None and not is_long and len(text) > limit:
                raise InvalidError(
                    f"the {what} of {offender} has {len(text)} characters, and flavor "
                    f"{self.FLAVOR!r} takes {limit}",
                    hint="shorten it",
                    offender=offender,
                )


def _texts(batch: Batch) -> Iterator[tuple[object, str, Offender, bool]]:
    """The texts of a batch that are stored as such: what, whose, and whether in a long column.

    Whether they are texts at all, the planner checks.
    """
    for index, type in enumerate(batch.types):
        offender = Offender(f"{type.key.kind.label} type", index)
        yield type.key.name, "name", offender, False
        yield type.key.version, "version", offender, False
        yield type.external_id, "external id", offender, False
        yield type.description, "description", offender, True
        yield type.input_type, "input type", offender, True
        yield type.output_type, "output type", offender, True
        yield from _keys(type.properties, offender)
    for kind, drafts in batch.nodes.items():
        for index, node in enumerate(drafts):
            offender = Offender(kind.label, index)
            yield node.name, "name", offender, False
            yield node.external_id, "external id", offender, False
            yield node.uri, "uri", offender, True
            yield from _keys(node.properties, offender)
            yield from _keys(node.custom_properties, offender)
    for index, event in enumerate(batch.events):
        for step in event.path:
            yield step, "path", Offender("event", index), True


def _keys(properties: object, offender: Offender) -> Iterator[tuple[object, str, Offender, bool]]:
    if isinstance(properties, Mapping):
        for key in properties:
            yield key, "property key", offender, False
