"""The web page of a metadata service that goes away and comes back."""

from __future__ import annotations

import asyncio
import re
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import pytest

pytest.importorskip("ml_metadata", reason="without ml-metadata nothing is served")
pytest.importorskip("starlette", reason="without the extra ui of metastore-core there are no pages")
pytest.importorskip("httpx", reason="without httpx nobody asks for pages")

import httpx

import metastore
from metastore import Store
from metastore.ui import create_app

from .served import serving

_PAGES = 80


class Client:
    """Asks for pages, in this process."""

    def __init__(self, store: Store) -> None:
        self._app = create_app(store, timeout=60)

    def get(self, path: str) -> Any:
        """What is answered."""

        async def send() -> Any:
            transport = httpx.ASGITransport(app=self._app)
            async with httpx.AsyncClient(
                transport=transport, base_url="http://localhost"
            ) as client:
                return await client.get(path)

        return asyncio.run(send())


def record(store: Store) -> None:
    """Two runs, the second of which failed."""
    with store.run("train", parameters={"lr": 0.1}) as run, run.step("fit") as step:
        model = step.output("model", type="Model", uri="s3://bucket/model")
    with (
        pytest.raises(ValueError, match="no"),
        store.run("train") as run,
        run.step("check") as step,
    ):
        step.input("model", model)
        raise ValueError("no")


def walked(client: Client) -> dict[str, int]:
    """The status of pages, and of what they lead to, from the first one on."""
    seen: dict[str, int] = {}
    waiting = ["/", "/compare?run=2&run=3", "/runs?state=FAILED", "/runs?key=lr&op=ge&value=0.1"]
    while waiting and len(seen) < _PAGES:
        path = waiting.pop(0)
        if path in seen:
            continue
        answer = client.get(path)
        seen[path] = answer.status_code
        assert answer.status_code == 200, f"{path}: {answer.text}"
        if answer.headers["content-type"].startswith("text/html"):
            links = re.findall(r'href="([^"#]*)"', answer.text)
            urls = [urlsplit(urljoin(f"http://x{path}", unescape(each))) for each in links]
            waiting += [each.path + (f"?{each.query}" if each.query else "") for each in urls]
    return seen


@pytest.mark.slow
def test_pages_of_a_service_that_goes_and_comes(tmp_path: Path) -> None:
    """Every page works; while the service is gone they say so (503), and afterwards work again."""
    url = f"sqlite:///{tmp_path / 'store.db'}"
    with serving(url, folder=tmp_path) as served:
        port = served.port
        with metastore.connect(f"kubeflow://{served.address}") as writing:
            record(writing)
        store = metastore.connect(f"kubeflow://{served.address}?retry_timeout=1", mode="r")
        client = Client(store)
        seen = walked(client)
        assert len(seen) == _PAGES
        sorts = ("/runs", "/pipelines", "/artifacts", "/executions", "/lineage", "/types")
        for each in sorts:
            assert any(path.startswith(f"{each}/") for path in seen), each
    for path in ("/", "/runs/2", "/artifacts/1", "/types"):
        answer = client.get(path)
        assert answer.status_code == 503, answer.text
        assert "metastore store status" in answer.text
    assert client.get("/runs.json").json()["error"]["kind"]
    with serving(url, folder=tmp_path, port=port):
        # gRPC waits longer and longer between the times that it tries to connect.
        assert 200 in (client.get("/types").status_code for _ in range(120))
        for path in ("/", "/runs/2", "/artifacts/1", "/runs.json"):
            assert client.get(path).status_code == 200
    store.close()
