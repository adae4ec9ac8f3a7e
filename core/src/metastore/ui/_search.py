"""From the fields of a form to the filter that they mean."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from metastore.errors import FilterError, InvalidError
from metastore.model import NodeKind
from metastore.query import Filter
from metastore.ui._page import View

__all__ = ["OPERATORS", "Conditions", "joined", "quoted"]

OPERATORS = {
    "eq": "=",
    "ne": "≠",
    "gt": ">",
    "ge": "≥",
    "lt": "<",
    "le": "≤",
    "has": "contains",
    "set": "is set",
}
_SYMBOLS = {"eq": "=", "ne": "!=", "gt": ">", "ge": ">=", "lt": "<", "le": "<="}
_NUMBER = re.compile(r"-?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


@dataclass(frozen=True)
class Conditions:
    """What lists of all kinds can be narrowed by."""

    name: str | None
    """A part of the name."""
    key: str | None
    """Of a property or custom property."""
    operator: str
    value: str
    where: str | None
    """A filter."""

    @classmethod
    def of(cls, view: View) -> Conditions:
        """What the address says."""
        return cls(
            view.text("name"),
            view.text("key"),
            view.choice("op", OPERATORS, "eq"),
            (view.query.get("value") or [""])[0],
            view.text("where"),
        )

    def filter(self, kind: NodeKind, *more: str | None) -> str | None:
        """All of it as one filter; None for none.

        Raises
        ------
        FilterError
            `where` is no filter; the mark is where it is wrong.
        InvalidError
            The property is none that can be asked for.
        """
        if self.where is not None:
            # By itself, so that the mark is below what was typed.
            Filter.parse(kind, self.where)
        name = None if self.name is None else f"name LIKE {quoted(f'%{_pattern(self.name)}%')}"
        text = joined(self.where, name, self._property(), *more)
        if text is not None:
            try:
                Filter.parse(kind, text)
            except FilterError as error:
                raise InvalidError(f"together, {error.message}", hint=error.hint) from error
        return text

    def _property(self) -> str | None:
        if self.key is None:
            return None
        if "`" in self.key:
            raise InvalidError("a key with a backquote cannot be searched for")
        both = [f"{each}.`{self.key}`" for each in ("properties", "custom_properties")]
        if self.operator == "set":
            return " OR ".join(f"{each} IS NOT NULL" for each in both)
        if self.operator == "has":
            pattern = quoted(f"%{_pattern(self.value)}%")
            return " OR ".join(f"{each} LIKE {pattern}" for each in both)
        symbol = _SYMBOLS[self.operator]
        return " OR ".join(f"{each} {symbol} {word}" for each in both for word in self._words())

    def _words(self) -> list[str]:
        """What the value may be: a number, or a text that looks like one."""
        text = quoted(self.value)
        if _NUMBER.fullmatch(self.value) and math.isfinite(float(self.value)):
            return [self.value] if self.operator != "eq" else [self.value, text]
        if self.value.lower() in ("true", "false") and self.operator in ("eq", "ne"):
            return [self.value.upper()] if self.operator != "eq" else [self.value.upper(), text]
        return [text]


def joined(*conditions: str | None) -> str | None:
    """Conditions that hold together."""
    given = [each for each in conditions if each is not None]
    return given[0] if len(given) == 1 else " AND ".join(f"({each})" for each in given) or None


def quoted(text: str) -> str:
    """A text as a literal of the filter language."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _pattern(text: str) -> str:
    """The text for LIKE, where it means nothing but itself."""
    return re.sub(r"([\\%_])", r"\\\1", text)
