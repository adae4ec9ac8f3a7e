"""Text for people: tables, fields, remarks.

On a terminal lines fit its width, long text loses its middle, and states have colours.  Elsewhere
every row is one line with everything in it, for ``grep``.  Whatever comes from a store is escaped
here, and nowhere else.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import islice
from typing import IO, TYPE_CHECKING, NamedTuple

import click

from metastore.cli._escape import escape

if TYPE_CHECKING:
    from rich.console import Console

__all__ = [
    "Column",
    "Row",
    "fields",
    "heading",
    "line",
    "lines",
    "remark",
    "state_style",
    "table",
    "terminal_width",
]

_GAP = "  "
_NARROWEST = 8
_CHUNK = 500
"""Rows that are laid out together."""

_STATES = {
    "COMPLETE": "green",
    "CACHED": "cyan",
    "FAILED": "red",
    "RUNNING": "yellow",
    "CANCELED": "magenta",
    "ok": "green",
    "registered": "green",
    "broken": "red",
    "incompatible": "red",
    "conflict": "red",
}

Cell = str | Sequence[str]
"""Text; or several, below one another on a terminal, with commas between them elsewhere."""

Row = Sequence[Cell] | str
"""Cells; or a sentence about the row above."""

Spans = list[tuple[str, str]]
"""Text and its style."""


class Column(NamedTuple):
    """A column of a table."""

    title: str
    shrinks: int | None = None
    """Where the terminal is too narrow, its text may lose its middle, first down to this width,
    and further only when no other column gives way; None: never."""
    style: Callable[[str], str] | None = None
    """From the text to a style of rich."""


def state_style(state: str) -> str:
    """The colour of a state."""
    return _STATES.get(state, "")


def table(columns: Sequence[Column], rows: Iterable[Row]) -> int:
    """A table with a header, where there are rows; returns how many."""
    count, left, width = 0, iter(rows), terminal_width()
    widths = [len(column.title) for column in columns]
    while chunk := [_prepared(row, width) for row in islice(left, _CHUNK)]:
        widths = _widths(columns, chunk, widths, width)
        if not count:
            _write([(_row([column.title for column in columns], widths), "bold")])
        for row in chunk:
            if isinstance(row, str):
                line(f"{_GAP}{row}", style="dim")
                continue
            count += 1
            for spans in _spans(columns, row, widths):
                _write(spans)
    return count


def fields(pairs: Iterable[tuple[str, str | Sequence[str] | None]]) -> None:
    """Labels and values, a line each; a value may have several lines, or be left out (None)."""
    known = [(label, value) for label, value in pairs if value]
    longest = max((len(label) for label, _ in known), default=0)
    for label, value in known:
        for text in [value] if isinstance(value, str) else value:
            shown = escape(text)
            _write([(f"{_GAP}{label:{longest}}{_GAP}", "dim"), (shown, state_style(shown))])
            label = ""


def heading(text: str) -> None:
    """A title with an empty line above it."""
    _write([("", "")])
    line(text, style="bold")


def line(text: str, *, style: str = "") -> None:
    """One line; it may be longer than the terminal is wide."""
    _write([(escape(text), style)])


def lines(texts: Iterable[str]) -> None:
    """Lines whose longest word, most likely a uri, loses its middle where they are too long."""
    width = terminal_width()
    for text in texts:
        words = escape(text).split(" ")
        if width is not None:
            excess = _cells(" ".join(words)) - width
            at = max(range(len(words)), key=lambda at: len(words[at]))
            words[at] = _cut(words[at], max(_cells(words[at]) - max(excess, 0), _NARROWEST))
        _write([(" ".join(words), "")])


def remark(text: str) -> None:
    """Something about the output, beside it: on stderr."""
    sys.stdout.flush()
    click.echo(escape(text), err=True)


def terminal_width() -> int | None:
    """How wide the terminal is; None where nobody is to fit lines to anything."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def _prepared(row: Row, width: int | None) -> list[list[str]] | str:
    if isinstance(row, str):
        return row
    cells = ([cell] if isinstance(cell, str) else list(cell) for cell in row)
    escaped = [[escape(text) or "-" for text in cell] or ["-"] for cell in cells]
    return escaped if width is not None else [[", ".join(cell)] for cell in escaped]


def _widths(
    columns: Sequence[Column],
    rows: Iterable[list[list[str]] | str],
    widths: list[int],
    width: int | None,
) -> list[int]:
    wanted = list(widths)
    for row in rows:
        if not isinstance(row, str):
            for at, cell in enumerate(row):
                wanted[at] = max(wanted[at], *map(_cells, cell))
    if width is None:
        return wanted
    room = width - len(_GAP) * (len(columns) - 1)
    wanted = [min(each, width) for each in wanted]
    floors = {at: each.shrinks for at, each in enumerate(columns) if each.shrinks is not None}
    _shrink(wanted, floors, room)
    _shrink(wanted, dict.fromkeys(floors, _NARROWEST), room)
    return wanted


def _shrink(widths: list[int], floors: Mapping[int, int], room: int) -> None:
    """Take from the widest column that is not at its floor, until all fit."""
    while sum(widths) > room:
        above = [at for at, floor in floors.items() if widths[at] > floor]
        if not above:
            return
        widths[max(above, key=lambda at: widths[at])] -= 1


def _spans(
    columns: Sequence[Column], row: list[list[str]], widths: Sequence[int]
) -> Iterator[Spans]:
    for at in range(max(map(len, row))):
        spans: Spans = []
        for column, cell, width in zip(columns, row, widths, strict=True):
            text = cell[at] if at < len(cell) else ""
            shown = text if column.shrinks is None else _cut(text, width)
            style = column.style(text) if column.style else ""
            spans += [(shown, style), (" " * (width - _cells(shown)) + _GAP, "")]
        # No blanks at the end of lines.
        while spans and not spans[-1][0].strip():
            spans.pop()
        yield spans


def _row(texts: Sequence[str], widths: Sequence[int]) -> str:
    padded = (f"{text:{width}}" for text, width in zip(texts, widths, strict=True))
    return _GAP.join(padded).rstrip()


def _cells(text: str) -> int:
    """How wide it is: East Asian characters take two cells."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def _cut(text: str, width: int) -> str:
    """The beginning and the end: names often differ at their ends."""
    if _cells(text) <= width:
        return text
    from rich.cells import set_cell_size

    head = set_cell_size(text, width // 2).rstrip()
    tail = set_cell_size(text[::-1], (width - 1) // 2)[::-1].lstrip()
    return f"{head}…{tail}"


def _write(spans: Spans) -> None:
    if not sys.stdout.isatty():
        sys.stdout.write("".join(text for text, _ in spans) + "\n")
        return
    from rich.text import Text

    # Text, not markup: a name may be "[red]".
    _console(sys.stdout).print(Text.assemble(*spans), soft_wrap=True)


@lru_cache(maxsize=1)
def _console(file: IO[str]) -> Console:
    from rich.console import Console

    return Console(file=file, markup=False, highlight=False, emoji=False)
