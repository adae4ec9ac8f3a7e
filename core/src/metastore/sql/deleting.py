"""Nodes deleted, with everything that hangs on them, by a handful of statements."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from sqlalchemy import Column, Table, delete, select

from metastore.base import Deleted
from metastore.model import LinkKind, NodeKind
from metastore.sql.database import Session

__all__ = ["delete_nodes"]

_PORTION = 2000
"""Ids in one statement."""

_ENDS = {
    NodeKind.ARTIFACT: ((LinkKind.ATTRIBUTION, "artifact_id"),),
    NodeKind.EXECUTION: ((LinkKind.ASSOCIATION, "execution_id"),),
    NodeKind.CONTEXT: (
        (LinkKind.ATTRIBUTION, "context_id"),
        (LinkKind.ASSOCIATION, "context_id"),
        (LinkKind.PARENT, "context_id"),
        (LinkKind.PARENT, "parent_context_id"),
    ),
}


def delete_nodes(session: Session, nodes: Mapping[NodeKind, Collection[int]]) -> Deleted:
    """Delete inside a transaction; how much was."""
    schema = session.database.schema
    rows = dict.fromkeys(NodeKind, 0)
    events = links = 0
    for kind, ids in nodes.items():
        for some in _portions(sorted(set(ids))):
            events += _delete_events(session, kind, some)
            for link, end in _ENDS[kind]:
                table = schema.links[link][0]
                links += _delete(session, table, table.c[end], some)
            _delete(session, schema.properties[kind], schema.owner(kind), some)
            table = schema.nodes[kind]
            rows[kind] += _delete(session, table, table.c.id, some)
    return Deleted(
        rows[NodeKind.ARTIFACT], rows[NodeKind.EXECUTION], rows[NodeKind.CONTEXT], events, links
    )


def _portions(ids: Sequence[int]) -> Iterator[Sequence[int]]:
    for at in range(0, len(ids), _PORTION):
        yield ids[at : at + _PORTION]


def _delete_events(session: Session, kind: NodeKind, ids: Sequence[int]) -> int:
    if kind is NodeKind.CONTEXT:
        return 0
    database, schema = session.database, session.database.schema
    column = schema.event.c[f"{kind.label}_id"]
    shape = database.list_shape(ids)
    statement = database.statement(
        ("events to delete", kind, shape),
        lambda: select(schema.event.c.id).where(database.in_list(column, "ids", shape)),
    )
    found = [id for (id,) in session.rows(statement, ids=database.bind_list(ids, shape))]
    number = 0
    # By their ids: a subquery inside of a DELETE reads the whole table on some databases.
    for some in _portions(found):
        _delete(session, schema.event_path, schema.event_path.c.event_id, some)
        number += _delete(session, schema.event, schema.event.c.id, some)
    return number


def _delete(session: Session, table: Table, column: Column[int], ids: Sequence[int]) -> int:
    """Delete the rows with one of the ids in a column; how many there were."""
    database = session.database
    shape = database.list_shape(ids)
    statement = database.statement(
        ("delete", table.name, column.name, shape),
        lambda: delete(table).where(database.in_list(column, "ids", shape)),
    )
    session.execute(statement.text, statement.parameters({"ids": database.bind_list(ids, shape)}))
    return max(int(session.cursor.rowcount), 0)
