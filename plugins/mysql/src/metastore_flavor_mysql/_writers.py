"""Turns of writers, and what became of a transaction whose COMMIT got no answer.

The table `metastore_writer` has a row for each connection that has written, and a first one for
all of them.  Whoever writes counts both up, in one statement: the first row is the lock, which on
Galera, where locks are one node's own, makes two transactions a conflict of which the cluster
refuses one.  The second says afterwards whether the transaction is written.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from metastore.sql import Session

__all__ = ["WRITERS", "Writer"]

WRITERS = "metastore_writer"
_TURN = (
    f"INSERT INTO {WRITERS} (id, transactions, time) VALUES (0, 1, %s), (%s, 1, %s) "  # noqa: S608
    "ON DUPLICATE KEY UPDATE transactions = transactions + 1, time = %s"
)
_FENCE = 2**40
"""More transactions than one connection ever has."""
_FENCED = (
    f"INSERT INTO {WRITERS} (id, transactions, time) VALUES (%s, {_FENCE}, %s) "  # noqa: S608
    f"ON DUPLICATE KEY UPDATE transactions = transactions + {_FENCE}"
)
_FOUND = f"SELECT transactions FROM {WRITERS} WHERE id = %s"  # noqa: S608
_OLD = f"DELETE FROM {WRITERS} WHERE time < %s AND id > 0 LIMIT 1000"  # noqa: S608
_KEPT = 7 * 24 * 3600 * 1000
"""Milliseconds for which a row is kept: much longer than anybody asks for it."""


class Writer:
    """A connection that writes."""

    def __init__(self) -> None:
        self._id = secrets.randbelow(2**62) + 1
        self._acknowledged = 0
        self._is_new = True

    @classmethod
    def of(cls, notes: dict[Any, Any]) -> Writer:
        """The writer of a connection, by what is noted of it."""
        found = notes.get(cls)
        if found is None:
            found = notes[cls] = cls()
        return found

    def take_turn(self, session: Session, returning: str = "") -> Sequence[Any]:
        """Wait until nobody else writes, and count the transaction that begins.

        `returning` are the words with which the same statement answers a row, once it is our turn.
        """
        now = time.time_ns() // 1_000_000
        session.execute(f"{_TURN} {returning}", (now, self._id, now, now))
        rows = session.cursor.fetchall() if returning else [()]
        if self._is_new:
            session.execute(_OLD, (now - _KEPT,))
        return rows[-1]

    def acknowledged(self) -> None:
        """The transaction is written."""
        self._acknowledged += 1
        self._is_new = False

    def was_committed(self, session: Session) -> bool:
        """Whether the one transaction is written that was begun and not acknowledged.

        Waits for it to end, and counts on far ahead: should it still be on its way through a
        cluster, it is in conflict with this, and refused.
        """
        now = time.time_ns() // 1_000_000
        session.execute(_FENCED, (self._id, now))
        session.execute(_FOUND, (self._id,))
        ((transactions,),) = session.cursor.fetchall()
        return bool(transactions % _FENCE > self._acknowledged)
