"""Messages of a hundred megabytes, and larger ones: they come in portions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
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
    StorageError,
)
from metastore_flavor_kubeflow import KubeflowConfig, KubeflowMetadataStore

from .services import calls_to, engine_service, our_service

ARTIFACT, CONTEXT = NodeKind.ARTIFACT, NodeKind.CONTEXT
MIB = 1024 * 1024


def _open(port: int, **settings: Any) -> KubeflowMetadataStore:
    return KubeflowMetadataStore.open(KubeflowConfig(host="127.0.0.1", port=port, **settings))


@pytest.fixture(scope="module", params=["engine", "ours"])
def large(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A service of 90 artifacts of 1 MiB each."""
    file = tmp_path_factory.mktemp("large") / "large.db"
    with metastore.connect(f"sqlite:///{file}") as store:
        batch = Batch()
        batch.type(ARTIFACT, "T")
        batch.type(CONTEXT, "C")
        context = batch.context("C", name="c")
        for number in range(90):
            text = f"{number:08}" * (MIB // 8)
            artifact = batch.artifact(
                "T", name=f"a {number}", custom_properties={"text": text, "number": number}
            )
            batch.attribution(context, artifact)
        store.backend.write(batch)
    service = (
        engine_service(file) if request.param == "engine" else our_service(f"sqlite:///{file}")
    )
    with service as port:
        yield port


def _check(nodes: Any) -> None:
    assert [node.custom_properties["number"] for node in nodes] == [*range(90)]
    assert all(len(node.custom_properties["text"]) == MIB for node in nodes)


@pytest.mark.slow
def test_an_answer_of_90_megabytes(large: int) -> None:
    """By ids as by a list it is one answer; nothing of it is lost."""
    with closing(_open(large)) as store:
        calls_to(large)
        _check(store.read_nodes(NodeQuery(ARTIFACT, ids=[*range(1, 91)])))
        assert calls_to(large) == {"GetArtifactsByID": 1}
        _check(store.read_nodes(NodeQuery(ARTIFACT)))
        assert calls_to(large) == {"GetArtifacts": 1}


@pytest.mark.slow
@pytest.mark.parametrize("narrowed", [{"ids": [*range(1, 91)]}, {}], ids=["ids", "all"])
def test_what_is_too_large_for_a_message_comes_in_portions(
    large: int, narrowed: dict[str, Any]
) -> None:
    """Through messages of 20 MiB all of it comes, in fewer calls than nodes."""
    with closing(_open(large, max_message_bytes=20 * MIB)) as store:
        calls_to(large)
        _check(store.read_nodes(NodeQuery(ARTIFACT, **narrowed)))
        assert sum(calls_to(large).values()) < 20


@pytest.mark.slow
def test_a_node_that_is_too_large_is_an_error(large: int) -> None:
    """One line: which call, and which setting to raise; smaller questions are still answered."""
    with closing(_open(large, max_message_bytes=MIB)) as store:
        for query in (NodeQuery(ARTIFACT, ids=[3]), NodeQuery(ARTIFACT, limit=2)):
            with pytest.raises(StorageError) as caught:
                store.read_nodes(query)
            assert "is larger than" in caught.value.message
            assert "max_message_bytes" in str(caught.value)
            assert "\n" not in str(caught.value)
            assert len(str(caught.value)) < 400
        assert len(store.read_nodes(NodeQuery(CONTEXT))) == 1


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
