"""A layout as text: boxes and lines, from top to bottom, for terminals.

Between two layers the lines of each box run along a row of their own, and each ends at a place of
its own on the box below: lines of two boxes only ever cross, where the horizontal one is broken.
"""

from __future__ import annotations

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count, pairwise
from typing import TypeAlias

from metastore.drawing._layout import Layout, layered

__all__ = ["boxes"]

_WIDEST, _NARROWEST = 30, 8
"""Of the text in a box, in cells."""
_BORDERS, _APART, _BEND = 4, 2, 4
_UP, _DOWN, _LEFT, _RIGHT = 1, 2, 4, 8
_THROUGH, _ACROSS = _UP | _DOWN, _LEFT | _RIGHT
_LINES = " │││─┘┐┤─└┌├─┴┬┼"
"""By the directions in which it goes on from a cell."""

_Point: TypeAlias = "tuple[int, float]"
"""Layer and place of a box, or of a bend of a line."""
_Cells: TypeAlias = "dict[int, str]"
"""A line of text, by column."""


def boxes(
    texts: Sequence[str], edges: Sequence[tuple[int, int]], *, width: int | None = None
) -> list[str] | None:
    """Lines with a box for each text, and arrows along the edges.

    Parameters
    ----------
    texts:
        One line each, printable; what is too long loses its middle.
    edges:
        Pairs of numbers of texts, from 0.  Repeated ones are drawn once, one from a text to itself
        not at all.
    width:
        Cells that a line may have; None for as many as it takes.

    Returns
    -------
    The lines; None where `width` leaves no 8 cells for each text.
    """
    drawn = [edge for edge in dict.fromkeys(edges) if edge[0] != edge[1]]
    # As wide as the longest text and the ends of lines need, then narrower until it fits.
    arriving = Counter(target for _, target in drawn)
    inside = max([*map(_cells, texts), *(2 * each - 1 for each in arriving.values())], default=0)
    inside = min(inside, _WIDEST)
    while True:
        layout = layered(len(texts), drawn, bend=_BEND / (inside + _BORDERS + _APART))
        picture = _picture(layout, texts, inside)
        if width is None or max(map(_cells, picture), default=0) <= width:
            return picture
        if inside <= _NARROWEST:
            return None
        inside -= 1


@dataclass(frozen=True)
class _Box:
    text: str
    width: int

    @property
    def left(self) -> int:
        """Its left border, counted from its middle."""
        return -(self.width // 2)

    @property
    def places(self) -> tuple[int, int]:
        """The first and the last column between its corners, counted from its middle."""
        return self.left + 1, self.left + self.width - 2


@dataclass
class _Line:
    """From a box or bend above to one below; its columns there, and the row that it takes."""

    upper: _Point
    lower: _Point
    goes_up: bool
    top: int
    middle: int
    """That of the box below, or the bend."""
    bottom: int

    @property
    def is_straight(self) -> bool:
        return self.top == self.bottom


def _picture(layout: Layout, texts: Sequence[str], inside: int) -> list[str]:
    widest = inside + _BORDERS

    def x(point: _Point) -> int:
        return round(point[1] * (widest + _APART)) + widest // 2

    arriving = Counter(max(ends) for route in layout.routes for ends in pairwise(route))
    found: dict[_Point, _Box] = {}
    for point, text in zip(zip(layout.layer, layout.place, strict=True), texts, strict=True):
        shown = _cut(text, inside)
        places = min(2 * arriving[point] - 1, inside)
        found[point] = _Box(shown, max(_cells(shown), places) + _BORDERS)
    below: dict[int, list[_Line]] = defaultdict(list)
    rows: dict[int, set[_Point]] = defaultdict(set)
    for point in found:
        rows[point[0]].add(point)
    for route in layout.routes:
        for point in route[1:-1]:
            rows[point[0]].add(point)
        for start, end in pairwise(route):
            upper, lower = min(start, end), max(start, end)
            below[upper[0]].append(_Line(upper, lower, start > end, x(upper), x(lower), x(lower)))
    picture: list[_Cells] = []
    for layer in range(layout.layers):
        lines = below[layer]
        _spread(lines, found)
        picture += _row_of_boxes(rows[layer], found, {line.upper for line in lines}, x)
        picture += _channel(lines, found)
    return _texts(picture)


def _spread(lines: Iterable[_Line], found: Mapping[_Point, _Box]) -> None:
    """Let the lines end side by side on the box below, in the order in which they come."""
    arriving: dict[_Point, list[_Line]] = defaultdict(list)
    for line in lines:
        if line.lower in found:
            arriving[line.lower].append(line)
    for lower, several in arriving.items():
        several.sort(key=lambda line: line.top)
        least, most = found[lower].places
        step = 2 if most - least >= 2 * (len(several) - 1) else 1
        reach = step * (len(several) - 1)
        # One that comes straight from above stays so.
        straight = next((at for at, line in enumerate(several) if line.is_straight), None)
        first = -(reach // 2) if straight is None else -straight * step
        first = max(least, min(first, most - reach))
        for at, line in enumerate(several):
            line.bottom += min(first + at * step, most)


def _row_of_boxes(
    points: Iterable[_Point],
    found: Mapping[_Point, _Box],
    leaving: Iterable[_Point],
    x: Callable[[_Point], int],
) -> tuple[_Cells, _Cells, _Cells]:
    top: _Cells = {}
    inside: _Cells = {}
    bottom: _Cells = {}
    for point in points:
        box = found.get(point)
        if box is None:
            top[x(point)] = inside[x(point)] = bottom[x(point)] = "│"
            continue
        left = x(point) + box.left
        right = left + box.width - 1
        for at in range(left, right):
            top[at] = bottom[at] = "─"
        top[left], top[right], bottom[left], bottom[right] = "┌┐└┘"
        inside[left] = inside[right] = "│"
        at = left + (box.width - _cells(box.text)) // 2
        begin = at
        for each in box.text:
            if _cells(each):
                inside[at] = each
            elif at > begin:
                inside[at - 1] += each
            at += _cells(each)
            if _cells(each) == 2:
                inside[at - 1] = ""
    for point in leaving:
        if point in found:
            bottom[x(point)] = "┬"
    return top, inside, bottom


def _channel(lines: Sequence[_Line], found: Mapping[_Point, _Box]) -> list[_Cells]:
    """The lines between two layers of boxes."""
    if not lines:
        return []
    row_of = _rows_of_lines(lines, found)
    # The last line is for the heads of arrows, and the first one where some lead upwards.
    begin = int(any(line.goes_up and line.upper in found for line in lines))
    last = begin + max(row_of.values(), default=-1) + 1
    cells: dict[tuple[int, int], dict[_Point, int]] = defaultdict(lambda: defaultdict(int))
    for line in lines:
        row = begin + row_of.get(line.upper, 0)
        for at in range(last + 1):
            column = line.top if line.is_straight or at < row else line.bottom
            cells[at, column][line.upper] |= _THROUGH if line.is_straight or at != row else 0
        if not line.is_straight:
            step = 1 if line.bottom > line.top else -1
            on, back = (_RIGHT, _LEFT) if step == 1 else (_LEFT, _RIGHT)
            cells[row, line.top][line.upper] |= _UP | on
            for column in range(line.top + step, line.bottom, step):
                cells[row, column][line.upper] |= _ACROSS
            cells[row, line.bottom][line.upper] |= _DOWN | back
    drawn: list[_Cells] = [{} for _ in range(last + 1)]
    for (at, column), masks in cells.items():
        drawn[at][column] = _drawn(masks.values())
    for line in lines:
        if line.goes_up and line.upper in found:
            drawn[0][line.top] = "▲"
        elif not line.goes_up and line.lower in found:
            drawn[last][line.bottom] = "▼"
    return drawn


def _drawn(masks: Iterable[int]) -> str:
    found = set(masks)
    if found == {_THROUGH, _ACROSS}:
        return _LINES[_THROUGH]
    together = 0
    for mask in found:
        together |= mask
    return _LINES[together]


def _rows_of_lines(lines: Sequence[_Line], found: Mapping[_Point, _Box]) -> dict[_Point, int]:
    """A row for the lines from each box that do not only go straight down, from 0.

    Where a line of one box ends below another box, the other box's row comes first.
    """
    of_box: dict[_Point, list[_Line]] = defaultdict(list)
    for line in lines:
        of_box[line.upper].append(line)
    turning = {
        upper: several
        for upper, several in of_box.items()
        if not all(line.is_straight for line in several)
    }
    tops = {several[0].top: upper for upper, several in turning.items()}

    def before(upper: _Point) -> dict[_Point, _Line]:
        """What must still come before the row of a box, and the line that ends below it."""
        ends = ((tops.get(line.bottom, upper), line) for line in turning[upper])
        return {other: line for other, line in ends if other != upper and other not in row_of}

    row_of: dict[_Point, int] = {}
    taken: dict[int, list[tuple[int, int]]] = defaultdict(list)
    left = sorted(turning, key=lambda upper: turning[upper][0].top)
    while left:
        upper = next((each for each in left if not before(each)), None)
        if upper is None:
            # A circle, which is opened where a line can end elsewhere.
            upper = next((each for each in left if _move(before(each), lines, found)), left[0])
        left.remove(upper)
        columns = [at for line in turning[upper] for at in (line.top, line.bottom)]
        low, high = min(columns), max(columns)
        above = (tops.get(line.bottom, upper) for line in turning[upper])
        least = max((row_of[each] + 1 for each in above if each in row_of), default=0)
        row_of[upper] = next(
            row
            for row in count(least)
            if all(high < start or end < low for start, end in taken[row])
        )
        taken[row_of[upper]].append((low, high))
    return row_of


def _move(
    conflicts: Mapping[_Point, _Line], lines: Sequence[_Line], found: Mapping[_Point, _Box]
) -> bool:
    """Let each of the lines end on its box where no other line begins or ends, if it can."""
    used = {line.top for line in lines} | {line.bottom for line in lines}
    for line in conflicts.values():
        if line.lower not in found:
            return False
        least, most = found[line.lower].places
        free = {line.middle + at for at in range(least, most + 1)} - used
        if not free:
            return False
        wanted = line.bottom
        line.bottom = min(free, key=lambda at: (abs(at - wanted), at))
        used.add(line.bottom)
    return True


def _texts(picture: Sequence[_Cells]) -> list[str]:
    first = min((min(cells) for cells in picture if cells), default=0)
    return [
        "".join(cells.get(at, " ") for at in range(first, max(cells) + 1)) if cells else ""
        for cells in picture
    ]


def _cells(text: str) -> int:
    """How wide a terminal draws it."""
    return sum(
        0
        if unicodedata.combining(each) or unicodedata.category(each) in ("Mn", "Me", "Cf")
        else 1 + (unicodedata.east_asian_width(each) in "WF")
        for each in text
    )


def _cut(text: str, width: int) -> str:
    """The beginning and the end: names often differ at their ends."""
    if _cells(text) <= width:
        return text
    head, tail = text[: len(text) // 2], text[len(text) // 2 :]
    while _cells(head) > width // 2:
        head = head[:-1]
    while _cells(tail) > (width - 1) // 2:
        tail = tail[1:]
    return f"{head}…{tail}"
