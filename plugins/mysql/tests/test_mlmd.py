"""Stores that ml-metadata made and stores that we made, read and written by both."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip(
    "ml_metadata", reason="without ml-metadata nothing says whether we read its stores as it does"
)
if not (Path(__file__).parents[2] / "sqlite" / "tests" / "mlmd").is_dir():
    pytest.skip("the tests of the sqlite flavor are not beside these", allow_module_level=True)
sys.path.insert(0, str(Path(__file__).parents[3]))

from plugins.sqlite.tests import mlmd
from plugins.sqlite.tests.helpers import listing, with_all_digits
from plugins.sqlite.tests.mlmd._proto import pb

from metastore import (
    Batch,
    InvalidError,
    Merge,
    NodeKind,
    NodeQuery,
    PropertyKind,
    ReadOnlyError,
    Reuse,
    Store,
)
from metastore_flavor_mysql import MySQLConfig, MySQLMetadataStore

from .servers import Server

ARTIFACT, CONTEXT = NodeKind.ARTIFACT, NodeKind.CONTEXT

DATABASES = {
    "utf8mb4": "CHARACTER SET utf8mb4",
    "utf8mb4, binary": "CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
    "utf8mb3": "CHARACTER SET utf8mb3",
    "latin1": "CHARACTER SET latin1",
}


def connection(config: MySQLConfig) -> Any:
    """How ml-metadata connects to the same database."""
    assert config.password is not None
    found = pb.ConnectionConfig()
    (host,) = config.hosts()
    found.mysql.host, found.mysql.port = host
    found.mysql.database, found.mysql.user = config.database, config.user
    found.mysql.password = config.password.reveal()
    found.mysql.skip_db_creation = True
    return found


@pytest.fixture(params=DATABASES)
def config(request: pytest.FixtureRequest, mariadb: Server) -> MySQLConfig:
    """A database of each character set and collation that servers have by default."""
    return mariadb.config(mariadb.new_database(DATABASES[request.param]))


def open_store(config: MySQLConfig, **fields: Any) -> MySQLMetadataStore:
    """The store that is there."""
    return MySQLMetadataStore.open(config.model_copy(update=fields), create=False)


def assert_read_alike(config: MySQLConfig) -> dict[str, Any]:
    """Check that ml-metadata lists what we list; returns it."""
    with closing(MySQLMetadataStore.open(config, mode="r")) as with_us:
        ours = listing(with_us)
    theirs = mlmd.snapshot(connection(config))
    assert set(ours) == set(theirs)
    for section, records in ours.items():
        assert len(records) == len(theirs[section]), section
        for one, other in zip(records, theirs[section], strict=True):
            assert one == _repaired(other, one), section
    return ours


def _repaired(theirs: Any, ours: Any) -> Any:
    """A record of ml-metadata's with what it does not read on MySQL."""
    if not isinstance(theirs, dict):
        return theirs
    if "type_id" not in theirs:
        # Its query of types leaves their external ids out.
        return theirs | {"external_id": ours["external_id"]}
    return with_all_digits(theirs, ours)


@pytest.mark.slow
@pytest.mark.parametrize("write", [mlmd.write_tfx_orchestrated, mlmd.write_kubeflow])
def test_stores_of_mlmd(config: MySQLConfig, write: Callable[[Any], None]) -> None:
    """What ml-metadata wrote, we list as it does, and it goes on to do so."""
    write(connection(config))
    found = assert_read_alike(config)
    assert len(found["artifacts"]) >= 3
    with closing(open_store(config)) as base:
        record(Store(base))
    more = assert_read_alike(config)
    assert len(more["artifacts"]) > len(found["artifacts"])


def test_nothing_is_wrong_in_what_was_written(mariadb: Server) -> None:
    """In a store that ml-metadata wrote, and in one of ours, the database finds no problem."""
    theirs = mariadb.config(mariadb.new_database(DATABASES["utf8mb4"]))
    mlmd.write_kubeflow(connection(theirs))
    ours = mariadb.config(mariadb.new_database(DATABASES["utf8mb4"]))
    for config in (theirs, ours):
        with closing(MySQLMetadataStore.open(config)) as base:
            record(Store(base), "plain")
            assert list(base.problems()) == []
    mariadb.run("DELETE FROM Artifact", database=ours.database)
    with closing(open_store(ours)) as base:
        found = {each.kind: each.number for each in base.problems()}
    assert found["event-without-artifact"] == 6


def record(store: Store, text: str = "é😀") -> None:
    """Record two runs, with text beyond ASCII."""
    for number in range(2):
        with store.run("train", parameters={"seed": number, "word": text}) as run:
            with run.step("prepare") as step:
                examples = step.output("examples", type="Examples", uri=f"/{text}/{number}")
            with run.step("fit") as step:
                step.input("examples", examples)
                step.metric("accuracy", 0.96875)
                step.output("model", type="Model", properties={"note": f"{text} \\ ' \""})


@pytest.mark.slow
def test_our_stores(config: MySQLConfig) -> None:
    """What we wrote to a store that we made, ml-metadata lists as we do."""
    with closing(MySQLMetadataStore.open(config)) as base:
        record(Store(base), "plain")
    assert len(assert_read_alike(config)["artifacts"]) == 4


@pytest.mark.slow
def test_our_stores_made_for_mlmd(config: MySQLConfig) -> None:
    """Text beyond ASCII too, in a store that we made with ``text="mlmd"``."""
    with closing(MySQLMetadataStore.open(config.model_copy(update={"text": "mlmd"}))) as base:
        record(Store(base))
    assert len(assert_read_alike(config)["artifacts"]) == 4
    store = mlmd.connect(connection(config))
    written = store.get_artifacts()[0]
    written.custom_properties["theirs"].string_value = "ünß"
    store.put_artifacts([written])
    del store
    assert_read_alike(config)


@pytest.mark.slow
def test_text_of_mlmd(config: MySQLConfig) -> None:
    """Text beyond ASCII that ml-metadata wrote is found by name, uri and filter as it was meant,
    and a setting shows it as another program would.
    """
    text = "é😀Ünñ€"
    store = mlmd.connect(connection(config))
    type = pb.ArtifactType(name=f"T{text}")
    id = store.put_artifact_type(type)
    artifact = pb.Artifact(type_id=id, name=text, uri=f"/{text}")
    artifact.custom_properties["word"].string_value = text
    store.put_artifacts([artifact])
    del store
    with closing(open_store(config)) as base:
        found = Store(base)
        (node,) = found.artifacts(where=f"custom_properties.word.string_value = '{text}'")
        assert (node.type, node.name, node.uri) == (f"T{text}", text, f"/{text}")
        assert node.custom_properties == {"word": text}
        ways: list[dict[str, Any]] = [
            {"names": [text]},
            {"uris": [f"/{text}"]},
            {"type_names": [f"T{text}"]},
        ]
        for by in ways:
            assert len(base.read_nodes(NodeQuery(ARTIFACT, **by))) == 1
        batch = Batch()
        batch.type(ARTIFACT, f"T{text}")
        batch.artifact(f"T{text}", name=text, mode=Reuse("name"))
        assert base.write(batch).nodes[ARTIFACT][0].id == node.id
        like = "custom_properties.word LIKE '%ünñ%' OR LENGTH(name) = 6"
        assert [each.id for each in found.artifacts(where=like)] == [node.id]
    with closing(open_store(config, text="utf8")) as base:
        (node,) = Store(base).artifacts()
        assert node.name != text


@pytest.mark.slow
def test_names_that_a_collation_takes_for_equal(config: MySQLConfig) -> None:
    """What is asked for is what is meant, capital letters and trailing spaces included, whatever
    the collation of a store that ml-metadata made.
    """
    store = mlmd.connect(connection(config))
    id = store.put_artifact_type(pb.ArtifactType(name="T"))
    for key in ("loss", "Loss"):
        artifact = pb.Artifact(type_id=id, name=f"{key} 1", uri=f"/{key}")
        artifact.custom_properties[key].string_value = f"{key}"
        try:
            store.put_artifacts([artifact])
        except Exception:  # noqa: BLE001 - its collation takes both names for one
            artifact.name = "another"
            store.put_artifacts([artifact])
    del store
    with closing(open_store(config)) as base:
        found = Store(base)

        def uris(where: str) -> list[str]:
            return [node.uri for node in found.artifacts(where=where)]

        assert uris("custom_properties.loss IS NOT NULL") == ["/loss"]
        assert uris("custom_properties.Loss.string_value = 'Loss'") == ["/Loss"]
        assert uris("custom_properties.loss.string_value = 'Loss'") == []
        assert uris("uri = '/LOSS'") == []
        assert uris("uri IN ('/loss', '/LOSS', '/loss ')") == ["/loss"]
        assert uris("uri >= '/a'") == ["/loss"]
        assert base.read_nodes(NodeQuery(ARTIFACT, names=["LOSS 1", "loss 1 "])) == []
        assert len(base.read_nodes(NodeQuery(ARTIFACT, names=["loss 1"]))) == 1
        assert base.read_nodes(NodeQuery(ARTIFACT, type_names=["t"])) == []


def test_a_number_of_more_than_32_bits(mariadb: Server) -> None:
    """A number that a column of ml-metadata cannot hold is InvalidError, which names the property,
    and nothing is written; a store of ours holds it.
    """
    config = mariadb.config()
    mlmd.connect(connection(config))
    batch = Batch()
    batch.type(ARTIFACT, "T", {"small": PropertyKind.INT, "large": PropertyKind.INT})
    batch.artifact("T", properties={"small": 2**31 - 1})
    batch.artifact("T", properties={"small": -(2**31), "large": 2**31})
    with closing(open_store(config)) as base:
        before = listing(base)
        with pytest.raises(InvalidError, match=r"property 'large'.* 32 bits") as raised:
            base.write(batch)
        assert raised.value.offender is not None
        assert raised.value.offender.property == "large"
        assert listing(base) == before
    with closing(MySQLMetadataStore.open(mariadb.config())) as base:
        base.write(batch)
        assert [dict(node.properties) for node in base.read_nodes(NodeQuery(ARTIFACT))] == [
            {"small": 2**31 - 1},
            {"small": -(2**31), "large": 2**31},
        ]


@pytest.mark.slow
@pytest.mark.parametrize("made_by", ["mlmd", "us"])
def test_an_account_that_may_only_read(mariadb: Server, made_by: str) -> None:
    """With SELECT alone a store is opened for reading, and read; to write is ReadOnlyError."""
    config = mariadb.config()
    if made_by == "mlmd":
        mlmd.write_tfx_orchestrated(connection(config))
    else:
        with closing(MySQLMetadataStore.open(config)) as base:
            record(Store(base))
    reader = f"reader_{config.database}"[:32]
    mariadb.run(
        f"CREATE USER {reader}@'%' IDENTIFIED BY 'reading'",
        f"GRANT SELECT ON {config.database}.* TO {reader}@'%'",
    )
    may_read = MySQLConfig(
        host="127.0.0.1",
        port=config.port,
        user=reader,
        password="reading",  # type: ignore[arg-type]
        database=config.database,
    )
    with closing(MySQLMetadataStore.open(may_read, mode="r")) as base:
        with closing(MySQLMetadataStore.open(config, mode="r")) as whole:
            assert listing(base) == listing(whole)
        assert Store(base).pipelines()[0].runs
    with closing(MySQLMetadataStore.open(may_read, create=False)) as base:
        batch = Batch()
        batch.type(CONTEXT, "T")
        with pytest.raises(ReadOnlyError, match=r"lacks (INSERT|UPDATE|SELECT, UPDATE)"):
            base.write(batch)


@pytest.mark.slow
def test_both_write_to_one_store(mariadb: Server) -> None:
    """Each goes on where the other stopped, with the other's types and nodes."""
    config = mariadb.config()
    store = mlmd.connect(connection(config))
    id = store.put_artifact_type(
        pb.ArtifactType(name="T", properties={"n": pb.PropertyType.Value("INT")})
    )
    artifact = pb.Artifact(type_id=id, name="one")
    artifact.properties["n"].int_value = 1
    (first,) = store.put_artifacts([artifact])
    with closing(open_store(config)) as base:
        batch = Batch()
        batch.type(ARTIFACT, "T", {"n": PropertyKind.INT})
        batch.artifact(mode=Merge(first), properties={"n": 2})
        batch.artifact("T", name="two", properties={"n": 3})
        written = base.write(batch)
        assert written.types[0].id == id
    (read,) = store.get_artifacts_by_id([first])
    assert read.properties["n"].int_value == 2
    read.properties["n"].int_value = 4
    store.put_artifacts([read])
    del store
    found = assert_read_alike(config)
    assert [each["properties"]["n"] for each in found["artifacts"]] == [
        ("int_value", 4),
        ("int_value", 3),
    ]
