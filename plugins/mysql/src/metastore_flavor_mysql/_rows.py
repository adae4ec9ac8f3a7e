"""Rows of an answer, taken apart in a third of the driver's time.

PyMySQL makes an object of every packet and calls two methods for every field; to read a thousand
nodes with their properties, most of the time was that.  The protocol: dev.mysql.com/doc/dev/
mysql-server/latest/page_protocol_com_query_response_text_resultset.html; a row is a packet of
length-encoded texts, and NULL is the byte 0xfb.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pymysql.connections import MySQLResult

if TYPE_CHECKING:

    class _Result(MySQLResult):
        connection: Any
        converters: list[tuple[str | None, Callable[[Any], Any] | None]]
        rows: tuple[tuple[Any, ...], ...]
        affected_rows: int

        def _check_packet_is_eof(self, packet: Any) -> bool: ...
else:
    _Result = MySQLResult

__all__ = ["CAN_READ", "Result"]

_NULL, _TWO, _THREE, _EIGHT = 0xFB, 0xFC, 0xFD, 0xFE
_WIDTHS = {_TWO: 2, _THREE: 3, _EIGHT: 8}


class Result(_Result):
    """An answer whose rows are read in one loop; all else is the driver's."""

    def _read_rowdata_packet(self) -> None:
        connection = self.connection
        converters = [_converter(*each) for each in self.converters]
        rows: list[tuple[Any, ...]] = []
        while True:
            packet = connection._read_packet()
            data: bytes = packet._data
            # A row may begin with this byte, too, but is longer then.
            if data[0] == _EIGHT and self._check_packet_is_eof(packet):
                break
            rows.append(_row(data, 0, converters))
            _take_arrived(connection, converters, rows)
        self.connection = None
        self.affected_rows = len(rows)
        self.rows = tuple(rows)


def _take_arrived(
    connection: Any, converters: list[Callable[[bytes], Any] | None], rows: list[tuple[Any, ...]]
) -> None:
    """Take the rows that are whole in the reader's buffer; whatever else is there is left."""
    try:
        arrived: bytes = connection._rfile.peek()
    except OSError:
        return  # who reads next meets it, too, and says what it means
    number, at = connection._next_seq_id, 0
    while at + 5 <= len(arrived):
        end = at + 4 + int.from_bytes(arrived[at : at + 3], "little")
        # The last packet of an answer, or an error, or out of order.
        if end > len(arrived) or arrived[at + 4] >= _EIGHT or arrived[at + 3] != number:
            break
        rows.append(_row(arrived, at + 4, converters))
        number, at = (number + 1) % 256, end
    if at:
        connection._rfile.read(at)
        connection._next_seq_id = number


def _row(data: bytes, at: int, converters: list[Callable[[bytes], Any] | None]) -> tuple[Any, ...]:
    row: list[Any] = []
    for convert in converters:
        length = data[at]
        at += 1
        if length == _NULL:
            row.append(None)
            continue
        if length > _NULL:
            width = _WIDTHS[length]
            length = int.from_bytes(data[at : at + width], "little")
            at += width
        value = data[at : at + length]
        at += length
        row.append(value if convert is None else convert(value))
    return tuple(row)


def _converter(
    encoding: str | None, convert: Callable[[Any], Any] | None
) -> Callable[[bytes], Any] | None:
    """From the bytes of a field to its value, as the driver would."""
    if encoding is None:
        return convert
    if convert is int or convert is float:
        # They take bytes as they take text.
        return convert
    if convert is None:
        return lambda data: data.decode(encoding)
    return lambda data: convert(data.decode(encoding))


# Of the driver's insides.
CAN_READ = all(
    hasattr(MySQLResult, name)
    for name in ("_read_rowdata_packet", "_check_packet_is_eof", "_get_descriptions")
)
