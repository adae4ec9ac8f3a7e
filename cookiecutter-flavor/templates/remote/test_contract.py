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
from {{cookiecutter.__package}}.store import (
    {{cookiecutter.__class}}MetadataStore,
    _LostAnswerError,
)

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
            raise _LostAnswerError("the answer was lost")
        return answer

    monkeypatch.setattr(opened._service, "call", lossy)
    with metastore.Store(opened) as store:
        with store.run("train", name="first"):
            pass
        assert [run.name for run in store.runs()] == ["first"]


def test_an_answer_that_does_not_come_is_no_failure(
    service: {{cookiecutter.__class}}Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch that may be on its way still is OutcomeUnknownError: nobody writes it twice."""
    config = service.model_copy(update={"store": f"test-{next(_numbers)}"})
    opened = {{cookiecutter.__class}}MetadataStore.open(config)
    call = opened._service.call

    def slow(method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        if method == "POST":
            raise _LostAnswerError("the answer did not come in time")
        return call(method, path, body)

    monkeypatch.setattr(opened._service, "call", slow)
    batch = metastore.Batch()
    batch.type(metastore.NodeKind.ARTIFACT, "T")
    with metastore.Store(opened) as store, pytest.raises(metastore.OutcomeUnknownError):
        store.write(batch)


def test_two_services_on_one_folder_are_refused(
    service: {{cookiecutter.__class}}Config,
    port: int,
) -> None:
    """The second service on a folder does not come up, and the first one goes on."""
    with pytest.raises(metastore.StorageError, match="come up"):
        {{cookiecutter.__class}}MetadataStore.provision(service.model_copy(update={"port": port}))
    assert {{cookiecutter.__class}}MetadataStore.is_running(service)


@pytest.mark.parametrize("token", ["a token of\ntwo lines", "ein Schlüssel", " padded token "])
def test_a_token_that_cannot_be_sent_is_refused(
    service: {{cookiecutter.__class}}Config,
    token: str,
) -> None:
    """A token that no header can hold is OpenError, and is not shown."""
    config = service.model_copy(update={"token": Secret(token)})
    with pytest.raises(metastore.OpenError, match="visible ASCII") as raised:
        {{cookiecutter.__class}}MetadataStore.open(config)
    assert token not in str(raised.value)


def test_a_short_token_is_refused(
    service: {{cookiecutter.__class}}Config,
    port: int,
) -> None:
    """A service does not come up with a token that can be guessed, and the error says why."""
    config = service.model_copy(update={"token": Secret("short"), "port": port})
    with pytest.raises(metastore.InvalidError, match="characters"):
        {{cookiecutter.__class}}MetadataStore.provision(config)
