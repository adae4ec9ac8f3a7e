"""Pages in Chromium: with script and without, wide and narrow, light and dark."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import metastore

from .crawl import crawl
from .generated import fill
from .install import browser
from .shown import Watched, browsing, served
from .test_guard import HOSTILE, record
from .test_pages import damaged

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        browser() is None, reason="there is no Chromium: python ui_tests/install.py brings it"
    ),
]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A browser for all tests."""
    with browsing() as started:
        yield started


def _stores() -> list[str]:
    folder = os.environ.get("METASTORE_TEST_STORES")
    real = sorted(Path(folder).glob("*.sqlite")) if folder else []
    large = ["large"] if os.environ.get("METASTORE_TEST_RUNS") else []
    return ["empty", "filled", "damaged", "hostile", *large, *map(str, real)]


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with as many runs as METASTORE_TEST_RUNS says; 100,000 take five minutes."""
    path = tmp_path_factory.mktemp("large") / "store.db"
    with metastore.connect(f"sqlite:///{path}") as store:
        fill(store, int(os.environ["METASTORE_TEST_RUNS"]), together=500, shared=True)
    return path


def hostile(path: Path) -> None:
    """Write a store of texts that mean harm, and of more than a page has room for."""
    many = {f"key {number}": "value " * 300 for number in range(5000)}
    with metastore.connect(f"sqlite:///{path}") as store:
        for text in (*HOSTILE, *_PAYLOADS):
            record(store, text)
        with store.run("many", parameters=many) as run, run.step("many", parameters=many) as step:
            for number in range(600):
                step.output(f"output {number}", type="T", uri=f"s3://{number}/{'u' * 3000}")
            step.output("last", type="T", uri="s3://last", custom_properties=many)


_PAYLOADS = (
    "<script>window.__pwned = 1</script>",
    "<svg onload=window.__pwned=2><img src=x onerror=window.__pwned=3>",
    "'\"><iframe srcdoc='<script>parent.__pwned = 4</script>'>",
    "{{ ''.__class__ }}<a href=javascript:window.__pwned=5>x</a>",
    "\u202e\u2067 \N{HEBREW LETTER ALEF} right to left \ud800 half \udfff",
)


@pytest.fixture(params=_stores())
def address(request: pytest.FixtureRequest, tmp_path: Path, filled: Path) -> Iterator[str]:
    """The pages of a store of some sort."""
    path = tmp_path / "store.db"
    if request.param == "damaged":
        damaged(path)
    elif request.param == "filled":
        path = filled
    elif request.param == "hostile":
        hostile(path)
    elif request.param == "empty":
        metastore.connect(f"sqlite:///{path}").close()
    elif request.param == "large":
        path = request.getfixturevalue("large")
    else:
        path = Path(request.param)
    with metastore.connect(f"sqlite:///{path}", mode="r") as store, served(store) as at:
        yield at


def _wrong(
    chromium: Any, address: str, width: int, scheme: str, *, script: bool = True, axe: bool = False
) -> list[str]:
    """What is wrong with any sort of page."""
    watched = Watched(
        chromium,
        address,
        viewport={"width": width, "height": 800},
        color_scheme=scheme,
        java_script_enabled=script,
    )
    visits = crawl(watched, pages=_PAGES, each=1, axe=axe, kinds="pages")
    watched.close()
    assert len({each.sort for each in visits}) == len(visits) >= 12
    return [f"{each.path}: {fault}" for each in visits for fault in each.faults]


_PAGES = 45
"""Of each store: one of every sort, about."""


def test_every_sort_of_page_is_well(
    address: str, chromium: Any, request: pytest.FixtureRequest
) -> None:
    """No error, no stray request, no script of a store, no faint text, no lost label."""
    # axe-core takes long on pages that are full, and finds there what it finds in others.
    axe = "hostile" not in request.node.name
    assert _wrong(chromium, address, 1280, "light", axe=axe) == []


def test_every_sort_of_page_is_well_without_script(address: str, chromium: Any) -> None:
    """The same on a phone in the dark that runs no script."""
    assert _wrong(chromium, address, 390, "dark", script=False) == []


@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (1400, "dark")])
def test_every_sort_of_page_is_well_elsewhere(
    width: int, scheme: str, chromium: Any, filled: Path
) -> None:
    """The same in the other mode."""
    with metastore.connect(f"sqlite:///{filled}", mode="r") as store, served(store) as at:
        assert _wrong(chromium, at, width, scheme) == []


@pytest.fixture
def tab(chromium: Any, filled: Path) -> Iterator[Any]:
    """A tab at a run, and what it complains of."""
    with metastore.connect(f"sqlite:///{filled}", mode="r") as store, served(store) as at:
        options = {"permissions": ["clipboard-read", "clipboard-write"]}
        watched = Watched(chromium, at, **options)
        yield watched
        assert not watched.faults
        watched.close()


def test_a_picture_is_zoomed_and_moved(tab: Watched) -> None:
    """By buttons, keys and dragging; a click on a box opens it, a drag across it does not."""
    page = tab.open("/lineage/300?depth=6")
    view, svg = page.locator(".view"), page.locator(".view svg")
    width = int(svg.get_attribute("width"))
    page.get_by_role("button", name="Zoom in").click()
    assert int(svg.get_attribute("width")) > width
    view.press("-")
    view.press("-")
    assert int(svg.get_attribute("width")) < width
    for _ in range(6):
        view.press("+")
    before = view.evaluate("(each) => each.scrollLeft")
    box = view.bounding_box()
    middle = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.move(*middle)
    page.mouse.down()
    page.mouse.move(middle[0] - 120, middle[1], steps=5)
    page.mouse.up()
    assert view.evaluate("(each) => each.scrollLeft") > before
    assert "/lineage/300" in page.url
    view.press("0")
    page.locator(".view a .box").first.click()
    page.wait_for_url("**/artifacts/*")


def test_what_is_copied_is_what_is_shown(tab: Watched) -> None:
    """The button beside a command line and a uri copies it."""
    page = tab.open("/artifacts/300")
    page.get_by_role("button", name="Copy").first.click()
    page.get_by_role("button", name="Copied").wait_for()
    shown = page.locator(".copyable code").first.text_content()
    assert page.evaluate("() => navigator.clipboard.readText()") == shown


def test_the_address_says_no_more_than_was_asked_for(tab: Watched) -> None:
    """A form that is sent leaves out what is empty, and keeps what was chosen."""
    page = tab.open("/runs")
    page.get_by_label("Status").select_option("FAILED")
    page.get_by_label("Key").fill("window")
    page.get_by_label("Value").fill("7d")
    page.get_by_role("button", name="Apply").click()
    page.wait_for_url("**/runs?*")
    assert page.url.partition("?")[2] == "state=FAILED&key=window&value=7d"
    assert page.get_by_label("Status").input_value() == "FAILED"
    page.locator("tbody input[type=checkbox]").nth(0).check()
    page.locator("tbody input[type=checkbox]").nth(1).check()
    page.get_by_role("button", name="Compare").click()
    page.wait_for_url("**/compare?run=*&run=*")


def test_keys_are_enough(tab: Watched) -> None:
    """The first key leads past the head; each step of it can be seen; lists are reached so."""
    page = tab.open("/runs")
    page.keyboard.press("Tab")
    assert page.evaluate("() => document.activeElement.textContent") == "Skip to the content"
    assert page.locator(".skip").bounding_box()["x"] >= 0
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("() => document.activeElement.closest('main') !== null")
    outline = "() => getComputedStyle(document.activeElement).outlineStyle"
    for _ in range(12):
        page.keyboard.press("Tab")
        assert page.evaluate(outline) != "none"


def test_a_run_that_goes_on_is_shown_anew(chromium: Any, tmp_path: Path) -> None:
    """The page shows a new step by itself, keeps where it was scrolled to, and stops at the end."""
    url = f"sqlite:///{tmp_path / 'store.db'}"
    with metastore.connect(url) as writing, metastore.connect(url, mode="r") as store:
        fill(writing, 2)
        with served(store) as at, writing.run("live") as run:
            watched = Watched(chromium, at)
            page = watched.open(f"/runs/{run.id}?refresh=5")
            assert page.get_by_role("link", name="first-step").count() == 0
            with run.step("first-step"):
                page.get_by_role("link", name="first-step").first.wait_for(timeout=60_000)
            assert not watched.faults
            watched.close()


_CAN_BE_USED = """() => [...document.querySelectorAll("a[href], button, input:not([type=hidden]), "
  + "select, summary, [tabindex='0']")].filter((each) => each.checkVisibility()
  && !each.disabled && !(each.type === "radio" && !each.checked)).length"""
_MARK = """() => {
  const each = document.activeElement;
  if (each === document.body || each.dataset.reached) return "again";
  each.dataset.reached = "yes";
  const style = getComputedStyle(each), box = each.getBoundingClientRect();
  const shown = style.outlineStyle !== "none" && box.width > 0 && box.height > 0;
  return shown ? "seen" : `not seen: ${each.outerHTML.slice(0, 80)}`;
}"""


@pytest.mark.parametrize("path", ["/compare?run=100&run=101", "/runs/100", "/lineage/300?depth=4"])
def test_all_that_can_be_used_is_reached_by_keys(path: str, tab: Watched) -> None:
    """Tab comes to each link, field, button and picture once, and it is seen where it is."""
    page = tab.open(path)
    found = []
    while True:
        page.keyboard.press("Tab")
        found.append(page.evaluate(_MARK))
        if found[-1] == "again":
            break
    assert found[:-1] == ["seen"] * page.evaluate(_CAN_BE_USED)


def test_a_picture_is_moved_by_keys(tab: Watched) -> None:
    """It takes the focus, and then arrows move it, + and - make it larger and smaller."""
    page = tab.open("/lineage/300?depth=6")
    view, svg = page.locator(".view"), page.locator(".view svg")
    view.focus()
    before = int(svg.get_attribute("width"))
    for _ in range(6):
        page.keyboard.press("+")
    assert int(svg.get_attribute("width")) > before
    page.keyboard.press("0")
    for _ in range(6):
        page.keyboard.press("+")
    view.evaluate("(each) => { each.scrollLeft = 0; }")
    page.keyboard.press("ArrowRight")
    page.wait_for_function("() => document.querySelector('.view').scrollLeft > 0")
