"""Every class of Unicode, through every flavor and the command: it comes back, or is refused."""

from __future__ import annotations

import random
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from core.tests.cli.helper import on_screen, run_command

import metastore
from metastore import (
    BaseMetadataStore,
    Batch,
    InvalidError,
    MemoryMetadataStore,
    MetastoreError,
    NodeKind,
    NodeQuery,
)
from metastore_flavor_mysql import MySQLMetadataStore

from .conftest import Figures
from .hostile.carried import carry, through_json
from .hostile.texts import CLASSES, CONFUSABLE, SURROGATES, random_texts

if TYPE_CHECKING:
    from plugins.mysql.tests.servers import Server

Size = Callable[[int, int], int]

_FLAVORS = ("memory", "sqlite", "mysql", "mysql_mlmd", "kubeflow", "json")


@pytest.fixture
def open_store(
    tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Callable[[str], BaseMetadataStore]]:
    """Opens a new store of a flavor; those of kubeflow are behind ``metastore serve``."""
    from contextlib import ExitStack

    with ExitStack() as stack:

        def opened(flavor: str) -> BaseMetadataStore:
            if flavor in ("memory", "json"):
                return MemoryMetadataStore.open()
            if flavor == "sqlite":
                store = metastore.connect(f"sqlite:///{tmp_path}/s.db").backend
            elif flavor.startswith("mysql"):
                server: Server = request.getfixturevalue("mariadb")
                text = "mlmd" if flavor == "mysql_mlmd" else "utf8"
                store = MySQLMetadataStore.open(server.config(text=text))
            else:
                pytest.importorskip("ml_metadata", reason="without ml-metadata nothing is served")
                from plugins.kubeflow.tests.served import serving

                served = stack.enter_context(serving("sqlite:///served.db", folder=tmp_path))
                store = metastore.connect(f"kubeflow://{served.address}").backend
            return stack.enter_context(closing(store))

        yield opened


@pytest.mark.parametrize("flavor", _FLAVORS)
def test_texts(
    flavor: str, open_store: Callable[[str], BaseMetadataStore], size: Size, figures: Figures
) -> None:
    """A text of any class, wherever a text may stand, comes back as it was and is found by itself
    alone; or it is `InvalidError`, and nothing of it is stored.
    """
    chance, counts = random.Random(11), Counter[str]()
    store = open_store(flavor)
    texts = random_texts(
        chance, size(len(CLASSES) * 2, len(CLASSES) * (200 if flavor == "sqlite" else 60))
    )
    names = list(texts)

    def shown(text: str) -> str:
        return f"{texts[text]} of seed 11: {text!r}"

    for at in range(0, len(names), 40):
        counts += carry(store, names[at : at + 40], shown)
    if flavor == "json":
        again = through_json(store)
        from .hostile.carried import _check

        for text in names:
            _check(again, text, shown(text))
    assert counts["came back"] > len(names) * 0.9
    figures(seed=11, classes=len(CLASSES), **counts)


@pytest.mark.parametrize("flavor", _FLAVORS)
def test_confusable_texts(flavor: str, open_store: Callable[[str], BaseMetadataStore]) -> None:
    """Texts that differ in case, blanks, normal form or marks are different ones, in one store."""
    store = open_store(flavor)
    for group in CONFUSABLE:
        texts = list(group)
        counts = carry(store, texts, repr)
        assert counts["came back"] >= len(texts) - sum("\0" in each for each in texts)


@pytest.mark.parametrize("flavor", _FLAVORS[:-1])
def test_half_pairs(flavor: str, open_store: Callable[[str], BaseMetadataStore]) -> None:
    """Half of a surrogate pair is `InvalidError` wherever it stands, and leaves nothing behind."""
    store = open_store(flavor)
    for text in SURROGATES:
        for fields in (
            {"name": text},
            {"uri": text},
            {"external_id": text},
            {"custom_properties": {text: 1}},
            {"custom_properties": {"a": text}},
            {"custom_properties": {"a": {text: 1}}},
            {"custom_properties": {"a": {"b": [text]}}},
        ):
            batch = Batch()
            batch.type(NodeKind.ARTIFACT, "T")
            batch.artifact("T", **fields)
            with pytest.raises(InvalidError):
                store.write(batch)
        for query in (
            NodeQuery(NodeKind.ARTIFACT, names=[text]),
            NodeQuery(NodeKind.ARTIFACT, uris=[text]),
            NodeQuery(NodeKind.ARTIFACT, external_ids=[text]),
            NodeQuery(NodeKind.ARTIFACT, type_names=[text]),
        ):
            try:
                assert store.read_nodes(query) == []
            except MetastoreError:
                pass  # a question that cannot be asked may be refused, too
    assert store.count(NodeQuery(NodeKind.ARTIFACT)) == 0


@pytest.fixture
def shown_store(tmp_path: Path) -> tuple[str, list[str]]:
    """A store whose every text is hostile to a terminal, and these texts."""
    url = f"sqlite:///{tmp_path}/shown.db"
    texts = list(random_texts(random.Random(12), len(CLASSES) * 2))
    with metastore.connect(url) as store:
        for text in texts[:30]:
            try:
                with (
                    store.run(text, name=text, parameters={text: text}) as run,
                    run.step(text, parameters={text: text}) as step,
                ):
                    step.input(text, f"in/{text}", type=text)
                    step.output(text, type=text, name=text, uri=text, properties={text: text})
            except InvalidError:
                pass
        with pytest.raises(ValueError), store.run("failed") as run, run.step("s"):
            raise ValueError("".join(texts))
        carry(store.backend, [f"c{text}" for text in texts], repr)
    return url, texts


_COMMANDS = (
    ("artifact", "list"),
    ("execution", "list"),
    ("context", "list"),
    ("type", "list"),
    ("run", "list"),
    ("pipeline", "list"),
)


def _harmless(output: str) -> None:
    odd = [each for each in output if not each.isprintable() and each != "\n"]
    assert not odd, (odd[:5], output[:300])


def test_the_command_gives_texts_back(
    shown_store: tuple[str, list[str]], capsys: pytest.CaptureFixture[str], figures: Figures
) -> None:
    """``--json`` gives every text back; what people see has no control character, line or direction
    mark of a text, on a terminal or not, errors included.
    """
    url, texts = shown_store
    found = run_command(capsys, "artifact", "list", "--json", "--store", url).data
    names = {each["name"] for each in found}
    assert {f"c{text}" for text in texts} <= names
    for each in found:
        if each["name"] in {f"c{text}" for text in texts}:
            assert each["uri"] == each["external_id"] == each["type"] == each["name"]
            assert each["properties"] == {each["name"]: each["name"]}
    outputs = 0
    for arguments in _COMMANDS:
        done = run_command(capsys, *arguments, "--store", url)
        assert done.code == 0, done.err
        _harmless(done.out)
        _harmless(done.err)
        assert run_command(capsys, *arguments, "--json", "--store", url).data
        outputs += 1
    for each in found[:60]:
        for words in (["artifact", "show"], ["lineage"]):
            done = run_command(capsys, *words, str(each["id"]), "--store", url)
            assert done.code == 0, done.err
            _harmless(done.out)
            outputs += 1
    for run in run_command(capsys, "run", "list", "--json", "--store", url).data:
        done = run_command(capsys, "run", "show", str(run["id"]), "--store", url)
        assert done.code == 0, done.err
        _harmless(done.out)
        outputs += 1
    for text in texts:
        for typed in (
            ("artifact", "list", "--where", text, "--store", url),
            ("artifact", "list", "--type", text, "--store", url),
            ("artifact", "list", "--store", text),
            ("run", "show", text, "--store", url),
            ("store", "show", text),
            ("flavor", "show", text),
            (text,),
        ):
            if text.startswith("-"):
                continue
            done = run_command(capsys, *typed)
            _harmless(done.out)
            _harmless(done.err)
            assert "Traceback" not in done.err
            assert "nobody foresaw" not in done.err, done.err
            outputs += 1
    figures(texts=len(texts), outputs=outputs)


def test_a_terminal(shown_store: tuple[str, list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal lines have its width, whatever the texts, and no control character."""
    url, _ = shown_store
    for arguments in _COMMANDS:
        for width in (40, 80, 200):
            for line in on_screen(monkeypatch, *arguments, "--store", url, width=width):
                _harmless(line)


def test_a_coloured_terminal(shown_store: tuple[str, list[str]]) -> None:
    """With colours, the only escape sequences are those of colours: none comes from a text."""
    import re

    url, _ = shown_store
    code = "import pty, sys, os\npty.spawn([sys.executable, '-m', 'metastore', *sys.argv[1:]])\n"
    for arguments in _COMMANDS:
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments, "--store", url],
            capture_output=True,
            stdin=subprocess.DEVNULL,
            env={**_environment(), "TERM": "xterm-256color", "COLUMNS": "100"},
            check=False,
        )
        text = done.stdout.decode().replace("\r\n", "\n")
        assert len(text) > 100
        plain = re.sub("\x1b" + r"\[[0-9;]*m", "", text)
        _harmless(plain)


def _environment() -> dict[str, str]:
    import os

    return dict(os.environ)


def test_pictures(shown_store: tuple[str, list[str]], capsys: pytest.CaptureFixture[str]) -> None:
    """Lineage as HTML or SVG has no element and no attribute that a text brought."""
    from html.parser import HTMLParser

    from .hostile.texts import INJECTIONS

    url, _ = shown_store
    with metastore.connect(url) as store:
        for text in INJECTIONS:
            with store.run(text, name=text) as run, run.step(text) as step:
                step.output(text, type=text, name=text, uri=text)
        ids = [each.id for each in store.artifacts(limit=70)]
    seen: set[str] = set()

    class Seen(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            seen.add(tag)
            for name, value in attrs:
                assert not name.startswith("on"), (tag, attrs)
                assert "javascript:" not in (value or "") or name in ("title", "data-title"), attrs

    for id in ids:
        done = run_command(capsys, "lineage", str(id), "--format", "html", "--store", url)
        assert done.code == 0, done.err
        Seen().feed(done.out)
    assert seen
    assert not seen & {"script", "img", "iframe", "object", "embed", "link", "base"}, seen
