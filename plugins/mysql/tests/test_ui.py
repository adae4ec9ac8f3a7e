"""The web page of a store on a server that goes away and comes back."""

from __future__ import annotations

import pytest

pytest.importorskip("starlette", reason="without the extra ui of metastore-core there are no pages")
pytest.importorskip("httpx", reason="without httpx nobody asks for pages")

import metastore
from metastore.testing.web_pages import PageClient, record_two_runs, walked_pages

from . import servers


@pytest.mark.slow
@pytest.mark.usefixtures("wants_mariadb")
def test_pages_of_a_server_that_goes_and_comes() -> None:
    """Every page works; while the server is gone they say so (503), and afterwards work again."""
    with servers.mariadb() as server:
        database = server.new_database()
        with metastore.connect(server.url(database)) as store:
            record_two_runs(store)
        with metastore.connect(f"{server.url(database)}?busy_timeout=1", mode="r") as store:
            client = PageClient(store)
            walked_pages(client)
            server.kill()
            for path in ("/", "/runs/2", "/artifacts/1", "/types"):
                answer = client.get(path)
                assert answer.status_code == 503, answer.text
                assert "metastore store status" in answer.text
                assert server.password not in answer.text
            assert client.get("/runs.json").json()["error"]["kind"]
            server.start()
            for path in ("/", "/runs/2", "/artifacts/1", "/types", "/runs.json"):
                assert client.get(path).status_code == 200
