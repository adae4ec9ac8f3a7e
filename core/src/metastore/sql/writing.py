"""Writes: what the planner asks of the tables, and its changes applied to them."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import (
    Table,
    bindparam,
    delete,
    func,
    literal_column,
    select,
    union_all,
    update,
)
from sqlalchemy.sql import ClauseElement

from metastore.base import Transaction
from metastore.changes import (
    Answers,
    Applied,
    Changes,
    EventKey,
    New,
    NewEvent,
    NodeInsert,
    NodeUpdate,
    Questions,
    Target,
    TypeInsert,
    TypeUpdate,
)
from metastore.errors import ForkError
from metastore.model import (
    AnyNode,
    EventType,
    LinkKind,
    NodeKind,
    PropertyKind,
    Type,
)
from metastore.query import NodeQuery
from metastore.sql.codec import Properties
from metastore.sql.database import Session
from metastore.sql.lists import are_too_many_pairs
from metastore.sql.pages import read_nodes
from metastore.sql.types import TypeCache

__all__ = ["SQLTransaction"]


class SQLTransaction(Transaction):
    """A batch being written in a session."""

    def __init__(self, session: Session, types: TypeCache) -> None:
        self._session = session
        self._database = session.database
        self._schema = session.database.schema
        self._types = types
        self._changed_types = False
        self._process = os.getpid()

    def _check_process(self) -> None:
        if self._process != os.getpid():
            raise ForkError(
                "the transaction is one of the parent process", hint="fork outside of transactions"
            )

    # Questions.

    def lookup(self, questions: Questions) -> Answers:
        """One statement for each part that is asked for; types come from the cache."""
        self._check_process()
        answers = Answers(
            self._lookup_types(questions),
            {kind: self._nodes(kind, ids) for kind, ids in questions.nodes.items() if ids},
            self._existing({kind: ids for kind, ids in questions.existing.items() if ids}),
            {kind: self._names(kind, names) for kind, names in questions.names.items() if names},
            {
                kind: self._external_ids(kind, ids)
                for kind, ids in questions.external_ids.items()
                if ids
            },
        )
        if questions.uris:
            answers.uris = self._uris(questions.uris)
        if questions.events:
            answers.events = self._events(questions.events)
        if questions.parents_of:
            answers.parents = self._parents(questions.parents_of)
        return answers

    def _lookup_types(self, questions: Questions) -> Sequence[Type]:
        if not (questions.types or questions.type_ids or questions.type_external_ids):
            return ()
        return self._types.find(self._session, questions, changed=self._changed_types)

    def _rows(
        self,
        key: tuple[Any, ...],
        lists: Mapping[str, Collection[Any]],
        build: Callable[[Callable[..., Any]], ClauseElement],
    ) -> list[tuple[Any, ...]]:
        """Run a query over lists of values; `build` gets a function for "column is in list"."""
        database = self._database
        shapes = {name: database.list_shape(values) for name, values in lists.items()}
        statement = database.statement(
            (*key, *shapes.values()),
            lambda: build(lambda column, name: database.in_list(column, name, shapes[name])),
        )
        bound = {name: database.bind_list(values, shapes[name]) for name, values in lists.items()}
        return self._session.rows(statement, **bound)

    def _nodes(self, kind: NodeKind, ids: set[int]) -> dict[int, AnyNode]:
        found = read_nodes(self._session, NodeQuery(kind, ids=sorted(ids)))
        return {node.id: node for node in found}

    def _existing(self, wanted: dict[NodeKind, set[int]]) -> dict[NodeKind, set[int]]:
        """One statement for all kinds."""
        # Nearly every batch asks this: written out, it costs half of what `_rows` does.
        if not wanted:
            return {}
        database = self._database
        shapes = {kind: database.list_shape(ids) for kind, ids in wanted.items()}

        def build() -> ClauseElement:
            parts = []
            for kind, shape in shapes.items():
                id = self._schema.nodes[kind].c.id
                among = database.in_list(id, kind.label, shape)
                parts.append(select(literal_column(str(int(kind))), id).where(among))
            return union_all(*parts) if len(parts) > 1 else parts[0]

        statement = database.statement(("existing", *shapes.items()), build)
        bound = {kind.label: database.bind_list(ids, shapes[kind]) for kind, ids in wanted.items()}
        found: dict[NodeKind, set[int]] = {kind: set() for kind in wanted}
        of_number = {int(kind): ids for kind, ids in found.items()}
        for number, id in self._session.rows(statement, **bound):
            of_number[number].add(id)
        return found

    def _names(self, kind: NodeKind, names: set[tuple[int, str]]) -> dict[tuple[int, str], int]:
        node = self._schema.nodes[kind].c
        rows = self._rows(
            ("names", kind),
            {"types": {type_id for type_id, _ in names}, "names": {name for _, name in names}},
            lambda among: select(node.type_id, node.name, node.id).where(
                among(node.type_id, "types"), among(node.name, "names")
            ),
        )
        return {(type_id, name): id for type_id, name, id in rows if (type_id, name) in names}

    def _external_ids(self, kind: NodeKind, external_ids: set[str]) -> dict[str, int]:
        node = self._schema.nodes[kind].c
        rows = self._rows(
            ("external ids", kind),
            {"values": external_ids},
            lambda among: select(node.external_id, node.id).where(
                among(node.external_id, "values")
            ),
        )
        return {external_id: id for external_id, id in rows}  # noqa: C416 - pairs, for the type checker

    def _uris(self, uris: set[tuple[int, str]]) -> dict[tuple[int, str], int]:
        node = self._schema.nodes[NodeKind.ARTIFACT].c
        uri = self._database.exact(node.uri)
        rows = self._rows(
            ("uris",),
            {"uris": {uri for _, uri in uris}},
            lambda among: (
                select(node.type_id, uri, func.max(node.id))
                .where(among(node.uri, "uris"))
                .group_by(node.type_id, uri)
            ),
        )
        return {(type_id, uri): id for type_id, uri, id in rows if (type_id, uri) in uris}

    def _events(self, pairs: set[tuple[int, int]]) -> set[EventKey]:
        event = self._schema.event.c
        artifacts, executions = {a for a, _ in pairs}, {e for _, e in pairs}
        too_many = are_too_many_pairs(artifacts, executions)
        execution = self._database.unindexed(event.execution_id) if too_many else event.execution_id
        rows = self._rows(
            ("events of", too_many),
            {"artifacts": artifacts, "executions": executions},
            lambda among: select(event.artifact_id, event.execution_id, event.type).where(
                among(event.artifact_id, "artifacts"), among(execution, "executions")
            ),
        )
        # The two lists cross: what belongs to pairs that nobody asked for is dropped.
        return {
            (a, e, EventType(type))
            for a, e, type in rows
            if (a, e) in pairs and type in _EVENT_TYPES
        }

    def _parents(self, contexts: set[int]) -> set[tuple[int, int]]:
        link = self._schema.parent_context.c

        def build(among: Callable[..., Any]) -> ClauseElement:
            up = (
                select(link.context_id, link.parent_context_id)
                .where(among(link.context_id, "contexts"))
                .cte("up", recursive=True)
            )
            # UNION, not UNION ALL: a damaged store may hold a cycle.
            above = select(link.context_id, link.parent_context_id).join_from(
                self._schema.parent_context, up, link.context_id == up.c.parent_context_id
            )
            up = up.union(above)
            return select(up.c.context_id, up.c.parent_context_id)

        rows = self._rows(("ancestors",), {"contexts": contexts}, build)
        return {(child, parent) for child, parent in rows}

    # Changes.

    def apply(self, changes: Changes) -> Applied:
        """A statement for each table that changes, whatever the number of rows."""
        self._check_process()
        type_ids: Sequence[int] = ()
        if changes.type_inserts or changes.type_updates:
            self._types.forget(self._session)
            self._changed_types = True
            type_ids = self._insert_types(changes.type_inserts)
            self._update_types(changes.type_updates)
        node_ids: dict[NodeKind, Sequence[int]] = {}
        for kind, inserts in changes.inserts.items():
            node_ids[kind] = self._insert_nodes(kind, inserts, type_ids) if inserts else ()
        for kind, updates in changes.updates.items():
            if updates:
                self._update_nodes(kind, updates)

        def id_of(kind: NodeKind, target: Target) -> int:
            return node_ids[kind][target.position] if isinstance(target, New) else target

        if changes.events:
            self._insert_events(changes.events, id_of)
        for link_kind, links in changes.links.items():
            if links:
                rows = [
                    (id_of(NodeKind.CONTEXT, context), id_of(link_kind.other, other))
                    for context, other in links
                ]
                self._insert_links(link_kind, rows)
        return Applied(type_ids, node_ids)

    def _many(
        self, key: tuple[Any, ...], build: Callable[[], ClauseElement], rows: Iterable[Any]
    ) -> None:
        self._session.many(self._database.statement(key, build), rows)

    def _insert_rows(self, table: Table, columns: tuple[str, ...], rows: Sequence[Any]) -> None:
        self._database.insert_rows(self._session, table, columns, rows)

    def _insert_types(self, inserts: list[TypeInsert]) -> Sequence[int]:
        if not inserts:
            return ()
        schema = self._schema
        ids = self._database.insert(
            self._session,
            schema.type,
            [
                (
                    each.key.name,
                    each.key.version,
                    int(each.key.kind),
                    each.description,
                    each.input_type,
                    each.output_type,
                    each.external_id,
                )
                for each in inserts
            ],
        )
        self._insert_type_details(
            [(id, each.properties, each.base_type) for id, each in zip(ids, inserts, strict=True)]
        )
        return ids

    def _insert_type_details(
        self, details: list[tuple[int, Mapping[str, PropertyKind], int | None]]
    ) -> None:
        declared = [
            (id, name, int(kind))
            for id, properties, _ in details
            for name, kind in properties.items()
        ]
        if declared:
            columns = ("type_id", "name", "data_type")
            self._insert_rows(self._schema.type_property, columns, declared)
        bases = [(id, base) for id, _, base in details if base is not None]
        if bases:
            self._insert_rows(self._schema.parent_type, ("type_id", "parent_type_id"), bases)

    def _update_types(self, updates: list[TypeUpdate]) -> None:
        if not updates:
            return
        self._insert_type_details([(each.id, each.properties, each.base_type) for each in updates])
        external_ids = [
            (each.external_id, each.id) for each in updates if each.external_id is not None
        ]
        if external_ids:
            table = self._schema.type
            self._many(
                ("type external id",),
                lambda: (
                    update(table)
                    .values(external_id=bindparam("new_external_id"))
                    .where(table.c.id == bindparam("which"))
                ),
                external_ids,
            )

    def _insert_nodes(
        self, kind: NodeKind, inserts: list[NodeInsert], type_ids: Sequence[int]
    ) -> Sequence[int]:
        def type_of(type: Target) -> int:
            return type_ids[type.position] if isinstance(type, New) else type

        rows: list[tuple[Any, ...]]
        if kind is NodeKind.ARTIFACT:
            rows = [
                (type_of(type), uri, state, name, external_id, created, updated)
                for type, name, uri, state, external_id, _, _, created, updated in inserts
            ]
        elif kind is NodeKind.EXECUTION:
            rows = [
                (type_of(type), state, name, external_id, created, updated)
                for type, name, _, state, external_id, _, _, created, updated in inserts
            ]
        else:
            rows = [
                (type_of(type), name, external_id, created, updated)
                for type, name, _, _, external_id, _, _, created, updated in inserts
            ]
        ids = self._database.insert(self._session, self._schema.nodes[kind], rows)
        self._insert_properties(
            kind,
            (
                (id, row.properties, row.custom_properties)
                for id, row in zip(ids, inserts, strict=True)
            ),
        )
        return ids

    def _insert_properties(self, kind: NodeKind, owners: Iterable[Properties]) -> None:
        schema = self._schema
        self._database.insert_properties(
            self._session, schema.properties[kind], schema.owner_names[kind], owners
        )

    def _update_nodes(self, kind: NodeKind, updates: list[NodeUpdate]) -> None:
        table = self._schema.nodes[kind]
        state = self._schema.state(kind)

        def build() -> ClauseElement:
            columns: dict[str, Any] = {
                "name": bindparam("new_name"),
                "external_id": bindparam("new_external_id"),
                "last_update_time_since_epoch": bindparam("new_time"),
            }
            if state is not None:
                columns[state.name] = bindparam("new_state")
            if kind is NodeKind.ARTIFACT:
                columns["uri"] = bindparam("new_uri")
            return update(table).values(columns).where(table.c.id == bindparam("which"))

        statement = self._database.statement(("update", kind), build)
        self._session.many(
            statement,
            [
                statement.parameters(
                    {
                        "new_name": each.name,
                        "new_external_id": each.external_id,
                        "new_time": each.update_time_ms,
                        # A plain number: drivers differ in what they make of a member.
                        "new_state": None if each.state is None else int(each.state),
                        "new_uri": each.uri,
                        "which": each.id,
                    }
                )
                for each in updates
            ],
        )
        self._drop_properties(kind, updates)
        self._insert_properties(
            kind, ((each.id, each.set_properties, each.set_custom_properties) for each in updates)
        )

    def _drop_properties(self, kind: NodeKind, updates: list[NodeUpdate]) -> None:
        """Remove what is dropped, and what is about to be written anew."""
        rows = [
            (each.id, key, custom)
            for each in updates
            for custom, keys in (
                (0, (*each.drop_properties, *each.set_properties)),
                (1, (*each.drop_custom_properties, *each.set_custom_properties)),
            )
            for key in keys
        ]
        if not rows:
            return
        table = self._schema.properties[kind]
        self._many(
            ("drop properties", kind),
            lambda: delete(table).where(
                self._schema.owner(kind) == bindparam("owner"),
                table.c.name == bindparam("key"),
                table.c.is_custom_property == bindparam("custom"),
            ),
            rows,
        )

    def _insert_events(
        self, events: list[NewEvent], id_of: Callable[[NodeKind, Target], int]
    ) -> None:
        ids = self._database.insert(
            self._session,
            self._schema.event,
            [
                (
                    id_of(NodeKind.ARTIFACT, each.artifact),
                    id_of(NodeKind.EXECUTION, each.execution),
                    int(each.type),
                    each.time_ms,
                )
                for each in events
            ],
        )
        steps = [
            (id, 1, step, None) if isinstance(step, int) else (id, 0, None, step)
            for id, each in zip(ids, events, strict=True)
            for step in each.path
        ]
        if steps:
            columns = ("event_id", "is_index_step", "step_index", "step_key")
            self._insert_rows(self._schema.event_path, columns, steps)

    def _insert_links(self, kind: LinkKind, rows: list[tuple[int, int]]) -> None:
        table, other = self._schema.links[kind]
        columns = ("context_id", other.name)
        if kind is LinkKind.PARENT:
            self._insert_rows(table, columns, rows)
        else:
            self._database.insert_links(self._session, table, columns, rows)


_EVENT_TYPES = frozenset(int(type) for type in EventType)
