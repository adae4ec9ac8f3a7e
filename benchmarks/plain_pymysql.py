"""Plain PyMySQL."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from itertools import chain
from typing import Any
from urllib.parse import urlsplit

from data import ARTIFACT_TYPE, EXECUTION_TYPE, ArtifactRow, StepRow
from plain import INPUT, OUTPUT, PlainReads


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


class PlainPyMySQL(PlainReads):
    """PyMySQL and statements of many rows, without a check or a lock."""

    name = "plain"
    mark = "%s"

    def open(self) -> None:
        """Connect; a transaction begins with its first statement."""
        import pymysql

        self.refused = (pymysql.OperationalError,)
        self.connection = pymysql.connect(**arguments_of(self.url), charset="utf8mb4")
        with self.connection.cursor() as cursor:
            cursor.execute("SELECT name, id FROM Type")
            self.types = dict(cursor.fetchall())
        self.connection.commit()

    @contextmanager
    def _transaction(self) -> Iterator[Any]:
        """A cursor; what is written is given up where another writer is preferred."""
        try:
            with self.connection.cursor() as cursor:
                yield cursor
            self.connection.commit()
        except Exception:
            self.connection.rollback()
            raise

    def reading(self) -> AbstractContextManager[Any]:
        """A transaction, which sees one state of the database."""
        return self._transaction()

    def rows(self, statement: str, parameters: Sequence[Any] = ()) -> Sequence[tuple[Any, ...]]:
        """Run a statement."""
        with self.connection.cursor() as cursor:
            cursor.execute(statement, parameters)
            found: Sequence[tuple[Any, ...]] = cursor.fetchall()
        return found

    def write_artifacts(self, rows: Iterable[ArtifactRow]) -> None:
        """One transaction."""
        with self._transaction() as cursor:
            self._artifacts(cursor, list(rows))

    def record_step(self, row: StepRow) -> None:
        """One transaction."""
        self.record_run((row,))

    def record_run(self, rows: Iterable[StepRow]) -> None:
        """One transaction."""
        with self._transaction() as cursor:
            for row in rows:
                self._step(cursor, row)

    def _artifacts(self, cursor: Any, rows: list[ArtifactRow]) -> list[int]:
        now = time.time_ns() // 1_000_000
        type_id = self.types[ARTIFACT_TYPE]
        ids = _insert(
            cursor,
            "Artifact (type_id, uri, state, name, external_id, "
            "create_time_since_epoch, last_update_time_since_epoch)",
            [
                (type_id, row.uri, None, None, None, row.created or now, row.created or now)
                for row in rows
            ],
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
        events = [(artifact, execution, INPUT, now) for artifact in row.inputs]
        events += [(artifact, execution, OUTPUT, now) for artifact in outputs]
        ids = _insert(
            cursor, "Event (artifact_id, execution_id, type, milliseconds_since_epoch)", events
        )
        paths: list[tuple[Any, ...]] = []
        steps = [("examples", number) for number in range(len(row.inputs))]
        steps += [("model", number) for number in range(len(outputs))]
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
