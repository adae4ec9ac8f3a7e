"""From the syntax tree to a filter that makes sense: fields found, kinds checked."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

from metastore.errors import FilterError
from metastore.model import ArtifactState, EventType, ExecutionState, NodeKind
from metastore.query import _syntax
from metastore.query._functions import MAX_PATTERN
from metastore.query._syntax import Call, Field, Literal, Span, Syntax
from metastore.query.tree import (
    COLUMNS,
    NEIGHBOURS,
    AliasKind,
    Arithmetic,
    Column,
    Comparison,
    Condition,
    Constant,
    Either,
    Every,
    Function,
    Holds,
    Kind,
    Membership,
    Missing,
    Part,
    Pattern,
    Property,
    Term,
    alias_columns,
)
from metastore.values import INT64_MAX

__all__ = ["Constants", "Resolver"]

Constants: TypeAlias = "list[Any]"

_ENUMS: Mapping[Kind, Any] = {
    Kind.ARTIFACT_STATE: ArtifactState,
    Kind.EXECUTION_STATE: ExecutionState,
    Kind.EVENT_TYPE: EventType,
}
_PARTS = {
    "int_value": (Part.INT, Kind.NUMBER),
    "double_value": (Part.DOUBLE, Kind.NUMBER),
    "string_value": (Part.STRING, Kind.TEXT),
    "bool_value": (Part.BOOL, Kind.BOOLEAN),
}
_UNTYPED = {
    Kind.NUMBER: Part.NUMBER,
    Kind.TEXT: Part.STRING,
    Kind.BOOLEAN: Part.BOOL,
    Kind.ANY: Part.ANY,
}
_OPPOSITE = {"=": "!=", "!=": "=", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}
_ALIAS = re.compile(rf"({'|'.join(each.value for each in AliasKind)})_\w+")
_MAPS = ("properties", "custom_properties")


class Resolver:
    """Resolves one filter on nodes of one kind."""

    def __init__(self, kind: NodeKind, text: str) -> None:
        self._kind = kind
        self._text = text
        self.constants: Constants = []
        """The literals, in order: the tree has their places only."""
        self.aliases: dict[str, AliasKind] = {}

    def condition(self, found: Syntax, negated: bool = False) -> Condition:
        """The condition, or its negation, with NOT at predicates only."""
        if isinstance(found, _syntax.Not):
            return self.condition(found.condition, not negated)
        if isinstance(found, _syntax.And | _syntax.Or):
            parts = tuple(self.condition(each, negated) for each in found.conditions)
            return Every(parts) if isinstance(found, _syntax.And) is not negated else Either(parts)
        if isinstance(found, _syntax.Compare):
            return self._compare(found, negated)
        if isinstance(found, _syntax.In):
            return self._in(found, negated)
        if isinstance(found, _syntax.Like):
            return Pattern(self._term(found.value, Kind.TEXT), self._pattern(found), negated)
        if isinstance(found, _syntax.IsNull):
            return Missing(self._term(found.value, self._kind_of(found.value)), negated)
        assert isinstance(found, _syntax.Truth)
        kind = self._kind_of(found.value)
        if kind not in (Kind.BOOLEAN, Kind.ANY) or _is_null(found.value):
            raise self._error(
                f"the filter has {kind.value} where a condition is wanted",
                found.span,
                "compare it with something, such as = or IS NOT NULL",
            )
        return Holds(self._term(found.value, Kind.BOOLEAN), negated)

    # Predicates.

    def _compare(self, found: _syntax.Compare, negated: bool) -> Condition:
        left, right = found.left, found.right
        kind = self._common((left, right), found.span)
        if kind in _ENUMS:
            if found.operator not in ("=", "!="):
                raise self._error(
                    f"{kind.value} cannot be compared with {found.operator}",
                    found.span,
                    "use =, !=, IN or NOT IN",
                )
            return self._enum(found, kind, negated)
        return Comparison(found.operator, self._term(left, kind), self._term(right, kind), negated)

    def _enum(self, found: _syntax.Compare, kind: Kind, negated: bool) -> Condition:
        left, right = self._term(found.left, kind), self._term(found.right, kind)
        equal = Comparison("=", left, right)
        different = Comparison("!=", left, right)
        if found.operator == "=":
            return different if negated else equal
        if negated:
            return equal
        # As ML Metadata: a node without a state is in another one.
        return Either((different, *self._missing(left, right)))

    @staticmethod
    def _missing(*terms: Term) -> tuple[Condition, ...]:
        return tuple(Missing(each) for each in terms if not isinstance(each, Constant))

    def _pattern(self, found: _syntax.Like) -> Constant:
        pattern = found.pattern
        if not isinstance(pattern, Literal) or not isinstance(pattern.value, str):
            raise self._error(
                "the pattern of LIKE is no text in quotes", pattern.span, "such as 'train-%'"
            )
        if len(pattern.value) > MAX_PATTERN:
            raise self._error(
                f"the pattern of LIKE has more than {MAX_PATTERN} characters",
                pattern.span,
                "use = or IN for whole texts",
            )
        return self._constant(pattern.value, Kind.TEXT)

    def _in(self, found: _syntax.In, negated: bool) -> Condition:
        kind = self._common((found.value, *found.items), found.span)
        term = self._term(found.value, kind)
        within = found.negated is negated
        # A list of doubles is not one constant: a backend may read lists from text.
        simple = kind in _ENUMS or all(
            isinstance(each, Literal) and type(each.value) in (int, str, bool)
            for each in found.items
        )
        if not simple:
            equals = tuple(
                Comparison("=", term, self._term(each, kind), not within) for each in found.items
            )
            return Either(equals) if within else Every(equals)
        values = tuple(self._value(each, kind) for each in found.items)
        member = Membership(term, self._constant(values, kind), not within)
        if kind in _ENUMS and found.negated and not within:
            return Either((member, *self._missing(term)))
        return member

    # Terms.

    def _common(self, sides: Iterable[Syntax], span: Span) -> Kind:
        """The kind that all sides have."""
        every = tuple(sides)
        for each in every:
            # First: the others are names of states then, and no fields.
            if isinstance(each, Field) and not self._is_word(each):
                kind = self._field_kind(each)
                if kind in _ENUMS:
                    return kind
        kinds = [self._kind_of(each) for each in every]
        if any(map(_is_null, every)) and len(every) == 2:
            raise self._error(
                "a comparison with NULL never holds", span, "write IS NULL or IS NOT NULL"
            )
        for kind in kinds:
            if kind is not Kind.ANY:
                return kind
        raise self._error(
            "it is not clear which values of the properties are compared",
            span,
            "say .int_value, .double_value, .string_value or .bool_value behind one of them",
        )

    def _kind_of(self, found: Syntax) -> Kind:
        """The kind of a value by itself; ANY where that depends on what it is compared with."""
        if isinstance(found, Literal):
            if found.value is None:
                return Kind.ANY
            if isinstance(found.value, bool):
                return Kind.BOOLEAN
            return Kind.TEXT if isinstance(found.value, str) else Kind.NUMBER
        if isinstance(found, Field):
            return self._field_kind(found)
        assert isinstance(found, Call)
        if found.name == "COALESCE":
            return next(
                (kind for each in found.arguments if (kind := self._kind_of(each)) is not Kind.ANY),
                Kind.ANY,
            )
        return Kind.TEXT if found.name in ("LOWER", "UPPER") else Kind.NUMBER

    def _is_word(self, found: Field) -> bool:
        """Whether it is no field, but may be the name of a state."""
        (first, *rest) = found.parts
        return not rest and first not in self._columns() and first not in _MAPS

    def _columns(self) -> Mapping[str, Kind]:
        return _with_short_names(COLUMNS[self._kind])

    def _term(self, found: Syntax, kind: Kind) -> Term:
        """The value as a term of that kind."""
        if kind in _ENUMS and (not isinstance(found, Field) or self._is_word(found)):
            return self._constant(self._value(found, kind), kind)
        if isinstance(found, Literal):
            return self._literal(found, kind)
        if isinstance(found, Field):
            term: Term = self._field(found, kind)
        else:
            assert isinstance(found, Call)
            term = self._call(found, kind)
        self._check_kind(term.kind, kind, found.span)
        return term

    def _check_kind(self, found: Kind, wanted: Kind, span: Span) -> None:
        if found is not wanted and Kind.ANY not in (found, wanted):
            raise self._error(
                f"{found.value} stands where {wanted.value} is wanted",
                span,
                "compare values of one kind",
            )

    def _literal(self, found: Literal, kind: Kind) -> Term:
        self._check_kind(self._kind_of(found), kind, found.span)
        return self._constant(self._value(found, kind), self._kind_of(found))

    def _value(self, found: Syntax, kind: Kind) -> Any:
        """What a literal, or the name of a state, stands for."""
        if kind not in _ENUMS:
            assert isinstance(found, Literal)
            self._check_kind(self._kind_of(found), kind, found.span)
            if type(found.value) is int and not -INT64_MAX - 1 <= found.value <= INT64_MAX:
                raise self._error(
                    "the number does not fit into 64 bits", found.span, "no value equals it"
                )
            return found.value
        members = _ENUMS[kind].__members__
        name = None
        if isinstance(found, Field) and len(found.parts) == 1:
            name = found.parts[0]
        elif isinstance(found, Literal) and isinstance(found.value, str):
            name = found.value
        if name not in members:
            raise self._error(
                f"this is not {kind.value}", found.span, f"there are {', '.join(members)}"
            )
        return int(members[name])

    def _constant(self, value: Any, kind: Kind) -> Constant:
        self.constants.append(value)
        return Constant(len(self.constants) - 1, kind)

    def _call(self, found: Call, kind: Kind) -> Term:
        arguments = found.arguments
        if found.name in ("+", "-", "*"):
            if len(arguments) == 1:
                zero = self._constant(0, Kind.NUMBER)
                return Arithmetic("-", zero, self._term(arguments[0], Kind.NUMBER))
            left, right = (self._term(each, Kind.NUMBER) for each in arguments)
            return Arithmetic(found.name, left, right)
        if found.name == "COALESCE":
            if not arguments:
                raise self._error("COALESCE has no arguments", found.span, "give it some values")
            common = self._kind_of(found)
            common = kind if common is Kind.ANY else common
            if common in _ENUMS or common is Kind.ANY:
                raise self._error(
                    "COALESCE takes numbers, texts or booleans", found.span, "use IS NULL and OR"
                )
            return Function(
                "COALESCE", tuple(self._term(each, common) for each in arguments), common
            )
        if len(arguments) != 1:
            raise self._error(
                f"{found.name} takes one argument, not {len(arguments)}",
                found.span,
                f"write {found.name}(name)",
            )
        result = Kind.NUMBER if found.name == "LENGTH" else Kind.TEXT
        return Function(found.name, (self._term(arguments[0], Kind.TEXT),), result)

    # Fields.

    def _field(self, found: Field, kind: Kind) -> Column | Property:
        if found.parts[0] in _MAPS:
            part, own = self._part(found, kind)
            self.constants.append(found.parts[1])
            custom = found.parts[0] == "custom_properties"
            return Property(len(self.constants) - 1, custom, part, own)
        return self._column(found)

    def _field_kind(self, found: Field) -> Kind:
        """The kind of a field by itself."""
        if found.parts[0] in _MAPS:
            return self._part(found, Kind.ANY)[1]
        return self._column(found).kind

    def _column(self, found: Field) -> Column:
        first, *rest = found.parts
        if not rest:
            columns = self._columns()
            if first not in columns:
                raise self._unknown_field(found)
            return Column(None, _full_name(first, columns), columns[first])
        alias = _ALIAS.fullmatch(first)
        if alias is None or len(rest) > 1:
            raise self._unknown_field(found)
        alias_kind = AliasKind(alias[1])
        if alias_kind not in NEIGHBOURS[self._kind]:
            names = ", ".join(f"{each.value}_x" for each in NEIGHBOURS[self._kind])
            raise self._error(
                f"{self._kind.label}s have no neighbours {first[:60]!r}",
                found.span,
                f"their neighbours are {names}, with any word for x",
            )
        columns = _with_short_names(alias_columns(alias_kind, self._kind))
        if rest[0] not in columns:
            raise self._error(
                f"{alias_kind.value} have no field {rest[0][:60]!r}",
                found.span,
                _did_you_mean(rest[0], columns),
            )
        self.aliases[first] = alias_kind
        return Column(first, _full_name(rest[0], columns), columns[rest[0]])

    def _part(self, found: Field, kind: Kind) -> tuple[Part, Kind]:
        """Which value of a property is meant where `kind` is wanted, and of which kind it is."""
        first, *rest = found.parts
        if not rest or len(rest) > 2:
            raise self._error(
                f"{first} wants the key of a property" if not rest else "the field is too long",
                found.span,
                f"write {first}.key or {first}.`any key`.int_value",
            )
        if len(rest) == 1:
            return _UNTYPED.get(kind, Part.ANY), kind if kind in _UNTYPED else Kind.ANY
        if rest[1] not in _PARTS:
            raise self._error(
                f"a property has no {rest[1][:60]!r}", found.span, _did_you_mean(rest[1], _PARTS)
            )
        return _PARTS[rest[1]]

    def _unknown_field(self, found: Field) -> FilterError:
        known = [*self._columns(), *_MAPS, *(f"{each.value}_x" for each in NEIGHBOURS[self._kind])]
        written = ".".join(found.parts)
        if len(found.parts) == 1 and _ALIAS.fullmatch(written):
            return self._error(
                f"{written[:60]!r} is a neighbour, and no value",
                found.span,
                f"say which field of it, such as {written[:60]}.id",
            )
        hint = _did_you_mean(found.parts[0], known)
        if _ALIAS.fullmatch(found.parts[0]) and len(found.parts) > 2:
            hint = "of neighbours there are the fields, and not the properties"
        elif len(found.parts) == 1 and not hint.startswith("did you mean"):
            hint = f"a property is written properties.{written[:60]}, a text '{written[:60]}'"
        return self._error(f"{self._kind.label}s have no field {written[:60]!r}", found.span, hint)

    def _error(self, message: str, span: Span, hint: str) -> FilterError:
        for found in _WITH_HYPHEN.finditer(self._text):
            if found.start() <= span[0] < found.end():
                hint = f"if {found[2][:60]!r} is the key, write {found[1]}.`{found[2][:60]}`"
        return FilterError(message, hint=hint, text=self._text, span=span)


_WITH_HYPHEN = re.compile(r"\b((?:custom_)?properties)\.(\w+(?:-\w+)+)")
"""Read as a subtraction, and seldom meant so."""


def _with_short_names(columns: Mapping[str, Kind]) -> dict[str, Kind]:
    """The fields, and ``state`` for what ML Metadata calls ``last_known_state``."""
    if "last_known_state" not in columns:
        return dict(columns)
    return {**columns, "state": Kind.EXECUTION_STATE}


def _full_name(field: str, columns: Mapping[str, Kind]) -> str:
    return "last_known_state" if columns[field] is Kind.EXECUTION_STATE else field


def _is_null(found: Syntax) -> bool:
    return isinstance(found, Literal) and found.value is None


def _did_you_mean(word: str, known: Iterable[str]) -> str:
    names = list(known)
    near = difflib.get_close_matches(word[:60], names, n=1)
    return f"did you mean {near[0]}?" if near else f"there are {', '.join(names)}"
