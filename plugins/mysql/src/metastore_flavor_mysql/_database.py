"""MySQL, MariaDB and what speaks like them as a `Database`."""

from __future__ import annotations

import re
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from itertools import chain
from typing import Any

import pymysql
from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Integer,
    LargeBinary,
    Select,
    String,
    Table,
    Text,
    bindparam,
    cast,
    collate,
    event,
    exc,
    false,
    func,
    insert,
    literal_column,
    select,
)
from sqlalchemy.dialects import mysql
from sqlalchemy.engine import Dialect
from sqlalchemy.pool import PoolProxiedConnection

from metastore import BusyError, InvalidError, MetastoreError, Offender, OutcomeUnknownError
from metastore.batch import Batch
from metastore.query import Filter
from metastore.sql import (
    EngineDatabase,
    LostConnectionError,
    SchemaOptions,
    Session,
    connecting,
)
from metastore.sql.database import Row, Statement
from metastore.sql.engine_errors import driver_error
from metastore.sql.types import MARK, mark_of_types
from metastore_flavor_mysql._errors import code_of, is_lost, is_reader, is_rolled_back, translate
from metastore_flavor_mysql._filters import can_answer, is_writable
from metastore_flavor_mysql._limits import Limits
from metastore_flavor_mysql._server import Connector, Server, is_alive
from metastore_flavor_mysql._texts import row_from_mlmd, values_as_mlmd
from metastore_flavor_mysql._writers import Writer
from metastore_flavor_mysql.config import MySQLConfig

__all__ = ["MySQLDatabase"]

_INTEGERS, _TEXTS, _NONE = "integers", "texts", "none"
_MOST_ROWS, _MOST_BYTES = 1000, 1_000_000
"""Of an INSERT that says which ids it gave."""
_FEW, _SHORT = 24, 50_000
"""Rows, and letters in them, that the driver need not divide; each number of rows is a text."""
_USED = "metastore used"
"""In the notes of a connection: when it was given back."""
_WALK = 30
"""Milliseconds after which a walk over nodes that does not find enough is stopped."""
_MAIN = re.compile(r"(?:\A|\)\s+)SELECT\b")
"""The word that begins a query, behind its common table expressions, where MySQL takes hints."""

_TOOK_LONG = (1969, 3024)
"""What MariaDB and MySQL say of a statement that was stopped."""
_CONFLICTS = 4
"""Attempts of one write that are made at one node of a cluster."""
_ROOM = 100_000
"""Bytes of a statement besides its longest value."""


class _Session(Session):
    """A session whose texts are stored as they are."""

    def __init__(self, database: MySQLDatabase, connection: PoolProxiedConnection) -> None:
        super().__init__(database, connection.cursor(), {})
        # Of statements that the driver puts together: a table's name and columns come before.
        self.cursor.max_stmt_length = max(10_000, min(1_000_000, database.server.packet - _ROOM))
        self.connection = connection
        self._is_mariadb = database.server.is_mariadb
        self.writer: Writer | None = None
        """Whose turn it is, where the store has the table for it."""
        self.given: tuple[Table, str, int] | None = None
        """A node that was inserted: its table, its external id, and its id."""

    def insert(self, statement: Statement, rows: Sequence[Sequence[Any]]) -> None:
        """Insert all rows: a few at once, more in as few statements as the server takes."""
        if len(rows) <= _FEW and _length(rows) <= _SHORT:
            self.send(statement.of_rows(len(rows)), [*chain.from_iterable(rows)])
        else:
            self.many(statement, rows)

    def rows_soon(self, statement: Statement, **values: Any) -> list[Row] | None:
        """As `rows`, or None where the server takes more than some milliseconds."""
        limited = copy(statement)
        limited.text = (
            f"SET STATEMENT max_statement_time = {_WALK / 1000} FOR {statement.text}"
            if self._is_mariadb
            else _MAIN.sub(rf"\g<0> /*+ MAX_EXECUTION_TIME({_WALK}) */", statement.text, count=1)
        )
        try:
            return self.rows(limited, **values)
        except pymysql.MySQLError as error:
            if code_of(error) not in _TOOK_LONG:
                raise
            return None

    def send(self, text: str, parameters: Sequence[Any]) -> None:
        """Run a statement that says nothing, some time before the next one or the end."""
        self.cursor.connection.send(self.cursor.mogrify(text, parameters))

    def flush(self) -> None:
        """Wait for the statements that were sent and not waited for."""
        self.cursor.connection.settle()


class _MLMDSession(_Session):
    """A session whose texts are stored as ML Metadata's client stores them."""

    def rows(self, statement: Statement, **values: Any) -> list[Row]:
        """Run a query; all of its rows."""
        found = super().rows(
            statement, **{name: values_as_mlmd(value) for name, value in values.items()}
        )
        return [row_from_mlmd(row) for row in found]

    def execute(self, text: str, parameters: Sequence[Any] = ()) -> None:
        """Run a statement as text."""
        super().execute(text, values_as_mlmd(parameters))

    def send(self, text: str, parameters: Sequence[Any]) -> None:
        """Run a statement that says nothing, some time before the next one or the end."""
        super().send(text, values_as_mlmd(parameters))

    def many(self, statement: Statement, rows: Iterable[Sequence[Any]]) -> None:
        """Run a statement once for each row of parameters."""
        super().many(statement, [values_as_mlmd(tuple(row)) for row in rows])


class MySQLDatabase(EngineDatabase):
    """Connections to one database of a server, or of a cluster.

    Writers take turns: a writing transaction begins with an update of the first row of
    `metastore_writer`, and in the same statement counts the transactions of its connection, which
    tells whether one whose COMMIT got no answer is written.  In stores without that table, which
    ML Metadata made, the row of `MLMDEnv` is updated instead; on Galera, where a lock is one
    node's own, to another version and back, so that the cluster sees a conflict.
    """

    strict_columns = False
    properties_at_once = 100

    @classmethod
    def schema_options(cls, dialect: Dialect) -> SchemaOptions:  # noqa: ARG003
        """ML Metadata's, with ids and numbers of 64 bits."""
        return SchemaOptions(
            integer=BigInteger(),
            text=Text().with_variant(mysql.MEDIUMTEXT(), "mysql", "mariadb"),
            binary=LargeBinary().with_variant(mysql.MEDIUMBLOB(), "mysql", "mariadb"),
            uri_index={"mysql_length": 255, "mariadb_length": 255},
            string_index={
                "mysql_length": {"string_value": 255}, "mariadb_length": {"string_value": 255}
            },
        )  # fmt: skip

    def __init__(self, config: MySQLConfig, *, location: str) -> None:
        self._connector = self.new_connector(config, location)
        self.limits = Limits()
        """What the columns of this store take; of one that we make, until it is looked at."""
        self.text = config.text
        super().__init__(config, location=location)
        self._settings = config
        self._watch_idle()

    # Connections.

    def new_connector(self, config: MySQLConfig, location: str) -> Connector:
        """What makes the connections."""
        return Connector(config, location)

    @property
    def server(self) -> Server:
        """What is known of the server."""
        found = self._connector.server
        if found is None:
            raise AssertionError("the server was not asked yet")
        return found

    def connect(self, dialect: Any, options: dict[str, Any]) -> Any:  # noqa: ARG002
        """A connection to the first host that can be used."""
        self._connector.reading = self.reading
        return self._connector.connect(database=self._settings.database)

    @contextmanager
    def outside(self) -> Iterator[Any]:
        """A cursor of a connection to no database."""
        with connecting():
            connection = self._connector.connect(database=None)
        try:
            yield connection.cursor()
        except pymysql.MySQLError as error:
            told = self.translate(error)
            raise told from None
        finally:
            if connection.open:
                connection.close()

    def opened(self) -> None:
        """From now on, a connection that fails is no failure to open."""
        super().opened()
        self._connector.opened = True

    def _watch_idle(self) -> None:
        @event.listens_for(self.engine, "checkout")
        def checkout(connection: Any, record: Any, _proxy: Any) -> None:
            used = record.info.get(_USED)
            if used is not None and not is_alive(connection, used):
                # Of the pool's words: make it anew, and all others that are as old.
                raise exc.DisconnectionError

        @event.listens_for(self.engine, "checkin")
        def checkin(_connection: Any, record: Any) -> None:
            record.info[_USED] = time.monotonic()

    def levels(self, connection: PoolProxiedConnection) -> tuple[str, str]:  # noqa: ARG002
        """Set when they are made."""
        return "", ""

    def is_lost(self, failure: BaseException, connection: PoolProxiedConnection) -> bool:
        """Whether the connection can be used no more after this error of the driver's."""
        error = driver_error(failure)
        driver: Any = connection.dbapi_connection
        lost = is_lost(error) or not getattr(driver, "open", False)
        # One of several that only reads now: another one writes.
        lost = lost or (self._connector.is_many and is_reader(error) and not self.reading)
        if lost:
            self._connector.give_up(driver)
        return lost

    def is_in_doubt(self, failure: BaseException, *, ended: bool) -> bool:
        """Whether a transaction may be committed although COMMIT failed with this error."""
        # Error during COMMIT: of a Galera node that lost its cluster meanwhile.
        if code_of(driver_error(failure)) == 1180:
            return True
        return not ended and not is_rolled_back(driver_error(failure))

    def translate(self, failure: BaseException) -> MetastoreError:
        """The error of ours that says what the driver's says."""
        error = driver_error(failure)
        if isinstance(error, exc.TimeoutError):
            return super().translate(failure)
        if is_lost(error):
            return LostConnectionError(
                f"the connection to {self.location} broke; nothing was written",
                hint="try again",
                offender=Offender("store", name=self.location),
            )
        return translate(error, self.location)

    # Transactions.

    def new_session(self, connection: PoolProxiedConnection) -> Session:
        """The session of a transaction that begins on this connection."""
        kind = _MLMDSession if self.text == "mlmd" else _Session
        return kind(self, connection)

    def end_reading(self, connection: PoolProxiedConnection) -> None:
        """Roll back, for which nobody needs to wait."""
        driver: Any = connection.dbapi_connection
        driver.send("ROLLBACK")

    def held_up(self, error: MetastoreError, attempts: int) -> None:
        """Go to another node where writers at that one win again and again.

        On one node they wait for one another in a queue; of two nodes' writers, those win that are
        quicker, and may do so for ever.
        """
        if (
            isinstance(error, BusyError)
            and attempts % _CONFLICTS == 0
            and self._connector.is_many
            and self.server.is_galera
        ):
            self._connector.move_on()
            self.engine.dispose()

    def lock(self, session: Session) -> None:
        """Wait until nobody else writes."""
        assert isinstance(session, _Session)
        if self.limits.has_writers:
            session.writer = Writer.of(session.connection.info)
            if not self.server.can_return:
                session.writer.take_turn(session)
                return
            mark = self.statement(MARK, self._mark).text.removeprefix("SELECT")
            session.notes[MARK] = session.writer.take_turn(session, f"RETURNING {mark}")
            return
        if self.server.is_galera:
            for _ in range(2):
                session.execute("UPDATE MLMDEnv SET schema_version = -schema_version")
        else:
            session.execute("UPDATE MLMDEnv SET schema_version = schema_version")

    def _mark(self) -> Select[Any]:
        # One column costs half of what four do.
        return select(func.concat_ws(literal_column("' '"), *mark_of_types(self.schema)))

    def acknowledged(self, session: Session) -> None:
        """Count the transaction."""
        assert isinstance(session, _Session)
        if session.writer is not None:
            session.writer.acknowledged()

    def was_committed(self, session: Session) -> bool | None:
        """Whether a transaction is written whose COMMIT got no answer.

        By the number of transactions of its connection; in a store without that, by a node with
        an external id that it inserted.
        """
        assert isinstance(session, _Session)
        writer, given = session.writer, session.given
        if writer is None and given is None:
            return None

        def ask() -> bool:
            try:
                with self.creation() as asking:
                    if writer is not None:
                        return writer.was_committed(asking)
                    assert given is not None
                    return self._is_there(asking, *given)
            except OutcomeUnknownError as error:
                # Of the question itself, which may be asked as often as need be.
                raise LostConnectionError(error.message, hint=error.hint) from error

        try:
            committed = self.tried_again(ask)
        except MetastoreError:
            return None
        if committed and writer is not None:
            # Not every such connection is closed: the next question is about its next transaction.
            # Only now, because a question may be asked again.
            writer.acknowledged()
        return committed

    def _is_there(self, session: Session, table: Table, external_id: str, id: int) -> bool:
        statement = self.statement(
            ("is there", table.name),
            lambda: (
                select(table.c.id)
                .where(table.c.external_id == bindparam("external_id"))
                # Waits for a transaction that has not ended yet.
                .with_for_update()
            ),
        )
        return (id,) in session.rows(statement, external_id=external_id)

    # Statements.

    def insert(self, session: Session, table: Table, rows: Sequence[Sequence[Any]]) -> list[int]:
        """Insert rows; the server gives the ids, because others may insert too.

        It says the first one of a statement whose rows are all there when it begins, and the others
        follow it by the session's increment (dev.mysql.com/doc/refman/8.4/en/
        innodb-auto-increment-handling.html, "simple inserts").  Where nodes of a cluster change it,
        MariaDB says all of them.
        """
        names = tuple(each.name for each in table.c if each.name != "id")
        statement = self.statement(
            ("insert", table.name, names, ""),
            lambda: insert(table).values({name: bindparam(name) for name in names}),
        )
        ids: list[int] = []
        for some in _portions(rows, self.server.packet):
            ids += self._insert_some(session, statement.text, some)
        assert isinstance(session, _Session)
        if "external_id" in names and session.writer is None and session.given is None:
            at = names.index("external_id")
            session.given = next(
                ((table, row[at], id) for row, id in zip(rows, ids, strict=True) if row[at]), None
            )
        return ids

    def _insert_some(
        self, session: Session, text: str, rows: Sequence[Sequence[Any]]
    ) -> Sequence[int]:
        if len(rows) == 1:
            session.execute(text, rows[0])
            return (session.cursor.lastrowid,)
        row = text.rpartition(" VALUES ")[2]
        text += f", {row}" * (len(rows) - 1)
        parameters = [*chain.from_iterable(rows)]
        if self.server.is_galera and self.server.can_return:
            session.execute(f"{text} RETURNING id", parameters)
            return [id for (id,) in session.cursor.fetchall()]
        session.execute(text, parameters)
        first: int = session.cursor.lastrowid
        step: int = session.cursor.connection.increment
        if self.server.is_galera:
            # It changes with the number of nodes.
            session.execute("SELECT @@auto_increment_increment")
            ((step,),) = session.cursor.fetchall()
        return range(first, first + len(rows) * step, step)

    def insert_links(
        self, session: Session, table: Table, columns: tuple[str, str], rows: list[tuple[int, int]]
    ) -> None:
        """Insert the pairs that are not there, also where ML Metadata inserts one meanwhile.

        Not by INSERT IGNORE, which passes over more than repetitions: what a constraint refuses.
        """
        statement = self.statement(
            ("links", table.name),
            lambda: insert(table).values({name: bindparam(name) for name in columns}),
        )
        again = f" ON DUPLICATE KEY UPDATE {columns[0]} = {columns[0]}"
        assert isinstance(session, _Session)
        for start in range(0, len(rows), _MOST_ROWS):
            some = rows[start : start + _MOST_ROWS]
            text = statement.of_rows(len(some)) if len(some) <= _FEW else _of_rows(statement, some)
            session.send(text + again, [*chain.from_iterable(some)])

    def exists(self, rows: Select[Any]) -> ColumnElement[bool]:
        """As a value: an EXISTS is made a join, in whatever order the server takes for best."""
        one: Select[Any] = rows.with_only_columns(
            literal_column("1"), maintain_column_froms=True
        ).limit(1)
        return one.scalar_subquery().is_not(None)

    # Lists are written out by the driver: the server looks each of their values up in an index.

    def list_shape(self, values: Collection[Any]) -> str:
        """What the values are: integers, texts, or none."""
        for value in values:
            if isinstance(value, int):
                return _INTEGERS
            if isinstance(value, str) and is_writable(value):
                return _TEXTS
        return _NONE

    def in_list(self, column: ColumnElement[Any], name: str, shape: str) -> ColumnElement[bool]:
        """``column IN (1, 2, 3)``."""
        if shape == _NONE or isinstance(column.type, Integer) != (shape == _INTEGERS):
            return false()
        listed = column.op("IN", is_comparison=True)(bindparam(name))
        exact = self.exact(column)
        if exact is column:
            return listed
        return listed & exact.op("IN", is_comparison=True)(bindparam(name))

    def bind_list(self, values: Collection[Any], shape: str) -> tuple[Any, ...]:
        """The values; without what no stored one is equal to."""
        if shape == _INTEGERS:
            # A literal beyond 64 bits is a decimal number, and slower to compare.
            bound: tuple[Any, ...] = tuple(
                int(each) for each in values if isinstance(each, int) and -(2**63) <= each < 2**63
            ) or (-1,)
            length = 21 * len(bound)
        else:
            bound = tuple(each for each in values if isinstance(each, str) and is_writable(each))
            length = sum(map(len, bound)) + 3 * len(bound)
        if length + _ROOM > self.server.packet:
            raise InvalidError(
                f"a list of {len(bound)} values is longer than the server of {self.location} takes",
                hint="ask for less at once, or raise its max_allowed_packet",
                offender=Offender("store", name=self.location),
            )
        return bound

    def bind_text(self, text: str) -> str | None:
        """The text; None for one that cannot be stored."""
        return text if is_writable(text) else None

    # Filters.

    @property
    def can_walk(self) -> bool:
        """Whether the server has recursive queries, as MariaDB 10.2 and MySQL 8."""
        if self.server.is_tidb:
            return False
        return self.server.version >= ((10, 2) if self.server.is_mariadb else (8,))

    def can_answer(self, filter: Filter) -> bool:
        """Whether the server answers the filter as `metastore.query` means it."""
        return can_answer(filter, plain_text=self.text != "mlmd")

    def exact(self, text: ColumnElement[Any]) -> ColumnElement[Any]:
        """The column; in stores of other collations, as one in which only equal texts are equal."""
        if not isinstance(text, Column) or not isinstance(text.type, String | Text):
            return text
        if self.limits.exact:
            return text
        return collate(cast(text, mysql.CHAR(charset="utf8mb4")), self.server.collation)

    def same(self, text: ColumnElement[Any], other: ColumnElement[Any]) -> ColumnElement[bool]:
        """Equal by the column's collation, which an index serves, and exactly."""
        exact = self.exact(text)
        return text == other if exact is text else (text == other) & (exact == other)

    def like(self, text: ColumnElement[Any], pattern: ColumnElement[Any]) -> ColumnElement[bool]:
        """The operator LIKE, of patterns that `can_answer` lets pass: of ASCII, in small letters.

        Two letters beyond ASCII have small ones within it, as which they must not be taken.
        """
        for letter in ("\u212a", "\u0130"):
            text = func.replace(text, letter, "\ufffd")
        return func.lower(text).like(func.lower(pattern), escape="\\")

    # Opening.

    def check_batch(self, batch: Batch, flavor: str) -> None:
        """Raise `InvalidError` for a batch with what the columns cannot hold."""
        self.limits.check(batch, flavor, mlmd=self.text == "mlmd", packet=self.server.packet)


def _of_rows(statement: Statement, rows: Sequence[Sequence[Any]]) -> str:
    row = statement.text.rpartition(" VALUES ")[2]
    return statement.text + f", {row}" * (len(rows) - 1)


def _length(rows: Sequence[Sequence[Any]]) -> int:
    """Bytes that the texts of the rows are sent as, at most."""
    return sum(_bytes(each) for row in rows for each in row if isinstance(each, str | bytes))


def _bytes(text: str | bytes) -> int:
    # Quotes and the like are sent as two; of UTF-8 four bytes are a letter, which each become three
    # where they are stored as ML Metadata stores them.
    return (2 if isinstance(text, bytes) or text.isascii() else 12) * len(text)


def _portions(rows: Sequence[Sequence[Any]], packet: int) -> Iterator[Sequence[Sequence[Any]]]:
    """The rows in as few portions as one statement each takes."""
    some: list[Sequence[Any]] = []
    size = 0
    most = min(_MOST_BYTES, packet // 2)
    for row in rows:
        length = _length((row,))
        if some and (len(some) == _MOST_ROWS or size + length > most):
            yield some
            some, size = [], 0
        some.append(row)
        size += length
    if some:
        yield some
