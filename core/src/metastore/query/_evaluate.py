"""A filter evaluated in Python, for flavors whose backend cannot."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product
from typing import Any, Protocol, TypeAlias

from metastore.errors import FilterError
from metastore.model import (
    AnyNode,
    Artifact,
    Event,
    Execution,
    Link,
    LinkKind,
    NodeKind,
)
from metastore.query._filter import Filter
from metastore.query._functions import arithmetic, like
from metastore.query._records import EventQuery, LinkQuery, NodeQuery
from metastore.query.tree import (
    ALIAS_NODES,
    AliasKind,
    Arithmetic,
    Column,
    Comparison,
    Condition,
    Constant,
    Either,
    Every,
    Exists,
    Holds,
    Membership,
    Missing,
    Part,
    Pattern,
    Property,
    Term,
    aliases_of,
)

__all__ = ["Reader", "select"]

Row: TypeAlias = "AnyNode | Event | None"
"""A neighbour; None is the one whose fields are all NULL."""


class Reader(Protocol):
    """What neighbours are read from: a store."""

    def read_nodes(self, query: NodeQuery) -> Sequence[AnyNode]:
        """Nodes."""

    def read_events(self, query: EventQuery) -> Sequence[Event]:
        """Events."""

    def read_links(self, query: LinkQuery) -> Sequence[Link]:
        """Links."""


def select(filter: Filter, nodes: Sequence[AnyNode], reader: Reader) -> list[AnyNode]:
    """Those of the nodes for which the filter holds; neighbours are read for all at once.

    Raises
    ------
    FilterError
        Neighbours that depend on one another have more than two million combinations.
    """
    kinds = set(_alias_kinds(filter.condition))
    ids = [node.id for node in nodes]
    neighbours = {kind: _neighbours(kind, filter.kind, ids, reader) for kind in kinds if ids}
    evaluation = _Evaluation(filter, neighbours)
    return [node for node in nodes if evaluation.of(node, filter.condition)]


def _alias_kinds(condition: Condition) -> Iterator[AliasKind]:
    if isinstance(condition, Every | Either):
        for each in condition.conditions:
            yield from _alias_kinds(each)
    elif isinstance(condition, Exists):
        yield from (kind for _, kind in condition.aliases)
        yield from _alias_kinds(condition.condition)


_NOBODY: Sequence[Row] = (None,)

_MOST_TRIED = 2_000_000
"""Combinations of neighbours for a page of nodes: some seconds."""

_LINKS = {
    (AliasKind.CONTEXTS, NodeKind.ARTIFACT): (LinkKind.ATTRIBUTION, False),
    (AliasKind.CONTEXTS, NodeKind.EXECUTION): (LinkKind.ASSOCIATION, False),
    (AliasKind.ARTIFACTS, NodeKind.CONTEXT): (LinkKind.ATTRIBUTION, True),
    (AliasKind.EXECUTIONS, NodeKind.CONTEXT): (LinkKind.ASSOCIATION, True),
    (AliasKind.PARENT_CONTEXTS, NodeKind.CONTEXT): (LinkKind.PARENT, True),
    (AliasKind.CHILD_CONTEXTS, NodeKind.CONTEXT): (LinkKind.PARENT, False),
}
"""Which links lead to neighbours, and whether the node is their first end."""


def _neighbours(
    alias: AliasKind, kind: NodeKind, ids: list[int], reader: Reader
) -> Mapping[int, list[Row]]:
    """The neighbours of each node."""
    found: dict[int, list[Row]] = {}
    if alias is AliasKind.EVENTS:
        of_artifacts = kind is NodeKind.ARTIFACT
        query = EventQuery(artifact_ids=ids) if of_artifacts else EventQuery(execution_ids=ids)
        for event in reader.read_events(query):
            owner = event.artifact_id if of_artifacts else event.execution_id
            found.setdefault(owner, []).append(event)
        return found
    link_kind, is_first = _LINKS[alias, kind]
    links = reader.read_links(
        LinkQuery(link_kind, context_ids=ids) if is_first else LinkQuery(link_kind, other_ids=ids)
    )
    pairs = [link if is_first else (link[1], link[0]) for link in links]
    others = sorted({other for _, other in pairs})
    nodes = {node.id: node for node in reader.read_nodes(NodeQuery(ALIAS_NODES[alias], ids=others))}
    for owner, other in pairs:
        # Of a damaged store a link may lead nowhere.
        if other in nodes:
            found.setdefault(owner, []).append(nodes[other])
    return found


class _Evaluation:
    """One filter, on one node after another."""

    def __init__(
        self, filter: Filter, neighbours: Mapping[AliasKind, Mapping[int, Sequence[Row]]]
    ) -> None:
        self._constants = filter.constants
        self._text = filter.text
        self._neighbours = neighbours
        self._rows: dict[str | None, Row] = {}
        self._tried = 0

    def of(self, node: AnyNode, condition: Condition) -> bool:
        """Whether the condition holds for a node: NULL does not."""
        self._rows = {None: node}
        return self._holds(condition)

    def _holds(self, condition: Condition) -> bool:
        if isinstance(condition, Every):
            return all(map(self._holds, condition.conditions))
        if isinstance(condition, Either):
            return any(map(self._holds, condition.conditions))
        if isinstance(condition, Exists):
            return self._exists(condition)
        found = self._predicate(condition)
        return found is (not condition.negated)

    def _exists(self, condition: Exists) -> bool:
        node = self._rows[None]
        assert node is not None
        assert not isinstance(node, Event)
        alone, together = _apart(condition)
        names = [alias for alias, _ in condition.aliases]
        rows = [
            self._fulfilling(
                alias, self._neighbours[kind].get(node.id) or _NOBODY, alone.get(alias, ())
            )
            for alias, kind in condition.aliases
        ]
        for combination in product(*rows):
            self._count()
            self._rows.update(zip(names, combination, strict=True))
            if all(map(self._holds, together)):
                return True
        return False

    def _fulfilling(
        self, alias: str, rows: Sequence[Row], conditions: Sequence[Condition]
    ) -> Sequence[Row]:
        """The neighbours for which the conditions on them alone hold."""
        if not conditions:
            return rows
        found = []
        for row in rows:
            self._rows[alias] = row
            if all(map(self._holds, conditions)):
                found.append(row)
        return found

    def _count(self) -> None:
        self._tried += 1
        if self._tried > _MOST_TRIED:
            raise FilterError(
                f"the filter has more than {_MOST_TRIED:,} combinations of neighbours to try",
                hint="ask for fewer nodes, or for neighbours that do not depend on one another",
                text=self._text,
            )

    def _predicate(self, predicate: Any) -> bool | None:
        """True, False, or None for NULL."""
        if isinstance(predicate, Missing):
            return self._value(predicate.term) is None
        if isinstance(predicate, Comparison):
            left, right = self._value(predicate.left), self._value(predicate.right)
            if left is None or right is None:
                return None
            return bool(_COMPARE[predicate.operator](left, right))
        value = self._value(predicate.term)
        if value is None:
            return None
        if isinstance(predicate, Membership):
            return value in self._constants[predicate.values.index]
        if isinstance(predicate, Pattern):
            pattern = self._value(predicate.pattern)
            return None if pattern is None else like(pattern, value)
        assert isinstance(predicate, Holds)
        return bool(value)

    def _value(self, term: Term) -> Any:
        if isinstance(term, Constant):
            return self._constants[term.index]
        if isinstance(term, Column):
            row = self._rows[term.alias]
            return None if row is None else _COLUMNS[term.name](row)
        if isinstance(term, Property):
            return self._property(term)
        if isinstance(term, Arithmetic):
            left, right = self._value(term.left), self._value(term.right)
            return None if left is None or right is None else arithmetic(term.operator, left, right)
        values = (self._value(each) for each in term.arguments)
        if term.name == "COALESCE":
            return next((each for each in values if each is not None), None)
        text = next(values)
        return None if text is None else _FUNCTIONS[term.name](text)

    def _property(self, term: Property) -> Any:
        node: Any = self._rows[None]
        values = node.custom_properties if term.custom else node.properties
        value = values.get(self._constants[term.key])
        return value if term.part is Part.ANY or type(value) in _PARTS[term.part] else None


def _apart(condition: Exists) -> tuple[dict[str, list[Condition]], list[Condition]]:
    """What is asked of each alias alone, so that few are left to combine, and what of several."""
    inner = condition.condition
    alone: dict[str, list[Condition]] = {}
    together: list[Condition] = []
    for each in inner.conditions if isinstance(inner, Every) else (inner,):
        named = aliases_of(each)
        if len(named) == 1 and named <= {alias for alias, _ in condition.aliases}:
            (alias,) = named
            alone.setdefault(alias, []).append(each)
        else:
            together.append(each)
    return alone, together


_COMPARE: Mapping[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_FUNCTIONS: Mapping[str, Callable[[str], Any]] = {
    "LOWER": str.lower,
    "UPPER": str.upper,
    "LENGTH": len,
}
_PARTS: Mapping[Part, tuple[type, ...]] = {
    Part.INT: (int,),
    Part.DOUBLE: (float,),
    Part.STRING: (str,),
    Part.BOOL: (bool,),
    Part.NUMBER: (int, float),
}


def _type(row: Any) -> Any:
    # Of a node its name; of a damaged store there may be none.
    return int(row.type) if isinstance(row, Event) else row.type or None


def _state(row: Artifact | Execution) -> int | None:
    return None if row.state is None else int(row.state)


_COLUMNS: Mapping[str, Callable[[Any], Any]] = {
    "id": operator.attrgetter("id"),
    "type_id": operator.attrgetter("type_id"),
    "type": _type,
    "name": operator.attrgetter("name"),
    "external_id": operator.attrgetter("external_id"),
    "create_time_since_epoch": operator.attrgetter("create_time_ms"),
    "last_update_time_since_epoch": operator.attrgetter("update_time_ms"),
    "uri": operator.attrgetter("uri"),
    "state": _state,
    "last_known_state": _state,
    "milliseconds_since_epoch": operator.attrgetter("time_ms"),
    "artifact_id": operator.attrgetter("artifact_id"),
    "execution_id": operator.attrgetter("execution_id"),
}
