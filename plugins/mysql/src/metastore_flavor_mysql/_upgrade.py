"""Stores of schema 2 to 9, upgraded in place: step by step, each of which MySQL commits."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Sequence

from metastore import BusyError, NodeKind
from metastore.base import Upgrade
from metastore.sql import SCHEMA_VERSION, Found, Session, lacking, upgrade_tables
from metastore_flavor_mysql._database import MySQLDatabase
from metastore_flavor_mysql._schema import check_of, tables_of, version_of

__all__ = ["upgrade_database"]

_WIDER = {"string_value": ("text", "MEDIUMTEXT"), "byte_value": ("blob", "MEDIUMBLOB")}
"""Columns that schema 7 made wider: what they were, and what they are."""


class _MySQLFound(Found):
    def __init__(self, session: Session) -> None:
        self._session = session
        self._letters = {name.lower(): name for name in session.database.schema.metadata.tables}

    def tables(self) -> Collection[str]:
        return tables_of(self._session)

    def columns(self, table: str) -> Collection[str]:
        return [name for _, name, _ in self._about("columns", "column_name", table)]

    def type_of(self, table: str, column: str) -> str | None:
        """The type of a column, in small letters."""
        found = self._about("columns", "column_name, data_type", table)
        return next((str(kind).lower() for _, name, kind in found if name == column), None)

    def indexes(self, table: str) -> Collection[str]:
        return {name for _, name, _ in self._about("statistics", "index_name", table)}

    def unique_keys(self, table: str) -> Collection[Sequence[str]]:
        self._session.execute(
            "SELECT index_name, column_name, sub_part FROM information_schema.statistics WHERE "
            "table_schema = DATABASE() AND LOWER(table_name) = %s AND non_unique = 0",
            (table.lower(),),
        )
        keys: dict[str, list[str]] = {}
        for name, column, part in self._session.cursor.fetchall():
            # By the beginning of a text alone more would be the same.
            keys.setdefault(name, []).append(column if part is None else f"{column}({part})")
        return list(keys.values())

    def _about(self, what: str, columns: str, table: str) -> Iterable[tuple[str, str, str]]:
        self._session.execute(
            f"SELECT {columns} FROM information_schema.{what} WHERE table_schema = DATABASE() "  # noqa: S608 - our own names
            "AND LOWER(table_name) = %s",
            (table.lower(),),
        )
        rows = self._session.cursor.fetchall()
        return [(table, str(row[0]), str(row[1]) if len(row) > 1 else "") for row in rows]


def upgrade_database(database: MySQLDatabase) -> Upgrade | None:
    """Make what the database lacks, step by step; the version is written last.

    MySQL commits each step by itself, so that one that is interrupted goes on where it was when it
    is begun again; until its end the store is one of its old version, that an older ML Metadata
    still opens.

    Raises
    ------
    OpenError
        It is no store that can be upgraded.
    BusyError
        Another upgrade is at it.
    """
    # A lock of the server, which ends with its connection; names have 64 characters at most.
    name = f"metastore.upgrade.{hashlib.sha256(database.location.encode()).hexdigest()[:32]}"
    with database.creation() as session:
        session.execute("SELECT GET_LOCK(%s, 0)", (name,))
        if session.cursor.fetchone() != (1,):
            raise BusyError(
                f"another program is upgrading {database.location}", hint="wait until it is done"
            )
        try:
            check = check_of(database.location)
            version = version_of(session, check)
            found = _MySQLFound(session)
            check.whole(lacking(database.schema, found, version))
            if version == SCHEMA_VERSION:
                return None
            _widen(session, found)
            upgrade_tables(session, found)
        finally:
            session.execute("SELECT RELEASE_LOCK(%s)", (name,))
            session.cursor.fetchall()
    return Upgrade(version, SCHEMA_VERSION, None)


def _widen(session: Session, found: _MySQLFound) -> None:
    for kind in NodeKind:
        table = session.database.schema.properties[kind].name
        for column, (narrow, wide) in _WIDER.items():
            if found.type_of(table, column) == narrow:
                session.execute(f"ALTER TABLE `{table}` MODIFY `{column}` {wide}")
