"""The databases of a private MariaDB server that candidates are measured on, and plain PyMySQL."""

from __future__ import annotations

import importlib
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

from candidates import (
    CONTEXTS,
    KNOWN_INPUTS,
    MLMD,
    Candidate,
    Ground,
    Ours,
    Target,
    prepare,
)
from data import (
    ARTIFACT_TYPE,
    CONTEXT_TYPE,
    EXECUTION_TYPE,
    PROPERTIES,
    ArtifactRow,
    StepRow,
)
from far import far

PLUGIN = Path(__file__).parents[1] / "plugins" / "mysql"
"""Whose tests know how to start a server."""
SERVER = (
    # As the targets were drawn: what was acknowledged survives the death of the server's process.
    "--innodb-flush-log-at-trx-commit=2",
    "--innodb-buffer-pool-size=256M",
    "--innodb-log-file-size=256M",
)


def arguments_of(url: str) -> dict[str, Any]:
    """Host, port, user, password and database."""
    parts = urlsplit(url)
    return {
        "host": parts.hostname,
        "port": parts.port,
        "user": parts.username,
        "password": parts.password,
        "database": parts.path.removeprefix("/"),
    }


class MLMDOnServer(MLMD):
    """ml-metadata in a database that it made itself."""

    batch = 2_000

    def config(self) -> Any:
        """Where the server is."""
        from ml_metadata.proto import metadata_store_pb2 as pb

        return pb.ConnectionConfig(mysql=pb.MySQLDatabaseConfig(**arguments_of(self.url)))

    def record_step(self, row: StepRow) -> None:
        """As often as it takes: where others write too, it is told to try again."""
        from ml_metadata.errors import AbortedError

        while True:
            try:
                super().record_step(row)
            except AbortedError:
                continue
            return


def prepare_mlmd(url: str) -> None:
    """Make a store with ml-metadata, with what `prepare` writes, in the same order."""
    from ml_metadata.metadata_store import MetadataStore
    from ml_metadata.proto import metadata_store_pb2 as pb

    store = MetadataStore(pb.ConnectionConfig(mysql=pb.MySQLDatabaseConfig(**arguments_of(url))))
    kinds = {int: pb.INT, float: pb.DOUBLE, str: pb.STRING}
    properties = {name: kinds[kind] for name, kind in PROPERTIES.items()}
    artifact = store.put_artifact_type(pb.ArtifactType(name=ARTIFACT_TYPE, properties=properties))
    store.put_execution_type(pb.ExecutionType(name=EXECUTION_TYPE, properties=properties))
    context = store.put_context_type(pb.ContextType(name=CONTEXT_TYPE))
    artifacts = [
        pb.Artifact(type_id=artifact, uri=f"s3://bucket/known/{number}")
        for number in range(KNOWN_INPUTS)
    ]
    assert store.put_artifacts(artifacts) == list(range(1, KNOWN_INPUTS + 1))
    store.put_contexts([pb.Context(type_id=context, name=name) for name in CONTEXTS])


class PlainPyMySQL(Candidate):
    """PyMySQL and statements of many rows, without a check or a lock."""

    name = "plain"

    def open(self) -> None:
        """Connect; a transaction begins with its first statement."""
        import pymysql

        self.connection = pymysql.connect(**arguments_of(self.url), charset="utf8mb4")
        with self.connection.cursor() as cursor:
            cursor.execute("SELECT name, id FROM Type")
            self.types = dict(cursor.fetchall())
        self.connection.commit()

    def _transaction(self, write: Callable[[Any], object]) -> None:
        """As often as it takes: of two writers that wait for each other one is told to go back."""
        from pymysql.err import OperationalError

        while True:
            try:
                with self.connection.cursor() as cursor:
                    write(cursor)
                self.connection.commit()
            except OperationalError as error:
                self.connection.rollback()
                if error.args[0] != 1213:
                    raise
            else:
                return

    def write_artifacts(self, rows: Iterable[ArtifactRow]) -> None:
        """One transaction."""
        self._transaction(lambda cursor: self._artifacts(cursor, list(rows)))

    def record_step(self, row: StepRow) -> None:
        """One transaction."""
        self._transaction(lambda cursor: self._step(cursor, row))

    def record_run(self, rows: Iterable[StepRow]) -> None:
        """One transaction."""

        def write(cursor: Any) -> None:
            for row in rows:
                self._step(cursor, row)

        self._transaction(write)

    def _artifacts(self, cursor: Any, rows: list[ArtifactRow]) -> list[int]:
        now = time.time_ns() // 1_000_000
        type_id = self.types[ARTIFACT_TYPE]
        ids = _insert(
            cursor,
            "Artifact (type_id, uri, state, name, external_id, "
            "create_time_since_epoch, last_update_time_since_epoch)",
            [(type_id, row.uri, None, None, None, now, now) for row in rows],
        )
        owners = [(id, row.properties) for id, row in zip(ids, rows, strict=True)]
        _insert_properties(cursor, "Artifact", owners)
        return ids

    def _step(self, cursor: Any, row: StepRow) -> None:
        now = time.time_ns() // 1_000_000
        outputs = self._artifacts(cursor, list(row.outputs))
        (execution,) = _insert(
            cursor,
            "Execution (type_id, last_known_state, name, external_id, "
            "create_time_since_epoch, last_update_time_since_epoch)",
            [(self.types[EXECUTION_TYPE], 3, None, None, now, now)],
        )
        _insert_properties(cursor, "Execution", [(execution, row.properties)])
        events = [(artifact, execution, 3, now) for artifact in row.inputs]
        events += [(artifact, execution, 4, now) for artifact in outputs]
        ids = _insert(
            cursor, "Event (artifact_id, execution_id, type, milliseconds_since_epoch)", events
        )
        paths: list[tuple[Any, ...]] = []
        steps = (("examples", 0), ("examples", 1), ("model", 0), ("model", 1))
        for id, (key, number) in zip(ids, steps, strict=True):
            paths += [(id, 0, None, key), (id, 1, number, None)]
        cursor.executemany(
            "INSERT INTO EventPath (event_id, is_index_step, step_index, step_key) "
            "VALUES (%s,%s,%s,%s)",
            paths,
        )
        cursor.executemany(
            "INSERT IGNORE INTO Attribution (context_id, artifact_id) VALUES (%s,%s)",
            [(context, each) for context in row.contexts for each in (*row.inputs, *outputs)],
        )
        cursor.executemany(
            "INSERT IGNORE INTO Association (context_id, execution_id) VALUES (%s,%s)",
            [(context, execution) for context in row.contexts],
        )

    def read_artifacts(self, ids: Sequence[int]) -> int:
        """Rows, in two statements and one transaction."""
        with self.connection.cursor() as cursor:
            cursor.execute("SELECT * FROM Artifact WHERE id IN %s", (ids,))
            found = cursor.fetchall()
            cursor.execute("SELECT * FROM ArtifactProperty WHERE artifact_id IN %s", (ids,))
            cursor.fetchall()
        self.connection.commit()
        return len(found)

    def find_context(self, name: str) -> bool:
        """Rows, in two statements and one transaction."""
        with self.connection.cursor() as cursor:
            cursor.execute(
                "SELECT * FROM Context WHERE type_id = %s AND name = %s",
                (self.types[CONTEXT_TYPE], name),
            )
            found = cursor.fetchall()
            cursor.execute("SELECT * FROM ContextProperty WHERE context_id = %s", (found[0][0],))
            cursor.fetchall()
        self.connection.commit()
        return len(found) == 1


def _insert(cursor: Any, columns: str, rows: list[tuple[Any, ...]]) -> list[int]:
    """Insert rows of which the server says the ids."""
    ids: list[int] = []
    row = f"({','.join(['%s'] * len(rows[0]))})"
    for first in range(0, len(rows), 1000):
        some = rows[first : first + 1000]
        cursor.execute(
            f"INSERT INTO {columns} VALUES {','.join([row] * len(some))} RETURNING id",  # noqa: S608 - our own words
            [*chain.from_iterable(some)],
        )
        ids += [id for (id,) in cursor.fetchall()]
    return ids


def _insert_properties(
    cursor: Any, table: str, owners: list[tuple[int, dict[str, int | float | str]]]
) -> None:
    cursor.executemany(
        f"INSERT INTO {table}Property ({table.lower()}_id, name, is_custom_property, "  # noqa: S608 - our own table
        "int_value, double_value, string_value, proto_value, bool_value) "
        "VALUES (%s,%s,%s,%s,%s,%s,%s,%s)",
        [
            (
                id,
                name,
                0,
                value if isinstance(value, int) else None,
                value if isinstance(value, float) else None,
                value if isinstance(value, str) else None,
                None,
                None,
            )
            for id, properties in owners
            for name, value in properties.items()
        ],
    )


def private_server() -> AbstractContextManager[Any]:
    """A MariaDB server of its own, as the tests start one."""
    if str(PLUGIN) not in sys.path:
        sys.path.append(str(PLUGIN))
    server: AbstractContextManager[Any] = importlib.import_module("tests.servers").mariadb(*SERVER)
    return server


class MySQL(Ground):
    """Databases of one MariaDB server, which is started for each work."""

    candidates = (Ours, MLMDOnServer, PlainPyMySQL)
    targets: ClassVar = {
        "A": (Target("ours", "mlmd", 1.5),),
        "B": (Target("ours", "mlmd", 6.0),),
        "C": (Target("ours", "mlmd", 3.0),),
        "D": (Target("ours", "mlmd", 10.0),),
        "E": (Target("ours", "mlmd", 0.8),),
        "I": (Target("ours", "mlmd", 1.3),),
        "W": (Target("ours", "mlmd", 3.0),),
    }

    def about(self) -> dict[str, str]:
        """The flavor and the driver."""
        return {
            "PyMySQL": version("PyMySQL"),
            "metastore-flavor-mysql": version("metastore-flavor-mysql"),
        }

    def _prepared(self, server: Any) -> dict[str, str]:
        urls: dict[str, str] = {}
        for each in self.candidates:
            urls[each.name] = server.url(server.new_database())
            (prepare_mlmd if issubclass(each, MLMD) else prepare)(urls[each.name])
        return urls

    @contextmanager
    def places(self) -> Iterator[dict[str, str]]:
        """A database for each candidate."""
        with private_server() as server:
            yield self._prepared(server)

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


class FarMySQL(MySQL):
    """The same where the server is on another machine: a way of half a millisecond each way."""

    targets: ClassVar = {letter: MySQL.targets[letter] for letter in "ACDIW"}

    @contextmanager
    def places(self) -> Iterator[dict[str, str]]:
        """A database for each candidate, by the long way."""
        with private_server() as server, far(server.port, 0.0005) as port:
            urls = self._prepared(server)
            yield {name: url.replace(f":{server.port}/", f":{port}/") for name, url in urls.items()}
