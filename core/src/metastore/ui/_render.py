"""From what a page shows to what is sent: HTML, JSON, CSV."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterator
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import jinja2
from starlette.responses import HTMLResponse, Response, StreamingResponse

from metastore import display
from metastore.drawing import GRAPH_STYLE
from metastore.layout import RESERVED
from metastore.ui import _texts
from metastore.ui._page import REFRESH, Rows, Shown, View
from metastore.values import kind_of

if TYPE_CHECKING:
    from metastore.errors import MetastoreError

__all__ = ["STATIC", "as_csv", "as_error", "as_html", "as_json", "static_response"]

_CHUNK = 500
"""Rows of CSV that are sent together."""

_TYPES = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}


@lru_cache
def _static(name: str) -> bytes:
    """A file that pages bring along."""
    if name == "graph.css":
        # As in notebooks.
        return GRAPH_STYLE.encode()
    return (files("metastore.ui") / "static" / name).read_bytes()


STATIC = ("style.css", "graph.css", "app.js", "icon.svg")


@lru_cache
def _stamp(name: str) -> str:
    """What changes when a file does: browsers may keep it for ever."""
    return hashlib.sha256(_static(name)).hexdigest()[:12]


def static_response(name: str) -> Response:
    """The file."""
    return Response(
        _static(name),
        media_type=_TYPES[name.rpartition(".")[2]],
        headers={"cache-control": "public, max-age=31536000, immutable"},
    )


@lru_cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("metastore.ui"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "flat": _texts.flat,
        "middle": _texts.middle,
        "sentence": _texts.sentence,
        "shortly": _texts.shortly,
        "shown": _texts.shown,
        "line": _texts.value_line,
        "long": _texts.long_value,
        "iso": display.iso,
        "minute": display.minute,
        "second": display.second,
        "some_values": _texts.some_values,
        "thousands": lambda number: f"{number:,}",
        "kind": lambda value: kind_of(value).name,
        "names": lambda words: [(each, each.capitalize().replace("_", " ")) for each in words],
        "own": lambda values: {k: v for k, v in values.items() if not k.startswith(RESERVED)},
        "pyrepr": repr,
    }
    environment.globals |= {
        "duration": display.duration,
        "state_word": _texts.state_word,
        "refreshes": REFRESH,
        "MOST": _texts.MOST,
    }
    return environment


def as_html(view: View, shown: Shown, place: str) -> Response:
    """The page."""
    link, source = view.link, view.source
    text = (
        _environment()
        .get_template(shown.template)
        .render(
            view=view,
            link=link,
            file=lambda name: f"{link('static', name)}?v={_stamp(name)}",
            to_node=lambda kind, id: link(f"{kind.label}s", id),
            parents_of=lambda runs: [(each.name, link("runs", each.id)) for each in runs[:2]],
            page=shown,
            place=place,
            location=source.name or source.location,
            notice=source.notice,
            **shown.context,
        )
    )
    # Halves of surrogate pairs, which a damaged store may give.
    return HTMLResponse(text.encode("utf-8", "replace"), shown.status)


def as_json(shown: Shown) -> Response:
    """The same as JSON; ASCII, as that of the command."""
    data = shown.data()
    if shown.error is not None:
        data = {**data, "error": _error_fields(shown.error)}
    return _json(data, shown.status)


def _json(data: Any, status: int) -> Response:
    text = json.dumps(data, allow_nan=False, indent=2)
    return Response(f"{text}\n", status, media_type="application/json")


def as_csv(rows: Rows, name: str) -> Response:
    """All rows, sent as they are read."""
    chunks = _csv_chunks(rows)
    # What cannot be read at all is an error, not half a file.
    first = next(chunks)

    def every() -> Iterator[str]:
        yield first
        yield from chunks

    return StreamingResponse(
        every(),
        media_type="text/csv; charset=utf-8; header=present",
        headers={"content-disposition": f'attachment; filename="{name}.csv"'},
    )


def _csv_chunks(rows: Rows) -> Iterator[str]:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(rows.head)
    for number, row in enumerate(rows.rows, 1):
        writer.writerow([_cell(each) for each in row])
        if number % _CHUNK == 0:
            yield text.getvalue()
            text.seek(0)
            text.truncate()
    yield text.getvalue()


_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def _cell(value: Any) -> Any:
    """A cell that no spreadsheet takes for a formula: text that looks like one begins with '."""
    if isinstance(value, dict | list):
        return json.dumps(value)
    if isinstance(value, str):
        plain = value.replace("\0", "\\0").encode("utf-8", "replace").decode()
        return f"'{plain}" if plain.startswith(_FORMULA) else plain
    return value


def as_error(view: View, status: int, form: str, error: MetastoreError, advice: str) -> Response:
    """What went wrong, and what to do next, in the form that was asked for."""
    headers = {"retry-after": "5"} if status == 503 else {}
    if form == "json":
        response = _json({"error": _error_fields(error), "advice": advice}, status)
    elif form:
        response = Response(f"{error}\n", status, media_type="text/plain; charset=utf-8")
    else:
        title = error.message.partition("\n")[0]
        shown = Shown(
            "error.html", title, {"error": error, "advice": advice}, status=status, has_rows=False
        )
        response = as_html(view, shown, "")
    response.headers.update(headers)
    return response


def _error_fields(error: MetastoreError) -> dict[str, Any]:
    span = getattr(error, "span", None)
    return {
        "kind": type(error).__name__,
        "message": error.message,
        "hint": error.hint,
        **({} if span is None else {"span": list(span)}),
    }
