"""A service for the tests, brought up as users bring it up."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Iterator

import pytest
from metastore import Secret

from {{cookiecutter.__package}}.config import {{cookiecutter.__class}}Config
from {{cookiecutter.__package}}.store import {{cookiecutter.__class}}MetadataStore


@pytest.fixture
def port() -> int:
    """A port that nobody listens on."""
    return _free_port()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="session")
def service(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[{{cookiecutter.__class}}Config]:
    """A service of this session's own, and how it is reached."""
    config = {{cookiecutter.__class}}Config(
        port=_free_port(),
        token=Secret(secrets.token_urlsafe()),
        folder=tmp_path_factory.mktemp("service"),
    )
    {{cookiecutter.__class}}MetadataStore.provision(config)
    yield config
    {{cookiecutter.__class}}MetadataStore.deprovision(config)
