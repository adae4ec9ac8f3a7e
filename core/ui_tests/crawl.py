"""Walk through the pages of a store in a browser, and say what is wrong with any of them.

Usage, in core/: ``python -m ui_tests.crawl URL [--pages N] [--each N] [--pictures FOLDER]
[--width N] [--scheme light|dark] [--without-script]``; URL is that of a store.  It follows links
from the first page on, of each sort of page some, and prints the sorts, how long they took, how
large they were, and what is wrong; the exit status is 1 where anything is.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, NamedTuple
from urllib.parse import urlsplit

import metastore

from .shown import Watched, browsing, served

__all__ = ["Visit", "crawl", "looked_at", "sort_of"]

STARTS = {
    "/": 200,
    "/runs?state=FAILED": 200,
    "/compare": 200,
    "/nowhere": 404,
    "/runs?where=nme+%3D+1": 400,
    "/runs?name=no-run-is-called-so": 200,
}
"""Where it begins, and the status there; what is linked to is there (200)."""
MOST_BYTES = 1_000_000
"""Of a page; and so many are read of a file."""

_LOOKS = (Path(__file__).parent / "looks.js").read_text("utf-8")
# Links, and what a form leads to: two runs side by side.
_LINKS = """() => {
  const links = [...document.querySelectorAll("a[href]")].map((each) => each.getAttribute("href"));
  const boxes = document.querySelectorAll("input[type=checkbox][name=run]");
  const runs = [...boxes].map((each) => each.value);
  if (runs.length > 1) links.unshift(`compare?run=${runs[0]}&run=${runs[1]}`);
  return links.map((each) => new URL(each, document.baseURI).href);
}"""
_AXE = """async (tags) => (await axe.run(document, {runOnly: tags, rules: {
  // Of what is looked at elsewhere, with the texts of pictures.
  "color-contrast": {enabled: false}}})).violations.map(
  (each) => `axe, ${each.id}: ${each.help}: ${each.nodes[0].html.slice(0, 120)}`)"""
_TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


class Visit(NamedTuple):
    """A page that was seen."""

    path: str
    sort: str
    status: int
    milliseconds: float
    """Until it was there, with all that it needs."""
    bytes: int
    faults: list[str]


def sort_of(path: str) -> str:
    """What sort of page it is: its address without numbers, and what is asked for."""
    head, _, query = path.partition("?")
    # Where a list goes on, and how often a page is shown anew, makes no other sort of it.
    keys = sorted({each.partition("=")[0] for each in query.split("&")} - {"", "page", "refresh"})
    return re.sub(r"\d+", "N", head) + (f"?{','.join(keys)}" if keys else "")


def looked_at(tab: Any, *, axe: bool = False) -> list[str]:
    """What is wrong with how the page of a tab looks and reads; with axe-core's rules, too."""
    faults: list[str] = tab.evaluate(_LOOKS)
    if axe:
        tab.evaluate((files("axe_playwright_python") / "axe.min.js").read_text("utf-8"))
        faults += tab.evaluate(_AXE, _TAGS)
    return faults


def crawl(
    watched: Watched,
    *,
    pages: int,
    each: int = 2,
    seconds: float = float("inf"),
    axe: bool = False,
    kinds: Literal["all", "pages"] = "all",
    pictures: Path | None = None,
) -> list[Visit]:
    """Visit at most so many pages, `each` of a sort, for so many seconds.

    Other forms of pages (JSON, CSV, pictures) are asked for as well, and count as pages, unless
    `kinds` is ``"pages"``.
    """
    expected = dict(STARTS)
    waiting = list(STARTS)
    of_sort: dict[str, int] = {}
    visits: list[Visit] = []
    ends = time.monotonic() + seconds
    while waiting and len(visits) < pages and time.monotonic() < ends:
        path = waiting.pop(0)
        sort = sort_of(path)
        if path not in STARTS and (
            of_sort.get(sort, 0) >= each or (kinds == "pages" and _is_file(path))
        ):
            continue
        of_sort[sort] = of_sort.get(sort, 0) + 1
        if _is_file(path):
            visits.append(_asked(watched, path, sort))
            continue
        visit, links = _seen(watched, path, sort, expected.get(path, 200), axe)
        visits.append(visit)
        if pictures is not None:
            name = f"{len(visits):03}-{re.sub(r'[^a-zA-Z0-9]+', '-', sort).strip('-') or 'index'}"
            watched.tab.screenshot(path=pictures / f"{name}.png", full_page=True)
        for link in links:
            parts = urlsplit(link)
            found = parts.path + (f"?{parts.query}" if parts.query else "")
            if found not in expected and not parts.fragment:
                expected[found] = 200
                waiting.append(found)
    return visits


def _is_file(path: str) -> bool:
    return path.partition("?")[0].endswith((".json", ".csv", ".svg", ".dot", ".mmd"))


def _asked(watched: Watched, path: str, sort: str) -> Visit:
    began = time.perf_counter()
    status, size = watched.ask(path, most=MOST_BYTES)
    took = 1000 * (time.perf_counter() - began)
    return Visit(path, sort, status, took, size, [] if status == 200 else [f"status {status}"])


def _seen(
    watched: Watched, path: str, sort: str, status: int, axe: bool
) -> tuple[Visit, list[str]]:
    began = time.perf_counter()
    answer = watched.go(path)
    took = 1000 * (time.perf_counter() - began)
    tab = watched.tab
    faults = [*watched.faults, *looked_at(tab, axe=axe)]
    watched.faults.clear()
    if answer.status != status:
        faults.append(f"status {answer.status}, not {status}")
    size = len(answer.body())
    if size > MOST_BYTES:
        faults.append(f"{size} bytes")
    return Visit(path, sort, answer.status, took, size, faults), tab.evaluate(_LINKS)


def main(arguments: Sequence[str]) -> int:
    """Walk, and print what was seen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--pages", type=int, default=200)
    parser.add_argument("--each", type=int, default=2, help="pages of a sort")
    parser.add_argument("--pictures", type=Path, help="a folder for pictures of all pages")
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--scheme", choices=("light", "dark"), default="light")
    parser.add_argument("--without-script", action="store_true")
    options = parser.parse_args(arguments)
    if options.pictures:
        options.pictures.mkdir(parents=True, exist_ok=True)
    with (
        metastore.connect(options.url, mode="r") as store,
        served(store) as address,
        browsing() as browser,
    ):
        watched = Watched(
            browser,
            address,
            viewport={"width": options.width, "height": 800},
            color_scheme=options.scheme,
            java_script_enabled=not options.without_script,
        )
        visits = crawl(
            watched,
            pages=options.pages,
            each=options.each,
            axe=not options.without_script,
            pictures=options.pictures,
        )
        watched.close()
    for visit in visits:
        line = (
            f"{visit.status} {visit.milliseconds:7.0f} ms {visit.bytes:9,} bytes  {visit.path[:90]}"
        )
        sys.stdout.write(f"{line}\n" + "".join(f"      {each}\n" for each in visit.faults))
    faults = sum(len(visit.faults) for visit in visits)
    sorts = len({visit.sort for visit in visits})
    sys.stdout.write(f"{len(visits)} pages of {sorts} sorts, {faults} faults\n")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
