"""The web page of a flavor's store, asked in this process; needs the extra ``ui``, and httpx."""

from __future__ import annotations

import asyncio
import re
from html import unescape
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from metastore.store import Store

if TYPE_CHECKING:
    import httpx

__all__ = ["PageClient", "record_two_runs", "walked_pages"]

MOST_PAGES = 80


class PageClient:
    """Asks for pages of a store; a page waits a minute for its flavor to answer."""

    def __init__(self, store: Store) -> None:
        from metastore.ui import create_app

        self._app = create_app(store, timeout=60)

    def get(self, path: str) -> httpx.Response:
        """What is answered."""
        import httpx

        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(app=self._app)
            async with httpx.AsyncClient(
                transport=transport, base_url="http://localhost"
            ) as client:
                return await client.get(path)

        return asyncio.run(send())


def record_two_runs(store: Store) -> None:
    """Record runs 2 and 3 of an empty store, the second of which reads a model and fails."""
    with store.run("train", parameters={"lr": 0.1}) as run, run.step("fit") as step:
        model = step.output("model", type="Model", uri="s3://bucket/model")
    try:
        with store.run("train") as run, run.step("check") as step:
            step.input("model", model)
            raise ArithmeticError("no")
    except ArithmeticError:
        pass


def walked_pages(client: PageClient) -> set[str]:
    """The paths of 80 pages, from the first one on to what they lead to; each answers with 200."""
    seen: set[str] = set()
    waiting = ["/", "/compare?run=2&run=3", "/runs?state=FAILED", "/runs?key=lr&op=ge&value=0.1"]
    while waiting and len(seen) < MOST_PAGES:
        path = waiting.pop(0)
        if path in seen:
            continue
        answer = client.get(path)
        seen.add(path)
        assert answer.status_code == 200, f"{path}: {answer.text}"
        if answer.headers["content-type"].startswith("text/html"):
            links = re.findall(r'href="([^"#]*)"', answer.text)
            urls = [urlsplit(urljoin(f"http://x{path}", unescape(each))) for each in links]
            waiting += [each.path + (f"?{each.query}" if each.query else "") for each in urls]
    for sort in ("/runs", "/pipelines", "/artifacts", "/executions", "/lineage", "/types"):
        assert any(path.startswith(f"{sort}/") for path in seen), f"no page of {sort} was met"
    return seen
