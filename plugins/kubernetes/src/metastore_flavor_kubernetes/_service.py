"""Bringing a store's service up in a cluster, and taking it down."""

from __future__ import annotations

import logging

from metastore import ConflictError, InvalidError, Offender, OpenError
from metastore.kube import Cluster
from metastore_flavor_kubernetes import _rights
from metastore_flavor_kubernetes._manifest import (
    CLAIM,
    JSON,
    POLICY,
    SECRET,
    SERVICE,
    STATEFUL_SET,
    Kind,
    applied_of,
)
from metastore_flavor_kubernetes._objects import Objects
from metastore_flavor_kubernetes._waiting import wait_until_ready
from metastore_flavor_kubernetes.config import KubernetesConfig

__all__ = ["bring_up", "objects_of", "suspend", "take_down"]

_log = logging.getLogger("metastore.service")


def objects_of(config: KubernetesConfig) -> Objects:
    """Those of a store, in the cluster that its config means."""
    return Objects(config, Cluster.load(config))


def bring_up(config: KubernetesConfig) -> None:
    """Make what is missing, change what differs, and wait until the pod is ready.

    Raises
    ------
    OpenError
        A right or the namespace is missing, or the secret of data that are there; nothing was
        changed.
    AlreadyExistsError
        Something else has the name; nothing was changed.
    InvalidError
        The data are another server's; nothing was changed.
    ConflictError
        Something of it is being deleted.
    StorageError
        The cluster refuses something, or the pod does not become ready.
    """
    objects = objects_of(config)
    _log.info("in namespace %s of %s", objects.namespace, objects.cluster.location)
    _rights.check(objects.cluster, objects.namespace, _rights.for_making(config))
    found = objects.read_all()
    _check_found(objects, found)
    if found[SECRET] is None and objects.make_secret():
        _log.info("%s: made, with new passwords", objects.words(SECRET))
    else:
        _log.info("%s: unchanged", objects.words(SECRET))
    _log.info("%s: %s", objects.words(CLAIM), objects.apply_claim(found[CLAIM]))
    for kind in applied_of(config):
        _log.info("%s: %s", objects.words(kind), objects.apply_other(kind, found[kind]))
    if not config.network_policy and found[POLICY] is not None and objects.delete(POLICY):
        _log.info("%s: deleted", objects.words(POLICY))
    wait_until_ready(objects)
    _log.info("pod %s: ready", config.pod_name)


def _check_found(objects: Objects, found: dict[Kind, JSON | None]) -> None:
    """Refuse to build on what is there where that would lose data, or fail later."""
    for kind, each in found.items():
        if each is not None and "deletionTimestamp" in each["metadata"]:
            raise ConflictError(
                f"the {objects.words(kind)} in namespace {objects.namespace!r} is being deleted",
                hint="wait until it is gone, then try again",
                offender=Offender(kind.words, name=kind.name(objects.config)),
            )
    claim, config = found[CLAIM], objects.config
    if claim is None:
        return
    where = f"in namespace {objects.namespace!r}"
    if found[SECRET] is None:
        raise OpenError(
            f"the {objects.words(CLAIM)} {where} has the data of a store, and the"
            f" {objects.words(SECRET)} with its passwords is gone",
            hint="restore the secret from a backup; or, if the data may be lost, delete them with"
            " 'metastore store down --delete-data'",
            offender=Offender("secret", name=config.secret_name),
        )
    server = (claim["metadata"].get("labels") or {}).get("app.kubernetes.io/name")
    if server != config.server:
        raise InvalidError(
            f"the data of the {objects.words(CLAIM)} {where} are those of {server}, and the setting"
            f" server is {config.server}",
            hint=f"set server to {server}; to change it, move the data to another store",
            offender=Offender("store", property="server"),
        )


def take_down(config: KubernetesConfig, *, delete_data: bool) -> None:
    """Delete the service; with `delete_data` also the claim and the secret.

    Raises
    ------
    OpenError
        A right is missing; nothing was changed.
    AlreadyExistsError
        Something of that name is not the store's; nothing was changed.
    """
    objects = objects_of(config)
    wanted = _rights.for_deleting(config, delete_data=delete_data)
    _rights.check(objects.cluster, objects.namespace, wanted)
    objects.read_all()
    # The passwords last: data without them are what `bring_up` refuses.
    order = (STATEFUL_SET, SERVICE, POLICY, *((CLAIM, SECRET) if delete_data else ()))
    for kind in order:
        done = "deleted" if objects.delete(kind) else "was not there"
        _log.info("%s: %s", objects.words(kind), done)
    if not delete_data:
        _log.info(
            "%s and %s stay in namespace %s: the data, and their passwords",
            objects.words(CLAIM),
            objects.words(SECRET),
            objects.namespace,
        )


def suspend(config: KubernetesConfig) -> None:
    """Let the pod end, and everything else stay; raises as `bring_up`."""
    objects = objects_of(config)
    found = objects.read_all()[STATEFUL_SET]
    if found is not None:
        objects.apply_other(STATEFUL_SET, found, replicas=0)
