"""`Tables`: all rows of a store as Python objects, looked up, changed and read."""

from __future__ import annotations

import copy
from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, NamedTuple, TypeAlias, TypeVar, cast

from metastore.base import Deleted, Transaction, cursor_of
from metastore.changes import (
    Answers,
    Applied,
    Changes,
    EventKey,
    New,
    NodeInsert,
    NodeUpdate,
    Questions,
    Target,
)
from metastore.model import (
    SIMPLE_TYPES,
    AnyNode,
    Artifact,
    ArtifactState,
    Context,
    Event,
    Execution,
    ExecutionState,
    Link,
    LinkKind,
    NodeKind,
    Type,
    TypeKey,
    Value,
)
from metastore.query import EventQuery, LinkQuery, NodeQuery, TypeQuery

__all__ = ["Row", "StoredLink", "Tables"]

_T = TypeVar("_T")
_NOTHING = object()


class StoredLink(NamedTuple):
    """A link as a row of its own."""

    kind: LinkKind
    context_id: int
    other_id: int
    """An artifact, an execution or the parent context."""


Row: TypeAlias = "Type | AnyNode | Event | StoredLink"
"""What a store is made of."""

_Undo: TypeAlias = "list[tuple[dict[Any, Any], Any, Any]]"
"""What to put back should the transaction fail: table, key, and what was there."""


class Tables(Transaction):
    """All rows of a store, in dictionaries; not safe for threads by itself.

    New tables hold the simple types, and nothing else.
    """

    def __init__(self) -> None:
        self.types: dict[int, Type] = {}
        self.nodes: dict[NodeKind, dict[int, AnyNode]] = {kind: {} for kind in NodeKind}
        self.events: dict[EventKey, Event] = {}
        self.links: dict[LinkKind, dict[tuple[int, int], None]] = {kind: {} for kind in LinkKind}
        # Ids are never used again, even when rows are gone.
        self._last_ids: dict[object, int] = {}
        self._undo: _Undo | None = None
        for kind in (NodeKind.ARTIFACT, NodeKind.EXECUTION):
            for name in SIMPLE_TYPES[kind]:
                id = self._next_id(Type)
                self.types[id] = Type(id, kind, name, {})

    @contextmanager
    def undone_on_error(self) -> Iterator[Callable[[], list[Row]]]:
        """Take back what was applied inside the block if the block raises.

        Gives a function that tells which rows are new or changed since the block began, as they
        are now, each once, in the order in which they were written.
        """
        outer = self._undo
        own: _Undo = []
        self._undo = own
        try:
            yield lambda: self._written(own)
        except BaseException:
            _take_back(own)
            raise
        else:
            # A transaction inside another one is undone with it.
            if outer is not None:
                outer += own
        finally:
            self._undo = outer

    @property
    def is_changing(self) -> bool:
        """Whether a block of `undone_on_error` is open."""
        return self._undo is not None

    def abandon(self) -> None:
        """Take back what open blocks applied: in a forked child, whose parent is inside them."""
        if self._undo is not None:
            _take_back(self._undo)
            self._undo = None

    def _written(self, undo: _Undo) -> list[Row]:
        links = {id(table): kind for kind, table in self.links.items()}
        rows: list[Row] = []
        for table, key in {(id(table), key): (table, key) for table, key, _ in undo}.values():
            kind = links.get(id(table))
            rows.append(table[key] if kind is None else StoredLink(kind, *key))
        return rows

    def load(self, rows: Iterable[Row]) -> None:
        """Put rows in as they are, with their ids; a row that is there already is replaced.

        For what was kept elsewhere.  Call it outside of a transaction.
        """
        for row in rows:
            if isinstance(row, Type):
                self.types[row.id] = row
                self._use_id(Type, row.id)
            elif isinstance(row, Event):
                self.events[row.artifact_id, row.execution_id, row.type] = row
                self._use_id(Event, row.id)
            elif isinstance(row, StoredLink):
                self.links[row.kind][row.context_id, row.other_id] = None
            else:
                kind = _KINDS[type(row)]
                self.nodes[kind][row.id] = row
                self._use_id(kind, row.id)

    def _use_id(self, table: object, id: int) -> None:
        self._last_ids[table] = max(id, self._last_ids.get(table, 0))

    def _put(self, table: dict[Any, Any], key: Any, row: Any) -> None:
        if self._undo is not None:
            self._undo.append((table, key, table.get(key, _NOTHING)))
        table[key] = row

    def _next_id(self, table: object) -> int:
        self._last_ids[table] = self._last_ids.get(table, 0) + 1
        return self._last_ids[table]

    # The transaction's two methods.

    def lookup(self, questions: Questions) -> Answers:
        """What is stored of what is asked."""
        wanted_types = [
            each
            for each in self.types.values()
            if each.key in questions.types
            or each.id in questions.type_ids
            or each.external_id in questions.type_external_ids
        ]
        answers = Answers(types=[*wanted_types, *self._base_types(wanted_types)])
        answers.nodes = {
            kind: {id: self.nodes[kind][id] for id in ids if id in self.nodes[kind]}
            for kind, ids in questions.nodes.items()
        }
        answers.existing = {
            kind: ids & self.nodes[kind].keys() for kind, ids in questions.existing.items()
        }
        answers.names = {
            kind: self._owners(kind, lambda node: (node.type_id, node.name), names)
            for kind, names in questions.names.items()
        }
        answers.external_ids = {
            kind: self._owners(kind, lambda node: node.external_id, external_ids)
            for kind, external_ids in questions.external_ids.items()
        }
        answers.uris = self._owners(
            NodeKind.ARTIFACT,
            lambda node: (node.type_id, cast("Artifact", node).uri),
            questions.uris,
        )
        answers.events = {key for key in self.events if key[:2] in questions.events}
        answers.parents = self._ancestor_links(questions.parents_of)
        return answers

    def _base_types(self, types: Collection[Type]) -> list[Type]:
        names = {(each.kind, each.base_type) for each in types if each.base_type}
        return [each for each in self.types.values() if (each.kind, each.name) in names]

    def _owners(
        self, kind: NodeKind, key: Callable[[AnyNode], Any], wanted: set[_T]
    ) -> dict[_T, int]:
        if not wanted:
            return {}
        # In the order of ids, so that the highest id wins.
        return {key(node): node.id for node in self.nodes[kind].values() if key(node) in wanted}

    def _ancestor_links(self, contexts: set[int]) -> set[tuple[int, int]]:
        found: set[tuple[int, int]] = set()
        frontier = contexts
        while frontier:
            links = {link for link in self.links[LinkKind.PARENT] if link[0] in frontier} - found
            found |= links
            frontier = {parent for _, parent in links}
        return found

    def apply(self, changes: Changes) -> Applied:
        """Write the changes."""
        type_ids = []
        for insert in changes.type_inserts:
            id = self._next_id(Type)
            type_ids.append(id)
            base = insert.base_type
            row = Type(
                id,
                insert.key.kind,
                insert.key.name,
                dict(insert.properties),
                insert.key.version,
                insert.description,
                None if base is None else self.types[base].name,
                insert.external_id,
                insert.input_type,
                insert.output_type,
            )
            self._put(self.types, id, row)
        for update in changes.type_updates:
            stored = self.types[update.id]
            row = replace(
                stored,
                properties={**stored.properties, **update.properties},
                external_id=stored.external_id
                if update.external_id is None
                else update.external_id,
                base_type=stored.base_type
                if update.base_type is None
                else self.types[update.base_type].name,
            )
            self._put(self.types, update.id, row)
        node_ids: dict[NodeKind, list[int]] = {}
        for kind, inserts in changes.inserts.items():
            node_ids[kind] = [self._insert(kind, row, type_ids) for row in inserts]
        for kind, updates in changes.updates.items():
            nodes = self.nodes[kind]
            for each in updates:
                self._put(nodes, each.id, _updated(nodes[each.id], each))

        def id_of(kind: NodeKind, target: Target) -> int:
            return node_ids[kind][target.position] if isinstance(target, New) else target

        for event in changes.events:
            artifact = id_of(NodeKind.ARTIFACT, event.artifact)
            execution = id_of(NodeKind.EXECUTION, event.execution)
            id = self._next_id(Event)
            self._put(
                self.events,
                (artifact, execution, event.type),
                Event(artifact, execution, event.type, event.time_ms, event.path, id),
            )
        for link_kind, links in changes.links.items():
            for context, other in links:
                key = id_of(NodeKind.CONTEXT, context), id_of(link_kind.other, other)
                self._put(self.links[link_kind], key, None)
        return Applied(type_ids, node_ids)

    def _insert(self, kind: NodeKind, row: NodeInsert, type_ids: list[int]) -> int:
        id = self._next_id(kind)
        type_id = type_ids[row.type.position] if isinstance(row.type, New) else row.type
        common = (
            id,
            type_id,
            self.types[type_id].name,
            row.name,
            row.external_id,
            # Copied deeply: a struct is a dict that the caller still holds.
            copy.deepcopy(dict(row.properties)),
            copy.deepcopy(dict(row.custom_properties)),
            row.create_time_ms,
            row.update_time_ms,
        )
        node: AnyNode
        if kind is NodeKind.ARTIFACT:
            node = Artifact(*common, row.uri, _artifact_state(row.state))
        elif kind is NodeKind.EXECUTION:
            node = Execution(*common, _execution_state(row.state))
        else:
            node = Context(*common)
        self._put(self.nodes[kind], id, node)
        return id

    def delete(self, nodes: Mapping[NodeKind, Collection[int]]) -> Deleted:
        """Drop nodes with their events and links; outside of a block of `undone_on_error`."""
        gone = {kind: set(nodes.get(kind, ())) for kind in NodeKind}
        events = [
            key
            for key in self.events
            if key[0] in gone[NodeKind.ARTIFACT] or key[1] in gone[NodeKind.EXECUTION]
        ]
        for key in events:
            del self.events[key]
        number = 0
        for link_kind, links in self.links.items():
            dropped = [
                link
                for link in links
                if link[0] in gone[NodeKind.CONTEXT] or link[1] in gone[link_kind.other]
            ]
            number += len(dropped)
            for link in dropped:
                del links[link]
        rows = {}
        for kind, ids in gone.items():
            stored = [id for id in ids if self.nodes[kind].pop(id, None) is not None]
            rows[kind] = len(stored)
        return Deleted(
            rows[NodeKind.ARTIFACT],
            rows[NodeKind.EXECUTION],
            rows[NodeKind.CONTEXT],
            len(events),
            number,
        )

    # Reads.

    def read_types(self, query: TypeQuery) -> list[Type]:
        """The types that the query asks for."""
        return [
            replace(each, properties=dict(each.properties))
            for each in self.types.values()
            if each.kind is query.kind
            and (query.keys is None or each.key in query.keys)
            and (query.ids is None or each.id in query.ids)
            and (query.external_ids is None or each.external_id in query.external_ids)
        ]

    def read_nodes(self, query: NodeQuery) -> list[AnyNode]:
        """One page of the nodes that the query asks for."""
        if query == NodeQuery(query.kind, after=query.after, limit=query.limit):
            # All of them, page by page: whoever copies a store would sort it for each page.
            nodes = self.nodes[query.kind]
            ids = sorted(nodes)
            at = 0 if query.after is None else bisect_right(ids, query.after.id)
            end = None if query.limit is None else at + query.limit
            return copy.deepcopy([nodes[id] for id in ids[at:end]])
        found = list(self._matching(query))
        found.sort(key=lambda node: cursor_of(node, query.order_by), reverse=query.descending)
        if query.after is not None:
            after = query.after
            found = [
                node
                for node in found
                if (
                    cursor_of(node, query.order_by) < after
                    if query.descending
                    else cursor_of(node, query.order_by) > after
                )
            ]
        return copy.deepcopy(found[: query.limit])

    def _matching(self, query: NodeQuery) -> Iterator[AnyNode]:
        nodes = self.nodes[query.kind]
        wanted = _wanted_types(query, self.types)
        names, external_ids = _set(query.names), _set(query.external_ids)
        uris, ids = _set(query.uris), _set(query.ids)
        for linked in self._linked(query):
            ids = linked if ids is None else ids & linked
        for node in nodes.values() if ids is None else (nodes[id] for id in ids if id in nodes):
            if (
                (wanted is None or node.type_id in wanted)
                and (names is None or node.name in names)
                and (external_ids is None or node.external_id in external_ids)
                and (uris is None or cast("Artifact", node).uri in uris)
            ):
                yield node

    def _linked(self, query: NodeQuery) -> Iterator[set[int]]:
        if query.context_ids is not None:
            kind = LinkKind.ATTRIBUTION if query.kind is NodeKind.ARTIFACT else LinkKind.ASSOCIATION
            wanted = set(query.context_ids)
            yield {other for context, other in self.links[kind] if context in wanted}
        if query.parents_of is not None:
            wanted = set(query.parents_of)
            yield {parent for child, parent in self.links[LinkKind.PARENT] if child in wanted}
        if query.children_of is not None:
            wanted = set(query.children_of)
            yield {child for child, parent in self.links[LinkKind.PARENT] if parent in wanted}

    def count(self, query: NodeQuery) -> int:
        """How many nodes the query asks for."""
        return sum(1 for _ in self._matching(query))

    def read_events(self, query: EventQuery) -> list[Event]:
        """The events that the query asks for."""
        artifacts, executions = _set(query.artifact_ids), _set(query.execution_ids)
        return [
            event
            for event in self.events.values()
            if (artifacts is None or event.artifact_id in artifacts)
            and (executions is None or event.execution_id in executions)
        ]

    def read_links(self, query: LinkQuery) -> list[Link]:
        """The links that the query asks for."""
        contexts, others = _set(query.context_ids), _set(query.other_ids)
        return sorted(
            Link(context, other)
            for context, other in self.links[query.kind]
            if (contexts is None or context in contexts) and (others is None or other in others)
        )


_KINDS: dict[type[Any], NodeKind] = {
    Artifact: NodeKind.ARTIFACT,
    Execution: NodeKind.EXECUTION,
    Context: NodeKind.CONTEXT,
}


def _take_back(undo: _Undo) -> None:
    for table, key, before in reversed(undo):
        if before is _NOTHING:
            del table[key]
        else:
            table[key] = before


def _set(wanted: Iterable[_T] | None) -> set[_T] | None:
    return None if wanted is None else set(wanted)


def _wanted_types(query: NodeQuery, types: Mapping[int, Type]) -> set[int] | None:
    if query.type is None and query.type_names is None:
        return None
    key = None if query.type is None else TypeKey(query.kind, query.type.name, query.type.version)
    return {
        each.id
        for each in types.values()
        if each.kind is query.kind
        and (key is None or each.key == key)
        and (query.type_names is None or each.name in query.type_names)
    }


def _artifact_state(state: int | None) -> ArtifactState | None:
    return None if state is None else ArtifactState(state)


def _execution_state(state: int | None) -> ExecutionState | None:
    return None if state is None else ExecutionState(state)


def _updated(node: AnyNode, row: NodeUpdate) -> AnyNode:
    common: dict[str, Any] = {
        "name": row.name,
        "external_id": row.external_id,
        "update_time_ms": row.update_time_ms,
        "properties": _patched(node.properties, row.set_properties, row.drop_properties),
        "custom_properties": _patched(
            node.custom_properties, row.set_custom_properties, row.drop_custom_properties
        ),
    }
    if isinstance(node, Artifact):
        return replace(node, **common, uri=row.uri, state=_artifact_state(row.state))
    if isinstance(node, Execution):
        return replace(node, **common, state=_execution_state(row.state))
    return replace(node, **common)


def _patched(
    stored: Mapping[str, Value], changed: Mapping[str, Value], dropped: frozenset[str]
) -> dict[str, Value]:
    kept = {key: value for key, value in stored.items() if key not in dropped}
    return kept | copy.deepcopy(dict(changed))
