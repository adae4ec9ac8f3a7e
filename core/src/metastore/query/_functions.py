"""What the functions and operators of the filter language come to, for one row.

SQL backends must answer the same; where theirs differ, they call these.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from functools import lru_cache

from metastore.values import INT64_MAX, INT64_MIN

__all__ = ["MAX_PATTERN", "arithmetic", "like"]

MAX_PATTERN = 2000
"""Characters of a LIKE pattern."""

_FOLD = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


def like(pattern: str, text: str) -> bool:
    r"""Whether the whole text fits: ``%`` is any text, ``_`` any character, ``\`` escapes them.

    The letters A to Z fit whatever their case, as in ML Metadata's stores on SQLite.
    """
    return _matcher(pattern)(text.translate(_FOLD))


@lru_cache(maxsize=64)
def _matcher(pattern: str) -> Callable[[str], bool]:
    """From a folded text to whether it fits.  Takes no more than pattern times text steps."""
    segments: list[str] = [""]
    escaped = False
    for each in pattern.translate(_FOLD):
        if escaped:
            segments[-1] += re.escape(each)
            escaped = False
        elif each == "\\":
            escaped = True
        elif each == "%":
            segments.append("")
        else:
            segments[-1] += "." if each == "_" else re.escape(each)
    if escaped:
        # A backslash that escapes nothing fits nothing, as in SQLite.
        return lambda text: False
    first, *rest = (re.compile(each, re.DOTALL) for each in segments)
    if not rest:
        return lambda text: first.fullmatch(text) is not None
    *middle, last = rest
    # Each character of a segment fits one of the text, so that segments have fixed lengths.
    last_length = len(re.sub(r"\\?.", "x", segments[-1], flags=re.DOTALL))

    def fits(text: str) -> bool:
        begin = first.match(text)
        if begin is None:
            return False
        at = begin.end()
        for segment in middle:
            # The leftmost place leaves most for the others.
            found = segment.search(text, at)
            if found is None:
                return False
            at = found.end()
        end = len(text) - last_length
        return end >= at and last.match(text, end) is not None

    return fits


def arithmetic(operator: str, left: float, right: float) -> float | None:
    """``+``, ``-`` or ``*``: of ints an int, or a double beyond 64 bits; None for what is NaN."""
    result = _apply(operator, left, right)
    if isinstance(result, int):
        if INT64_MIN <= result <= INT64_MAX:
            return result
        result = _apply(operator, float(left), float(right))
    return None if math.isnan(result) else result


def _apply(operator: str, left: float, right: float) -> float:
    if operator == "+":
        return left + right
    return left - right if operator == "-" else left * right
