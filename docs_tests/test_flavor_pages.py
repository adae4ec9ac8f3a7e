"""The pages of the flavors: of one shape, and with every setting that the flavor has."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
FLAVORS = ("memory", "sqlite", "mysql", "kubeflow", "kubernetes")
SECTIONS = ("When", "Install", "Configure", "Rights", "Limits", "Source")
"""In this order, with others between them."""


def page_of(flavor: str) -> Path:
    """Where its page is."""
    return ROOT / "docs" / "flavors" / f"{flavor}.md"


def sections_of(page: Path) -> dict[str, str]:
    """What stands below each heading of the second level."""
    parts = re.split(r"^## (.+)\n", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def documented(section: str) -> dict[str, str]:
    """The settings of a table ``| `name` | default | what it is |``, and their defaults."""
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \| .+ \|$", section, flags=re.MULTILINE)
    return dict(rows)


@cache
def shown(flavor: str) -> dict[str, Any]:
    """What the command says of a flavor, of those that are installed."""
    done = subprocess.run(
        [sys.executable, "-m", "metastore", "flavor", "show", flavor, "--json"],
        env={name: value for name, value in os.environ.items() if "METASTORE_" not in name},
        check=True,
        capture_output=True,
    )
    found = dict(json.loads(done.stdout))
    if flavor == "kubeflow" and found["state"] == "broken":
        pytest.skip(f"it cannot be used on this machine: {found['reason']}")
    return found


def declared(flavor: str) -> dict[str, str]:
    """The settings of its config and their defaults, as the pages write them."""
    return {each["name"]: _written(each["default"]) for each in shown(flavor)["settings"]}


def _written(default: str | None) -> str:
    if default is None:
        return "must be given"
    if default in ("{}", "()", "[]"):
        return "none"
    if default in ("True", "False"):
        return default.lower()
    return default.removesuffix(".0")


@pytest.mark.parametrize("flavor", FLAVORS)
def test_every_setting_is_on_the_page(flavor: str) -> None:
    """A page has a table of the flavor's settings: all, and no other, with their defaults."""
    assert documented(sections_of(page_of(flavor))["Configure"]) == declared(flavor)


@pytest.mark.parametrize("flavor", FLAVORS)
def test_pages_have_one_shape(flavor: str) -> None:
    """Who knows the page of one flavor finds the way on that of another."""
    title = page_of(flavor).read_text(encoding="utf-8").partition("\n")[0]
    assert title.startswith(f"# `{flavor}`: ")
    sections = sections_of(page_of(flavor))
    assert [each for each in sections if each in SECTIONS] == list(SECTIONS)


@pytest.mark.parametrize("flavor", FLAVORS)
def test_a_page_says_what_to_install_and_where_its_source_is(flavor: str) -> None:
    """The distribution that is installed is the one that brings the flavor; the source is there."""
    distribution = shown(flavor)["distribution"]
    sections = sections_of(page_of(flavor))
    assert re.search(rf"^\$ pip install '?{distribution}\b", sections["Install"], re.MULTILINE)
    source = re.search(r"\]\(([^)]+)\)", sections["Source"])
    assert source is not None
    assert (page_of(flavor).parent / source[1]).is_file()


def test_every_flavor_has_a_page() -> None:
    """A flavor of this repository that has no page, or a page of none, is noticed."""
    pages = {each.stem for each in (ROOT / "docs" / "flavors").glob("*.md")}
    assert (
        pages == set(FLAVORS) == {*(each.name for each in (ROOT / "plugins").iterdir()), "memory"}
    )
