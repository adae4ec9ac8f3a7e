"""SQLite's errors as ours."""

from __future__ import annotations

import sqlite3

from metastore import (
    AlreadyExistsError,
    BusyError,
    InvalidError,
    MetastoreError,
    NotAStoreError,
    Offender,
    OpenError,
    OutcomeUnknownError,
    ReadOnlyError,
    StorageError,
)

__all__ = ["translate"]

_TOO_LARGE = ("parser stack overflow", "Expression tree is too large", "too many arguments")


def translate(error: Exception, location: str, *, committing: bool = False) -> MetastoreError:
    """The error of ours that says what SQLite's says; `committing`: of a COMMIT.

    By its text: the numeric code is there from Python 3.11 on only.  SQLite's texts are fixed
    strings (sqlite3ErrStr in its source) and hold no values.
    """
    text = str(error)
    offender = Offender("store", name=location)
    if isinstance(error, UnicodeEncodeError | OverflowError) or "too big" in text:
        return InvalidError(
            f"a value cannot be stored in {location} ({type(error).__name__})", offender=offender
        )
    if text.startswith(_TOO_LARGE):
        return InvalidError(
            f"the question is too large for SQLite ({text})",
            hint="ask with a simpler filter, or for less at once",
            offender=offender,
        )
    if "locked" in text or "busy" in text:
        return BusyError(
            f"{location} stayed locked by others",
            hint="try again, or wait longer with ?busy_timeout=SECONDS in its URL",
            offender=offender,
        )
    if "readonly" in text:
        return ReadOnlyError(
            f"{location} may only be read",
            hint="check the permissions of the file and its folder",
            offender=offender,
        )
    if "disk is full" in text:
        return StorageError(
            f"there is no room on the disk for {location}; nothing was written",
            hint="make room, and try again",
            offender=offender,
        )
    if committing and "I/O" in text:
        # All of it may be in the log, or the journal gone, and only the sync behind it have failed:
        # whoever opens the file after this process has died finds the batch.
        return OutcomeUnknownError(
            f"the disk failed while {location} was committed ({text}): the batch is written whole, "
            "or not at all",
            hint="check the disk, and look whether it is there before you write it again",
            offender=offender,
        )
    if "not a database" in text:
        return NotAStoreError(
            f"{location} is no SQLite database", hint="correct the path", offender=offender
        )
    if "malformed" in text:
        return StorageError(
            f"{location} is damaged",
            hint="restore it from a copy, or save what is left with the sqlite3 command's .recover",
            offender=offender,
        )
    if "unable to open" in text:
        return OpenError(
            f"{location} cannot be opened",
            hint="check the permissions of the file and its folder",
            offender=offender,
        )
    if isinstance(error, sqlite3.IntegrityError):
        return AlreadyExistsError(
            f"a name or an external id is taken in {location}",
            hint="another program may have written it just now; try again",
            offender=offender,
        )
    return StorageError(
        f"SQLite failed on {location} ({text})",
        hint="check the disk and the file's permissions",
        offender=offender,
    )
