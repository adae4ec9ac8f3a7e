"""Text from a store, which anybody may have written, made harmless for a terminal."""

from __future__ import annotations

__all__ = ["escape"]


def escape(text: str, *, keep: str = "") -> str:
    r"""The text with everything that does not print written out: ``\n``, ``\x1b``, ``\u202e``.

    What does not print is what Python's `repr` escapes: control characters, by which text could
    clear the screen or pose as another line, and marks that turn the direction of writing around.
    """
    if text.isprintable():
        return text
    return "".join(
        each
        if each.isprintable() or each in keep
        else each.encode("unicode_escape", "surrogatepass").decode("ascii")
        for each in text
    )
