"""Which filters MySQL answers as `metastore.query` means them.

The others are evaluated in Python.  MySQL compares a whole number with a double as two doubles,
raises where a sum leaves 64 bits, and knows small and capital letters of its own beyond ASCII.
"""

from __future__ import annotations

from metastore.query import Filter
from metastore.query.tree import (
    Comparison,
    Condition,
    Constant,
    Either,
    Every,
    Exists,
    Function,
    Kind,
    Membership,
    Part,
    Pattern,
    Property,
    Term,
    terms_of,
)
from metastore.sql.engine_lists import is_storable

__all__ = ["can_answer", "is_writable"]

_EXACT = 2**52
"""Below it, a double holds each whole number and no other between two of them."""


def is_writable(text: str) -> bool:
    """Whether the text can be sent: surrogates cannot."""
    return is_storable(text.replace("\0", ""))


def can_answer(filter: Filter, *, plain_text: bool) -> bool:
    """Whether the server's answer is the right one.

    `plain_text`: texts are stored as they are, so that it can count and order their letters.
    """
    constants = filter.constants
    for constant in constants:
        for value in constant if isinstance(constant, tuple) else (constant,):
            if isinstance(value, str) and not is_writable(value):
                return False
    return _Judge(constants, plain_text).condition(filter.condition)


class _Judge:
    def __init__(self, constants: tuple[object, ...], plain_text: bool) -> None:
        self._constants = constants
        self._plain_text = plain_text

    def condition(self, found: Condition) -> bool:
        if isinstance(found, Every | Either):
            return all(map(self.condition, found.conditions))
        if isinstance(found, Exists):
            return self.condition(found.condition)
        terms = terms_of(found)
        # One of constants only would be compared as the connection compares, not as a column does.
        if not all(map(self._term, terms)) or not any(map(_is_stored, terms)):
            return False
        if isinstance(found, Comparison):
            return self._comparison(found)
        if isinstance(found, Membership):
            return self._membership(found)
        if isinstance(found, Pattern):
            return self._pattern(found)
        return True

    def _term(self, term: Term) -> bool:
        """Whether the term by itself is what it should be."""
        if isinstance(term, Function):
            if term.name == "LENGTH":
                return self._plain_text and self._term(term.arguments[0])
            if term.name == "COALESCE" and term.kind is Kind.TEXT:
                return all(map(self._term, term.arguments))
            return False
        return isinstance(term, Constant | Property) or hasattr(term, "alias")

    def _comparison(self, found: Comparison) -> bool:
        sides = (found.left, found.right)
        constants = [self._constants[each.index] for each in sides if isinstance(each, Constant)]
        if any(each.kind is Kind.NUMBER for each in sides):
            # Whole ones of the server's own are compared as such, with one another too.
            if not constants:
                return not any(_may_be_double(each) for each in sides)
            if any(isinstance(each, float) and not each.is_integer() for each in constants) and any(
                not _may_be_double(each) for each in sides if not isinstance(each, Constant)
            ):
                # MariaDB takes ``n = 0.5 OR n = -1`` for a list of whole numbers, and finds 0.
                return False
            return all(isinstance(each, int | float) and abs(each) < _EXACT for each in constants)
        if any(each.kind is Kind.TEXT for each in sides) and not self._plain_text:
            return found.operator in ("=", "!=")
        return True

    def _membership(self, found: Membership) -> bool:
        values = self._constants[found.values.index]
        assert isinstance(values, tuple)
        if found.term.kind is Kind.NUMBER:
            return not _may_be_double(found.term) and all(type(each) is int for each in values)
        return True

    def _pattern(self, found: Pattern) -> bool:
        pattern = self._constants[found.pattern.index]
        assert isinstance(pattern, str)
        backslashes = len(pattern) - len(pattern.rstrip("\\"))
        return self._plain_text and pattern.isascii() and backslashes % 2 == 0


def _is_stored(term: Term) -> bool:
    if isinstance(term, Function):
        return any(map(_is_stored, term.arguments))
    return not isinstance(term, Constant)


def _may_be_double(term: Term) -> bool:
    return isinstance(term, Property) and term.part not in (Part.INT, Part.BOOL)
