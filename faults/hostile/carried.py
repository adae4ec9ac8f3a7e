"""A text put wherever a store has texts, and everything read back."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

from metastore import (
    BaseMetadataStore,
    Batch,
    EventQuery,
    EventType,
    Filter,
    InvalidError,
    MemoryMetadataStore,
    NodeKind,
    NodeQuery,
    PropertyKind,
    Proto,
    TypeKey,
    TypeQuery,
    transfer,
)

__all__ = ["carry", "filter_text", "row_counts", "through_json"]

ARTIFACT, EXECUTION, CONTEXT = NodeKind.ARTIFACT, NodeKind.EXECUTION, NodeKind.CONTEXT


def filter_text(text: str) -> str:
    """The text as a literal of the filter language."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _put(store: BaseMetadataStore, texts: Iterable[str]) -> None:
    """Wherever there is a text, in one batch."""
    batch = Batch()
    for kind in NodeKind:
        batch.type(kind, "carried", {"p": PropertyKind.STRING})
    for text in texts:
        batch.type(
            ARTIFACT,
            text,
            {text: PropertyKind.STRING},
            description=text,
            external_id=f"of type {text}",
        )
        batch.type(EXECUTION, "versions", version=text)
        artifact = batch.artifact(
            text,
            name=text,
            uri=text,
            external_id=text,
            properties={text: text},
            custom_properties={
                text: text,
                f"struct {text}": {text: text, "list": [text, {text: None}]},
                f"proto {text}": Proto(f"type/{text}", text.encode()),
            },
        )
        execution = batch.execution("carried", name=text, external_id=text, properties={"p": text})
        context = batch.context("carried", name=text, external_id=text, properties={"p": text})
        batch.event(artifact, execution, EventType.OUTPUT, path=[text, 0, text])
        batch.attribution(context, artifact)
        batch.association(context, execution)
    store.write(batch)


def carry(
    store: BaseMetadataStore, texts: Iterable[str], shown: Callable[[str], str]
) -> Counter[str]:
    """Put the texts into the store and ask for them in every way; how many came back.

    A text that the store refuses with `InvalidError` counts as refused, and must leave nothing.
    """
    texts, counts = list(texts), Counter[str]()
    try:
        _put(store, texts)
        stored = texts
    except InvalidError:
        stored = []
        for text in texts:
            try:
                _put(store, [text])
                stored.append(text)
            except InvalidError:
                counts["refused"] += 1
                assert not store.read_nodes(NodeQuery(ARTIFACT, names=[text])), shown(text)
                assert not store.read_types(TypeQuery(ARTIFACT, [TypeKey(ARTIFACT, text)]))
    for text in stored:
        _check(store, text, shown(text))
    counts["came back"] += len(stored)
    return counts


def _check(store: BaseMetadataStore, text: str, shown: str) -> None:
    [type] = store.read_types(TypeQuery(ARTIFACT, [TypeKey(ARTIFACT, text)]))
    assert type.name == type.description == text, shown
    assert dict(type.properties) == {text: PropertyKind.STRING}, shown
    assert type.external_id == f"of type {text}", shown
    [by_version] = store.read_types(TypeQuery(EXECUTION, [TypeKey(EXECUTION, "versions", text)]))
    assert by_version.version == text, shown
    asked = {
        "type": NodeQuery(ARTIFACT, type=TypeKey(ARTIFACT, text)),
        "type name": NodeQuery(ARTIFACT, type_names=[text]),
        "name": NodeQuery(ARTIFACT, names=[text]),
        "external id": NodeQuery(ARTIFACT, external_ids=[text]),
        "uri": NodeQuery(ARTIFACT, uris=[text]),
        "filter": NodeQuery(
            ARTIFACT,
            filter=Filter.parse(
                ARTIFACT,
                "uri = {0} AND name = {0} AND type IN ({0}) AND external_id = {0}".format(
                    filter_text(text)
                ),
            ),
        ),
    }
    if "`" not in text:
        where = (
            f"properties.`{text}` = {filter_text(text)} AND contexts_a.name = {filter_text(text)}"
        )
        asked["key"] = NodeQuery(ARTIFACT, filter=Filter.parse(ARTIFACT, where))
    artifact_id = 0
    for how, query in asked.items():
        found = store.find_nodes(query)
        assert len(found) == 1, f"{len(found)} by {how}: {shown}"
        [artifact] = found
        artifact_id = artifact.id
        assert artifact.name == artifact.uri == artifact.external_id == text, (how, shown)  # type: ignore[union-attr]  # an artifact
        assert artifact.type == text, (how, shown)
        assert dict(artifact.properties) == {text: text}, (how, shown)
        custom = dict(artifact.custom_properties)
        assert custom[text] == text, (how, shown)
        assert custom[f"struct {text}"] == {text: text, "list": [text, {text: None}]}, (how, shown)
        assert custom[f"proto {text}"] == Proto(f"type/{text}", text.encode()), (how, shown)
    [event] = store.read_events(EventQuery(artifact_ids=[artifact_id]))
    assert event.path == (text, 0, text), shown
    for kind in (EXECUTION, CONTEXT):
        for query in (NodeQuery(kind, names=[text]), NodeQuery(kind, external_ids=[text])):
            [node] = store.read_nodes(query)
            assert node.name == node.external_id == node.properties["p"] == text, (kind, shown)


def through_json(store: BaseMetadataStore) -> MemoryMetadataStore:
    """What the store holds, written as lines of plain JSON, and read."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "all.jsonl"
        with transfer.written_text(path) as file:
            transfer.export(store, file)
        return transfer.read_export(path)


def row_counts(store: BaseMetadataStore) -> dict[str, int]:
    """How much of everything there is."""
    return {
        **{kind.label: store.count(NodeQuery(kind)) for kind in NodeKind},
        **{f"{kind.label} types": len(store.read_types(TypeQuery(kind))) for kind in NodeKind},
        "events": len(store.read_events(EventQuery())),
    }
