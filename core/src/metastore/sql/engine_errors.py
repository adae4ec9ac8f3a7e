"""Errors of any driver as ours, without what they may tell of values and passwords.

By SQLSTATE where the driver has it (PostgreSQL's and others'), else by DB-API class and by words
that databases have in common.
"""

from __future__ import annotations

from typing import NamedTuple, NoReturn

from sqlalchemy.engine import Dialect
from sqlalchemy.exc import DBAPIError, TimeoutError

from metastore.errors import (
    AlreadyExistsError,
    BusyError,
    InvalidError,
    MetastoreError,
    NotAStoreError,
    Offender,
    ReadOnlyError,
    StorageError,
)

__all__ = ["LostConnectionError", "Secrets", "clean", "driver_error", "raise_cleanly", "translate"]

Secrets = tuple[str, ...]
"""Texts that no message may hold."""


class LostConnectionError(StorageError):
    """The connection was refused, or broke before anything was committed: nothing was written."""


class _Case(NamedTuple):
    """Errors that mean the same: by the beginning of their SQLSTATE, or by words in their text."""

    states: tuple[str, ...]
    words: tuple[str, ...]
    error: type[MetastoreError]
    message: str
    hint: str


# The first that fits counts.  SQLSTATE: postgresql.org/docs/current/errcodes-appendix.html.
_CASES = (
    _Case(
        # Serialization failure and deadlock; lock not available; too many connections.
        ("40", "55P03", "53300"),
        ("locked", "lock wait timeout", "deadlock", "could not serialize", "too many connections"),
        BusyError,
        "{location} stayed locked by others, or was too busy",
        "try again",
    ),
    _Case(
        ("42501", "25006"),
        ("permission denied", "command denied", "access denied", "readonly", "read-only"),
        ReadOnlyError,
        "{location} may only be read by this user, or not even that",
        "check the user's rights",
    ),
    _Case(
        ("22", "54"),
        ("too big", "too long", "too large", "exceeds"),
        InvalidError,
        "a value, or the question, is more than the database of {location} takes",
        "shorten it; names, external ids and keys have the shortest limit",
    ),
    _Case(
        ("53100",),
        ("disk is full", "no space left"),
        StorageError,
        "there is no room on the disk for {location}; nothing was written",
        "make room, and try again",
    ),
    _Case(
        (),
        ("not a database",),
        NotAStoreError,
        "{location} is no database of this kind",
        "correct the path",
    ),
)


def driver_error(error: BaseException) -> BaseException:
    """The driver's error inside of SQLAlchemy's."""
    return error.orig if isinstance(error, DBAPIError) and error.orig is not None else error


def translate(error: BaseException, dialect: Dialect, location: str) -> MetastoreError:
    """The error of ours that says what the driver's says; to be raised from what `clean` gives."""
    error = driver_error(error)
    offender = Offender("store", name=location)
    if isinstance(error, TimeoutError):  # of the pool
        return BusyError(f"all connections to {location} are in use", offender=offender)
    if isinstance(error, UnicodeError | OverflowError):
        return InvalidError(
            f"a value cannot be stored in {location} ({type(error).__name__})", offender=offender
        )
    state = sqlstate(error)
    text = "" if state else _first_line(str(error)).lower()
    for case in _CASES:
        if state.startswith(case.states) if state else any(each in text for each in case.words):
            message = case.message.format(location=location)
            return case.error(message, hint=case.hint, offender=offender)
    dbapi = dialect.loaded_dbapi
    if isinstance(error, dbapi.DataError):
        return InvalidError(f"a value cannot be stored in {location}", offender=offender)
    if isinstance(error, dbapi.IntegrityError):
        return AlreadyExistsError(
            f"a name or an external id is taken in {location}",
            hint="another program may have written it just now; try again",
            offender=offender,
        )
    name = f"{type(error).__name__}, SQLSTATE {state}" if state else type(error).__name__
    return StorageError(
        f"the database of {location} failed ({name})",
        hint="the error's cause, and the database's log, may say more",
        offender=offender,
    )


def sqlstate(error: BaseException) -> str:
    """The SQLSTATE that the driver gives, or an empty text."""
    for name in ("sqlstate", "pgcode"):
        state = getattr(error, name, None)
        if isinstance(state, str):
            return state
    return ""


def clean(error: BaseException, secrets: Secrets = ()) -> Exception | None:
    """An error of the driver's class that can be shown; None where there is none.

    Only the first line is kept: the others hold rows and parameters (PostgreSQL's DETAIL and
    CONTEXT).  So is the traceback left behind, in whose variables the driver keeps both, and the
    password.  An error about a value has no line that is surely without it.
    """
    error = driver_error(error)
    if isinstance(error, UnicodeError | OverflowError) or not isinstance(error, Exception):
        return None
    # No class 22, and no DataError of drivers without states: their subject is a value.
    names = {each.__name__ for each in type(error).__mro__}
    if "DataError" in names or sqlstate(error).startswith("22"):
        return None
    arguments = [_first_line(each) if isinstance(each, str) else each for each in error.args]
    if not all(isinstance(each, str | int) for each in arguments):
        return None
    if any(secret and secret in str(each) for secret in secrets for each in arguments):
        return None
    try:
        return type(error)(*arguments)
    except Exception:  # noqa: BLE001 - a class of the driver's, whatever it wants
        return None


def raise_cleanly(error: MetastoreError, cause: Exception | None) -> NoReturn:
    """Raise `error` from `cause`, and forget what else was raised before it.

    The driver's own error would hang on it as its context, with all of its text and variables.
    """
    try:
        raise error from cause
    finally:
        error.__context__ = None


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0]
