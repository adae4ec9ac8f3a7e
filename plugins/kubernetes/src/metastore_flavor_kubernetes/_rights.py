"""What a user needs to be allowed to, and whether he is."""

from __future__ import annotations

from typing import Any, NamedTuple

from metastore import Offender, OpenError
from metastore.kube import Cluster
from metastore_flavor_kubernetes.config import KubernetesConfig

__all__ = ["check", "for_deleting", "for_making", "role"]

_REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


class Right(NamedTuple):
    """A verb on a resource, of one object where it is named."""

    group: str
    resource: str
    verb: str
    name: str = ""

    def __str__(self) -> str:
        resource = f"{self.resource}.{self.group}" if self.group else self.resource
        return f"{self.verb} {resource}" + (f" {self.name!r}" if self.name else "")


def _rules(config: KubernetesConfig) -> list[tuple[str, str, tuple[str, ...], str]]:
    """Group, resource, verbs and name of what whoever makes the service is granted.

    The same as in `docs/flavors/kubernetes.md`.
    """
    all_verbs = ("create", "get", "patch", "delete")
    # What is named cannot be listed or created by name alone; what can be, is.
    return [
        ("", "secrets", ("create",), ""),
        ("", "secrets", ("get", "delete"), config.secret_name),
        ("", "persistentvolumeclaims", all_verbs, ""),
        ("", "services", all_verbs, ""),
        ("networking.k8s.io", "networkpolicies", all_verbs, ""),
        ("apps", "statefulsets", all_verbs, ""),
        *_using(config)[2:],
        ("", "events", ("list",), ""),
    ]


def _using(config: KubernetesConfig) -> list[tuple[str, str, tuple[str, ...], str]]:
    """The same of who only uses the store, through a forwarded port."""
    return [
        ("", "services", ("get",), config.name),
        ("", "secrets", ("get",), config.secret_name),
        ("", "pods", ("list",), ""),
        ("", "pods/portforward", ("get", "create"), config.pod_name),
    ]


def role(config: KubernetesConfig, *, making: bool = True) -> dict[str, Any]:
    """The smallest Role for who makes the service, or who uses the store."""
    rules = _rules(config) if making else _using(config)
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": f"{config.name}-{'operator' if making else 'user'}"},
        "rules": [
            {
                "apiGroups": [group],
                "resources": [resource],
                "verbs": list(verbs),
                **({"resourceNames": [name]} if name else {}),
            }
            for group, resource, verbs, name in rules
        ],
    }


def for_making(config: KubernetesConfig) -> list[Right]:
    """What `provision` does."""
    return [each for each in _rights(config) if each.verb != "delete"]


def for_deleting(config: KubernetesConfig, *, delete_data: bool) -> list[Right]:
    """What `deprovision` does."""
    data = ("secrets", "persistentvolumeclaims")
    return [
        each
        for each in _rights(config)
        if each.verb == "delete" and (delete_data or each.resource not in data)
    ]


def _rights(config: KubernetesConfig) -> list[Right]:
    found = [
        Right(group, resource, verb, name)
        for group, resource, verbs, name in _rules(config)
        for verb in verbs
    ]
    # Of every resource whose objects have the store's name, that one object is what is asked for.
    names = {"persistentvolumeclaims": config.claim_name}
    named = ("persistentvolumeclaims", "services", "networkpolicies", "statefulsets")
    return [
        each._replace(name=names.get(each.resource, config.name))
        if each.resource in named and each.verb != "create"
        else each
        for each in dict.fromkeys(found)
    ]


def check(cluster: Cluster, namespace: str, wanted: list[Right]) -> None:
    """Ask for each right, before anything is done.

    Raises
    ------
    OpenError
        Some are missing; the message has all of them.
    MetastoreError
        As `Cluster.request`.
    """
    missing = [each for each in wanted if not _has(cluster, namespace, each)]
    if missing:
        raise OpenError(
            f"this user lacks rights in namespace {namespace!r} of {cluster.location}: "
            + ", ".join(map(str, missing))
            + "; nothing was changed",
            hint="bind the Role of docs/flavors/kubernetes.md to the user, or ask who may",
            offender=Offender("namespace", name=namespace),
        )


def _has(cluster: Cluster, namespace: str, right: Right) -> bool:
    resource, _, subresource = right.resource.partition("/")
    attributes = {
        "namespace": namespace,
        "group": right.group,
        "resource": resource,
        "subresource": subresource,
        "verb": right.verb,
        "name": right.name,
    }
    answer = cluster.request(
        "POST",
        _REVIEWS,
        body={
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": {key: text for key, text in attributes.items() if text}},
        },
    )
    return bool(answer.get("status", {}).get("allowed"))
