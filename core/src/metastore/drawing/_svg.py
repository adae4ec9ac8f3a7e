"""A layout as SVG: no script, no font and no file of anybody else."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

from metastore.drawing._html import plain
from metastore.drawing._layout import layered

__all__ = ["GRAPH_STYLE", "Box", "Line", "svg"]

_LETTER = 6.6
"""Pixels, about, of a letter of the font below; a box is never wider than its longest text."""
_HEIGHT, _GAP_ACROSS, _GAP_ALONG, _MARGIN = 38, 18, 78, 12
_LONGEST = 30
_LONGEST_TOOLTIP = 1000

GRAPH_STYLE = """
.ms-graph { font: 11px ui-monospace, Menlo, Consolas, monospace; max-width: none !important; }
.ms-graph .box { fill: #fff; stroke: #57606a; }
.ms-graph .round .box { fill: #eef4ff; stroke: #3b6fb6; }
.ms-graph .bad .box { stroke: #c62828; stroke-width: 2; }
.ms-graph .good .box { stroke: #2e7d32; }
.ms-graph .busy .box { stroke: #b26a00; }
.ms-graph .missing .box { stroke-dasharray: 5 4; }
.ms-graph .start .box { stroke-width: 2.5; }
.ms-graph .dim { opacity: .3; }
.ms-graph path.on { stroke: #0b5cad; stroke-width: 2; }
.ms-graph .on .box { stroke-width: 2.5; }
.ms-graph text { fill: #1f2328; }
.ms-graph .small { fill: #57606a; font-size: 10px; }
.ms-graph .key { fill: currentColor; font-size: 10px; opacity: .75; }
.ms-graph path { fill: none; stroke: #8c959f; }
.ms-graph marker path { fill: #8c959f; stroke: none; }
@media (prefers-color-scheme: dark) {
.ms-graph .box { fill: #1c2128; stroke: #adbac7; }
.ms-graph .round .box { fill: #1b2a41; stroke: #6ca4f8; }
.ms-graph .bad .box { stroke: #ff7b72; }
.ms-graph .good .box { stroke: #57ab5a; }
.ms-graph .busy .box { stroke: #daaa3f; }
.ms-graph text { fill: #e6edf3; }
.ms-graph .small { fill: #adbac7; }
.ms-graph path.on { stroke: #6cb6ff; }
}
"""


class Box(NamedTuple):
    """A node: two lines of text, and how it looks."""

    title: str
    text: str
    look: str = ""
    """Words of ``round``, ``bad``, ``good``, ``busy``, ``missing``, ``start``, ``dim``, ``on``."""
    href: str = ""
    """Where a click on it leads; empty for nowhere."""


class Line(NamedTuple):
    """An edge between two boxes, by their numbers."""

    source: int
    target: int
    text: str = ""
    look: str = ""
    """``dim`` or ``on``, where some lines are to be told from others."""


def svg(
    boxes: Sequence[Box], lines: Sequence[Line], *, title: str, style: str | None = GRAPH_STYLE
) -> str:
    """The graph, from left to right, as an ``<svg>`` element.

    Whatever stands in the texts stays text.  What is cut in a box is whole in its tooltip, up to
    some 1,000 characters.

    Parameters
    ----------
    style:
        What it looks like; None where the page around it says so, which may have to forbid styles
        that stand inside of pages.
    """
    layout = layered(len(boxes), [(line.source, line.target) for line in lines])
    widths = [_width(box) for box in boxes]
    columns = [0.0] * layout.layers
    for width, layer in zip(widths, layout.layer, strict=True):
        columns[layer] = max(columns[layer], width)
    lefts = [_MARGIN + sum(columns[:at]) + at * _GAP_ALONG for at in range(layout.layers)]
    tops = [_MARGIN + place * (_HEIGHT + _GAP_ACROSS) for place in layout.place]
    bends = [place for route in layout.routes for _, place in route]
    lowest = max([*layout.place, *bends], default=0.0)
    width = (lefts[-1] + columns[-1] if lefts else 0.0) + _MARGIN
    height = lowest * (_HEIGHT + _GAP_ACROSS) + _HEIGHT + 2 * _MARGIN

    def middle(place: float) -> float:
        return _MARGIN + place * (_HEIGHT + _GAP_ACROSS) + _HEIGHT / 2

    parts = [
        # An image is one thing to a screen reader; what can be followed is many.
        f'<svg xmlns="http://www.w3.org/2000/svg" class="ms-graph" '
        f'role="{"group" if any(box.href for box in boxes) else "img"}" '
        f'width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}">',
        f"<title>{_text(_cut(title, _LONGEST_TOOLTIP))}</title>",
        "" if style is None else f"<style>{style}</style>",
        '<defs><marker id="ms-arrow" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" '
        'markerHeight="7" markerUnits="userSpaceOnUse" orient="auto"><path d="M0 0 8 4 0 8z"/>'
        "</marker></defs>",
    ]
    for line, route in zip(lines, layout.routes, strict=True):
        points: list[tuple[float, float, float]] = []
        for number, (layer, place) in enumerate(route):
            ends = {0: line.source, len(route) - 1: line.target}
            wide = widths[ends[number]] if number in ends else columns[layer]
            points.append((lefts[layer], lefts[layer] + wide, middle(place)))
        parts += _line(points, line)
    for box, layer, top, wide in zip(boxes, layout.layer, tops, widths, strict=True):
        parts.append(_box(box, lefts[layer], top, wide))
    return "".join([*parts, "</svg>"])


def _width(box: Box) -> float:
    return max(len(_cut(box.title)), len(_cut(box.text)), 6) * _LETTER + 20


def _line(points: Sequence[tuple[float, float, float]], line: Line) -> list[str]:
    """A curve through left side, right side and height of each point."""
    backwards = points[0][0] > points[-1][0]
    (left, right, y), *others = points
    x = left if backwards else right
    path = [f"M{x:.1f} {y:.1f}"]
    label_at = None
    for left, right, next_y in others:
        next_x = right if backwards else left
        half = (x + next_x) / 2
        path.append(f"C{half:.1f} {y:.1f} {half:.1f} {next_y:.1f} {next_x:.1f} {next_y:.1f}")
        label_at = label_at or (half, (y + next_y) / 2)
        # Through the column of a bend, which is as wide as its widest box.
        x, y = (left if backwards else right), next_y
        if (left, right, next_y) != others[-1]:
            path.append(f"L{x:.1f} {y:.1f}")
    look = f' class="{escape(line.look)}"' if line.look else ""
    parts = [f'<path{look} d="{"".join(path)}" marker-end="url(#ms-arrow)"/>']
    if line.text and label_at:
        parts.append(
            f'<text class="{f"key {escape(line.look)}".strip()}" text-anchor="middle" '
            f'x="{label_at[0]:.1f}" y="{label_at[1] - 4:.1f}">{_text(_cut(line.text, 12))}</text>'
        )
    return parts


def _box(box: Box, left: float, top: float, wide: float) -> str:
    corner = 16 if "round" in box.look else 4
    before, after = (f'<a href="{escape(box.href)}">', "</a>") if box.href else ("", "")
    whole = _text(_cut(f"{box.title} {box.text}".strip(), _LONGEST_TOOLTIP))
    return (
        f'{before}<g class="{escape(box.look)}"><title>{whole}</title>'
        f'<rect class="box" x="{left:.1f}" y="{top:.1f}" width="{wide:.1f}" height="{_HEIGHT}" '
        f'rx="{corner}"/>'
        f'<text x="{left + 10:.1f}" y="{top + 16:.1f}">{_text(_cut(box.title))}</text>'
        f'<text class="small" x="{left + 10:.1f}" y="{top + 30:.1f}">{_text(_cut(box.text))}</text>'
        f"</g>{after}"
    )


def _cut(text: str, longest: int = _LONGEST) -> str:
    """The beginning and the end: names often differ at their ends."""
    if len(text) <= longest:
        return text
    return f"{text[: longest // 2]}…{text[-(longest - longest // 2 - 1) :]}"


def _text(text: str) -> str:
    return escape(plain(text))
