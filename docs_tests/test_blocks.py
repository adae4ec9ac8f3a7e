"""Every block of every page does what the page says; `docs_tests.blocks` says how it is run."""

from __future__ import annotations

from pathlib import Path

import pytest
from plugins.mysql.tests.servers import free_ports

from docs_tests.blocks import ROOT, blocks_of, pages
from docs_tests.pages import PAGES as SAID
from docs_tests.pages import SKIPPED, page_of
from docs_tests.resources import Resources
from docs_tests.session import Session, WrongBlockError

PAGES = {str(page.relative_to(ROOT)): page for page in pages()}
FEW = 3
"""How many blocks may be skipped."""


def run_page(path: Path, session: Session, resources: Resources) -> None:
    """Run the blocks of a page in their order; an error names page and line of the block."""
    blocks, page = blocks_of(path), page_of(path)
    needs = {need for block in blocks for need in block.said.get("needs", "").split(", ")} - {""}
    (port,) = free_ports(1)
    for old, new in page.replaced.items():
        session.replaced[old] = new.replace("{folder}", str(session.folder)).replace(
            "{port}", str(port)
        )
    session.text = session.in_this_test(path.read_text(encoding="utf-8"))
    with resources.of(needs | page.needs, session):
        page.before(session)
        for block in blocks:
            if "skip" not in block.said:
                session.run(block)


@pytest.mark.parametrize("page", PAGES)
def test_page(page: str, session: Session, resources: Resources) -> None:
    """What a page shows can be done, from its top to its bottom, and comes out as it shows."""
    wrong = None
    try:
        run_page(PAGES[page], session, resources)
    except WrongBlockError as error:
        wrong = str(error)
    # Not inside: pytest would show this function, and not the page.
    if wrong:
        pytest.fail(wrong, pytrace=False)


def test_nothing_is_said_of_pages_that_are_gone() -> None:
    """What `docs_tests.pages` says, it says of a page that there is."""
    assert SAID.keys() <= {page.removeprefix("docs/") for page in PAGES}


def test_every_block_has_a_language() -> None:
    """A block says what it is written in, and so what is done with it."""
    blocks = [block for page in PAGES.values() for block in blocks_of(page)]
    assert [block.where for block in blocks if not block.info] == []


def test_few_are_skipped() -> None:
    """What is run by nothing is known, and little."""
    skipped = {
        f"{page}:{block.text.splitlines()[0]}": block.said["skip"]
        for page, path in PAGES.items()
        for block in blocks_of(path)
        if "skip" in block.said
    }
    assert skipped == SKIPPED
    assert len(skipped) <= FEW
    assert all(why.startswith("because ") for why in skipped.values())
