"""The web page of a metadata service that goes away and comes back."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("ml_metadata", reason="without ml-metadata nothing is served")
pytest.importorskip("starlette", reason="without the extra ui of metastore-core there are no pages")
pytest.importorskip("httpx", reason="without httpx nobody asks for pages")

import metastore
from metastore.testing.web_pages import PageClient, record_two_runs, walked_pages

from .served import serving


@pytest.mark.slow
def test_pages_of_a_service_that_goes_and_comes(tmp_path: Path) -> None:
    """Every page works; while the service is gone they say so (503), and afterwards work again."""
    url = f"sqlite:///{tmp_path / 'store.db'}"
    with serving(url, folder=tmp_path) as served:
        port = served.port
        with metastore.connect(f"kubeflow://{served.address}") as writing:
            record_two_runs(writing)
        store = metastore.connect(f"kubeflow://{served.address}?retry_timeout=1", mode="r")
        client = PageClient(store)
        walked_pages(client)
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
