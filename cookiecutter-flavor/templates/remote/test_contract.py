"""The flavor, held to the contract; and what is its own."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from pathlib import Path

import metastore
import pytest
from metastore import Secret
from metastore.testing import StoreContract

from {{cookiecutter.__package}}.config import {{cookiecutter.__class}}Config
from {{cookiecutter.__package}}.store import {{cookiecutter.__class}}MetadataStore

_numbers = count()


class Test{{cookiecutter.__class}}(StoreContract):
    """The whole contract."""

    @pytest.fixture
    def make_store(
        self,
        service: {{cookiecutter.__class}}Config,
    ) -> Callable[[], metastore.BaseMetadataStore]:
        """A new, empty store a call."""

        def make() -> metastore.BaseMetadataStore:
            config = service.model_copy(update={"store": f"test-{next(_numbers)}"})
            return {{cookiecutter.__class}}MetadataStore.open(config)

        return make


@pytest.fixture
def url(service: {{cookiecutter.__class}}Config, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of a store that is not there yet; its token is in the environment."""
    monkeypatch.setenv("THE_TOKEN", service.token.reveal())
    where = f"{service.host}:{service.port}/test-{next(_numbers)}"
    return f"{{cookiecutter.name}}://{where}?token=env:THE_TOKEN"


def test_a_store_is_opened_by_its_url(url: str) -> None:
    """What is recorded under a URL is read under it."""
    with metastore.connect(url) as store, store.run("train", name="first"):
        pass
    with metastore.connect(url, mode="r") as store:
        assert [run.name for run in store.runs()] == ["first"]


@pytest.mark.parametrize("url", ["a:b:c/x", "user@host/x", "host:1/x?port=2", "host/a/b", "/?x=1"])
def test_a_url_that_says_it_otherwise_is_refused(url: str) -> None:
    """A URL in another form is InvalidError."""
    with pytest.raises(metastore.InvalidError):
        metastore.connect(f"{{cookiecutter.name}}://{url}")


def test_a_service_that_is_away_is_an_error(port: int) -> None:
    """Where nobody answers, opening is OpenError, and says so."""
    config = {{cookiecutter.__class}}Config(port=port, token=Secret("a token"))
    with pytest.raises(metastore.OpenError, match="did not do it"):
        {{cookiecutter.__class}}MetadataStore.open(config)


def test_the_service_is_brought_up_and_down(tmp_path: Path, port: int) -> None:
    """Up is idempotent, down keeps the data, and what was written is there when it is up again."""
    config = {{cookiecutter.__class}}Config(
        port=port,
        token=Secret("a long token"),
        folder=tmp_path / "data",
    )
    cls = {{cookiecutter.__class}}MetadataStore
    assert not cls.is_provisioned(config)
    try:
        for _ in range(2):
            cls.provision(config)
            assert cls.is_running(config)
        store = metastore.Store(cls.open(config))
        with store, store.run("train", name="first"):
            pass
        cls.deprovision(config)
        assert not cls.is_running(config)
        assert cls.is_provisioned(config)
        cls.resume(config)
        with metastore.Store(cls.open(config, mode="r")) as store:
            assert store.find_run("first")
        cls.deprovision(config, delete_data=True)
        cls.provision(config)
        with pytest.raises(metastore.StoreNotFoundError):
            cls.open(config, create=False)
    finally:
        cls.deprovision(config)


def test_a_service_cannot_be_brought_up_without_a_folder(port: int) -> None:
    """Without a folder for its data, the service is not started, and the error says why."""
    config = {{cookiecutter.__class}}Config(port=port, token=Secret("a long token"))
    with pytest.raises(metastore.InvalidError, match="folder"):
        {{cookiecutter.__class}}MetadataStore.provision(config)


def test_an_answer_that_is_lost_does_not_double_the_batch(
    service: {{cookiecutter.__class}}Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch that was kept, and whose answer was lost, is found by its token."""
    config = service.model_copy(update={"store": f"test-{next(_numbers)}"})
    opened = {{cookiecutter.__class}}MetadataStore.open(config)
    call = opened._service.call

    def lossy(method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        answer = call(method, path, body)
        if method == "POST":
            raise metastore.StorageError("the answer was lost")
        return answer

    monkeypatch.setattr(opened._service, "call", lossy)
    with metastore.Store(opened) as store:
        with store.run("train", name="first"):
            pass
        assert [run.name for run in store.runs()] == ["first"]
