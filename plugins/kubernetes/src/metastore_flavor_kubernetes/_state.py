"""What there is of a store's service, and what of it is not as the settings say."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from metastore import OpenError
from metastore.kube.failures import UnauthorizedError
from metastore_flavor_kubernetes._manifest import (
    CLAIM,
    JSON,
    KINDS,
    SECRET,
    STATEFUL_SET,
    Kind,
    applied_of,
    claim,
    object_of,
)
from metastore_flavor_kubernetes._objects import Objects
from metastore_flavor_kubernetes._waiting import why_not
from metastore_flavor_kubernetes.config import quantity

__all__ = ["describe", "differences"]

_QUANTITIES = ("cpu", "memory", "storage")


def describe(objects: Objects) -> list[tuple[str, str]]:
    """A line for each object, and one for the pod."""
    lines = [(kind.words, _words(objects, kind)) for kind in KINDS]
    try:
        why = why_not(objects)
        pod = f"not ready: {why}" if why else "ready"
    except OpenError as error:
        pod = _hidden(error)
    return [*lines, ("pod", pod)]


def _words(objects: Objects, kind: Kind) -> str:
    try:
        found = objects.read(kind)
    except OpenError as error:
        return _hidden(error)
    if found is None:
        unwanted = kind not in (*applied_of(objects.config), SECRET, CLAIM)
        return "not there, as the settings say" if unwanted else "not there"
    if "deletionTimestamp" in found["metadata"]:
        return "being deleted"
    parts = [kind.name(objects.config), *_of_kind(kind, found)]
    differing = list(differences(_wanted(objects, kind), found))
    if differing:
        parts.append(f"differs from the settings: {'; '.join(differing)}")
    return ", ".join(parts)


def _hidden(error: OpenError) -> str:
    """For who may use the store, and not look at all of its parts."""
    if isinstance(error, UnauthorizedError) or "(403)" not in error.message:
        raise error
    return "this user may not see it"


def _of_kind(kind: Kind, found: JSON) -> Iterator[str]:
    if kind is CLAIM:
        yield (found.get("status") or {}).get("phase", "Pending")
        yield found["spec"]["resources"]["requests"]["storage"]
    if kind is STATEFUL_SET:
        ready = (found.get("status") or {}).get("readyReplicas", 0)
        yield f"{ready} of {found['spec'].get('replicas', 1)} ready"


def _wanted(objects: Objects, kind: Kind) -> JSON:
    config, namespace = objects.config, objects.namespace
    if kind is CLAIM:
        size = config.storage_size
        return claim(config, namespace, size=size, storage_class=config.storage_class)
    return object_of(kind, config, namespace)


def differences(wanted: Any, found: Any, where: str = "") -> Iterator[str]:
    """What of the wanted object is otherwise in the one that is there, in words.

    What is there and not wanted is left out: the cluster fills in defaults, and others add labels.
    """
    if isinstance(wanted, dict) and isinstance(found, dict):
        for key, value in wanted.items():
            yield from differences(value, found.get(key), f"{where}.{key}" if where else key)
    elif isinstance(wanted, list) and isinstance(found, list):
        names = {each.get("name"): each for each in found if isinstance(each, dict)}
        for at, value in enumerate(wanted):
            name = value.get("name") if isinstance(value, dict) else None
            other = names.get(name) if name else found[at] if at < len(found) else None
            yield from differences(value, other, f"{where}[{name or at}]")
        if len(found) > len(wanted):
            yield f"{where} has {len(found) - len(wanted)} more than that"
    elif not _is_same(wanted, found, where):
        yield f"{where} is {found if found is not None else 'not there'}, not {wanted}"


def _is_same(wanted: Any, found: Any, where: str) -> bool:
    if wanted == found or (found is None and wanted in ({}, [])):
        return True
    if where.rpartition(".")[2] in _QUANTITIES and isinstance(found, str):
        # The cluster writes 1000m as 1.
        return quantity(wanted) == quantity(found)
    return False
