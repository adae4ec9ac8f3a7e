"""The SQLite files that candidates are measured on, each in a journal mode."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
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
)
from plain_sqlite import SCHEME, PlainDelete, PlainSQLite, copy_rows
from targets import Bound, Goal, NoErrors, Target


def _config_of(path: str) -> Any:
    from ml_metadata.proto import metadata_store_pb2 as pb

    config = pb.ConnectionConfig()
    config.sqlite.filename_uri = path
    return config


class OursDelete(Ours):
    """metastore on a file in SQLite's default journal mode."""

    name = "ours-delete"


class OursForeign(Ours):
    """metastore on a file that ml-metadata made, without the two indexes that ours have more."""

    name = "ours-foreign"
    needs_mlmd = True


class MLMDOnFile(MLMD):
    """ml-metadata on a file in the mode that it always works in."""

    def config(self) -> Any:
        """The file."""
        return _config_of(self.url.removeprefix(SCHEME))


class MLMDWal(MLMDOnFile):
    """ml-metadata on a file with a write-ahead log."""

    name = "mlmd-wal"


class MLMDForeign(MLMDOnFile):
    """ml-metadata on a file that it made itself."""

    name = "mlmd-foreign"


class MLMDWholeOnFile(MLMDWhole, MLMDOnFile):
    """ml-metadata on a file that it made itself, whose lineage is all that it offers."""


class MLMDSubgraphOnFile(MLMDSubgraph, MLMDOnFile):
    """ml-metadata, a run at once, on a file in the mode that it always works in."""


def _both(ratio: float | None, of_plain: float | None = None) -> tuple[Target, ...]:
    """The same targets in both journal modes."""
    return (
        Target("ours", "mlmd", ratio),
        Target("ours", "plain", of_plain),
        Target("ours-delete", "mlmd", ratio),
        Target("ours-delete", "plain-delete", of_plain),
    )


def _writers(ratio: float | None) -> tuple[Goal, ...]:
    return (
        Target("ours", "mlmd", ratio),
        Target("ours", "mlmd-wal"),
        Target("ours", "plain"),
        Target("ours-delete", "mlmd"),
        NoErrors("ours"),
        NoErrors("ours-delete"),
    )


class SQLite(Ground):
    """Files in a temporary folder of the current one."""

    candidates: ClassVar[tuple[type[Candidate], ...]] = (
        Ours,
        OursDelete,
        MLMDOnFile,
        MLMDWal,
        PlainSQLite,
        PlainDelete,
    )
    more: ClassVar = {
        "D": (MLMDSubgraphOnFile,),
        **dict.fromkeys(("E", "F1", "F2", "F3", "I"), (OursBackend,)),
        "G": (MLMDWholeOnFile, OursForeign, MLMDForeign),
    }
    goals: ClassVar = {
        "A": (
            Target("ours", "mlmd", 3.0),
            Target("ours", "mlmd-wal"),
            Target("ours", "plain", 0.75),
            Target("ours-delete", "mlmd", 1.0),
            Target("ours-delete", "plain-delete", 0.85),
        ),
        "B": (*_both(3.0, 1.2), Target("ours", "mlmd-wal")),
        "C": (
            Target("ours", "mlmd", 3.0),
            Target("ours", "mlmd-wal", 1.5),
            Target("ours", "plain", 0.7),
            Target("ours-delete", "mlmd", 1.2),
            Target("ours-delete", "plain-delete", 0.8),
        ),
        "D": (
            Target("ours", "mlmd", 10.0),
            Target("ours", "mlmd-wal"),
            Target("ours", "plain"),
            Target("ours-delete", "mlmd", 5.0),
            Target("ours-delete", "plain-delete"),
            Target("ours-delete", "mlmd-subgraph"),
        ),
        "E": (*_both(1.5, 0.85), Target("ours-backend", "mlmd"), Target("ours-backend", "plain")),
        "F1": (*_both(100.0), Target("ours-backend", "mlmd")),
        "F2": (*_both(2.0), Target("ours-backend", "mlmd")),
        "F3": (
            Bound("ours", 25.0),
            Bound("ours-delete", 25.0),
            *_both(None),
            Target("ours-backend", "mlmd"),
        ),
        # The targets were drawn from ml-metadata's call as it is without options, on its own file.
        "G": (
            Target("ours", "mlmd-whole", 8.0),
            Target("ours-delete", "mlmd-whole", 8.0),
            Target("ours-foreign", "mlmd-whole", 2.0),
            *_both(None),
            Target("ours-foreign", "mlmd-foreign"),
        ),
        "H": _both(2.5, 0.8),
        "I": (*_both(1.8), Target("ours-backend", "mlmd")),
        "W1": _writers(None),
        "W2": _writers(None),
        "W4": _writers(None),
        "W8": _writers(10.0),
    }
    delete_journal = frozenset(
        {
            "ours-delete",
            "ours-foreign",
            "mlmd",
            "mlmd-subgraph",
            "mlmd-foreign",
            "mlmd-whole",
            "plain-delete",
        }
    )

    def about(self) -> dict[str, str]:
        """The flavor and the module."""
        return {
            "sqlite3 module": sqlite3.sqlite_version,
            "metastore-flavor-sqlite": version("metastore-flavor-sqlite"),
        }

    @contextmanager
    def places(
        self, candidates: Iterable[type[Candidate]], fill: Fill | None
    ) -> Iterator[dict[str, str]]:
        """A file for each candidate: copies of one that plain sqlite3 filled."""
        with tempfile.TemporaryDirectory(prefix="metastore-bench-", dir=".") as name:
            folder = Path(name).resolve()
            filled = filled_file(folder / "filled.db", fill)
            urls = {}
            for each in candidates:
                path = folder / f"{each.name}.db"
                if each in {OursForeign, MLMDForeign, MLMDWholeOnFile}:
                    made_by_mlmd(path)
                    copy_rows(filled, path)
                else:
                    copy_file(filled, path)
                journal_of(path, "delete" if each.name in self.delete_journal else "wal")
                urls[each.name] = f"{SCHEME}{path}"
            filled.unlink()
            yield urls

    def rows_of(self, url: str) -> dict[str, int]:
        """The number of rows of every table, for comparing candidates."""
        with closing(sqlite3.connect(url.removeprefix(SCHEME))) as connection:
            tables = connection.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%' "
                "AND name NOT LIKE 'metastore%'"
            )
            return {
                name: connection.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0]  # noqa: S608 - names of tables
                for (name,) in tables.fetchall()
            }


def filled_file(path: Path, fill: Fill | None) -> Path:
    """A store of metastore's, filled by plain sqlite3, all of it in the one file."""
    prepare(f"{SCHEME}{path}")
    if fill is not None:
        plain = PlainSQLite(f"{SCHEME}{path}")
        # Nobody measures this.
        plain.connection.execute("PRAGMA synchronous = OFF")
        plain.connection.execute("PRAGMA cache_size = -500000")
        fill(plain)
        plain.connection.close()
    journal_of(path, "delete")
    return path


def copy_file(source: Path, target: Path) -> None:
    """Copy a file to the disk: what is only in memory, the first writer would have to wait for."""
    shutil.copyfile(source, target)
    with target.open("rb+") as file:
        os.fsync(file.fileno())


def journal_of(path: Path, journal: str) -> None:
    """Put a file in a journal mode, in which it stays."""
    with closing(sqlite3.connect(path)) as connection:
        (mode,) = connection.execute(f"PRAGMA journal_mode = {journal}").fetchone()
        assert mode == journal


def made_by_mlmd(path: Path) -> None:
    """A new file with ml-metadata's tables and indexes, in a process of its own."""
    process = multiprocessing.get_context("spawn").Process(target=_make, args=(str(path),))
    process.start()
    process.join()
    assert process.exitcode == 0


def _make(path: str) -> None:
    from ml_metadata.metadata_store import MetadataStore

    MetadataStore(_config_of(path))
