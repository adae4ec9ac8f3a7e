"""SQLite as a `Database`: connections, transactions, ids, lists."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    String,
    Table,
    bindparam,
    case,
    column,
    func,
    insert,
    literal_column,
    null,
    or_,
    select,
    text,
    union_all,
)
from sqlalchemy import table as table_clause
from sqlalchemy.dialects.sqlite import dialect as sqlite_dialect
from sqlalchemy.sql.elements import UnaryExpression
from sqlalchemy.sql.operators import custom_op

from metastore import (
    ClosedError,
    ForkError,
    InvalidError,
    MetastoreError,
    Offender,
    OpenMode,
    StorageError,
)
from metastore.sql import (
    Database,
    Schema,
    SchemaOptions,
    Session,
    keep_for_ever,
    watch_forks,
)
from metastore.sql.codec import ANY_COLUMN, PROPERTY_KEY, Properties, property_rows
from metastore.sql.database import Statement
from metastore.values import INT64_MAX, INT64_MIN
from metastore_flavor_sqlite._connections import Connection, Connections
from metastore_flavor_sqlite._errors import translate
from metastore_flavor_sqlite._session import SQLiteSession, prepare
from metastore_flavor_sqlite.config import SQLiteConfig

__all__ = ["SQLiteDatabase"]

_SCHEMA = Schema(SchemaOptions(table={"sqlite_autoincrement": True}, partial_index="sqlite_where"))
_DRIVER_ERRORS = (sqlite3.Error, UnicodeEncodeError, OverflowError)

_PLUS: custom_op[Any] = custom_op("+")

_PAGES_OF_LOG = 8_000
"""So long a write-ahead log becomes, 32 MiB, before SQLite puts it into the file.

That takes as long as many a small write; done seldom, a page that changes often is put there once.
"""

_FEW_NODES = 64
_SIDE_BY_SIDE = 16
"""Nodes whose properties, five of each, fill a page."""

_MANY_NODES = 2_000
# SQLite cannot be carried over a fork (sqlite.org/howtocorrupt.html, section 2.6): in the child it
# takes the locks of its parent's connections for its own, so that writes of the child are lost
# when the parent closes the file, and what the child closes is rolled back under the parent's
# hands.  So a process gives up its idle connections before it forks, and a child never touches
# those that were in use.
_in_use_at_fork: set[Path] = set()


class SQLiteDatabase(Database):
    """Connections to one file, or the one connection of a store in memory."""

    mixed_columns = True
    ignore_duplicates = "OR IGNORE"

    def __init__(self, config: SQLiteConfig, *, mode: OpenMode, location: str) -> None:
        super().__init__()
        self.dialect = sqlite_dialect(paramstyle="qmark")
        self.schema = _SCHEMA
        self.location = location
        # Absolute: a relative one would be another file once the process changes its folder.
        self._path = None if config.path is None else config.path.absolute()
        self._timeout = config.busy_timeout
        self._reading = mode == "r"
        self._closed = False
        self.may_create = False
        """Whether to connect makes the file; never while it is in use, should it be removed."""
        self.opened_file: tuple[int, int] | None = None
        """Which file is open: device and inode; None until it is checked, and in memory."""
        self._idle = self._new_connections()
        self._owner = os.getpid()
        # A store in memory is one connection: one thread at a time.
        self._turn = threading.RLock() if self._path is None else None
        self._lent: set[Connection] = set()
        self._left_behind = False
        watch_forks(self)

    # Connections.

    def _new_connections(self) -> Connections:
        # Beyond those that are kept, connections are opened and closed as threads come and go.
        return Connections(self._connect, keep=5)

    def _connect(self) -> sqlite3.Connection:
        if self._path is None:
            connection = self._open_file(":memory:")
        elif self._reading:
            connection = self._open_for_reading(self._path)
        else:
            how = "mode=rwc" if self.may_create else "mode=rw"
            connection = self._open_file(_uri(self._path, how))
        with _closed_on_error(connection):
            # Every write is on the disk when it returns, in both journal modes: with FULL the
            # folder is not synced once the journal is removed, which may come back after a loss of
            # power and take the last batch back.  With a write-ahead log it is the same as FULL.
            connection.execute("PRAGMA synchronous = EXTRA")
            connection.execute(f"PRAGMA wal_autocheckpoint = {_PAGES_OF_LOG}")
        return connection

    def _open_file(self, uri: str) -> sqlite3.Connection:
        connection = sqlite3.connect(
            uri,
            uri=uri.startswith("file:"),
            timeout=self._timeout,
            # Transactions are ours: the driver's own begin too late and lose updates.
            isolation_level=None,
            # The pool hands a connection to one thread at a time.
            check_same_thread=False,
            cached_statements=256,
        )
        with _closed_on_error(connection):
            prepare(connection)
        return connection

    def _open_for_reading(self, path: Path) -> sqlite3.Connection:
        """Open without changing the file, but for taking back what a writer that died began.

        A file with a write-ahead log needs care: to read it, SQLite makes two files beside it, and
        only a connection that may write removes them again; one that closes last also moves what
        is in the log into the file.  Whether it is such a file, SQLite must say: to open it in any
        other way, and close it, would drop the locks that this process holds on it
        (sqlite.org/howtocorrupt.html, section 2.2).
        """
        log = path.with_name(path.name + "-wal")
        writable = os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)
        if writable and not log.exists():
            connection = self._open_file(_uri(path, "mode=rw"))
            with _closed_on_error(connection):
                connection.execute("PRAGMA query_only = ON")
            return connection
        connection = self._open_file(_uri(path, "mode=ro"))
        if log.exists():
            return connection
        with _closed_on_error(connection):
            try:
                connection.execute("SELECT 1 FROM sqlite_master").fetchone()
                return connection
            except sqlite3.Error as error:
                # Other errors come again when the connection is used, where they are spoken of.
                if "unable to open" not in str(error) and "readonly" not in str(error):
                    return connection
        # A log that nobody uses, in a folder where we cannot make the two files.
        connection.close()
        return self._open_file(_uri(path, "mode=ro&immutable=1"))

    def use_write_ahead_log(self) -> None:
        """Switch to the write-ahead log; for files that we make."""
        if self._path is None:
            return
        deadline = time.monotonic() + self._timeout
        while True:
            try:
                with self._connection() as connection:
                    connection.driver.execute("PRAGMA journal_mode = WAL")
                return
            except sqlite3.OperationalError as error:
                # Two processes make the same file: SQLite's own waiting does not cover this.
                if "locked" not in str(error) or time.monotonic() > deadline:
                    raise translate(error, self.location) from error
                time.sleep(0.01)

    def vacuum(self) -> None:
        """Give the room of deleted rows back, and put the write-ahead log into the file.

        Needs about the file's size of room beside it.

        Raises
        ------
        BusyError, StorageError
            Others use the file, or there is no room; it is as it was.
        """
        try:
            with self._connection() as connection:
                connection.driver.execute("VACUUM")
                connection.driver.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except _DRIVER_ERRORS as error:
            raise translate(error, self.location) from error

    def _take(self) -> tuple[Connection, Callable[[], None]]:
        """A connection, in memory once it is this thread's turn, and what gives it back."""
        if self._owner != os.getpid():
            self.leave_parent()
        turn = self._turn
        if turn is not None:
            turn.acquire()
        try:
            self._check_usable()
            idle, lent = self._idle, self._lent
            connection = idle.take()
        except BaseException:
            if turn is not None:
                turn.release()
            raise
        lent.add(connection)

        def give_back() -> None:
            try:
                # Not so in a child that was forked meanwhile: they are its parent's.
                if lent is self._lent:
                    lent.discard(connection)
                    idle.give(connection)
                    if self._closed:
                        idle.close()
            finally:
                if turn is not None:
                    turn.release()

        return connection, give_back

    @contextmanager
    def _connection(self) -> Iterator[Connection]:
        connection, give_back = self._take()
        try:
            yield connection
        finally:
            give_back()

    def _check_usable(self) -> None:
        if self._left_behind:
            raise ForkError(
                f"the store {self.location} is in the memory of the parent process",
                hint="use a file to share a store among processes",
            )
        if self._path in _in_use_at_fork:
            raise ForkError(
                f"the parent process was using {self.location} while it forked this one",
                hint="fork while no thread uses the store, or start the process anew (spawn)",
            )
        if self._closed:
            raise ClosedError(
                f"the store {self.location} is closed", hint="open it again with connect()"
            )
        if self._path is not None and self.opened_file is not None:
            self._check_file(self._path, self.opened_file)
        if self._turn is not None and self._lent:
            raise InvalidError(
                f"the store {self.location} in memory is asked inside a transaction of its own",
                hint="ask it before or after the transaction",
            )

    def _check_file(self, path: Path, opened: tuple[int, int]) -> None:
        """Raise where the path is that of another file by now, or of none.

        With a write-ahead log SQLite does not notice: it would take writes, for nobody to find.
        """
        try:
            found = os.stat(path)
        except OSError:
            found = None
        if found is None or (found.st_dev, found.st_ino) != opened:
            what = "removed" if found is None else "replaced"
            raise StorageError(
                f"the file of the store {self.location} was {what} while it was open",
                hint="close the store, and open what is there now",
                offender=Offender("store", name=str(path)),
            )

    def give_up_idle(self) -> None:
        """Close what no thread is using, before a fork."""
        if self._path is not None:
            self._idle.close()

    def leave_parent(self) -> None:
        """Begin anew in a forked child."""
        if self._lent or len(self._idle):
            keep_for_ever((self._idle, *self._lent))
            if self._path is not None:
                _in_use_at_fork.add(self._path)
        self._left_behind = self._path is None
        self._turn = None if self._turn is None else threading.RLock()
        self._lent = set()
        self._idle = self._new_connections()
        self._owner = os.getpid()

    @contextmanager
    def session(self, *, write: bool) -> Iterator[Session]:
        """A transaction; a writing one holds the file's write lock from its start."""
        committing = False
        try:
            # Not `_connection`: every small read would pay for a second generator.
            connection, give_back = self._take()
            try:
                driver = connection.driver
                cursor = driver.cursor()
                process = os.getpid()
                cursor.execute("BEGIN IMMEDIATE" if write else "BEGIN")
                session = SQLiteSession(self, cursor, connection.notes if write else {})
                try:
                    if write:
                        connection.refresh(cursor)
                    yield session
                    if process != os.getpid():
                        # A child that was forked inside the block: the transaction is not its own.
                        self._check_usable()
                    committing = write
                    cursor.execute("COMMIT")
                except BaseException:
                    connection.notes.clear()
                    # SQLite has rolled back by itself where the disk was full or failed.
                    if process == os.getpid() and driver.in_transaction:
                        cursor.execute("ROLLBACK")
                    raise
                finally:
                    if process == os.getpid():
                        session.end()
                        cursor.close()
            finally:
                give_back()
        except MetastoreError:
            raise
        except _DRIVER_ERRORS as error:
            if str(error) == "interrupted":
                # Only by what a signal raised in the progress handler, where it was lost.
                raise KeyboardInterrupt from None
            raise translate(error, self.location, committing=committing) from error

    def close(self) -> None:
        """Close every connection that is not in use; the others when they come back."""
        # In this order: who gives a connection back later sees that the store is closed.
        self._closed = True
        if self._owner == os.getpid():
            self._idle.close()

    # Statements.

    def insert(self, session: Session, table: Table, rows: Sequence[Sequence[Any]]) -> list[int]:
        """Insert rows with ids of our choice: inside BEGIN IMMEDIATE nobody else takes ids."""
        first = self._next_ids(session)[table.name]
        session.notes["next ids"][table.name] = first + len(rows)
        ids = list(range(first, first + len(rows)))
        if len(rows) >= _MANY_NODES and isinstance(session, SQLiteSession):
            session.enlarge_cache()
        statement = self.statement(
            ("insert", table.name),
            lambda: insert(table).values({each.name: bindparam(each.name) for each in table.c}),
        )
        whole = ((id, *row) for id, row in zip(ids, rows, strict=True))
        if len(rows) > _FEW_NODES:
            session.many(statement, whole)
        else:
            session.insert(statement, [*whole])
        return ids

    def insert_properties(
        self, session: Session, table: Table, owner: str, owners: Iterable[Properties]
    ) -> None:
        """Insert the properties of nodes, those of a node side by side, to be read together.

        Those of a few nodes by one statement.  One for each kind of value is faster for many, if it
        keeps coming back to the same pages: so a few nodes at a time.
        """
        owners = list(owners)
        if len(owners) <= _FEW_NODES:
            for columns, rows in property_rows(owners, in_order=True).items():
                if columns is ANY_COLUMN:
                    session.many(self._by_type(table.name, owner), rows)
                else:
                    self.insert_rows(session, table, (owner, *PROPERTY_KEY, *columns), rows)
            return
        for first in range(0, len(owners), _SIDE_BY_SIDE):
            some = owners[first : first + _SIDE_BY_SIDE]
            for columns, rows in property_rows(some).items():
                self.insert_rows(session, table, (owner, *PROPERTY_KEY, *columns), rows)

    def _by_type(self, table: str, owner: str) -> Statement:
        """An insert that puts a value into the column of its type."""
        columns = {"int_value": "integer", "double_value": "real", "string_value": "text"}
        values = [f"CASE typeof(?4) WHEN '{type}' THEN ?4 END" for type in columns.values()]
        return self.statement(
            ("properties by type", table),
            lambda: text(
                f'INSERT INTO "{table}" ({owner}, name, is_custom_property, {", ".join(columns)}) '  # noqa: S608 - names of our own
                f"VALUES (?1, ?2, ?3, {', '.join(values)})"
            ),
        )

    def _next_ids(self, session: Session) -> dict[str, int]:
        if "next ids" not in session.notes:
            following: dict[str, int] = defaultdict(lambda: 1)
            for name, last in session.rows(self.statement("last ids", _last_ids)):
                following[name] = max(following[name], (last or 0) + 1)
            session.notes["next ids"] = following
        return session.notes["next ids"]  # type: ignore[no-any-return]

    # Lists are one JSON parameter.  SQLite's JSON functions cut text at NUL: such lists go as
    # hexadecimal digits, which no index serves, but which are right.

    @property
    def can_walk(self) -> bool:
        """Whether this SQLite is of 2020-12 or later."""
        return sqlite3.sqlite_version_info >= (3, 34)

    def list_shape(self, values: Collection[Any]) -> str:
        """``"one"`` for one value, ``"hex"`` for texts with a NUL among them, or ``"json"``."""
        if len(values) == 1:
            (value,) = values
            if type(value) is str or (type(value) is int and INT64_MIN <= value <= INT64_MAX):
                return "one"
        for value in values:
            if type(value) is int:
                break  # a list of ids
            if isinstance(value, str) and "\0" in value:
                return "hex"
        return "json"

    def in_list(self, column: ColumnElement[Any], name: str, shape: str) -> ColumnElement[bool]:
        """``column IN (SELECT value FROM json_each(?))``, or ``column = ?``."""
        if shape == "one":
            return column == bindparam(name)
        values = func.json_each(bindparam(name, type_=String)).table_valued("value", name=name)
        listed = select(values.c.value)
        if shape == "hex":
            # hex(NULL) is an empty text, and NULL is in no list, nor out of it.
            return case((column.is_(None), null()), else_=func.hex(column).in_(listed))
        return column.in_(listed)

    def like(self, text: ColumnElement[Any], pattern: ColumnElement[Any]) -> ColumnElement[bool]:
        """SQLite's own LIKE, but for what holds a NUL, where it would stop."""
        own = text.like(pattern, escape="\\")
        return case(
            (or_(_has_nul(text), _has_nul(pattern)), func.metastore_like(pattern, text) == 1),
            else_=own,
        )

    def text_function(self, name: str, text: ColumnElement[Any]) -> ColumnElement[Any]:
        """As Python does, for letters beyond ASCII too."""
        if name == "LENGTH":
            return case((_has_nul(text), func.metastore_length(text)), else_=func.length(text))
        return func.metastore_lower(text) if name == "LOWER" else func.metastore_upper(text)

    def unindexed(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        """``+column``, which SQLite documents for that (sqlite.org/optoverview.html)."""
        return UnaryExpression(column, operator=_PLUS, type_=column.type)

    def bind_list(self, values: Collection[Any], shape: str) -> Any:
        """The list as JSON, or its one value."""
        if shape == "one":
            return next(iter(values))
        if shape == "hex":
            return json.dumps([str(value).encode().hex().upper() for value in values])
        try:
            # Ids, mostly, for which this is the fastest way.
            return f"[{','.join(map(int.__repr__, values))}]"
        except TypeError:
            return f"[{','.join(map(_json, values))}]"


_json = json.JSONEncoder(ensure_ascii=False).encode
"""A value as JSON; json.dumps makes an encoder for each."""


def _has_nul(text: ColumnElement[Any]) -> ColumnElement[bool]:
    return func.instr(text, func.char(0)) > 0


def _uri(path: Path, options: str) -> str:
    return f"file:{quote(os.fsencode(path))}?{options}"


@contextmanager
def _closed_on_error(connection: sqlite3.Connection) -> Iterator[None]:
    """Close a new connection that nobody will get; an error that is kept would hold it open."""
    try:
        yield
    except BaseException:
        connection.close()
        raise


def _last_ids() -> CompoundSelect[Any]:
    """The highest id that each table ever had, by its sequence, and that it has now.

    The sequence never falls, so ids are never used again; the table itself counts where somebody
    has tampered with the sequence.
    """
    sequence = table_clause("sqlite_sequence", column("name"), column("seq")).c
    tables = [each for each in _SCHEMA.metadata.sorted_tables if "id" in each.c]
    return union_all(
        select(sequence.name, sequence.seq),
        *(select(literal_column(f"'{each.name}'"), func.max(each.c.id)) for each in tables),
    )
