"""Fields and tables as HTML, for notebooks and pages: no script, no font, no file of others."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import NamedTuple

__all__ = ["Html", "Word", "card", "fields", "page", "plain", "table"]

# Notebooks have rules of their own for tables and pictures, which would win.  Whether they are
# light or dark no rule can ask: colours are mixed with that of the text, to be read on both.
_STYLE = """
.ms { font: 13px system-ui, sans-serif; margin: .3em 0; overflow-x: auto; }
.ms h3, .ms h4 { margin: .6em 0 .3em; font-size: 1.05em; font-weight: 600; }
.ms h4 { font-size: 1em; }
.ms table { border-collapse: collapse; margin: 0; font-size: 1em; }
.ms th, .ms td { text-align: left !important; vertical-align: top; padding: .2em .9em .2em 0;
  border: 0; background: none; max-width: 40em; overflow-wrap: break-word; }
.ms thead th { border-bottom: 1px solid rgba(128, 128, 128, .5); white-space: nowrap; }
.ms tbody th { font-weight: normal; opacity: .7; white-space: nowrap; }
.ms .nowrap { white-space: nowrap; }
.ms span.bad { color: #d1343a; color: color-mix(in srgb, #d1343a 65%, currentcolor); }
.ms span.good { color: #2f8f4e; color: color-mix(in srgb, #2f8f4e 65%, currentcolor); }
.ms span.busy { color: #b07400; color: color-mix(in srgb, #b07400 65%, currentcolor); }
.ms span.small { opacity: .75; }
"""
_STYLE += "".join(
    f".ms .in{depth} {{ padding-left: {1.2 * depth:.1f}em; }}\n" for depth in range(1, 9)
)
_DARK = "@media (prefers-color-scheme: dark) { body { background: #0d1117; color: #e6edf3; } }"


class Html(str):
    """Markup; any other text is escaped."""

    __slots__ = ()

    def __html__(self) -> str:
        """What template languages ask for."""
        return str(self)


class Word(NamedTuple):
    """A text that looks like something.

    Words of ``good``, ``bad``, ``busy``, ``small``, ``nowrap``, and ``in1`` to ``in8``: so far in.
    """

    text: str
    look: str = ""


Cell = str | Word | Sequence[str]
"""Text, or several, a line each."""


def card(title: str, *parts: str) -> Html:
    """What a notebook shows of one thing: a title, and pieces of `Html` or paragraphs of text."""
    body = [part if isinstance(part, Html) else f"<p>{_text(part)}</p>" for part in parts if part]
    if title:
        body.insert(0, f"<h3>{_text(title)}</h3>")
    return Html(f'<div class="ms"><style>{_STYLE}</style>{"".join(body)}</div>')


def fields(pairs: Iterable[tuple[str, Cell | None]]) -> Html:
    """Labels and values; those without a value are left out."""
    rows = (
        f'<tr><th scope="row">{_text(label)}</th><td>{_cell(value)}</td></tr>'
        for label, value in pairs
        if value
    )
    return Html(f"<table><tbody>{''.join(rows)}</tbody></table>")


def table(head: Sequence[str], rows: Iterable[Sequence[Cell]], *, title: str = "") -> Html:
    """A table, under a title of its own; without rows nothing."""
    found = [f"<tr>{''.join(f'<td>{_cell(each)}</td>' for each in row)}</tr>" for row in rows]
    if not found:
        return Html()
    heads = "".join(f'<th scope="col">{_text(each)}</th>' for each in head)
    above = f"<h4>{_text(title)}</h4>" if title else ""
    return Html(
        f"{above}<table><thead><tr>{heads}</tr></thead><tbody>{''.join(found)}</tbody></table>"
    )


def page(title: str, *parts: str) -> str:
    """A whole HTML page around some markup; it asks for nothing from anywhere."""
    return (
        "<!doctype html>\n"
        f'<html lang="en"><head><meta charset="utf-8"><title>{_text(title)}</title>'
        '<meta name="viewport" content="width=device-width">'
        f"<style>body {{ margin: 1rem; font: 14px system-ui, sans-serif; }} {_DARK}</style>"
        f"</head><body><h1>{_text(title)}</h1>{''.join(parts)}</body></html>\n"
    )


def plain(text: str) -> str:
    """The text without what does not print: XML knows no control characters, not even escaped."""
    return "".join(each if each.isprintable() else " " for each in text)


def _cell(cell: Cell) -> str:
    if isinstance(cell, Word):
        return f'<span class="{escape(cell.look)}">{_text(cell.text)}</span>'
    if isinstance(cell, str):
        return cell if isinstance(cell, Html) else _text(cell)
    return "<br/>".join(map(_text, cell))


def _text(text: str) -> str:
    return escape(plain(text))
