"""A store goes into a file and comes out of it as it was; a damaged file says where it is."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from metastore import transfer
from metastore.batch import Batch
from metastore.errors import InvalidError, StorageError
from metastore.memory import MemoryMetadataStore
from metastore.model import EventType, NodeKind, PropertyKind
from metastore.query import NodeQuery
from metastore.testing import compare_stores, replay
from metastore.testing.actions import History, OpenAgain, histories

from .copied import full

ARTIFACT, EXECUTION, CONTEXT = NodeKind.ARTIFACT, NodeKind.EXECUTION, NodeKind.CONTEXT


def _text(store: MemoryMetadataStore) -> str:
    file = io.StringIO()
    transfer.export(store, file)
    return file.getvalue()


def _file(folder: Path, text: str, name: str = "export.jsonl") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8", newline="\n")
    return path


def _imported(path: Path) -> MemoryMetadataStore:
    target = MemoryMetadataStore.open()
    report = transfer.copy(transfer.read_export(path), target)
    assert not report.differences, report.differences.first
    return target


@pytest.fixture
def filled() -> MemoryMetadataStore:
    """A store with everything that a store can hold."""
    store = MemoryMetadataStore.open()
    full(store)
    return store


def test_everything_comes_back(filled: MemoryMetadataStore, tmp_path: Path) -> None:
    """What was exported and imported into an empty store exports to the same bytes."""
    text = _text(filled)
    again = _imported(_file(tmp_path, text))
    assert _text(again) == text
    assert compare_stores(filled, again) == []


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(history=histories())
def test_any_store_comes_back(tmp_path_factory: pytest.TempPathFactory, history: History) -> None:
    """Whatever values, texts and times a store holds, it comes back, byte by byte."""
    store = MemoryMetadataStore.open()
    steps = [step for step in history if not isinstance(step, OpenAgain)]
    replay(steps, store, MemoryMetadataStore.open())
    text = _text(store)
    again = _imported(_file(tmp_path_factory.mktemp("any"), text))
    assert _text(again) == text


def test_equal_stores_export_alike(filled: MemoryMetadataStore) -> None:
    """A store whose ids are others, and which holds the same, comes to the same lines."""
    other = MemoryMetadataStore.open()
    spare = Batch()
    for kind in NodeKind:
        spare.type(kind, "spare")
        for number in range(7):
            getattr(spare, kind.label)("spare", name=f"s{number}")
    written = other.write(spare)
    other.delete({kind: [node.id for node in written.nodes[kind]] for kind in NodeKind})
    transfer.copy(filled, other)
    lines = _text(other).splitlines()
    # Types cannot be deleted.
    numbers = [line for line in lines if '"name":"spare"' not in line]
    assert len(numbers) == len(_text(filled).splitlines())
    assert [json.loads(line).get("properties") for line in numbers] == [
        json.loads(line).get("properties") for line in _text(filled).splitlines()
    ]


def test_the_lines_are_what_the_page_says() -> None:
    """Head, types, nodes with numbers of the file's own, events, links and the end."""
    store = MemoryMetadataStore.open()
    batch = Batch()
    batch.type(ARTIFACT, "Model", {"accuracy": PropertyKind.DOUBLE})
    batch.type(EXECUTION, "Train")
    model = batch.artifact(
        "Model", uri="s3://m", properties={"accuracy": 0.5}, create_time_ms=1, update_time_ms=2
    )
    train = batch.execution("Train", create_time_ms=3)
    batch.event(model, train, EventType.OUTPUT, path=["model", 0], time_ms=4)
    store.write(batch)
    rows = [json.loads(line) for line in _text(store).splitlines()]
    assert rows[0] == {"format": "metastore-export", "version": 1}
    assert [row.get("row") for row in rows[1:-1]] == [
        *("type", "type", "artifact", "execution", "event"),
    ]
    assert rows[-1] == {"end": {"artifact": 1, "event": 1, "execution": 1, "type": 2}}
    assert rows[-2] == {
        "row": "event",
        "artifact_id": 1,
        "execution_id": 1,
        "type": "OUTPUT",
        "time_ms": 4,
        "path": ["model", 0],
    }


@pytest.mark.parametrize("suffix", ["", ".gz", ".bz2", ".xz"])
def test_compressed(filled: MemoryMetadataStore, tmp_path: Path, suffix: str) -> None:
    """A file is compressed as its name says, and equal stores come to equal files."""
    paths = [tmp_path / f"{number}.jsonl{suffix}" for number in range(2)]
    for path in paths:
        with transfer.written_text(path) as file:
            transfer.export(filled, file)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert (paths[0].read_bytes()[:1] == b"{") == (not suffix)
    assert paths[0].stat().st_mode & 0o077 == 0
    assert compare_stores(filled, _imported(paths[0])) == []


def test_what_fails_leaves_no_file(tmp_path: Path) -> None:
    """A file that was there stays, and no part of a new one is left, where the export fails."""
    path = tmp_path / "export.jsonl.gz"
    path.write_bytes(b"as it was")
    with pytest.raises(RuntimeError), transfer.written_text(path) as file:
        file.write("half of it")
        raise RuntimeError
    assert path.read_bytes() == b"as it was"
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


_DAMAGES: dict[str, tuple[Callable[[list[str]], list[str]], str]] = {
    "empty": (lambda _: [], "line 1 .* is empty"),
    "another program's": (lambda _: ["{}"], "line 1 .*does not say that this is an export"),
    "a later version": (
        lambda rows: ['{"format":"metastore-export","version":2}', *rows[1:]],
        "version 2, and this release reads 1",
    ),
    "no JSON": (lambda rows: [*rows[:5], "{", *rows[6:]], "line 6 .* is no JSON"),
    "no object": (lambda rows: [*rows[:5], "[]", *rows[6:]], "line 6 .* no object"),
    "no row": (lambda rows: [*rows[:5], '{"row":"what"}', *rows[6:]], "line 6 .* no row"),
    "a line is missing": (lambda rows: [*rows[:-2], rows[-1]], "other numbers than"),
    "cut off": (lambda rows: rows[:-1], "ends before its end"),
    "more behind the end": (lambda rows: [*rows, rows[-2]], "stands behind the end"),
    "an event of nobody": (
        lambda rows: [each.replace('"artifact_id":1,', '"artifact_id":77,') for each in rows],
        "names artifact 77",
    ),
    "an undeclared property": (
        lambda rows: [
            each.replace(',"properties":{', ',"properties":{"no":1,').replace("1,}", "1}")
            if '"row":"artifact"' in each
            else each
            for each in rows
        ],
        "has the property 'no'",
    ),
}


@pytest.mark.parametrize("damage", _DAMAGES)
def test_a_damaged_file(filled: MemoryMetadataStore, tmp_path: Path, damage: str) -> None:
    """What is wrong in a file is said with its line, before anything is written."""
    change, said = _DAMAGES[damage]
    rows = change(_text(filled).splitlines())
    path = _file(tmp_path, "".join(f"{row}\n" for row in rows))
    with pytest.raises(InvalidError, match=said) as raised:
        transfer.read_export(path)
    assert "\n" not in str(raised.value)


def test_a_damaged_compressed_file(filled: MemoryMetadataStore, tmp_path: Path) -> None:
    """A compressed file that is cut off, or none, is said with the line where it ends."""
    whole = gzip.compress(_text(filled).encode())
    path = tmp_path / "export.jsonl.gz"
    for content in (whole[: len(whole) // 2], b"no gzip at all"):
        path.write_bytes(content)
        with pytest.raises(InvalidError, match="cannot be read"):
            transfer.read_export(path)


_NONE = {
    "a name that is no text": ("artifact", {"name": 3}),
    "a uri that is none": ("artifact", {"uri": None}),
    "a time that is no number": ("artifact", {"create_time_ms": "x"}),
    "a time beyond 64 bits": ("artifact", {"create_time_ms": 2**63}),
    "an external id in a list": ("artifact", {"external_id": ["x"]}),
    "half a character": ("artifact", {"name": "\ud800"}),
    "a key that is half a character": ("artifact", {"custom_properties": {"\ud800": 1}}),
    "a number that is a truth": ("event", {"execution_id": True}),
    "a number that is an object": ("event", {"artifact_id": {"double": []}}),
    "a path with a fraction": ("event", {"path": [0.5]}),
    "a version that is a number": ("type", {"version": 3}),
    "a link to a text": ("attribution", {"context_id": "1"}),
}


@pytest.mark.parametrize(("row", "changes"), _NONE.values(), ids=_NONE.keys())
def test_fields_of_other_kinds(
    filled: MemoryMetadataStore, tmp_path: Path, row: str, changes: dict[str, object]
) -> None:
    """A field of a row that no store can hold is said with its line."""
    lines = _text(filled).splitlines()
    at = next(n for n, line in enumerate(lines) if json.loads(line).get("row") == row)
    lines[at] = json.dumps(json.loads(lines[at]) | changes)
    path = _file(tmp_path, "\n".join(lines) + "\n")
    with pytest.raises(InvalidError, match=f"line {at + 1} of "):
        transfer.read_export(path)


def test_a_struct_nested_too_deeply(filled: MemoryMetadataStore, tmp_path: Path) -> None:
    """Neither the parser's stack nor ours is exceeded."""
    lines = _text(filled).splitlines()
    at = next(n for n, line in enumerate(lines) if json.loads(line).get("row") == "artifact")
    for levels in (40, 300, 480, 100_000):
        deep = '{"struct":{"a":' * levels + "1" + "}}" * levels
        changed = dict(json.loads(lines[at]), custom_properties={"deep": "HERE"})
        text = json.dumps(changed).replace('"HERE"', deep)
        path = _file(tmp_path, "\n".join([*lines[:at], text, *lines[at + 1 :]]) + "\n")
        with pytest.raises(InvalidError, match=f"line {at + 1} of "):
            transfer.read_export(path)


def test_whole_numbers_in_a_struct(filled: MemoryMetadataStore, tmp_path: Path) -> None:
    """What another program wrote without a fraction is a double, as all numbers of structs are, and
    comes into a store as that.
    """
    lines = _text(filled).splitlines()
    at = next(n for n, line in enumerate(lines) if json.loads(line).get("row") == "artifact")
    struct = {"struct": {"a": 1, "b": [2, {"struct": {"c": 3}}]}}
    lines[at] = json.dumps(dict(json.loads(lines[at]), custom_properties={"key": struct}))
    source = transfer.read_export(_file(tmp_path, "\n".join(lines) + "\n"))
    target = MemoryMetadataStore.open()
    assert not transfer.copy(source, target).differences
    [found] = target.read_nodes(NodeQuery(NodeKind.ARTIFACT, limit=1))
    assert repr(found.custom_properties["key"]) == "{'a': 1.0, 'b': [2.0, {'c': 3.0}]}"


def test_what_stands_twice(tmp_path: Path) -> None:
    """Names, external ids, events, links and keys of types are there once, and parents have no
    circle; the line that breaks it is said before anything is written.
    """
    store = MemoryMetadataStore.open()
    batch = Batch()
    for kind in NodeKind:
        batch.type(kind, "T", external_id=f"type of {kind.label}")
        batch.type(kind, "U", external_id=f"other type of {kind.label}")
    artifacts = [batch.artifact("T", name=n, external_id=f"x{n}") for n in "ab"]
    execution = batch.execution("T")
    contexts = [batch.context("T", name=n) for n in "ab"]
    for artifact in artifacts:
        batch.event(artifact, execution, EventType.OUTPUT)
        batch.attribution(contexts[0], artifact)
    batch.parent(contexts[0], contexts[1])
    store.write(batch)
    lines = [json.loads(line) for line in _text(store).splitlines()]

    def refused(row: str, what: str, **changes: object) -> None:
        rows = [n for n, line in enumerate(lines) if line.get("row") == row]
        changed = [*lines]
        at = rows[1] if len(rows) > 1 else rows[0] + 1
        if len(rows) > 1:
            changed[at] = lines[at] | changes
        else:
            changed.insert(at, lines[rows[0]] | changes)
        text = "".join(json.dumps(line) + "\n" for line in changed)
        with pytest.raises(InvalidError, match=f"line {at + 1} of .*{what}"):
            transfer.read_export(_file(tmp_path, text))

    first = {
        row: next(each for each in lines if each.get("row") == row) for row in ("event", "type")
    }
    refused("artifact", "has the name of a line above", name="a")
    refused("artifact", "has the external id of a line above", external_id="xa")
    refused("type", "has the external id of a line above", external_id=first["type"]["external_id"])
    refused("type", "has the key of a line above", name=first["type"]["name"])
    refused("event", "has the event of a line above", artifact_id=first["event"]["artifact_id"])
    refused("attribution", "has the link of a line above", other_id=1)
    refused("parent context", "its own ancestor", context_id=2, other_id=1)


def test_what_is_no_file_is_not_replaced(filled: MemoryMetadataStore, tmp_path: Path) -> None:
    """An export to a pipe or a device is refused: a file would take its place."""
    import os
    import stat

    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(StorageError, match="is no file"), transfer.written_text(pipe) as file:
        transfer.export(filled, file)
    assert stat.S_ISFIFO(pipe.stat().st_mode)
