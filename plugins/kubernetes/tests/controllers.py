"""What a cluster's controllers, a node and the server in a pod would do, in a thread of the tests.

For each stateful set it makes the pod and, when that is another one, replaces it; binds claims; and
does what the image's entrypoint does: on a new volume it makes database and user of the secret, in
a MariaDB of this machine, to which the pod's port then leads.
"""

from __future__ import annotations

import base64
import contextlib
import threading
from collections.abc import Callable
from typing import Any

from core.kube_tests.worlds import World
from plugins.mysql.tests.servers import Server

from metastore import NotFoundError

JSON = dict[str, Any]
_PAUSE = 0.02


class Controllers:
    """Those of one namespace; `with` starts and ends them."""

    def __init__(self, world: World, namespace: str, server_of: Callable[[str], Server]) -> None:
        self.world = world
        self.namespace = namespace
        self.admin = world.admin()
        self.instead: Callable[[str], object] | None = None
        """Called with the name of a pod that is made, instead of making it ready."""
        self.makes_pods = True
        self.binds = True
        self.more: list[str] = []
        """Statements that the server's administrator runs for a new user, {user} in them."""
        self.server_of = server_of
        self._volumes: dict[str, Server] = {}
        """By the claim's uid: what has been made is not made again."""
        self._pods: dict[str, tuple[str, int]] = {}
        """By name: of which stateful set, and of which generation of it."""
        self._stop = threading.Event()
        self._step = threading.Lock()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="controllers")

    def __enter__(self) -> Controllers:
        self._thread.start()
        return self

    def rest(self) -> None:
        """Look no more by oneself, which takes its time; `settle` and `replace` still do."""
        self._stop.set()
        self._thread.join()

    def __exit__(self, *_: object) -> None:
        self.rest()
        for server in self._volumes.values():
            server.run("DROP DATABASE IF EXISTS metastore", "DROP USER IF EXISTS metastore@'%'")
        if self._failure is not None:
            raise self._failure

    def path(self, resource: str, name: str = "") -> str:
        """Of a resource in the namespace."""
        groups = {
            "statefulsets": "/apis/apps/v1",
            "networkpolicies": "/apis/networking.k8s.io/v1",
        }
        root = groups.get(resource, "/api/v1")
        return f"{root}/namespaces/{self.namespace}/{resource}{'/' * bool(name)}{name}"

    def get(self, resource: str, name: str) -> JSON | None:
        """An object, for who may everything; None where there is none."""
        try:
            return self.admin.request("GET", self.path(resource, name))
        except NotFoundError:
            return None

    def merge(self, resource: str, name: str, patch: JSON) -> JSON:
        """Change an object, as somebody else."""
        kind = "application/merge-patch+json"
        return self.admin.request("PATCH", self.path(resource, name), body=patch, content_type=kind)

    def delete(self, resource: str, name: str) -> None:
        """Take an object away, as somebody else."""
        self.admin.request("DELETE", self.path(resource, name))

    def warn(self, about: JSON, reason: str, message: str) -> None:
        """Write an event about an object."""
        meta = about["metadata"]
        event = {
            "metadata": {"generateName": "e-", "name": f"e-{meta['uid'][:8]}"},
            "involvedObject": {
                "kind": about["kind"],
                "name": meta["name"],
                "namespace": self.namespace,
                "uid": meta["uid"],
            },
            "type": "Warning",
            "reason": reason,
            "message": message,
            "lastTimestamp": "2026-01-01T00:00:00Z",
        }
        self.admin.request("POST", self.path("events"), body=event)

    def replace(self, name: str) -> None:
        """Take the pod away, and wait until another one is there and ready."""
        with self._step:
            before = self.get("pods", name)
            self._end(name)
            self._look()
            after = self.get("pods", name)
        assert before is not None
        assert after is not None
        assert before["metadata"]["uid"] != after["metadata"]["uid"]

    def settle(self) -> None:
        """Do at once what is to be done."""
        with self._step:
            self._look()

    def _run(self) -> None:
        while not self._stop.wait(_PAUSE):
            try:
                with self._step:
                    self._look()
            except NotFoundError:
                # It went while we looked.
                continue
            except BaseException as error:  # noqa: BLE001 - raised where the block ends
                self._failure = error
                return

    def _look(self) -> None:
        sets = self.admin.request("GET", self.path("statefulsets"))["items"]
        wanted = {f"{each['metadata']['name']}-0": each for each in sets}
        for name in self._pods.keys() - wanted.keys():
            self._end(name)
        for name, owner in wanted.items():
            meta = owner["metadata"]
            now = meta["uid"], meta["generation"]
            if name in self._pods and (self._pods[name] != now or not owner["spec"]["replicas"]):
                self._end(name)
            if owner["spec"]["replicas"] and name not in self._pods:
                self._begin(name, owner)
                self._pods[name] = now

    def _end(self, name: str) -> None:
        # Whatever each world says of one that is gone already.
        with contextlib.suppress(Exception):
            self.world.delete_pod(self.namespace, name)
        self._pods.pop(name, None)

    def _begin(self, name: str, owner: JSON) -> None:
        base = owner["metadata"]["name"]
        volumes = {each["name"]: each for each in owner["spec"]["template"]["spec"]["volumes"]}
        claim = self.get(
            "persistentvolumeclaims", volumes["data"]["persistentVolumeClaim"]["claimName"]
        )
        secret = self.get("secrets", volumes["passwords"]["secret"]["secretName"])
        if claim is None or secret is None:
            # The kubelet waits for both.
            return
        if self.binds:
            self.merge(
                "persistentvolumeclaims",
                f"{claim['metadata']['name']}/status",
                {"status": {"phase": "Bound"}},
            )
        if not self.makes_pods:
            return
        self.world.make_pod_of(self.namespace, base)
        if self.instead is not None:
            self.instead(name)
            return
        server, uid = self.server_of(base), claim["metadata"]["uid"]
        if uid not in self._volumes:
            self._initialise(server, owner, secret)
            self._volumes[uid] = server
        self.world.lead(self.namespace, name, server.port)
        self.world.set_ready(self.namespace, name, True)

    def _initialise(self, server: Server, owner: JSON, secret: JSON) -> None:
        """What the entrypoint does on a new volume."""
        container = owner["spec"]["template"]["spec"]["containers"][0]
        variables = {each["name"].partition("_")[2]: each["value"] for each in container["env"]}
        mounted = {each["name"]: each["mountPath"] for each in container["volumeMounts"]}
        key = variables["PASSWORD_FILE"].removeprefix(f"{mounted['passwords']}/")
        password = base64.b64decode(secret["data"][key]).decode()
        user, database = variables["USER"], variables["DATABASE"]
        server.run(
            f"DROP DATABASE IF EXISTS {database}",
            f"DROP USER IF EXISTS {user}@'%'",
            f"CREATE DATABASE {database}",
            f"CREATE USER {user}@'%' IDENTIFIED BY '{password}'",
            f"GRANT ALL ON {database}.* TO {user}@'%'",
            *(each.format(user=user) for each in self.more),
        )
