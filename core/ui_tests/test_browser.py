"""Pages in Chromium: with script and without, wide and narrow, light and dark."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import metastore

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

_PAGES = 25
"""Of each store, from the first page on, one of every sort to begin with."""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A browser for all tests."""
    with browsing() as started:
        yield started


def _stores() -> list[str]:
    folder = os.environ.get("METASTORE_TEST_STORES")
    real = sorted(Path(folder).glob("*.sqlite")) if folder else []
    return ["empty", "filled", "damaged", "hostile", *map(str, real)]


@pytest.fixture(params=_stores())
def address(request: pytest.FixtureRequest, tmp_path: Path, filled: Path) -> Iterator[str]:
    """The pages of a store of some sort."""
    path = tmp_path / "store.db"
    if request.param == "damaged":
        damaged(path)
    elif request.param == "filled":
        path = filled
    elif request.param == "hostile":
        with metastore.connect(f"sqlite:///{path}") as store:
            for text in HOSTILE[:-1]:
                record(store, text.replace("\0", ""))
    elif request.param == "empty":
        metastore.connect(f"sqlite:///{path}").close()
    else:
        path = Path(request.param)
    with metastore.connect(f"sqlite:///{path}", mode="r") as store, served(store) as at:
        yield at


_LINKS = """(found) => found.map((each) =>
  new URL(each.getAttribute("href"), document.baseURI).href)"""
_TOO_WIDE = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"


def _sorts(links: list[str], address: str) -> list[str]:
    """Of the pages that are led to, of each sort the first ones."""
    found: dict[str, list[str]] = {}
    for each in links:
        path = each.removeprefix(address)
        head, _, query = path.partition("?")
        if each.startswith(address) and "." not in head.rpartition("/")[2]:
            parts = head.split("/")
            sort = f"{parts[1]}/{len(parts)}/{query.partition('=')[0]}"
            found.setdefault(sort, []).append(path)
    return [path for paths in found.values() for path in paths[:2]]


@pytest.mark.parametrize("options", [{}, {"java_script_enabled": False}], ids=["script", "none"])
def test_pages_ask_for_nothing_and_complain_of_nothing(
    options: Any, address: str, chromium: Any
) -> None:
    """No error on the console, no request to another host, with script and without it."""
    watched = Watched(chromium, address, **options)
    seen: set[str] = set()
    waiting = ["/", "/runs?state=FAILED", "/compare", "/nowhere", "/runs?where=nme+%3D+1"]
    while waiting and len(seen) < _PAGES:
        path = waiting.pop(0)
        if path in seen:
            continue
        seen.add(path)
        tab = watched.open(path)
        assert tab.locator("h1").count() == 1, path
        assert not watched.faults, f"{path}: {watched.faults}"
        # Without script the driver may still look.
        links = tab.locator("a[href]").evaluate_all(_LINKS)
        waiting += [each for each in _sorts(links, address) if each not in seen]
    watched.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1400])
def test_pages_fit_and_can_be_read(width: int, scheme: str, chromium: Any, filled: Path) -> None:
    """Nothing sticks out at the side, and texts stand out from what is behind them (WCAG AA)."""
    with metastore.connect(f"sqlite:///{filled}", mode="r") as store, served(store) as at:
        watched = Watched(
            chromium, at, viewport={"width": width, "height": 800}, color_scheme=scheme
        )
        for path in (
            *("/", "/runs", "/runs/100", "/pipelines", "/pipelines/1", "/executions/300"),
            *("/artifacts", "/artifacts/300", "/lineage/300?depth=4", "/contexts/1", "/types"),
            *("/compare?run=100&run=101", "/runs?where=nme+%3D+1", "/runs/99999"),
        ):
            tab = watched.open(path)
            assert tab.evaluate(_TOO_WIDE) <= 0, path
            assert tab.evaluate(_FAINT) == [], path
        watched.close()


_FAINT = """() => {
  const light = (colour) => {
    const [r, g, b, a] = colour.match(/[\\d.]+/g).map(Number);
    const parts = [r, g, b].map((each) => {
      const part = each / 255;
      return part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return { value: 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2], alpha: a ?? 1 };
  };
  const behind = (element) => {
    for (let each = element; each; each = each.parentElement) {
      const found = light(getComputedStyle(each).backgroundColor);
      if (found.alpha === 1) return found.value;
    }
    return light(getComputedStyle(document.body).backgroundColor).value;
  };
  const faint = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode.textContent.trim();
    const element = walker.currentNode.parentElement;
    if (!text || !element.checkVisibility() || element.closest("svg, option, .vh")) continue;
    const front = light(getComputedStyle(element).color).value, back = behind(element);
    const contrast = (Math.max(front, back) + 0.05) / (Math.min(front, back) + 0.05);
    if (contrast < 4.5) faint.push(`${text.slice(0, 30)}: ${contrast.toFixed(2)}`);
  }
  return faint;
}"""


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
