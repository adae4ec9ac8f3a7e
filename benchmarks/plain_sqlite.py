"""Plain sqlite3."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from data import ARTIFACT_TYPE, EXECUTION_TYPE, ArtifactRow, StepRow
from plain import INPUT, OUTPUT, PlainReads

SCHEME = "sqlite:///"


class PlainSQLite(PlainReads):
    """sqlite3 and executemany, without a check or an object."""

    name = "plain"
    mark = "?"
    refused = (sqlite3.OperationalError,)

    def open(self) -> None:
        """Connect; each write is on the disk when it returns, as for the others."""
        path = self.url.removeprefix(SCHEME)
        self.connection = sqlite3.connect(path, timeout=60, isolation_level=None)
        self._learn()

    def _learn(self) -> None:
        # As metastore does: with a write-ahead log it is the same as FULL.
        self.connection.execute("PRAGMA synchronous = EXTRA")
        self.types = dict(self.connection.execute("SELECT name, id FROM Type"))

    def write_artifacts(self, rows: Iterable[ArtifactRow]) -> None:
        """One transaction."""
        cursor = self.connection.cursor()
        cursor.execute("BEGIN IMMEDIATE")
        self._artifacts(cursor, list(rows))
        cursor.execute("COMMIT")

    @contextmanager
    def reading(self) -> Iterator[None]:
        """A transaction, which sees one state of the file."""
        self.connection.execute("BEGIN")
        try:
            yield
        finally:
            self.connection.execute("COMMIT")

    def rows(self, statement: str, parameters: Sequence[Any] = ()) -> Sequence[tuple[Any, ...]]:
        """Run a statement."""
        return self.connection.execute(statement, parameters).fetchall()

    def _next_id(self, cursor: sqlite3.Cursor, table: str) -> int:
        cursor.execute("SELECT seq FROM sqlite_sequence WHERE name = ?", (table,))
        found = cursor.fetchone()
        return 1 if found is None else found[0] + 1

    def _artifacts(self, cursor: sqlite3.Cursor, rows: list[ArtifactRow]) -> list[int]:
        now = time.time_ns() // 1_000_000
        first, type_id = self._next_id(cursor, "Artifact"), self.types[ARTIFACT_TYPE]
        ids = list(range(first, first + len(rows)))
        cursor.executemany(
            "INSERT INTO Artifact (id, type_id, uri, state, name, external_id, "
            "create_time_since_epoch, last_update_time_since_epoch) VALUES (?,?,?,?,?,?,?,?)",
            [
                (id, type_id, row.uri, None, None, None, row.created or now, row.created or now)
                for id, row in zip(ids, rows, strict=True)
            ],
        )
        self._properties(
            cursor, "Artifact", [(id, row.properties) for id, row in zip(ids, rows, strict=True)]
        )
        return ids

    def _properties(
        self,
        cursor: sqlite3.Cursor,
        table: str,
        owners: list[tuple[int, dict[str, int | float | str]]],
    ) -> None:
        cursor.executemany(
            f"INSERT INTO {table}Property ({table.lower()}_id, name, is_custom_property, "  # noqa: S608 - our own table
            "int_value, double_value, string_value, proto_value, bool_value) "
            "VALUES (?,?,?,?,?,?,?,?)",
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

    def record_step(self, row: StepRow) -> None:
        """One transaction."""
        self.record_run((row,))

    def record_run(self, rows: Iterable[StepRow]) -> None:
        """One transaction."""
        cursor = self.connection.cursor()
        cursor.execute("BEGIN IMMEDIATE")
        for row in rows:
            self._step(cursor, row)
        cursor.execute("COMMIT")

    def _step(self, cursor: sqlite3.Cursor, row: StepRow) -> None:
        now = time.time_ns() // 1_000_000
        outputs = self._artifacts(cursor, list(row.outputs))
        cursor.execute(
            "INSERT INTO Execution (type_id, last_known_state, name, external_id, "
            "create_time_since_epoch, last_update_time_since_epoch) VALUES (?,?,?,?,?,?)",
            (self.types[EXECUTION_TYPE], 3, None, None, now, now),
        )
        execution = cursor.lastrowid
        assert execution is not None
        self._properties(cursor, "Execution", [(execution, row.properties)])
        paths: list[tuple[Any, ...]] = []
        for artifacts, type, key in ((row.inputs, INPUT, "examples"), (outputs, OUTPUT, "model")):
            for number, artifact in enumerate(artifacts):
                cursor.execute(
                    "INSERT INTO Event (artifact_id, execution_id, type, milliseconds_since_epoch) "
                    "VALUES (?,?,?,?)",
                    (artifact, execution, type, now),
                )
                paths += [(cursor.lastrowid, 0, None, key), (cursor.lastrowid, 1, number, None)]
        cursor.executemany(
            "INSERT INTO EventPath (event_id, is_index_step, step_index, step_key) "
            "VALUES (?,?,?,?)",
            paths,
        )
        cursor.executemany(
            "INSERT OR IGNORE INTO Attribution (context_id, artifact_id) VALUES (?,?)",
            [(context, each) for context in row.contexts for each in (*row.inputs, *outputs)],
        )
        cursor.executemany(
            "INSERT OR IGNORE INTO Association (context_id, execution_id) VALUES (?,?)",
            [(context, execution) for context in row.contexts],
        )


class PlainDelete(PlainSQLite):
    """sqlite3 on a file in its default journal mode."""

    name = "plain-delete"


def copy_rows(source: Path, target: Path) -> None:
    """Make the rows of a store those of another one, whatever tables and columns each has more."""
    with closing(sqlite3.connect(target, isolation_level=None)) as file:
        file.execute("PRAGMA synchronous = FULL")
        file.execute("ATTACH ? AS there", (str(source),))
        file.execute("BEGIN IMMEDIATE")
        names = file.execute(
            "SELECT name FROM main.sqlite_master WHERE type = 'table' AND name <> 'MLMDEnv' "
            "AND name NOT LIKE 'sqlite!_%' ESCAPE '!'"
        )
        for (name,) in names.fetchall():
            columns = ", ".join(
                column
                for (column,) in file.execute("SELECT name FROM pragma_table_info(?)", (name,))
            )
            file.execute(f"DELETE FROM main.{name}")  # noqa: S608 - names of tables
            file.execute(
                f"INSERT INTO main.{name} ({columns}) SELECT {columns} FROM there.{name}"  # noqa: S608
            )
        file.execute("COMMIT")
