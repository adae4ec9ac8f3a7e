"""What is wrong with a filter, and where."""

from __future__ import annotations

from metastore.errors import InvalidError, Offender
from metastore.query._syntax import Span

__all__ = ["FilterError"]

_AROUND = 60


class FilterError(InvalidError):
    """A filter that cannot be understood, or that cannot be meant.

    `str` gives the sentence and, below it, the text with a mark under the place.
    """

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        offender: Offender | None = None,
        text: str = "",
        span: Span | None = None,
    ) -> None:
        super().__init__(message, hint=hint, offender=offender or Offender("filter"))
        self.text = text
        """The whole filter."""
        self.span = span
        """Where it is wrong; None where that is nowhere in particular."""

    @property
    def line(self) -> str:
        """What is wrong, and what to do, without the text."""
        return super().__str__()

    @property
    def marked(self) -> tuple[str, str] | None:
        """The text around the place, and a line with a mark below the place."""
        if self.span is None:
            return None
        start = min(self.span.start, len(self.text))
        end = max(start + 1, min(self.span.end, len(self.text), start + _AROUND))
        first, last = max(0, start - _AROUND), min(len(self.text), end + _AROUND)
        shown = self.text[first:last]
        # One character for one: the mark must stay below its place.
        plain = "".join(each if each.isprintable() else " " for each in shown)
        before = "…" if first else ""
        after = "…" if last < len(self.text) else ""
        width = min(end, last) - start if end <= last else last - start
        mark = " " * (len(before) + start - first) + "^" * max(1, width)
        return f"{before}{plain}{after}", mark

    def __str__(self) -> str:
        marked = self.marked
        return self.line if marked is None else f"{self.line}\n  {marked[0]}\n  {marked[1]}"
