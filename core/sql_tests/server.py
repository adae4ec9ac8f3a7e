"""A PostgreSQL server for the tests: in a temporary folder, on a free port of this machine."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from glob import glob
from itertools import count
from pathlib import Path
from typing import Any

import psycopg

from metastore.model import SIMPLE_TYPES
from metastore.sql import Schema

from .warehouse.config import WarehouseConfig

__all__ = ["Server", "find_programs", "running"]


def find_programs() -> Path | None:
    """The folder with initdb and postgres; None where it is not installed."""
    found = shutil.which("initdb")
    if found:
        return Path(found).resolve().parent
    installed = sorted(glob("/usr/lib/postgresql/*/bin/initdb"))
    return Path(installed[-1]).parent if installed else None


class Server:
    """A server that runs."""

    def __init__(self, port: int, password: str) -> None:
        self.port = port
        self.password = password
        self._numbers = count(1)

    def connect(self, database: str = "stores") -> psycopg.Connection[Any]:
        """A connection of the administrator's, in autocommit."""
        return psycopg.connect(
            host="127.0.0.1",
            port=self.port,
            user="admin",
            password=self.password,
            dbname=database,
            autocommit=True,
        )

    def run(self, *statements: str, database: str = "stores") -> list[Any]:
        """Run statements as the administrator; the rows of the last one."""
        with self.connect(database) as connection:
            cursor = connection.cursor()
            for statement in statements:
                cursor.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def new_user(self) -> str:
        """A new user with an empty schema, of the user's name, which is where tables go."""
        user = f"user{next(self._numbers)}"
        self.run(
            f"CREATE ROLE {user} LOGIN PASSWORD '{self.password_of(user)}'",
            f"CREATE SCHEMA AUTHORIZATION {user}",
        )
        return user

    def empty(self, user: str) -> None:
        """Make a user's store, which is closed, as it was when it was new.

        To make all of the tables anew takes longer than most tests do.
        """
        schema = Schema()
        kept = (schema.env, schema.type)
        names = [each.name for each in schema.metadata.sorted_tables if each not in kept]
        types = sum(len(names) for names in SIMPLE_TYPES.values())
        self.run(
            f"SET search_path = {user};"
            + "".join(f'DELETE FROM "{name}";' for name in names)
            + f'DELETE FROM "Type" WHERE id > {types}'
        )

    def password_of(self, user: str) -> str:
        """The password of a user."""
        return f"{self.password}-{user}" if user != "admin" else self.password

    def config(self, user: str | None = None, **fields: Any) -> WarehouseConfig:
        """The config of a user's store; of a new one by default."""
        user = user or self.new_user()
        given = {
            "host": "127.0.0.1",
            "port": self.port,
            "user": user,
            "password": self.password_of(user),
            "database": "stores",
            **fields,
        }
        return WarehouseConfig(**given)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _account() -> tuple[int, int] | None:
    """Who the server runs as: root may not; None for whoever runs the tests."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            found = pwd.getpwnam(name)
        except KeyError:
            continue
        return found.pw_uid, found.pw_gid
    raise AssertionError("root may not run PostgreSQL, and there is no user postgres nor nobody")


@contextmanager
def running(programs: Path) -> Iterator[Server]:
    """A server with password authentication and a database ``stores``, while the block lasts."""
    # Not below pytest's folder, which another user may not enter.
    folder = Path(tempfile.mkdtemp(prefix="metastore-pg-"))
    account = _account()
    who: dict[str, Any] = {}
    if account is not None:
        os.chown(folder, *account)
        who = {"user": account[0], "group": account[1], "extra_groups": []}
    environment = {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "HOME": str(folder)}
    password = secrets.token_hex(12)
    given = folder / "password"
    given.write_text(password)
    given.chmod(0o644)
    data = folder / "data"
    log = folder / "log"
    process: subprocess.Popen[bytes] | None = None
    try:
        options = ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync"]
        subprocess.run(
            [programs / "initdb", "-D", data, "-U", "admin", f"--pwfile={given}", *options],
            check=True,
            capture_output=True,
            env=environment,
            cwd=folder,
            **who,
        )
        port = _free_port()
        settings = {
            "port": port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "max_connections": 200,
            # The tests end the server's processes, never the machine.
            "fsync": "off",
            "full_page_writes": "off",
            "synchronous_commit": "off",
            "autovacuum": "off",
        }
        arguments = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        with log.open("wb") as written:
            process = subprocess.Popen(
                [programs / "postgres", "-D", data, *arguments],
                stdout=written,
                stderr=written,
                env=environment,
                cwd=folder,
                **who,
            )
        server = Server(port, password)
        _wait_for(server, process, log)
        server.run("CREATE DATABASE stores", database="postgres")
        yield server
    finally:
        if process is not None:
            # Not terminate(), which waits for clients; nothing is kept.
            process.send_signal(signal.SIGQUIT)
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _wait_for(server: Server, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            server.connect("postgres").close()
            return
        except psycopg.OperationalError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"PostgreSQL does not start:\n{log.read_text()}") from None
            time.sleep(0.05)
