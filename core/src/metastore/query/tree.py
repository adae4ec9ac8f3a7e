"""A filter that is known to make sense: fields resolved, kinds checked, conditions in normal form.

For flavors whose backend can evaluate filters; `Filter.condition` is such a tree.

Negations stand at predicates only (three-valued logic allows that: NOT moves inward over AND and
OR), and each alias of a neighbour is bound by one `Exists` around as little as possible.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

from metastore.model import NodeKind

__all__ = [
    "ALIAS_NODES",
    "COLUMNS",
    "NEIGHBOURS",
    "AliasKind",
    "Arithmetic",
    "Column",
    "Comparison",
    "Condition",
    "Constant",
    "Either",
    "Every",
    "Exists",
    "Function",
    "Holds",
    "Kind",
    "Membership",
    "Missing",
    "Part",
    "Pattern",
    "Predicate",
    "Property",
    "Term",
    "alias_columns",
    "aliases_of",
    "is_strict",
    "names_of",
    "requires",
    "terms_of",
]


class Kind(enum.Enum):
    """What sort of values a term has."""

    NUMBER = "a number"
    TEXT = "a text"
    BOOLEAN = "TRUE or FALSE"
    ARTIFACT_STATE = "a state of artifacts"
    EXECUTION_STATE = "a state of executions"
    EVENT_TYPE = "a type of events"
    ANY = "a value"


class AliasKind(enum.Enum):
    """The prefixes of aliases, and so which neighbours they are."""

    CONTEXTS = "contexts"
    ARTIFACTS = "artifacts"
    EXECUTIONS = "executions"
    PARENT_CONTEXTS = "parent_contexts"
    CHILD_CONTEXTS = "child_contexts"
    EVENTS = "events"


class Part(enum.Enum):
    """Which value of a property is meant."""

    INT = "int_value"
    DOUBLE = "double_value"
    STRING = "string_value"
    BOOL = "bool_value"
    NUMBER = "int_value or double_value"
    ANY = "any value"


@dataclass(frozen=True, slots=True)
class Constant:
    """A literal: its place in `Filter.constants`."""

    index: int
    kind: Kind


@dataclass(frozen=True, slots=True)
class Column:
    """A field of the node (alias None), or of a neighbour."""

    alias: str | None
    name: str
    kind: Kind


@dataclass(frozen=True, slots=True)
class Property:
    """A property of the node."""

    key: int
    """The place of its key in `Filter.constants`."""
    custom: bool
    part: Part
    kind: Kind


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """``+``, ``-`` or ``*`` of numbers; a sum beyond 64 bits is a double."""

    operator: str
    left: Term
    right: Term
    kind: Kind = Kind.NUMBER


@dataclass(frozen=True, slots=True)
class Function:
    """LOWER, UPPER, LENGTH or COALESCE."""

    name: str
    arguments: tuple[Term, ...]
    kind: Kind


Term: TypeAlias = "Constant | Column | Property | Arithmetic | Function"
"""What has a value."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """``=``, ``!=``, ``<``, ``<=``, ``>`` or ``>=``."""

    operator: str
    left: Term
    right: Term
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Membership:
    """Whether a term is in a list of constants, none of which is NULL: one constant, a tuple."""

    term: Term
    values: Constant
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Pattern:
    """LIKE."""

    term: Term
    pattern: Constant
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Missing:
    """IS NULL."""

    term: Term
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Holds:
    """A boolean term by itself."""

    term: Term
    negated: bool = False


Predicate: TypeAlias = "Comparison | Membership | Pattern | Missing | Holds"
"""What is true or false of a node and its neighbours."""


@dataclass(frozen=True, slots=True)
class Every:
    """AND."""

    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Either:
    """OR."""

    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Exists:
    """There are neighbours, one for each alias, for which the condition holds.

    Where a node has no neighbour of an alias, one stands for it whose fields are all NULL.
    """

    aliases: tuple[tuple[str, AliasKind], ...]
    condition: Condition


Condition: TypeAlias = "Predicate | Every | Either | Exists"
"""A filter, or a part of one: predicates, and what joins them."""

NEIGHBOURS: dict[NodeKind, tuple[AliasKind, ...]] = {
    NodeKind.ARTIFACT: (AliasKind.CONTEXTS, AliasKind.EVENTS),
    NodeKind.EXECUTION: (AliasKind.CONTEXTS, AliasKind.EVENTS),
    NodeKind.CONTEXT: (
        AliasKind.ARTIFACTS,
        AliasKind.EXECUTIONS,
        AliasKind.PARENT_CONTEXTS,
        AliasKind.CHILD_CONTEXTS,
    ),
}
"""The neighbours that nodes of a kind have."""

_NODE = {
    "id": Kind.NUMBER,
    "type_id": Kind.NUMBER,
    "type": Kind.TEXT,
    "name": Kind.TEXT,
    "external_id": Kind.TEXT,
    "create_time_since_epoch": Kind.NUMBER,
    "last_update_time_since_epoch": Kind.NUMBER,
}
COLUMNS: dict[NodeKind, dict[str, Kind]] = {
    NodeKind.ARTIFACT: {**_NODE, "uri": Kind.TEXT, "state": Kind.ARTIFACT_STATE},
    NodeKind.EXECUTION: {**_NODE, "last_known_state": Kind.EXECUTION_STATE},
    NodeKind.CONTEXT: _NODE,
}
"""The fields of nodes, of neighbours too."""

ALIAS_NODES = {
    AliasKind.CONTEXTS: NodeKind.CONTEXT,
    AliasKind.ARTIFACTS: NodeKind.ARTIFACT,
    AliasKind.EXECUTIONS: NodeKind.EXECUTION,
    AliasKind.PARENT_CONTEXTS: NodeKind.CONTEXT,
    AliasKind.CHILD_CONTEXTS: NodeKind.CONTEXT,
}
"""What the neighbours are; events are none."""


def alias_columns(alias: AliasKind, kind: NodeKind) -> dict[str, Kind]:
    """The fields of a neighbour of nodes of this kind."""
    if alias is AliasKind.EVENTS:
        other = "execution_id" if kind is NodeKind.ARTIFACT else "artifact_id"
        return {
            "type": Kind.EVENT_TYPE,
            "milliseconds_since_epoch": Kind.NUMBER,
            other: Kind.NUMBER,
        }
    return COLUMNS[ALIAS_NODES[alias]]


def terms_of(predicate: Predicate) -> tuple[Term, ...]:
    """The terms of a predicate."""
    if isinstance(predicate, Comparison):
        return (predicate.left, predicate.right)
    if isinstance(predicate, Pattern):
        return (predicate.term, predicate.pattern)
    return (predicate.term,)


def aliases_of(found: Condition | Term) -> frozenset[str]:
    """The aliases that a condition or term names, those that it binds left aside."""
    if isinstance(found, Column):
        return frozenset() if found.alias is None else frozenset((found.alias,))
    if isinstance(found, Arithmetic):
        return aliases_of(found.left) | aliases_of(found.right)
    parts: Iterable[Condition | Term] = ()
    if isinstance(found, Function):
        parts = found.arguments
    elif isinstance(found, Every | Either):
        parts = found.conditions
    elif isinstance(found, Exists):
        return aliases_of(found.condition) - {alias for alias, _ in found.aliases}
    elif isinstance(found, Comparison | Membership | Pattern | Missing | Holds):
        parts = terms_of(found)
    return frozenset[str]().union(*(aliases_of(each) for each in parts))


def is_strict(term: Term) -> bool:
    """Whether the term is NULL as soon as one of its fields is."""
    if isinstance(term, Function):
        return term.name != "COALESCE" and all(map(is_strict, term.arguments))
    if isinstance(term, Arithmetic):
        return is_strict(term.left) and is_strict(term.right)
    return True


def requires(condition: Condition, alias: str) -> bool:
    """Whether the condition cannot hold where all fields of the alias are NULL."""
    if isinstance(condition, Every):
        return any(requires(each, alias) for each in condition.conditions)
    if isinstance(condition, Either):
        return all(requires(each, alias) for each in condition.conditions)
    if isinstance(condition, Exists):
        return requires(condition.condition, alias)
    if isinstance(condition, Missing):
        return condition.negated and alias in aliases_of(condition) and is_strict(condition.term)
    return any(alias in aliases_of(term) and is_strict(term) for term in terms_of(condition))


def names_of(condition: Condition) -> frozenset[str | None]:
    """The aliases that any term of a condition is of, None standing for the node itself."""
    if isinstance(condition, Every | Either):
        return frozenset[str | None]().union(*(names_of(each) for each in condition.conditions))
    if isinstance(condition, Exists):
        return names_of(condition.condition)
    return frozenset[str | None]().union(*(_owners(term) for term in terms_of(condition)))


def _owners(term: Term) -> frozenset[str | None]:
    if isinstance(term, Column):
        return frozenset((term.alias,))
    if isinstance(term, Property):
        return frozenset((None,))
    if isinstance(term, Arithmetic):
        return _owners(term.left) | _owners(term.right)
    if isinstance(term, Function):
        return frozenset[str | None]().union(*map(_owners, term.arguments))
    return frozenset()
