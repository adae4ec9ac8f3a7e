"""The driver's connection, with less waiting."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pymysql
from pymysql.constants import COMMAND

from metastore_flavor_mysql._rows import CAN_READ, Result

if TYPE_CHECKING:

    class _Driver(pymysql.connections.Connection[Any]):
        def _execute_command(self, command: int, sql: str | bytes) -> None: ...
        def _read_ok_packet(self) -> Any: ...
        def _read_query_result(self, unbuffered: bool = False) -> Any: ...
else:
    _Driver = pymysql.connections.Connection

__all__ = ["Connection"]

_MOST_AHEAD = 16
"""Statements whose answers are still to be read: so short that they wait on the way."""


class Connection(_Driver):
    """A connection that can send statements whose answers nobody needs without waiting for each.

    They are statements by themselves, one packet each, of which the server does one after the
    other; only that the next is sent before the answer to the last was read.  Before anything
    is committed, all answers were read, and each of them was a good one.
    """

    increment = 1
    """From one id of a statement to the next, in this session."""
    _ahead = 0

    def escape(self, obj: Any, mapping: Any = None) -> Any:
        """The value as a literal; numbers and NULL, the most frequent ones, in a faster way."""
        if type(obj) is int:
            return str(obj)
        return "NULL" if obj is None else super().escape(obj, mapping)

    def send(self, statement: str) -> None:
        """Send a statement that answers with no rows, and do not wait for its answer.

        Its error is raised by whatever is asked next, or by `settle`.
        """
        if not _CAN_SEND:
            self.query(statement)
            return
        if self._ahead >= _MOST_AHEAD:
            self.settle()
        self._execute_command(COMMAND.COM_QUERY, statement)
        self._ahead += 1

    def settle(self) -> None:
        """Read all answers that are on their way; raises the first error among them."""
        failure: pymysql.MySQLError | None = None
        while self._ahead:
            self._ahead -= 1
            # As if it had been the only one.
            self._next_seq_id = 1
            try:
                self._read_ok_packet()
            except pymysql.MySQLError as error:
                failure = failure or error
                if not self.open:
                    self._ahead = 0
        if failure is not None:
            raise failure

    def query(self, sql: Any, unbuffered: bool = False) -> Any:
        """Run a statement, after those that were sent ahead of it."""
        self.settle()
        return super().query(sql, unbuffered)

    def _read_query_result(self, unbuffered: bool = False) -> Any:
        if unbuffered or not _CAN_READ:
            return super()._read_query_result(unbuffered)
        self._result = None
        result = Result(self)
        result.read()
        self._result = result
        if result.server_status is not None:
            self.server_status = result.server_status
        return result.affected_rows

    def commit(self) -> None:
        """Commit what all statements have done, those that were sent ahead included."""
        self.settle()
        super().commit()

    def rollback(self) -> None:
        """Roll back; what went wrong before does not matter any more."""
        try:
            self.settle()
        except pymysql.MySQLError:
            if not self.open:
                raise
        super().rollback()


# Of the driver's insides, without which it reads rows itself, and each answer is waited for.
_CAN_READ = CAN_READ and hasattr(_Driver, "_read_query_result")
_CAN_SEND = all(
    hasattr(_Driver, name) for name in ("_execute_command", "_read_ok_packet", "_write_bytes")
)
