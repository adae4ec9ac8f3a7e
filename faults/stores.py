"""Stores in files, as all harnesses make them and look at them."""

from __future__ import annotations

import io
import sqlite3
from contextlib import closing
from pathlib import Path

import metastore
from metastore.transfer import export

__all__ = ["lines_of", "new_file", "set_journal", "url_of", "whole"]


def url_of(path: Path) -> str:
    """The URL of a file."""
    return f"sqlite:///{path}"


def set_journal(path: Path, journal: str) -> None:
    """Give a file that nobody has open another journal."""
    with closing(sqlite3.connect(path)) as file:
        file.execute("PRAGMA synchronous = EXTRA")
        assert file.execute(f"PRAGMA journal_mode = {journal}").fetchone() == (journal,)


def new_file(path: Path, journal: str) -> str:
    """The URL of a new store in a file, with that journal."""
    metastore.connect(url_of(path)).close()
    if journal != "wal":
        set_journal(path, journal)
    return url_of(path)


def whole(path: Path) -> None:
    """SQLite itself finds nothing wrong with the file."""
    with closing(sqlite3.connect(path)) as file:
        assert file.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def lines_of(url: str) -> str:
    """All that a store holds, as text; stores that hold the same come to the same.

    Raises
    ------
    AssertionError
        Something is wrong with its rows.
    """
    with metastore.connect(url, mode="r") as store:
        text = io.StringIO()
        export(store.backend, text)
        assert list(store.backend.problems()) == []
    return text.getvalue()
