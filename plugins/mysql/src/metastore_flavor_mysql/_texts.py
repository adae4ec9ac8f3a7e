"""Text as ML Metadata's client leaves it in a database.

Its sessions speak latin1 (the client library's default), and what it sends is UTF-8.  A column of
latin1 then holds the bytes of the UTF-8, and one of utf8mb4 holds each of these bytes as a letter
of latin1, which is what a session that speaks utf8mb4 reads in both cases.

The server's latin1 is Windows-1252, whose five unused bytes are the control characters of their
number (dev.mysql.com/doc/refman/8.4/en/charset-we-sets.html).
"""

from __future__ import annotations

from typing import Any

__all__ = ["as_mlmd", "from_mlmd", "row_from_mlmd", "values_as_mlmd"]

_TO_LETTER = {
    byte: bytes([byte]).decode("cp1252")
    if byte not in (0x81, 0x8D, 0x8F, 0x90, 0x9D)
    else chr(byte)
    for byte in range(0x80, 0x100)
}
_TO_BYTE = {ord(letter): byte for byte, letter in _TO_LETTER.items()}


def as_mlmd(text: str) -> str:
    """The text as its client would have stored it."""
    if text.isascii():
        return text
    # Half of a surrogate pair, too: whoever asks whether it can be stored is told by another check.
    return text.encode("utf-8", "surrogatepass").decode("latin1").translate(_TO_LETTER)


def from_mlmd(text: str) -> str:
    """The text that its client stored; one that it cannot have stored comes back unchanged."""
    if text.isascii():
        return text
    try:
        return text.translate(_TO_BYTE).encode("latin1").decode()
    except UnicodeError:
        return text


def row_from_mlmd(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """A row with its texts as they were meant."""
    return tuple([from_mlmd(each) if type(each) is str else each for each in row])


def values_as_mlmd(values: Any) -> Any:
    """Parameters of a statement, lists in them included."""
    if isinstance(values, str):
        return as_mlmd(values)
    if isinstance(values, list | tuple):
        return type(values)(map(values_as_mlmd, values))
    return values
