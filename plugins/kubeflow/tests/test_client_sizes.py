"""Messages of a hundred megabytes, and larger ones: they come in portions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ml_metadata.metadata_store", reason="the judge is not installed here")

import metastore
from metastore import (
    Batch,
    EventQuery,
    EventType,
    LinkKind,
    LinkQuery,
    NodeKind,
    NodeQuery,
    OrderBy,
    StorageError,
)
from metastore_flavor_kubeflow import KubeflowConfig, KubeflowMetadataStore

from .services import calls_to, engine_service, our_service

ARTIFACT, CONTEXT = NodeKind.ARTIFACT, NodeKind.CONTEXT
MIB = 1024 * 1024


def _open(port: int, **settings: Any) -> KubeflowMetadataStore:
    return KubeflowMetadataStore.open(KubeflowConfig(host="127.0.0.1", port=port, **settings))


@contextmanager
def _service_of(kind: str, file: Path, count: int, size: int) -> Iterator[int]:
    """A service of so many artifacts, each with a text of so many bytes."""
    with metastore.connect(f"sqlite:///{file}") as store:
        batch = Batch()
        batch.type(ARTIFACT, "T")
        for number in range(count):
            text = f"{number:08}" * (size // 8)
            batch.artifact("T", custom_properties={"text": text, "number": number})
        store.backend.write(batch)
    with engine_service(file) if kind == "engine" else our_service(f"sqlite:///{file}") as port:
        yield port


def _check(nodes: Any, count: int, size: int) -> None:
    assert [node.custom_properties["number"] for node in nodes] == [*range(count)]
    assert all(len(node.custom_properties["text"]) == size for node in nodes)


SERVERS = pytest.mark.parametrize("kind", ["engine", "ours"])


@pytest.mark.slow
@SERVERS
def test_an_answer_of_90_megabytes(kind: str, tmp_path: Path) -> None:
    """By ids as by a list it is one answer; nothing of it is lost."""
    with (
        _service_of(kind, tmp_path / "large.db", 90, MIB) as port,
        closing(_open(port)) as store,
    ):
        calls_to(port)
        _check(store.read_nodes(NodeQuery(ARTIFACT, ids=[*range(1, 91)])), 90, MIB)
        assert calls_to(port) == {"GetArtifactsByID": 1}
        _check(store.read_nodes(NodeQuery(ARTIFACT)), 90, MIB)
        assert calls_to(port) == {"GetArtifacts": 1}


@SERVERS
@pytest.mark.parametrize(
    "narrowed",
    [{"ids": [*range(1, 91)]}, {}, {"limit": 90}, {"order_by": OrderBy.CREATE_TIME}],
    ids=["ids", "all", "limit", "time"],
)
def test_what_is_too_large_for_a_message_comes_in_portions(
    kind: str, narrowed: dict[str, Any], tmp_path: Path
) -> None:
    """90 nodes of 32 KiB through messages of 640 KiB: all come, in fewer calls than nodes."""
    size = 32 * 1024
    with (
        _service_of(kind, tmp_path / "medium.db", 90, size) as port,
        closing(_open(port, max_message_bytes=20 * size)) as store,
    ):
        calls_to(port)
        _check(store.read_nodes(NodeQuery(ARTIFACT, **narrowed)), 90, size)
        assert sum(calls_to(port).values()) < 20


@SERVERS
def test_a_node_that_is_too_large_is_an_error(kind: str, tmp_path: Path) -> None:
    """One line: which call, and which setting to raise; other questions are still answered."""
    size = 32 * 1024
    with (
        _service_of(kind, tmp_path / "medium.db", 10, size) as port,
        closing(_open(port, max_message_bytes=size)) as store,
    ):
        for query in (NodeQuery(ARTIFACT, ids=[3]), NodeQuery(ARTIFACT, limit=2)):
            with pytest.raises(StorageError) as caught:
                store.read_nodes(query)
            assert "is larger than" in caught.value.message
            assert "max_message_bytes" in str(caught.value)
            assert "\n" not in str(caught.value)
            assert len(str(caught.value)) < 400
        assert store.read_nodes(NodeQuery(CONTEXT)) == []


@pytest.mark.parametrize("service", [engine_service, our_service], ids=["engine", "ours"])
def test_many_small_answers(service: Any) -> None:
    """Events, links and parents of many nodes come through messages of 8 KiB, too."""
    with service() as port, closing(_open(port)) as writer:
        batch = Batch()
        for kind in NodeKind:
            batch.type(kind, "T")
        above = batch.context("T", name="above")
        execution = batch.execution("T")
        for number in range(300):
            artifact = batch.artifact("T", uri="u" * 50)
            context = batch.context("T", name=f"c {number} {'x' * 50}")
            batch.event(artifact, execution, EventType.OUTPUT, path=["some key", number])
            batch.attribution(context, artifact)
            batch.parent(context, above)
        writer.write(batch)
        ids = [*range(1, 400)]
        with closing(_open(port, max_message_bytes=8 * 1024)) as store:
            for read in (
                lambda each: each.read_events(EventQuery(artifact_ids=ids)),
                lambda each: each.read_links(LinkQuery(LinkKind.ATTRIBUTION, context_ids=ids)),
                lambda each: each.read_links(LinkQuery(LinkKind.ATTRIBUTION, other_ids=ids)),
                lambda each: each.read_links(LinkQuery(LinkKind.PARENT, context_ids=ids)),
                lambda each: each.read_links(LinkQuery(LinkKind.PARENT, other_ids=[1])),
                lambda each: each.read_nodes(NodeQuery(CONTEXT, children_of=[1])),
                lambda each: each.count(NodeQuery(CONTEXT, children_of=[1])),
                lambda each: each.read_nodes(NodeQuery(CONTEXT, parents_of=ids)),
            ):
                assert read(store) == read(writer)
        assert len(writer.read_nodes(NodeQuery(CONTEXT, children_of=[1]))) == 300


def test_a_batch_that_is_too_large_is_refused(tmp_path: Path) -> None:
    """Nothing of it is written, and the error says what to raise."""
    with (
        engine_service() as port,
        closing(_open(port, max_message_bytes=64 * 1024)) as store,
    ):
        batch = Batch()
        batch.type(ARTIFACT, "T")
        batch.artifact("T", custom_properties={"t": "x" * 100_000})
        with pytest.raises(StorageError, match="the batch as a message of PutArtifacts is larger"):
            store.write(batch)
        assert store.read_nodes(NodeQuery(ARTIFACT)) == []
