"""Answers of a server that is damaged, or means harm: an error of ours, or a result, and an end."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable
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
    Filter,
    LinkKind,
    LinkQuery,
    Merge,
    MetastoreError,
    NodeKind,
    NodeQuery,
    OrderBy,
    TypeKey,
    TypeQuery,
)
from metastore.model import PropertyKind
from metastore_flavor_kubeflow import KubeflowConfig, KubeflowMetadataStore

from .services import engine_service
from .stand_in import standing_in

ARTIFACT, EXECUTION, CONTEXT = NodeKind.ARTIFACT, NodeKind.EXECUTION, NodeKind.CONTEXT

_EDGES = (0, 1, 2, -1, 127, 2**31, 2**63 - 1, -(2**63), 99)


def _batch() -> Batch:
    batch = Batch()
    for kind in NodeKind:
        batch.type(kind, "T", {"p": PropertyKind.STRING, "n": PropertyKind.INT})
    above, context = batch.context("T", name="above"), batch.context("T", name="c")
    batch.parent(context, above)
    for number in range(5):
        artifact = batch.artifact("T", name=f"a {number}", properties={"p": "x", "n": number})
        execution = batch.execution("T", name=f"e {number}", custom_properties={"s": {"k": [1]}})
        batch.event(artifact, execution, EventType.OUTPUT, path=["key", number])
        batch.attribution(context, artifact)
        batch.association(context, execution)
    return batch


def _garble(chance: random.Random, message: Any) -> None:
    """Change a field somewhere in a message: numbers to edges, texts, repetitions, absences."""
    fields = message.ListFields()
    if not fields:
        return
    field, value = chance.choice(fields)
    if chance.random() < 0.15:
        message.ClearField(field.name)
    elif field.message_type is not None and field.message_type.GetOptions().map_entry:
        keys = sorted(value)
        nested = field.message_type.fields_by_name["value"].message_type
        if nested is not None:
            _garble(chance, value[chance.choice(keys)])
    elif field.label == field.LABEL_REPEATED:
        if chance.random() < 0.3:
            value.extend(list(value))
        elif field.message_type is not None:
            _garble(chance, chance.choice(list(value)))
        elif field.cpp_type in (field.CPPTYPE_INT64, field.CPPTYPE_INT32):
            value[chance.randrange(len(value))] = chance.choice(_EDGES[:5])
    elif field.message_type is not None:
        _garble(chance, value)
    elif field.cpp_type == field.CPPTYPE_INT64:
        setattr(message, field.name, chance.choice(_EDGES))
    elif field.cpp_type == field.CPPTYPE_STRING and field.type == field.TYPE_STRING:
        setattr(message, field.name, chance.choice(("", "mlmd-struct::AAAA", "x\0y", "🧪" * 100)))


_READS: list[Callable[[KubeflowMetadataStore], Any]] = [
    lambda store: [store.read_types(TypeQuery(kind)) for kind in NodeKind],
    lambda store: [store.read_nodes(NodeQuery(kind)) for kind in NodeKind],
    lambda store: store.read_nodes(NodeQuery(ARTIFACT, order_by=OrderBy.UPDATE_TIME, limit=2)),
    lambda store: store.read_nodes(NodeQuery(ARTIFACT, ids=[1, 2, 3])),
    lambda store: store.read_nodes(NodeQuery(ARTIFACT, type=TypeKey(ARTIFACT, "T"))),
    lambda store: store.read_nodes(NodeQuery(EXECUTION, context_ids=[1, 2])),
    lambda store: store.read_nodes(NodeQuery(CONTEXT, children_of=[1])),
    lambda store: store.count(NodeQuery(CONTEXT, parents_of=[2])),
    lambda store: store.read_events(EventQuery()),
    lambda store: [store.read_links(LinkQuery(kind)) for kind in LinkKind],
    lambda store: store.find_nodes(
        NodeQuery(ARTIFACT, filter=Filter.parse(ARTIFACT, "events_e.type = OUTPUT AND id > 1"))
    ),
]


def _update(store: KubeflowMetadataStore) -> None:
    batch = Batch()
    batch.artifact(properties={"n": random.Random().getrandbits(40)}, mode=Merge(1))
    batch.artifact("T", custom_properties={"d": 0.5})
    batch.association(2, batch.execution("T"))
    store.write(batch)


@pytest.mark.parametrize("seed", range(3))
def test_garbled_answers_are_errors_of_ours(seed: int) -> None:
    """Whatever a field says: no other exception, no list without end, and the store works on."""
    chance = random.Random(seed)
    with engine_service() as port, standing_in(port) as stand_in:
        config = KubeflowConfig(host="127.0.0.1", port=stand_in.port, retry_timeout=0, timeout=30)
        with closing(KubeflowMetadataStore.open(config)) as store:
            store.write(_batch())
            share = 0.0

            def garble(rpc: str, answer: bytes) -> bytes:
                if not answer or chance.random() > share:
                    return answer
                if chance.random() < 0.1:
                    at = chance.randrange(len(answer))
                    return answer[:at] + bytes([chance.randrange(256)]) + answer[at + 1 :]
                message = stand_in.answer_of(rpc, answer)
                for _ in range(chance.randint(1, 3)):
                    _garble(chance, message)
                return bytes(message.SerializeToString())

            stand_in.garble = garble
            share, failed = 0.5, list[str]()
            for _ in range(250):
                call = chance.choice([*_READS, _update])
                try:
                    call(store)
                except MetastoreError as error:
                    failed.append(str(error))
            assert len(failed) > 5
            assert not any("\n" in each for each in failed)
            share = 0.0
            assert store.count(NodeQuery(ARTIFACT)) >= 5
            with metastore.connect(f"kubeflow://127.0.0.1:{port}", mode="r") as other:
                assert other.backend.count(NodeQuery(ARTIFACT)) == store.count(NodeQuery(ARTIFACT))


def test_texts_that_are_no_utf_8(tmp_path: Path) -> None:
    """What another program wrote in another encoding is read as far as it is text."""
    file = tmp_path / "latin.db"
    with metastore.connect(f"sqlite:///{file}") as store:
        batch = Batch()
        batch.type(ARTIFACT, "T")
        batch.type(EXECUTION, "T")
        values: dict[str, Any] = {"text": "x", "key": 1, "kept": 2}
        artifact = batch.artifact("T", name="n", uri="u", custom_properties=values)
        batch.event(artifact, batch.execution("T"), EventType.INPUT, path=["k"])
        store.backend.write(batch)
    with closing(sqlite3.connect(file)) as connection:
        latin = "CAST(x'ff61' AS TEXT)"
        connection.execute(f"UPDATE Artifact SET name = {latin}, uri = {latin}")
        connection.execute(
            f"UPDATE ArtifactProperty SET string_value = {latin} WHERE name = 'text'"
        )
        connection.execute(f"UPDATE ArtifactProperty SET name = {latin} WHERE name = 'key'")
        connection.execute(f"UPDATE EventPath SET step_key = {latin}")
        connection.commit()
    with engine_service(file) as port:
        config = KubeflowConfig(host="127.0.0.1", port=port)
        with closing(KubeflowMetadataStore.open(config)) as client:
            (node,) = client.read_nodes(NodeQuery(ARTIFACT))
            (event,) = client.read_events(EventQuery())
    assert (node.name, getattr(node, "uri", "")) == ("\ufffda", "\ufffda")
    # To a property by such a key there is no way in Python's protobuf.
    assert node.custom_properties == {"text": "\ufffda", "kept": 2}
    assert event.path == ("\ufffda",)
