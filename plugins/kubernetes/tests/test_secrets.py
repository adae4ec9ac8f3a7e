"""Secrets of a cluster, for any flavor's settings: ``k8s:namespace/secret/key``."""

from __future__ import annotations

import base64

import pytest
from core.kube_tests.worlds import World
from plugins.mysql.tests.servers import Server

from metastore import InvalidError, MetastoreError, NotFoundError, OpenError, Secret, connect
from metastore_flavor_mysql import MySQLConfig


@pytest.fixture
def secrets(world: World, monkeypatch: pytest.MonkeyPatch) -> str:
    """A namespace with the secret ``login``, which the user may read."""
    rule = {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": "reader"},
        "rules": [{**rule, "resourceNames": ["login", "gone"]}],
    }
    namespace = world.make_namespace(role)
    data = {"password": "canary-\u00e4-\U0001f600", "other": "x"}
    encoded = {key: base64.b64encode(text.encode()).decode() for key, text in data.items()}
    for name in ("login", "hidden"):
        body = {
            "kind": "Secret",
            "apiVersion": "v1",
            "metadata": {"name": name},
            "data": {**encoded, "bytes": base64.b64encode(b"\xff").decode()},
        }
        path = f"/api/v1/namespaces/{namespace}/secrets"
        world.admin().request("POST", path, body=body)
    monkeypatch.setenv("KUBECONFIG", str(world.kubeconfig()))
    return namespace


def test_a_secret_is_read(secrets: str) -> None:
    """What is kept in the cluster is read when it is needed, and not before."""
    found = Secret.of_reference(f"k8s:{secrets}/login/password")
    assert str(found) == f"k8s:{secrets}/login/password"
    assert found.reveal() == "canary-\u00e4-\U0001f600"


@pytest.mark.parametrize(
    ("reference", "kind", "told"),
    [
        ("login/password", InvalidError, "write k8s:namespace/secret/key"),
        ("NS/login/", InvalidError, "write k8s:namespace/secret/key"),
        ("../login/password", InvalidError, "namespace"),
        ("NS/gone/password", NotFoundError, "secrets 'gone'"),
        ("NS/login/nothing", NotFoundError, "its keys: bytes, other, password"),
        ("NS/login/bytes", InvalidError, "is no text"),
        ("NS/hidden/password", OpenError, r"403"),
    ],
)
def test_a_secret_that_cannot_be_read(
    secrets: str, reference: str, kind: type[MetastoreError], told: str
) -> None:
    """What is wrong is one line, without anything of the secret."""
    found = Secret.of_reference("k8s:" + reference.replace("NS", secrets))
    with pytest.raises(kind, match=told) as raised:
        found.reveal()
    assert "\n" not in str(raised.value)
    assert "canary" not in str(raised.value)


def test_another_flavor_uses_it(world: World, secrets: str, mariadb: Server) -> None:
    """A store of the mysql flavor takes its password from the cluster."""
    database = mariadb.new_database()
    encoded = base64.b64encode(mariadb.password_of(database).encode()).decode()
    world.admin().request(
        "PATCH",
        f"/api/v1/namespaces/{secrets}/secrets/login",
        body={"data": {"password": encoded}},
        content_type="application/merge-patch+json",
    )
    reference = f"k8s:{secrets}/login/password"
    url = f"mysql://{database}@127.0.0.1:{mariadb.port}/{database}?password={reference}"
    with connect(url) as store, store.run("one"):
        pass
    fields = {"database": "d", "password": reference}
    assert str(MySQLConfig.checked("mysql", fields).password) == reference
