"""Is it a store, of which version, and what does it take?  And the making of a new one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pymysql
from sqlalchemy.dialects import mysql
from sqlalchemy.schema import CreateTable, Index

from metastore import Offender, OpenError, StoreNotFoundError
from metastore.sql import SCHEMA_VERSION, Session, StoreCheck, can_upgrade, write_simple_types
from metastore_flavor_mysql._errors import TAKEN, code_of
from metastore_flavor_mysql._limits import Limits
from metastore_flavor_mysql._writers import WRITERS

if TYPE_CHECKING:
    from metastore_flavor_mysql._database import MySQLDatabase
    from metastore_flavor_mysql._server import Server
    from metastore_flavor_mysql.config import MySQLConfig

__all__ = ["check_of", "prepare", "tables_of", "version_of"]

_SETTINGS = "metastore_setting"
_OWN = (WRITERS, _SETTINGS)
_NO_COLUMN = 1054


def prepare(database: MySQLDatabase, config: MySQLConfig, *, creating: bool) -> None:
    """Make the tables where they may be made, check them, and learn what they take.

    Raises
    ------
    OpenError
        There is no store that we can use; nothing was made.
    """
    if creating and config.create_database:
        _make_database(database, config.database)
    tables = _tables(database)
    if creating and _may_be_made(database, tables):
        database.tried_again(lambda: _make(database, config))
        tables = _tables(database)
    _check(database, tables)
    if not database.reading:
        _check_engines(database)
    with database.session(write=False) as session:
        database.limits = _limits(session, tables)
        if config.text == "auto":
            database.text = _text_of(session, tables)


# Making.


def _make_database(database: MySQLDatabase, name: str) -> None:
    with database.outside() as cursor:
        # Only where it is not there: the statement needs a right that few users have.
        cursor.execute("SHOW DATABASES LIKE %s", (name.replace("\\", "\\\\").replace("_", "\\_"),))
        if (name,) not in cursor.fetchall():
            cursor.execute(f"CREATE DATABASE IF NOT EXISTS `{name.replace('`', '``')}`")


def _may_be_made(database: MySQLDatabase, tables: set[str]) -> bool:
    """Whether there is nothing, or what somebody began to make: no store, and nobody else's."""
    if not tables:
        return True
    ours = {*database.schema.metadata.tables, *_OWN}
    if "MLMDEnv" not in tables or not tables <= ours or _versions(database):
        return False
    # Types are written with the version: where there are some, it was taken away.
    return "Type" not in tables or not _rows(database, "SELECT 1 FROM Type LIMIT 1")


def _make(database: MySQLDatabase, config: MySQLConfig) -> None:
    """Make what is missing of the tables, and then, in one transaction, all that is in them.

    MySQL commits after each table.  So this goes on where another process was killed, and two
    that make the same store at once do the same: what one of them finds made, it leaves.
    """
    text = "mlmd" if config.text == "mlmd" else "utf8"
    with database.creation() as session:
        for statement in _statements(database, database.server):
            session.execute(statement)
    with database.creation() as session:
        try:
            # First: of two processes one waits here for the other.
            session.execute("INSERT INTO MLMDEnv VALUES (%s)", (SCHEMA_VERSION,))
        except pymysql.MySQLError as error:
            if code_of(error) != TAKEN:
                raise
            return
        session.execute(f"INSERT INTO {_SETTINGS} VALUES ('text', %s)", (text,))  # noqa: S608
        write_simple_types(session)


def _statements(database: MySQLDatabase, server: Server) -> list[str]:
    options = f"ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE={server.collation}"
    # Indexes within the tables: a table is there with all of them, or not at all.
    dialect = mysql.dialect(is_mariadb=server.is_mariadb)
    tables = database.schema.metadata.tables
    # MLMDEnv first: it tells a store that is half made from another program's tables.
    ordered = sorted(tables.values(), key=lambda table: (table.name != "MLMDEnv", table.name))
    statements = []
    for table in ordered:
        made = str(CreateTable(table, if_not_exists=True).compile(dialect=dialect))
        indexes = "".join(
            f", {_key(index)}" for index in sorted(table.indexes, key=lambda each: str(each.name))
        )
        statements.append(f"{made.rstrip().removesuffix(')')}{indexes}) {options}")
    statements += [
        f"CREATE TABLE IF NOT EXISTS {WRITERS} (id BIGINT PRIMARY KEY, transactions BIGINT NOT "
        f"NULL, time BIGINT NOT NULL, KEY idx_{WRITERS}_time (time)) {options}",
        f"CREATE TABLE IF NOT EXISTS {_SETTINGS} (name VARCHAR(64) PRIMARY KEY, "
        f"value VARCHAR(255) NOT NULL) {options}",
    ]
    return statements


def _key(index: Index) -> str:
    """The index as a part of its table's definition, long texts by their beginning."""
    lengths = index.dialect_options["mysql"]["length"] or {}
    columns = []
    for column in index.columns:
        length = lengths.get(column.name) if isinstance(lengths, Mapping) else lengths
        columns.append(f"`{column.name}`({length})" if length else f"`{column.name}`")
    return f"KEY `{index.name}` ({', '.join(columns)})"


# Checking.


def tables_of(session: Session) -> set[str]:
    """The names of all tables, ours in the letters of the schema.

    Servers on Windows and macOS keep names in small letters.
    """
    ours = {name.lower(): name for name in session.database.schema.metadata.tables}
    session.execute("SHOW TABLES")
    return {ours.get(name.lower(), name) for (name,) in session.cursor.fetchall()}


def _tables(database: MySQLDatabase) -> set[str]:
    with database.session(write=False) as session:
        return tables_of(session)


def _rows(database: MySQLDatabase, statement: str) -> list[tuple[Any, ...]]:
    with database.session(write=False) as session:
        session.execute(statement)
        return list(session.cursor.fetchall())


def _versions(database: MySQLDatabase) -> list[object]:
    return [version for (version,) in _rows(database, "SELECT schema_version FROM MLMDEnv")]


_UNSAFE = ("MyISAM", "Aria", "MEMORY", "CSV", "ARCHIVE")
"""Engines that cannot take back what was written."""


def _check_engines(database: MySQLDatabase) -> None:
    found = _rows(
        database,
        "SELECT table_name, engine FROM information_schema.tables WHERE table_schema = DATABASE()",
    )
    ours = {name.lower() for name in database.schema.metadata.tables}
    unsafe = sorted(name for name, engine in found if engine in _UNSAFE and name.lower() in ours)
    if unsafe:
        raise OpenError(
            f"{database.location} keeps {', '.join(unsafe)} in an engine without transactions",
            hint="ALTER TABLE ... ENGINE=InnoDB for each of them, or open the store for reading",
            offender=Offender("store", name=database.location),
        )


def check_of(location: str) -> StoreCheck:
    """What says what is wrong with a database."""
    return StoreCheck(
        location,
        upgrade="metastore-flavor-mysql",
        older=f"make a backup, and upgrade it: metastore upgrade {location}",
    )


def version_of(session: Session, check: StoreCheck) -> int:
    """The schema's version, which is the one that we read and write, or an older one.

    Raises
    ------
    OpenError
        It is no store, or of a version that we cannot upgrade.
    """
    tables = tables_of(session)
    if not tables:
        raise check.empty(
            hint="open it for writing to make a store of it, or correct the URL",
            error=StoreNotFoundError,
        )
    check.tables(tables)
    try:
        session.execute("SELECT schema_version FROM MLMDEnv")
    except pymysql.MySQLError as error:
        if code_of(error) != _NO_COLUMN:
            raise
        raise check.unreadable_versions() from error
    versions = [version for (version,) in session.cursor.fetchall()]
    if len(versions) == 1 and can_upgrade(versions[0]):
        return int(versions[0])
    check.versions(versions)
    return SCHEMA_VERSION


def _check(database: MySQLDatabase, tables: set[str]) -> None:
    """Raise unless this is a whole store of the schema that we read and write."""
    check = check_of(database.location)
    with database.session(write=False) as session:
        check.versions([version_of(session, check)])
    missing = sorted(database.schema.metadata.tables.keys() - tables)
    check.whole(missing or _missing_columns(database))


def _missing_columns(database: MySQLDatabase) -> list[str]:
    with database.session(write=False) as session:
        found = {(table.lower(), column) for table, column, *_ in _columns(session)}
    return [
        f"{table.name}.{column.name}"
        for table in database.schema.metadata.sorted_tables
        for column in table.c
        if (table.name.lower(), column.name) not in found
    ]


def _columns(session: Session) -> list[tuple[Any, ...]]:
    session.execute(
        "SELECT table_name, column_name, data_type, character_octet_length, character_set_name, "
        "collation_name FROM information_schema.columns WHERE table_schema = DATABASE()"
    )
    return session.cursor.fetchall()  # type: ignore[no-any-return]


_EXACT = frozenset({"utf8mb4_nopad_bin", "utf8mb4_0900_bin", "utf8mb3_nopad_bin"})


def _limits(session: Session, tables: set[str]) -> Limits:
    ours = {name.lower() for name in session.database.schema.metadata.tables}
    columns = [row for row in _columns(session) if row[0].lower() in ours]
    collations = {row[5] for row in columns if row[5] is not None}
    bits = {row[2].lower() for row in columns if row[1] == "int_value"}
    values = [row for row in columns if row[1] == "string_value"]
    return Limits(
        exact=collations <= _EXACT,
        has_writers=WRITERS in tables,
        bits=64 if bits == {"bigint"} else 32,
        text=min(int(row[3]) for row in values),
        uri=min(int(row[3]) for row in columns if row[1] in ("uri", "step_key")),
        letters=min(str(row[4]) for row in values),
    )


def _text_of(session: Session, tables: set[str]) -> Any:
    """How texts are stored; the stores that we make say so, all others are ML Metadata's."""
    if _SETTINGS not in tables:
        return "mlmd"
    session.execute(f"SELECT value FROM {_SETTINGS} WHERE name = 'text'")  # noqa: S608
    rows = session.cursor.fetchall()
    return rows[0][0] if rows else "utf8"
