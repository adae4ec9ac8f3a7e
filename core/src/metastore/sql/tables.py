"""The tables of a store: made, and judged by what was found of them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy.schema import CreateIndex, CreateTable

from metastore.errors import (
    DamagedStoreError,
    NotAStoreError,
    Offender,
    OpenError,
    SchemaVersionError,
)
from metastore.model import SIMPLE_TYPES
from metastore.sql.database import Session
from metastore.sql.schema import SCHEMA_VERSION
from metastore.sql.upgrading import can_upgrade

__all__ = ["StoreCheck", "make_tables", "write_simple_types"]


def make_tables(session: Session) -> None:
    """Make the tables of the session's database with their indexes, and write the simple types.

    The caller writes the row of `MLMDEnv`, last: a store without it is half made.
    """
    database = session.database
    schema, dialect = database.schema, database.dialect
    for table in schema.metadata.sorted_tables:
        session.execute(str(CreateTable(table).compile(dialect=dialect)))
        for index in sorted(table.indexes, key=lambda each: str(each.name)):
            session.execute(str(CreateIndex(index).compile(dialect=dialect)))
    write_simple_types(session)


def write_simple_types(session: Session) -> None:
    """Write the types that every new store has."""
    # ML Metadata looks for these whenever it opens a store, and writes what is missing.
    rows = [
        (name, None, int(kind), None, None, None, None)
        for kind, names in sorted(SIMPLE_TYPES.items(), reverse=True)
        for name in names
    ]
    session.database.insert(session, session.database.schema.type, rows)


@dataclass(frozen=True)
class StoreCheck:
    """What is wrong with what is no whole store of the schema that we read and write.

    A flavor asks its database in its own way, and goes through these in their order: `empty`,
    `tables`, `unreadable_versions`, `versions`, `whole`.

    location:
        The store's URL, for people.
    database:
        What was opened, with its article.
    changed:
        What somebody may have changed by hand.
    correct:
        The hint where it is another program's.
    upgrade:
        The distribution that reads newer stores once it is upgraded.
    """

    location: str
    database: str = "a database"
    changed: str = "the database"
    correct: str = "correct the URL, or use a database of its own"
    upgrade: str = "metastore-core"
    older: str = ""
    """The hint where it is an older store that the flavor can upgrade; empty where it cannot."""

    def empty(self, *, hint: str, error: type[OpenError] = NotAStoreError) -> OpenError:
        """What to raise where there are no tables."""
        return error(
            f"{self.location} is an empty database, not a metadata store",
            hint=hint,
            offender=self._offender,
        )

    def tables(self, tables: Collection[str]) -> None:
        """Raise where the tables, in the letters of the schema, are no store's.

        Those of ML Metadata's first releases, which wrote no version, are a store of version 0.
        """
        if "MLMDEnv" in tables:
            return
        if "Type" in tables and "Artifact" in tables:
            raise self._of_version(0)
        raise NotAStoreError(
            f"{self.location} is {self.database} of another program, not a metadata store",
            hint=self.correct,
            offender=self._offender,
        )

    def unreadable_versions(self) -> NotAStoreError:
        """What to raise where `MLMDEnv` cannot be asked for its versions."""
        return NotAStoreError(
            f"{self.location} has a table MLMDEnv that is not ML Metadata's",
            hint=self.correct,
            offender=self._offender,
        )

    def versions(self, versions: Sequence[object]) -> None:
        """Raise unless these, of the rows of `MLMDEnv`, are the one that we read and write."""
        if len(versions) != 1:
            raise self._damaged(f"holds {len(versions)} schema versions where there should be one")
        if versions[0] != SCHEMA_VERSION:
            raise self._of_version(versions[0])

    def whole(self, missing: Sequence[str]) -> None:
        """Raise where tables or columns are missing, which are named as people should see them."""
        if missing:
            raise self._damaged(f"is a metadata store that lacks {', '.join(missing)}")

    @property
    def _offender(self) -> Offender:
        return Offender("store", name=self.location)

    def _damaged(self, what: str) -> DamagedStoreError:
        return DamagedStoreError(
            f"{self.location} {what}",
            hint=f"its creation was interrupted, or {self.changed} was changed by hand; "
            "restore it from a copy",
            offender=self._offender,
        )

    def _of_version(self, version: object) -> SchemaVersionError:
        if isinstance(version, int) and version > SCHEMA_VERSION:
            hint = f"upgrade {self.upgrade}"
        elif self.older and can_upgrade(version):
            hint = self.older
        else:
            hint = (
                "let ml-metadata upgrade a copy of it (enable_upgrade_migration), and open the copy"
            )
        return SchemaVersionError(
            f"{self.location} has schema version {version}, and this release reads "
            f"{SCHEMA_VERSION}",
            hint=hint,
            offender=self._offender,
            found=version if isinstance(version, int) else None,
            supported=SCHEMA_VERSION,
        )
