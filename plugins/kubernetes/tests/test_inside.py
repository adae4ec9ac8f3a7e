"""Inside a cluster the service is reached by its name, without a forwarded port."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from core.kube_tests.worlds import StandInWorld
from plugins.mysql.tests.servers import Server

from metastore import OpenError
from metastore.kube import access
from metastore_flavor_kubernetes import KubernetesConfig, KubernetesMetadataStore

from .controllers import Controllers
from .test_up import names, put

# No test makes a process a pod of a real cluster.
pytestmark = pytest.mark.parametrize("world", ["standin"], indirect=True)


@pytest.fixture
def pod(
    standin: StandInWorld, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This process is in a pod that has a service account, with the user's token."""
    folder = tmp_path / "account"
    folder.mkdir()
    (folder / "token").write_text(standin.token)
    (folder / "namespace").write_text(namespace)
    (folder / "ca.crt").write_text((tmp_path / "ca.crt").read_text())
    monkeypatch.setattr(access, "SERVICE_ACCOUNT", folder)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(standin.server.port))


@pytest.fixture
def names_of_services(monkeypatch: pytest.MonkeyPatch, mariadb: Server) -> list[tuple[Any, Any]]:
    """What was asked of the cluster's name service; with an entry "unknown" it knows nothing."""
    asked: list[tuple[Any, Any]] = []
    others = socket.getaddrinfo

    def resolve(host: Any, port: Any, *rest: Any, **more: Any) -> Any:
        if not str(host).endswith(".svc"):
            return others(host, port, *rest, **more)
        asked.append((host, port))
        if ("unknown", None) in asked:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return others("127.0.0.1", mariadb.port, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return asked


def test_by_name(
    standin: StandInWorld,
    namespace: str,
    pod: None,
    controllers: Controllers,
    names_of_services: list[tuple[Any, Any]],
) -> None:
    """In a pod the store is up and open without kubeconfig, context, namespace and port-forward."""
    config = KubernetesConfig(name="db")
    KubernetesMetadataStore.provision(config)
    store = KubernetesMetadataStore.open(config)
    put(store, "one")
    assert names(store) == ["one"]
    store.close()
    assert {*names_of_services} == {(f"db.{namespace}.svc", 3306)}
    assert not [path for _, path in standin.server.asked if path.endswith("portforward")]
    forwarding = KubernetesMetadataStore.open(config.model_copy(update={"connection": "forward"}))
    assert names(forwarding) == ["one"]
    assert forwarding.is_same(store)
    forwarding.close()


def test_a_name_that_is_not_known(
    controllers: Controllers,
    config: Callable[..., KubernetesConfig],
    names_of_services: list[tuple[Any, Any]],
) -> None:
    """A name that nobody knows, because this is no pod of the cluster, is an error of one line."""
    KubernetesMetadataStore.provision(config())
    names_of_services.append(("unknown", None))
    with pytest.raises(OpenError, match=r"db\..*\.svc.*cannot be reached") as raised:
        KubernetesMetadataStore.open(config(connection="service"))
    assert "\n" not in str(raised.value)
