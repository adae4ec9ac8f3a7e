"""A store's objects in its cluster: read, made, applied, deleted."""

from __future__ import annotations

import base64
import secrets
from typing import Any

from metastore import (
    AlreadyExistsError,
    InvalidError,
    MetastoreError,
    NotFoundError,
    Offender,
    OpenError,
    StorageError,
)
from metastore.kube import Cluster
from metastore_flavor_kubernetes._manifest import (
    CLAIM,
    JSON,
    KINDS,
    MANAGER,
    SECRET,
    USER,
    Kind,
    claim,
    labels_of,
    object_of,
    secret,
)
from metastore_flavor_kubernetes.config import KubernetesConfig, quantity

__all__ = ["Objects"]

_LETTERS = 32
"""Bytes of a password: more than anybody guesses."""


class Objects:
    """Those of one store; `cluster` and `namespace` are where they are."""

    def __init__(self, config: KubernetesConfig, cluster: Cluster) -> None:
        self.config = config
        self.cluster = cluster
        self.namespace = config.namespace or cluster.namespace

    def read(self, kind: Kind) -> JSON | None:
        """The object; None where there is none."""
        try:
            return self.cluster.request("GET", kind.path(self.namespace, kind.name(self.config)))
        except NotFoundError:
            return None

    def read_all(self) -> dict[Kind, JSON | None]:
        """All of them; each of ours, or not there.

        Raises
        ------
        AlreadyExistsError
            Something of that name is not the store's.
        """
        found = {kind: self.read(kind) for kind in KINDS}
        for kind, each in found.items():
            if each is not None and not self._is_ours(each):
                raise AlreadyExistsError(
                    f"there is a {kind.words} {kind.name(self.config)!r} in namespace"
                    f" {self.namespace!r} that is not of this store; nothing was changed",
                    hint="choose another name for the store"
                    + (
                        "; or label the secret, if it is the store's, as the comment in"
                        " 'metastore store up --dry-run' says" * (kind is SECRET)
                    ),
                    offender=Offender(kind.words, name=kind.name(self.config)),
                )
        return found

    def _is_ours(self, found: JSON) -> bool:
        labels, ours = found["metadata"].get("labels") or {}, labels_of(self.config)
        return all(
            labels.get(key) == ours[key]
            for key in ("app.kubernetes.io/managed-by", "app.kubernetes.io/instance")
        )

    def words(self, kind: Kind) -> str:
        """The object, for people."""
        return f"{kind.words} {kind.name(self.config)!r}"

    # Making.

    def make_secret(self) -> bool:
        """Make the secret with new passwords; False where somebody was quicker.

        Once and by POST: what is applied again would be other passwords than those that the server
        has in its data.
        """
        texts = {
            "username": USER,
            "password": secrets.token_urlsafe(_LETTERS),
            "root-password": secrets.token_urlsafe(_LETTERS),
        }
        data = {key: base64.b64encode(text.encode()).decode() for key, text in texts.items()}
        body = secret(self.config, self.namespace, data)
        failure: MetastoreError
        try:
            self.cluster.request("POST", SECRET.path(self.namespace), body=body)
            return True
        except AlreadyExistsError:
            return False
        except NotFoundError:
            failure = self._without_namespace()
        # Outside of the handler, and without the body: a traceback may show variables.
        del texts, data, body
        raise failure

    def _without_namespace(self) -> MetastoreError:
        return OpenError(
            f"there is no namespace {self.namespace!r} in {self.cluster.location}",
            hint=f"kubectl create namespace {self.namespace}, or correct namespace and context",
            offender=Offender("namespace", name=self.namespace),
        )

    def apply(self, kind: Kind, wanted: JSON, before: JSON | None) -> str:
        """Apply an object as ours, whoever else changed its fields; made, changed or unchanged."""
        try:
            after = self.cluster.request(
                "PATCH",
                kind.path(self.namespace, kind.name(self.config)),
                query={"fieldManager": MANAGER, "force": True},
                body=wanted,
                content_type="application/apply-patch+yaml",
            )
        except NotFoundError as error:
            raise self._without_namespace() from error
        except InvalidError as error:
            # It is the cluster that refuses, not the user who wrote something wrong.
            raise StorageError(
                error.message,
                hint="correct the setting it speaks of; what cannot change needs a new store",
                offender=error.offender,
            ) from error
        if before is None:
            return "made"
        # Not by their version: servers raise that of some objects at every call.
        return "unchanged" if _essence(before) == _essence(after) else "changed"

    def apply_claim(self, before: JSON | None) -> str:
        """Make the claim, or let it grow; whatever else of it is there, stays."""
        config = self.config
        size, storage_class = config.storage_size, config.storage_class
        shrinks = False
        if before is not None:
            has = before["spec"]["resources"]["requests"]["storage"]
            shrinks = quantity(has) > quantity(size)
            size = has if quantity(has) >= quantity(size) else size
            storage_class = before["spec"].get("storageClassName")
        wanted = claim(config, self.namespace, size=size, storage_class=storage_class)
        done = self.apply(CLAIM, wanted, before)
        return f"{done} (it has {size}, and cannot shrink)" if shrinks else done

    def apply_other(self, kind: Kind, before: JSON | None, **spec: Any) -> str:
        """Apply one of the others, with some fields of its spec set differently."""
        wanted = object_of(kind, self.config, self.namespace)
        wanted["spec"] |= spec
        return self.apply(kind, wanted, before)

    # Taking away.

    def delete(self, kind: Kind) -> bool:
        """Delete the object; False where there was none."""
        try:
            self.cluster.request(
                "DELETE",
                kind.path(self.namespace, kind.name(self.config)),
                body={
                    "kind": "DeleteOptions",
                    "apiVersion": "v1",
                    "propagationPolicy": "Background",
                },
            )
        except NotFoundError:
            return False
        return True


def _essence(found: JSON) -> JSON:
    """What of an object somebody has said."""
    labels = found["metadata"].get("labels")
    return {"labels": labels, "spec": found.get("spec")}
