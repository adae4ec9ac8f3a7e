"""``metastore copy``."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from metastore import Batch, MemoryMetadataStore, NodeKind, PropertyKind, Store, StoreNotFoundError
from metastore.cli._progress import _lines, shown_progress
from metastore.model import LinkKind

from ..copied import Limited, full  # noqa: TID252 - the same stores as in the tests of copy()
from .helper import Command, on_screen
from .test_json import promised

BOTH = ("copy", "memory://", "memory://")
Stores = Callable[..., list[tuple[Any, Any]]]


@pytest.fixture
def stores(monkeypatch: pytest.MonkeyPatch) -> Stores:
    """Lets the command open these two stores; gives the modes that it asks for."""

    def use(source: MemoryMetadataStore, target: MemoryMetadataStore | None) -> Any:
        asked: list[tuple[Any, Any]] = []

        def connect(url: str, *, mode: str = "rw", create: bool | None = None) -> Store:
            asked.append((mode, create))
            found = source if len(asked) % 2 else target
            if found is None:
                raise StoreNotFoundError("there is none")
            monkeypatch.setattr(found, "close", lambda: None)
            return Store(found)

        monkeypatch.setattr("metastore.config._connect.connect", connect)
        return asked

    return use


def test_it_says_what_was_copied(command: Command, stores: Stores) -> None:
    """Each kind has a line with how many are new; the source is opened for reading only."""
    asked = stores(full(), MemoryMetadataStore())
    done = command(*BOTH)
    assert done.code == 0
    assert [mode for mode, _ in asked] == ["r", "rw"]
    rows = {row.split("  ")[0].strip(): row.split()[-3:] for row in done.out.splitlines()}
    assert rows["artifacts"] == ["5", "0", "0"]
    assert rows["parent contexts"] == ["1", "0", "0"]
    assert done.err.splitlines() == [
        "copy: 12 of 12 nodes",
        "compare: 12 of 12 nodes",
        "compared: the target holds what was copied",
    ]


def test_json_has_the_fields_of_the_page(command: Command, stores: Stores) -> None:
    """What --json prints is what docs/json.md promises."""
    source = full()
    assert source._tables is not None
    source._tables.links[LinkKind.ATTRIBUTION][77, 1] = None
    stores(source, MemoryMetadataStore())
    data = command(*BOTH, "--json").data
    page = promised()
    assert set(data) == page["copy"]
    assert [set(each) for each in data["left_out"]] == [page["copy.left_out"]]
    assert data["left_out"][0]["count"] == 1
    assert data["created"]["event"] == 10
    assert data["differences"] == {"count": 0, "first": []}


def test_differences_are_told_and_fail(
    command: Command, stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What differs in the end is told, in sentences, with exit code 1."""
    target = MemoryMetadataStore()
    stores(full(), target)
    read = target.read_events
    monkeypatch.setattr(target, "read_events", lambda query: read(query)[1:])
    done = command(*BOTH)
    assert done.code == 1
    assert "differs: the OUTPUT event of artifact 1 and execution 1 is missing" in done.out
    assert "the stores differ in 1 places" in done.err


def test_losses_are_said_or_refused(command: Command, stores: Stores) -> None:
    """What the target cannot hold is said on stderr; with --strict it is an error."""
    source = MemoryMetadataStore()
    stores(source, Limited())
    done = command(*BOTH)
    assert done.code == 0
    assert "six decimals" in done.err
    strict = command(*BOTH, "--strict")
    assert (strict.code, strict.out) == (1, "")
    assert strict.err.startswith("error: the target sets create and update times itself")


def test_names_that_are_taken_need_a_word(command: Command, stores: Stores) -> None:
    """Into a store that has nodes of the same names only with --merge."""
    stores(full(), full())
    refused = command(*BOTH)
    assert refused.code == 1
    assert "--merge" in refused.err
    merged = command(*BOTH, "--merge", "--json")
    assert merged.code == 0
    assert not any(merged.data["created"].values())


def test_types_that_conflict_are_named(command: Command, stores: Stores) -> None:
    """A conflict of types is one line that names type and property, with exit code 1."""
    target = MemoryMetadataStore()
    batch = Batch()
    batch.type(NodeKind.CONTEXT, "Run", {"int": PropertyKind.STRING})
    target.write(batch)
    stores(full(), target)
    done = command(*BOTH)
    assert done.code == 1
    assert "context type 'Run' has property 'int' as INT, and as STRING in the target" in done.err


@pytest.mark.parametrize("name", ["map.jsonl", "map.csv"])
def test_the_map(command: Command, stores: Stores, tmp_path: Path, name: str) -> None:
    """--map writes which id became which, a line each: JSON, or CSV."""
    stores(full(), MemoryMetadataStore())
    assert command(*BOTH, "--map", str(tmp_path / name)).code == 0
    text = (tmp_path / name).read_text()
    if name.endswith("csv"):
        rows = [*csv.DictReader(io.StringIO(text))]
        assert rows[0] == {"kind": "context", "old": "1", "new": "1"}
    else:
        rows = [json.loads(line) for line in text.splitlines()]
        assert rows[0] == {"kind": "context", "old": 1, "new": 1}
    assert len(rows) == 12
    assert [each.name for each in tmp_path.iterdir()] == [name]


def test_a_dry_run_needs_no_target(command: Command, stores: Stores, tmp_path: Path) -> None:
    """With --dry-run both are opened for reading, and a target that is not there is empty."""
    asked = stores(full(), None)
    done = command(*BOTH, "--dry-run", "--map", str(tmp_path / "map"))
    assert done.code == 0
    assert [mode for mode, _ in asked] == ["r", "r"]
    assert "WOULD BE NEW" in done.out
    assert "compared" not in done.err
    assert not [*tmp_path.iterdir()]


def test_a_part(command: Command, stores: Stores) -> None:
    """--pipeline takes a name or an id, --since a moment; an unknown pipeline is an error."""
    source = Store(MemoryMetadataStore())
    for name in ("one", "two"):
        with source.run(name) as run, run.step("s") as step:
            step.output("out", type="Model", uri=name)
    backend = source.backend
    assert isinstance(backend, MemoryMetadataStore)
    for options, count in (
        (("--pipeline", "two"), 1),
        (("--pipeline", str(source.pipeline("two").id)), 1),
        (("--since", "1h"), 2),
        (("--since", "2100-01-01"), 0),
    ):
        stores(backend, MemoryMetadataStore())
        assert command(*BOTH, *options, "--json").data["created"]["artifact"] == count
    stores(backend, MemoryMetadataStore())
    done = command(*BOTH, "--pipeline", "three")
    assert done.code == 1
    assert "'three'" in done.err


def test_a_password_is_refused(command: Command) -> None:
    """A URL with a password in it is not taken from the command line, on either side."""
    for urls in (("mysql://a:b@c/d", "memory://"), ("memory://", "mysql://a:b@c/d")):
        done = command("copy", *urls)
        assert done.code == 2
        assert "password" in done.err
        assert "a:b" not in done.err


def test_lines_come_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    """Elsewhere than on a terminal a line is written every ten seconds, and one at the end."""
    moments = iter([0.0, 5.0, 10.0, 12.0, 20.0])
    update = _lines(now=lambda: next(moments))
    for done in (1, 500, 1000, 1100, 2000):
        update("copy", done, 2000)
    assert capsys.readouterr().err.splitlines() == [
        "copy: 1000 of 2000 nodes, 100 a second, 10 s left",
        "copy: 2000 of 2000 nodes, 100 a second",
    ]


def test_a_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal there is a bar with how many there are, and no line is left of it."""
    screen = io.StringIO()
    monkeypatch.setattr(screen, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("sys.stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    with shown_progress() as update:
        update("copy", 1, 3)
        update("copy", 3, 3)
        update("compare", 1, 3)
    assert "3/3" in screen.getvalue()
    assert "compare" in screen.getvalue()


def test_on_a_terminal(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    """The table is the same on a terminal."""
    stores(full(), MemoryMetadataStore())
    shown = on_screen(monkeypatch, *BOTH)
    assert shown[0].split() == ["WHAT", "NEW", "CHANGED", "THERE", "BEFORE"]
