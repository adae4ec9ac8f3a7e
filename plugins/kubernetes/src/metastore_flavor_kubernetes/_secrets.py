"""Secrets of a cluster: ``k8s:namespace/secret/key``, and those that a store was made with."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from metastore import InvalidError, NotFoundError, Offender
from metastore.kube import Cluster, ClusterConfig

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["SECRETS", "read_secret", "resolve", "value_of"]

SECRETS = "/api/v1/namespaces/{namespace}/secrets"


def resolve(reference: str) -> str:
    """What stands behind ``k8s:`` in a reference, looked up.

    The cluster is the one that kubectl means, or that METASTORE_KUBERNETES__KUBECONFIG and
    METASTORE_KUBERNETES__CONTEXT name; inside a pod its own.

    Raises
    ------
    InvalidError
        The reference is not ``namespace/secret/key``.
    NotFoundError
        There is no such secret, or it has no such key.
    OpenError, StorageError
        The cluster cannot be asked, or does not let this user read it.
    """
    parts = reference.split("/")
    if len(parts) != 3 or not all(parts):
        # Without what was given: a password may begin so.
        raise InvalidError(
            "the reference k8s:... names no secret",
            hint="write k8s:namespace/secret/key",
            offender=Offender("secret"),
        )
    namespace, name, key = parts
    fields = {"namespace": namespace}
    cluster = Cluster.load(ClusterConfig.checked("kubernetes", fields))
    return value_of(read_secret(cluster, namespace, name), key)


def read_secret(cluster: Cluster, namespace: str, name: str) -> Mapping[str, Any]:
    """A secret, as the API server gives it.

    Raises
    ------
    NotFoundError
        There is none of that name.
    MetastoreError
        As `Cluster.request`.
    """
    from urllib.parse import quote

    where = SECRETS.format(namespace=quote(namespace))
    return cluster.request("GET", f"{where}/{quote(name)}")


def value_of(secret: Mapping[str, Any], key: str) -> str:
    """One of its values, as text.

    Raises
    ------
    NotFoundError
        It has no such key.
    InvalidError
        The value is no text.
    """
    meta, data = secret["metadata"], secret.get("data") or {}
    shown = f"the secret {meta['name']!r} in namespace {meta['namespace']!r}"
    offender = Offender("secret", name=meta["name"], property=key)
    if key not in data:
        known = ", ".join(sorted(data)) or "none"
        raise NotFoundError(f"{shown} has no key {key!r}", hint=f"its keys: {known}",
                            offender=offender)  # fmt: skip
    try:
        return base64.b64decode(data[key]).decode()
    except ValueError:
        # The cause would hold the value.
        raise InvalidError(f"the key {key!r} of {shown} is no text", offender=offender) from None
