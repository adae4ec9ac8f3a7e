"""What a page is: a function from a request to what is shown, in each of its forms."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from metastore.errors import FilterError, InvalidError, NotFoundError
from metastore.store import Store
from metastore.ui._links import Links

if TYPE_CHECKING:
    from starlette.requests import Request

    from metastore.ui._source import Source

__all__ = ["Page", "Rows", "Shown", "View"]

_MOST_ID = 2**63 - 1
REFRESH = (5, 15, 60)
"""Seconds after which a page may be asked to show itself anew."""


class View:
    """A request for a page: what its address says, and links from there."""

    def __init__(self, request: Request, source: Source, path: str) -> None:
        self.request = request
        self.source = source
        self.query = {key: request.query_params.getlist(key) for key in request.query_params}
        self.link = Links(path, self.query)

    @cached_property
    def store(self) -> Store:
        """The store; raises `OpenError`."""
        return self.source.store()

    def text(self, key: str) -> str | None:
        """What the query says; None for nothing."""
        return (self.query.get(key) or [""])[0].strip() or None

    def choice(self, key: str, known: Iterable[str], default: str) -> str:
        """One of some words."""
        word = self.text(key) or default
        if word not in (*known, default):
            raise InvalidError(
                f"{word!r} is no {key} of this page", hint=f"there are: {', '.join(known)}"
            )
        return word

    def number(self, key: str, default: int | None, *, least: int = 0, most: int = _MOST_ID) -> int:
        """An integer."""
        word = self.text(key)
        if word is None and default is not None:
            return default
        return _integer(word or "", key, least, most)

    def id(self, key: str = "id") -> int:
        """The id in the path."""
        try:
            return _integer(self.request.path_params[key], "id", 1, _MOST_ID)
        except InvalidError as error:
            raise NotFoundError("there is no such page", hint="ids are integers from 1") from error

    @property
    def refresh(self) -> int | None:
        """After how many seconds the page shows itself anew."""
        word = self.text("refresh")
        return None if word is None else int(self.choice("refresh", map(str, REFRESH), "5"))

    def command(self, *words: str | int) -> str:
        """The command line that does something to this store."""
        called = self.source.name or self.store.location
        return shlex.join(["metastore", *map(str, words), "--store", called])

    def command_of(self, noun: str, *words: str | int) -> str:
        """The same for commands that take the store as an argument."""
        called = self.source.name or self.store.location
        return shlex.join(["metastore", noun, called, *map(str, words)])


def _integer(word: str, key: str, least: int, most: int) -> int:
    # No underscores, no digits of other scripts, no thousands of them.
    if word.isascii() and word.isdigit() and len(word) < 20 and least <= int(word) <= most:
        return int(word)
    raise InvalidError(
        f"{key} is an integer from {least}" + ("" if most == _MOST_ID else f" to {most}")
    )


class Rows(NamedTuple):
    """A table, whole, read as it is written."""

    head: Sequence[str]
    rows: Iterator[Sequence[Any]]


@dataclass
class Shown:
    """What a page shows."""

    template: str
    title: str
    """What it is about, where many pages of a browser are open: text of a store may be in it."""
    context: Mapping[str, Any] = field(default_factory=dict)
    data: Callable[[], Any] = dict
    """The same as JSON."""
    status: int = 200
    error: FilterError | InvalidError | None = None
    """What is wrong with what was asked for; shown beside what can be mended."""
    is_live: bool = False
    """Whether it is about something that still runs."""
    has_rows: bool = True
    """Whether the table can be had as CSV."""


class Page(NamedTuple):
    """A page and its forms: ``/runs``, ``/runs.json``, ``/runs.csv``."""

    path: str
    show: Callable[[View], Shown]
    rows: Callable[[View], Rows] | None = None
    drawing: Callable[[View, str], str] | None = None
    """Other forms, by the end of their name: ``svg``, ``dot``, ``mmd``."""
    place: str = ""
    """Where it belongs: the word in the head of the pages that is marked."""
