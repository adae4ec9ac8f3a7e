"""What a stand-in API server keeps: objects of any resource, and who may do what with them.

Knows nothing of HTTP.  Messages and forms of refusals are those of kube-apiserver 1.20.2, recorded
from one by hand.
"""

from __future__ import annotations

import copy
import itertools
import threading
import uuid
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any, NamedTuple

from .checks import changes_refused, contents_refused

JSON = dict[str, Any]


class RefusalError(Exception):
    """An answer that is none of success."""

    def __init__(self, code: int, reason: str, message: str, details: JSON | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.status: JSON = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": message,
            "reason": reason,
            **({"details": details} if details else {}),
            "code": code,
        }


class Kind(NamedTuple):
    """A resource that the stand-in knows."""

    group_version: str
    resource: str
    kind: str
    namespaced: bool = True

    @property
    def group(self) -> str:
        """Empty for the core one."""
        return self.group_version.rpartition("/")[0]


KINDS = {
    (each.group_version, each.resource): each
    for each in (
        Kind("v1", "namespaces", "Namespace", namespaced=False),
        Kind("v1", "pods", "Pod"),
        Kind("v1", "services", "Service"),
        Kind("v1", "secrets", "Secret"),
        Kind("v1", "configmaps", "ConfigMap"),
        Kind("v1", "persistentvolumeclaims", "PersistentVolumeClaim"),
        Kind("v1", "events", "Event"),
        Kind("apps/v1", "statefulsets", "StatefulSet"),
        Kind("networking.k8s.io/v1", "networkpolicies", "NetworkPolicy"),
        Kind("storage.k8s.io/v1", "storageclasses", "StorageClass", namespaced=False),
    )
}
"""Another resource needs a line here; what differs from create, read, change and delete, code."""


class Where(NamedTuple):
    """What a path of the API names."""

    kind: Kind
    namespace: str
    name: str
    subresource: str

    @classmethod
    def parse(cls, path: str) -> Where:
        """The parts of a path, such as ``/api/v1/namespaces/ml/pods/db-0/portforward``."""
        steps = path.strip("/").split("/")
        version, steps = (
            ("/".join(steps[1:3]), steps[3:]) if steps[0] == "apis" else (steps[1], steps[2:])
        )
        namespace = ""
        if len(steps) > 2 and steps[0] == "namespaces" and steps[2] != "status":
            namespace, steps = steps[1], steps[2:]
        resource, name, sub = [*steps, "", "", ""][:3]
        if (version, resource) not in KINDS:
            raise LookupError(path)
        return cls(KINDS[version, resource], namespace, name, sub)


class Rule(NamedTuple):
    """A rule of a Role."""

    namespace: str
    resources: tuple[str, ...]
    verbs: tuple[str, ...]
    groups: tuple[str, ...] = ("",)
    names: tuple[str, ...] = ()
    """Of the objects that it is about; of all where there are none."""


class Users:
    """Tokens, and what their users may do; an admin may everything."""

    def __init__(self) -> None:
        self.tokens: dict[str, str] = {}
        self.admins: set[str] = set()
        self.rules: dict[str, list[Rule]] = {}

    def who(self, header: str | None) -> str:
        """The user of an Authorization header."""
        scheme, _, token = (header or "").partition(" ")
        if scheme.lower() != "bearer" or token.strip() not in self.tokens:
            raise RefusalError(401, "Unauthorized", "Unauthorized")
        return self.tokens[token.strip()]

    def may(
        self, user: str, verb: str, group: str, resource: str, namespace: str, name: str
    ) -> bool:
        """Whether some rule allows it."""
        return user in self.admins or any(
            rule.namespace == namespace
            and resource in rule.resources
            and verb in rule.verbs
            and group in rule.groups
            and (not rule.names or name in rule.names)
            for rule in self.rules.get(user, [])
        )

    def review(self, user: str, given: JSON) -> JSON:
        """A SelfSubjectAccessReview, answered."""
        asked = given["spec"]["resourceAttributes"]
        resource = "/".join(filter(None, (asked["resource"], asked.get("subresource"))))
        allowed = self.may(
            user,
            asked["verb"],
            asked.get("group", ""),
            resource,
            asked.get("namespace", ""),
            asked.get("name", ""),
        )
        return {**given, "status": {"allowed": allowed}}

    def check(self, user: str, verb: str, where: Where) -> None:
        """Refuse what no rule allows."""
        resource = "/".join(filter(None, (where.kind.resource, where.subresource)))
        group = where.kind.group
        if self.may(user, verb, group, resource, where.namespace, where.name):
            return
        name = f' "{where.name}"' if where.name else ""
        place = f' in the namespace "{where.namespace}"' if where.namespace else ""
        raise RefusalError(
            403,
            "Forbidden",
            f'{where.kind.resource}{name} is forbidden: User "{user}" cannot {verb} resource '
            f'"{resource}" in API group "{where.kind.group}"{place}',
            _details(where),
        )


class Store:
    """Objects by resource, namespace and name; every answer is a copy."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._objects: dict[tuple[Kind, str, str], JSON] = {}
        self._versions = itertools.count(1)
        self._managed: dict[tuple[Kind, str, str], dict[str, set[tuple[str, ...]]]] = {}

    def get(self, where: Where) -> JSON:
        """One object."""
        with self._lock:
            return copy.deepcopy(self._found(where))

    def has(self, where: Where) -> bool:
        """Whether it is there."""
        with self._lock:
            return self._key(where) in self._objects

    def list(self, where: Where, labels: str = "", fields: str = "") -> JSON:
        """Those of a namespace, or of all, that the selectors choose."""
        with self._lock:
            items = [
                copy.deepcopy(each)
                for (kind, namespace, _), each in sorted(
                    self._objects.items(), key=lambda item: item[0][1:]
                )
                if kind == where.kind
                and where.namespace in ("", namespace)
                and _matches_labels(each, labels)
                and _matches_fields(each, fields)
            ]
        return {
            "kind": f"{where.kind.kind}List",
            "apiVersion": where.kind.group_version,
            "metadata": {"resourceVersion": str(next(self._versions))},
            "items": items,
        }

    def create(self, where: Where, given: JSON) -> JSON:
        """A new object."""
        made = copy.deepcopy(given)
        meta = made.setdefault("metadata", {})
        name = meta.get("name", "")
        if where.kind.namespaced:
            meta["namespace"] = where.namespace
        where = where._replace(name=name)
        with self._lock:
            namespace = where._replace(
                kind=KINDS["v1", "namespaces"], namespace="", name=where.namespace
            )
            if where.kind.namespaced and self._key(namespace) not in self._objects:
                text = f'namespaces "{where.namespace}" not found'
                details = {"name": where.namespace, "kind": "namespaces"}
                raise RefusalError(404, "NotFound", text, details)
            if self._key(where) in self._objects:
                raise RefusalError(
                    409,
                    "AlreadyExists",
                    f'{where.kind.resource} "{name}" already exists',
                    _details(where),
                )
            made |= {"kind": where.kind.kind, "apiVersion": where.kind.group_version}
            meta["uid"] = str(uuid.uuid4())
            now = datetime.now(timezone.utc)
            meta["creationTimestamp"] = now.strftime("%Y-%m-%dT%H:%M:%SZ")
            meta["generation"] = 1
            refused = contents_refused(where, made)
            if refused:
                raise RefusalError(400, "BadRequest", refused)
            return self._keep(where, made)

    def replace(self, where: Where, given: JSON) -> JSON:
        """Another object in the place of one; of another version than the given one, a refusal."""
        with self._lock:
            old = self._found(where)
            version = given.get("metadata", {}).get("resourceVersion")
            if version not in (None, old["metadata"]["resourceVersion"]):
                raise RefusalError(
                    409,
                    "Conflict",
                    f'Operation cannot be fulfilled on {where.kind.resource} "{where.name}": the'
                    " object has been modified; please apply your changes to the latest version"
                    " and try again",
                    _details(where),
                )
            new = copy.deepcopy(given)
            for key in ("uid", "creationTimestamp"):
                new["metadata"][key] = old["metadata"][key]
            return self._keep(where, new)

    def merge(self, where: Where, patch: JSON) -> JSON:
        """An object with the patch's fields (RFC 7386)."""
        with self._lock:
            old = self._found(where)
            return self._keep(where, self._changed(where, old, _merged(old, patch)))

    def apply(self, where: Where, given: JSON, manager: str) -> JSON:
        """An object with the fields of a manager, who takes from others what he gives, by force.

        Simpler than the real thing: a list is one field.
        """
        with self._lock:
            key = self._key(where)
            mine = set(_leaves(given))
            if key not in self._objects:
                made = self.create(where, given)
                self._managed[key] = {manager: mine}
                return made
            old = self._found(where)
            managed = self._managed.setdefault(key, {})
            new = copy.deepcopy(old)
            for path in managed.get(manager, set()) - mine:
                _take(new, path)
            new = self._changed(where, old, _merged(new, given))
            managed[manager] = mine
            return copy.deepcopy(old) if new == old else self._keep(where, new)

    def _changed(self, where: Where, old: JSON, new: JSON) -> JSON:
        """The new form, checked, and counted where it is another one."""
        refused = changes_refused(where, old, new)
        if refused:
            field, why = refused
            raise RefusalError(
                422,
                "Invalid",
                f'{where.kind.kind} "{where.name}" is invalid: {field}: {why}',
                {**_details(where), "causes": [{"field": field, "message": why}]},
            )
        if where.subresource != "status" and new.get("spec") != old.get("spec"):
            new["metadata"]["generation"] = old["metadata"].get("generation", 0) + 1
        return new

    def delete(self, where: Where) -> JSON:
        """Take an object away."""
        with self._lock:
            found = self._found(where)
            del self._objects[self._key(where)]
            self._managed.pop(self._key(where), None)
            return found

    def _found(self, where: Where) -> JSON:
        if self._key(where) not in self._objects:
            raise RefusalError(
                404, "NotFound", f'{where.kind.resource} "{where.name}" not found', _details(where)
            )
        return self._objects[self._key(where)]

    def _keep(self, where: Where, made: JSON) -> JSON:
        made["metadata"]["resourceVersion"] = str(next(self._versions))
        self._objects[self._key(where)] = made
        return copy.deepcopy(made)

    def _key(self, where: Where) -> tuple[Kind, str, str]:
        return where.kind, where.namespace, where.name


def _leaves(value: JSON, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The paths of all fields that are no objects, a list being one, and of empty objects."""
    for key, each in value.items():
        if isinstance(each, dict) and each:
            yield from _leaves(each, (*path, key))
        else:
            yield (*path, key)


def _at(value: Any, path: tuple[str, ...]) -> Any:
    for step in path:
        value = value.get(step) if isinstance(value, dict) else None
    return value


def _take(value: Any, path: tuple[str, ...]) -> None:
    above = _at(value, path[:-1])
    if isinstance(above, dict):
        above.pop(path[-1], None)


def _details(where: Where) -> JSON:
    return {**({"name": where.name} if where.name else {}), "kind": where.kind.resource}


def _matches_labels(found: JSON, selector: str) -> bool:
    """Selectors of ``key=value``, ``key!=value``, ``key`` and ``!key``, all of which must hold."""
    labels = found["metadata"].get("labels") or {}
    for each in filter(None, selector.split(",")):
        if "!=" in each:
            key, _, value = each.partition("!=")
            if labels.get(key) == value:
                return False
        elif "=" in each:
            key, _, value = each.replace("==", "=").partition("=")
            if labels.get(key) != value:
                return False
        elif each.startswith("!") == (each.lstrip("!") in labels):
            return False
    return True


def _matches_fields(found: JSON, selector: str) -> bool:
    for each in filter(None, selector.split(",")):
        key, _, value = each.partition("=")
        at: Any = found
        for step in key.split("."):
            at = at.get(step) if isinstance(at, dict) else None
        if at is None:
            raise RefusalError(400, "BadRequest", f"field label not supported: {key}")
        if str(at) != value.lstrip("="):
            return False
    return True


def _merged(old: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    new = dict(old) if isinstance(old, dict) else {}
    for key, value in patch.items():
        if value is None:
            new.pop(key, None)
        else:
            new[key] = _merged(new.get(key), value)
    return new


def ports_of(found: JSON) -> Iterator[int]:
    """The ports that a pod's containers name."""
    for container in found["spec"]["containers"]:
        for each in container.get("ports") or []:
            yield each["containerPort"]
