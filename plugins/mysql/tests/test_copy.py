"""Stores copied from a file to a server and back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("metastore_flavor_sqlite", reason="no other flavor is there to copy from")

from metastore import (
    Artifact,
    ArtifactState,
    BaseMetadataStore,
    Batch,
    EventType,
    InvalidError,
    MemoryMetadataStore,
    NodeDraft,
    NodeKind,
    NodeQuery,
    PropertyKind,
    Proto,
    Replace,
)
from metastore.testing import compare_stores
from metastore.transfer import compare, copy
from metastore_flavor_mysql import MySQLMetadataStore
from metastore_flavor_sqlite import SQLiteConfig, SQLiteMetadataStore

from .servers import Server

ARTIFACT = NodeKind.ARTIFACT


def history(store: BaseMetadataStore, steps: int, **more: Any) -> None:
    """Steps of a run, with every kind of property."""
    kinds = {
        "i": PropertyKind.INT,
        "d": PropertyKind.DOUBLE,
        "s": PropertyKind.STRING,
        "b": PropertyKind.BOOLEAN,
        "m": PropertyKind.STRUCT,
        "p": PropertyKind.PROTO,
    }
    values: dict[str, Any] = {
        "i": -(2**40),
        "d": 0.1 + 0.2,
        "s": "café \U0001f600 `'\"",
        "b": False,
        "m": {"a": [1.0, None]},
        "p": Proto("type.googleapis.com/a.B", b"\x00\xff"),
    }
    batch = Batch()
    for kind in NodeKind:
        batch.type(kind, "T", kinds, version="1", external_id=f"type {kind.label}")
    key = batch.types[0].key
    run = batch.context(key._replace(kind=NodeKind.CONTEXT), name="run", properties=values)
    batch.parent(run, batch.context(key._replace(kind=NodeKind.CONTEXT), name="pipeline"))
    for number in range(steps):
        step = batch.execution(
            key._replace(kind=NodeKind.EXECUTION),
            external_id=f"step {number}",
            properties=values,
            create_time_ms=1000 + number,
        )
        made = batch.artifact(
            key._replace(kind=ARTIFACT),
            name=f"made {number}" if number % 2 else None,
            uri=f"s3://{number}",
            state=ArtifactState.LIVE,
            properties=values,
            custom_properties={"x": number, **more},
            create_time_ms=1000 + number,
            update_time_ms=2000 + number,
        )
        batch.event(made, step, EventType.OUTPUT, path=("made", number), time_ms=5 + number)
        batch.association(run, step)
        batch.attribution(run, made)
    store.write(batch)


@pytest.fixture
def file(tmp_path: Path) -> Iterator[SQLiteMetadataStore]:
    """A file with some history."""
    with closing(SQLiteMetadataStore.open(SQLiteConfig(path=tmp_path / "a.db"))) as store:
        history(store, 40)
        yield store


@pytest.fixture
def server(mariadb: Server) -> Iterator[MySQLMetadataStore]:
    """An empty store on a server."""
    with closing(MySQLMetadataStore.open(mariadb.config())) as store:
        yield store


def test_to_a_server_and_back(
    file: SQLiteMetadataStore, server: MySQLMetadataStore, tmp_path: Path
) -> None:
    """A file that was copied to MariaDB and back again holds what it held."""
    there = copy(file, server, page_size=7)
    assert not there.differences
    assert not there.notes
    assert compare_stores(file, server) == []
    with closing(SQLiteMetadataStore.open(SQLiteConfig(path=tmp_path / "b.db"))) as back:
        report = copy(server, back, page_size=11)
        assert not report.differences
        assert compare_stores(file, back) == []
        assert not compare(file, back)


def test_into_a_store_with_other_things(
    file: SQLiteMetadataStore, server: MySQLMetadataStore, tmp_path: Path
) -> None:
    """Ids become other ones; the next copy brings what is new or changed, and nothing else."""
    batch = Batch()
    batch.type(ARTIFACT, "Own")
    for _ in range(5):
        batch.artifact("Own")
    server.write(batch)
    journal = tmp_path / "journal"
    assert not copy(file, server, journal=journal).differences
    batch = Batch()
    batch.add(ARTIFACT, NodeDraft(None, uri="new", mode=Replace(1)))
    batch.artifact(file.read_nodes(NodeQuery(ARTIFACT))[0].type_id, uri="newer")
    file.write(batch)
    report = copy(file, server, journal=journal)
    assert (+report.created, +report.updated) == ({"artifact": 1}, {"artifact": 1})
    assert not report.differences
    found = [each.uri for each in server.iterate(NodeQuery(ARTIFACT)) if isinstance(each, Artifact)]
    assert len(found) == 46
    assert found[5] == "new"
    assert found[-1] == "newer"


def test_what_the_server_cannot_hold_is_named(server: MySQLMetadataStore, tmp_path: Path) -> None:
    """A node that MySQL does not take is named by its id in the source; the copy can go on."""
    source = MemoryMetadataStore()
    history(source, 20)
    batch = Batch()
    batch.artifact(source.read_nodes(NodeQuery(ARTIFACT))[0].type_id, name="x" * 300)
    source.write(batch)
    journal = tmp_path / "journal"
    with pytest.raises(InvalidError, match=r"the source's artifact \(id 21\)") as caught:
        copy(source, server, journal=journal, page_size=4)
    assert caught.value.offender is not None
    assert caught.value.offender.id == 21
    assert server.count(NodeQuery(ARTIFACT)) == 20
    assert source._tables is not None
    del source._tables.nodes[ARTIFACT][21]
    assert not copy(source, server, journal=journal, page_size=4).differences
    assert server.count(NodeQuery(ARTIFACT)) == 20
    assert compare_stores(source, server) == []


def test_two_stores_of_one_server(mariadb: Server) -> None:
    """From one database of a server to another one; not to itself, by whatever connection."""
    configs = [mariadb.config(), mariadb.config()]
    with ExitStack() as stack:
        one, again, other = (
            stack.enter_context(closing(MySQLMetadataStore.open(each)))
            for each in (configs[0], configs[0], configs[1])
        )
        history(one, 10)
        with pytest.raises(InvalidError, match="into itself"):
            copy(one, again)
        assert not copy(one, other).differences
        assert compare_stores(one, other) == []
