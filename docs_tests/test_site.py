"""The site that was built: whole, of one mind with the library, and asking nobody else."""

from __future__ import annotations

import importlib
import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from metastore.cli import cli

from .built import ROOT, SITE, built, is_elsewhere, page, pages, plain, target_of

DOCS = sorted(ROOT.glob("docs/**/*.md"))
MADE = {"index.html", "genindex.html", "search.html"}
"""Pages without a Markdown file."""

PUBLIC = [
    "metastore",
    "metastore.base",
    "metastore.changes",
    "metastore.cli.options",
    "metastore.errors",
    "metastore.kube",
    "metastore.memory",
    "metastore.model",
    "metastore.plain",
    "metastore.protobuf",
    "metastore.query",
    "metastore.query.tree",
    "metastore.rules",
    "metastore.sql",
    "metastore.testing",
    "metastore.ui",
    "metastore_flavor_kubeflow",
    "metastore_flavor_kubernetes",
    "metastore_flavor_mysql",
    "metastore_flavor_sqlite",
]
"""Modules whose ``__all__`` is public."""

RETURNED = [
    "metastore.lineage.Graph",
    "metastore.lineage.Lineage",
    "metastore.listing.Listing",
    "metastore.recording.RunRecorder",
    "metastore.recording.StepRecorder",
    "metastore.views.ArtifactView",
    "metastore.views.ContextView",
    "metastore.views.ExecutionView",
    "metastore.views.Pipeline",
    "metastore.views.Run",
    "metastore.views.Step",
]
"""Classes that people hold, and never import."""

MET = {True: "met", False: "missed"}


def all_names() -> list[str]:
    """Every public name, as users import it."""
    found = dict.fromkeys(RETURNED)
    for module in PUBLIC:
        found |= dict.fromkeys(
            f"{module}.{name}" for name in importlib.import_module(module).__all__
        )
    return [*found]


def entry_of(name: str) -> tuple[Path, str] | None:
    """The page and the anchor of its entry, which it may have under another public module."""
    module, _, own = name.rpartition(".")
    thing = getattr(importlib.import_module(module), own)
    names = [
        f"{each}.{own}"
        for each in [module, *PUBLIC]
        if getattr(importlib.import_module(each), own, None) is thing
    ]
    for path in sorted((SITE / "docs" / "api").glob("*.html")):
        for each in names:
            if each in page(path).ids:
                return path, each
    return None


def test_every_document_is_a_page_in_the_margin() -> None:
    """Each file of docs/ is a page, and the first page leads to it."""
    first = built(ROOT / "docs" / "index.md")
    listed = {target_of(link, first)[0] for link in page(first).links if not is_elsewhere(link)}
    for path in pages():
        if path.relative_to(SITE).as_posix() not in MADE and "_static" not in path.parts:
            assert path in listed or path == first
    for source in DOCS:
        assert built(source).is_file()


def test_no_page_asks_another_host() -> None:
    """Scripts, styles, pictures and fonts are of the site: it works without a network."""
    for path in pages():
        asked = [each for each in page(path).fetched if is_elsewhere(each)]
        assert [each for each in asked if not each.startswith("data:")] == [], path
    for path in SITE.rglob("*.css"):
        text = path.read_text("utf-8")
        assert not re.search(r"@import|url\([\"']?(https?:)?//", text), path


def test_nothing_is_drawn_by_a_script_that_would_be_fetched() -> None:
    """Mermaid and formulas are drawn by scripts of other hosts, and so there are none."""
    for path in pages():
        assert not page(path).classes & {"mermaid", "math", "MathJax"}, path


def test_every_link_within_the_site_leads_somewhere() -> None:
    """Its page is there, and so is the anchor in it."""
    for path in pages():
        for link in page(path).links:
            if not is_elsewhere(link):
                target, anchor = target_of(link, path)
                assert target.is_file(), f"{path}: {link}"
                if anchor:
                    assert anchor in page(target).ids, f"{path}: {link}"


def test_the_address_of_the_site_leads_to_the_first_page() -> None:
    """The folder itself can be opened."""
    assert "docs/index.html" in page(SITE / "index.html").links
    assert 'http-equiv="refresh"' in (SITE / "index.html").read_text("utf-8")


def test_the_search_knows_every_page() -> None:
    """Its index has them all, and words of theirs."""
    text = (SITE / "searchindex.js").read_text("utf-8")
    index = json.loads(text.removeprefix("Search.setIndex(").removesuffix(")"))
    found = {f"{name}.html" for name in index["docnames"]}
    assert found == {path.relative_to(SITE).as_posix() for path in pages()} - MADE
    assert index["docnames"].index("docs/recording") in index["terms"]["kill"]


@pytest.mark.parametrize("name", all_names())
def test_what_is_public_is_in_the_reference(name: str) -> None:
    """Every public name has an entry, which begins with what its docstring begins with."""
    found = entry_of(name)
    assert found, f"{name}: write it into a page of docs/api"
    module, _, own = name.rpartition(".")
    thing = getattr(importlib.import_module(module), own)
    if inspect.isclass(thing) or inspect.isroutine(thing):
        if thing.__module__.startswith("google."):
            return
        path, anchor = found
        first = inspect.cleandoc(thing.__doc__ or "").partition("\n\n")[0]
        assert first, f"{name} has no docstring"
        told = page(path)
        # What is shown of a docstring has no marks of code, and ends a block with one colon.
        assert plain(first) in plain(told.text[told.ids[anchor] :])


def test_the_public_modules_are_those_that_the_page_names() -> None:
    """docs/plugins.md promises something of a module: then it is in the reference."""
    text = (ROOT / "docs" / "plugins.md").read_text("utf-8")
    _, _, promise = text.partition("What is public is")
    for module in re.findall(r"`(metastore\.[\w.]+)`", promise.partition("\n\n")[0]):
        assert module in PUBLIC


def helps(words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """The help of each command, as a terminal shows it."""
    said = CliRunner().invoke(cli, [*words, "--help"], terminal_width=200)
    assert said.exit_code == 0, said.output
    yield words, said.output
    for part in re.findall(r"^Commands[^\n]*:\n((?:  .*\n|\n)+)", said.output, re.MULTILINE):
        for name in re.findall(r"^  ([\w-]+)", part, re.MULTILINE):
            yield from helps((*words, name))


def test_the_page_of_the_command_has_every_command_and_option() -> None:
    """What --help of any command lists stands in its section."""
    told = page(built(ROOT / "docs" / "command.md"))
    seen = 0
    for words, said in helps():
        anchor = "-".join(["metastore", *words])
        assert anchor in told.ids
        # A mark that click looks for, and did not find.
        assert "\\b" not in said
        after = [at for at in told.ids.values() if at > told.ids[anchor]]
        section = told.text[told.ids[anchor] : min(after, default=None)]
        options = re.findall(r"^  .*?(--[\w-]+)", said.partition("\nOptions:")[2], re.MULTILINE)
        for option in {*options} - {"--help"}:
            assert option in section, f"{words}: {option}"
            seen += 1
    assert seen > 100


def test_the_changelog_has_that_of_every_distribution() -> None:
    """Each entry of each CHANGELOG.md is on the page."""
    told = page(built(ROOT / "docs" / "changelog.md"))
    text = plain(told.text)
    paths = [ROOT / "core" / "CHANGELOG.md", *ROOT.glob("plugins/*/CHANGELOG.md")]
    assert len(paths) == 5
    for path in paths:
        title, _, rest = path.read_text("utf-8").partition("\n")
        assert title.rpartition(" ")[2] in told.ids
        entries = re.findall(r"^- ((?:.+\n?)+?)(?=^- |^#|^$|\Z)", rest, re.MULTILINE)
        assert entries
        for entry in entries:
            assert plain(entry) in text, f"{path}: {entry}"


@pytest.mark.parametrize(
    "path", sorted(ROOT.glob("benchmarks/results/*.json")), ids=lambda p: p.stem
)
def test_the_figures_are_those_that_were_measured(path: Path) -> None:
    """The page has every work of each file of results, its ratios, and the command for it."""
    text = page(built(ROOT / "docs" / "speed.md")).text
    content = json.loads(path.read_text("utf-8"))
    assert content["about"]["command"] in text
    works = [work for ground in content.get("grounds", {}).values() for work in ground.values()]
    for work in works:
        assert plain(work["title"]) in plain(text)
        for verdict in work["verdicts"]:
            if verdict["target"] is not None:
                told = rf"{verdict['figure']:.2f}\s+{verdict['target']:g}\s+{MET[verdict['met']]}"
                assert re.search(told, text), f"{work['title']}: {told}"
    for work in [*content.get("growth", {}).values(), *content.get("lineage", {}).values()]:
        _, found, table = text.partition(work["title"])
        assert found
        for ratio in work["ratio"].values():
            assert f"{ratio:.2f}" in table.partition("; milliseconds by")[0]
