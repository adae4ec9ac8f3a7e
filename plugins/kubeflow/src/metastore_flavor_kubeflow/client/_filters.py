"""What of a filter the server may evaluate: only what lets all through that we would.

ML Metadata's filters differ from ours (docs/filters.md): they join inner, so that under OR a
missing property hides a node; on SQLite a text that is called like a column is that column; on
MySQL texts are compared as the collation likes.  So a filter is made weaker: conditions that might
hide something that ours lets through are left out, and whatever the server answers is evaluated
again on our side.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from typing import Any

from metastore import ArtifactState, EventType, ExecutionState, Filter
from metastore.query.tree import (
    AliasKind,
    Arithmetic,
    Column,
    Comparison,
    Condition,
    Constant,
    Either,
    Every,
    Exists,
    Kind,
    Membership,
    Part,
    Predicate,
    Property,
    Term,
    names_of,
    requires,
    terms_of,
)
from metastore.values import INT64_MAX, INT64_MIN
from metastore_flavor_kubeflow.client._service import IDS

__all__ = ["ids_in", "texts_in", "weaker"]

_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_TEXT = re.compile(r"[ !#-&(-\[\]-~]*", re.ASCII)
"""Printable ASCII but for quotes and the backslash."""

# On SQLite ML Metadata prints texts in double quotes, in which a column's name is the column.
_COLUMNS = frozenset(
    {
        *("_rowid_", "oid", "rowid"),
        *("id", "type", "type_id", "name", "uri", "state", "last_known_state", "external_id"),
        *("create_time_since_epoch", "last_update_time_since_epoch"),
        *("artifact_id", "execution_id", "context_id", "parent_context_id"),
        *("is_custom_property", "int_value", "double_value", "string_value", "byte_value"),
        *("proto_value", "bool_value"),
        *("event_id", "milliseconds_since_epoch", "is_index_step", "step_index", "step_key"),
        *("version", "type_kind", "description", "input_type", "output_type"),
        *("data_type", "parent_type_id", "schema_version"),
    }
)

_SIGNS = frozenset({"=", "<", "<=", ">", ">="})
_TURNED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "=": "="}

_ALIAS_COLUMNS: dict[AliasKind, set[str]] = {
    AliasKind.EVENTS: {"type", "milliseconds_since_epoch", "artifact_id", "execution_id"},
    **{each: {"id", "name", "type"} for each in AliasKind if each is not AliasKind.EVENTS},
}
"""The fields of neighbours that ML Metadata knows, on every backend."""

_ENUMS: dict[Kind, dict[int, str]] = {
    # ML Metadata's parser does not know the later members, nor an event's UNKNOWN.
    Kind.ARTIFACT_STATE: {each.value: each.name for each in ArtifactState if each.value < 5},
    Kind.EXECUTION_STATE: {each.value: each.name for each in ExecutionState},
    Kind.EVENT_TYPE: {each.value: each.name for each in EventType if 0 < each.value < 7},
}

_STEP = 1e-6
"""How far a double may have moved when ML Metadata wrote it with six decimals."""
_LARGEST = 1e9
"""Beyond it a double's neighbours are farther away than a step tells."""


def ids_in(column: str, ids: Iterable[int]) -> list[str]:
    """The conditions that a column holds one of the ids, each of a length that servers take."""
    wanted = sorted({id for id in ids if type(id) is int and 0 < id <= INT64_MAX})
    return [
        f"{column} IN ({', '.join(map(str, wanted[at : at + IDS]))})"
        for at in range(0, len(wanted), IDS)
    ]


def texts_in(column: str, texts: Iterable[str] | None) -> list[str] | None:
    """The conditions that a column holds one of the texts; None where that cannot be said."""
    if texts is None:
        return None
    literals = [_text(text) for text in texts]
    if None in literals:
        return None
    return [
        f"{column} IN ({', '.join(map(str, literals[at : at + IDS]))})"
        for at in range(0, len(literals), IDS)
    ]


def weaker(filter: Filter) -> str:
    """A filter of ML Metadata's that holds wherever ours does; empty where it says nothing."""
    return _Weaker(filter).of(filter.condition) or ""


def _text(text: Any) -> str | None:
    if type(text) is not str or not _TEXT.fullmatch(text) or text.lower() in _COLUMNS:
        return None
    return f"'{text}'"


class _Weaker:
    def __init__(self, filter: Filter) -> None:
        self._constants = filter.constants
        self._aliases: dict[str, AliasKind] = {}

    def of(self, condition: Condition) -> str | None:
        """The condition that is passed on; None for one that says nothing."""
        if isinstance(condition, Every):
            parts = [told for each in condition.conditions if (told := self.of(each))]
            return " AND ".join(parts) or None
        if isinstance(condition, Either):
            return self._either(condition.conditions)
        if isinstance(condition, Exists):
            if not all(requires(condition.condition, alias) for alias, _ in condition.aliases):
                return None
            self._aliases.update(condition.aliases)
            return self.of(condition.condition)
        return self._predicate(condition)

    def _either(self, conditions: Sequence[Condition]) -> str | None:
        # Whatever is joined for one of them would be missing for the others.
        if any(names_of(each) - {None} or _has_properties(each) for each in conditions):
            return None
        parts = [self.of(each) for each in conditions]
        return None if None in parts else f"({' OR '.join(f'({each})' for each in parts)})"

    def _predicate(self, predicate: Predicate) -> str | None:
        if predicate.negated:
            return None
        if isinstance(predicate, Comparison):
            return self._comparison(predicate)
        if isinstance(predicate, Membership):
            return self._membership(predicate)
        return None

    def _comparison(self, comparison: Comparison) -> str | None:
        left, sign, right = comparison.left, comparison.operator, comparison.right
        if sign not in _SIGNS:
            return None
        if isinstance(left, Constant):
            left, sign, right = right, _TURNED[sign], left
        if not isinstance(right, Constant):
            return None
        named, value = self._named(left), self._constants[right.index]
        if named is None:
            return None
        if isinstance(left, Property) and left.part is Part.DOUBLE:
            return _of_double(named, sign, value)
        literal = self._literal(left, value)
        # The order of texts is the collation's.
        if literal is None or (sign != "=" and not _is_number(value)):
            return None
        return f"{named} {sign} {literal}"

    def _membership(self, membership: Membership) -> str | None:
        term = membership.term
        named, values = self._named(term), self._constants[membership.values.index]
        if named is None or (isinstance(term, Property) and term.part is Part.DOUBLE):
            return None
        literals = [self._literal(term, value) for value in values]
        if not literals or len(literals) > IDS or None in literals:
            return None
        return f"{named} IN ({', '.join(map(str, literals))})"

    def _named(self, term: Term) -> str | None:
        """What ML Metadata calls a field; None for what it may not know."""
        if isinstance(term, Property):
            key = self._constants[term.key]
            known = term.part in (Part.INT, Part.DOUBLE, Part.STRING)
            if not known or not _KEY.fullmatch(key):
                return None
            return f"{'custom_' if term.custom else ''}properties.{key}.{term.part.value}"
        if not isinstance(term, Column):
            return None
        if term.alias is None:
            return term.name
        known_columns = _ALIAS_COLUMNS[self._aliases[term.alias]]
        return f"{term.alias}.{term.name}" if term.name in known_columns else None

    @staticmethod
    def _literal(term: Term, value: Any) -> str | None:
        names = _ENUMS.get(getattr(term, "kind", Kind.ANY))
        if names is not None:
            return names.get(value) if isinstance(value, int) else None
        is_text = getattr(term, "kind", Kind.ANY) is Kind.TEXT
        if isinstance(value, str):
            return _text(value) if is_text else None
        return str(int(value)) if _is_number(value) and not is_text else None


def _is_number(value: Any) -> bool:
    return type(value) is int and INT64_MIN < value <= INT64_MAX


def _of_double(named: str, sign: str, value: Any) -> str | None:
    """A comparison with a double, with room for what six decimals lose."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < _LARGEST:
        return None
    least = f"{math.floor(value / _STEP - 2) * _STEP:.6f}"
    most = f"{math.ceil(value / _STEP + 2) * _STEP:.6f}"
    told = []
    if sign in ("=", ">", ">="):
        told.append(f"{named} >= {least}")
    if sign in ("=", "<", "<="):
        told.append(f"{named} <= {most}")
    return " AND ".join(told)


def _has_properties(condition: Condition) -> bool:
    if isinstance(condition, Every | Either):
        return any(map(_has_properties, condition.conditions))
    if isinstance(condition, Exists):
        return True
    return any(_uses_property(term) for term in terms_of(condition))


def _uses_property(term: Term) -> bool:
    if isinstance(term, Property):
        return True
    if isinstance(term, Arithmetic):
        return _uses_property(term.left) or _uses_property(term.right)
    return any(map(_uses_property, getattr(term, "arguments", ())))
