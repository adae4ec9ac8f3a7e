"""Filters of every sort: right ones, damaged ones, deep ones, long ones, and none."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

from metastore import NodeKind
from metastore.testing.random_filters import PLAIN, FilterAuthor, Words

from .damage import damaged_text, noise

__all__ = ["SORTS", "WORDS", "deep", "huge", "mutated", "written"]

WORDS = (
    *("AND", "OR", "NOT", "IN", "LIKE", "BETWEEN", "IS", "NULL", "TRUE", "FALSE", "COALESCE(", "("),
    *("LOWER(", "UPPER(", "LENGTH(", "properties.", "custom_properties.", ".int_value", "`a b`"),
    *(".double_value", ".string_value", ".bool_value", "contexts_a.", "contexts_b.", "events_0."),
    *("artifacts_a.", "executions_a.", "parent_contexts_a.", "child_contexts_a.", "id", "name"),
    *("uri", "state", "type", "LIVE", "COMPLETE", "OUTPUT", "'", "'a'", '"b"', "'\\x00'", "'%'"),
    *("'\\ud800'", "9223372036854775807", "9223372036854775808", "1e308", "1e309", ".5", "5.", "0"),
)


class _Author(FilterAuthor):
    """Writes deeper filters, in another hand: cases, blanks, quotes, escapes."""

    def text(self) -> str:
        """A filter."""
        if self._chance.random() < 0.5:
            # One alone: joined with others, it seldom decides.
            return self._predicate() if self._chance.random() < 0.6 else self._plain()
        text = self.condition()
        for _ in range(self._chance.choice((0, 0, 0, 1, 3))):
            text = f"{self._one('', 'NOT ')}({text}) {self._one('AND', 'or')} {self.condition(2)}"
        which = self._chance.randrange(4)
        if which == 0:
            text = text.replace(" ", self._one("  ", "\n", "\t", "\r\n", "\u2003", "\x0b"))
        elif which == 1:
            for word in ("AND", "OR", "NOT", "IN", "LIKE", "IS", "NULL", "BETWEEN"):
                text = text.replace(f" {word} ", f" {self._one(word.lower(), word.title())} ")
        return text

    def _plain(self) -> str:
        """A field against a value that nodes have, or one beside it."""
        sign = self._one("=", "!=", "<", "<=", ">", ">=")
        own = self._one("properties", "custom_properties")
        return str(
            self._one(
                f"{own}.{self._one('i', 'd')} {sign} {self._one(0, 1, -1, 2, 5, 0.5, -1.5)}",
                f"{own}.s {sign} {self._one(*self._texts)}",
                f"id {sign} {self._chance.randint(1, 6)}",
                f"create_time_since_epoch {sign} {self._chance.randint(1, 3)}",
                f"last_update_time_since_epoch {sign} create_time_since_epoch",
                f"type {sign} 'T'",
                f"LENGTH(name) {sign} {self._chance.randint(1, 4)}",
            )
        )


def written(chance: random.Random, kind: NodeKind, words: Words = PLAIN) -> str:
    """One that is right, nearly always."""
    return _Author(chance, kind, words).text()


_TOKEN = re.compile(r"'(?:[^'\\]|\\.)*'|[\w.]+|`[^`]*`|\s+|[<>!=]+|.", re.DOTALL)


def mutated(chance: random.Random, kind: NodeKind) -> str:
    """One that was right, before letters or words in it were changed."""
    text = written(chance, kind)
    if chance.random() < 0.4:
        return damaged_text(chance, text, WORDS, most=2)
    tokens = _TOKEN.findall(text)
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        at = chance.randrange(len(tokens))
        other = written(chance, kind)
        # A word for a word of its like, mostly.
        like = [
            each for each in _TOKEN.findall(other) if each[0].isalnum() == tokens[at][0].isalnum()
        ]
        tokens[at] = chance.choice(like) if like and chance.random() < 0.8 else chance.choice(WORDS)
    return "".join(tokens)


def _noise(chance: random.Random, kind: NodeKind) -> str:
    if chance.random() < 0.5:
        return noise(chance)
    return " ".join(chance.choices(WORDS, k=chance.randint(1, 12)))


def deep(chance: random.Random, kind: NodeKind) -> str:
    """One with many levels, around the most that there may be or far beyond it."""
    levels = chance.choice((20, 24, 25, 26, 27, 100, 1_000, 5_000))
    opening, inner, closing = chance.choice(
        (
            ("(", "id = 1", ")"),
            ("NOT ", "id = 1", ""),
            ("NOT (", "id = 1", ")"),
            ("-", "id = 1", ""),
            ("LOWER(", "name", ")"),
            ("1 + (", "id", ")"),
            ("COALESCE(", "name", ", 'x')"),
            ("(id = 1 AND (id = 2 OR ", "id = 3", "))"),
            ("(contexts_a.id > 0 AND NOT (id > 0 AND ", "id = 3", "))"),
            ("", "id", " + id"),
            ("", "id = 1", " AND id = 1"),
            ("", "id = 1", " OR id = 1 AND id = 2"),
            ("((((", "id", ""),
            ("id IN (", "1", ")"),
        )
    )
    return opening * levels + inner + closing * chance.choice((levels, levels, levels - 1))


def huge(chance: random.Random, kind: NodeKind) -> str:
    """One that is long, around the most that there may be or beyond it."""
    size = chance.choice((900, 2_001, 20_000, 60_000, 99_000, 100_001, 400_000))
    make: Callable[[], str] = chance.choice(
        (
            lambda: f"name = '{'x' * size}'",
            lambda: f"name = '{chr(92) * size}'",
            lambda: f"name LIKE '{'%a' * (size // 2)}'",
            lambda: f"name LIKE '{'_%' * (size // 2)}b'",
            lambda: f"id IN ({', '.join(map(str, range(size // 6)))})",
            lambda: f"name IN ({', '.join(repr(str(n)) for n in range(size // 9))})",
            lambda: f"id IN ({', '.join(['.5'] * (size // 4))})",
            lambda: f"id = {'9' * size}",
            lambda: f"id = 1e{'9' * size}",
            lambda: f"id = 0.{'0' * size}1",
            lambda: f"{'a' * size} = 1",
            lambda: f"{'a.' * (size // 2)}b = 1",
            lambda: f"properties.`{'k' * size}`.int_value = 1",
            lambda: f"contexts_{'a' * size}.id = 1",
            lambda: " AND ".join(f"contexts_{n}.id = 1" for n in range(size // 20)),
            lambda: " OR ".join(["id=1"] * (size // 8)),
            lambda: "'" * size,
            lambda: "`" * size,
            lambda: "." * size,
            lambda: " " * size,
            lambda: "\\'" * (size // 2),
            lambda: "é" * size,
            lambda: (
                f"name = '{chr(92)}x41{chr(92)}U0001f600{chr(92)}101' OR " * (size // 40) + "id = 1"
            ),
        )
    )
    return make()


Sort = Callable[[random.Random, NodeKind], str]
SORTS: dict[str, Sort] = {"written": written, "mutated": mutated, "noise": _noise}
