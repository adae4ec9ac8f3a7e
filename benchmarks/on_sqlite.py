"""The SQLite files that candidates are measured on, each in a journal mode, and plain sqlite3."""

from __future__ import annotations

import sqlite3
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar

from candidates import MLMD, Candidate, Ground, Ours, Target, prepare
from data import ARTIFACT_TYPE, EXECUTION_TYPE, ArtifactRow, StepRow

SCHEME = "sqlite:///"


def path_of(url: str) -> str:
    """The path of the file."""
    return url.removeprefix(SCHEME)


class OursDelete(Ours):
    """metastore on a file in SQLite's default journal mode."""

    name = "ours-delete"


class MLMDOnFile(MLMD):
    """ml-metadata on a file in the mode that it always works in."""

    def config(self) -> Any:
        """The file."""
        from ml_metadata.proto import metadata_store_pb2 as pb

        config = pb.ConnectionConfig()
        config.sqlite.filename_uri = path_of(self.url)
        return config


class MLMDWal(MLMDOnFile):
    """ml-metadata on a file with a write-ahead log."""

    name = "mlmd-wal"


class Plain(Candidate):
    """sqlite3 and executemany, without a check or an object."""

    name = "plain"

    def open(self) -> None:
        """Connect; each write is on the disk when it returns, as for the others."""
        self.connection = sqlite3.connect(path_of(self.url), isolation_level=None)
        self.connection.execute("PRAGMA synchronous = FULL")
        self.types = dict(self.connection.execute("SELECT name, id FROM Type"))

    def write_artifacts(self, rows: Iterable[ArtifactRow]) -> None:
        """One transaction."""
        cursor = self.connection.cursor()
        cursor.execute("BEGIN IMMEDIATE")
        self._artifacts(cursor, list(rows))
        cursor.execute("COMMIT")

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
                (id, type_id, row.uri, None, None, None, now, now)
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
        now = time.time_ns() // 1_000_000
        cursor = self.connection.cursor()
        cursor.execute("BEGIN IMMEDIATE")
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
        for artifacts, type, key in ((row.inputs, 3, "examples"), (outputs, 4, "model")):
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
        cursor.execute("COMMIT")


class PlainDelete(Plain):
    """sqlite3 on a file in its default journal mode."""

    name = "plain-delete"


class SQLite(Ground):
    """Files in a temporary folder of the current one."""

    candidates = (Ours, OursDelete, MLMDOnFile, MLMDWal, Plain, PlainDelete)
    targets: ClassVar = {
        "B": (
            Target("ours", "mlmd", 3.0),
            Target("ours", "plain", 1.2),
            Target("ours-delete", "mlmd", 3.0),
            Target("ours-delete", "plain-delete", 1.2),
        ),
        "C": (
            Target("ours", "mlmd", 3.0),
            Target("ours", "mlmd-wal", 1.5),
            Target("ours", "plain", 0.7),
            Target("ours-delete", "mlmd", 1.2),
            Target("ours-delete", "plain-delete", 0.8),
        ),
    }
    delete_journal = frozenset({"ours-delete", "mlmd", "plain-delete"})

    def about(self) -> dict[str, str]:
        """The flavor and the module."""
        return {
            "sqlite3 module": sqlite3.sqlite_version,
            "metastore-flavor-sqlite": version("metastore-flavor-sqlite"),
        }

    @contextmanager
    def places(self) -> Iterator[dict[str, str]]:
        """A file for each candidate."""
        with tempfile.TemporaryDirectory(prefix="metastore-bench-", dir=".") as folder:
            yield {
                each.name: self._prepared(Path(folder).resolve() / f"{each.name}.db")
                for each in self.candidates
            }

    def _prepared(self, path: Path) -> str:
        url = f"{SCHEME}{path}"
        prepare(url)
        journal = "delete" if path.stem in self.delete_journal else "wal"
        with sqlite3.connect(path) as connection:
            (mode,) = connection.execute(f"PRAGMA journal_mode = {journal}").fetchone()
            assert mode == journal
        return url

    def rows_of(self, url: str) -> dict[str, int]:
        """The number of rows of every table, for comparing candidates."""
        with sqlite3.connect(path_of(url)) as connection:
            tables = connection.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'"
            )
            return {
                name: connection.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0]  # noqa: S608 - names of tables
                for (name,) in tables.fetchall()
            }
