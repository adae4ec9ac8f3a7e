"""Export files of every sort: imported whole, or refused before anything is written."""

from __future__ import annotations

import gzip
import io
import json
import random
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from core.tests.copied import full

from metastore import MemoryMetadataStore, NodeKind, NodeQuery, transfer

from .conftest import Figures
from .hostile.damage import Outcomes, cpu_limit, damaged_bytes, damaged_text, noise_bytes

Size = Callable[[int, int], int]

_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2, 2**63 - 1, 2**63, -(2**63) - 1, 10**400, 0.5, 1e308, -0.0),
    *("", "x", "a\0b", "\u2028", "1", "INPUT", "LIVE", "__MLMD_NULL__", "NaN"),
    *([], {}, [[]], {"struct": {}}, {"struct": 3}, {"struct": {"a": {"struct": {"b": [None]}}}}),
    *({"proto": ["t", "AA=="]}, {"proto": ["t", "!"]}, {"proto": 3}, {"proto": ["", ""]}),
    *({"double": "Infinity"}, {"double": "NaN"}, {"double": []}, {"double": {}}, {"a": 1, "b": 2}),
    *(["a", 1], [None], [2**70], [0.5], ["a", []], {"key": None}, {"key": {"struct": {"": 1}}}),
)


def _deep(levels: int, word: str) -> Any:
    found: Any = 1.0
    for _ in range(levels):
        found = {"struct": {"a": found}} if word == "struct" else [found]
    return found


def _changed(chance: random.Random, record: dict[str, Any]) -> dict[str, Any]:
    """The record with a field of another value or name, without one, or with one more."""
    record = dict(record)
    key = chance.choice(list(record))
    which = chance.randrange(10)
    if which == 0:
        del record[key]
    elif which == 1:
        record[chance.choice(("x", "row", "id", "end", "", "__class__"))] = chance.choice(_VALUES)
    elif which == 2 and isinstance(record[key], dict) and record[key]:
        inner = dict(record[key])
        inner[chance.choice(list(inner))] = chance.choice(_VALUES)
        record[key] = inner
    elif which == 3 and isinstance(record.get("custom_properties"), dict):
        levels = chance.choice((10, 29, 30, 31, 44, 45, 200, 480))
        record["custom_properties"] = {
            "deep": {"struct": {"a": _deep(levels, chance.choice(("struct", "list")))}}
        }
        if chance.random() < 0.5:
            record["custom_properties"] = {"deep": _deep(levels, "struct")}
    else:
        record[key] = chance.choice(_VALUES)
    return record


def _damaged(chance: random.Random, lines: list[str]) -> bytes:
    lines = list(lines)
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        at = chance.randrange(len(lines))
        other = chance.randrange(len(lines))
        which = chance.randrange(12)
        if which < 6:
            try:
                record = _changed(chance, json.loads(lines[at]))
                lines[at] = json.dumps(record)
            except (ValueError, TypeError, AttributeError, IndexError, RecursionError):
                pass  # this line was damaged already, or is deeper than the encoder goes
        elif which == 6:
            lines[at] = damaged_text(chance, lines[at], most=2)
        elif which == 7:
            lines[at], lines[other] = lines[other], lines[at]
        elif which == 8:
            lines.insert(other, lines[at])
        elif which == 9:
            del lines[at]
            lines = lines or [""]
        elif which == 10:
            nested = chance.choice(("[", '{"a":', "[{"))
            lines[at] = nested * chance.choice((50, 900, 100_000))
        else:
            odd = ("NaN", "Infinity", "-1e999", "1" * 5000, '"\\ud800"', "null", "\ufeff{}", "")
            lines[at] = chance.choice(odd)
    content = ("\n".join(lines) + "\n").encode("utf-8", "surrogatepass")
    if chance.random() < 0.15:
        content = damaged_bytes(chance, content, 2)
    return content


def _exported(store: MemoryMetadataStore) -> str:
    text = io.StringIO()
    transfer.export(store, text)
    return text.getvalue()


@pytest.fixture(scope="module")
def lines() -> list[str]:
    """The lines of an export of a store with one of everything."""
    return _exported(full(MemoryMetadataStore.open(), steps=2)).splitlines()


@pytest.mark.parametrize("part", range(2))
def test_exports(part: int, lines: list[str], tmp_path: Path, size: Size, figures: Figures) -> None:
    """A damaged export is refused with its line, or is one that a store can hold: then it comes
    into an empty store with the same content.
    """
    chance, reads, copies = random.Random(part), Outcomes(), Outcomes()
    path = tmp_path / "export.jsonl"
    for number in range(size(400, 25_000)):
        content = noise_bytes(chance) if chance.random() < 0.05 else _damaged(chance, lines)
        path.write_bytes(content)

        def shown(content: bytes = content, number: int = number) -> str:
            return f"input {number} of seed {part}: {content[:6000]!r}"

        with cpu_limit(10, shown):
            source = reads.of(lambda: transfer.read_export(path), shown)
        if source is None:
            continue
        target = MemoryMetadataStore.open()
        with cpu_limit(10, shown):
            report = copies.of(partial(transfer.copy, source, target), shown)
        if report is None:
            # Whoever refuses in the middle leaves half of it behind.
            assert sum(target.count(NodeQuery(kind)) for kind in NodeKind) == 0, shown()
        else:
            assert not report.differences, shown()
            # What is stored can be exported and imported again.
            assert _exported(target), shown()
    assert set(reads.refused) <= {"InvalidError"}
    assert reads.right > 10
    figures(seed=part, reads=reads.figures(), copies=copies.figures())


def test_compressed_exports(lines: list[str], tmp_path: Path, size: Size, figures: Figures) -> None:
    """A compressed file that is damaged is `InvalidError`; one that unpacks to much ends at its
    first wrong line.
    """
    import bz2
    import lzma

    chance, outcomes = random.Random(8), Outcomes()
    content = ("\n".join(lines) + "\n").encode()
    packed = {".gz": gzip.compress(content), ".bz2": bz2.compress(content)}
    packed[".xz"] = lzma.compress(content)
    for number in range(size(150, 10_000)):
        suffix = chance.choice(list(packed))
        path = tmp_path / f"export.jsonl{suffix}"
        path.write_bytes(damaged_bytes(chance, packed[suffix], 2))

        def shown(number: int = number, path: Path = path) -> str:
            return f"input {number} of seed 8, {path.suffix}: {path.read_bytes()!r}"

        with cpu_limit(10, shown):
            outcomes.of(partial(transfer.read_export, path), shown)
    assert set(outcomes.refused) <= {"InvalidError"}
    figures(seed=8, **outcomes.figures())


def test_a_refused_import_writes_nothing(
    lines: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command answers a damaged file with 2 and its line, and the target is not made."""
    from core.tests.cli.helper import run_command

    chance = random.Random(10)
    path, refused = tmp_path / "export.jsonl", 0
    for _ in range(15):
        path.write_bytes(_damaged(chance, lines))
        try:
            transfer.read_export(path)
        except ValueError:
            done = run_command(capsys, "import", str(path), f"sqlite:///{tmp_path}/new.db")
            assert done.code == 2, done.err
            assert "line " in done.err or "version" in done.err
            assert len(done.err.splitlines()) == 1
            assert not (tmp_path / "new.db").exists()
            refused += 1
    assert refused > 5
    # And what is right is written.
    path.write_text("\n".join(lines) + "\n")
    assert run_command(capsys, "import", str(path), f"sqlite:///{tmp_path}/new.db").code == 0
    import metastore

    with metastore.connect(f"sqlite:///{tmp_path}/new.db", mode="r") as store:
        assert store.backend.count(NodeQuery(NodeKind.ARTIFACT)) > 0
