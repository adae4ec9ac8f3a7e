"""Pages of nodes with their properties, and how the database is to look for them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import replace
from math import isqrt
from operator import attrgetter
from typing import Any, TypeAlias, cast

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    FromClause,
    Select,
    and_,
    bindparam,
    func,
    literal_column,
    or_,
    select,
)

from metastore.model import (
    AnyNode,
    Artifact,
    ArtifactState,
    Context,
    Execution,
    ExecutionState,
    LinkKind,
    NodeKind,
    Value,
    builder,
)
from metastore.query import Filter, NodeQuery, OrderBy
from metastore.sql.codec import STRUCT_PREFIX, decode, decode_mixed, value_columns
from metastore.sql.database import Database, Row, Session, Statement, forget_oldest
from metastore.sql.filters import filter_condition, filter_key, filter_parameters, filter_probes

__all__ = ["count_nodes", "read_nodes"]

_TIMES = {
    OrderBy.CREATE_TIME: "create_time_since_epoch",
    OrderBy.UPDATE_TIME: "last_update_time_since_epoch",
}

# Plain dicts are the fastest way from what is stored to a member; what a newer release or a
# damaged store holds besides is UNKNOWN.
_STATES: dict[NodeKind, dict[Any, Any]] = {
    NodeKind.ARTIFACT: {None: None, **{int(each): each for each in ArtifactState}},
    NodeKind.EXECUTION: {None: None, **{int(each): each for each in ExecutionState}},
}
_CLASSES: dict[NodeKind, type[Any]] = {
    NodeKind.ARTIFACT: Artifact,
    NodeKind.EXECUTION: Execution,
    NodeKind.CONTEXT: Context,
}

_STRUCT = STRUCT_PREFIX[:1]
_Maps: TypeAlias = "dict[int, tuple[dict[str, Value], dict[str, Value]]]"


def read_nodes(session: Session, query: NodeQuery) -> list[AnyNode]:
    """One page: a statement for the nodes, another for their properties; for a few nodes, one."""
    if _asks_for_few(query):
        return _read_few(session, query)
    walked = walked_conditions(session, query)
    statement, parameters = _node_statement(session.database, query, _node_columns, walked)
    rows = (session.rows_soon if walked else session.rows)(statement, **parameters)
    if rows is None:
        # They lie at the far end, so that the walk is a long one: fetched and sorted after all.
        session.database.walked[_walked_key(query)] = frozenset()
        statement, parameters = _node_statement(session.database, query, _node_columns)
        rows = session.rows(statement, **parameters)
    if not rows:
        return []
    maps = _read_properties(session, query.kind, [row[0] for row in rows])
    return _nodes(query.kind, rows, maps)


_FEWEST = 4
"""Nodes that are read together with their properties: each is repeated for each of them."""


def _asks_for_few(query: NodeQuery) -> bool:
    for named in (query.ids, query.names, query.external_ids):
        if named is not None and len(named) <= _FEWEST:
            return query.filter is None and query.order_by is OrderBy.ID
    return False


def _read_few(session: Session, query: NodeQuery) -> list[AnyNode]:
    """One statement, because each may be a way over a network."""
    database = session.database
    # They are few anyway: a limit of rows would be one of properties.
    statement, parameters = _node_statement(database, query.page(query.after, None), _all_columns)
    rows = session.rows(statement, **parameters)
    if not rows:
        return []
    width = _WIDTHS[query.kind]
    maps = _maps_of_mixed if database.mixed_columns else _maps
    by_id = {row[0]: row[:width] for row in rows}
    nodes = [by_id[id] for id in sorted(by_id, reverse=query.descending)][: query.limit]
    return _nodes(query.kind, nodes, maps((row[0], *row[width:]) for row in rows))


def count_nodes(session: Session, query: NodeQuery) -> int:
    """How many nodes the query asks for, its page left aside."""
    whole = replace(query, order_by=OrderBy.ID, descending=False, after=None, limit=None)
    statement, parameters = _node_statement(
        session.database, whole, lambda database, kind: (func.count(),)
    )
    return cast("int", session.rows(statement, **parameters)[0][0])


# Which conditions very many nodes fulfil.


def walked_conditions(session: Session, query: NodeQuery) -> frozenset[Hashable]:
    """The conditions of a page's query that are to be looked at node by node, in its order.

    An index is the way to few nodes.  Where very many fulfil a condition, all of them would be
    fetched and sorted for each page; then it costs less to walk the nodes in the order that is
    asked for until the page is full.  With N nodes, pages of n and m that fulfil the condition,
    the one takes about m steps, the other n * N / m: they are even at the root of n * N, and a
    probe of the index does not look further than that.
    """
    key = _walked_key(query)
    if key is None:
        return frozenset()
    database = session.database
    if query.after is not None and key in database.walked:
        return database.walked[key]
    nodes = _about_how_many(session, query.kind)
    found: frozenset[Hashable] = frozenset()
    if nodes > _FEW:
        bound = isqrt((query.limit or 1) * nodes)
        found = frozenset(
            name
            for name, statement, parameters in _probes(database, query)
            if session.rows(statement, probed=bound + 1, **parameters)[0][0] > bound
        )
    database.walked[key] = found
    forget_oldest(database.walked)
    return found


_FEW = 2000
"""Nodes of a kind, of which no way is long."""


def _about_how_many(session: Session, kind: NodeKind) -> int:
    """The largest id; not asked for again once it is large."""
    database = session.database
    known = database.sizes.get(kind, 0)
    if known <= _FEW:
        newest = database.statement(
            ("newest", kind), lambda: select(func.max(database.schema.nodes[kind].c.id))
        )
        known = database.sizes[kind] = session.rows(newest)[0][0] or 0
    return known


def _walked_key(query: NodeQuery) -> Hashable | None:
    """What the answer depends on; None where there is nothing to choose."""
    direct = (query.ids, query.names, query.external_ids, query.uris)
    if not query.limit or any(each is not None for each in direct):
        return None
    contexts = query.context_ids and tuple(query.context_ids)
    types = query.type_names and tuple(query.type_names)
    if query.filter is None and contexts is None and types is None and query.type is None:
        return None
    return query.kind, query.filter, query.order_by, query.type, types, contexts


def _probes(
    database: Database, query: NodeQuery
) -> Iterator[tuple[Hashable, Statement, dict[str, Any]]]:
    """For each condition that could be walked, a statement that counts up to `probed` nodes."""
    for name, part in (
        ("type", NodeQuery(query.kind, type=query.type, type_names=query.type_names)),
        ("context", NodeQuery(query.kind, context_ids=query.context_ids)),
    ):
        if part != NodeQuery(query.kind):
            yield name, *_node_statement(database, part, _only_ids)
    filter = query.filter
    if filter is None:
        return
    parameters = filter_parameters(database, filter)
    for number, statement in enumerate(_statements_of_probes(database, filter)):
        yield number, statement, parameters


def _statements_of_probes(database: Database, filter: Filter) -> list[Statement]:
    key = filter_key(database, filter)
    found = database.probes.get(key)
    if found is None:
        probes = filter_probes(database, filter)
        found = [Statement(_counted(each), database.dialect) for each in probes]
        database.probes[key] = found
        forget_oldest(database.probes)
    return found


def _number(name: str) -> ColumnElement[int]:
    """A limit: wider than SQLAlchemy takes it for."""
    return bindparam(name, type_=BigInteger)


def _only_ids(database: Database, kind: NodeKind) -> tuple[ColumnElement[Any], ...]:
    return (database.schema.nodes[kind].c.id,)


def _counted(probe: Select[Any]) -> Select[Any]:
    # Of no column: the index alone says how many rows there are.
    rows: Select[Any] = probe.with_only_columns(
        literal_column("1").label("one"), maintain_column_froms=True
    )
    found = rows.limit(_number("probed")).subquery("found")
    return select(func.count()).select_from(found)


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


_WIDTHS = {NodeKind.ARTIFACT: 9, NodeKind.EXECUTION: 8, NodeKind.CONTEXT: 7}
"""Columns of `_node_columns`."""


def _all_columns(database: Database, kind: NodeKind) -> tuple[ColumnElement[Any], ...]:
    """Those of a node and of one of its properties, of which there may be none."""
    table = database.schema.properties[kind]
    values = value_columns(table, mixed=database.mixed_columns)
    return (
        *_node_columns(database, kind), table.c.name, table.c.is_custom_property, *values
    )  # fmt: skip


def _node_statement(
    database: Database,
    query: NodeQuery,
    columns: Callable[[Database, NodeKind], tuple[ColumnElement[Any], ...]],
    walked: frozenset[Hashable] = frozenset(),
) -> tuple[Statement, dict[str, Any]]:
    parameters: dict[str, Any] = {}
    lists: list[tuple[str, str]] = []
    for name, values in zip(_LISTS, _lists_of(query), strict=True):
        if values is not None:
            shape = database.list_shape(values)
            lists.append((name, shape))
            parameters[name] = database.bind_list(values, shape)
    type, after = query.type, query.after
    if type is not None:
        parameters["type_kind"] = int(query.kind)
        parameters["type_name"] = database.bind_text(type.name)
        if type.version:
            parameters["type_version"] = database.bind_text(type.version)
    if after is not None:
        parameters["after_value"], parameters["after_id"] = after
    if query.limit is not None:
        parameters["page_size"] = query.limit
    key = (
        "nodes",
        columns,
        query.kind,
        *lists,
        query.order_by,
        query.descending,
        walked,
        # What else there is to bind, by name.
        *parameters,
    )

    filter = query.filter

    def build() -> Select[Any]:
        conditions = [_listed(database, query.kind, *each, walked) for each in lists]
        if filter is not None:
            conditions.append(filter_condition(database, filter, walked))
        if query.type is not None:
            conditions.append(_of_type(database, query, _type_id(database, query.kind, walked)))
        found = _node_select(database, query, columns, conditions)
        return _counted(found) if columns is _only_ids else found

    if filter is None:
        return database.statement(key, build), parameters
    parameters |= filter_parameters(database, filter)
    return (
        database.statement_of_filter((*key, filter_key(database, filter)), build),
        parameters,
    )


_LISTS = (
    "ids",
    "names",
    "external_ids",
    "uris",
    "type_names",
    "context_ids",
    "parents_of",
    "children_of",
)
_lists_of = attrgetter(*_LISTS)


def _listed(
    database: Database, kind: NodeKind, name: str, shape: str, walked: frozenset[Hashable]
) -> ColumnElement[bool]:
    """The condition that a list of a query comes to."""
    node = database.schema.nodes[kind].c

    def among(column: ColumnElement[Any]) -> ColumnElement[bool]:
        return database.in_list(column, name, shape)

    if name == "type_names":
        return _typed(database, kind, _type_id(database, kind, walked), among)
    if name == "context_ids":
        return _linked(database, kind, among, one_by_one="context" in walked)
    if name in ("parents_of", "children_of"):
        return _relatives(database, among, up=name == "parents_of")
    columns = {"ids": "id", "names": "name", "external_ids": "external_id", "uris": "uri"}
    return among(node[columns[name]])


def _type_id(database: Database, kind: NodeKind, walked: frozenset[Hashable]) -> ColumnElement[Any]:
    type_id = database.schema.nodes[kind].c.type_id
    return database.unindexed(type_id) if "type" in walked else type_id


def _node_select(
    database: Database,
    query: NodeQuery,
    columns: Callable[[Database, NodeKind], tuple[ColumnElement[Any], ...]],
    conditions: list[ColumnElement[bool]],
) -> Select[Any]:
    schema = database.schema
    table = schema.nodes[query.kind]
    node, type = table.c, schema.type.c
    counting = columns not in (_node_columns, _all_columns)
    source: FromClause = table
    if not counting:
        # An outer join: a node whose type is gone must still be read.
        source = source.outerjoin(schema.type, type.id == node.type_id)
    if columns is _all_columns:
        owner = schema.owner(query.kind)
        source = source.outerjoin(schema.properties[query.kind], owner == node.id)
    selected = select(*columns(database, query.kind)).select_from(source).where(*conditions)
    if counting:
        return selected
    keys = [node.id]
    if query.order_by is not OrderBy.ID:
        keys.insert(0, node[_TIMES[query.order_by]])
    if query.after is not None:
        selected = selected.where(_behind(keys, descending=query.descending))
    if columns is _all_columns:
        # A few rows: MariaDB would make a table on its disk to sort them, for their long columns.
        return selected
    selected = selected.order_by(*(key.desc() if query.descending else key.asc() for key in keys))
    return selected if query.limit is None else selected.limit(_number("page_size"))


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


def _of_type(
    database: Database, query: NodeQuery, type_id: ColumnElement[Any]
) -> ColumnElement[bool]:
    types = database.schema.type.alias("wanted").c
    wanted = select(types.id).where(
        types.type_kind == bindparam("type_kind"),
        database.same(types.name, bindparam("type_name")),
        database.same(types.version, bindparam("type_version"))
        if query.type and query.type.version
        else or_(types.version.is_(None), types.version == ""),
    )
    return type_id.in_(wanted)


def _typed(
    database: Database, kind: NodeKind, type_id: ColumnElement[Any], among: Callable[..., Any]
) -> ColumnElement[bool]:
    types = database.schema.type.alias("named").c
    named = select(types.id).where(types.type_kind == int(kind), among(types.name))
    return type_id.in_(named)


def _linked(
    database: Database, kind: NodeKind, among: Callable[..., Any], *, one_by_one: bool
) -> ColumnElement[bool]:
    schema = database.schema
    link = LinkKind.ATTRIBUTION if kind is NodeKind.ARTIFACT else LinkKind.ASSOCIATION
    table, other = schema.links[link]
    id = schema.nodes[kind].c.id
    linked = select(other).where(among(table.c.context_id))
    if one_by_one:
        return database.exists(linked.where(other == id).correlate_except(table))
    return id.in_(linked)


def _relatives(database: Database, among: Callable[..., Any], *, up: bool) -> ColumnElement[bool]:
    links = database.schema.parent_context.c
    near, far = links.context_id, links.parent_context_id
    if not up:
        near, far = far, near
    return database.schema.nodes[NodeKind.CONTEXT].c.id.in_(select(far).where(among(near)))


def _read_properties(session: Session, kind: NodeKind, ids: Sequence[int]) -> _Maps:
    database = session.database
    mixed = database.mixed_columns
    first, last = min(ids), max(ids)
    # Of neighbours, as a page of all nodes has them: in one go, though a few others lie between.
    together = len(ids) > 1 and (last - first) * 4 < len(ids) * 5
    shape = "range" if together else database.list_shape(ids)

    def build() -> Select[Any]:
        table = database.schema.properties[kind]
        owner = database.schema.owner(kind)
        wanted: ColumnElement[bool]
        if together:
            wanted = owner.between(_number("first"), _number("last"))
        else:
            wanted = database.in_list(owner, "ids", shape)
        columns = value_columns(table, mixed=mixed)
        return select(owner, table.c.name, table.c.is_custom_property, *columns).where(wanted)

    statement = database.statement(("properties", kind, shape), build)
    maps = _maps_of_mixed if mixed else _maps
    if together:
        return session.read(maps, statement, first=first, last=last)
    return session.read(maps, statement, ids=database.bind_list(ids, shape))


def _maps(rows: Iterable[Row]) -> _Maps:
    maps: _Maps = {}
    for id, key, custom, *columns in rows:
        decoded = decode(*columns)
        if decoded is not None:
            maps.setdefault(id, ({}, {}))[1 if custom else 0][key] = decoded
    return maps


def _maps_of_mixed(rows: Iterable[Row]) -> _Maps:
    maps: _Maps = {}
    last: int | None = None
    both: tuple[dict[str, Value], dict[str, Value]] = {}, {}
    for id, key, custom, value, rest in rows:
        # Those of a node mostly come one after the other.
        if id != last:
            last, both = id, maps.setdefault(id, ({}, {}))
        # Only a text that begins like a struct may be one: see `decode_mixed`.
        if rest is not None or value is None or (type(value) is str and value[:1] == _STRUCT):
            value = decode_mixed(value, rest)
            if value is None:
                continue
        both[1 if custom else 0][key] = value
    return maps


def _nodes(kind: NodeKind, rows: list[Row], maps: _Maps) -> list[AnyNode]:
    build = builder(_CLASSES[kind])
    states = _STATES.get(kind, {})
    unknown = states.get(0)
    found, nodes = maps.get, []
    # A loop for each kind of row: it runs for every node that is read.
    if kind is NodeKind.ARTIFACT:
        for id, type_id, type, name, external_id, created, updated, state, uri in rows:
            own, custom = found(id) or ({}, {})
            state = states.get(state, unknown)
            nodes.append(
                build(
                    id, type_id, type or "", name, external_id, own, custom, created, updated,
                    uri or "", state,
                )
            )  # fmt: skip
        return nodes
    for id, type_id, type, name, external_id, created, updated, *state in rows:
        own, custom = found(id) or ({}, {})
        state = [states.get(each, unknown) for each in state]
        nodes.append(
            build(id, type_id, type or "", name, external_id, own, custom, created, updated, *state)
        )
    return nodes
