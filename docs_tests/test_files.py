"""The Markdown files, as the forge shows them: links, and figures that they quote."""

from __future__ import annotations

import json
import re
import statistics
from pathlib import Path

import pytest

from .built import ROOT, SOURCES, is_elsewhere, target_of

README = ROOT / "README.md"
FENCE = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)


def slugs(path: Path) -> set[str]:
    """The anchors of a file's headings, by the forge's rule; a second one of a name gets ``-1``."""
    found: set[str] = set()
    for heading in re.findall(r"^#+ +(.+)$", FENCE.sub("", path.read_text("utf-8")), re.MULTILINE):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
        slug = re.sub(r"[^\w\- ]", "", text).replace(" ", "-")
        number = 0
        while (each := f"{slug}-{number}" if number else slug) in found:
            number += 1
        found.add(each)
    return found


def links(path: Path) -> list[str]:
    """What its text links to and shows, code aside."""
    text = re.sub(r"`[^`\n]*`(?!\])", "", FENCE.sub("", path.read_text("utf-8")))
    return re.findall(r"\]\(<?([^)>\s]+)>?\)", text)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_link_of_a_file_leads_somewhere(path: Path) -> None:
    """Its file is in the repository, and the anchor is that of a heading."""
    for link in links(path):
        if not is_elsewhere(link):
            target, anchor = target_of(link, path)
            assert target.exists(), link
            assert target.is_relative_to(ROOT), link
            if anchor:
                assert anchor in slugs(target), link


def test_the_first_page_is_short() -> None:
    """README.md is a front door: what it says at length belongs into docs/."""
    assert len(README.read_text("utf-8").splitlines()) <= 150


def test_the_first_page_names_every_flavor() -> None:
    """Its table has a row for each folder of plugins/, and one for what core brings."""
    _, _, section = README.read_text("utf-8").partition("\n## Flavors\n")
    named = re.findall(r"^\| \[`(\w+)`\]", section.partition("\n## ")[0], re.MULTILINE)
    folders = [path.parent.name for path in ROOT.glob("plugins/*/pyproject.toml")]
    assert sorted(named) == sorted(["memory", *folders])


WORKS = {
    "one artifact with 5 properties": "A",
    "10,000 of them in one batch": "B",
    "record one step": "C",
    "a whole run of 20 such steps": "D",
    "1,000 artifacts by id": "E",
    "filter, newest 100 of 100,000": "F1",
    "... one of 1,000 matches": "F2",
    "lineage over 20 hops": "G",
    "all of 100,000 artifacts": "H",
    "a context by type and name": "I",
    "8 processes": "W8",
}


def test_the_figures_of_the_first_page_are_those_that_were_measured() -> None:
    """Each is the ratio of two medians of benchmarks/results/sqlite.json."""
    content = json.loads((ROOT / "benchmarks" / "results" / "sqlite.json").read_text("utf-8"))
    _, _, section = README.read_text("utf-8").partition("\n## Speed\n")
    rows = re.findall(r"^\| (.+?) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|$", section, re.MULTILINE)
    assert len(rows) == len(WORKS)
    for work, *shown in rows:
        (letter,) = (letter for begins, letter in WORKS.items() if work.startswith(begins))
        measured = content["grounds"]["sqlite"][letter]["milliseconds"]
        medians = {name: statistics.median(figures) for name, figures in measured.items()}
        # Lineage is asked of ml-metadata as people do.
        first = "mlmd-whole" if letter == "G" else "mlmd"
        for each, other in zip(shown, (first, "mlmd-wal", "plain"), strict=True):
            ratio = medians[other] / medians["ours"]
            # As many digits as it is shown with.
            digits = len(each.partition(".")[2])
            assert abs(float(each) - ratio) <= 0.51 * 10**-digits, f"{work}: {other} {ratio:.3f}"
