"""Whatever a cluster answers is one line that says what to do, and nothing is made by halves."""

from __future__ import annotations

import asyncio
import copy
import json
import re
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from core.kube_tests.worlds import StandInWorld, World

from metastore import InvalidError, MetastoreError, OpenError, StorageError
from metastore_flavor_kubernetes import KubernetesConfig, KubernetesMetadataStore
from metastore_flavor_kubernetes._rights import role

from .controllers import Controllers

Make = Callable[..., KubernetesConfig]
up, down = KubernetesMetadataStore.provision, KubernetesMetadataStore.deprovision


def one_line(error: BaseException) -> str:
    """The text of an error of ours, which is one line with what to do."""
    assert isinstance(error, MetastoreError)
    assert error.hint
    text = str(error)
    assert "\n" not in text
    assert "Traceback" not in text
    return text


def _without(given: dict[str, Any], resource: str, verb: str) -> dict[str, Any]:
    """The Role with one verb less."""
    made = copy.deepcopy(given)
    for rule in made["rules"]:
        if resource in rule["resources"] and verb in rule["verbs"]:
            rule["verbs"].remove(verb)
    made["rules"] = [rule for rule in made["rules"] if rule["verbs"]]
    return made


def _status(code: int, reason: str, message: str) -> Callable[[], web.Response]:
    body = {"kind": "Status", "status": "Failure", "code": code, "reason": reason}
    return lambda: web.json_response({**body, "message": message}, status=code)


QUOTA = (
    'persistentvolumeclaims "data-db-0" is forbidden: exceeded quota: small, requested:'
    " requests.storage=10Gi, used: requests.storage=0, limited: requests.storage=1Gi"
)


@pytest.mark.parametrize(
    ("resource", "verb", "shown"),
    [
        ("secrets", "create", "create secrets;"),
        ("statefulsets", "patch", "patch statefulsets.apps 'db';"),
        ("networkpolicies", "get", "get networkpolicies.networking.k8s.io 'db';"),
        ("persistentvolumeclaims", "patch", "patch persistentvolumeclaims 'data-db-0';"),
        ("pods", "list", "list pods;"),
        ("pods/portforward", "create", "create pods/portforward 'db-0';"),
    ],
)
def test_a_missing_right(world: World, config: Make, resource: str, verb: str, shown: str) -> None:
    """Exactly the right that is missing is named, before anything is made."""
    namespace = world.make_namespace(_without(role(config()), resource, verb))
    with pytest.raises(OpenError, match="lacks rights") as raised:
        up(config(namespace=namespace))
    assert one_line(raised.value).partition("): ")[2].startswith(shown)
    found = world.admin().request("GET", f"/api/v1/namespaces/{namespace}/secrets")
    assert found["items"] == []


def test_no_rights_at_all(world: World, config: Make) -> None:
    """All rights that are missing are named at once; also where there is no namespace."""
    with pytest.raises(OpenError, match=r"create secrets, get secrets 'db'.*list events") as raised:
        up(config(namespace="nowhere"))
    one_line(raised.value)


def test_what_is_asked_for_is_what_the_role_has(config: Make) -> None:
    """The rights of the Role are those that are asked for, and not one more."""
    from metastore_flavor_kubernetes import _rights

    wanted = {
        *_rights.for_making(config()),
        *_rights.for_deleting(config(), delete_data=True),
    }
    asked = {(each.resource, each.verb) for each in wanted}
    granted = {
        (resource, verb)
        for rule in role(config())["rules"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    assert asked == granted


def test_no_rights_to_delete(world: World, controllers: Controllers, config: Make) -> None:
    """Who may not delete the data deletes nothing, when that is asked for."""
    granted = _without(role(config()), "persistentvolumeclaims", "delete")
    namespace = world.make_namespace(granted)
    with Controllers(world, namespace, controllers.server_of) as others:
        up(config(namespace=namespace))
        with pytest.raises(OpenError, match="delete persistentvolumeclaims 'data-db-0'") as raised:
            down(config(namespace=namespace), delete_data=True)
        one_line(raised.value)
        assert others.get("statefulsets", "db")
        down(config(namespace=namespace))
        assert not others.get("statefulsets", "db")


def test_no_namespace(world: World, config: Make) -> None:
    """For who may everything, a namespace that is not there is told, and how to make it."""
    admin = world.admin().config.kubeconfig
    with pytest.raises(OpenError, match=r"no namespace 'nowhere'.*kubectl create") as raised:
        up(config(namespace="nowhere", kubeconfig=admin))
    one_line(raised.value)


def test_a_wrong_token(world: World, config: Make) -> None:
    """Credentials that are not accepted are told as such."""
    path = world.kubeconfig({"token": "wrong"}, name="wrong")
    for call in (
        up,
        KubernetesMetadataStore.open,
        KubernetesMetadataStore.describe_service,
        KubernetesMetadataStore.is_running,
    ):
        with pytest.raises(OpenError, match=r"does not accept the credentials.*log in") as raised:
            call(config(kubeconfig=path))
        one_line(raised.value)


def test_an_unknown_context(config: Make) -> None:
    """A context that the kubeconfig does not have is named, with those that it has."""
    with pytest.raises(InvalidError, match="nope") as raised:
        up(config(context="nope"))
    one_line(raised.value)


def test_nobody_listens(world: World, config: Make, tmp_path: Path) -> None:
    """An API server that is down is told, with where it was looked for."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    text = re.sub(
        r"https://127.0.0.1:\d+", f"https://127.0.0.1:{port}", world.kubeconfig().read_text()
    )
    path = tmp_path / "down"
    path.write_text(text)
    with pytest.raises(StorageError, match="nothing listens at the API server's") as raised:
        up(config(kubeconfig=path))
    one_line(raised.value)
    with pytest.raises(OpenError, match="nothing listens at the API server's"):
        KubernetesMetadataStore.open(config(kubeconfig=path))


def test_a_quota(world: World, namespace: str, config: Make) -> None:
    """A quota is told in the words of the API server, not as a missing right."""
    if isinstance(world, StandInWorld):
        refuse = _status(403, "Forbidden", QUOTA)

        async def before(asked: str, where: str) -> web.Response | None:
            return refuse() if asked == "PATCH" and "volumeclaims" in where else None

        world.server.before = before
    else:
        # What its controller, which does not run, would copy into the status.
        hard = {"requests.storage": "1Gi"}
        quota = {"kind": "ResourceQuota", "apiVersion": "v1", "metadata": {"name": "small"}}
        path, admin = f"/api/v1/namespaces/{namespace}/resourcequotas", world.admin()
        admin.request("POST", path, body={**quota, "spec": {"hard": hard}})
        admin.request(
            "PATCH",
            f"{path}/small/status",
            body={"status": {"hard": hard, "used": {"requests.storage": "0"}}},
            content_type="application/merge-patch+json",
        )
    with pytest.raises(OpenError, match=r"\(403\).*exceeded quota: small.*ask for less") as raised:
        up(config())
    assert "apiGroups" not in one_line(raised.value)


# What only a stand-in does when it is told to.

ON_STANDIN = pytest.mark.parametrize("world", ["standin"], indirect=True)


NONE = "is no Kubernetes API server"
POLICY = 'statefulsets.apps "db" is forbidden: violates the policy "restricted"'


@ON_STANDIN
@pytest.mark.parametrize(
    ("method", "path", "answer", "told"),
    [
        ("PATCH", "statefulsets", _status(403, "Forbidden", POLICY), 'the policy "restricted"'),
        ("PATCH", "services", _status(409, "Conflict", "it was modified"), "it was modified"),
        ("PATCH", "statefulsets", _status(422, "Invalid", "spec: Forbidden"), "spec: Forbidden"),
        ("PATCH", "networkpolicies", _status(500, "InternalError", "etcd"), "etcd"),
        ("POST", "secrets", _status(429, "TooManyRequests", "slow down"), "slow down"),
        ("GET", "services", _status(503, "ServiceUnavailable", "starting"), "starting"),
        ("GET", "secrets", lambda: web.Response(text="<html>Log in"), NONE),
        ("GET", "secrets", lambda: web.json_response([1]), NONE),
        ("POST", "reviews", lambda: web.Response(text="no", status=404), NONE),
    ],
)  # fmt: skip
def test_refused(
    standin: StandInWorld, config: Any, method: str, path: str, answer: Any, told: str
) -> None:
    """What the API server says against it is what is said, in one line."""

    async def before(asked: str, where: str) -> web.Response | None:
        return answer() if asked == method and path in where else None

    standin.server.before = before
    with pytest.raises(MetastoreError, match=told) as raised:
        up(config(start_timeout=0.5))
    one_line(raised.value)


@ON_STANDIN
def test_a_slow_server(standin: StandInWorld, config: Any) -> None:
    """An API server that takes too long is told so, and how to wait longer."""
    release = asyncio.Event()

    async def before(_asked: str, _where: str) -> None:
        await release.wait()

    standin.server.before = before
    with pytest.raises(
        StorageError, match=r"gave no answer within 0.2 s.*connect_timeout"
    ) as raised:
        up(config(connect_timeout=0.2))
    one_line(raised.value)


@ON_STANDIN
def test_it_is_being_deleted(standin: StandInWorld, controllers: Controllers, config: Any) -> None:
    """What goes away is not built upon."""
    up(config())
    gone = {"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}
    controllers.merge("persistentvolumeclaims", "data-db-0", gone)
    with pytest.raises(
        MetastoreError, match=r"claim 'data-db-0'.*is being deleted; wait"
    ) as raised:
        up(config())
    one_line(raised.value)


def _reasons() -> dict[str, tuple[dict[str, Any], str, str]]:
    """A pod's status, what is told of it, and what to do."""

    def waiting(reason: str, **more: Any) -> dict[str, Any]:
        container = {
            "name": "server",
            "image": "i",
            "imageID": "",
            "restartCount": 1,
            "ready": False,
            "state": {"waiting": {"reason": reason}},
            **more,
        }
        return {"phase": "Pending", "containerStatuses": [container]}

    ended = {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}
    unscheduled = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": "0/3 nodes are available: 3 Insufficient memory.",
    }
    return {
        "ImagePullBackOff": (waiting("ImagePullBackOff"), "ImagePullBackOff", "setting image"),
        "InvalidImageName": (waiting("InvalidImageName"), "InvalidImageName", "setting image"),
        "CrashLoopBackOff": (
            waiting("CrashLoopBackOff", lastState=ended),
            r"CrashLoopBackOff.*exit code 137 \(OOMKilled\)",
            "kubectl logs db-0",
        ),
        "Unschedulable": (
            {"phase": "Pending", "conditions": [unscheduled]},
            "3 Insufficient memory",
            "memory_request",
        ),
        "not ready": ({"phase": "Running"}, "readiness probe", "kubectl describe pod db-0"),
    }


@pytest.mark.parametrize("reason", _reasons())
def test_a_pod_that_does_not_come(
    controllers: Controllers, config: Make, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The pod's own reason is shown while it is waited for, and in the error."""
    caplog.set_level("INFO", "metastore.service")
    status, told, hint = _reasons()[reason]
    given = {"conditions": [], "containerStatuses": [], **status}

    def stand_still(name: str) -> None:
        controllers.merge("pods", f"{name}/status", {"status": given})

    controllers.instead = stand_still
    # No use in waiting for a name that is none: this ends at once, or never.
    timeout = 3600 if reason == "InvalidImageName" else 1.5
    with pytest.raises(StorageError, match=f"db-0.*{told}.*{hint}") as raised:
        up(config(start_timeout=timeout))
    one_line(raised.value)
    assert "waiting for pod db-0" in caplog.text


def test_a_pod_that_is_not_made(controllers: Controllers, config: Make) -> None:
    """Where no pod is made, the event of its owner says why."""
    controllers.makes_pods = False
    with pytest.raises(StorageError, match="it is not made yet"):
        up(config(start_timeout=0.5))
    owner = controllers.get("statefulsets", "db")
    assert owner is not None
    said = 'create Pod db-0 in StatefulSet db failed: pods "db-0" is forbidden: exceeded quota: q'
    controllers.warn(owner, "FailedCreate", said)
    with pytest.raises(StorageError, match=r"FailedCreate: .*exceeded quota: q.*ask for less"):
        up(config(start_timeout=0.5))


def test_a_volume_that_is_not_made(controllers: Controllers, config: Make) -> None:
    """Where the pod waits for its volume, the claim's event says why."""

    def pending(name: str) -> None:
        controllers.merge(
            "pods",
            f"{name}/status",
            {"status": {"phase": "Pending", "conditions": [], "containerStatuses": []}},
        )
        claim = controllers.get("persistentvolumeclaims", "data-db-0")
        assert claim is not None
        controllers.warn(claim, "ProvisioningFailed", 'storageclass "fast" not found')

    controllers.instead = pending
    with pytest.raises(StorageError, match='ProvisioningFailed: storageclass "fast" not found'):
        up(config(start_timeout=1.5))


def test_it_starts_and_does_not_answer(
    world: World, namespace: str, controllers: Controllers, config: Make
) -> None:
    """A pod that is ready, and in which nothing listens, is not up."""

    def refuse(name: str) -> None:
        world.lead(namespace, name, "refuse")
        world.set_ready(namespace, name, True)

    controllers.instead = refuse
    with pytest.raises((OpenError, StorageError), match="refused") as raised:
        up(config(connect_timeout=5.0))
    one_line(raised.value)


def test_the_words_of_a_config() -> None:
    """Settings that cannot be meant are refused, each with its name."""
    for fields in (
        {"name": "Db"},
        {"name": "1db"},
        {"name": "x" * 53},
        {"namespace": "a/b"},
        {"storage_size": "much"},
        {"storage_size": "0Gi"},
        {"memory_limit": "1 Gi"},
        {"image": "a b"},
        {"server": "postgres"},
        {"user": "me"},
        {"labels": '{"app.kubernetes.io/name": "x"}'},
        {"labels": '{"a b": "x"}'},
        {"tolerations": '["nothing"]'},
        {"tolerations": '[{"kee": "x"}]'},
        {"database": "a;b"},
    ):
        with pytest.raises(InvalidError):
            KubernetesConfig.checked("kubernetes", fields)
    found = KubernetesConfig.checked(
        "kubernetes",
        {"tolerations": [json.dumps({"key": "gpu"})], "node_selector": '{"disk": "ssd"}'},
    )
    assert (found.tolerations, found.node_selector) == (({"key": "gpu"},), {"disk": "ssd"})
