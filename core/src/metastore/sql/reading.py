"""Reads: types, events with their paths, links."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Select,
    bindparam,
    literal_column,
    select,
)

from metastore.model import (
    Event,
    EventType,
    Link,
    NodeKind,
    PathStep,
    PropertyKind,
    Type,
)
from metastore.query import EventQuery, LinkQuery, TypeQuery, WalkQuery
from metastore.sql.database import Database, Session
from metastore.sql.lists import Lists

__all__ = ["read_all_types", "read_events", "read_links", "read_types", "walk_events"]

# What a newer release or a damaged store holds besides is UNKNOWN.
_EVENT_TYPES: dict[Any, EventType] = {int(each): each for each in EventType}


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
    lists = Lists(database)
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


# Events and links.


_FEW = 16
"""Artifacts, or executions, whose events are read together with their paths."""


def read_events(session: Session, query: EventQuery) -> list[Event]:
    """A statement for the events, another for their paths; for events of a few nodes, one."""
    database = session.database
    event = database.schema.event.c
    lists = Lists(database)
    lists.add_two(
        ("artifact_ids", query.artifact_ids, event.artifact_id),
        ("execution_ids", query.execution_ids, event.execution_id),
    )
    ends = (query.artifact_ids, query.execution_ids)
    few = any(each is not None and len(each) <= _FEW for each in ends)

    def build() -> Select[Any]:
        conditions = [condition() for condition in lists.conditions]
        return _events_with_paths(database, conditions) if few else _events(database, conditions)

    statement = database.statement(("events", few, *lists.key), build)
    rows = session.rows(statement, **lists.parameters)
    if not rows:
        return []
    if few:
        # A step asks for few, and each statement may be a way over a network.
        return _with_paths(rows)
    return _made(rows, _read_paths(session, [row[0] for row in rows]))


def _with_paths(rows: Sequence[tuple[Any, ...]]) -> list[Event]:
    """Of rows with a step of a path each."""
    paths = _paths((row[0], *row[5:]) for row in rows)
    return _made(sorted({row[0]: row[:5] for row in rows}.values()), paths)


def _made(rows: Iterable[tuple[Any, ...]], paths: Mapping[int, Sequence[PathStep]]) -> list[Event]:
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


def _events(database: Database, conditions: list[ColumnElement[bool]]) -> Select[Any]:
    event = database.schema.event.c
    return (
        select(
            event.id,
            event.artifact_id,
            event.execution_id,
            event.type,
            event.milliseconds_since_epoch,
        )
        .where(*conditions)
        .order_by(event.id)
    )


def _events_with_paths(database: Database, conditions: list[ColumnElement[bool]]) -> Select[Any]:
    # In no order: sorted by the database, the steps of a path might not stay as inserted.
    schema = database.schema
    step = schema.event_path.c
    source = schema.event.outerjoin(schema.event_path, step.event_id == schema.event.c.id)
    return (
        _events(database, conditions)
        .order_by(None)
        .add_columns(step.is_index_step, step.step_index, step.step_key)
        .select_from(source)
    )


def walk_events(session: Session, query: WalkQuery) -> list[Event] | None:
    """The events of a walk, in one statement; None where a walk hop by hop takes less.

    Without `max_hops` the database passes over what it was at before.  With it, it goes from a node
    once for each number of hops that lead there, of which there may be many: such a walk is
    stopped where the database can be.
    """
    database = session.database
    shape = database.list_shape(query.ids)
    is_bounded = query.max_hops is not None
    statement = database.statement(
        ("walk", query.kind, query.way, is_bounded, shape),
        lambda: _events_with_paths(
            database,
            [database.schema.event.c.id.in_(_walk(database, query, is_bounded, shape))],
        ),
    )
    bound = {"ids": database.bind_list(query.ids, shape)}
    if not is_bounded:
        return _with_paths(session.rows(statement, **bound))
    rows = session.rows_soon(statement, hops=query.max_hops, **bound)
    return None if rows is None else _with_paths(rows)


def _walk(database: Database, query: WalkQuery, is_bounded: bool, shape: str) -> Select[Any]:
    """The ids of the events of a walk."""
    event = database.schema.event
    end = {NodeKind.ARTIFACT: event.c.artifact_id, NodeKind.EXECUTION: event.c.execution_id}
    other = {NodeKind.ARTIFACT: NodeKind.EXECUTION, NodeKind.EXECUTION: NodeKind.ARTIFACT}

    def hop(kind: NodeKind, number: ColumnElement[int]) -> Select[Any]:
        # The kind of node that the event leads to, and which one.
        found = select(
            literal_column(str(int(other[kind]))).label("kind"),
            end[other[kind]].label("node"),
            event.c.id.label("event"),
        )
        if is_bounded:
            found = found.add_columns(number.label("hop"))
        types = sorted(int(each) for each in query.way.types(kind))
        return found.where(event.c.type.in_([literal_column(str(each)) for each in types]))

    start = hop(query.kind, literal_column("1"))
    start = start.where(database.in_list(end[query.kind], "ids", shape))
    if is_bounded:
        start = start.where(bindparam("hops") > literal_column("0"))
    walk = start.cte("walk", recursive=True)
    further = []
    for kind in other:
        number = walk.c.hop + literal_column("1") if is_bounded else literal_column("0")
        onward = hop(kind, number).join_from(walk, event, end[kind] == walk.c.node)
        onward = onward.where(walk.c.kind == literal_column(str(int(kind))))
        further.append(onward.where(walk.c.hop < bindparam("hops")) if is_bounded else onward)
    walk = walk.union(*further)
    return select(walk.c.event)


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
    return _paths(session.rows(statement, ids=database.bind_list(ids, shape)))


def _paths(rows: Iterable[tuple[Any, ...]]) -> Mapping[int, list[PathStep]]:
    paths: dict[int, list[PathStep]] = {}
    for id, is_index, index, key in rows:
        value = index if is_index else key
        if value is not None:
            paths.setdefault(id, []).append(value)
    return paths


def read_links(session: Session, query: LinkQuery) -> list[Link]:
    """The links that the query asks for."""
    database = session.database
    table, other = database.schema.links[query.kind]
    context = table.c.context_id
    lists = Lists(database)
    lists.add_two(
        ("context_ids", query.context_ids, context), ("other_ids", query.other_ids, other)
    )

    def build() -> Select[Any]:
        conditions = (condition() for condition in lists.conditions)
        return select(context, other).where(*conditions).order_by(context, other)

    statement = database.statement(("links", query.kind, *lists.key), build)
    return [Link(*row) for row in session.rows(statement, **lists.parameters)]
