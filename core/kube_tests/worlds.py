"""Where the tests run: on a stand-in always, and on a real API server where one is named.

``METASTORE_TEST_KUBECONFIG`` names the kubeconfig of an administrator of a cluster without
controllers, and ``METASTORE_TEST_APISERVER_RIG`` the Python file that does by hand what those, and
a node, would do: a class ``Rig(folder of the kubeconfig)`` with ``make_pod``, ``set_ready``,
``delete_pod``, ``set_map``, ``cut`` and ``bind_role``.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import secrets
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import pytest

from metastore.kube import Cluster, ClusterConfig

from .resources import JSON, KINDS, Rule, Where
from .standin import StandIn

ROLE: JSON = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "Role",
    "metadata": {"name": "forward"},
    "rules": [
        {"apiGroups": [""], "resources": ["services"], "verbs": ["get"]},
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]},
        {"apiGroups": [""], "resources": ["pods/portforward"], "verbs": ["get", "create"]},
    ],
}
"""What docs/kube.md says that a port-forward needs, and not a right more."""


class World(ABC):
    """A cluster, and the hand of God in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @abstractmethod
    def kubeconfig(self, user: JSON | None = None, name: str = "config") -> Path:
        """One with these credentials; by default those of the user who may nothing of himself."""

    @property
    @abstractmethod
    def token(self) -> str:
        """That user's."""

    @abstractmethod
    def admin(self) -> Cluster:
        """The cluster, for who may everything."""

    @abstractmethod
    def allow(self, namespace: str, role: JSON) -> None:
        """Give the user a role."""

    @abstractmethod
    def make_pod(
        self, namespace: str, name: str, labels: dict[str, str], *, ready: bool = True
    ) -> None:
        """A pod that runs."""

    @abstractmethod
    def make_pod_of(self, namespace: str, statefulset: str) -> str:
        """The pod that a stateful set would have made, not ready yet; its name."""

    @abstractmethod
    def set_ready(self, namespace: str, name: str, ready: bool, waiting: str | None = None) -> None:
        """Change whether it is ready; `waiting` is why its container has not started."""

    @abstractmethod
    def delete_pod(self, namespace: str, name: str, *, terminating: bool = False) -> None:
        """Take it away and cut its connections, or only say that it is going to go."""

    @abstractmethod
    def lead(self, namespace: str, pod: str, where: int | str) -> None:
        """What answers behind its ports: a port of this machine, ``refuse`` or ``hang``."""

    @abstractmethod
    def cut(self) -> None:
        """Cut every forwarded connection."""

    def config(self, kubeconfig: Path | None = None, **fields: Any) -> ClusterConfig:
        """That user's."""
        return ClusterConfig(
            **{"kubeconfig": kubeconfig or self.kubeconfig(), "connect_timeout": 20.0, **fields}
        )

    def make_namespace(self, role: JSON = ROLE) -> str:
        """A new one, in which the user may forward ports, or what another role lets him."""
        name = f"ns-{secrets.token_hex(4)}"
        self.admin().request(
            "POST", "/api/v1/namespaces", body={"kind": "Namespace", "metadata": {"name": name}}
        )
        self.allow(name, role)
        return name

    def make_service(self, namespace: str, name: str, **spec: Any) -> None:
        """A service; by default port 3306, called sql, which leads to a pod's 13306."""
        ports = [{"name": "sql", "port": 3306, "targetPort": 13306, "protocol": "TCP"}]
        spec = {"clusterIP": "None", "selector": {"app": name}, "ports": ports, **spec}
        self.admin().request(
            "POST",
            f"/api/v1/namespaces/{namespace}/services",
            body={"kind": "Service", "apiVersion": "v1", "metadata": {"name": name}, "spec": spec},
        )


class StandInWorld(World):
    """The stand-in."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.server = StandIn(folder)
        self._token = secrets.token_hex(12)
        self._admin = secrets.token_hex(12)
        users = self.server.users
        users.tokens |= {self._token: "limited", self._admin: "admin"}
        users.admins.add("admin")

    @property
    def token(self) -> str:
        return self._token

    def kubeconfig(self, user: JSON | None = None, name: str = "config") -> Path:
        return self.server.kubeconfig(name, user or {"token": self._token})

    def admin(self) -> Cluster:
        path = self.server.kubeconfig("admin.config", {"token": self._admin})
        return Cluster.load(ClusterConfig(kubeconfig=path))

    def allow(self, namespace: str, role: JSON) -> None:
        rules = self.server.users.rules.setdefault("limited", [])
        rules += [
            Rule(
                namespace,
                tuple(each["resources"]),
                tuple(each["verbs"]),
                tuple(each["apiGroups"]),
                tuple(each.get("resourceNames", ())),
            )
            for each in role["rules"]
        ]

    def make_pod(
        self, namespace: str, name: str, labels: dict[str, str], *, ready: bool = True
    ) -> None:
        ports = [{"containerPort": 13306, "name": "mysql"}]
        spec = {"containers": [{"name": "main", "image": "none.invalid/standin:1", "ports": ports}]}
        self.server.store.create(
            _pod(namespace, ""), {"metadata": {"name": name, "labels": labels}, "spec": spec}
        )
        self.set_ready(namespace, name, ready)

    def make_pod_of(self, namespace: str, statefulset: str) -> str:
        name = f"{statefulset}-0"
        owner = self.server.store.get(_set(namespace, statefulset))
        template = owner["spec"]["template"]
        reference = {
            "apiVersion": "apps/v1",
            "kind": "StatefulSet",
            "name": statefulset,
            "uid": owner["metadata"]["uid"],
            "controller": True,
        }
        meta = {
            "name": name,
            "labels": dict(template["metadata"]["labels"]),
            "ownerReferences": [reference],
        }
        self.server.store.create(_pod(namespace, ""), {"metadata": meta, "spec": template["spec"]})
        self.set_ready(namespace, name, False)
        return name

    def _count(self, pod: JSON, *, ready: bool) -> None:
        """What the controller writes down of its pod."""
        meta = pod["metadata"]
        for each in meta.get("ownerReferences", []):
            where = _set(meta["namespace"], each["name"])
            if self.server.store.has(where):
                generation = self.server.store.get(where)["metadata"]["generation"]
                status = {"observedGeneration": generation, "readyReplicas": int(ready)}
                self.server.store.merge(where._replace(subresource="status"), {"status": status})

    def set_ready(self, namespace: str, name: str, ready: bool, waiting: str | None = None) -> None:
        ready = ready and not waiting
        status: JSON = {
            "phase": "Pending" if waiting else "Running",
            "conditions": [
                {"type": "PodScheduled", "status": "True"},
                {"type": "Ready", "status": "True" if ready else "False"},
            ],
            "containerStatuses": [
                {
                    "name": "main",
                    "ready": ready,
                    "state": {"waiting": {"reason": waiting}} if waiting else {"running": {}},
                }
            ],
        }
        self._count(self.server.store.merge(_pod(namespace, name), {"status": status}), ready=ready)

    def delete_pod(self, namespace: str, name: str, *, terminating: bool = False) -> None:
        if terminating:
            going = {"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}
            self.server.store.merge(_pod(namespace, name), going)
            return
        self._count(self.server.store.delete(_pod(namespace, name)), ready=False)
        self.server.cut(f"{namespace}/{name}")

    def lead(self, namespace: str, pod: str, where: int | str) -> None:
        self.server.map[f"{namespace}/{pod}"] = where

    def cut(self) -> None:
        self.server.cut()


class RealWorld(World):
    """A kube-apiserver, whose controllers and node a program of the machine's plays."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._home = Path(os.environ["METASTORE_TEST_KUBECONFIG"]).absolute().parent
        spec = importlib.util.spec_from_file_location(
            "apiserver_rig", os.environ["METASTORE_TEST_APISERVER_RIG"]
        )
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        self._rig = module.Rig(str(self._home))
        limited = (self._home / "limited.kubeconfig").read_text()
        found = re.search(r"token: ([0-9a-f]+)", limited)
        assert found is not None
        self._token, self._limited = found[1], limited

    @property
    def token(self) -> str:
        return self._token

    def kubeconfig(self, user: JSON | None = None, name: str = "config") -> Path:
        path = self.folder / name
        user = user or {"token": self._token}
        path.write_text(
            re.sub(r"user: \{token: [^}]*\}", f"user: {json.dumps(user)}", self._limited)
        )
        return path

    def admin(self) -> Cluster:
        path = Path(os.environ["METASTORE_TEST_KUBECONFIG"])
        return Cluster.load(ClusterConfig(kubeconfig=path, connect_timeout=60))

    def allow(self, namespace: str, role: JSON) -> None:
        path = self.folder / "role.json"
        path.write_text(json.dumps(role))
        self._rig.bind_role(namespace, str(path))

    def make_pod(
        self, namespace: str, name: str, labels: dict[str, str], *, ready: bool = True
    ) -> None:
        self._rig.make_pod(namespace, name, labels, [13306], ready=ready)

    def make_pod_of(self, namespace: str, statefulset: str) -> str:
        name = f"{statefulset}-0"
        self._rig.make_pod(namespace, name, statefulset=statefulset, ready=False)
        return name

    def set_ready(self, namespace: str, name: str, ready: bool, waiting: str | None = None) -> None:
        self._rig.set_ready(namespace, name, ready, waiting)

    def delete_pod(self, namespace: str, name: str, *, terminating: bool = False) -> None:
        self._rig.delete_pod(namespace, name, terminating=terminating)

    def lead(self, namespace: str, pod: str, where: int | str) -> None:
        self._rig.set_map({f"{namespace}/{pod}": where})

    def cut(self) -> None:
        self._rig.cut()


def _pod(namespace: str, name: str) -> Where:
    return Where(KINDS["v1", "pods"], namespace, name, "")


def _set(namespace: str, name: str) -> Where:
    return Where(KINDS["apps/v1", "statefulsets"], namespace, name, "")


def real_world(folder: Path) -> RealWorld:
    """The real one, or a skip."""
    for name in ("METASTORE_TEST_KUBECONFIG", "METASTORE_TEST_APISERVER_RIG"):
        if not os.environ.get(name):
            pytest.skip(f"{name} is not set: lost is the proof on a real API server")
    return RealWorld(folder)
