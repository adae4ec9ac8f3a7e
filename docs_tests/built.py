"""The site as it was built, and the Markdown files as the forge shows them."""

from __future__ import annotations

import re
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag

ROOT = Path(__file__).parents[1]
SITE = ROOT / "site"

SOURCES = sorted(
    path
    for path in [
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("plugins/*/*.md"),
        *(ROOT / folder / "README.md" for folder in ("core", "faults", "cookiecutter-flavor")),
        *ROOT.glob("benchmarks/*.md"),
    ]
)
"""The Markdown files that people read in the repository."""


class Page(HTMLParser):
    """What a page fetches, links to and can be linked to, and its text."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.links: list[str] = []
        self.ids: dict[str, int] = {}
        """Where in the text an element with this id begins."""
        self.classes: set[str] = set()
        self._texts: list[str] = []
        self._length = 0
        self._unseen = 0
        self.feed(path.read_text("utf-8"))
        self.close()
        self.text = "".join(self._texts)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what the element asks for, and what it is called."""
        told = {name: value or "" for name, value in attrs}
        if tag == "a":
            self.links.append(told.get("href", ""))
        elif tag == "link" and told.get("rel") in {"search", "next", "prev", "index"}:
            self.links.append(told["href"])
        else:
            self.fetched += [
                told[name]
                for name in ("src", "href", "srcset", "data", "poster", "action")
                if told.get(name)
            ]
        for name in filter(None, (told.get("id"), told.get("name") if tag == "a" else None)):
            self.ids.setdefault(name, self._length)
        self.classes |= {*told.get("class", "").split()}
        self._unseen += tag in {"script", "style"}

    def handle_endtag(self, tag: str) -> None:
        """Leave what nobody reads."""
        self._unseen -= tag in {"script", "style"}

    def handle_data(self, data: str) -> None:
        """Keep the text."""
        if not self._unseen:
            self._texts.append(data)
            self._length += len(data)


@cache
def page(path: Path) -> Page:
    """A page of the site, read once."""
    return Page(path)


def pages() -> list[Path]:
    """All of them."""
    found = sorted(SITE.rglob("*.html"))
    assert found, "there is no site: build it first, as the environment docs of tox.ini does"
    return found


def built(source: Path) -> Path:
    """The page that a Markdown file became."""
    return (SITE / source.relative_to(ROOT)).with_suffix(".html")


def is_elsewhere(link: str) -> bool:
    """Whether it leads out of the site."""
    return re.match(r"[a-z][a-z0-9+.-]*:|//", link) is not None


def target_of(link: str, of: Path) -> tuple[Path, str]:
    """The file that a relative link of this one names, and the anchor in it."""
    path, anchor = urldefrag(link)
    return (of.parent / unquote(path)).resolve() if path else of, unquote(anchor)


def plain(text: str) -> str:
    """Letters and digits alone, to compare a text with what became of it."""
    return "".join(re.findall(r"\w+", text)).replace("_", "")
