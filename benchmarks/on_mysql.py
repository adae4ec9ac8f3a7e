"""The databases of a private MariaDB server that candidates are measured on."""

from __future__ import annotations

import importlib
import sqlite3
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar

from candidates import (
    MLMD,
    Candidate,
    Fill,
    Ground,
    MLMDSubgraph,
    MLMDWhole,
    Ours,
    OursBackend,
    prepare,
    prepare_mlmd,
)
from far import far
from on_sqlite import filled_file
from plain_pymysql import PlainPyMySQL, arguments_of
from targets import Goal, NoErrors, Target

PLUGIN = Path(__file__).parents[1] / "plugins" / "mysql"
"""Whose tests know how to start a server."""
SERVER = (
    # As the targets were drawn: what was acknowledged survives the death of the server's process.
    "--innodb-flush-log-at-trx-commit=2",
    "--innodb-buffer-pool-size=256M",
    "--innodb-log-file-size=256M",
)


TABLES = (
    "Artifact",
    "ArtifactProperty",
    "Execution",
    "ExecutionProperty",
    "Event",
    "EventPath",
    "Attribution",
    "Association",
)
"""What a fill writes to; the rest is there, and the same everywhere."""


def _config_of(url: str) -> Any:
    from ml_metadata.proto import metadata_store_pb2 as pb

    return pb.ConnectionConfig(mysql=pb.MySQLDatabaseConfig(**arguments_of(url)))


class MLMDOnServer(MLMD):
    """ml-metadata in a database that it made itself."""

    batch = 2_000

    def config(self) -> Any:
        """Where the server is."""
        return _config_of(self.url)


class MLMDWholeOnServer(MLMDWhole, MLMDOnServer):
    """ml-metadata, whose lineage is all that it offers."""


class MLMDSubgraphOnServer(MLMDSubgraph, MLMDOnServer):
    """ml-metadata, a run at once."""


def private_server() -> AbstractContextManager[Any]:
    """A MariaDB server of its own, as the tests start one."""
    if str(PLUGIN) not in sys.path:
        sys.path.append(str(PLUGIN))
    server: AbstractContextManager[Any] = importlib.import_module("tests.servers").mariadb(*SERVER)
    return server


def _targets(ratio: float | None = None) -> tuple[Goal, ...]:
    return (Target("ours", "mlmd", ratio), Target("ours", "plain"))


class MySQL(Ground):
    """Databases of one MariaDB server, which is started for each work."""

    candidates: ClassVar[tuple[type[Candidate], ...]] = (Ours, MLMDOnServer, PlainPyMySQL)
    more: ClassVar = {
        "D": (MLMDSubgraphOnServer,),
        "G": (MLMDWholeOnServer,),
        **dict.fromkeys(("E", "F1", "F2", "F3", "I"), (OursBackend,)),
    }
    goals: ClassVar = {
        "A": _targets(1.5),
        "B": _targets(6.0),
        "C": _targets(3.0),
        "D": (*_targets(10.0), Target("ours", "mlmd-subgraph")),
        "E": (*_targets(0.8), Target("ours-backend", "mlmd")),
        "F1": (*_targets(20.0), Target("ours-backend", "mlmd")),
        "F2": (*_targets(0.8), Target("ours-backend", "mlmd")),
        "F3": (*_targets(), Target("ours-backend", "mlmd")),
        "G": (Target("ours", "mlmd-whole", 3.0), *_targets()),
        "H": _targets(1.5),
        "I": (*_targets(1.3), Target("ours-backend", "mlmd")),
        "W1": _targets(),
        "W2": _targets(),
        "W4": (*_targets(), NoErrors("ours")),
        "W8": (*_targets(3.0), NoErrors("ours")),
    }

    def about(self) -> dict[str, str]:
        """The flavor and the driver."""
        return {
            "PyMySQL": version("PyMySQL"),
            "metastore-flavor-mysql": version("metastore-flavor-mysql"),
        }

    @contextmanager
    def _server(self) -> Iterator[Any]:
        with private_server() as server:
            ((said,),) = server.run("SELECT version()")
            self.server_version = said
            yield server

    def _filled(
        self, server: Any, candidates: Iterable[type[Candidate]], fill: Fill | None
    ) -> dict[str, str]:
        urls: dict[str, str] = {}
        for each in candidates:
            url = urls[each.name] = server.url(server.new_database())
            if issubclass(each, MLMD):
                from ml_metadata.metadata_store import MetadataStore

                prepare_mlmd(MetadataStore(_config_of(url)))
            else:
                prepare(url)
        if fill is not None:
            load(fill, urls["plain"])
            names = {name: arguments_of(url)["database"] for name, url in urls.items()}
            source = names.pop("plain")
            for target in names.values():
                copy_rows(server, source, target)
            for database in (source, *names.values()):
                server.run(*(f"ANALYZE TABLE {each}" for each in TABLES), database=database)
        return urls

    @contextmanager
    def places(
        self, candidates: Iterable[type[Candidate]], fill: Fill | None
    ) -> Iterator[dict[str, str]]:
        """A database for each candidate, filled with what plain PyMySQL wrote."""
        with self._server() as server:
            yield self._filled(server, candidates, fill)

    def rows_of(self, url: str) -> dict[str, int]:
        """The number of rows of every table of ML Metadata's, for comparing candidates."""
        import pymysql

        arguments = arguments_of(url)
        with closing(pymysql.connect(**arguments)) as connection, connection.cursor() as cursor:
            cursor.execute("SHOW TABLES")
            found = {}
            for (name,) in cursor.fetchall():
                if not name.startswith("metastore_"):
                    cursor.execute(f"SELECT count(*) FROM `{name}`")  # noqa: S608 - names of tables
                    ((found[name],),) = cursor.fetchall()
            return found


def load(fill: Fill, url: str) -> None:
    """Fill a database with the rows of a file that plain sqlite3 filled, which is sooner done."""
    import pymysql

    with (
        tempfile.TemporaryDirectory() as folder,
        closing(sqlite3.connect(filled_file(Path(folder) / "filled.db", fill))) as file,
        closing(pymysql.connect(**arguments_of(url), charset="utf8mb4")) as connection,
        connection.cursor() as cursor,
    ):
        types = "SELECT id, name FROM Type ORDER BY id"
        cursor.execute(types)
        assert list(cursor.fetchall()) == file.execute(types).fetchall()
        for table in TABLES:
            cursor.execute(f"DELETE FROM {table}")  # noqa: S608 - names of tables
            found = file.execute(f"SELECT * FROM {table}")  # noqa: S608
            columns = [name for name, *_ in found.description]
            marks = ",".join(["%s"] * len(columns))
            statement = f"INSERT INTO {table} ({','.join(columns)}) VALUES ({marks})"  # noqa: S608
            while rows := found.fetchmany(10_000):
                cursor.executemany(statement, rows)
        connection.commit()


def copy_rows(server: Any, source: str, target: str) -> None:
    """Make the rows of a database those of another one, whatever columns each has more."""
    for table in TABLES:
        found = [
            {row[0] for row in server.run(f"SHOW COLUMNS FROM {each}.{table}")}
            for each in (source, target)
        ]
        columns = ", ".join(f"`{name}`" for name in sorted(set.intersection(*found)))
        server.run(
            f"DELETE FROM {target}.{table}",  # noqa: S608 - names of our own databases and tables
            f"INSERT INTO {target}.{table} ({columns}) SELECT {columns} FROM {source}.{table}",  # noqa: S608
        )


class FarMySQL(MySQL):
    """The same where the server is on another machine: a way of half a millisecond each way."""

    goals: ClassVar = {
        letter: MySQL.goals[letter] for letter in ("A", "C", "D", "F1", "F2", "G", "I", "W8")
    }

    @contextmanager
    def places(
        self, candidates: Iterable[type[Candidate]], fill: Fill | None
    ) -> Iterator[dict[str, str]]:
        """A database for each candidate, by the long way."""
        with self._server() as server, far(server.port, 0.0005) as port:
            urls = self._filled(server, candidates, fill)
            yield {name: url.replace(f":{server.port}/", f":{port}/") for name, url in urls.items()}
