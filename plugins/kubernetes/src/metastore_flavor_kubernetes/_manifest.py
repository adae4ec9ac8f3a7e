"""What is made in the cluster: plain functions from a config to objects of its API."""

from __future__ import annotations

from typing import Any, NamedTuple
from urllib.parse import quote

from metastore_flavor_kubernetes._servers import SERVERS
from metastore_flavor_kubernetes.config import PORT, KubernetesConfig

__all__ = [
    "CLAIM",
    "JSON",
    "KINDS",
    "MANAGER",
    "POLICY",
    "SECRET",
    "SERVICE",
    "STATEFUL_SET",
    "USER",
    "Kind",
    "applied_of",
    "claim",
    "labels_of",
    "object_of",
    "secret",
    "selector_of",
]

JSON = dict[str, Any]
USER = "metastore"
"""Who logs in, with all rights to the one database and none beyond it."""
ACCOUNT = 999
"""User and group of the server in both images."""
_MOUNTED = "/run/secrets/metastore"
MANAGER = "metastore"
"""Under which our fields are known to the API server, and our objects to us."""


class Kind(NamedTuple):
    """A resource of the API, of which a store has one object."""

    version: str
    resource: str
    kind: str
    words: str
    """For people."""

    def path(self, namespace: str, name: str = "") -> str:
        """Where its objects are, or one of them."""
        root = f"apis/{self.version}" if "/" in self.version else f"api/{self.version}"
        end = f"/{quote(name)}" if name else ""
        return f"/{root}/namespaces/{quote(namespace)}/{self.resource}{end}"

    def name(self, config: KubernetesConfig) -> str:
        """The name of the store's one."""
        return config.claim_name if self is CLAIM else config.name


SECRET = Kind("v1", "secrets", "Secret", "secret")
CLAIM = Kind("v1", "persistentvolumeclaims", "PersistentVolumeClaim", "claim")
SERVICE = Kind("v1", "services", "Service", "service")
POLICY = Kind("networking.k8s.io/v1", "networkpolicies", "NetworkPolicy", "network policy")
STATEFUL_SET = Kind("apps/v1", "statefulsets", "StatefulSet", "stateful set")

KINDS = (SECRET, CLAIM, SERVICE, POLICY, STATEFUL_SET)
"""All of them, in the order in which they are made."""


def applied_of(config: KubernetesConfig) -> tuple[Kind, ...]:
    """What is applied, in this order; the secret is made once, and the claim grows only."""
    return (SERVICE, *((POLICY,) if config.network_policy else ()), STATEFUL_SET)


def selector_of(config: KubernetesConfig) -> dict[str, str]:
    """The labels of the pod by which it is found: what can never change, and no more."""
    return {
        "app.kubernetes.io/name": config.server,
        "app.kubernetes.io/instance": config.name,
    }


def labels_of(config: KubernetesConfig) -> dict[str, str]:
    """The labels of everything."""
    return {
        **config.labels,
        **selector_of(config),
        "app.kubernetes.io/component": "database",
        "app.kubernetes.io/part-of": "metastore",
        "app.kubernetes.io/managed-by": MANAGER,
    }


def object_of(kind: Kind, config: KubernetesConfig, namespace: str | None) -> JSON:
    """An object as it is applied; in no namespace, one that whoever applies it chooses."""
    made = {"spec": _SPECS[kind](config)} if kind in _SPECS else {}
    meta: JSON = {"name": kind.name(config)}
    if namespace is not None:
        meta["namespace"] = namespace
    meta["labels"] = labels_of(config)
    return {"apiVersion": kind.version, "kind": kind.kind, "metadata": meta, **made}


def secret(config: KubernetesConfig, namespace: str | None, passwords: dict[str, str]) -> JSON:
    """The secret of these passwords (base64), which nobody changes under living data."""
    made = object_of(SECRET, config, namespace)
    return {**made, "type": "Opaque", "immutable": True, "data": passwords}


def claim(
    config: KubernetesConfig, namespace: str | None, *, size: str, storage_class: str | None
) -> JSON:
    """The claim of the volume."""
    spec: JSON = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": size}},
    }
    if storage_class is not None:
        spec["storageClassName"] = storage_class
    return {**object_of(CLAIM, config, namespace), "spec": spec}


def _service(config: KubernetesConfig) -> JSON:
    return {
        # Headless: there is one pod, and nothing to balance.
        "clusterIP": "None",
        "selector": selector_of(config),
        "ports": [{"name": "mysql", "port": PORT, "targetPort": "mysql", "protocol": "TCP"}],
    }


def _policy(config: KubernetesConfig) -> JSON:
    clients = {"podSelector": {"matchLabels": {f"{config.name}-client": "true"}}}
    return {
        "podSelector": {"matchLabels": selector_of(config)},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [{"from": [clients], "ports": [{"port": PORT, "protocol": "TCP"}]}],
        "egress": [],
    }


def _stateful_set(config: KubernetesConfig) -> JSON:
    return {
        "replicas": 1,
        "serviceName": config.name,
        "selector": {"matchLabels": selector_of(config)},
        "template": {"metadata": {"labels": labels_of(config)}, "spec": _pod(config)},
    }


def _pod(config: KubernetesConfig) -> JSON:
    as_user = {"runAsUser": ACCOUNT, "runAsGroup": ACCOUNT, "fsGroup": ACCOUNT}
    pod: JSON = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 60,
        "securityContext": {
            "runAsNonRoot": True,
            **(as_user if config.fixed_user else {}),
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(config)],
        "volumes": [
            {"name": "data", "persistentVolumeClaim": {"claimName": config.claim_name}},
            {
                "name": "passwords",
                "secret": {
                    "secretName": config.secret_name,
                    "defaultMode": 0o440,
                    "items": [{"key": key, "path": key} for key in ("password", "root-password")],
                },
            },
            {"name": "run", "emptyDir": {}},
            {"name": "tmp", "emptyDir": {}},
        ],
    }
    if config.node_selector:
        pod["nodeSelector"] = dict(config.node_selector)
    if config.tolerations:
        pod["tolerations"] = [dict(each) for each in config.tolerations]
    return pod


def _container(config: KubernetesConfig) -> JSON:
    server = SERVERS[config.server]
    # As files and not as values: those are seen by whoever may look at a pod.
    variables = {
        f"{server.prefix}_ROOT_PASSWORD_FILE": f"{_MOUNTED}/root-password",
        f"{server.prefix}_ROOT_HOST": "localhost",
        f"{server.prefix}_DATABASE": config.database,
        f"{server.prefix}_USER": USER,
        f"{server.prefix}_PASSWORD_FILE": f"{_MOUNTED}/password",
        **dict(server.environment),
    }
    # Over TCP: the entrypoint's own temporary server answers at the socket file only. By a
    # variable of the program: an argument would be in the list of processes.
    ask = (
        f'MYSQL_PWD="$(cat {_MOUNTED}/password)" {server.client} --host=127.0.0.1'
        f" --user={USER} --execute='SELECT 1' {config.database}"
    )
    asks = {"exec": {"command": ["sh", "-c", ask]}, "timeoutSeconds": 5}
    limits = {"memory": config.memory_limit}
    if config.cpu_limit is not None:
        limits["cpu"] = config.cpu_limit
    return {
        "name": "server",
        "image": config.image or server.image,
        "args": list(server.arguments),
        "env": [{"name": name, "value": value} for name, value in variables.items()],
        "ports": [{"name": "mysql", "containerPort": PORT, "protocol": "TCP"}],
        "resources": {
            "requests": {"cpu": config.cpu_request, "memory": config.memory_request},
            "limits": limits,
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        # Five minutes: the first start makes the system tables, on whatever disk there is.
        "startupProbe": {**asks, "periodSeconds": 5, "failureThreshold": 60},
        "readinessProbe": {**asks, "periodSeconds": 10},
        # That it listens: one that is slow to answer must not be killed for it.
        "livenessProbe": {
            "tcpSocket": {"port": "mysql"},
            "periodSeconds": 20,
            "timeoutSeconds": 5,
            "failureThreshold": 6,
        },
        "volumeMounts": [
            # A folder of the volume: its root may hold lost+found, which no data directory may.
            {"name": "data", "mountPath": "/var/lib/mysql", "subPath": "mysql"},
            {"name": "passwords", "mountPath": _MOUNTED, "readOnly": True},
            {"name": "run", "mountPath": "/var/run/mysqld"},
            {"name": "tmp", "mountPath": "/tmp"},
        ],
    }


_SPECS = {SERVICE: _service, POLICY: _policy, STATEFUL_SET: _stateful_set}
