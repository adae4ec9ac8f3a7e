"""Reads a page as strictly as whoever cannot see it needs it."""

from __future__ import annotations

from html.parser import HTMLParser

__all__ = ["Markup"]

_VOID = frozenset({"br", "hr", "img", "input", "link", "meta"})
_QUIET = frozenset({"script", "style"})


class Markup(HTMLParser):
    """A page: its text, its links, and what is wrong with it."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.source = source
        self.faults: list[str] = []
        self.links: list[str] = []
        self.texts: list[str] = []
        self.headings: list[str] = []
        self._open: list[tuple[str, dict[str, str | None]]] = []
        self._ids: set[str] = set()
        self._referred: set[str] = set()
        self._captioned: list[bool] = []
        self.feed(source)
        self.close()
        self._check()

    @property
    def text(self) -> str:
        """All text, its blanks made one."""
        return " ".join("".join(self.texts).split())

    def _check(self) -> None:
        self.faults += [f"<{tag}> is not closed" for tag, _ in self._open]
        self.faults += [f"nothing has the id {each}" for each in self._referred - self._ids]
        if len([each for each in self.headings if each == "h1"]) != 1:
            self.faults.append(f"its headings are {self.headings}")
        if not self.source.startswith("<!doctype html>\n<html lang="):
            self.faults.append("it does not say what it is, or in which language")

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """One more element."""
        named = dict(attrs)
        if len(named) != len(attrs):
            self.faults.append(f"<{tag}> has an attribute twice: {attrs}")
        self._attributes(tag, named)
        self._control(tag, named)
        if tag == "a" and named.get("href") is not None:
            self.links.append(str(named["href"]))
        if tag in ("h1", "h2", "h3"):
            self.headings.append(tag)
        if tag == "table":
            self._captioned.append(False)
        elif tag == "caption":
            self._captioned[-1] = True
        elif tag == "th" and named.get("scope") not in ("col", "row", "rowgroup"):
            self.faults.append("a head of a table that does not say of what")
        if tag not in _VOID:
            self._open.append((tag, named))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """An element of a drawing."""
        self._attributes(tag, dict(attrs))

    def _attributes(self, tag: str, named: dict[str, str | None]) -> None:
        self.texts += [f" {named[name]} " for name in ("title", "aria-label") if named.get(name)]
        for name, value in named.items():
            if name == "style" or name.startswith("on"):
                self.faults.append(f"<{tag}> has {name}, which the policy forbids")
            if name in ("href", "src", "action") and ":" in (value or "").split("?")[0]:
                self.faults.append(f"<{tag}> leads to {value}")
        id = named.get("id")
        if id is not None:
            # Of two pictures on a page each has its arrow.
            if id in self._ids and id != "ms-arrow":
                self.faults.append(f"two elements have the id {id}")
            self._ids.add(id)
        for name in ("aria-labelledby", "aria-describedby"):
            self._referred |= set((named.get(name) or "").split())

    def _control(self, tag: str, named: dict[str, str | None]) -> None:
        if tag in ("script", "style") and not named.get("src"):
            self.faults.append(f"a <{tag}> inside of the page")
        if tag in ("input", "select") and named.get("type") != "hidden":
            around = any(name == "label" for name, _ in self._open)
            if not (around or named.get("aria-label")):
                self.faults.append(f"a <{tag}> without a label: {named}")

    def handle_endtag(self, tag: str) -> None:
        """The end of the element that was opened last, and of no other."""
        if not self._open or self._open[-1][0] != tag:
            self.faults.append(f"</{tag}> ends {self._open[-1:]}")
            return
        self._open.pop()
        if tag == "table" and not self._captioned.pop():
            self.faults.append("a table without a caption")

    def handle_data(self, data: str) -> None:
        """Text."""
        if not self._open or self._open[-1][0] not in _QUIET:
            self.texts.append(data)
