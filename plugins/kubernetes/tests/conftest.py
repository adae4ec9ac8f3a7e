"""For all tests: a cluster, a MariaDB behind its pods, and nobody's own settings in reach.

On a stand-in API server always, and on a real one where ``METASTORE_TEST_KUBECONFIG`` names it
(core/kube_tests/worlds.py).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

# The tests of the toolkit know how a cluster is stood in for, those of the mysql flavor its server.
sys.path.insert(0, str(Path(__file__).parents[3]))

from core.kube_tests.worlds import StandInWorld, World, real_world
from plugins.mysql.tests import servers
from plugins.mysql.tests.servers import Server

from metastore_flavor_kubernetes import KubernetesConfig, KubernetesMetadataStore
from metastore_flavor_kubernetes._rights import role

from .controllers import Controllers

NAME = "db"


@pytest.fixture(autouse=True)
def _nobodys_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        ours = name.startswith("METASTORE_") and not name.startswith("METASTORE_TEST_")
        if ours or name.startswith("KUBE") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("METASTORE_CONFIG", str(tmp_path / "config.toml"))


@pytest.fixture(scope="session")
def mariadb() -> Iterator[Server]:
    """A MariaDB server of this test process's own."""
    with servers.mariadb() as server:
        yield server


@pytest.fixture
def standin(tmp_path: Path) -> Iterator[StandInWorld]:
    """The stand-in, for what only it can do."""
    made = StandInWorld(tmp_path)
    yield made
    made.server.close()


@pytest.fixture(params=["standin", "real"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> World:
    """A cluster."""
    if request.param == "standin":
        found: World = request.getfixturevalue("standin")
        return found
    return real_world(tmp_path)


@pytest.fixture
def namespace(world: World) -> str:
    """A namespace, in which the user may what the page's Role says, for the store ``db``."""
    return world.make_namespace(role(KubernetesConfig(name=NAME)))


@pytest.fixture
def config(world: World, namespace: str) -> Callable[..., KubernetesConfig]:
    """The config of the store ``db``, for the user with that Role."""

    def made(**fields: Any) -> KubernetesConfig:
        given = {
            "kubeconfig": world.kubeconfig(),
            "namespace": namespace,
            "name": NAME,
            "start_timeout": 60.0,
            "connect_timeout": 20.0,
            "busy_timeout": 20.0,
        }
        return KubernetesConfig(**{**given, **fields})

    return made


@pytest.fixture
def controllers(world: World, namespace: str, mariadb: Server) -> Iterator[Controllers]:
    """What else a cluster has, at work."""
    with Controllers(world, namespace, lambda _: mariadb) as made:
        yield made


@pytest.fixture
def open_store(config: Callable[..., KubernetesConfig]) -> Iterator[Any]:
    """Open the store; it ends with the test."""
    with ExitStack() as stack:

        def opened(mode: Any = "rw", **fields: Any) -> KubernetesMetadataStore:
            store = KubernetesMetadataStore.open(config(**fields), mode=mode)
            stack.callback(store.close)
            return store

        yield opened
