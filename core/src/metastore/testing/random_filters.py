"""Random stores and random filters, for comparing what a flavor finds with what Python finds.

`Chance` is what both are drawn from: a `random.Random`, or hypothesis's stand-in for one, which it
can shrink.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from metastore.batch import Batch, Ref
from metastore.model import (
    ArtifactState,
    EventType,
    ExecutionState,
    NodeKind,
    PropertyKind,
    TypeKey,
)

__all__ = ["PLAIN", "FilterAuthor", "Words", "random_batch", "random_filter"]

_KINDS = {
    "i": PropertyKind.INT,
    "d": PropertyKind.DOUBLE,
    "s": PropertyKind.STRING,
    "b": PropertyKind.BOOLEAN,
    "t": PropertyKind.STRUCT,
}
_KEYS = ("i", "d", "s", "b", "t", "`key 2`", "é", "zz")
_NUMBERS = (
    *("0", "1", "-1", "2", "3", "5", "0.5", "1.0", "-1.5", "1e300"),
    *("9223372036854775807", "-9223372036854775808"),
)
_PATTERNS = (
    *("'a%'", "'%'", "'_'", "'%b%'", "'A_'", "''", "'%é%'", "'%y'", "'_%1'", "'%a%0'"),
    *(r"'x\\%y'", r"'x\\_y%'", r"'\\'", r"'%\\_%'"),
)
_COMPARISONS = ("=", "!=", "<>", "<", "<=", ">", ">=")
_STATES = {
    "state": ArtifactState,
    "last_known_state": ExecutionState,
    "events_0.type": EventType,
    "artifacts_a.state": ArtifactState,
    "executions_a.last_known_state": ExecutionState,
}
_ALIASES = {
    NodeKind.ARTIFACT: ("contexts_a", "contexts_b", "events_0", "events_1"),
    NodeKind.EXECUTION: ("contexts_a", "contexts_b", "events_0", "events_1"),
    NodeKind.CONTEXT: (
        *("artifacts_a", "artifacts_b", "executions_a"),
        *("parent_contexts_a", "parent_contexts_b", "child_contexts_a"),
    ),
}


@dataclass(frozen=True)
class Words:
    """The values that nodes have, and that filters ask for."""

    texts: Sequence[str] = (
        *("a", "A", "b", "x%y", "x_y", "", "é", "É", "it's", "uri", "name", "\U0001f600"),
        *("__MLMD_NULL__", "mlmd-struct::abc", "back\\slash", "two\nlines", "q" * 50),
    )
    integers: Sequence[int] = (0, 1, -1, 2, 5, 2**31, 2**63 - 1, -(2**63))
    doubles: Sequence[float] = (0.0, -0.0, 0.5, 1.0, 2.0, -1.5, 1e300, 5e-324)
    structs: bool = True
    """Whether some properties are structs."""


PLAIN = Words()


def random_batch(chance: Random, words: Words = PLAIN) -> Batch:
    """A few nodes of each kind, with few values, so that filters find some; and links."""
    batch = Batch()
    for kind in NodeKind:
        for name, version in (("T", None), ("U", "1"), ("U", None)):
            batch.type(kind, name, _KINDS, version=version)
    nodes = {
        kind: [_node(chance, words, batch, kind, n) for n in range(chance.randint(1, 6))]
        for kind in NodeKind
    }
    artifacts, executions, contexts = (
        nodes[kind] for kind in (NodeKind.ARTIFACT, NodeKind.EXECUTION, NodeKind.CONTEXT)
    )
    events = {
        (chance.choice(artifacts), chance.choice(executions), chance.choice(list(EventType)[1:]))
        for _ in range(chance.randint(0, 9))
    }
    for artifact, execution, type in sorted(events):
        batch.event(artifact, execution, type, time_ms=chance.randint(1, 3))
    for _ in range(chance.randint(0, 7)):
        batch.attribution(chance.choice(contexts), chance.choice(artifacts))
        batch.association(chance.choice(contexts), chance.choice(executions))
    for at, child in enumerate(contexts):
        for parent in contexts[:at]:
            if chance.randint(0, 3) == 0:
                batch.parent(child, parent)
    return batch


def _node(chance: Random, words: Words, batch: Batch, kind: NodeKind, number: int) -> Ref:
    def value(of: str) -> Any:
        return {
            "i": chance.choice(words.integers),
            "d": chance.choice(words.doubles),
            "s": chance.choice(words.texts),
            "b": chance.choice((True, False)),
            "t": {"a": 1.0} if words.structs else 1,
        }[of]

    name = f"{chance.choice(words.texts)}{number}"
    fields: dict[str, Any] = {
        "name": name if kind is NodeKind.CONTEXT else chance.choice((None, name)),
        "external_id": chance.choice((None, f"{kind.label} {number}")),
        "properties": {
            key: value(key)
            for key in _KINDS
            if chance.randint(0, 1) and (key != "t" or words.structs)
        },
        "custom_properties": {
            key: value(chance.choice("idsbt"))
            for key in ("i", "d", "s", "key 2", "é")
            if chance.randint(0, 2) == 0
        },
        "create_time_ms": chance.randint(1, 3),
        "update_time_ms": chance.randint(1, 3),
    }
    type = chance.choice(("T", "U", TypeKey(kind, "U", "1")))
    if kind is NodeKind.ARTIFACT:
        uri, state = chance.choice((*words.texts, "")), chance.choice((None, *ArtifactState))
        return batch.artifact(type, uri=uri, state=state, **fields)
    if kind is NodeKind.EXECUTION:
        return batch.execution(type, state=chance.choice((None, *ExecutionState)), **fields)
    return batch.context(type, **fields)


def random_filter(chance: Random, kind: NodeKind, words: Words = PLAIN) -> str:
    """The text of a filter: right in nearly all cases, and true of some nodes in many."""
    return FilterAuthor(chance, kind, words).condition()


class FilterAuthor:
    """Writes random filters for nodes of one kind; a subclass may leave things out."""

    patterns: Sequence[str] = _PATTERNS
    states: Mapping[str, Any] = _STATES

    def __init__(self, chance: Random, kind: NodeKind, words: Words) -> None:
        self._chance = chance
        self._kind = kind
        texts = [*words.texts, "T", "U", "a0", "a1", "A0", "b2"]
        self._texts = [_quoted(each) for each in texts]

    def _one(self, *choices: Any) -> Any:
        return self._chance.choice(choices)

    def condition(self, depth: int = 0) -> str:
        """A condition; `depth` is that of what it is a part of."""
        which = self._chance.randint(0, 9)
        if depth > 3 or which < 4:
            return self._predicate()
        if which < 8:
            left, right = self.condition(depth + 1), self.condition(depth + 1)
            return f"({left} {self._one('AND', 'OR')} {right})"
        return f"NOT ({self.condition(depth + 1)})"

    def _predicate(self) -> str:
        make = self._one(
            *(self._comparison, self._comparison, self._untyped, self._membership),
            *(self._like, self._missing, self._between, self._boolean, self._state),
        )
        return str(make())

    def _comparison(self) -> str:
        term = self._one(self._text, self._number)
        return f"{term(0)} {self._one(*_COMPARISONS)} {term(0)}"

    def _untyped(self) -> str:
        value = self._one(*self._texts, *_NUMBERS)
        return f"{self._property('')} {self._one(*_COMPARISONS)} {value}"

    def _membership(self) -> str:
        term, values = self._one((self._text, self._texts), (self._number, (*_NUMBERS, "NULL")))
        listed = ", ".join(self._one(*values) for _ in range(self._chance.randint(1, 3)))
        return f"{term(0)} {self._one('', 'NOT ')}IN ({listed})"

    def _like(self) -> str:
        return f"{self._text(0)} {self._one('', 'NOT ')}LIKE {self._one(*self.patterns)}"

    def _missing(self) -> str:
        term = self._one(self._text, self._number, lambda _: self._property(""))
        return f"{term(0)} IS {self._one('', 'NOT ')}NULL"

    def _between(self) -> str:
        low, high = self._number(0), self._number(0)
        return f"{self._number(0)} {self._one('', 'NOT ')}BETWEEN {low} AND {high}"

    def _boolean(self) -> str:
        return str(
            self._one(
                self._property(".bool_value"),
                f"{self._property('.bool_value')} = TRUE",
                f"{self._property('')} != FALSE",
                "TRUE",
            )
        )

    def _state(self) -> str:
        field = {
            NodeKind.ARTIFACT: self._one("state", "events_0.type"),
            NodeKind.EXECUTION: self._one("last_known_state", "events_0.type"),
            NodeKind.CONTEXT: self._one("artifacts_a.state", "executions_a.last_known_state"),
        }[self._kind]
        name, other = (self._one(*self.states[field]).name for _ in range(2))
        return str(
            self._one(
                f"{field} = {name}",
                f"{field} != {name}",
                f"{field} IN ({name}, {other})",
                f"{field} NOT IN ({name}, {other})",
                f"{field} IS NULL",
            )
        )

    def _text(self, depth: int) -> str:
        which = self._chance.randint(0, 9)
        if which < 3 or (depth > 1 and which > 7):
            return str(self._one(*self._texts))
        if which < 5:
            uri = ("uri",) if self._kind is NodeKind.ARTIFACT else ()
            return str(self._one("name", "type", "external_id", *uri))
        if which < 7:
            return self._property(".string_value")
        if which < 8:
            alias = self._one(*(a for a in _ALIASES[self._kind] if not a.startswith("events")))
            uri = ("uri",) if alias.startswith("artifacts") else ()
            return f"{alias}.{self._one('name', 'type', 'external_id', *uri)}"
        if which < 9:
            return f"{self._one('LOWER', 'UPPER')}({self._text(depth + 1)})"
        return f"COALESCE({self._text(depth + 1)}, {self._text(depth + 1)})"

    def _number(self, depth: int) -> str:
        which = self._chance.randint(0, 9)
        if which < 3 or (depth > 1 and which > 6):
            return str(self._one(*_NUMBERS))
        if which < 4:
            return str(
                self._one(
                    "id", "type_id", "create_time_since_epoch", "last_update_time_since_epoch"
                )
            )
        if which < 6:
            return self._property(self._one(".int_value", ".double_value"))
        if which < 7:
            return self._number_of_neighbour()
        if which < 8:
            left, right = self._number(depth + 1), self._number(depth + 1)
            return f"({left} {self._one('+', '-', '*')} {right})"
        if which < 9:
            return f"LENGTH({self._text(depth + 1)})"
        return f"COALESCE({self._number(depth + 1)}, {self._number(depth + 1)})"

    def _number_of_neighbour(self) -> str:
        alias = self._one(*_ALIASES[self._kind])
        if alias.startswith("events"):
            other = "execution_id" if self._kind is NodeKind.ARTIFACT else "artifact_id"
            return f"{alias}.{self._one('milliseconds_since_epoch', other)}"
        return f"{alias}.{self._one('id', 'create_time_since_epoch', 'type_id')}"

    def _property(self, part: str) -> str:
        return f"{self._one('properties', 'custom_properties')}.{self._one(*_KEYS)}{part}"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return "'" + "".join(f"\\x{ord(c):02x}" if c < " " else c for c in escaped) + "'"
