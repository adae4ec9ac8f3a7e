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
from metastore.errors import InvalidError
from metastore.memory import MemoryMetadataStore
from metastore.model import EventType, NodeKind, PropertyKind
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
