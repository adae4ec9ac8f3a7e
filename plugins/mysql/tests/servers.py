"""Private servers for the tests: in temporary folders, on free ports of this machine.

MariaDB, alone, with TLS, and as a Galera cluster of three; Oracle's MySQL from Debian's next
release, unpacked beside the system's own programs.  Each knows how it is started again.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import pymysql

from metastore_flavor_mysql import MySQLConfig

from .install import MYSQL_ROOT

__all__ = ["Cluster", "MissingServerError", "Server", "galera", "mariadb", "mysql9"]

_SYSTEM_ACCOUNT = "mysql"
_START = 60.0
"""Seconds that a server may take to start, on a machine that does other things too."""


class MissingServerError(RuntimeError):
    """A program is not installed."""


@dataclass
class Server:
    """One server process, or one that can be started again."""

    folder: Path
    port: int
    password: str
    """Of the administrator, and a part of all others."""
    command: Sequence[str]
    environment: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    ready: str = "SELECT 1"
    """A statement whose first row ends with the answer `answer` once the server is ready."""
    answer: Any = 1
    free: list[str] = field(default_factory=list)
    """Databases with an empty store that nobody uses."""
    _numbers: count[int] = field(default_factory=lambda: count(1))

    def start(self, *more: str) -> None:
        """Start it, and wait until it answers."""
        log = self.folder / "error.log"
        with (self.folder / "output").open("ab") as output:
            self.process = subprocess.Popen(
                [*self.command, *more],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=os.environ | self.environment,
                # Not ended by a Ctrl-C to the tests, before they are.
                start_new_session=True,
            )
        deadline = time.monotonic() + _START
        while True:
            try:
                row = self.run(self.ready)[0]
                if row[-1] == self.answer:
                    return
            except (pymysql.MySQLError, IndexError):
                pass
            if self.process.poll() is not None or time.monotonic() > deadline:
                told = log.read_text(errors="replace")[-3000:] if log.exists() else ""
                raise AssertionError(f"the server does not start:\n{told}")
            time.sleep(0.05)

    def kill(self) -> None:
        """End it as a crash does."""
        assert self.process is not None
        # With the scripts that a node of Galera runs to hand over its data.
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        """End it, whether it runs or not; nothing is kept."""
        if self.process is not None and self.process.poll() is None:
            self.kill()

    def connect(
        self, *, kind: Callable[..., Any] = pymysql.connect, **arguments: Any
    ) -> pymysql.connections.Connection[Any]:
        """A connection of the administrator's, in autocommit; `kind` makes it."""
        return kind(  # type: ignore[no-any-return]
            **{
                "host": "127.0.0.1",
                "port": self.port,
                "user": "admin",
                "password": self.password,
                "autocommit": True,
                "charset": "utf8mb4",
                "read_timeout": 60,
                **arguments,
            }
        )

    def run(self, *statements: str, database: str | None = None) -> Any:
        """Run statements as the administrator; the rows of the last one."""
        connection = self.connect(database=database)
        with contextlib.closing(connection), connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return cursor.fetchall()

    def new_database(self, options: str = "CHARACTER SET utf8mb4") -> str:
        """A new database with a user of its name who may do everything in it."""
        name = f"d{next(self._numbers)}_{secrets.token_hex(3)}"
        self.run(
            f"CREATE DATABASE {name} {options}",
            f"CREATE USER {name}@'%' IDENTIFIED BY '{self.password_of(name)}'",
            f"GRANT ALL ON {name}.* TO {name}@'%'",
        )
        return name

    def password_of(self, user: str) -> str:
        """The password of a user."""
        return self.password if user == "admin" else f"{self.password}-{user}"

    def config(self, database: str | None = None, **fields: Any) -> MySQLConfig:
        """The config of a store in a database; in a new one by default."""
        database = database or self.new_database()
        return MySQLConfig(
            **{
                "host": "127.0.0.1",
                "port": self.port,
                "user": database,
                "password": self.password_of(database),
                "database": database,
                **fields,
            }
        )

    def url(self, database: str) -> str:
        """The URL of the store in a database, with its password."""
        return f"mysql://{database}:{self.password_of(database)}@127.0.0.1:{self.port}/{database}"


class Cluster:
    """Nodes of which each can be killed and started again."""

    def __init__(self, nodes: list[Server]) -> None:
        self.nodes = nodes

    @property
    def hosts(self) -> str:
        """All of them, as a config names them."""
        return ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)

    def config(self, database: str | None = None, *, first: int = 0, **fields: Any) -> MySQLConfig:
        """The config of a store that is on all nodes, of which that one is tried first."""
        nodes = [*self.nodes[first:], *self.nodes[:first]]
        hosts = ",".join(f"127.0.0.1:{node.port}" for node in nodes)
        return self.nodes[first].config(database, **{"host": hosts, "port": None, **fields})


def free_ports(number: int) -> list[int]:
    """Ports that nobody listens on."""
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(number)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


def _program(*names: str) -> str:
    for name in names:
        found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
        if found:
            return found
    raise MissingServerError(f"there is no program {names[0]}; `python tests/install.py` brings it")


def _account() -> str:
    """Who the servers run as: root may not."""
    if os.geteuid() != 0:
        return pwd.getpwuid(os.geteuid()).pw_name
    try:
        pwd.getpwnam(_SYSTEM_ACCOUNT)
    except KeyError:
        raise MissingServerError("there is no user mysql, and root may not run a server") from None
    return _SYSTEM_ACCOUNT


@contextmanager
def temporary_folder(prefix: str) -> Iterator[Path]:
    """A folder that the servers may enter, while the block lasts."""
    # Not below pytest's folder: its name is too long for a socket file, and closed to others.
    folder = Path(tempfile.mkdtemp(prefix=f"metastore-{prefix}-"))
    try:
        _hand_over(folder)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _hand_over(folder: Path) -> None:
    if os.geteuid() == 0:
        shutil.chown(folder, _account())


_COMMON = (
    "--character-set-server=utf8mb4",
    "--skip-name-resolve",
    "--performance-schema=0",
    "--innodb-buffer-pool-size=64M",
    "--innodb-use-native-aio=0",
    "--max-allowed-packet=64M",
    "--max-connections=400",
    # What is acknowledged survives the death of the process; the machine's is not tested.
    "--innodb-flush-log-at-trx-commit=2",
)


def _mariadb_command(folder: Path, port: int, *more: str) -> list[str]:
    return [
        _program("mariadbd", "mysqld"),
        "--no-defaults",
        f"--user={_account()}",
        f"--datadir={folder / 'data'}",
        f"--tmpdir={folder}",
        f"--socket={folder / 's'}",
        f"--pid-file={folder / 'pid'}",
        f"--log-error={folder / 'error.log'}",
        "--bind-address=127.0.0.1",
        f"--port={port}",
        "--lc-messages-dir=/usr/share/mysql",
        "--innodb-log-file-size=32M",
        *_COMMON,
        *more,
    ]


def _admin(password: str) -> str:
    return (
        f"CREATE USER admin@'%' IDENTIFIED BY '{password}';\n"
        "GRANT ALL ON *.* TO admin@'%' WITH GRANT OPTION;\n"
    )


def _install_mariadb(folder: Path, password: str) -> None:
    """Make the system tables, and the administrator without a network."""
    data = folder / "data"
    data.mkdir()
    _hand_over(data)
    subprocess.run(
        [
            _program("mariadb-install-db", "mysql_install_db"),
            "--no-defaults",
            f"--user={_account()}",
            f"--datadir={data}",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
            "--skip-name-resolve",
            "--innodb-log-file-size=32M",
            "--innodb-flush-log-at-trx-commit=0",
            "--innodb-use-native-aio=0",
        ],
        check=True,
        capture_output=True,
    )
    bootstrap = [
        _program("mariadbd", "mysqld"),
        "--no-defaults",
        f"--user={_account()}",
        f"--datadir={data}",
        "--bootstrap",
        "--lc-messages-dir=/usr/share/mysql",
        "--innodb-log-file-size=32M",
        "--innodb-use-native-aio=0",
    ]
    script = "use mysql;\nFLUSH PRIVILEGES;\n" + _admin(password)
    script += "DELETE FROM mysql.global_priv WHERE User = 'root';\nFLUSH PRIVILEGES;\n"
    subprocess.run(bootstrap, input=script.encode(), check=True, capture_output=True)


@contextmanager
def mariadb(*more: str) -> Iterator[Server]:
    """A MariaDB server, while the block lasts."""
    with temporary_folder("mariadb") as folder:
        password = secrets.token_hex(8)
        (port,) = free_ports(1)
        _install_mariadb(folder, password)
        command = _mariadb_command(folder, port, "--skip-log-bin", *more)
        server = Server(folder, port, password, command)
        try:
            server.start()
            yield server
        finally:
            server.stop()


# Galera.

_PROVIDERS = ("/usr/lib/galera/libgalera_smm.so", "/usr/lib64/galera-4/libgalera_smm.so")


@contextmanager
def galera(size: int = 3) -> Iterator[Cluster]:
    """A Galera cluster, while the block lasts."""
    provider = next((each for each in _PROVIDERS if Path(each).exists()), None)
    if provider is None:
        raise MissingServerError("there is no Galera; `python tests/install.py` brings it")
    _program("rsync")
    with temporary_folder("galera") as folder:
        password = secrets.token_hex(8)
        # Of each: SQL, the cluster's, and two for handing over what a node lacks.
        ports = [free_ports(4) for _ in range(size)]
        address = "gcomm://" + ",".join(f"127.0.0.1:{each[1]}" for each in ports)
        nodes = []
        for number, (sql, group, one_by_one, all_at_once) in enumerate(ports):
            own = folder / f"n{number}"
            own.mkdir()
            _hand_over(own)
            provider_options = {
                "gmcast.listen_addr": f"tcp://127.0.0.1:{group}",
                "ist.recv_addr": f"127.0.0.1:{one_by_one}",
                "gcache.size": "32M",
                # So that the others miss a dead node in seconds.
                "evs.keepalive_period": "PT0.5S",
                "evs.suspect_timeout": "PT2S",
                "evs.inactive_timeout": "PT4S",
            }
            command = _mariadb_command(
                own,
                sql,
                "--binlog-format=ROW",
                "--default-storage-engine=InnoDB",
                "--innodb-autoinc-lock-mode=2",
                "--wsrep-on=ON",
                f"--wsrep-provider={provider}",
                "--wsrep-cluster-name=metastore",
                f"--wsrep-cluster-address={address}",
                f"--wsrep-node-name=n{number}",
                f"--wsrep-node-address=127.0.0.1:{group}",
                f"--wsrep-node-incoming-address=127.0.0.1:{sql}",
                "--wsrep-sst-method=rsync",
                f"--wsrep-sst-receive-address=127.0.0.1:{all_at_once}",
                "--wsrep-slave-threads=2",
                "--wsrep-provider-options="
                + ";".join(f"{name}={value}" for name, value in provider_options.items()),
            )
            nodes.append(
                Server(
                    own,
                    sql,
                    password,
                    command,
                    ready="SHOW STATUS LIKE 'wsrep_local_state_comment'",
                    answer="Synced",
                )
            )
        try:
            _install_mariadb(nodes[0].folder, password)
            nodes[0].start("--wsrep-new-cluster")
            for node in nodes[1:]:
                (node.folder / "data").mkdir()
                _hand_over(node.folder / "data")
                node.start()
            yield Cluster(nodes)
        finally:
            for node in nodes:
                node.stop()


# MySQL.


@contextmanager
def mysql9(*more: str) -> Iterator[Server]:
    """A server of Oracle's MySQL, while the block lasts."""
    root = MYSQL_ROOT
    program = root / "usr/sbin/mysqld"
    if not program.exists():
        raise MissingServerError(
            f"there is no MySQL in {root}; `python tests/install.py` brings it"
        )
    libraries = root / "usr/lib/x86_64-linux-gnu"
    start = [
        str(libraries / "ld-linux-x86-64.so.2"),
        "--library-path",
        f"{libraries}:{root / 'usr/lib/mysql/private'}",
        str(program),
        "--no-defaults",
        f"--user={_account()}",
        f"--basedir={root / 'usr'}",
        f"--lc-messages-dir={root / 'usr/share/mysql'}",
        f"--character-sets-dir={root / 'usr/share/mysql/charsets'}",
        f"--plugin-dir={root / 'usr/lib/mysql/plugin'}",
    ]
    with temporary_folder("mysql") as folder:
        data = [f"--datadir={folder / 'data'}", f"--log-error={folder / 'error.log'}"]
        password = secrets.token_hex(8)
        script = folder / "init.sql"
        script.write_text(_admin(password) + "ALTER USER root@localhost ACCOUNT LOCK;\n")
        script.chmod(0o644)
        small = ["--innodb-redo-log-capacity=32M", "--innodb-doublewrite=0"]
        subprocess.run(
            [*start, *data, *small, "--initialize-insecure", f"--init-file={script}"],
            check=True,
            capture_output=True,
        )
        (port,) = free_ports(1)
        command = [
            *start,
            *data,
            *small,
            f"--tmpdir={folder}",
            f"--socket={folder / 's'}",
            f"--pid-file={folder / 'pid'}",
            "--bind-address=127.0.0.1",
            f"--port={port}",
            "--mysqlx=OFF",
            "--skip-log-bin",
            "--secure-file-priv=NULL",
            *_COMMON,
            *more,
        ]
        server = Server(folder, port, password, command)
        try:
            server.start()
            yield server
        finally:
            server.stop()
