"""Every error that leaves the library.

::

    MetastoreError
    ├── InvalidError            (ValueError)           the input breaks a rule of the contract
    │   └── FilterError                                the text of a filter is none
    ├── NotFoundError           (LookupError)          a type, node, run or store that is not there
    ├── AlreadyExistsError      (ValueError)           a name, external id, event or type is taken
    ├── ConflictError           (RuntimeError)         the node changed since it was read
    ├── BusyError               (TimeoutError)         others kept the store locked for too long
    ├── ReadOnlyError           (PermissionError)      a write to a store opened for reading
    ├── ClosedError             (RuntimeError)         the store was closed
    ├── ForkError               (RuntimeError)         the connection belongs to the parent process
    ├── CapabilityError         (NotImplementedError)  this flavor cannot do that
    ├── OutcomeUnknownError     (RuntimeError)         a write may or may not have happened
    ├── StorageError            (OSError)              the backend failed: disk full, I/O, network
    ├── OpenError               (OSError)              the store cannot be opened
    │   ├── StoreNotFoundError  (NotFoundError)        there is none
    │   ├── NotAStoreError                             something else is there
    │   ├── DamagedStoreError                          half made: tables or version row are missing
    │   └── SchemaVersionError                         made by an older or a newer release
    └── FlavorError             (ImportError)          a flavor is missing, broken or incompatible
        └── FlavorNotFoundError (LookupError)

Each error is one sentence that says what was wrong and where, and, where there is something to do,
a second one that says what (`hint`).  `offender` tells a program what it was about.  Messages name
nodes, types and property keys, never property values, which may be confidential.
"""

from __future__ import annotations

import unicodedata
from typing import NamedTuple

__all__ = [
    "AlreadyExistsError",
    "BusyError",
    "CapabilityError",
    "ClosedError",
    "ConflictError",
    "DamagedStoreError",
    "FilterError",
    "FlavorError",
    "FlavorNotFoundError",
    "ForkError",
    "InvalidError",
    "MetastoreError",
    "NotAStoreError",
    "NotFoundError",
    "Offender",
    "OpenError",
    "OutcomeUnknownError",
    "ReadOnlyError",
    "SchemaVersionError",
    "StorageError",
    "StoreNotFoundError",
]


class Offender(NamedTuple):
    """What an error is about; fields that do not apply are None."""

    kind: str | None = None
    """What it is: ``"artifact"``, ``"execution type"``, ``"event"``, ``"store"`` ..."""
    index: int | None = None  # type: ignore[assignment]  # hides a tuple's method
    """Its position in the batch's list of that kind, from 0."""
    id: int | None = None
    """Its stored id."""
    name: str | None = None
    """Its name, external id or location."""
    property: str | None = None
    """The key of the property."""

    def __str__(self) -> str:
        text = self.kind or "input"
        if self.name is not None:
            text += f" {self.name!r}"
        if self.id is not None:
            text += f" (id {self.id})"
        if self.index is not None:
            text += f" at position {self.index} of the batch"
        return text


class MetastoreError(Exception):
    """The root: ``except MetastoreError`` catches whatever the library or a flavor raises."""

    def __init__(
        self, message: str, *, hint: str | None = None, offender: Offender | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.offender = offender

    def __str__(self) -> str:
        return f"{self.message}; {self.hint}" if self.hint else self.message

    def about(self, offender: Offender, *, hint: str | None = None) -> MetastoreError:
        """The same error in other words: about `offender`, for who knows of no batch.

        Whoever records a step has made outputs, not drafts at positions of a batch.
        """
        message = self.message
        if self.offender is not None:
            message = message.replace(str(self.offender), str(offender))
        retold = type(self)(message, hint=hint or self.hint, offender=offender)
        retold.__cause__ = self
        return retold


class InvalidError(MetastoreError, ValueError):
    """The input breaks a rule of the contract; nothing was written."""


_SHOWN_AROUND = 60


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
        span: tuple[int, int] | None = None,
    ) -> None:
        super().__init__(message, hint=hint, offender=offender)
        self.text = text
        """The whole filter."""
        self.span = span
        """Where it is wrong: from this character to before that one; None where that is nowhere in
        particular."""

    @property
    def line(self) -> str:
        """What is wrong, and what to do, without the text."""
        return super().__str__()

    @property
    def marked(self) -> tuple[str, str] | None:
        """The text around the place, and a line with a mark below the place."""
        if self.span is None:
            return None
        start = min(self.span[0], len(self.text))
        end = max(start + 1, min(self.span[1], len(self.text), start + _SHOWN_AROUND))
        first, last = max(0, start - _SHOWN_AROUND), min(len(self.text), end + _SHOWN_AROUND)
        shown = self.text[first:last]
        # The mark must stay below its place: one character for one, and two cells for wide ones.
        plain = "".join(each if each.isprintable() else " " for each in shown)
        before = "…" if first else ""
        after = "…" if last < len(self.text) else ""
        marked = _cells(plain[start - first : min(end, last) - first])
        mark = " " * (len(before) + _cells(plain[: start - first])) + "^" * max(1, marked)
        return f"{before}{plain}{after}", mark

    def __str__(self) -> str:
        marked = self.marked
        return self.line if marked is None else f"{self.line}\n  {marked[0]}\n  {marked[1]}"


class NotFoundError(MetastoreError, LookupError):
    """A type, node, run or store that the input refers to is not there; nothing was written."""


class AlreadyExistsError(MetastoreError, ValueError):
    """A name, external id, event, parent link or type is taken; nothing was written."""


class ConflictError(MetastoreError, RuntimeError):
    """A node changed since it was read (its update time is not the expected one)."""


class BusyError(MetastoreError, TimeoutError):
    """Other writers kept the store locked for longer than the configured timeout."""


class ReadOnlyError(MetastoreError, PermissionError):
    """A write to a store that was opened for reading, or that this user may only read."""


class ClosedError(MetastoreError, RuntimeError):
    """The store was closed before this call."""


class ForkError(MetastoreError, RuntimeError):
    """The connection was opened by a parent process and cannot be used in a forked child."""


class CapabilityError(MetastoreError, NotImplementedError):
    """The flavor lacks a capability that the call needs."""


class OutcomeUnknownError(MetastoreError, RuntimeError):
    """The connection broke while committing: the batch is either written whole or not at all."""


class StorageError(MetastoreError, OSError):
    """The backend failed underneath: disk full, input/output error, connection lost."""


class OpenError(MetastoreError, OSError):
    """The store cannot be opened; nothing was created or changed."""


class StoreNotFoundError(OpenError, NotFoundError):
    """There is no store; nothing was created."""


class NotAStoreError(OpenError):
    """What is there is not a metadata store."""


class DamagedStoreError(OpenError):
    """A store whose tables or version row are incomplete."""


class SchemaVersionError(OpenError):
    """A store of another schema version."""

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        offender: Offender | None = None,
        found: int | None = None,
        supported: int | None = None,
    ) -> None:
        super().__init__(message, hint=hint, offender=offender)
        self.found = found
        self.supported = supported


class FlavorError(MetastoreError, ImportError):
    """A flavor is installed but cannot be used."""


class FlavorNotFoundError(FlavorError, LookupError):
    """No installed distribution provides the flavor."""


def _cells(text: str) -> int:
    """How wide a text is in a terminal (unicode.org/reports/tr11; marks that combine have none)."""
    return sum(
        0 if unicodedata.combining(each) else 1 + (unicodedata.east_asian_width(each) in "WF")
        for each in text
    )
