"""A filter that is known to make sense: fields resolved, kinds checked, conditions in normal form.

Negations stand at predicates only (three-valued logic allows that: NOT moves inward over AND and
OR), and each alias of a neighbour is bound by one `Exists` around as little as possible.
"""

from __future__ import annotations

import enum
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
    pattern: Term
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
