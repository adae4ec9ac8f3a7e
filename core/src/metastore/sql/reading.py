"""Reads: types, pages of nodes with their properties, events with their paths, links."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias, cast

from sqlalchemy import ColumnElement, Select, and_, bindparam, func, or_, select

from metastore.model import (
    AnyNode,
    Artifact,
    ArtifactState,
    Context,
    Event,
    EventType,
    Execution,
    ExecutionState,
    Link,
    LinkKind,
    NodeKind,
    PathStep,
    PropertyKind,
    Type,
    Value,
    builder,
)
from metastore.query import EventQuery, LinkQuery, NodeQuery, OrderBy, TypeQuery
from metastore.sql.codec import decode, decode_mixed, value_columns
from metastore.sql.database import Database, Session, Statement
from metastore.sql.filters import filter_condition, filter_key, filter_parameters

__all__ = ["count_nodes", "read_all_types", "read_events", "read_links", "read_nodes", "read_types"]

_TIMES = {
    OrderBy.CREATE_TIME: "create_time_since_epoch",
    OrderBy.UPDATE_TIME: "last_update_time_since_epoch",
}

# Plain dicts are the fastest way from what is stored to a member; what a newer release or a
# damaged store holds besides is UNKNOWN.
_EVENT_TYPES: dict[Any, EventType] = {int(each): each for each in EventType}
_STATES: dict[NodeKind, dict[Any, Any]] = {
    NodeKind.ARTIFACT: {None: None, **{int(each): each for each in ArtifactState}},
    NodeKind.EXECUTION: {None: None, **{int(each): each for each in ExecutionState}},
}
_CLASSES: dict[NodeKind, type[Any]] = {
    NodeKind.ARTIFACT: Artifact,
    NodeKind.EXECUTION: Execution,
    NodeKind.CONTEXT: Context,
}

_Maps: TypeAlias = "dict[int, tuple[dict[str, Value], dict[str, Value]]]"


class _Lists:
    """The lists of a query: the key, the conditions and the parameters that they come to."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.key: list[tuple[str, str]] = []
        self.parameters: dict[str, Any] = {}
        self.conditions: list[Callable[[], ColumnElement[bool]]] = []

    def add(
        self,
        name: str,
        values: Collection[Any] | None,
        condition: Callable[
            [Callable[[ColumnElement[Any]], ColumnElement[bool]]], ColumnElement[bool]
        ],
    ) -> None:
        """Narrow by `values`, unless they are None.

        `condition` gets a function that turns a column into "the column is one of the values".
        """
        if values is None:
            return
        database = self._database
        shape = database.list_shape(values)
        self.key.append((name, shape))
        self.parameters[name] = database.bind_list(values, shape)
        self.conditions.append(
            lambda: condition(lambda column: database.in_list(column, name, shape))
        )


# Types.


def read_all_types(session: Session) -> list[Type]:
    """Every type of every kind."""
    database = session.database
    schema = database.schema
    types = database.statement(
        "all types", lambda: _type_select(database).order_by(schema.type.c.id)
    )
    return _types(session, session.rows(types))


def read_types(session: Session, query: TypeQuery) -> list[Type]:
    """The types that the query asks for."""
    database = session.database
    table = database.schema.type.c
    lists = _Lists(database)
    lists.add("ids", query.ids, lambda among: among(table.id))
    names = None if query.keys is None else {key.name for key in query.keys}
    lists.add("names", names, lambda among: among(table.name))
    lists.add("external_ids", query.external_ids, lambda among: among(table.external_id))

    def build() -> Select[Any]:
        kind = table.type_kind == bindparam("kind")
        conditions = [condition() for condition in lists.conditions]
        return _type_select(database).where(kind, *conditions).order_by(table.id)

    statement = database.statement(("types", *lists.key), build)
    found = _types(session, session.rows(statement, kind=int(query.kind), **lists.parameters))
    # By name in the database, by name and version here: one more condition would save nothing.
    wanted = None if query.keys is None else set(query.keys)
    return [each for each in found if wanted is None or each.key in wanted]


def _type_select(database: Database) -> Select[Any]:
    table = database.schema.type.c
    return select(
        table.id,
        table.type_kind,
        table.name,
        table.version,
        table.description,
        table.external_id,
        table.input_type,
        table.output_type,
    )


def _types(session: Session, rows: Iterable[tuple[Any, ...]]) -> list[Type]:
    rows = list(rows)
    if not rows:
        return []
    database = session.database
    schema = database.schema
    ids = [row[0] for row in rows]
    shape = database.list_shape(ids)
    bound = {"ids": database.bind_list(ids, shape)}
    declared = schema.type_property.c
    parent = schema.parent_type.c
    properties: dict[int, dict[str, PropertyKind]] = {id: {} for id in ids}
    for type_id, name, data_type in session.rows(
        database.statement(
            ("type properties", shape),
            lambda: (
                select(declared.type_id, declared.name, declared.data_type)
                .where(database.in_list(declared.type_id, "ids", shape))
                .order_by(declared.type_id, declared.name)
            ),
        ),
        **bound,
    ):
        # A kind that ML Metadata does not have (0, or NULL in a damaged store) is left out.
        if data_type in _PROPERTY_KINDS:
            properties[type_id][name] = _PROPERTY_KINDS[data_type]
    base_types = database.statement(
        ("base types", shape),
        lambda: (
            select(parent.type_id, schema.type.c.name)
            .join_from(schema.parent_type, schema.type, schema.type.c.id == parent.parent_type_id)
            .where(database.in_list(parent.type_id, "ids", shape))
        ),
    )
    bases: dict[int, str] = dict(session.rows(base_types, **bound))
    return [
        Type(
            id,
            NodeKind(kind),
            name,
            properties[id],
            version or None,
            description,
            bases.get(id),
            external_id,
            input_type,
            output_type,
        )
        for id, kind, name, version, description, external_id, input_type, output_type in rows
        if kind in _NODE_KINDS
    ]


_PROPERTY_KINDS = {int(kind): kind for kind in PropertyKind}
_NODE_KINDS = frozenset(int(kind) for kind in NodeKind)


# Nodes.


def read_nodes(session: Session, query: NodeQuery) -> list[AnyNode]:
    """One page: a statement for the nodes, another for their properties."""
    statement, parameters = _node_statement(session.database, query, _node_columns)
    rows = session.rows(statement, **parameters)
    if not rows:
        return []
    maps = _read_properties(session, query.kind, [row[0] for row in rows])
    return _nodes(query.kind, rows, maps)


def count_nodes(session: Session, query: NodeQuery) -> int:
    """How many nodes the query asks for, its page left aside."""
    whole = replace(query, order_by=OrderBy.ID, descending=False, after=None, limit=None)
    statement, parameters = _node_statement(
        session.database, whole, lambda database, kind: (func.count(),)
    )
    return cast("int", session.rows(statement, **parameters)[0][0])


def _node_columns(database: Database, kind: NodeKind) -> tuple[ColumnElement[Any], ...]:
    schema = database.schema
    node = schema.nodes[kind].c
    common: tuple[ColumnElement[Any], ...] = (
        node.id,
        node.type_id,
        schema.type.c.name,
        node.name,
        node.external_id,
        node.create_time_since_epoch,
        node.last_update_time_since_epoch,
    )
    state = schema.state(kind)
    own = () if state is None else (state,)
    return (*common, *own, node.uri) if kind is NodeKind.ARTIFACT else (*common, *own)


def _node_statement(
    database: Database,
    query: NodeQuery,
    columns: Callable[[Database, NodeKind], tuple[ColumnElement[Any], ...]],
) -> tuple[Statement, dict[str, Any]]:
    node = database.schema.nodes[query.kind].c
    lists = _Lists(database)
    lists.add("ids", query.ids, lambda among: among(node.id))
    lists.add("names", query.names, lambda among: among(node.name))
    lists.add("external_ids", query.external_ids, lambda among: among(node.external_id))
    lists.add("uris", query.uris, lambda among: among(node.uri))
    lists.add("type_names", query.type_names, lambda among: _typed(database, query.kind, among))
    lists.add("context_ids", query.context_ids, lambda among: _linked(database, query.kind, among))
    lists.add("parents_of", query.parents_of, lambda among: _relatives(database, among, up=True))
    lists.add("children_of", query.children_of, lambda among: _relatives(database, among, up=False))
    parameters = lists.parameters
    if query.type is not None:
        parameters |= {"type_kind": int(query.kind), "type_name": query.type.name}
        if query.type.version:
            parameters["type_version"] = query.type.version
    if query.after is not None:
        parameters |= {"after_value": query.after.value, "after_id": query.after.id}
    if query.limit is not None:
        parameters["page_size"] = query.limit
    key = (
        "nodes",
        columns,
        query.kind,
        *lists.key,
        query.type is not None,
        query.type is not None and bool(query.type.version),
        query.order_by,
        query.descending,
        query.after is not None,
        query.limit is not None,
    )

    filter = query.filter

    def build() -> Select[Any]:
        conditions = [condition() for condition in lists.conditions]
        if filter is not None:
            conditions.append(filter_condition(database, filter))
        return _node_select(database, query, columns, conditions)

    if filter is None:
        return database.statement(key, build), parameters
    parameters |= filter_parameters(database, filter)
    return (
        database.statement_of_filter((*key, filter_key(database, filter)), build),
        parameters,
    )


def _node_select(
    database: Database,
    query: NodeQuery,
    columns: Callable[[Database, NodeKind], tuple[ColumnElement[Any], ...]],
    conditions: list[ColumnElement[bool]],
) -> Select[Any]:
    schema = database.schema
    table = schema.nodes[query.kind]
    node, type = table.c, schema.type.c
    counting = columns is not _node_columns
    selected = select(*columns(database, query.kind)).select_from(
        # An outer join: a node whose type is gone must still be read.
        table if counting else table.outerjoin(schema.type, type.id == node.type_id)
    )
    if query.type is not None:
        types = schema.type.alias("wanted").c
        wanted = select(types.id).where(
            types.type_kind == bindparam("type_kind"),
            types.name == bindparam("type_name"),
            types.version == bindparam("type_version")
            if query.type.version
            else or_(types.version.is_(None), types.version == ""),
        )
        conditions = [*conditions, node.type_id.in_(wanted)]
    selected = selected.where(*conditions)
    if counting:
        return selected
    keys = [node.id]
    if query.order_by is not OrderBy.ID:
        keys.insert(0, node[_TIMES[query.order_by]])
    if query.after is not None:
        selected = selected.where(_behind(keys, descending=query.descending))
    selected = selected.order_by(*(key.desc() if query.descending else key.asc() for key in keys))
    return selected if query.limit is None else selected.limit(bindparam("page_size"))


def _behind(keys: Sequence[ColumnElement[Any]], *, descending: bool) -> ColumnElement[bool]:
    """Behind the cursor, in a form that an index on the first key serves."""
    value: ColumnElement[Any] = bindparam("after_value")
    last: ColumnElement[Any] = bindparam("after_id")
    id = keys[-1]
    if len(keys) == 1:
        return id < last if descending else id > last
    time = keys[0]
    if descending:
        return and_(time <= value, or_(time < value, id < last))
    return and_(time >= value, or_(time > value, id > last))


def _typed(database: Database, kind: NodeKind, among: Callable[..., Any]) -> ColumnElement[bool]:
    types = database.schema.type.alias("named").c
    named = select(types.id).where(types.type_kind == int(kind), among(types.name))
    return database.schema.nodes[kind].c.type_id.in_(named)


def _linked(database: Database, kind: NodeKind, among: Callable[..., Any]) -> ColumnElement[bool]:
    schema = database.schema
    link = LinkKind.ATTRIBUTION if kind is NodeKind.ARTIFACT else LinkKind.ASSOCIATION
    table, other = schema.links[link]
    return schema.nodes[kind].c.id.in_(select(other).where(among(table.c.context_id)))


def _relatives(database: Database, among: Callable[..., Any], *, up: bool) -> ColumnElement[bool]:
    links = database.schema.parent_context.c
    near, far = links.context_id, links.parent_context_id
    if not up:
        near, far = far, near
    return database.schema.nodes[NodeKind.CONTEXT].c.id.in_(select(far).where(among(near)))


def _read_properties(session: Session, kind: NodeKind, ids: Collection[int]) -> _Maps:
    database = session.database
    shape = database.list_shape(ids)
    mixed = database.mixed_columns

    def build() -> Select[Any]:
        table = database.schema.properties[kind]
        owner = database.schema.owner(kind)
        return select(
            owner, table.c.name, table.c.is_custom_property, *value_columns(table, mixed=mixed)
        ).where(database.in_list(owner, "ids", shape))

    statement = database.statement(("properties", kind, shape), build)
    maps: _Maps = {}
    if mixed:
        for id, key, custom, value, rest in session.rows(
            statement, ids=database.bind_list(ids, shape)
        ):
            if id not in maps:
                maps[id] = ({}, {})
            if rest is not None or value is None or type(value) is str:
                value = decode_mixed(value, rest)
                if value is None:
                    continue
            maps[id][1 if custom else 0][key] = value
        return maps
    for id, key, custom, *columns in session.rows(statement, ids=database.bind_list(ids, shape)):
        decoded = decode(*columns)
        if decoded is not None:
            maps.setdefault(id, ({}, {}))[1 if custom else 0][key] = decoded
    return maps


def _nodes(kind: NodeKind, rows: list[tuple[Any, ...]], maps: _Maps) -> list[AnyNode]:
    build = builder(_CLASSES[kind])
    states = _STATES.get(kind)
    nodes: list[AnyNode] = []
    for row in rows:
        id, type_id, type_name, name, external_id, created, updated = row[:7]
        found = maps.get(id)
        declared, custom = ({}, {}) if found is None else found
        common = (
            id, type_id, type_name or "", name, external_id, declared, custom, created, updated
        )  # fmt: skip
        if states is None:
            nodes.append(build(*common))
            continue
        state = states.get(row[7], states[0])
        if kind is NodeKind.ARTIFACT:
            nodes.append(build(*common, row[8] or "", state))
        else:
            nodes.append(build(*common, state))
    return nodes


# Events and links.


def read_events(session: Session, query: EventQuery) -> list[Event]:
    """A statement for the events, another for their paths."""
    database = session.database
    schema = database.schema
    event = schema.event.c
    lists = _Lists(database)
    lists.add("artifact_ids", query.artifact_ids, lambda among: among(event.artifact_id))
    lists.add("execution_ids", query.execution_ids, lambda among: among(event.execution_id))

    def build() -> Select[Any]:
        return (
            select(
                event.id,
                event.artifact_id,
                event.execution_id,
                event.type,
                event.milliseconds_since_epoch,
            )
            .where(*(condition() for condition in lists.conditions))
            .order_by(event.id)
        )

    statement = database.statement(("events", *lists.key), build)
    rows = session.rows(statement, **lists.parameters)
    if not rows:
        return []
    paths = _read_paths(session, [row[0] for row in rows])
    return [
        Event(
            artifact_id,
            execution_id,
            _EVENT_TYPES.get(type, EventType.UNKNOWN),
            time or 0,
            tuple(paths.get(id, ())),
            id,
        )
        for id, artifact_id, execution_id, type, time in rows
    ]


def _read_paths(session: Session, ids: list[int]) -> Mapping[int, list[PathStep]]:
    database = session.database
    shape = database.list_shape(ids)
    step = database.schema.event_path.c

    # No ORDER BY, as in ML Metadata: the table has no column for it, steps come as inserted.
    def build() -> Select[Any]:
        return select(step.event_id, step.is_index_step, step.step_index, step.step_key).where(
            database.in_list(step.event_id, "ids", shape)
        )

    statement = database.statement(("paths", shape), build)
    paths: dict[int, list[PathStep]] = {}
    for id, is_index, index, key in session.rows(statement, ids=database.bind_list(ids, shape)):
        value = index if is_index else key
        if value is not None:
            paths.setdefault(id, []).append(value)
    return paths


def read_links(session: Session, query: LinkQuery) -> list[Link]:
    """The links that the query asks for."""
    database = session.database
    table, other = database.schema.links[query.kind]
    context = table.c.context_id
    lists = _Lists(database)
    lists.add("context_ids", query.context_ids, lambda among: among(context))
    lists.add("other_ids", query.other_ids, lambda among: among(other))

    def build() -> Select[Any]:
        conditions = (condition() for condition in lists.conditions)
        return select(context, other).where(*conditions).order_by(context, other)

    statement = database.statement(("links", query.kind, *lists.key), build)
    return [Link(*row) for row in session.rows(statement, **lists.parameters)]
