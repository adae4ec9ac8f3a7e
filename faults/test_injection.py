"""SQL in every text that comes near SQL: it stays a text, and the database stays as it is."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

import metastore
from metastore import (
    BaseMetadataStore,
    Filter,
    MetastoreError,
    NodeKind,
    NodeQuery,
    Store,
    TypeKey,
    TypeQuery,
)
from metastore_flavor_mysql import MySQLMetadataStore

from .conftest import Figures
from .hostile.carried import carry, filter_text, row_counts
from .hostile.texts import INJECTIONS

if TYPE_CHECKING:
    from plugins.mysql.tests.servers import Server

ARTIFACT = NodeKind.ARTIFACT
Size = Callable[[int, int], int]


def _everywhere(store: BaseMetadataStore, schema: Callable[[], Any]) -> dict[str, object]:
    """Every string in every place, on an open store; the figures."""
    before = schema()
    refused = 0
    carried = carry(store, INJECTIONS, repr)
    after = row_counts(store)
    expected = carried["came back"]
    assert after["artifact"] == after["execution"] == after["context"] == expected
    assert after["events"] == expected
    assert schema() == before
    asked = 0
    view = Store(store)
    for text in INJECTIONS:
        quoted = filter_text(text)
        for where in (
            f"name = {quoted} OR name = 'nobody'",
            f"name != {quoted} AND name = 'nobody'",
            f"name IN ({quoted}, 'nobody')",
            f"LOWER(name) = LOWER({quoted})",
            f"COALESCE(custom_properties.nothing, {quoted}) = name",
            f"contexts_x.name = {quoted}",
            f"contexts_x.external_id = {quoted} AND events_e.type = OUTPUT",
            f"LENGTH({quoted}) = LENGTH(name) AND name = {quoted}",
        ):
            nodes = store.find_nodes(NodeQuery(ARTIFACT, filter=Filter.parse(ARTIFACT, where)))
            assert [node.name for node in nodes] == ([] if "!=" in where else [text]), where
            asked += 1
        # Patterns, in which % and _ are wild: what is found holds it, or fits it.
        store.find_nodes(NodeQuery(ARTIFACT, filter=Filter.parse(ARTIFACT, f"name LIKE {quoted}")))
        # Where no literal belongs: an error of ours, or an answer.
        for work in (
            lambda text=text: Filter.parse(ARTIFACT, text),
            lambda text=text: Filter.parse(ARTIFACT, f"id = 1 {text}"),
            lambda text=text: Filter.parse(ARTIFACT, f"properties.{text} = 1"),
            lambda text=text: Filter.parse(ARTIFACT, f"contexts_{text}.id = 1"),
            lambda text=text: list(view.artifacts(order_by=text)),
            lambda text=text: list(view.artifacts(order_by=f"-{text}")),
            lambda text=text: list(view.artifacts(order_by=f"create_time {text}")),
            lambda text=text: view.artifacts().page(2, token=text),
            lambda text=text: list(view.artifacts(type=text)),
            lambda text=text: list(view.artifacts(uri=text)),
            lambda text=text: view.find_run(text),
            lambda text=text: view.pipeline(text),
            lambda text=text: view.type(ARTIFACT, text, text),
            lambda text=text: view.artifact(text),
            lambda text=text: store.read_nodes(NodeQuery(ARTIFACT, ids=[text])),
            lambda text=text: store.read_types(
                TypeQuery(ARTIFACT, [TypeKey(ARTIFACT, text, text)])
            ),
            lambda text=text: store.read_nodes(NodeQuery(ARTIFACT, limit=text)),
        ):
            asked += 1
            try:
                work()
            except MetastoreError:
                refused += 1
            except TypeError:
                # The call itself is none.
                refused += 1
    assert row_counts(store) == after
    assert schema() == before
    assert list(store.problems()) == []
    return {
        "strings": len(INJECTIONS),
        **carried,
        "asked": asked,
        "refused_questions": refused,
    }


def test_injection_sqlite(tmp_path: Path, figures: Figures) -> None:
    """On SQLite: every string comes back from every place; tables and rows are as they should be,
    and no other file is made.
    """
    path = tmp_path / "folder" / "s.db"
    path.parent.mkdir()

    def schema() -> Any:
        with closing(sqlite3.connect(path)) as database:
            return database.execute("SELECT type, name, sql FROM sqlite_master").fetchall()

    with metastore.connect(f"sqlite:///{path}") as store:
        found = _everywhere(store.backend, schema)
    assert {each.name for each in path.parent.iterdir()} <= {"s.db", "s.db-wal", "s.db-shm"}
    figures(**found)


def test_injection_mariadb(mariadb: Server, figures: Figures) -> None:
    """On MariaDB: likewise; and there is no other database, user or table."""
    database = mariadb.new_database()

    def schema() -> Any:
        return (
            mariadb.run(
                "SELECT table_schema, table_name, column_name, column_type FROM "
                "information_schema.columns WHERE table_schema NOT IN "
                "('information_schema', 'performance_schema') ORDER BY 1, 2, 3"
            ),
            mariadb.run("SELECT user, host FROM mysql.user ORDER BY 1, 2"),
        )

    with closing(MySQLMetadataStore.open(mariadb.config(database))) as store:
        figures(**_everywhere(store, schema))


def test_injection_kubeflow(tmp_path: Path, figures: Figures) -> None:
    """Through ``metastore serve`` on SQLite: likewise."""
    pytest.importorskip("ml_metadata", reason="without ml-metadata nothing is served")
    from plugins.kubeflow.tests.served import serving

    path = tmp_path / "s.db"

    def schema() -> Any:
        with closing(sqlite3.connect(path)) as database:
            return database.execute("SELECT type, name, sql FROM sqlite_master").fetchall()

    with (
        serving("sqlite:///s.db", folder=tmp_path) as served,
        metastore.connect(f"kubeflow://{served.address}") as store,
    ):
        figures(**_everywhere(store.backend, schema))


@pytest.mark.parametrize("create", ["false", "true"])
def test_names_of_databases(mariadb: Server, create: str) -> None:
    """A database that is called like SQL is made under that name, or refused; no other one is."""
    before = {row[0] for row in mariadb.run("SHOW DATABASES")}
    made = 0
    for text in INJECTIONS:
        url = (
            f"mysql://admin:{mariadb.password}@127.0.0.1:{mariadb.port}/{quote(text, safe='')}"
            f"?create_database={create}"
        )
        try:
            metastore.connect(url).close()
        except MetastoreError:
            assert {row[0] for row in mariadb.run("SHOW DATABASES")} == before, text
            continue
        now = {row[0] for row in mariadb.run("SHOW DATABASES")}
        assert now == before | {text}, text
        made += 1
        mariadb.run(f"DROP DATABASE `{text.replace('`', '``')}`")
    assert (made > 10) == (create == "true")


def test_names_of_users_and_files(mariadb: Server, tmp_path: Path) -> None:
    """Users and passwords that are SQL log nobody in; files that are called like it are files."""
    for text in INJECTIONS:
        encoded = quote(text, safe="")
        with pytest.raises(MetastoreError):
            metastore.connect(
                f"mysql://{encoded}:{encoded}@127.0.0.1:{mariadb.port}/mysql", mode="r"
            )
        try:
            with metastore.connect(f"sqlite:///{tmp_path}/{encoded}") as store:
                assert store.backend.count(NodeQuery(ARTIFACT)) == 0
        except MetastoreError:
            assert "\0" in text or "/" in text, text
