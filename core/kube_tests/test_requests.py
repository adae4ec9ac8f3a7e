"""Requests, the rights they need, and credentials that change."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from metastore.errors import (
    AlreadyExistsError,
    BusyError,
    ConflictError,
    InvalidError,
    MetastoreError,
    NotFoundError,
    OpenError,
    StorageError,
    StoreNotFoundError,
)
from metastore.kube import Cluster, ClusterConfig, PortForward
from metastore.kube.failures import Call, refusal

from .backends import greeting
from .worlds import ROLE, World

Forward = Callable[..., PortForward]


def test_objects(world: World, namespace: str) -> None:
    """Objects are made, read, changed and deleted, as JSON."""
    admin = world.admin()
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    body = {
        "kind": "ConfigMap",
        "metadata": {"name": "a", "labels": {"x": "1"}},
        "data": {"k": "v"},
    }
    assert admin.request("POST", path, body=body)["metadata"]["uid"]
    with pytest.raises(AlreadyExistsError, match="already exists"):
        admin.request("POST", path, body=body)
    patch = {"data": {"k": None, "l": "w"}}
    changed = admin.request(
        "PATCH", f"{path}/a", body=patch, content_type="application/merge-patch+json"
    )
    assert changed["data"] == {"l": "w"}
    stale = {**changed, "metadata": {**changed["metadata"], "resourceVersion": "1"}}
    with pytest.raises(ConflictError):
        admin.request("PUT", f"{path}/a", body=stale)
    for query, count in (({"labelSelector": "x=1"}, 1), ({"labelSelector": "x=2"}, 0)):
        assert len(admin.request("GET", path, query=query)["items"]) == count
    admin.request("DELETE", f"{path}/a")
    with pytest.raises(NotFoundError, match="'a'") as caught:
        admin.request("GET", f"{path}/a")
    assert caught.value.offender is not None
    assert (caught.value.offender.kind, caught.value.offender.name) == ("configmaps", "a")


def test_unknown_api(world: World) -> None:
    """An API that the server does not have is not found, and no sign of another server."""
    with pytest.raises(NotFoundError):
        world.admin().request("GET", "/apis/nope.example.com/v1/things")


def test_ready_pod(world: World, namespace: str, cluster: Cluster) -> None:
    """What is there is told apart: no service, no selector, no pod, none that is ready, one."""
    world.make_service(namespace, "bare", selector=None, clusterIP=None)
    with pytest.raises(StoreNotFoundError, match="no service 'nope'"):
        cluster.ready_pod(service="nope")
    with pytest.raises(OpenError, match="no selector"):
        cluster.ready_pod(service="bare")
    with pytest.raises(StorageError, match="there is no pod"):
        cluster.ready_pod(service="db")
    world.make_pod(namespace, "db-0", {"app": "db"}, ready=False)
    with pytest.raises(StorageError, match="db-0: "):
        cluster.ready_pod(service="db")
    world.set_ready(namespace, "db-0", False, "CrashLoopBackOff")
    with pytest.raises(StorageError, match="db-0: CrashLoopBackOff"):
        cluster.ready_pod(service="db")
    world.set_ready(namespace, "db-0", True)
    assert cluster.ready_pod(service="db") == "db-0"
    assert cluster.ready_pod(namespace, selector="app=db") == "db-0"


def test_forbidden(world: World, namespace: str, cluster: Cluster) -> None:
    """What a role lacks is said with the rule to add."""
    with pytest.raises(OpenError) as caught:
        cluster.request("GET", f"/apis/apps/v1/namespaces/{namespace}/statefulsets")
    assert 'apiGroups: ["apps"], resources: ["statefulsets"], verbs: ["list"]' in str(caught.value)
    assert "'limited'" in str(caught.value)
    assert namespace in str(caught.value)


def test_forbidden_forward(world: World, forward: Forward) -> None:
    """Who may see pods but not forward to them is told both verbs."""
    rules = [each for each in ROLE["rules"] if each["resources"] != ["pods/portforward"]]
    name = world.make_namespace({**ROLE, "rules": rules})
    world.make_service(name, "db")
    world.make_pod(name, "db-0", {"app": "db"})
    opened = forward(Cluster.load(world.config(namespace=name)))
    with pytest.raises(OpenError) as caught:
        opened.check()
    assert 'resources: ["pods/portforward"], verbs: ["get", "create"]' in str(caught.value)
    assert greeting(opened.port) == b""
    assert isinstance(opened.error, OpenError)


def test_unauthorized(world: World, forward: Forward) -> None:
    """Credentials that are not accepted are an error without them."""
    path = world.kubeconfig({"token": "do-not-show"}, "wrong.config")
    cluster = Cluster.load(world.config(path))
    with pytest.raises(OpenError, match="401") as caught:
        cluster.request("GET", "/api/v1/namespaces/default/pods")
    assert "do-not-show" not in str(caught.value)
    opened = forward(cluster)
    assert greeting(opened.port) == b""
    assert "401" in str(opened.error)


def test_token_file(world: World, namespace: str, pod: str, forward: Forward) -> None:
    """A token that was replaced in its file is read when the old one expired."""
    token = world.folder / "token"
    token.write_text("expired")
    path = world.kubeconfig({"tokenFile": str(token)}, "file.config")
    opened = forward(Cluster.load(world.config(path, namespace=namespace)))
    assert greeting(opened.port) == b""
    assert "401" in str(opened.error)
    token.write_text(world.token)
    assert greeting(opened.port) == b"hello"
    assert opened.error is None


PLUGIN = """
import json, pathlib, sys
folder = pathlib.Path(sys.argv[1])
runs = int((folder / "runs").read_text()) + 1
(folder / "runs").write_text(str(runs))
status = json.loads((folder / "status").read_text())
if not status:
    sys.exit("log in again: Bearer do-not-show")
print(json.dumps({
    "apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": status,
}))
"""


class Plugin:
    """A program that a kubeconfig names for its credentials, and that counts its runs."""

    def __init__(self, world: World) -> None:
        self.folder = world.folder
        (self.folder / "plugin.py").write_text(PLUGIN)
        (self.folder / "runs").write_text("0")
        self.kubeconfig = world.kubeconfig(
            {
                "exec": {
                    "apiVersion": "client.authentication.k8s.io/v1",
                    "command": sys.executable,
                    "args": [str(self.folder / "plugin.py"), str(self.folder)],
                    "interactiveMode": "Never",
                }
            },
            "plugin.config",
        )

    @property
    def runs(self) -> int:
        """How often it was started."""
        return int((self.folder / "runs").read_text())

    def gives(self, token: str = "", expires: str = "2099-01-01T00:00:00Z") -> None:
        """What it answers from now on; without a token it fails."""
        status = {"token": token, "expirationTimestamp": expires} if token else {}
        (self.folder / "status").write_text(json.dumps(status))


def test_expired_token(world: World, namespace: str, pod: str, forward: Forward) -> None:
    """A token that expired before its time is asked for anew, once, and many threads ask once."""
    plugin = Plugin(world)
    plugin.gives("expired")
    cluster = Cluster.load(world.config(plugin.kubeconfig, namespace=namespace))
    assert plugin.runs == 1
    plugin.gives(world.token)
    opened = forward(cluster)
    answers: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: answers.append(greeting(opened.port))) for _ in range(8)
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert answers == [b"hello"] * 8
    assert plugin.runs == 2


def test_expiring_token(world: World, namespace: str, pod: str) -> None:
    """A token whose time is over is asked for before it is refused."""
    plugin = Plugin(world)
    plugin.gives(world.token, "2001-01-01T00:00:00Z")
    cluster = Cluster.load(world.config(plugin.kubeconfig, namespace=namespace))
    plugin.gives(world.token)
    assert cluster.ready_pod(service="db") == pod
    assert plugin.runs == 2


def test_failing_plugin(world: World) -> None:
    """A program that gives no credentials is named, with its words, but for what looks secret."""
    plugin = Plugin(world)
    plugin.gives()
    with pytest.raises(OpenError, match=r"python.*log in again") as caught:
        Cluster.load(world.config(plugin.kubeconfig))
    assert "do-not-show" not in str(caught.value)


STATUSES: list[tuple[int, str, type[MetastoreError]]] = [
    (400, "BadRequest", InvalidError),
    (401, "Unauthorized", OpenError),
    (403, "Forbidden", OpenError),
    (404, "NotFound", NotFoundError),
    (409, "AlreadyExists", AlreadyExistsError),
    (409, "Conflict", ConflictError),
    (422, "Invalid", InvalidError),
    (429, "TooManyRequests", BusyError),
    (500, "InternalError", StorageError),
    (503, "ServiceUnavailable", BusyError),
    (504, "Timeout", BusyError),
]


@pytest.mark.parametrize(("status", "reason", "kind"), STATUSES)
def test_statuses(status: int, reason: str, kind: type[MetastoreError]) -> None:
    """Each status is an error of its kind, of one line, with the server's words or a rule."""
    call = Call("POST", "/api/v1/namespaces/ml/services/db", "https://k:6443")
    said = json.dumps({"kind": "Status", "message": "some\nwords", "reason": reason})
    error = refusal(status, said, call)
    assert isinstance(error, kind)
    assert "\n" not in str(error)
    assert status in (401, 403) or "some words" in str(error)
    assert isinstance(refusal(status, None, call), MetastoreError)


@pytest.mark.parametrize("status", [400, 422])
def test_secret_in_refusal(status: int) -> None:
    """A server that quotes the secret which it refuses is not quoted."""
    call = Call("POST", "/api/v1/namespaces/ml/secrets", "https://k:6443")
    causes = [{"field": "data[password]", "message": "aHVudGVyMg"}]
    said = json.dumps(
        {
            "kind": "Status",
            "message": 'illegal base64 data ("password":"aHVudGVyMg"...)',
            "reason": "Invalid",
            "details": {"causes": causes},
        }
    )
    error = refusal(status, said, call)
    assert "aHVudGVyMg" not in str(error)
    assert "data[password]" in str(error)


def test_config_of_a_flavor(tmp_path: Path) -> None:
    """A flavor's config has the fields, from URL options and variables as any others."""

    class FlavorsConfig(ClusterConfig):
        service: str = "db"

    found = FlavorsConfig.checked("some", {"kubeconfig": "x/config", "context": "c"})
    assert (found.kubeconfig, found.context, found.service) == (Path("x/config"), "c", "db")
    assert found.relative_to(tmp_path).kubeconfig == tmp_path / "x" / "config"
    assert found.connect_timeout == 10
