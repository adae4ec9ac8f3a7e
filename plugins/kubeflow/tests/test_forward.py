"""From outside a cluster: through a forwarded port to its metadata service.

On the stand-in API server of the toolkit's tests always, and on a real one where
``METASTORE_TEST_KUBECONFIG`` names it (core/kube_tests/worlds.py).
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ml_metadata.metadata_store", reason="the judge is not installed here")
pytest.importorskip("kubernetes", reason="the extra kube is not installed here")

# The tests of the toolkit know how a cluster is stood in for.
sys.path.insert(0, str(Path(__file__).parents[3]))

import trustme
from core.kube_tests.worlds import StandInWorld, World, real_world

from metastore import (
    Batch,
    ForkError,
    InvalidError,
    NodeKind,
    NodeQuery,
    OpenError,
    StorageError,
    StoreNotFoundError,
)
from metastore_flavor_kubeflow import KubeflowConfig, KubeflowMetadataStore

from .served import serving
from .services import calls_to, engine_service, our_service

SERVICE = "metadata-grpc-service"
Open = Callable[..., KubeflowMetadataStore]


@pytest.fixture(autouse=True)
def _nobodys_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.startswith(("KUBE", "METADATA_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


@pytest.fixture(params=["standin", "real"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    """A cluster."""
    if request.param == "real":
        yield real_world(tmp_path)
        return
    standin = StandInWorld(tmp_path)
    yield standin
    standin.server.close()


@pytest.fixture
def namespace(world: World) -> str:
    """A namespace with the service, as Kubeflow Pipelines makes it, and a pod of it."""
    name = world.make_namespace()
    port = {"name": "grpc-api", "port": 8080, "targetPort": 13306, "protocol": "TCP"}
    world.make_service(name, SERVICE, ports=[port])
    world.make_pod(name, "metadata-0", {"app": SERVICE})
    return name


@pytest.fixture
def open_store(world: World, namespace: str) -> Iterator[Open]:
    """Open the store in the cluster."""
    with ExitStack() as stack:

        def opened(**fields: Any) -> KubeflowMetadataStore:
            settings = {"kubeconfig": world.kubeconfig(), "namespace": namespace, **fields}
            config = KubeflowConfig(**settings)
            store = KubeflowMetadataStore.open(config)
            stack.callback(store.close)
            return store

        yield opened


def _put(store: KubeflowMetadataStore, name: str) -> int:
    batch = Batch()
    batch.type(NodeKind.CONTEXT, "T", can_omit_properties=True)
    made = batch.context("T", name=name)
    return store.write(batch)[made].id


def _names(store: KubeflowMetadataStore) -> list[str | None]:
    return [node.name for node in store.read_nodes(NodeQuery(NodeKind.CONTEXT))]


@pytest.mark.parametrize("service", [engine_service, our_service])
def test_reads_and_writes(
    world: World, namespace: str, open_store: Open, service: Callable[..., Any]
) -> None:
    """What is written through the port is read through it, and no port need be named."""
    with service() as port:
        world.lead(namespace, "metadata-0", port)
        store = open_store()
        assert _put(store, "one") == _put(store, "two") - 1
        assert _names(store) == ["one", "two"]
        assert store.location == f"kubeflow://?namespace={namespace}"


def test_the_pod_is_replaced(world: World, namespace: str, open_store: Open) -> None:
    """A store that is open goes on, with reads and writes, when its pod is another one."""
    with our_service() as port:
        world.lead(namespace, "metadata-0", port)
        store = open_store()
        _put(store, "before")
        world.delete_pod(namespace, "metadata-0")
        world.make_pod(namespace, "metadata-1", {"app": SERVICE})
        world.lead(namespace, "metadata-1", port)
        assert _names(store) == ["before"]
        world.cut()
        _put(store, "after")
        assert _names(store) == ["before", "after"]


def test_the_store_of_a_forked_child(world: World, namespace: str, open_store: Open) -> None:
    """A forked child is told to open the store again; its parent's port goes on."""
    with our_service() as port:
        world.lead(namespace, "metadata-0", port)
        store = open_store()
        _put(store, "of the parent")
        child = os.fork()
        if child == 0:
            said = 1
            try:
                _names(store)
            except ForkError:
                said = 0
            finally:
                os._exit(said)
        assert os.waitpid(child, 0)[1] == 0
        assert _names(store) == ["of the parent"]


def test_no_such_service(world: World, open_store: Open) -> None:
    """Where there is no such service, it is said which releases of Kubeflow Pipelines have none."""
    empty = world.make_namespace()
    with pytest.raises(StoreNotFoundError, match="no service 'metadata-grpc-service'") as raised:
        open_store(namespace=empty)
    assert "2.18" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_no_pod_is_ready(world: World, namespace: str, open_store: Open) -> None:
    """Where no pod is ready, the reason of its own is told."""
    world.set_ready(namespace, "metadata-0", False, "ImagePullBackOff")
    with pytest.raises(StorageError, match="ImagePullBackOff"):
        open_store()


def test_nothing_listens_in_the_pod(world: World, namespace: str, open_store: Open) -> None:
    """Where nothing listens behind the port, one sentence says so, at once."""
    world.lead(namespace, "metadata-0", "refuse")
    with pytest.raises((OpenError, StorageError)) as raised:
        open_store(connect_timeout=20.0)
    assert "refused" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_the_pod_goes_while_the_store_is_open(
    world: World, namespace: str, open_store: Open
) -> None:
    """A read of a store whose pods are all gone says what the cluster says."""
    with our_service() as port:
        world.lead(namespace, "metadata-0", port)
        store = open_store(retry_timeout=5)
        world.delete_pod(namespace, "metadata-0")
        with pytest.raises(StorageError, match="no pod"):
            _names(store)


def test_tls(world: World, namespace: str, open_store: Open, tmp_path: Path) -> None:
    """Through a forwarded port the certificate must be of the service's name in the cluster."""
    authority = trustme.CA()
    ca = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(ca))
    certificate = authority.issue_cert(f"{SERVICE}.{namespace}.svc.cluster.local")
    files = tmp_path / "cert.pem", tmp_path / "key.pem"
    certificate.cert_chain_pems[0].write_to_path(str(files[0]))
    certificate.private_key_pem.write_to_path(str(files[1]))
    options = ("--tls-cert", str(files[0]), "--tls-key", str(files[1]))
    with serving("memory://", *options, folder=tmp_path) as served:
        world.lead(namespace, "metadata-0", served.port)
        assert _put(open_store(tls_ca=ca), "encrypted") == 1
        with pytest.raises((OpenError, StorageError)):
            open_store(tls_ca=ca, tls_server_name="other.example", connect_timeout=3.0)


def test_the_command(world: World, namespace: str, tmp_path: Path) -> None:
    """The command reads through the port, prints nothing else, and ends."""
    with our_service() as port:
        world.lead(namespace, "metadata-0", port)
        url = f"kubeflow://?namespace={namespace}&kubeconfig={world.kubeconfig()}"
        command = [sys.executable, "-m", "metastore", "context", "list", "--store", url]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert (done.returncode, done.stdout) == (0, "")
        assert done.stderr.startswith("no contexts in kubeflow://"), done.stderr
        assert done.stderr.count("\n") == 1, done.stderr
        wrong = f"kubeflow://?namespace=nowhere&kubeconfig={world.kubeconfig()}"
        command[-1] = wrong
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 1
        assert done.stderr.count("\n") == 1, done.stderr
        assert calls_to(port)


def test_an_unknown_context(world: World) -> None:
    """A context that the kubeconfig does not have is one sentence."""
    config = KubeflowConfig(kubeconfig=world.kubeconfig(), context="nope")
    with pytest.raises(InvalidError, match="nope") as raised:
        KubeflowMetadataStore.open(config)
    assert "\n" not in str(raised.value)
