"""The filter language as a tree: what was written, with the place where it stands.

Conditions (`And`, `Or`, `Not`, and the predicates) are made of values (`Literal`, `Field`, `Call`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

__all__ = [
    "And",
    "Boolean",
    "Call",
    "Compare",
    "Field",
    "In",
    "IsNull",
    "Like",
    "Literal",
    "Not",
    "Or",
    "Span",
    "Syntax",
    "Truth",
]


class Span(NamedTuple):
    """Where something stands in the text: from the first character to behind the last."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Literal:
    """A number, a text, TRUE, FALSE or NULL (None)."""

    value: int | float | str | bool | None
    span: Span


@dataclass(frozen=True, slots=True)
class Field:
    """A name with dots: ``uri``, ``properties.lr.double_value``, ``contexts_a.name``."""

    parts: tuple[str, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Call:
    """A function or an operator of values: ``LOWER(name)``, ``id + 1``; ``-`` may have one."""

    name: str
    arguments: tuple[Syntax, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Compare:
    """``=``, ``!=``, ``<``, ``<=``, ``>`` or ``>=``."""

    operator: str
    left: Syntax
    right: Syntax
    span: Span


@dataclass(frozen=True, slots=True)
class In:
    """Whether the value is one of the items."""

    value: Syntax
    items: tuple[Syntax, ...]
    span: Span
    negated: bool = False
    """Whether it is NOT IN; NOT in front of all is a `Not` around."""


@dataclass(frozen=True, slots=True)
class Like:
    """Whether the text fits the pattern."""

    value: Syntax
    pattern: Syntax
    span: Span


@dataclass(frozen=True, slots=True)
class IsNull:
    """Whether there is no value."""

    value: Syntax
    span: Span


@dataclass(frozen=True, slots=True)
class Truth:
    """A value that is a condition by itself: ``custom_properties.done.bool_value``."""

    value: Syntax
    span: Span


@dataclass(frozen=True, slots=True)
class Not:
    """The condition does not hold."""

    condition: Syntax
    span: Span


@dataclass(frozen=True, slots=True)
class And:
    """All conditions hold."""

    conditions: Sequence[Syntax]
    span: Span


@dataclass(frozen=True, slots=True)
class Or:
    """One of the conditions holds."""

    conditions: Sequence[Syntax]
    span: Span


Boolean: TypeAlias = "Compare | In | Like | IsNull | Truth | Not | And | Or"
Syntax: TypeAlias = "Literal | Field | Call | Boolean"
