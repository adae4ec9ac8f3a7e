"""Asks pages, in this process, without a network."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator
from html import unescape
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx

from metastore import Store
from metastore.ui import create_app

from .markup import Markup

__all__ = ["Client"]

HERE = "http://localhost"


class Client:
    """The pages of a store."""

    def __init__(
        self,
        store: Store | Callable[[], Store],
        *,
        app: Any = None,
        base: str = "",
        **options: Any,
    ) -> None:
        self.app = app or create_app(store, **options)
        self.base = base
        """The path that the pages are mounted at."""

    def ask(
        self, path: str, *, method: str = "GET", headers: dict[str, str] | None = None
    ) -> httpx.Response:
        """What is answered, whatever it is."""

        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(app=self.app)
            async with httpx.AsyncClient(transport=transport, base_url=HERE) as client:
                return await client.request(method, self.base + path, headers=headers)

        return asyncio.run(send())

    def page(self, path: str, status: int = 200) -> Markup:
        """A page that is fit to be seen."""
        answer = self.ask(path)
        assert answer.status_code == status, f"{path}: {answer.status_code}\n{answer.text}"
        markup = Markup(answer.text)
        assert not markup.faults, f"{path}: {markup.faults}"
        return markup

    def json(self, path: str, status: int = 200) -> Any:
        """The data of a page."""
        answer = self.ask(path)
        assert answer.status_code == status, f"{path}: {answer.status_code}\n{answer.text}"
        assert answer.headers["content-type"] == "application/json"
        return answer.json()

    def walk(self, most: int, start: str = "/") -> Iterator[tuple[str, httpx.Response]]:
        """Pages, and all that they lead to, each once; at most so many."""
        seen = {start}
        waiting = [start]
        while waiting and most:
            path = waiting.pop(0)
            answer = self.ask(path)
            most -= 1
            yield path, answer
            if not answer.headers["content-type"].startswith("text/html"):
                continue
            for each in re.findall(r'(?:href|src)="([^"]*)"', answer.text):
                link = urljoin(HERE + self.base + path, unescape(each))
                parts = urlsplit(link)
                assert f"{parts.scheme}://{parts.netloc}" == HERE, f"{path} leads to {link}"
                assert parts.path.startswith(self.base), f"{path} leads out, to {link}"
                found = parts.path[len(self.base) :] + (f"?{parts.query}" if parts.query else "")
                if found not in seen:
                    seen.add(found)
                    waiting.append(found)
