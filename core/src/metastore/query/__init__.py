"""What can be asked of a store: queries that a flavor answers, and the filter language."""

from metastore.query._evaluate import select
from metastore.query._filter import Filter
from metastore.query._functions import like
from metastore.query._records import (
    Cursor,
    EventQuery,
    LinkQuery,
    NodeQuery,
    OrderBy,
    TypeQuery,
    WalkQuery,
    Way,
    check_number,
)
from metastore.query._walk import walked

__all__ = [
    "Cursor",
    "EventQuery",
    "Filter",
    "LinkQuery",
    "NodeQuery",
    "OrderBy",
    "TypeQuery",
    "WalkQuery",
    "Way",
    "check_number",
    "like",
    "select",
    "walked",
]
