"""Types, read."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from grpc import StatusCode

from metastore import NodeKind, Type, TypeKey, TypeQuery
from metastore.model import SIMPLE_TYPES
from metastore_flavor_kubeflow.client._channel import CallError
from metastore_flavor_kubeflow.client._service import Service
from metastore_flavor_kubeflow.messages import is_id, type_of

__all__ = ["Types"]

_FEW = 3
"""Types that are asked for one by one, rather than by a list of all."""
_LONG = 500
"""Characters of a name and a version that are not asked for by themselves."""


class Types:
    """Reads types; ids and names of what was read are kept, as they never change."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._simple: dict[NodeKind, list[int]] = {}
        self._lock = threading.Lock()

    def read(self, query: TypeQuery) -> list[Type]:
        """The types that the query asks for, by id."""
        kind = query.kind
        if query.ids is not None:
            found = self.by_ids(kind, query.ids)
        elif query.external_ids is not None:
            found = self.by_external_ids(kind, query.external_ids)
        elif query.keys is not None:
            found = self.by_keys(query.keys)
        else:
            found = self.all(kind)
        return sorted((each for each in found if _fits(query, each)), key=lambda each: each.id)

    def all(self, kind: NodeKind) -> list[Type]:
        """All types of a kind, simple ones included, by id."""
        ids = [message.id for message in self._list(kind)]
        # Asked for by their ids they come with their external ids.
        return sorted(self.by_ids(kind, [*self._simple_ids(kind), *ids]), key=lambda each: each.id)

    def by_ids(self, kind: NodeKind, ids: Iterable[int]) -> list[Type]:
        """Those of the types that are stored."""
        wanted = sorted({id for id in ids if is_id(id)})
        return list(self._many(kind, "ByID", "type_ids", wanted))

    def by_external_ids(self, kind: NodeKind, external_ids: Iterable[str]) -> list[Type]:
        """The types that have one of these external ids."""
        wanted = sorted({each for each in external_ids if each})
        # This call alone leaves out the base type.
        found = self._many(kind, "ByExternalIds", "external_ids", wanted)
        types = self.by_ids(kind, [each.id for each in found])
        return [each for each in types if each.external_id in set(wanted)]

    def by_keys(self, keys: Iterable[TypeKey]) -> list[Type]:
        """The types of these keys that are stored."""
        by_kind: dict[NodeKind, set[TypeKey]] = {}
        for key in keys:
            if key.name:
                by_kind.setdefault(key.kind, set()).add(key)
        found: list[Type] = []
        for kind, wanted in by_kind.items():
            # What is not there is named in the error, which travels in a header.
            is_short = all(len(key.name) + len(key.version or "") < _LONG for key in wanted)
            if len(wanted) <= _FEW and is_short:
                found += (type for key in wanted if (type := self._by_key(key)) is not None)
            else:
                simple = (SIMPLE_TYPES[kind] and {key.name for key in wanted}) or set()
                ids = [
                    message.id
                    for message in self._list(kind)
                    if TypeKey(kind, message.name, message.version or None) in wanted
                ]
                if simple & set(SIMPLE_TYPES[kind]):
                    ids += self._simple_ids(kind)
                found += (each for each in self.by_ids(kind, ids) if each.key in wanted)
        return found

    def _by_key(self, key: TypeKey) -> Type | None:
        label = key.kind.label
        fields = {"type_name": key.name}
        if key.version is not None:
            fields["type_version"] = key.version
        try:
            response = self._service.channel.read(
                f"Get{label.capitalize()}Type", (StatusCode.NOT_FOUND,), **fields
            )
        except CallError:
            return None
        type = type_of(key.kind, getattr(response, f"{label}_type"))
        return type if type.key == key else None

    def _list(self, kind: NodeKind) -> Sequence[Any]:
        response = self._service.channel.read(f"Get{kind.label.capitalize()}Types")
        found: Sequence[Any] = getattr(response, f"{kind.label}_types")
        return found

    def _many(self, kind: NodeKind, by: str, field: str, wanted: Sequence[Any]) -> Iterator[Type]:
        rpc, answers = f"Get{kind.label.capitalize()}Types{by}", f"{kind.label}_types"
        for message in self._service.listed(rpc, field, wanted, answers):
            yield type_of(kind, message)

    def _simple_ids(self, kind: NodeKind) -> list[int]:
        """The ids of the simple types, which no list shows: nearly always the first ones."""
        with self._lock:
            if kind not in self._simple:
                names = set(SIMPLE_TYPES[kind])
                first = range(1, sum(map(len, SIMPLE_TYPES.values())) + 1) if names else ()
                found = {
                    type.name: type.id
                    for type in self.by_ids(kind, first)
                    if type.name in names and type.version is None
                }
                for name in sorted(names - found.keys()):
                    type = self._by_key(TypeKey(kind, name))
                    if type is not None:
                        found[name] = type.id
                if len(found) < len(names):
                    return sorted(found.values())
                self._simple[kind] = sorted(found.values())
            return self._simple[kind]


def _fits(query: TypeQuery, type: Type) -> bool:
    conditions: tuple[tuple[Any, Callable[[], Any]], ...] = (
        (query.keys, lambda: type.key),
        (query.ids, lambda: type.id),
        (query.external_ids, lambda: type.external_id),
    )
    return all(wanted is None or value() in set(wanted) for wanted, value in conditions)
