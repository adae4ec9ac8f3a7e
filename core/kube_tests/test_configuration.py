"""Where the configuration comes from, and what is said of one that cannot be used."""

from __future__ import annotations

import json
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

import metastore.kube
from metastore.errors import InvalidError, MetastoreError, OpenError
from metastore.kube import Cluster, ClusterConfig, access

from .worlds import StandInWorld, World

SECRET = "eyJhbGciOiJub25lIn0.do-not-show"


@pytest.fixture
def account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, standin: StandInWorld) -> Path:
    """A pod's service account, and its variables."""
    folder = tmp_path / "serviceaccount"
    folder.mkdir()
    (folder / "ca.crt").write_bytes((tmp_path / "ca.crt").read_bytes())
    (folder / "token").write_text(standin.token)
    (folder / "namespace").write_text("of-the-pod\n")
    monkeypatch.setattr(access, "SERVICE_ACCOUNT", folder)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(standin.server.port))
    return folder


def shown(error: MetastoreError) -> str:
    """All that a person may see of an error."""
    return "".join(traceback.format_exception(error)) + repr(error) + str(error)


def test_exports() -> None:
    """What is exported is there."""
    assert metastore.kube.__all__ == ["Cluster", "ClusterConfig", "PortForward"]
    assert all(hasattr(metastore.kube, each) for each in metastore.kube.__all__)
    with pytest.raises(AttributeError):
        _ = metastore.kube.nothing


def test_light() -> None:
    """The package and the config are imported without the client."""
    code = (
        "import sys; from metastore.kube import ClusterConfig\n"
        "print({'kubernetes', 'websocket', 'yaml', 'urllib3'} & set(sys.modules))"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert found.stdout == "set()\n"


def test_namespace(world: World) -> None:
    """The namespace is the config's, else the context's."""
    path = world.kubeconfig()
    changed = path.read_text()
    assert Cluster.load(world.config(path)).namespace == "default"
    assert Cluster.load(world.config(path, namespace="ml")).namespace == "ml"
    path.write_text(changed.replace('"user": "someone"}', '"user": "someone", "namespace": "its"}'))
    if isinstance(world, StandInWorld):
        assert Cluster.load(world.config(path)).namespace == "its"


@pytest.mark.parametrize("namespace", ["", "a/b", "A", "../x", "a" * 64])
def test_namespace_that_is_none(namespace: str) -> None:
    """What cannot be a namespace is refused before it becomes part of a path."""
    with pytest.raises(InvalidError, match="namespace"):
        ClusterConfig.checked("kubeflow", {"namespace": namespace})


def test_variable(standin: StandInWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """KUBECONFIG names the file, or several that are merged, of which some may be missing."""
    path = standin.kubeconfig()
    monkeypatch.setenv("KUBECONFIG", f"/nowhere/config:{path}")
    cluster = Cluster.load(ClusterConfig())
    assert (cluster.context, cluster.in_cluster) == ("standin", False)
    assert standin.server.url in cluster.location


def test_home(standin: StandInWorld, tmp_path: Path) -> None:
    """Without anything it is ~/.kube/config."""
    folder = tmp_path / "home" / ".kube"
    folder.mkdir(parents=True)
    standin.kubeconfig().rename(folder / "config")
    assert Cluster.load(ClusterConfig()).context == "standin"


def test_in_cluster(account: Path, standin: StandInWorld) -> None:
    """Inside a pod it is the service account: its token, its namespace."""
    cluster = Cluster.load(ClusterConfig())
    assert (cluster.context, cluster.in_cluster) == (None, True)
    assert cluster.namespace == "of-the-pod"
    standin.make_namespace()
    with pytest.raises(OpenError, match="403"):
        cluster.request("GET", "/api/v1/namespaces/of-the-pod/secrets")


def test_in_cluster_rotated(account: Path, standin: StandInWorld) -> None:
    """A token that the kubelet replaced is read when the old one is no longer accepted."""
    (account / "token").write_text("expired")
    cluster = Cluster.load(ClusterConfig())
    (account / "token").write_text(standin.token)
    with pytest.raises(OpenError, match="403"):
        cluster.request("GET", "/api/v1/namespaces/of-the-pod/secrets")


def test_explicit_in_cluster(account: Path, standin: StandInWorld) -> None:
    """Inside a pod, too, a kubeconfig that is named comes first."""
    assert Cluster.load(ClusterConfig(kubeconfig=standin.kubeconfig())).context == "standin"


@pytest.mark.parametrize("missing", ["ca.crt", "port"])
def test_broken_service_account(
    account: Path, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    """A pod whose service account is incomplete is an error that says where to look."""
    if missing == "port":
        monkeypatch.delenv("KUBERNETES_SERVICE_PORT")
    else:
        (account / missing).unlink()
    with pytest.raises(OpenError, match="service account"):
        Cluster.load(ClusterConfig())


def test_pod_without_token(account: Path) -> None:
    """A pod without a token says so, where there is no kubeconfig either."""
    (account / "token").unlink()
    with pytest.raises(OpenError, match=r"no kubeconfig .*automountServiceAccountToken"):
        Cluster.load(ClusterConfig())


def test_missing(tmp_path: Path) -> None:
    """A kubeconfig that is not there is named."""
    with pytest.raises(OpenError, match=r"no kubeconfig .*nowhere"):
        Cluster.load(ClusterConfig(kubeconfig=tmp_path / "nowhere"))
    with pytest.raises(OpenError, match=r"no kubeconfig .*\.kube.config"):
        Cluster.load(ClusterConfig())


def test_unknown_context(standin: StandInWorld) -> None:
    """A context that is not there is refused, with those that are."""
    with pytest.raises(InvalidError, match=r"'nope'.*standin") as caught:
        Cluster.load(standin.config(context="nope"))
    assert caught.value.offender is not None
    assert caught.value.offender.property == "context"


BROKEN = {
    "no YAML": f"users: [{{token: {SECRET}\nclusters: ]",
    "tab": f"a:\n\t- {SECRET}",
    "empty": "",
    "a list": f"[{SECRET}]",
    "a text": SECRET,
    "a number": "3",
    "binary": "\x00\x01",
    "no names": f"contexts: [{{token: {SECRET}}}]",
    "texts": f"contexts: [{SECRET}]\ncurrent-context: x",
    "a number of contexts": f"contexts: 3\ntoken: {SECRET}",
}


@pytest.mark.parametrize("broken", BROKEN)
def test_broken(tmp_path: Path, broken: str) -> None:
    """A broken kubeconfig is an error of one line that names it, and shows nothing of it."""
    path = tmp_path / "config"
    path.write_text(BROKEN[broken])
    with pytest.raises(OpenError, match=str(path)) as caught:
        Cluster.load(ClusterConfig(kubeconfig=path))
    assert "\n" not in str(caught.value)
    assert SECRET not in shown(caught.value)


def _without_current(config: dict[str, object]) -> None:
    del config["current-context"]


CHANGES: dict[str, tuple[Callable[[dict[str, object]], None], str]] = {
    "no current context": (_without_current, "no current context.*standin"),
    "no cluster": (lambda config: config.update(clusters=[]), "cluster 'standin'"),
    "no user": (lambda config: config.update(users=None), "user 'someone'"),
    "no server": (
        lambda config: config.update(clusters=[{"name": "standin", "cluster": {}}]),
        "has no server",
    ),
    "no certificate": (
        lambda config: config.update(
            clusters=[
                {
                    "name": "standin",
                    "cluster": {"server": "https://x", "certificate-authority": "/nowhere/ca.crt"},
                }
            ]
        ),
        "/nowhere/ca.crt",
    ),
    "a certificate that is none": (
        lambda config: config.update(
            clusters=[
                {
                    "name": "standin",
                    "cluster": {"server": "https://x", "certificate-authority-data": "???"},
                }
            ]
        ),
        "kubeconfig",
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_incomplete(standin: StandInWorld, change: str) -> None:
    """A kubeconfig that lacks a part is an error that says which."""
    path = standin.kubeconfig({"token": SECRET})
    config = json.loads(path.read_text())
    CHANGES[change][0](config)
    path.write_text(json.dumps(config))
    with pytest.raises(OpenError, match=CHANGES[change][1]) as caught:
        Cluster.load(ClusterConfig(kubeconfig=path))
    assert SECRET not in shown(caught.value)
    assert standin.token not in shown(caught.value)


def test_unreadable(tmp_path: Path) -> None:
    """A folder in the place of a kubeconfig is an error of ours."""
    with pytest.raises(OpenError, match="cannot be read"):
        Cluster.load(ClusterConfig(kubeconfig=tmp_path))
