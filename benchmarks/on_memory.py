"""Stores in the memory of each candidate's process."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, ClassVar

from candidates import (
    MLMD,
    Candidate,
    Fill,
    MLMDSubgraph,
    MLMDWhole,
    Ours,
    OursBackend,
    prepare,
    prepare_mlmd,
    prepare_store,
)
from on_sqlite import SQLite
from plain_sqlite import SCHEME, PlainSQLite
from targets import Target


class OursInMemory(Ours):
    """metastore, at the URL ``sqlite://``."""

    def open(self) -> None:
        """Make the store."""
        super().open()
        prepare_store(self.store)


class OursBackendInMemory(OursBackend, OursInMemory):
    """metastore, by the query that the lists of `Store` send to the flavor."""


class MLMDInMemory(MLMD):
    """ml-metadata with its database for tests, which is SQLite in memory."""

    def config(self) -> Any:
        """The database for tests."""
        from ml_metadata.proto import metadata_store_pb2 as pb

        config = pb.ConnectionConfig()
        config.fake_database.SetInParent()
        return config

    def _learn(self) -> None:
        prepare_mlmd(self.store)
        super()._learn()


class MLMDWholeInMemory(MLMDWhole, MLMDInMemory):
    """ml-metadata, whose lineage is all that it offers."""


class MLMDSubgraphInMemory(MLMDSubgraph, MLMDInMemory):
    """ml-metadata, a run at once."""


class PlainInMemory(PlainSQLite):
    """sqlite3 on ``:memory:``."""

    def open(self) -> None:
        """Load what metastore makes: tables, indexes and the first rows."""
        self.connection = sqlite3.connect(":memory:", isolation_level=None)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "prepared.db"
            prepare(f"{SCHEME}{path}")
            with closing(sqlite3.connect(path)) as file:
                file.backup(self.connection)
        self._learn()


class SQLiteInMemory(SQLite):
    """A store for each candidate, which it makes and fills itself."""

    candidates: ClassVar[tuple[type[Candidate], ...]] = (OursInMemory, MLMDInMemory, PlainInMemory)
    more: ClassVar = {
        "D": (MLMDSubgraphInMemory,),
        "G": (MLMDWholeInMemory,),
        **dict.fromkeys(("E", "F1", "F2", "F3", "I"), (OursBackendInMemory,)),
    }
    goals: ClassVar = {
        letter: (Target("ours", "mlmd"), Target("ours", "plain"))
        for letter in SQLite.goals
        if not letter.startswith("W")
    }

    def open(self, name: str, url: str, fill: Fill | None) -> Candidate:
        """Make the store, and fill it."""
        candidate = super().open(name, url, fill)
        if fill is not None:
            fill(candidate)
        return candidate

    @contextmanager
    def places(
        self,
        candidates: Iterable[type[Candidate]],
        fill: Fill | None,  # noqa: ARG002 - by `open`
    ) -> Iterator[dict[str, str]]:
        """Nothing to be shared."""
        yield {each.name: "sqlite://" for each in candidates}

    def rows_of(self, url: str) -> dict[str, int]:  # noqa: ARG002 - it says nothing
        """Nobody sees them from outside; on files the same candidates are compared."""
        return {}
