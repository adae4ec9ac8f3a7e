"""Pages below another application, and behind proxies."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from metastore import ClosedError, MemoryMetadataStore, Store
from metastore.ui import create_app
from metastore.ui._links import Links

from .client import Client
from .generated import fill


@pytest.mark.parametrize("base", ["/metadata", "/a/b/c", "/with%20blank"])
def test_below_another_application(base: str, store: Store) -> None:
    """Mounted anywhere, pages lead to one another and to nothing outside."""
    fill(store, 4)
    app = Starlette(routes=[Mount(base.replace("%20", " "), create_app(store))])
    client = Client(store, app=app, base=base)
    answers = dict(client.walk(120))
    assert {each.status_code for each in answers.values()} == {200}
    assert len(answers) == 120


class Stripping:
    """A proxy that takes its prefix off, and may or may not say so: Jupyter's says nothing."""

    def __init__(self, app: Any, prefix: str, root_path: str) -> None:
        self.app, self.prefix, self.root_path = app, prefix, root_path

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Hand on."""
        path = scope["path"].removeprefix(self.prefix) or "/"
        await self.app({**scope, "path": path, "root_path": self.root_path}, receive, send)


def test_behind_a_proxy_that_says_nothing(store: Store) -> None:
    """Links are relative, and so hold where nobody knows what the browser asked for."""
    fill(store, 4)
    app = Stripping(create_app(store), "/user/ada/proxy/8420", "")
    client = Client(store, app=app, base="/user/ada/proxy/8420")
    answers = dict(client.walk(120))
    assert {each.status_code for each in answers.values()} == {200}


def test_with_a_root_path(store: Store) -> None:
    """A server that is told its prefix, and gets it with every path, serves the same."""
    fill(store, 4)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await create_app(store)({**scope, "root_path": "/prefix"}, receive, send)

    client = Client(store, app=app, base="/prefix")
    assert {each.status_code for each in dict(client.walk(40)).values()} == {200}


def test_what_was_given_stays_open(store: Store) -> None:
    """The end of the application closes a store that it opened, and no other."""
    opened: list[Store] = []

    def opening() -> Store:
        opened.append(Store(MemoryMetadataStore()))
        return opened[-1]

    async def live(app: Any) -> None:
        async with app.router.lifespan_context(app):
            pass

    given = Client(store)
    given.ask("/runs")
    asyncio.run(live(given.app))
    assert len(store.runs()) == 0
    own = Client(opening)
    own.ask("/runs")
    asyncio.run(live(own.app))
    with pytest.raises(ClosedError):
        len(opened[0].runs())


@pytest.mark.parametrize(
    ("path", "link", "expected"),
    [
        ("/", ("runs", 3), "runs/3"),
        ("/", (), "./"),
        ("/runs", ("runs", 3), "runs/3"),
        ("/runs/3", ("artifacts",), "../artifacts"),
        ("/types/artifact/3", (), "../../"),
        ("/runs/3", ("a/b?c#d",), "../a%2Fb%3Fc%23d"),
    ],
)
def test_links_are_relative(path: str, link: Any, expected: str) -> None:
    """From any page to any other, whatever the names hold."""
    assert Links(path)(*link) == expected


def test_links_keep_what_the_address_says() -> None:
    """A change of one thing keeps the others; what is empty goes; other forms are beside it."""
    here = Links("/runs", {"where": ["a = 'b&c'"], "page": ["x"], "run": ["1", "2"]})
    assert here.here(page=None) == "runs?where=a+%3D+%27b%26c%27&run=1&run=2"
    assert here.here(form="json", page="y", where="") == "runs.json?page=y&run=1&run=2"
    assert Links("/").here(form="csv") == "index.csv"
    assert Links("/runs/3")("runs", where="\ud800") == "../runs?where=%3F"


def test_nothing_of_it_is_imported_unasked() -> None:
    """The command and the root know nothing of the web until the web is asked for."""
    code = (
        "import sys, metastore, metastore.cli, metastore.cli.ui, metastore.store\n"
        "print([each for each in ('starlette', 'jinja2', 'uvicorn') if each in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"
