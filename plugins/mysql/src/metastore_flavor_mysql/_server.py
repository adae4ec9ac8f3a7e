"""Connections to the servers of a store: TLS, failover, and how each session is set."""

from __future__ import annotations

import ssl
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import pymysql
from pymysql.constants import CLIENT

from metastore import InvalidError, MetastoreError, Offender, OpenError
from metastore.sql import LostConnectionError
from metastore_flavor_mysql._connection import Connection
from metastore_flavor_mysql._errors import is_lost, is_unready, translate, unreachable

if TYPE_CHECKING:
    from metastore_flavor_mysql.config import Host, MySQLConfig

__all__ = ["Connector", "Server", "tls_context"]

_ASKED = (
    "auto_increment_increment",
    "completion_type",
    "cte_max_recursion_depth",
    "in_predicate_conversion_threshold",
    "lock_wait_timeout",
    "max_allowed_packet",
    "max_recursive_iterations",
    "range_optimizer_max_mem_size",
    "read_only",
    "transaction_isolation",
    "transaction_read_only",
    "tx_isolation",
    "tx_read_only",
    "version",
    "version_comment",
    "wsrep_on",
    "wsrep_sync_wait",
)
_TABLE_LOCK = 2
"""Seconds to wait for a lock on a table, before the transaction is begun anew."""


class Server(NamedTuple):
    """What is to be known of the server behind a connection."""

    is_mariadb: bool
    version: tuple[int, ...]
    is_tidb: bool
    is_galera: bool
    """Whether it is a node of a cluster of writers."""
    packet: int
    """Bytes of the longest statement that it takes."""

    @property
    def can_return(self) -> bool:
        """Whether an INSERT may answer with rows."""
        return self.is_mariadb and self.version >= (10, 5)

    @property
    def collation(self) -> str:
        """The one in which only equal texts are equal, trailing spaces included."""
        if self.is_mariadb:
            return "utf8mb4_nopad_bin"
        return "utf8mb4_0900_bin" if self.version >= (8, 0, 17) else "utf8mb4_bin"


class Connector:
    """Makes connections to the first of the hosts that can be used."""

    def __init__(self, config: MySQLConfig, location: str) -> None:
        self._config = config
        self.location = location
        """The store's URL, for errors."""
        self._hosts = config.hosts()
        self._first = 0
        self.reading = False
        self.opened = False
        """Whether there was a connection that could be used, so that one that fails is lost."""
        self.server: Server | None = None
        """Of the newest connection."""

    @property
    def is_many(self) -> bool:
        """Whether there is more than one host."""
        return len(self._hosts) > 1

    def move_on(self) -> None:
        """The next connection goes to the next host first."""
        self._first = (self._first + 1) % len(self._hosts)

    def give_up(self, connection: Any) -> None:
        """This connection was lost: the next one goes to another host first."""
        host = self._hosts[self._first]
        # Not if another thread has gone on already.
        if (getattr(connection, "host", None), getattr(connection, "port", None)) == host:
            self.move_on()

    def address(self, host: Host) -> tuple[str, int]:
        """Where a connection to that host is made: a name and a port."""
        return host

    def unreachable(self, error: pymysql.MySQLError, host: Host) -> MetastoreError:
        """What to say where no connection to that host came about."""
        where = str(self._config.socket or host)
        return unreachable(error, self.location, where, self.kind)

    def connect(self, *, database: str | None) -> Connection:
        """A connection whose session is set; to no database if it is None.

        Raises
        ------
        OpenError
            No host can be reached, or it does not let the user in.
        """
        first = self._first
        failure: MetastoreError | None = None
        for step in range(len(self._hosts)):
            number = (first + step) % len(self._hosts)
            try:
                connection = self._connect_to(self._hosts[number], database)
            except _OtherHostError as error:
                failure = failure or error.told
            else:
                self._first = number
                return connection
        assert failure is not None
        # Not inside the handler: the driver's error holds more than is to be shown.
        raise failure

    def _connect_to(self, host: Host, database: str | None) -> Connection:
        told: MetastoreError
        goes_on = True
        connection: Connection | None = None
        try:
            connection = Connection(**self._arguments(host, database))
            self._set(connection)
            return connection
        except _OtherHostError as error:
            told = error.told
        except MetastoreError as error:
            told, goes_on = error, False
        except pymysql.MySQLError as error:
            goes_on = is_unready(error)
            lost = is_lost(error)
            told = self.unreachable(error, host) if lost else translate(error, self.location)
        except RuntimeError as error:
            # PyMySQL's, where a package is missing that the way to log in needs.
            told = OpenError(
                f"the driver cannot log in to {self.location} ({error})",
                hint="pip install 'PyMySQL[rsa,ed25519]'",
                offender=Offender("store", name=self.location),
            )
            goes_on = False
        if connection is not None and connection.open:
            connection.close()
        told.__context__ = None
        if goes_on:
            raise _OtherHostError(told) from None
        raise told

    @property
    def kind(self) -> type[MetastoreError]:
        """The error for a connection that does not come about."""
        return LostConnectionError if self.opened else OpenError

    def _arguments(self, host: Host, database: str | None) -> dict[str, Any]:
        config = self._config
        name, port = self.address(host)
        arguments: dict[str, Any] = {
            "host": name,
            "port": port,
            "user": config.user,
            "database": database,
            "charset": "utf8mb4",
            "autocommit": None,
            "connect_timeout": config.connect_timeout,
            "read_timeout": config.timeout,
            "write_timeout": config.timeout,
            "program_name": "metastore",
            # An UPDATE says how many rows it found, not how many it changed.
            "client_flag": CLIENT.FOUND_ROWS,
            # First: also what is asked next would be cut.
            "init_command": "SET sql_select_limit = 18446744073709551615",
        }
        if config.socket is not None:
            arguments["unix_socket"] = str(config.socket)
        if config.wants_tls:
            arguments["ssl"] = tls_context(config, self.location)
        elif config.tls is False or config.socket is not None:
            arguments["ssl_disabled"] = True
        # Last, and in no variable: an error above may be shown with all of them.  As bytes: the
        # driver would encode a text as latin1.
        secret = config.password
        return arguments | {"password": b"" if secret is None else secret.reveal().encode()}

    def _set(self, connection: Connection) -> None:
        """Learn what the server is, and set the session to what all statements expect."""
        with connection.cursor() as cursor:
            cursor.execute("SHOW VARIABLES WHERE Variable_name IN %s", (_ASKED,))
            found = {str(name).lower(): str(value) for name, value in cursor.fetchall()}
            server = _server_of(found)
            if server.is_galera:
                self._check_node(cursor)
            if found.get("read_only") == "ON" and not self.reading and len(self._hosts) > 1:
                told = self.kind(
                    f"of the servers of {self.location}, only one that reads answers",
                    hint="see whether the one that writes runs, or open the store for reading",
                    offender=Offender("store", name=self.location),
                )
                raise _OtherHostError(told)
            assignments = [f"{name} = {value}" for name, value in self._settings(found, server)]
            cursor.execute("SET " + ", ".join(assignments))
        connection.increment = int(found.get("auto_increment_increment", 1))
        self.server = server

    def _settings(self, found: dict[str, str], server: Server) -> list[tuple[str, str]]:
        level = "transaction_isolation" if "transaction_isolation" in found else "tx_isolation"
        access = "transaction_read_only" if "transaction_read_only" in found else "tx_read_only"
        # A writer reads behind the lock, and there InnoDB's snapshot begins; TiDB's began before.
        isolation = "READ-COMMITTED" if server.is_tidb and not self.reading else "REPEATABLE-READ"
        waiting = max(1, min(int(self._config.busy_timeout), 3600))
        settings = [
            ("autocommit", "0"),
            # What does not fit is an error, never cut; and backslashes and quotes are MySQL's own.
            ("sql_mode", "'STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION'"),
            ("collation_connection", f"'{server.collation}'"),
            (level, f"'{isolation}'"),
        ]
        if not server.is_tidb:
            settings.append(("innodb_lock_wait_timeout", str(waiting)))
        if "completion_type" in found:
            # Whoever commits does not want to be disconnected.
            settings.append(("completion_type", "'NO_CHAIN'"))
        if "lock_wait_timeout" in found:
            # Of locks on tables. A node of Galera that hands its data to another one waits for all
            # transactions, and keeps their next statements waiting: who gives up, lets it go on.
            settings.append(("lock_wait_timeout", str(min(waiting, _TABLE_LOCK))))
        if self.reading and access in found:
            settings.append((access, "1"))
        if server.is_galera:
            # Without it, a node may answer with what was there a moment before.
            settings.append(("wsrep_sync_wait", "7"))
        # Of MariaDB and of MySQL, how far a lineage goes; MariaDB cuts it without a word.
        depths = {"max_recursive_iterations", "cte_max_recursion_depth"} & found.keys()
        settings += [(name, "4294967295") for name in depths]
        if "in_predicate_conversion_threshold" in found:
            # MariaDB makes a table of a list, and sorts what it joins to it, on the disk where a
            # column is long; a page of ids is looked up in half of the time.
            settings.append(("in_predicate_conversion_threshold", "10000"))
        if "range_optimizer_max_mem_size" in found:
            # A long list would be answered by reading the whole table.
            settings.append(("range_optimizer_max_mem_size", "0"))
        return settings

    def _check_node(self, cursor: Any) -> None:
        cursor.execute("SHOW STATUS LIKE 'wsrep_ready'")
        row = cursor.fetchone()
        if row is not None and row[1] != "ON":
            told = self.kind(
                f"the nodes of {self.location} that answer are not part of a cluster now",
                hint="see whether most nodes run",
                offender=Offender("store", name=self.location),
            )
            raise _OtherHostError(told)


class _OtherHostError(Exception):
    """This host cannot be used, and another one may."""

    def __init__(self, told: MetastoreError) -> None:
        super().__init__()
        self.told = told


def _server_of(found: dict[str, str]) -> Server:
    # MariaDB behind a proxy may call itself 5.5.5-10.11.6-MariaDB.
    text = found.get("version", "").removeprefix("5.5.5-")
    numbers = text.partition("-")[0].split(".")
    everything = f"{text} {found.get('version_comment', '')}".lower()
    return Server(
        is_mariadb="mariadb" in everything,
        version=tuple(int(each) for each in numbers if each.isdecimal()),
        is_tidb="tidb" in everything,
        is_galera=found.get("wsrep_on") == "ON",
        packet=int(found.get("max_allowed_packet", 1 << 24)),
    )


def tls_context(config: MySQLConfig, location: str) -> ssl.SSLContext:
    """What the driver checks the server with, and shows of the client.

    Raises
    ------
    InvalidError
        A file is not there, or holds no certificate or key.
    """
    try:
        context = ssl.create_default_context(
            cafile=None if config.tls_ca is None else str(config.tls_ca)
        )
    except OSError as error:
        raise _bad_file("tls_ca", str(config.tls_ca), error, location) from error
    # Python 3.13 is stricter than the certificates that servers make themselves.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if config.tls_cert is not None:
        assert config.tls_key is not None
        try:
            context.load_cert_chain(config.tls_cert, config.tls_key, password=_no_password)
        except (OSError, ValueError) as error:
            raise _bad_file("tls_cert or tls_key", str(config.tls_cert), error, location) from error
    if config.tls_verify in ("ca", "none"):
        context.check_hostname = False
    if config.tls_verify == "none":
        context.verify_mode = ssl.CERT_NONE
    return context


def _no_password() -> str:
    # Without it, OpenSSL asks whoever sits at the terminal.
    raise ValueError("the key is encrypted")


def _bad_file(setting: str, path: str, error: Exception, location: str) -> InvalidError:
    if isinstance(error, ssl.SSLError):
        why = "it holds no certificate and key that belong together"
    else:
        why = getattr(error, "strerror", None) or str(error)
    return InvalidError(
        f"the file of {setting}, {path!r}, cannot be used ({why})",
        hint="give a file in PEM form that this user may read",
        offender=Offender("store", name=location, property=setting),
    )


IDLE = 1.0
"""Seconds after which a connection that nobody used is asked whether it still is one."""


def is_alive(connection: Connection, used: float) -> bool:
    """Whether the server answers, where the last use is long ago."""
    if time.monotonic() - used < IDLE:
        return connection.open
    try:
        connection.settle()
        connection.ping(reconnect=False)
    except pymysql.MySQLError:
        return False
    return True
