"""What is wrong with the rows of a relational store, counted by its database."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, ColumnElement, Select, Table, and_, exists, func, not_, or_, select

from metastore.model import (
    NODE_KINDS,
    ArtifactState,
    EventType,
    ExecutionState,
    LinkKind,
    NodeKind,
    PropertyKind,
)
from metastore.problems import EXAMPLES, Problem, cycles, lineage_cycles
from metastore.sql.database import Session
from metastore.sql.schema import Schema

__all__ = ["problems_of"]

_STATES = {NodeKind.ARTIFACT: len(ArtifactState), NodeKind.EXECUTION: len(ExecutionState)}
_COLUMNS = {
    PropertyKind.INT: "int_value",
    PropertyKind.DOUBLE: "double_value",
    PropertyKind.STRING: "string_value",
    PropertyKind.STRUCT: "string_value",
    PropertyKind.PROTO: "proto_value",
    PropertyKind.BOOLEAN: "bool_value",
}
_VALUES = tuple(dict.fromkeys(_COLUMNS.values()))


@dataclass(frozen=True, slots=True)
class _Check:
    """Rows that there should not be."""

    kind: str
    what: str
    table: Table
    wrong: ColumnElement[bool]
    shown: Sequence[Column[Any]]
    """Columns that tell an example, ids and names."""
    example: Callable[..., str]


def problems_of(session: Session) -> Iterator[Problem]:
    """All problems; each is a count and, where there are any, some examples."""
    for check in _checks(session.database.schema):
        yield from _result(session, check)
    yield from _repeated_types(session)
    yield from _cycles(session)


def _rows(session: Session, statement: Select[Any]) -> list[Any]:
    compiled = statement.compile(
        dialect=session.database.dialect, compile_kwargs={"literal_binds": True}
    )
    # As text with our own numbers in it: a driver reads % as the place of a parameter.
    session.execute(str(compiled))
    return list(session.cursor.fetchall())


def _result(session: Session, check: _Check) -> Iterator[Problem]:
    count = select(func.count()).select_from(check.table).where(check.wrong)
    [(number,)] = _rows(session, count)
    if number:
        shown = select(*check.shown).where(check.wrong).order_by(*check.shown).limit(EXAMPLES)
        examples = tuple(check.example(*row) for row in _rows(session, shown))
        yield Problem(check.kind, check.what, number, examples)


def _missing(column: Column[Any], table: Table, *more: ColumnElement[bool]) -> ColumnElement[bool]:
    return not_(exists(select(table.c.id).where(table.c.id == column, *more)))


def _checks(schema: Schema) -> Iterator[_Check]:
    for kind in NODE_KINDS:
        yield from _checks_of_nodes(schema, kind)
        yield from _checks_of_properties(schema, kind)
    yield from _checks_of_events(schema)
    yield from _checks_of_links(schema)
    yield from _checks_of_types(schema)


def _checks_of_nodes(schema: Schema, kind: NodeKind) -> Iterator[_Check]:
    table, label = schema.nodes[kind], kind.label
    c = table.c

    def example(id: int) -> str:
        return f"{label} {id}"

    is_of_kind = schema.type.c.type_kind == int(kind)
    yield _Check(
        f"{label}-without-type",
        f"{label}s whose type is not there",
        table,
        _missing(c.type_id, schema.type, is_of_kind),
        [c.id],
        example,
    )
    made, updated = c.create_time_since_epoch, c.last_update_time_since_epoch
    yield _Check(
        f"{label}-time",
        f"{label}s that were updated before they were made, or made before 1970",
        table,
        or_(made < 0, updated < made),
        [c.id],
        example,
    )
    state = schema.state(kind)
    if state is not None:
        yield _Check(
            f"{label}-state",
            f"{label}s in no state that there is",
            table,
            and_(state.is_not(None), or_(state < 0, state >= _STATES[kind])),
            [c.id],
            example,
        )


def _checks_of_properties(schema: Schema, kind: NodeKind) -> Iterator[_Check]:
    table, nodes, label = schema.properties[kind], schema.nodes[kind], kind.label
    c, owner = table.c, schema.owner(kind)

    def example(id: int, key: str) -> str:
        return f"{key!r} of {label} {id}"

    def check(what: str, words: str, wrong: ColumnElement[bool]) -> _Check:
        return _Check(f"{label}-property-{what}", words, table, wrong, [owner, c.name], example)

    yield check(
        "without-owner",
        f"properties of {label}s that are not there",
        _missing(owner, nodes),
    )
    values = [c[name] for name in _VALUES]
    yield check(
        "without-value",
        f"properties of {label}s without a value",
        and_(*(each.is_(None) for each in values)),
    )
    declared = schema.type_property.c
    of_type = and_(nodes.c.id == owner, declared.type_id == nodes.c.type_id)
    named = select(declared.name).where(of_type, declared.name == c.name)
    yield check(
        "undeclared",
        f"properties of {label}s that their type does not declare",
        and_(
            c.is_custom_property == 0,
            exists(select(nodes.c.id).where(nodes.c.id == owner)),
            not_(exists(named)),
        ),
    )
    other = or_(
        *(
            and_(declared.data_type == int(property_kind), c[column].is_(None))
            for property_kind, column in _COLUMNS.items()
        )
    )
    yield check(
        "of-another-kind",
        f"properties of {label}s of another kind than their type declares",
        and_(
            c.is_custom_property == 0,
            or_(*(each.is_not(None) for each in values)),
            exists(named.where(other)),
        ),
    )


def _checks_of_events(schema: Schema) -> Iterator[_Check]:
    event, path = schema.event, schema.event_path
    c = event.c

    def example(id: int, artifact: int, execution: int) -> str:
        return f"event {id} of artifact {artifact}, execution {execution}"

    shown = [c.id, c.artifact_id, c.execution_id]
    for kind, column in (
        (NodeKind.ARTIFACT, c.artifact_id),
        (NodeKind.EXECUTION, c.execution_id),
    ):
        yield _Check(
            f"event-without-{kind.label}",
            f"events whose {kind.label} is not there",
            event,
            _missing(column, schema.nodes[kind]),
            shown,
            example,
        )
    no_type = or_(c.type <= int(EventType.UNKNOWN), c.type >= len(EventType))
    yield _Check("event-type", "events of no type", event, no_type, shown, example)
    before = c.milliseconds_since_epoch < 0
    yield _Check("event-time", "events from before 1970", event, before, shown, example)
    yield _Check(
        "path-without-event",
        "steps of paths whose event is not there",
        path,
        _missing(path.c.event_id, event),
        [path.c.event_id],
        lambda id: f"event {id}",
    )


def _checks_of_links(schema: Schema) -> Iterator[_Check]:
    contexts = schema.nodes[NodeKind.CONTEXT]
    others = {
        LinkKind.ATTRIBUTION: ("artifact", schema.nodes[NodeKind.ARTIFACT]),
        LinkKind.ASSOCIATION: ("execution", schema.nodes[NodeKind.EXECUTION]),
        LinkKind.PARENT: ("parent", contexts),
    }
    for kind, (table, other) in schema.links.items():
        called, nodes = others[kind]

        def example(context: int, end: int, called: str = called) -> str:
            return f"context {context}, {called} {end}"

        for what, column, of in (("context", table.c.context_id, contexts), (called, other, nodes)):
            yield _Check(
                f"{kind.label.replace(' ', '-')}-without-{what}",
                f"{kind.label}s whose {what} is not there",
                table,
                _missing(column, of),
                [table.c.context_id, other],
                example,
            )


def _checks_of_types(schema: Schema) -> Iterator[_Check]:
    types, properties, parents = schema.type, schema.type_property, schema.parent_type
    yield _Check(
        "type-of-no-kind",
        "types that are of no kind",
        types,
        or_(types.c.type_kind < 0, types.c.type_kind >= len(NodeKind)),
        [types.c.id, types.c.name],
        lambda id, name: f"type {name!r} (id {id})",
    )

    def example(id: int, key: str) -> str:
        return f"{key!r} of type {id}"

    shown = [properties.c.type_id, properties.c.name]
    yield _Check(
        "type-property-without-type",
        "properties of types that are not there",
        properties,
        _missing(properties.c.type_id, types),
        shown,
        example,
    )
    kind = properties.c.data_type
    yield _Check(
        "type-property-of-no-kind",
        "properties of types that are of no kind",
        properties,
        or_(kind.is_(None), kind <= 0, kind > max(map(int, PropertyKind))),
        shown,
        example,
    )
    yield _Check(
        "base-type-without-type",
        "base types of which one end is not there",
        parents,
        or_(_missing(parents.c.type_id, types), _missing(parents.c.parent_type_id, types)),
        [parents.c.type_id, parents.c.parent_type_id],
        lambda type, base: f"base type {base} of type {type}",
    )


def _repeated_types(session: Session) -> Iterator[Problem]:
    """Types of one kind, name and version: ML Metadata's tables do not keep them apart."""
    c = session.database.schema.type.c
    key = (c.type_kind, c.name, c.version)
    found = _rows(session, select(*key).group_by(*key).having(func.count() > 1).order_by(*key))
    if found:
        examples = tuple(
            f"{name!r}" if version is None else f"{name!r}, version {version!r}"
            for _, name, version in found[:EXAMPLES]
        )
        yield Problem("type-repeated", "types that are stored several times", len(found), examples)


def _cycles(session: Session) -> Iterator[Problem]:
    schema = session.database.schema
    parents, event = schema.parent_context.c, schema.event.c
    found = cycles(_rows(session, select(parents.context_id, parents.parent_context_id)))
    if found:
        examples = tuple(f"context {id}" for id in found[:EXAMPLES])
        what = "contexts that are among their own ancestors"
        yield Problem("parent-cycle", what, len(found), examples)
    types = {int(each): each for each in EventType}
    statement = select(event.artifact_id, event.execution_id, event.type)
    yield from lineage_cycles(
        (artifact, execution, types.get(type, EventType.UNKNOWN))
        for artifact, execution, type in _rows(session, statement)
    )
