"""Nodes, by whichever RPC has them in the fewest answers."""

from __future__ import annotations

import base64
import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from grpc import StatusCode

from metastore import Cursor, LinkQuery, NodeKind, NodeQuery, OrderBy
from metastore.base import cursor_of
from metastore.model import AnyNode, LinkKind, TypeKey
from metastore.query import select
from metastore_flavor_kubeflow.client._channel import CallError
from metastore_flavor_kubeflow.client._edges import Edges
from metastore_flavor_kubeflow.client._filters import ids_in, texts_in, weaker
from metastore_flavor_kubeflow.client._service import IDS, PAGE, Service
from metastore_flavor_kubeflow.client._types import Types
from metastore_flavor_kubeflow.messages import is_id, node_of
from metastore_flavor_kubeflow.protocol import pb

__all__ = ["Nodes"]

_FEW_NAMES = 3
"""Names of one type that are asked for one by one, rather than by a filter."""

_Field = pb.ListOperationOptions.OrderByField
_ORDERS = {
    OrderBy.ID: (_Field.ID, "id"),
    OrderBy.CREATE_TIME: (_Field.CREATE_TIME, "create_time_since_epoch"),
    OrderBy.UPDATE_TIME: (_Field.LAST_UPDATE_TIME, "last_update_time_since_epoch"),
}


@dataclass(frozen=True, slots=True)
class _Stream:
    """A list that the server gives page by page, and whether its nodes are all that is wanted."""

    rpc: str
    fields: dict[str, Any]
    predicates: tuple[str, ...] = ()


class Nodes:
    """Reads nodes; every condition of a query is looked at on our side, too."""

    def __init__(self, service: Service, types: Types, edges: Edges) -> None:
        self._service = service
        self._types = types
        self._edges = edges

    def read(self, query: NodeQuery, reader: Any) -> list[AnyNode]:
        """One page of the nodes that the query asks for; `reader` is asked for neighbours."""
        found: list[AnyNode] = []
        for some in self._portions(query, reader):
            found += some
        return found[: query.limit]

    def count(self, query: NodeQuery, reader: Any) -> int:
        """How many nodes the query asks for; none of them is kept."""
        return sum(map(len, self._portions(replace(query, after=None, limit=None), reader)))

    def _portions(self, query: NodeQuery, reader: Any) -> Iterator[Sequence[AnyNode]]:
        """The nodes that the query asks for, some at a time; perhaps a few beyond its limit."""
        limit, count = query.limit, 0
        if limit == 0 or _asks_for_nothing(query):
            return
        candidates, wanted = self._candidates(query), self._wanted(query)
        while limit is None or count < limit:
            some = list(islice(candidates, self._step(query, count)))
            if not some:
                return
            fitting = self._linked(query, [node for node in some if wanted(node)])
            if query.filter is not None:
                fitting = select(query.filter, fitting, reader)
            count += len(fitting)
            yield fitting

    def by_ids(self, kind: NodeKind, ids: Iterable[int]) -> list[AnyNode]:
        """The nodes with these ids, in any order; those that are not stored are left out."""
        wanted = sorted({id for id in ids if is_id(id)})
        return list(self._many(kind, "ByID", f"{kind.label}_ids", wanted))

    def by_external_ids(self, kind: NodeKind, external_ids: Iterable[str]) -> list[AnyNode]:
        """The nodes that have one of these external ids."""
        # ML Metadata refuses an empty one; no client of its own can write it.
        wanted = sorted({each for each in external_ids if each})
        found = list(self._many(kind, "ByExternalIds", "external_ids", wanted))
        return [node for node in found if node.external_id in set(wanted)]

    def by_uris(self, uris: Iterable[str]) -> list[AnyNode]:
        """The artifacts that have one of these uris."""
        wanted = sorted(set(uris))
        found = list(self._many(NodeKind.ARTIFACT, "ByURI", "uris", wanted))
        return [node for node in found if getattr(node, "uri", None) in set(wanted)]

    def by_names(self, key: TypeKey, names: Iterable[str]) -> list[AnyNode]:
        """The nodes of a type that have one of these names; a name that is none is passed over."""
        wanted = sorted({name for name in names if name or key.kind is not NodeKind.CONTEXT})
        literals = texts_in("name", wanted) if len(wanted) > _FEW_NAMES else None
        if literals is not None and self._service.filters:
            query = NodeQuery(key.kind, type=key)
            streams = (
                self._pages(self._by_type(key, (predicate,)), query, PAGE)
                for predicate in texts_in("name", wanted) or ()
            )
            names = set(wanted)
            return [node for stream in streams for node in stream if node.name in names]
        found = (self._named(key, name) for name in wanted)
        return [node for node in found if node is not None]

    # One by one, and by lists of what is asked for.

    def _named(self, key: TypeKey, name: str) -> AnyNode | None:
        label = key.kind.label
        fields = _type_fields(key) | {f"{label}_name": name}
        response = self._service.channel.read(f"Get{label.capitalize()}ByTypeAndName", **fields)
        # An empty node is none: so answers the server of Kubeflow Pipelines.
        message = getattr(response, label)
        if not (response.HasField(label) and message.id):
            return None
        node = node_of(key.kind, message)
        return node if node.name == name else None

    def _many(
        self, kind: NodeKind, by: str, field: str, wanted: Sequence[Any]
    ) -> Iterator[AnyNode]:
        rpc, answers = f"Get{kind.label.capitalize()}s{by}", f"{kind.label}s"
        for message in self._service.listed(rpc, field, wanted, answers):
            yield node_of(kind, message)

    # What can be in the answer, in the order of the query, behind its cursor.

    def _kin(self, query: NodeQuery) -> list[AnyNode]:
        """The parents and children that a query asks for."""
        found: dict[int, AnyNode] | None = None
        for which, ends in (("Parent", query.parents_of), ("Children", query.children_of)):
            if ends is not None:
                messages = {message.id: message for _, message in self._edges.kin(which, ends)}
                nodes = {id: node_of(query.kind, each) for id, each in messages.items()}
                found = nodes if found is None else {id: nodes[id] for id in found if id in nodes}
        return list((found or {}).values())

    def _has_pages(self, query: NodeQuery) -> bool:
        """Whether a few of the parents or children are to be had, rather than all of them."""
        return (
            query.limit is not None
            and not _is_listed(query)
            and (query.parents_of is None) != (query.children_of is None)
            and self._service.filters
        )

    def _candidates(self, query: NodeQuery) -> Iterator[AnyNode]:
        is_kin = query.parents_of is not None or query.children_of is not None
        if query.ids is not None and query.order_by is OrderBy.ID and not is_kin:
            return self._by_ids_in_order(query)
        key = _key(query.order_by)
        listed = self._kin(query) if is_kin and not self._has_pages(query) else self._listed(query)
        if listed is not None:
            unique = {node.id: node for node in listed if _is_behind(query, node)}
            return iter(sorted(unique.values(), key=key, reverse=query.descending))
        streams = [self._pages(stream, query, self._step(query)) for stream in self._streams(query)]
        return _once(heapq.merge(*streams, key=key, reverse=query.descending))

    def _by_ids_in_order(self, query: NodeQuery) -> Iterator[AnyNode]:
        after, down = query.after, query.descending
        wanted = sorted({id for id in query.ids or () if is_id(id)}, reverse=down)
        if after is not None:
            wanted = [id for id in wanted if (id < after.id if down else id > after.id)]
        size = IDS if query.limit is None else max(PAGE, min(IDS, query.limit))
        for at in range(0, len(wanted), size):
            some = self.by_ids(query.kind, wanted[at : at + size])
            yield from sorted(some, key=lambda node: node.id, reverse=down)

    def _listed(self, query: NodeQuery) -> Sequence[AnyNode] | None:
        """The nodes of a query that lists what it wants; None for one that does not."""
        if query.ids is not None:
            return self.by_ids(query.kind, query.ids)
        if query.external_ids is not None:
            return self.by_external_ids(query.kind, query.external_ids)
        if query.uris is not None:
            return self.by_uris(query.uris)
        if query.names is not None and query.type is not None:
            return self.by_names(query.type, query.names)
        return None

    def _streams(self, query: NodeQuery) -> Iterator[_Stream]:
        """The lists that hold what is wanted, each in the order of the query."""
        name = query.kind.label.capitalize()
        contexts = None if query.context_ids is None else sorted(set(query.context_ids))
        if contexts is not None and (len(contexts) == 1 or not self._service.filters):
            for id in contexts:
                if is_id(id):
                    fields = {"context_id": id}
                    yield _Stream(f"Get{name}sByContext", fields, self._predicates(query))
        elif contexts is not None:
            for predicate in ids_in("contexts_metastore.id", contexts):
                yield _Stream(f"Get{name}s", {}, (predicate, *self._predicates(query)))
        elif query.parents_of is not None or query.children_of is not None:
            for predicate in _of_kin(query):
                yield _Stream(f"Get{name}s", {}, (predicate, *self._predicates(query)))
        elif query.type is not None:
            yield self._by_type(query.type, self._predicates(query, types=False))
        elif query.type_names is None or self._says_types(query):
            yield _Stream(f"Get{name}s", {}, self._predicates(query))
        else:
            wanted = set(query.type_names)
            for type in self._types.all(query.kind):
                if type.name in wanted:
                    yield self._by_type(type.key, self._predicates(query, types=False))

    @staticmethod
    def _by_type(key: TypeKey, predicates: tuple[str, ...]) -> _Stream:
        rpc = f"Get{key.kind.label.capitalize()}sByType"
        return _Stream(rpc, _type_fields(key), predicates)

    def _says_types(self, query: NodeQuery) -> bool:
        """Whether one filter names the types that are wanted."""
        texts = texts_in("type", sorted(set(query.type_names or ())))
        return self._service.filters and texts is not None and len(texts) == 1

    def _predicates(self, query: NodeQuery, *, types: bool = True) -> tuple[str, ...]:
        """What the server may sort out: nothing that we would not, once it gets to us."""
        told = [weaker(query.filter)] if query.filter is not None else []
        if types:
            told.append(_only(texts_in("type", query.type_names)))
            told.append(_only(texts_in("type", None if query.type is None else [query.type.name])))
        told.append(_only(texts_in("name", query.names)))
        said = tuple(each for each in told if each)
        # Asked last: it costs a call.
        return said if said and self._service.filters else ()

    @staticmethod
    def _step(query: NodeQuery, found: int = 0) -> int:
        """How many nodes to look at next: all that are left, where each of them counts."""
        is_exact = query.filter is None and query.names is None and not _is_listed(query)
        return PAGE if query.limit is None or not is_exact else min(PAGE, query.limit - found)

    def _pages(self, stream: _Stream, query: NodeQuery, size: int) -> Iterator[AnyNode]:
        """The nodes of a list behind the query's cursor, page by page."""
        after, token = query.after, ""
        # ML Metadata's own next page has ids behind the last one, and so leaves nodes out where
        # times are not in the order of ids.
        by_predicate = query.order_by is not OrderBy.ID and not self._service.is_ours
        while True:
            predicates = stream.predicates
            if after is not None and by_predicate:
                if not self._service.filters:
                    yield from self._sorted(stream, replace(query, after=after))
                    return
                predicates, token = (*predicates, _behind(query, after)), ""
            elif after is not None and not token:
                token = _token_behind(query, after)
            options = _options(query, size, predicates, token)
            try:
                accept = (StatusCode.RESOURCE_EXHAUSTED,)
                response = self._service.channel.read(
                    stream.rpc, accept, options=options, **stream.fields
                )
            except CallError as error:
                if size == 1:
                    self._service.channel.refuse(error)
                size //= 2
                continue
            last = None
            for message in getattr(response, f"{query.kind.label}s"):
                last = node_of(query.kind, message)
                if _is_behind(query, last):
                    yield last
            token = response.next_page_token
            if last is None or not token:
                return
            if after is not None and not _is_behind(replace(query, after=after), last):
                raise self._service.stuck(stream.rpc)
            after = cursor_of(last, query.order_by)

    def _sorted(self, stream: _Stream, query: NodeQuery) -> list[AnyNode]:
        """The nodes of a list behind the query's cursor, all read by id: a server without filters
        has no right pages by time but the first.
        """
        by_id = replace(query, order_by=OrderBy.ID, descending=False, after=None)
        nodes = [node for node in self._pages(stream, by_id, PAGE) if _is_behind(query, node)]
        return sorted(nodes, key=_key(query.order_by), reverse=query.descending)

    # What is wanted of it.

    def _wanted(self, query: NodeQuery) -> Callable[[AnyNode], bool]:
        """Whether a node fulfils the conditions that the node itself tells."""
        sets: list[tuple[str, frozenset[Any]]] = [
            (field, frozenset(wanted))
            for field, wanted in (
                ("id", query.ids),
                ("name", query.names),
                ("external_id", query.external_ids),
                ("uri", query.uris),
                ("type", query.type_names),
            )
            if wanted is not None
        ]
        if query.type is not None:
            ids = frozenset(type.id for type in self._types.by_keys([query.type]))
            sets.append(("type_id", ids))
        return lambda node: all(getattr(node, field) in wanted for field, wanted in sets)

    def _linked(self, query: NodeQuery, nodes: list[AnyNode]) -> list[AnyNode]:
        """Those of the nodes that belong to one of the contexts, where a list did not see to it."""
        if query.context_ids is None or not nodes or not _is_listed(query):
            return nodes
        kind = LinkKind.ATTRIBUTION if query.kind is NodeKind.ARTIFACT else LinkKind.ASSOCIATION
        ids = [node.id for node in nodes]
        links = self._edges.links(LinkQuery(kind, query.context_ids, ids))
        linked = {link.other_id for link in links}
        return [node for node in nodes if node.id in linked]


def _is_listed(query: NodeQuery) -> bool:
    return (
        query.ids is not None
        or query.external_ids is not None
        or query.uris is not None
        or (query.names is not None and query.type is not None)
    )


def _of_kin(query: NodeQuery) -> list[str]:
    """The conditions that a context is a parent, or a child, of one of those of the query."""
    if query.parents_of is not None:
        return ids_in("child_contexts_metastore.id", query.parents_of)
    return ids_in("parent_contexts_metastore.id", query.children_of or ())


def _asks_for_nothing(query: NodeQuery) -> bool:
    conditions = (
        query.type_names,
        query.ids,
        query.names,
        query.external_ids,
        query.uris,
        query.context_ids,
        query.parents_of,
        query.children_of,
    )
    return any(each is not None and not each for each in conditions)


def _only(predicates: Sequence[str] | None) -> str:
    """A predicate that is one; two would have to be two lists."""
    return predicates[0] if predicates is not None and len(predicates) == 1 else ""


def _type_fields(key: TypeKey) -> dict[str, str]:
    fields = {"type_name": key.name}
    return fields if key.version is None else fields | {"type_version": key.version}


def _options(query: NodeQuery, size: int, predicates: Sequence[str], token: str) -> dict[str, Any]:
    options: dict[str, Any] = {
        "max_result_size": size,
        "order_by_field": {
            "field": _ORDERS[query.order_by][0],
            "is_asc": not query.descending,
        },
    }
    if predicates:
        options["filter_query"] = " AND ".join(f"({each})" for each in predicates)
    if token:
        options["next_page_token"] = token
    return options


def _behind(query: NodeQuery, after: Cursor) -> str:
    """The filter for what stands behind a place in the order of times."""
    field, sign = _ORDERS[query.order_by][1], "<" if query.descending else ">"
    return f"{field} {sign} {after.value} OR ({field} = {after.value} AND id {sign} {after.id})"


def _token_behind(query: NodeQuery, after: Cursor) -> str:
    """ML Metadata's token of the page behind a cursor.

    Its next page by update time has the nodes of the last one's time, but for the listed ids.
    """
    message = pb.ListOperationNextPageToken(
        id_offset=after.id, field_offset=after.value, listed_ids=[after.id]
    )
    if query.order_by is not OrderBy.UPDATE_TIME:
        message.ClearField("listed_ids")
    order = message.set_options.order_by_field
    order.field, order.is_asc = _ORDERS[query.order_by][0], not query.descending
    message.set_options.max_result_size = PAGE
    return base64.urlsafe_b64encode(message.SerializeToString()).rstrip(b"=").decode()


def _key(order: OrderBy) -> Callable[[AnyNode], tuple[int, int]]:
    return lambda node: (cursor_of(node, order).value, node.id)


def _is_behind(query: NodeQuery, node: AnyNode) -> bool:
    if query.after is None:
        return True
    place = _key(query.order_by)(node)
    after = (query.after.value, query.after.id)
    return place < after if query.descending else place > after


def _once(nodes: Iterable[AnyNode]) -> Iterator[AnyNode]:
    """Each node once: one of several contexts is in several lists, at one place in their order."""
    last = None
    for node in nodes:
        if node.id != last:
            yield node
        last = node.id
