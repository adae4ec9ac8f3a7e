"""For all tests: the servers, and nobody's own stores and settings in reach.

A test whose server is not there fails; ``METASTORE_TEST_WITHOUT="mysql9 galera"`` is for those who
cannot have one, and the summary says what was left out.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from . import servers
from .certificates import Certificates
from .servers import Cluster, Server

_WITHOUT = frozenset(os.environ.get("METASTORE_TEST_WITHOUT", "").replace(",", " ").split())
_NAMES = ("mariadb", "tls", "galera", "mysql9")


@pytest.fixture(autouse=True, scope="session")
def _nobodys_settings(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Other processes that a test starts get the same environment."""
    for name in [name for name in os.environ if name.startswith("METASTORE_")]:
        if not name.startswith("METASTORE_TEST_"):
            del os.environ[name]
    config: Path = tmp_path_factory.mktemp("config") / "config.toml"
    os.environ["METASTORE_CONFIG"] = str(config)


def pytest_configure() -> None:
    """A name that is none would leave nothing out."""
    unknown = sorted(_WITHOUT - set(_NAMES))
    if unknown:
        raise pytest.UsageError(
            f"METASTORE_TEST_WITHOUT names {unknown[0]!r}; it knows {', '.join(_NAMES)}"
        )


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say what was not tested."""
    if _WITHOUT:
        left_out = ", ".join(sorted(_WITHOUT))
        terminalreporter.write_line(
            f"METASTORE_TEST_WITHOUT: nothing was tested on {left_out}", yellow=True
        )


def _skip_without(name: str) -> None:
    if name in _WITHOUT:
        pytest.skip(f"METASTORE_TEST_WITHOUT names {name}")


@contextmanager
def _server(name: str, start: Callable[[], AbstractContextManager[Any]]) -> Iterator[Any]:
    _skip_without(name)
    with start() as server:
        yield server


@pytest.fixture(scope="session")
def mariadb() -> Iterator[Server]:
    """A MariaDB server of this test process's own."""
    with _server("mariadb", servers.mariadb) as server:
        yield server


@pytest.fixture(scope="session")
def mysql9() -> Iterator[Server]:
    """A server of Oracle's MySQL of this test process's own."""
    with _server("mysql9", servers.mysql9) as server:
        yield server


@pytest.fixture(scope="session")
def galera() -> Iterator[Cluster]:
    """A Galera cluster of this test process's own."""
    with _server("galera", servers.galera) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """A CA, and what it signed, and another one."""
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def tls(certificates: Certificates) -> Iterator[Server]:
    """A MariaDB server with a certificate for ``localhost``."""
    with servers.temporary_folder("tls") as folder:
        options = certificates.server_options(folder)
        with _server("tls", lambda: servers.mariadb(*options)) as server:
            yield server


@pytest.fixture
def wants_mariadb() -> None:
    """For tests with a server of their own."""
    _skip_without("mariadb")


@pytest.fixture
def wants_galera() -> None:
    """For tests with a cluster of their own."""
    _skip_without("galera")
