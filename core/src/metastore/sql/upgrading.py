"""A store of an older schema, brought to schema 10 by making what it lacks.

Source: what ml-metadata 1.17.1 makes of stores of schema 2 to 9 that it upgrades.  The versions
differ in tables, columns, unique keys and indexes that came with the years, so nothing depends on
the version that was found: each step makes what is missing, and may be repeated after it was
interrupted.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from sqlalchemy import Column, Index, Table, UniqueConstraint
from sqlalchemy.schema import CreateIndex, CreateTable

from metastore.model import SIMPLE_TYPES
from metastore.sql.database import Session
from metastore.sql.schema import SCHEMA_VERSION, Schema

__all__ = ["OLDEST_VERSION", "Found", "can_upgrade", "lacking", "upgrade_tables"]

OLDEST_VERSION = 2
"""Before it types and contexts were something else (ml-metadata before 0.14)."""


_TABLES_SINCE = {
    **dict.fromkeys(("Context", "ContextProperty"), 3),
    **dict.fromkeys(("Association", "Attribution"), 4),
    **dict.fromkeys(("ParentType", "ParentContext"), 6),
}
_COLUMNS_SINCE = {
    **dict.fromkeys(
        ("state", "last_known_state", "create_time_since_epoch", "last_update_time_since_epoch"), 5
    ),
    **dict.fromkeys(("version", "description"), 6),
    "byte_value": 7,
    "external_id": 9,
    **dict.fromkeys(("proto_value", "bool_value"), 10),
}
_NAMES_SINCE = 5
"""Of artifacts and executions; types and contexts always had one."""


def can_upgrade(version: object) -> bool:
    """Whether `upgrade_tables` brings a store of this schema to the one that we read and write."""
    return isinstance(version, int) and OLDEST_VERSION <= version < SCHEMA_VERSION


class Found(ABC):
    """What is there of a store, asked of its database anew at each call."""

    @abstractmethod
    def tables(self) -> Collection[str]:
        """The names of the tables, in the letters of the schema."""

    @abstractmethod
    def columns(self, table: str) -> Collection[str]:
        """The names of a table's columns."""

    @abstractmethod
    def indexes(self, table: str) -> Collection[str]:
        """The names of a table's indexes."""

    @abstractmethod
    def unique_keys(self, table: str) -> Collection[Sequence[str]]:
        """The columns of each of a table's unique keys, the primary one included."""


def lacking(schema: Schema, found: Found, version: int) -> list[str]:
    """Tables and columns that a store of this version must have, and that are not there."""
    missing = []
    tables = found.tables()
    for table in schema.metadata.sorted_tables:
        if table.name not in tables:
            if _TABLES_SINCE.get(table.name, OLDEST_VERSION) <= version:
                missing.append(table.name)
            continue
        present = set(found.columns(table.name))
        for column in table.columns:
            since = _COLUMNS_SINCE.get(column.name, OLDEST_VERSION)
            if column.name == "name" and table.name in ("Artifact", "Execution"):
                since = _NAMES_SINCE
            if column.name not in present and since <= version:
                missing.append(f"{table.name}.{column.name}")
    return missing


def upgrade_tables(session: Session, found: Found) -> None:
    """Make what a store of schema 2 to 9 lacks, and write the version last.

    Of events that are there twice, which schemas before 8 allowed, the last one stays, as with
    ml-metadata.  What other programs added (tables, columns, indexes) stays as it is.
    """
    schema = session.database.schema
    for table in schema.metadata.sorted_tables:
        if table.name not in found.tables():
            _create(session, table)
            continue
        present = set(found.columns(table.name))
        for column in table.columns:
            if column.name not in present:
                _add_column(session, table, column)
        keys = {frozenset(key) for key in found.unique_keys(table.name)}
        for name, columns in _unique_keys(table):
            if frozenset(columns) not in keys:
                if table is schema.event:
                    _drop_repeated_events(session)
                _create_unique_key(session, table, name, columns)
        known = set(found.indexes(table.name))
        for index in sorted(table.indexes, key=lambda each: str(each.name)):
            if index.name not in known:
                session.execute(str(CreateIndex(index).compile(dialect=session.database.dialect)))
    _write_missing_types(session)
    # Last: until here it is a store of its old version.
    env = _name(session, schema.env)
    session.execute(f"UPDATE {env} SET schema_version = {SCHEMA_VERSION}")  # noqa: S608


def _create(session: Session, table: Table) -> None:
    dialect = session.database.dialect
    session.execute(str(CreateTable(table).compile(dialect=dialect)))
    for index in sorted(table.indexes, key=lambda each: str(each.name)):
        session.execute(str(CreateIndex(index).compile(dialect=dialect)))


def _add_column(session: Session, table: Table, column: Column[Any]) -> None:
    dialect = session.database.dialect
    told = dialect.ddl_compiler(dialect, None).get_column_specification(column)  # type: ignore[arg-type]
    session.execute(f"ALTER TABLE {_name(session, table)} ADD COLUMN {told}")


def _unique_keys(table: Table) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The table's unique keys beside the primary one, each with a name for an index."""
    for constraint in sorted(
        (each for each in table.constraints if isinstance(each, UniqueConstraint)),
        key=lambda each: [column.name for column in each.columns],
    ):
        columns = tuple(column.name for column in constraint.columns)
        yield f"unique_{table.name.lower()}_{'_'.join(columns)}", columns


def _create_unique_key(session: Session, table: Table, name: str, columns: Sequence[str]) -> None:
    index = Index(name, *(table.c[each] for each in columns), unique=True, _table=table)
    try:
        session.execute(str(CreateIndex(index).compile(dialect=session.database.dialect)))
    finally:
        # It is one of this store's, not of the schema.
        table.indexes.discard(index)


def _drop_repeated_events(session: Session) -> None:
    schema = session.database.schema
    event, path = _name(session, schema.event), _name(session, schema.event_path)
    # Twice nested: MySQL reads no table that it changes, but for a derived one.
    last = (
        f"SELECT id FROM (SELECT MAX(id) AS id FROM {event} "  # noqa: S608 - our own names
        "GROUP BY artifact_id, execution_id, type) AS kept"
    )
    dropped = f"SELECT id FROM {event} WHERE id NOT IN ({last})"  # noqa: S608
    session.execute(
        f"DELETE FROM {path} WHERE event_id IN (SELECT id FROM ({dropped}) AS repeated)"  # noqa: S608
    )
    session.execute(f"DELETE FROM {event} WHERE id NOT IN ({last})")  # noqa: S608


def _write_missing_types(session: Session) -> None:
    table = _name(session, session.database.schema.type)
    session.execute(f"SELECT type_kind, name FROM {table} WHERE version IS NULL")  # noqa: S608
    known = {(int(kind), name) for kind, name in session.cursor.fetchall()}
    rows = [
        (name, None, int(kind), None, None, None, None)
        for kind, names in sorted(SIMPLE_TYPES.items(), reverse=True)
        for name in names
        if (int(kind), name) not in known
    ]
    if rows:
        session.database.insert(session, session.database.schema.type, rows)


def _name(session: Session, table: Table) -> str:
    return session.database.dialect.identifier_preparer.format_table(table)
