"""What can be asked of a store: records that a flavor answers, page by page."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from metastore.model import LinkKind, NodeKind, TypeKey

__all__ = ["Cursor", "EventQuery", "LinkQuery", "NodeQuery", "OrderBy", "TypeQuery"]


class OrderBy(enum.Enum):
    """What nodes are ordered by; ties are ordered by id, in the same direction."""

    ID = "id"
    CREATE_TIME = "create_time"
    UPDATE_TIME = "update_time"


class Cursor(NamedTuple):
    """Where a page ended: the next one starts after it, whatever was written in between."""

    value: int
    """The last node's id, create time or update time (milliseconds), as the order says."""
    id: int


@dataclass(frozen=True, slots=True)
class TypeQuery:
    """Types of one kind; each condition that is not None narrows the answer.

    The answer is ordered by id.  Simple types are part of it.
    """

    kind: NodeKind
    keys: Sequence[TypeKey] | None = None
    ids: Sequence[int] | None = None
    external_ids: Sequence[str] | None = None


@dataclass(frozen=True, slots=True)
class NodeQuery:
    """Nodes of one kind; each condition that is not None narrows the answer.

    type:
        Nodes of the type with this name and version; ``TypeKey.version`` None means a type
        without version.  An unknown type has no nodes.
    type_name:
        Nodes of every version of the type with this name.
    ids, names, external_ids, uris:
        Nodes with one of these; repetitions do no harm, unknown ones are passed over.
    context_ids:
        Artifacts attributed to, executions associated with one of these contexts.
    parents_of, children_of:
        Contexts that are a parent (a child) of one of these contexts.
    order_by, descending, after, limit:
        The page: at most `limit` nodes behind the `after` cursor.
    """

    kind: NodeKind
    type: TypeKey | None = None
    type_name: str | None = None
    ids: Sequence[int] | None = None
    names: Sequence[str] | None = None
    external_ids: Sequence[str] | None = None
    uris: Sequence[str] | None = None
    context_ids: Sequence[int] | None = None
    parents_of: Sequence[int] | None = None
    children_of: Sequence[int] | None = None
    order_by: OrderBy = OrderBy.ID
    descending: bool = False
    after: Cursor | None = None
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class EventQuery:
    """Events that touch one of the artifacts and one of the executions; None is any.

    The answer is ordered by id, or by time where the backend has no event ids.
    """

    artifact_ids: Sequence[int] | None = None
    execution_ids: Sequence[int] | None = None


@dataclass(frozen=True, slots=True)
class LinkQuery:
    """Links of one kind that have one of these ends; None is any.  Ordered by both ends."""

    kind: LinkKind
    context_ids: Sequence[int] | None = None
    other_ids: Sequence[int] | None = None
