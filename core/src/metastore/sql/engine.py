"""`EngineDatabase`: any database that SQLAlchemy has a dialect for, through an engine's pool.

It knows none of them by name.  What a database can do is asked of its dialect and of itself.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any, TypeVar

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    SmallInteger,
    String,
    Table,
    func,
    select,
    update,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import CompileError, TimeoutError
from sqlalchemy.pool import PoolProxiedConnection

from metastore.batch import Batch
from metastore.errors import (
    BusyError,
    ClosedError,
    ForkError,
    MetastoreError,
    Offender,
    OpenError,
    OutcomeUnknownError,
)
from metastore.forks import connecting, keep_for_ever, watch_forks
from metastore.plugins._secret import Secret
from metastore.sql import engine_lists
from metastore.sql.database import Database, Session
from metastore.sql.engine_config import EngineConfig, FileConfig
from metastore.sql.engine_errors import (
    LostConnectionError,
    clean,
    driver_error,
    raise_cleanly,
    translate,
)
from metastore.sql.engine_limits import check_texts
from metastore.sql.engine_making import engine_of
from metastore.sql.schema import Schema, SchemaOptions

__all__ = ["EngineDatabase"]

_T = TypeVar("_T")

_ONE_STATE = ("SNAPSHOT", "REPEATABLE READ", "SERIALIZABLE")
"""Isolation levels in which all reads of a transaction see one state; the first of them is taken.

SNAPSHOT comes first: who has it has a REPEATABLE READ that lets new rows appear.
"""
_LEVEL = "metastore isolation level"


class EngineDatabase(Database):
    """A database behind a SQLAlchemy engine.

    A writing transaction begins with an update of the one row of `MLMDEnv`, and so waits until it
    is the only one; how long, is the database's setting (``lock_timeout`` and the like).  Ids are
    the highest one and one more.  A reading transaction sees one state.

    Lists come as JSON in one parameter.  Text with a NUL is stored as a value of a property only.

    A flavor that leaves filters to its database derives from this class, makes `like`,
    `text_function` and, where that helps, `unindexed` say what `metastore.query` means, adds
    indexes on values to `schema_options`, names the class as its store's `DATABASE`, and declares
    the capability `native_filter`; text with a NUL is then found by no filter.
    """

    strict_columns = True

    @classmethod
    def schema_options(cls, dialect: Dialect) -> SchemaOptions:
        """How the tables are made; by default for any database.

        Names have no limit where the database needs none, and 255 characters elsewhere.
        """
        return SchemaOptions(
            integer=BigInteger(),
            name=_name_type(dialect),
            boolean=SmallInteger(),
            autoincrement=False,
            # An index of a hash has no limit of length; of a prefix, neither.
            uri_index={"postgresql_using": "hash", "mysql_length": 255, "mariadb_length": 255},
            value_indexes=False,
        )

    def __init__(self, config: EngineConfig, *, location: str) -> None:
        super().__init__()
        self.location = location
        self._config = config
        self.engine = engine_of(config, location, self._connect)
        self.dialect = self.engine.dialect
        self.schema = _schema_of(type(self), self.dialect)
        self._form: str | None = None
        self._levels: tuple[str, str] | None = None
        """Isolation levels of reading and of writing transactions."""
        self._begins = False
        """Whether we begin transactions, because the driver would begin them too late."""
        self.reading = False
        """Whether the store is open for reading only."""
        self._opened = False
        self._closed = False
        self._lent: set[PoolProxiedConnection] = set()
        self._in_use_at_fork = False
        watch_forks(self)

    # Connections.

    def connect(self, dialect: Any, options: dict[str, Any]) -> Any:
        """A new connection of the driver's; SQLAlchemy's `Dialect` and arguments of its own.

        The password is revealed for each one.
        """
        arguments, own = dialect.create_connect_args(self._config.url())
        return dialect.connect(*arguments, **{**options, **own})

    def _connect(self, dialect: Any, options: dict[str, Any]) -> Any:
        with connecting():
            return self.connect(dialect, options)

    def _take(self, *, write: bool) -> PoolProxiedConnection:
        """A connection of the pool, in the isolation level that is needed."""
        failure: BaseException
        connection: PoolProxiedConnection | None = None
        try:
            connection = self._pooled()
            if self._levels is None:
                self._levels = self.levels(connection)
            level = self._levels[write]
            if level and connection.info.get(_LEVEL) != level:
                self.dialect.set_isolation_level(connection.dbapi_connection, level)  # type: ignore[arg-type]
                connection.info[_LEVEL] = level
            self._lent.add(connection)
            return connection
        except Exception as error:  # noqa: BLE001 - a driver's, of whatever class
            failure = error
        if connection is not None:
            connection.close()
        if isinstance(failure, MetastoreError):
            raise failure
        return raise_cleanly(self._unreachable(failure), clean(failure, self.secrets()))

    def _pooled(self) -> PoolProxiedConnection:
        deadline = time.monotonic() + self._config.busy_timeout
        while True:
            self._check_usable()
            try:
                connection = self.engine.raw_connection()
            except TimeoutError:
                # All are in use.  A pool waits a short time, because it does not say when it is
                # closed.
                if time.monotonic() > deadline:
                    raise
                continue
            if not self._closed:
                return connection
            connection.close()
            self.engine.pool.dispose()

    def _unreachable(self, failure: BaseException) -> MetastoreError:
        told = self.translate(failure)
        offender = Offender("store", name=self.location)
        if isinstance(told, BusyError):
            return told
        if self._opened:
            return LostConnectionError(
                f"the database of {self.location} cannot be reached",
                hint="see whether it runs; nothing was written",
                offender=offender,
            )
        if isinstance(told, OpenError):
            return told
        shown = clean(failure, self.secrets())
        why = type(driver_error(failure)).__name__ if shown is None else str(shown)
        return OpenError(
            f"{self.location} cannot be opened ({why})",
            hint="check host, port, user and password, and whether the database runs",
            offender=offender,
        )

    def secrets(self) -> tuple[str, ...]:
        """What no message may hold."""
        texts = []
        for each in (getattr(self._config, name) for name in type(self._config).model_fields):
            if isinstance(each, Secret):
                with suppress(MetastoreError):
                    texts.append(each.reveal())
        return tuple(texts)

    def levels(self, connection: PoolProxiedConnection) -> tuple[str, str]:
        """The isolation levels of reading and of writing transactions, asked once.

        An empty text: connections have it already.
        """
        driver: Any = connection.dbapi_connection
        try:
            offered = self.dialect.get_isolation_level_values(driver)
        except NotImplementedError:
            offered = ()
        reading = next((each for each in _ONE_STATE if each in offered), None)
        if reading is None:
            raise OpenError(
                f"the database of {self.location} gives a transaction no state of its own",
                hint="it needs one of the isolation levels " + ", ".join(_ONE_STATE),
                offender=Offender("store", name=self.location),
            )
        if "AUTOCOMMIT" in offered and _begins_late(driver):
            self._begins = True
            return "AUTOCOMMIT", "AUTOCOMMIT"
        # What is read behind the lock must be what was committed before it.
        return reading, "READ COMMITTED" if "READ COMMITTED" in offered else reading

    def _give_back(self, connection: PoolProxiedConnection) -> None:
        self._lent.discard(connection)
        connection.close()
        if self._closed:
            self.engine.pool.dispose()

    def _check_usable(self) -> None:
        if self._closed:
            raise ClosedError(
                f"the store {self.location} is closed", hint="open it again with connect()"
            )
        if self._in_use_at_fork:
            raise ForkError(
                f"the parent process was using {self.location} while it forked this one",
                hint="fork while no thread uses the store, or start the process anew (spawn)",
            )

    def give_up_idle(self) -> None:
        """Close what no thread is using, before a fork."""
        self.engine.pool.dispose()

    def leave_parent(self) -> None:
        """Begin anew in a forked child."""
        if self._lent:
            # To end them here would roll back what the parent does over the same connection.
            keep_for_ever((self._lent, self.engine.pool))
            # A file's locks are this process's as far as the driver knows, and are not.
            self._in_use_at_fork = isinstance(self._config, FileConfig)
            self._lent = set()
        self.engine.dispose(close=False)

    def close(self) -> None:
        """Close every connection that is not in use; the others when they come back."""
        # In this order: who gives a connection back later sees that the store is closed.
        self._closed = True
        self.engine.pool.dispose()

    # Transactions.

    def session(self, *, write: bool) -> AbstractContextManager[Session]:
        """A transaction, the only one that writes or one that sees one state."""
        return self._session(write=write, lock=write)

    def new_session(self, connection: PoolProxiedConnection) -> Session:
        """The session of a transaction that begins on this connection."""
        return Session(self, connection.cursor(), {})

    def lock(self, session: Session) -> None:
        """Wait until nobody else writes; nobody does then until the transaction ends."""
        session.execute(self.statement("lock", self._lock).text)

    def acknowledged(self, session: Session) -> None:
        """The database has said that a writing transaction is committed."""

    def was_committed(self, session: Session) -> bool | None:  # noqa: ARG002
        """Whether a transaction whose connection broke in COMMIT is; None: nobody can tell.

        Asked after the connection was closed.
        """
        return None

    def creation(self) -> AbstractContextManager[Session]:
        """A writing transaction where there is no table yet whose row could be locked."""
        return self._session(write=True, lock=False)

    @contextmanager
    def _session(self, *, write: bool, lock: bool) -> Iterator[Session]:
        process = os.getpid()
        connection = self._take(write=write)
        failure: BaseException | None = None
        committing = committed = over = broken = ended = False
        session: Session | None = None
        try:
            session = self.new_session(connection)
            if self._begins:
                session.execute("BEGIN")
            if lock:
                self.lock(session)
            yield session
            self._check_process(process)
            session.flush()
            if write:
                committing = True
                self._end(connection, "COMMIT")
                committed = over = True
            else:
                # What was read is right, whatever becomes of this.
                with suppress(Exception):
                    self.end_reading(connection)
                    over = True
        except MetastoreError:
            raise
        except Exception as error:
            # In the block also others raise, whose errors go on unchanged.
            if not committing and not isinstance(error, self._driver_errors()):
                raise
            failure = error
            broken = process == os.getpid() and self.is_lost(error, connection)
        except BaseException:
            # In the middle of an answer, for all we know: the next one to read would get its rest.
            broken = True
            raise
        finally:
            if process == os.getpid():
                ended = self._abandon(connection, broken=broken, over=over)
        if committed and session is not None:
            self.acknowledged(session)
        if failure is not None:
            self._check_process(process)
            outcome: bool | None = False
            if committing and session is not None and self.is_in_doubt(failure, ended=ended):
                outcome = self.was_committed(session)
            told = self._told(failure, ended=ended, outcome=outcome)
            cause = clean(failure, self.secrets())
            # A variable of this frame, which a traceback may show.
            failure = None
            if not outcome:
                raise_cleanly(told, cause)

    def _lock(self) -> Any:
        version = self.schema.env.c.schema_version
        return update(self.schema.env).values({version.name: version})

    def _check_process(self, process: int) -> None:
        if process != os.getpid():
            raise ForkError(
                f"the transaction on {self.location} is one of the parent process",
                hint="fork outside of transactions",
            )

    def _end(self, connection: PoolProxiedConnection, word: str) -> None:
        if self._begins:
            connection.cursor().execute(word)
        elif word == "COMMIT":
            connection.commit()
        else:
            connection.rollback()

    def end_reading(self, connection: PoolProxiedConnection) -> None:
        """End a transaction that has only read, and in which nothing went wrong."""
        self._roll_back(connection)

    def _roll_back(self, connection: PoolProxiedConnection) -> None:
        driver: Any = connection.dbapi_connection
        if not self._begins or driver.in_transaction:
            self._end(connection, "ROLLBACK")

    def _abandon(self, connection: PoolProxiedConnection, *, broken: bool, over: bool) -> bool:
        """Roll back what was not committed, and give the connection back; False if that failed."""
        ended = over
        if not (broken or over):
            with suppress(Exception):
                self._roll_back(connection)
                ended = True
        if not ended:
            with suppress(Exception):
                connection.invalidate()
        self._give_back(connection)
        return ended

    def _driver_errors(self) -> tuple[type[Exception], ...]:
        return self.dialect.loaded_dbapi.Error, UnicodeEncodeError, OverflowError

    def is_lost(self, failure: BaseException, connection: PoolProxiedConnection) -> bool:
        """Whether the connection can be used no more after this error of the driver's."""
        error = driver_error(failure)
        if isinstance(error, OSError):
            return True
        driver = connection.dbapi_connection
        return isinstance(error, self.dialect.loaded_dbapi.Error) and self.dialect.is_disconnect(
            error,
            driver,
            None,
        )

    def is_in_doubt(self, failure: BaseException, *, ended: bool) -> bool:  # noqa: ARG002
        """Whether a transaction may be committed although COMMIT failed with this error.

        `ended`: it was rolled back afterwards, as far as the database said.
        """
        return not ended

    def translate(self, failure: BaseException) -> MetastoreError:
        """The error of ours that says what the driver's says."""
        return translate(failure, self.dialect, self.location)

    def _told(self, failure: BaseException, *, ended: bool, outcome: bool | None) -> MetastoreError:
        offender = Offender("store", name=self.location)
        if ended and outcome is not None:
            return self.translate(failure)
        if outcome is None:
            return OutcomeUnknownError(
                f"the connection to {self.location} broke while it committed: the batch is written "
                "whole, or not at all",
                hint="look whether it is there before you write it again",
                offender=offender,
            )
        return LostConnectionError(
            f"the connection to {self.location} broke; nothing was written",
            hint="try again",
            offender=offender,
        )

    def tried_again(self, attempt: Callable[[], _T]) -> _T:
        """What `attempt` returns, once others or a lost connection do not keep it from happening.

        Raises
        ------
        BusyError, LostConnectionError
            They do for `EngineConfig.busy_timeout` seconds.
        """
        deadline = time.monotonic() + self._config.busy_timeout
        pause = 0.01
        attempts = 0
        while True:
            try:
                return attempt()
            except (BusyError, LostConnectionError) as error:
                # Of a write, neither was committed.
                if time.monotonic() + pause > deadline:
                    raise
                attempts += 1
                self.held_up(error, attempts)
            time.sleep(random.uniform(0, pause))
            pause = min(2 * pause, 1.0)

    def held_up(self, error: MetastoreError, attempts: int) -> None:
        """So many attempts failed, the last one with this error; another one follows."""

    @contextmanager
    def translated(self) -> Iterator[None]:
        """What SQLAlchemy itself does inside the block raises errors of ours."""
        self._check_usable()
        failure: BaseException | None = None
        try:
            yield
        except MetastoreError:
            raise
        except Exception as error:  # noqa: BLE001 - a driver's, of whatever class
            failure = error
        if failure is not None:
            raise_cleanly(self._unreachable(failure), clean(failure, self.secrets()))

    @contextmanager
    def answering(self) -> Iterator[None]:
        """Errors of the driver inside the block, in the midst of a session, are ones of ours."""
        failure: BaseException | None = None
        try:
            yield
        except MetastoreError:
            raise
        except self._driver_errors() as error:
            failure = error
        if failure is not None:
            raise_cleanly(self.translate(failure), clean(failure, self.secrets()))

    # Statements.

    def insert(self, session: Session, table: Table, rows: Sequence[Sequence[Any]]) -> list[int]:
        """Insert rows with the next ids: nobody else gives any until this transaction ends."""
        ids = self._next_ids(session, table, len(rows))
        columns = tuple(each.name for each in table.c)
        self.insert_rows(
            session, table, columns, [(id, *row) for id, row in zip(ids, rows, strict=True)]
        )
        return ids

    def _next_ids(self, session: Session, table: Table, count: int) -> list[int]:
        notes = session.notes.setdefault("next ids", {})
        if table.name not in notes:
            last = self.statement(("last id", table.name), lambda: select(func.max(table.c.id)))
            notes[table.name] = (session.rows(last)[0][0] or 0) + 1
        first = notes[table.name]
        notes[table.name] += count
        return list(range(first, first + count))

    def insert_links(
        self, session: Session, table: Table, columns: tuple[str, str], rows: list[tuple[int, int]]
    ) -> None:
        """Insert the pairs that are not there; nobody else writes any meanwhile."""
        near, far = (table.c[each] for each in columns)
        bound = {
            name: self.bind_list({row[at] for row in rows}, "integers")
            for at, name in enumerate(("near", "far"))
        }
        statement = self.statement(
            ("links of", table.name),
            lambda: select(near, far).where(
                self.in_list(near, "near", "integers"), self.in_list(far, "far", "integers")
            ),
        )
        there = set(session.rows(statement, **bound))
        missing = [row for row in dict.fromkeys(rows) if row not in there]
        if missing:
            self.insert(session, table, missing)

    # Lists.

    def list_shape(self, values: Collection[Any]) -> str:
        """What the values are: integers, texts, or none."""
        return engine_lists.list_shape(values)

    def in_list(self, column: ColumnElement[Any], name: str, shape: str) -> ColumnElement[bool]:
        """``column IN (SELECT ... FROM the JSON array)``, in the words that the database knows."""
        if self._form is None:
            raise AssertionError("the database was not asked how it opens a JSON array")
        return engine_lists.in_list(column, name, shape, self._form, self.dialect)

    def bind_list(self, values: Collection[Any], shape: str) -> Any:
        """The list as JSON."""
        return engine_lists.bind_list(values, shape)

    def bind_text(self, text: str) -> str | None:
        """The text; None for one that cannot be stored."""
        return text if engine_lists.is_storable(text) else None

    # Opening.

    def check_batch(self, batch: Batch, flavor: str) -> None:
        """Raise `InvalidError` for a batch with what the database cannot hold."""
        limit = getattr(self.schema.type.c.name.type, "length", None)
        check_texts(batch, flavor=flavor, limit=limit)

    def find_form(self) -> None:
        """Find the words that open a JSON array; raises `OpenError`."""
        if self._form is None:
            self._form = engine_lists.find_form(
                self.dialect, lambda: self._session(write=False, lock=False), self.location
            )

    def opened(self) -> None:
        """From now on, a connection that fails is no failure to open."""
        self._opened = True


_schemas: dict[Any, Schema] = {}


def _schema_of(kind: type[EngineDatabase], dialect: Dialect) -> Schema:
    """The tables, made once: before it connects, all that is known of a dialect is its class."""
    key = kind, type(dialect)
    found = _schemas.get(key)
    if found is None:
        found = _schemas[key] = Schema(kind.schema_options(dialect))
    return found


def _begins_late(driver: Any) -> bool:
    """Whether a SELECT is no part of a transaction, as far as the driver says."""
    if not isinstance(getattr(driver, "in_transaction", None), bool):
        return False
    cursor = driver.cursor()
    try:
        cursor.execute("SELECT 1")
        cursor.fetchall()
        return not driver.in_transaction
    finally:
        cursor.close()


def _name_type(dialect: Dialect) -> String:
    """Texts without a limit, where the database indexes these under the same name."""
    try:
        unlimited = "(" not in dialect.type_compiler_instance.process(String())
    except CompileError:
        unlimited = False
    return String() if unlimited else String(255)
