"""docs/contract.md: complete, and cited rightly by the conformance kit."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from metastore.testing import StoreContract

PAGE = Path(__file__).parents[2] / "docs" / "contract.md"

pytestmark = pytest.mark.skipif(
    not PAGE.is_file(), reason="the documents are not part of the distribution"
)

RPCS = [
    "PutArtifactType",
    "PutExecutionType",
    "PutContextType",
    "PutTypes",
    "PutArtifacts",
    "PutExecutions",
    "PutEvents",
    "PutExecution",
    "PutLineageSubgraph",
    "PutContexts",
    "PutAttributionsAndAssociations",
    "PutParentContexts",
    "GetArtifactType",
    "GetArtifactTypesByID",
    "GetArtifactTypes",
    "GetExecutionType",
    "GetExecutionTypesByID",
    "GetExecutionTypes",
    "GetContextType",
    "GetContextTypesByID",
    "GetContextTypes",
    "GetArtifacts",
    "GetExecutions",
    "GetContexts",
    "GetArtifactsByID",
    "GetExecutionsByID",
    "GetContextsByID",
    "GetArtifactsByType",
    "GetExecutionsByType",
    "GetContextsByType",
    "GetArtifactByTypeAndName",
    "GetExecutionByTypeAndName",
    "GetContextByTypeAndName",
    "GetArtifactsByURI",
    "GetEventsByExecutionIDs",
    "GetEventsByArtifactIDs",
    "GetArtifactsByExternalIds",
    "GetExecutionsByExternalIds",
    "GetContextsByExternalIds",
    "GetArtifactTypesByExternalIds",
    "GetExecutionTypesByExternalIds",
    "GetContextTypesByExternalIds",
    "GetContextsByArtifact",
    "GetContextsByExecution",
    "GetParentContextsByContext",
    "GetChildrenContextsByContext",
    "GetParentContextsByContexts",
    "GetChildrenContextsByContexts",
    "GetArtifactsByContext",
    "GetExecutionsByContext",
    "GetLineageGraph",
    "GetLineageSubgraph",
]
"""Of ml_metadata.MetadataStoreService, ML Metadata 1.17.1."""


@pytest.fixture(scope="module")
def page() -> str:
    """The text of the page."""
    return PAGE.read_text(encoding="utf-8")


def _paragraphs(page: str) -> list[str]:
    return re.findall(r"^\*\*(\d+\.\d+)\*\*", page, flags=re.MULTILINE)


def _cited(docstring: str) -> Iterator[str]:
    """Numbers in brackets: ``[4.3, 5.1-5.3]``."""
    for brackets in re.findall(r"\[(\d[\d., -]*)\]", " ".join(docstring.split())):
        for part in brackets.split(","):
            first, _, last = part.strip().partition("-")
            yield first
            if last:
                yield last


def test_the_table_has_every_rpc(page: str) -> None:
    """The table has each of ML Metadata's 52 calls once, and no other."""
    assert len(RPCS) == len(set(RPCS)) == 52
    table = page[page.index("| RPC | served by |") :]
    rows = re.findall(r"^\| (\w+) \| (.+) \|$", table, flags=re.MULTILINE)
    assert [name for name, _ in rows][1:] == RPCS
    for name, served in rows[1:]:
        calls = r"w: |read_(types|nodes|events|links)\("
        assert re.search(calls, served) or name == "GetLineageGraph", name


def test_paragraphs_are_numbered_in_order(page: str) -> None:
    """Paragraphs are numbered once each, in order, under the section of their number."""
    numbers = [tuple(map(int, number.split("."))) for number in _paragraphs(page)]
    assert numbers == sorted(set(numbers))
    section = 0
    for line in page.splitlines():
        if found := re.match(r"^## (\d+)\. ", line):
            assert int(found[1]) == section + 1
            section = int(found[1])
        elif found := re.match(r"^\*\*(\d+)\.", line):
            assert int(found[1]) == section, line


def test_references_inside_the_page_exist(page: str) -> None:
    """Numbers in parentheses name paragraphs of the page."""
    known = set(_paragraphs(page))
    for brackets in re.findall(r"\((\d+\.\d+(?:, \d+\.\d+)*)\)", page):
        assert set(brackets.split(", ")) <= known, brackets


def _tests() -> list[str]:
    return sorted(name for name in dir(StoreContract) if name.startswith("test_"))


def _docstring(name: str) -> str:
    return inspect.getdoc(getattr(StoreContract, name)) or ""


_ON_FAILURE = "On failure: "


def _what_to_check(docstring: str) -> list[str]:
    """The paragraphs for the author of a flavor whose store failed the test, each as one line."""
    paragraphs = [" ".join(each.split()) for each in docstring.split("\n\n")]
    return [each for each in paragraphs[1:] if each.startswith(_ON_FAILURE)]


@pytest.mark.parametrize("name", _tests())
def test_citations_exist(page: str, name: str) -> None:
    """Each test of the kit says what must hold, and cites paragraphs that exist."""
    docstring = _docstring(name)
    # In its first paragraph: what follows is advice, not rules.
    cited = list(_cited(docstring.split("\n\n")[0]))
    assert cited, "the docstring cites no paragraph"
    assert set(cited) <= set(_paragraphs(page)), cited
    assert len(docstring.split()) > 4


@pytest.mark.parametrize("name", _tests())
def test_every_test_says_what_to_check(name: str) -> None:
    """Each test of the kit tells the author of a flavor, in one paragraph, what to check."""
    found = _what_to_check(_docstring(name))
    assert len(found) == 1, f"paragraphs of {name} that begin with {_ON_FAILURE!r}: {len(found)}"
    assert len(found[0].removeprefix(_ON_FAILURE).split()) > 5, "that helps nobody"


def test_no_two_tests_say_the_same() -> None:
    """What one test of the kit says to check, no other says: it would be about neither."""
    said: dict[str, list[str]] = {}
    for name in _tests():
        for text in _what_to_check(_docstring(name)):
            said.setdefault(text.casefold(), []).append(name)
    assert [names for names in said.values() if len(names) > 1] == []


def test_every_rule_that_can_be_tested_is(page: str) -> None:
    """Each paragraph of the sections on data, writing and reading is cited by a test of the kit."""
    cited: set[str] = set()
    known = _paragraphs(page)
    for name in _tests():
        cited.update(_cited(_docstring(name)))
    # These say how, not what, or what a test of every flavor cannot make happen.
    untestable = {"1.1", "1.2", "3.11", "7.2", "7.7", "7.13", "8.13"}
    wanted = {number for number in known if int(number.split(".")[0]) <= 8}
    assert sorted(wanted - cited - untestable) == []
