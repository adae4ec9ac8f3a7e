"""What goes wrong is a page that says so."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

import metastore
from metastore import (
    BusyError,
    CapabilityError,
    ClosedError,
    MemoryMetadataStore,
    MetastoreError,
    NodeQuery,
    OpenError,
    SchemaVersionError,
    StorageError,
    Store,
    StoreNotFoundError,
)
from metastore.model import AnyNode
from metastore.ui import create_app

from .client import Client
from .generated import fill

PATHS = ("/", "/runs", "/runs/1", "/artifacts", "/executions/1", "/lineage/1", "/compare?run=1")


class Failing(MemoryMetadataStore):
    """One whose reads fail."""

    error: Exception = StorageError("the disk is gone")

    def read_nodes(self, _: NodeQuery) -> list[AnyNode]:
        """Fail."""
        raise self.error

    def find_nodes(self, _: NodeQuery) -> list[AnyNode]:
        """Fail."""
        raise self.error


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (StorageError("the disk is gone"), 503, "metastore store status"),
        (BusyError("others kept it locked"), 503, "again in a moment"),
        (ClosedError("the store was closed"), 503, "metastore ui"),
        (CapabilityError("it cannot"), 501, "flavor"),
        (MetastoreError("it is odd"), 500, "metastore verify"),
        (ZeroDivisionError("secret text"), 500, "a bug"),
    ],
)
@pytest.mark.parametrize("path", PATHS)
def test_a_store_that_fails(
    path: str, error: Exception, status: int, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Each failure has its status, says what to do next, in each form, and shows no traceback."""
    backend = Failing()
    backend.error = error
    client = Client(Store(backend))
    with caplog.at_level(logging.CRITICAL, "metastore.ui"):
        page = client.page(path, status)
        head, question, query = path.partition("?")
        data = client.json(f"{head if head != '/' else '/index'}.json{question}{query}", status)
    assert said in page.text
    assert "Traceback" not in page.text
    assert "secret text" not in page.text
    assert data["error"]["message"]
    assert (client.ask(path).headers.get("retry-after") == "5") == (status == 503)


def test_a_bug_is_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """Where the page has no traceback, the log of the server has it."""
    backend = Failing()
    backend.error = ZeroDivisionError("a bug")
    Client(Store(backend)).page("/runs", 500)
    assert any(each.exc_info for each in caplog.records)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (StoreNotFoundError("there is no store at x", hint="make one"), "Make one."),
        (OpenError("the server does not answer"), "load this page again"),
        (
            SchemaVersionError("it is of schema 7", hint="run: metastore upgrade mysql://x"),
            "metastore upgrade mysql://x",
        ),
    ],
)
def test_a_store_that_cannot_be_opened(error: MetastoreError, said: str) -> None:
    """It is said, with what to do, and tried again when the page is asked for again."""
    errors: list[MetastoreError] = [error]

    def opened() -> Store:
        if errors:
            raise errors.pop()
        return Store(MemoryMetadataStore())

    client = Client(opened)
    page = client.page("/", 503)
    assert said in page.text
    assert "nothing is recorded" in client.page("/").text.lower()


def test_a_store_that_is_opened_when_needed_is_opened_once() -> None:
    """Requests that come together share one store."""
    opened: list[Store] = []

    def opening() -> Store:
        opened.append(Store(MemoryMetadataStore()))
        return opened[-1]

    client = Client(opening)
    assert not opened
    with ThreadPoolExecutor(8) as threads:
        assert {each.status_code for each in threads.map(client.ask, ["/runs"] * 30)} == {200}
    assert len(opened) == 1


def test_a_store_that_goes_away(tmp_path: Path) -> None:
    """A closed store, or a file that is no database any more, is a page, not a crash."""
    path = tmp_path / "store.db"
    with metastore.connect(f"sqlite:///{path}") as store:
        fill(store, 3)
    with metastore.connect(f"sqlite:///{path}", mode="r") as store:
        client = Client(store)
        client.page("/runs")
    assert "was closed" in client.page("/runs", 503).text


def test_a_file_that_is_overwritten(tmp_path: Path) -> None:
    """Pages of a file that somebody destroys while it is open are errors that say so."""
    path = tmp_path / "store.db"
    with metastore.connect(f"sqlite:///{path}") as store:
        fill(store, 30)
    with closing(sqlite3.connect(path)) as file:
        file.execute("PRAGMA journal_mode = DELETE")
    with metastore.connect(f"sqlite:///{path}", mode="r") as store:
        client = Client(store)
        with path.open("r+b") as file:
            file.seek(0)
            file.write(os.urandom(path.stat().st_size))
        answer = client.ask("/runs")
        assert answer.status_code in (500, 503)
        assert "Traceback" not in client.page("/runs", answer.status_code).text


def test_a_store_of_an_older_schema(tmp_path: Path) -> None:
    """Its pages say that it is old, that a copy is read, and what brings it up to date."""
    folder = os.environ.get("METASTORE_TEST_STORES")
    if not folder:
        pytest.skip("METASTORE_TEST_STORES names no folder with old stores")
    path = tmp_path / "old.sqlite"
    shutil.copyfile(Path(folder) / "sepsis.sqlite", path)
    with metastore.connect(f"sqlite:///{path}", mode="r") as store:
        client = Client(store)
        for each in ("/", "/runs", "/artifacts/1"):
            text = client.page(each).text
            assert "of schema 8" in text
            assert f"metastore upgrade sqlite:///{path}" in text
        assert "schema 8" in client.json("/index.json")["notice"]


def test_a_store_that_is_locked(tmp_path: Path) -> None:
    """While another program writes to it for long, the page says so, and works afterwards."""
    path = tmp_path / "store.db"
    with metastore.connect(f"sqlite:///{path}") as store:
        fill(store, 3)
    with closing(sqlite3.connect(path)) as file:
        file.execute("PRAGMA journal_mode = DELETE")
    with metastore.connect(f"sqlite:///{path}?busy_timeout=0.2", mode="r") as store:
        client = Client(store)
        with closing(sqlite3.connect(path)) as other:
            other.execute("BEGIN EXCLUSIVE")
            assert "keep the store locked" in client.page("/runs", 503).text
            other.rollback()
        client.page("/runs")


def test_many_ask_at_once(runs: Client) -> None:
    """Threads share the store: what each is answered is what it is answered alone."""
    paths = ["/", "/runs", "/runs/9", "/artifacts", "/lineage/40", "/pipelines", "/executions/9"]
    alone = {path: runs.ask(path).text for path in paths}
    with ThreadPoolExecutor(8) as threads:
        for path, answer in zip(paths * 6, threads.map(runs.ask, paths * 6), strict=True):
            assert answer.text == alone[path], path


_WRITER = """
import sys, metastore
with metastore.connect(sys.argv[1]) as store:
    for number in range(int(sys.argv[3])):
        with store.run(f"pipeline-{sys.argv[2]}", parameters={"n": number}) as run:
            with run.step("one") as step:
                made = step.output("out", type="T", uri=f"u{number}")
            with run.step("two") as step:
                step.input("in", made)
"""


@pytest.mark.parametrize("journal", ["WAL", "DELETE"])
def test_pages_while_others_write(journal: str, tmp_path: Path) -> None:
    """While four processes write to the file, eight who look see whole pages and no error."""
    path = tmp_path / "store.db"
    url = f"sqlite:///{path}"
    with metastore.connect(url) as store:
        fill(store, 20)
    with closing(sqlite3.connect(path)) as file:
        file.execute(f"PRAGMA journal_mode = {journal}")
    writers = [
        subprocess.Popen([sys.executable, "-c", _WRITER, url, str(number), "8"])
        for number in range(4)
    ]
    try:
        with metastore.connect(url, mode="r") as store:
            client = Client(store, timeout=300)
            paths = [
                "/",
                "/runs",
                "/runs/9",
                "/pipelines",
                "/artifacts",
                "/executions?sort=changed",
            ]
            paths += ["/runs?state=FAILED", "/contexts", "/lineage/9", "/runs.json", "/runs.csv"]

            def look(number: int) -> list[tuple[str, int]]:
                seen = []
                while True:
                    ended = all(each.poll() is not None for each in writers)
                    for at in range(len(paths)):
                        each = paths[(at + number) % len(paths)]
                        seen.append((each, client.ask(each).status_code))
                    if ended:
                        # Once more after the last write.
                        return seen

            with ThreadPoolExecutor(8) as threads:
                seen = [each for found in threads.map(look, range(8)) for each in found]
            assert {each for each in seen if each[1] != 200} == set()
            assert [each.wait(60) for each in writers] == [0, 0, 0, 0]
            assert client.json("/index.json")["counts"]["runs"] == 20 + 4 * 8
    finally:
        for each in writers:
            each.kill()
            each.wait()


@pytest.mark.parametrize("journal", ["WAL", "DELETE"])
def test_a_file_that_is_removed(journal: str, tmp_path: Path) -> None:
    """Its pages say that it is gone, and are there again when it is."""
    path, away = tmp_path / "store.db", tmp_path / "away.db"
    with metastore.connect(f"sqlite:///{path}") as store:
        fill(store, 3)
    with closing(sqlite3.connect(path)) as file:
        file.execute(f"PRAGMA journal_mode = {journal}")
    with metastore.connect(f"sqlite:///{path}", mode="r") as store:
        client = Client(store)
        client.page("/runs")
        path.rename(away)
        page = client.page("/runs", 503)
        assert "store.db" in page.text
        assert not path.exists()
        away.rename(path)
        client.page("/runs")


def test_a_slow_page_holds_up_no_other() -> None:
    """While one request waits for the store, another one is answered."""
    waiting, going_on = threading.Event(), threading.Event()

    class Slow(MemoryMetadataStore):
        def read_types(self, query: Any) -> Any:
            waiting.set()
            assert going_on.wait(60)
            return super().read_types(query)

    async def both() -> tuple[int, int]:
        transport = httpx.ASGITransport(app=create_app(Store(Slow())))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            slow = asyncio.ensure_future(client.get("/types"))
            while not waiting.is_set():
                await asyncio.sleep(0)
            quick = await client.get("/static/style.css")
            going_on.set()
            return quick.status_code, (await slow).status_code

    assert asyncio.run(both()) == (200, 200)


def test_a_store_that_does_not_answer() -> None:
    """Whoever looks is told after a while, in each form, and of styles at once; then it goes on."""
    going_on = threading.Event()

    class Slow(MemoryMetadataStore):
        def read_types(self, query: Any) -> Any:
            assert going_on.wait(60)
            return super().read_types(query)

    client = Client(Store(Slow()), timeout=0.1)
    for _ in range(30):
        # None of those that wait is waited for.
        page = client.page("/types", 503)
        assert "has not answered within 0.1 seconds" in page.text
        assert "metastore store status" in page.text
    assert client.json("/types.json", 503)["error"]["kind"] == "StorageError"
    assert client.ask("/types.csv").status_code == 503
    assert client.ask("/static/style.css").status_code == 200
    going_on.set()
    client = Client(Store(Slow()), timeout=60)
    client.page("/types")
