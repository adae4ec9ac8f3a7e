"""For all tests: a cluster, nobody's own settings in reach, and no thread that fails unseen."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from metastore.kube import Cluster, PortForward

from .backends import Backend, echo, eventually
from .worlds import StandInWorld, World, real_world

_OURS = ("KUBECONFIG", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT")


@pytest.fixture(autouse=True)
def _nobodys_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        unwanted = name.startswith("METASTORE_") and not name.startswith("METASTORE_TEST_")
        if unwanted or name in _OURS or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


@pytest.fixture(autouse=True)
def _no_thread_fails(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Iterator[None]:
    """No thread ends with an error, none is left, and nothing is printed to stderr."""
    failed: list[threading.ExceptHookArgs] = []
    monkeypatch.setattr(threading, "excepthook", failed.append)
    yield
    eventually(lambda: not any("metastore" in each.name for each in threading.enumerate()))
    assert not failed
    assert capfd.readouterr().err == ""


@pytest.fixture
def standin(tmp_path: Path) -> Iterator[StandInWorld]:
    """The stand-in, for what only it can do."""
    world = StandInWorld(tmp_path)
    yield world
    world.server.close()


@pytest.fixture(params=["standin", "real"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> World:
    """A cluster."""
    if request.param == "standin":
        found: World = request.getfixturevalue("standin")
        return found
    return real_world(tmp_path)


@pytest.fixture
def namespace(world: World) -> str:
    """A namespace with the service ``db``, in which the user may forward ports."""
    name = world.make_namespace()
    world.make_service(name, "db")
    return name


@pytest.fixture
def backend() -> Iterator[Backend]:
    """A server that speaks first and gives back what it gets."""
    made = echo()
    yield made
    made.close()


@pytest.fixture
def pod(world: World, namespace: str, backend: Backend) -> str:
    """A pod of the service, with the server in it."""
    world.make_pod(namespace, "db-0", {"app": "db"})
    world.lead(namespace, "db-0", backend.port)
    return "db-0"


@pytest.fixture
def cluster(world: World, namespace: str) -> Cluster:
    """The cluster, for the user who may forward ports."""
    return Cluster.load(world.config(namespace=namespace))


@pytest.fixture
def forward(cluster: Cluster) -> Iterator[Callable[..., PortForward]]:
    """Makes port-forwards to the service, which end with the test."""
    made: list[PortForward] = []

    def make(cluster: Cluster = cluster, **options: object) -> PortForward:
        chosen = {"service": "db", "port": 3306, **options}
        made.append(PortForward(cluster, **chosen))  # type: ignore[arg-type]  # of all kinds
        return made[-1]

    yield make
    for each in made:
        each.close()
