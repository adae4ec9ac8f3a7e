"""Who is measured: metastore, ml-metadata, plain sqlite3; each on a file of its own."""

from __future__ import annotations

import sqlite3
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

from data import ARTIFACT_TYPE, CONTEXT_TYPE, EXECUTION_TYPE, PROPERTIES, ArtifactRow, StepRow

import metastore
from metastore import Batch, EventType, ExecutionState, NodeKind, PropertyKind

KINDS = {int: PropertyKind.INT, float: PropertyKind.DOUBLE, str: PropertyKind.STRING}
KNOWN_INPUTS = 100
"""Artifacts that are stored from the start; their ids are 1 to 100, the contexts' are 1 and 2."""


class Candidate(ABC):
    """Something that can do the work."""

    name: ClassVar[str]

    def __init__(self, folder: Path) -> None:
        self.path = folder / f"{self.name}.db"
        self.open()

    @abstractmethod
    def open(self) -> None:
        """Connect to the prepared file."""

    @abstractmethod
    def write_artifacts(self, rows: Iterable[ArtifactRow]) -> None:
        """Write all of them, in one transaction."""

    @abstractmethod
    def record_step(self, row: StepRow) -> None:
        """Write the step, in one transaction."""


def prepare(path: Path) -> None:
    """A store with the types, the known inputs and two contexts, in its journal mode."""
    journal = "delete" if path.stem in DELETE_JOURNAL else "wal"
    with metastore.connect(f"sqlite:///{path}") as store:
        batch = Batch()
        kinds = {name: KINDS[kind] for name, kind in PROPERTIES.items()}
        batch.type(NodeKind.ARTIFACT, ARTIFACT_TYPE, kinds)
        batch.type(NodeKind.EXECUTION, EXECUTION_TYPE, kinds)
        batch.type(NodeKind.CONTEXT, CONTEXT_TYPE)
        for number in range(KNOWN_INPUTS):
            batch.artifact(ARTIFACT_TYPE, uri=f"s3://bucket/known/{number}")
        for name in ("pipeline", "run"):
            batch.context(CONTEXT_TYPE, name=name)
        store.write(batch)
    with sqlite3.connect(path) as connection:
        (mode,) = connection.execute(f"PRAGMA journal_mode = {journal}").fetchone()
        assert mode == journal


class Ours(Candidate):
    """metastore, through `Store.write`."""

    name = "ours"

    def open(self) -> None:
        """Connect as a user does."""
        self.store = metastore.connect(f"sqlite:///{self.path}")

    def write_artifacts(self, rows: Iterable[ArtifactRow]) -> None:
        """One batch."""
        batch = Batch()
        for row in rows:
            batch.artifact(ARTIFACT_TYPE, uri=row.uri, properties=row.properties)
        self.store.write(batch)

    def record_step(self, row: StepRow) -> None:
        """One batch."""
        batch = Batch()
        execution = batch.execution(
            EXECUTION_TYPE, state=ExecutionState.COMPLETE, properties=row.properties
        )
        for number, artifact in enumerate(row.inputs):
            batch.event(artifact, execution, EventType.INPUT, path=("examples", number))
            for context in row.contexts:
                batch.attribution(context, artifact)
        for number, output in enumerate(row.outputs):
            artifact = batch.artifact(ARTIFACT_TYPE, uri=output.uri, properties=output.properties)
            batch.event(artifact, execution, EventType.OUTPUT, path=("model", number))
            for context in row.contexts:
                batch.attribution(context, artifact)
        for context in row.contexts:
            batch.association(context, execution)
        self.store.write(batch)


class OursDelete(Ours):
    """metastore on a file in SQLite's default journal mode."""

    name = "ours-delete"


class MLMD(Candidate):
    """ml-metadata, through its Python client."""

    name = "mlmd"

    def open(self) -> None:
        """Connect, and look up the types' ids."""
        from ml_metadata import metadata_store
        from ml_metadata.proto import metadata_store_pb2 as pb

        config = pb.ConnectionConfig()
        config.sqlite.filename_uri = str(self.path)
        self.pb: Any = pb
        self.store: Any = metadata_store.MetadataStore(config)
        self.artifact_type = self.store.get_artifact_type(ARTIFACT_TYPE).id
        self.execution_type = self.store.get_execution_type(EXECUTION_TYPE).id
        self.context_type = self.store.get_context_type(CONTEXT_TYPE).id

    def _artifact(self, row: ArtifactRow) -> Any:
        artifact = self.pb.Artifact(type_id=self.artifact_type, uri=row.uri)
        self._set(artifact, row.properties)
        return artifact

    def _set(self, node: Any, properties: dict[str, int | float | str]) -> None:
        for name, value in properties.items():
            field = node.properties[name]
            if isinstance(value, int):
                field.int_value = value
            elif isinstance(value, float):
                field.double_value = value
            else:
                field.string_value = value

    def write_artifacts(self, rows: Iterable[ArtifactRow]) -> None:
        """One call of put_artifacts."""
        self.store.put_artifacts([self._artifact(row) for row in rows])

    def record_step(self, row: StepRow) -> None:
        """One call of put_execution; known nodes by id alone, which spares it their updates."""
        pb = self.pb
        execution = pb.Execution(
            type_id=self.execution_type, last_known_state=pb.Execution.COMPLETE
        )
        self._set(execution, row.properties)
        pairs = []
        for number, artifact in enumerate(row.inputs):
            event = pb.Event(artifact_id=artifact, type=pb.Event.INPUT)
            self._path(event, "examples", number)
            pairs.append((None, event))
        for number, output in enumerate(row.outputs):
            event = pb.Event(type=pb.Event.OUTPUT)
            self._path(event, "model", number)
            pairs.append((self._artifact(output), event))
        contexts = [
            pb.Context(id=id, type_id=self.context_type, name=name)
            for id, name in zip(row.contexts, ("pipeline", "run"), strict=True)
        ]
        self.store.put_execution(
            execution,
            pairs,
            contexts,
            reuse_context_if_already_exist=True,
            force_reuse_context=True,
        )

    def _path(self, event: Any, key: str, index: int) -> None:
        event.path.steps.add().key = key
        event.path.steps.add().index = index


class MLMDWal(MLMD):
    """ml-metadata on a file with a write-ahead log."""

    name = "mlmd-wal"


class Plain(Candidate):
    """sqlite3 and executemany, without a check or an object."""

    name = "plain"

    def open(self) -> None:
        """Connect; each write is on the disk when it returns, as for the others."""
        self.connection = sqlite3.connect(self.path, isolation_level=None)
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
        return 1 if found is None else found[0] + 1  # type: ignore[no-any-return]

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


CANDIDATES: tuple[type[Candidate], ...] = (Ours, OursDelete, MLMD, MLMDWal, Plain, PlainDelete)
DELETE_JOURNAL = frozenset({"ours-delete", "mlmd", "plain-delete"})


def rows_of(path: Path) -> dict[str, int]:
    """The number of rows of every table, for comparing candidates."""
    with sqlite3.connect(path) as connection:
        tables = connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'"
        )
        return {
            name: connection.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0]  # noqa: S608 - names of tables
            for (name,) in tables.fetchall()
        }
