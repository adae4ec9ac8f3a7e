"""Errors of MySQL, MariaDB and the driver as ours, by their numbers.

Numbers: dev.mysql.com/doc/mysql-errors/8.4/en/ and mariadb.com/kb/en/mariadb-error-codes/.  The
texts hold values and statements, so that none of them is shown, but for the names of rights.
"""

from __future__ import annotations

import re
import ssl
from typing import NamedTuple

import pymysql

from metastore import (
    AlreadyExistsError,
    BusyError,
    InvalidError,
    MetastoreError,
    Offender,
    OpenError,
    ReadOnlyError,
    StorageError,
    StoreNotFoundError,
)

__all__ = [
    "TAKEN",
    "code_of",
    "is_lost",
    "is_reader",
    "is_rolled_back",
    "is_unready",
    "translate",
    "unreachable",
]

TAKEN = 1062
"""A row with this key is there."""

_ROLLED_BACK = frozenset({1020, 1205, 1213, 1614})
"""Record changed, lock wait timeout, deadlock (of Galera: certification), deadlock of XA."""

_READER = frozenset({1290, 1792, 1836})
"""A server that only reads."""

_UNREADY = _READER | {1040, 1047, 1053, 1203}
"""A node that is out of its cluster, a server that only reads, one that stops or is full."""

_LOST = frozenset(
    {
        0,  # the driver's: this connection is closed
        1047,  # a node that is out of its cluster
        1053,  # server shutdown in progress
        1080,  # forced close
        1152,  # aborted connection
        1158, 1159, 1160, 1161,  # network errors
        1184,  # new aborting connection
        1317,  # query interrupted: by KILL
        1927,  # connection was killed
        2002, 2003, 2006, 2013, 2014, 2026, 2027, 2055,
        3169,  # session was killed
        4031,  # the client was inactive for too long
    }
)  # fmt: skip


class _Case(NamedTuple):
    codes: frozenset[int]
    error: type[MetastoreError]
    message: str
    hint: str


_CASES = (
    _Case(
        _ROLLED_BACK | {1040, 1203, 1206, 1226, 3572},
        BusyError,
        "{location} stayed locked by others, or its server had no connection free",
        "try again, or wait longer with ?busy_timeout=SECONDS in its URL",
    ),
    _Case(
        _READER,
        ReadOnlyError,
        "the server of {location} only reads: it is a replica, or was set to",
        "name the server that writes, or open the store for reading",
    ),
    _Case(
        frozenset({1264, 1265, 1292, 1366, 1406, 1690, 1713, 3140, 1118, 1300, 1301}),
        InvalidError,
        "a value is more than the columns of {location} take",
        "shorten it; metadata stores that ML Metadata made take numbers of 32 bits",
    ),
    _Case(
        frozenset({1969, 3024}),
        StorageError,
        "the server of {location} stopped a statement that took longer than it allows; nothing was "
        "written",
        "ask for less at once, or raise its max_statement_time or max_execution_time",
    ),
    _Case(
        frozenset({1364, 1451, 1452, 1644, 3819, 4025}),
        StorageError,
        "a constraint, a trigger or a column that somebody added to {location} refused it; nothing "
        "was written",
        "take it away, or keep to it",
    ),
    _Case(
        frozenset({3159}),
        OpenError,
        "the server of {location} wants encrypted connections",
        "leave ?tls=false out, or give ?tls_ca=FILE",
    ),
    _Case(
        frozenset({3750}),
        OpenError,
        "the server of {location} demands a primary key of every table, and EventPath, of ML "
        "Metadata's schema, has none",
        "turn sql_require_primary_key off",
    ),
    _Case(
        frozenset({1153}),
        InvalidError,
        "the question, or a value, is longer than the server of {location} takes",
        "ask for less at once, or raise its max_allowed_packet",
    ),
    _Case(
        frozenset({1021, 1041, 1037, 1114, 1534, 3675}),
        StorageError,
        "the server of {location} has no room; nothing was written",
        "make room, and try again",
    ),
    _Case(
        frozenset({1146, 1054, 1932}),
        StorageError,
        "a table or column of {location} is not there any more",
        "restore the store from a copy",
    ),
)


def code_of(error: BaseException) -> int | None:
    """The number of an error; None where it has none."""
    if isinstance(error, pymysql.MySQLError) and error.args and isinstance(error.args[0], int):
        return error.args[0]
    # "Already closed" has no number.
    return 0 if isinstance(error, pymysql.InterfaceError) or type(error) is pymysql.Error else None


def is_lost(error: BaseException) -> bool:
    """Whether the connection can be used no more."""
    if isinstance(error, OSError | pymysql.InternalError) and code_of(error) is None:
        return True
    return code_of(error) in _LOST


def is_rolled_back(error: BaseException) -> bool:
    """Whether the transaction surely did not happen, whatever came afterwards."""
    return code_of(error) in _ROLLED_BACK


def is_unready(error: BaseException) -> bool:
    """Whether another host of the same cluster may do better."""
    return code_of(error) in _UNREADY | _LOST


def is_reader(error: BaseException) -> bool:
    """Whether the server only reads."""
    return code_of(error) in _READER


def translate(error: BaseException, location: str) -> MetastoreError:
    """The error of ours; to be raised without the driver's text."""
    offender = Offender("store", name=location)
    code = code_of(error)
    denied = _denied(error, code, location)
    if denied is not None:
        return denied
    for case in _CASES:
        if code in case.codes:
            return case.error(
                case.message.format(location=location), hint=case.hint, offender=offender
            )
    if code == TAKEN:
        return AlreadyExistsError(
            f"a name or an external id is taken in {location}",
            hint="another program may have written it just now; or it differs from one that is "
            "there in what the database takes for equal, such as capital letters",
            offender=offender,
        )
    if isinstance(error, UnicodeError | OverflowError | pymysql.DataError):
        return InvalidError(f"a value cannot be stored in {location}", offender=offender)
    what = type(error).__name__ if code is None else f"error {code}"
    return StorageError(
        f"the server of {location} failed ({what})",
        hint="its log may say more",
        offender=offender,
    )


def _denied(error: BaseException, code: int | None, location: str) -> MetastoreError | None:
    offender = Offender("store", name=location)
    if code in (1045, 1698, 2059, 1251, 1524, 1130, 1129):
        return _no_login(code, location)
    if code == 1044:
        return OpenError(
            f"the user of {location} has no right to the database, or there is none of that name",
            hint="correct the URL, or grant the user SELECT, INSERT, UPDATE and DELETE on it",
            offender=offender,
        )
    if code == 1049:
        return StoreNotFoundError(
            f"{location} names a database that is not there",
            hint="correct the URL, create the database, or add ?create_database=true",
            offender=offender,
        )
    if code in (1142, 1143, 1227, 1370):
        # "INSERT command denied to user ... for table ...", "INSERT, SELECT command denied ...".
        right = re.match(r"([A-Z, ]{3,60}) command denied", str(error.args[-1]))
        what = right[1] if right else "a right"
        return ReadOnlyError(
            f"the user of {location} lacks {what}",
            hint="grant the user SELECT, INSERT, UPDATE and DELETE on the database; CREATE to make "
            "a store; SELECT alone reads",
            offender=offender,
        )
    return None


def _no_login(code: int | None, location: str) -> OpenError:
    offender = Offender("store", name=location)
    if code in (1129, 1130):
        return OpenError(
            f"the server of {location} does not let this machine in",
            hint="let the user log in from here, or unblock the host (FLUSH HOSTS)",
            offender=offender,
        )
    if code in (1251, 1524, 2059):
        return OpenError(
            f"the server of {location} wants a way to log in that the driver does not know",
            hint="let the user log in by a password (caching_sha2_password, ed25519 with PyNaCl, "
            "mysql_native_password)",
            offender=offender,
        )
    return OpenError(
        f"the server of {location} refused user or password, or asks for an encrypted connection",
        hint="correct user and password (?password=env:VARIABLE); if the user must use TLS, add "
        "?tls_ca=FILE, and tls_cert and tls_key where it must have a certificate",
        offender=offender,
    )


def unreachable(
    error: BaseException, location: str, host: str, kind: type[MetastoreError]
) -> MetastoreError:
    """What to say of a host that no connection could be made to, as an error of this class."""
    offender = Offender("store", name=location)
    cause = getattr(error, "original_exception", None)
    if isinstance(cause, ssl.SSLCertVerificationError):
        message, hint = _certificate(cause, location, host)
    elif isinstance(cause, ssl.SSLError) or code_of(error) == 2026:
        if "doesn't support" in str(error):
            message = f"TLS was asked for, and the server {host} of {location} has none"
            hint = "set up TLS on the server, or leave the tls settings out"
        else:
            message = f"no encrypted connection to the server {host} of {location} came about"
            hint = "check tls_cert and tls_key, which the server's CA must have signed"
    else:
        reason = getattr(cause, "strerror", None)
        if isinstance(cause, TimeoutError):
            reason = "no answer in time"
        message = f"the server {host} of {location} cannot be reached"
        message += f" ({reason})" if isinstance(reason, str) else ""
        hint = "check host and port, and whether it runs"
    return kind(message, hint=hint, offender=offender)


def _certificate(error: ssl.SSLCertVerificationError, location: str, host: str) -> tuple[str, str]:
    of = f"the certificate of the server {host} of {location}"
    # X509_V_ERR_...: openssl's x509_vfy.h.
    if error.verify_code in (62, 64):
        return (
            f"{of} is for another name",
            "use the name in the certificate as the host, or ?tls_verify=ca if you know the server",
        )
    if error.verify_code == 10:
        return f"{of} has expired", "renew it on the server"
    if error.verify_code == 9:
        return f"{of} is not valid yet", "check the clocks of both machines"
    return f"{of} is of a CA that is not trusted", "give the CA's file with ?tls_ca=FILE"
