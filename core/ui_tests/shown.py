"""Pages in a real browser, without a window."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import uvicorn

from metastore import Store
from metastore.ui import create_app

from .install import browser

__all__ = ["Watched", "browsing", "served"]


@contextmanager
def served(store: Store, *, name: str | None = None) -> Iterator[str]:
    """The address of its pages, served by a thread."""
    config = uvicorn.Config(create_app(store, name=name), port=0, log_level="critical", ws="none")
    server = uvicorn.Server(config)
    started = threading.Event()
    startup = server.startup

    async def noted(sockets: Any = None) -> None:
        await startup(sockets)
        started.set()

    server.startup = noted  # type: ignore[method-assign]  # it has no other way to tell
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    assert started.wait(60)
    try:
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(60)


@contextmanager
def browsing() -> Iterator[Any]:
    """A browser."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # Root, as containers are, has no sandbox.
        started = playwright.chromium.launch(executable_path=browser(), args=["--no-sandbox"])
        try:
            yield started
        finally:
            started.close()


class Watched:
    """A tab, and what it complains of or asks of others."""

    def __init__(self, browser: Any, address: str, **options: Any) -> None:
        self._address = address
        self._context = browser.new_context(**options)
        self.tab = self._context.new_page()
        self.faults: list[str] = []
        self.tab.on("console", self._told)
        self.tab.on("pageerror", lambda error: self.faults.append(f"script: {error}"))
        self.tab.on("request", self._asked)
        self.tab.on("dialog", self._spoken)

    def _told(self, message: Any) -> None:
        # An error page is one, as far as the browser goes; its status is looked at elsewhere.
        is_status = "the server responded with a status of" in message.text
        if message.type in ("error", "warning") and not is_status:
            self.faults.append(f"console: {message.text}")

    def _asked(self, request: Any) -> None:
        if not request.url.startswith(f"{self._address}/"):
            self.faults.append(f"it asks for {request.url}")

    def _spoken(self, dialog: Any) -> None:
        self.faults.append(f"a dialog: {dialog.message}")
        dialog.dismiss()

    def go(self, path: str) -> Any:
        """The answer, once the tab is at that page."""
        return self.tab.goto(self._address + path, wait_until="load")

    def open(self, path: str) -> Any:
        """The tab, at that page."""
        self.go(path)
        return self.tab

    def ask(self, path: str, *, most: int) -> tuple[int, int]:
        """The status of a file, and how many bytes it has, where those are fewer than `most`."""
        size = 0
        with httpx.stream("GET", self._address + path, timeout=120) as answer:
            for each in answer.iter_bytes():
                size += len(each)
                if size >= most:
                    # A list of a large store is read as it is sent: nobody waits for all of it.
                    break
        return answer.status_code, size

    def close(self) -> None:
        """Close the tab."""
        self._context.close()
