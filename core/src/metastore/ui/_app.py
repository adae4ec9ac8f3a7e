"""`create_app`: the pages as an ASGI application."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.responses import Response
from starlette.routing import Route

from metastore.errors import (
    BusyError,
    CapabilityError,
    ClosedError,
    InvalidError,
    MetastoreError,
    NotFoundError,
    OpenError,
    StorageError,
)
from metastore.store import Store
from metastore.ui._guard import LOOPBACK, Guard
from metastore.ui._page import Page, View
from metastore.ui._pages import PAGES
from metastore.ui._render import STATIC, as_csv, as_error, as_html, as_json, static_response
from metastore.ui._source import Source

if TYPE_CHECKING:
    from starlette.requests import Request

__all__ = ["create_app"]

_log = logging.getLogger("metastore.ui")


def create_app(
    store: Store | Callable[[], Store],
    *,
    name: str | None = None,
    allowed_hosts: Sequence[str] | None = LOOPBACK,
    timeout: float = 20.0,
) -> Starlette:
    """The pages of a store, to serve or to mount.

    Parameters
    ----------
    store:
        The store, open, best with ``mode="r"``; whoever opened it closes it.  Or a function that
        opens it, which is called when the first page is asked for, and again while it fails; then
        the store is closed when the application ends.
    name:
        What the store is called on command lines that pages show; by default its location.
    allowed_hosts:
        Names and addresses, without ports, that browsers may know this server by; all other
        requests are refused, so that no page of another site reads this one under a name of its
        own (DNS rebinding).  None where whatever it is mounted in takes care of that.
    timeout:
        Seconds in which the store must answer; after them a page says that it did not (503).
    """
    source = Source(store, name)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        source.close()

    async def static(request: Request) -> Response:
        # In no thread: those may all be waiting for the store.
        return static_response(request.url.path.rpartition("/")[2])

    routes = [Route(f"/static/{each}", static, methods=["GET"]) for each in STATIC]
    for page in PAGES:
        routes += _routes(page, source, timeout)

    def no_page(request: Request, error: Exception) -> Response:
        return _no_page(request, error, source)

    return Starlette(
        routes=routes,
        middleware=[Middleware(Guard, hosts=allowed_hosts)],
        exception_handlers={HTTPException: no_page},
        lifespan=lifespan,
    )


def _routes(page: Page, source: Source, timeout: float) -> list[Route]:
    """A page and its other forms."""

    def html(request: Request) -> Response:
        view = _view(request, source)
        return as_html(view, page.show(view), page.place)

    def json(request: Request) -> Response:
        return as_json(page.show(_view(request, source)))

    def csv(request: Request) -> Response:
        assert page.rows is not None
        return as_csv(page.rows(_view(request, source)), _file_name(request))

    def drawing(request: Request) -> Response:
        assert page.drawing is not None
        form = request.url.path.rpartition(".")[2]
        drawn = page.drawing(_view(request, source), form)
        return _as_drawing(drawn, form, _file_name(request))

    def route(path: str, form: str, answer: Callable[[Request], Response]) -> Route:
        async def respond(request: Request) -> Response:
            return await _in_time(request, source, form, answer, timeout)

        return Route(path, respond, methods=["GET"])

    base = page.path if page.path != "/" else "/index"
    routes = [route(page.path, "", html), route(f"{base}.json", "json", json)]
    if page.rows is not None:
        routes.append(route(f"{base}.csv", "csv", csv))
    if page.drawing is not None:
        routes += [route(f"{base}.{each}", each, drawing) for each in _DRAWINGS]
    # The others first: a path parameter takes what has a dot, too.
    return routes[::-1]


async def _in_time(
    request: Request,
    source: Source,
    form: str,
    answer: Callable[[Request], Response],
    timeout: float,
) -> Response:
    """What a thread answers; an error where that takes too long.

    Flavors try for minutes to reach a server that is gone, which is right for who writes; who looks
    at a page wants to be told.  The thread goes on until its flavor gives up.
    """
    with anyio.move_on_after(timeout):
        return await anyio.to_thread.run_sync(
            lambda: _caught(request, source, form, lambda: answer(request)),
            abandon_on_cancel=True,
        )
    error = StorageError(
        f"the store has not answered within {timeout:g} seconds",
        hint="it is asked again when you load this page again; what takes longer needs a larger "
        "--timeout (create_app(timeout=...))",
    )
    status, advice = _said(error, source)
    _log.warning("%s: %s", type(error).__name__, error)
    return as_error(_view(request, source), status, form, error, advice)


_DRAWINGS = {"svg": "image/svg+xml", "dot": "text/vnd.graphviz", "mmd": "text/plain"}


def _as_drawing(text: str, form: str, name: str) -> Response:
    return Response(
        text.encode("utf-8", "replace"),
        media_type=f"{_DRAWINGS[form]}; charset=utf-8",
        headers={"content-disposition": f'attachment; filename="{name}.{form}"'},
    )


def _file_name(request: Request) -> str:
    """What a download is called: ``lineage-3``."""
    parts = _path(request).strip("/").rpartition(".")[0].split("/")
    return "-".join("".join(c for c in each if c.isalnum()) for each in parts) or "metastore"


def _path(request: Request) -> str:
    """The path below wherever the application is mounted."""
    path: str = request.scope["path"]
    root: str = request.scope.get("root_path", "").rstrip("/")
    inside = path[len(root) :] if root and path.startswith(f"{root}/") else path
    return inside or "/"


def _view(request: Request, source: Source) -> View:
    path = _path(request)
    head, slash, last = path.rpartition("/")
    stem, dot, form = last.rpartition(".")
    if dot and form in ("json", "csv", *_DRAWINGS):
        last = "" if stem == "index" else stem
    return View(request, source, head + slash + last)


def _caught(
    request: Request, source: Source, form: str, answer: Callable[[], Response]
) -> Response:
    try:
        return answer()
    except MetastoreError as error:
        status, advice = _said(error, source)
        if status >= 500:
            _log.warning("%s: %s", type(error).__name__, error)
        return as_error(_view(request, source), status, form, error, advice)
    except Exception as error:  # noqa: BLE001 - a bug, of ours or of a flavor, is a page too
        _log.error("a page failed", exc_info=error)
        shown = MetastoreError(f"a {type(error).__name__} that nobody foresaw, which is a bug")
        advice = "The log of 'metastore ui' has its traceback; please report it."
        return as_error(_view(request, source), 500, form, shown, advice)


def _said(error: MetastoreError, source: Source) -> tuple[int, str]:
    """The status of an error, and what to do next, where the error does not know."""
    where = source.name or source.location or "STORE"
    match error:
        case OpenError():
            return 503, "The store cannot be opened. When that is mended, load this page again."
        case NotFoundError():
            return 404, "It may have been deleted, or be in another store."
        case InvalidError():
            return 400, "Correct the address of the page, or go back."
        case BusyError():
            return 503, "Others keep the store locked. Load this page again in a moment."
        case ClosedError():
            return 503, "The store was closed. Start the pages again: metastore ui"
        case CapabilityError():
            return 501, "Stores of this flavor cannot be asked that."
        case StorageError():
            return 503, (
                "The store did not answer. Is its server, or its file, still there? "
                f"'metastore store status {where}' tells; then load this page again."
            )
        case _:
            return 500, f"'metastore verify {where}' says what is wrong in the store."


def _no_page(request: Request, error: Exception, source: Source) -> Response:
    assert isinstance(error, HTTPException)
    form = "json" if request.url.path.endswith(".json") else ""
    shown = NotFoundError("there is no such page")
    return as_error(
        _view(request, source), error.status_code, form, shown, "Its address may be wrong."
    )
