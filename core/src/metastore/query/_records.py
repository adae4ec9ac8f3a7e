"""What can be asked of a store: records that a flavor answers, page by page."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import NamedTuple

from metastore.errors import InvalidError
from metastore.model import EventType, LinkKind, NodeKind, TypeKey, builder
from metastore.query._filter import Filter
from metastore.values import INT64_MAX

__all__ = [
    "Cursor",
    "EventQuery",
    "LinkQuery",
    "NodeQuery",
    "OrderBy",
    "TypeQuery",
    "WalkQuery",
    "Way",
]


class OrderBy(enum.Enum):
    """What nodes are ordered by; ties are ordered by id, in the same direction."""

    ID = "id"
    CREATE_TIME = "create_time"
    UPDATE_TIME = "update_time"

    # That of the class hashes the name; a flavor may look statements up by it.
    __hash__ = object.__hash__


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

    def __post_init__(self) -> None:
        _check_kind(self.kind)
        if self.keys is not None and any(key.version == "" for key in self.keys):
            object.__setattr__(self, "keys", [_unversioned(key) for key in self.keys])


def _unversioned(key: TypeKey) -> TypeKey:
    """The key with no version instead of an empty one, which means the same."""
    return key._replace(version=key.version or None)


@dataclass(frozen=True, slots=True)
class NodeQuery:
    """Nodes of one kind; each condition that is not None narrows the answer.

    type:
        Nodes of the type with this name and version; ``TypeKey.version`` None means a type
        without version.  An unknown type has no nodes.
    type_names:
        Nodes of every version of the types with one of these names.
    ids, names, external_ids, uris:
        Nodes with one of these; repetitions do no harm, unknown ones are passed over.
    context_ids:
        Artifacts attributed to, executions associated with one of these contexts.
    parents_of, children_of:
        Contexts that are a parent (a child) of one of these contexts.
    filter:
        Nodes for which it holds.  A flavor without the capability `native_filter` need not know of
        it: `BaseMetadataStore.find_nodes` evaluates it.
    order_by, descending, after, limit:
        The page: at most `limit` nodes behind the `after` cursor.

    Raises
    ------
    InvalidError
        A condition that nodes of this kind cannot meet, or a negative limit.
    """

    kind: NodeKind
    type: TypeKey | None = None
    type_names: Sequence[str] | None = None
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
    filter: Filter | None = None

    def __post_init__(self) -> None:
        # Here, so that no flavor has to say what a condition means that can mean nothing.
        kind = self.kind
        _check_kind(kind)
        if self.uris is not None and kind is not NodeKind.ARTIFACT:
            raise _meaningless("uris", kind, "only artifacts have a uri")
        if self.context_ids is not None and kind is NodeKind.CONTEXT:
            raise _meaningless("context_ids", kind, "use parents_of or children_of")
        if kind is not NodeKind.CONTEXT:
            if self.parents_of is not None:
                raise _meaningless("parents_of", kind, "only contexts have parents")
            if self.children_of is not None:
                raise _meaningless("children_of", kind, "only contexts have children")
        if self.type is not None:
            if not isinstance(self.type, TypeKey):
                raise _meaningless("type", kind, "it is a TypeKey; type_names are texts")
            if self.type.kind is not kind:
                hint = f"it is the key of a type of {self.type.kind.label}s"
                raise _meaningless("type", kind, hint)
            if self.type.version == "":
                object.__setattr__(self, "type", _unversioned(self.type))
        if self.filter is not None and self.filter.kind is not kind:
            hint = f"it is one for {self.filter.kind.label}s"
            raise _meaningless("filter", kind, hint)
        if not isinstance(self.order_by, OrderBy):
            raise _meaningless("order_by", kind, "it is a member of OrderBy")
        if self.limit is not None:
            rule = f"the limit of a query for {kind.label}s is an integer from 0"
            check_number(self.limit, rule, 0, hint="use None for no limit")

    def page(self, after: Cursor | None, limit: int | None) -> NodeQuery:
        """The same query for another page; `limit` is an integer from 0, or None.

        As `dataclasses.replace`, in half the time: a small read spends most of its time in Python.
        """
        values = list(_values(self))
        values[_AFTER], values[_LIMIT] = after, limit
        return builder(NodeQuery)(*values)  # type: ignore[no-any-return]


_FIELDS = tuple(NodeQuery.__dataclass_fields__)
_AFTER, _LIMIT = _FIELDS.index("after"), _FIELDS.index("limit")
_values = attrgetter(*_FIELDS)


def _check_kind(kind: object) -> None:
    if type(kind) is not NodeKind:
        raise InvalidError(
            f"a query is for a kind of nodes, not for {kind!r}",
            hint="use NodeKind.ARTIFACT, NodeKind.EXECUTION or NodeKind.CONTEXT",
        )


def check_number(number: object, rule: str, least: int, hint: str | None = None) -> None:
    """Raise `InvalidError`, saying the rule, for what is no 64-bit integer of at least `least`."""
    if not isinstance(number, int) or isinstance(number, bool) or not least <= number <= INT64_MAX:
        beyond = isinstance(number, int) and number > INT64_MAX
        raise InvalidError(f"{rule} to {INT64_MAX}" if beyond else rule, hint=hint)


def _meaningless(condition: str, kind: NodeKind, hint: str) -> InvalidError:
    return InvalidError(f"a query for {kind.label}s has the condition {condition!r}", hint=hint)


@dataclass(frozen=True, slots=True)
class EventQuery:
    """Events that touch one of the artifacts and one of the executions; None is any.

    The answer is ordered by id, or by time where the backend has no event ids.
    """

    artifact_ids: Sequence[int] | None = None
    execution_ids: Sequence[int] | None = None


class Way(enum.Enum):
    """Which way events are followed."""

    UP = "up"
    """To what was first: from an artifact to what wrote it, from an execution to what it read."""
    DOWN = "down"
    """To what came of it: from an artifact to what read it, from an execution to what it wrote."""
    ALL = "all"
    """Both ways at every node."""

    # That of the class hashes the name; a flavor may look statements up by it.
    __hash__ = object.__hash__

    def types(self, kind: NodeKind) -> frozenset[EventType]:
        """The types of the events that lead on from a node of that kind, artifact or execution."""
        if self is Way.ALL:
            return _INPUTS | _OUTPUTS
        return _OUTPUTS if (kind is NodeKind.ARTIFACT) is (self is Way.UP) else _INPUTS


_INPUTS = frozenset(each for each in EventType if each.is_input)
_OUTPUTS = frozenset(each for each in EventType if each.is_output)


@dataclass(frozen=True, slots=True)
class WalkQuery:
    """The events that a walk goes over: from nodes to their neighbours of the other kind, and on.

    The answer is in no order.
    """

    kind: NodeKind
    """Of the nodes that the walk begins at: artifacts or executions."""
    ids: Sequence[int]
    way: Way
    max_hops: int | None = None
    """How far: an event is one hop; None is as far as it goes."""


@dataclass(frozen=True, slots=True)
class LinkQuery:
    """Links of one kind that have one of these ends; None is any.  Ordered by both ends."""

    kind: LinkKind
    context_ids: Sequence[int] | None = None
    other_ids: Sequence[int] | None = None
