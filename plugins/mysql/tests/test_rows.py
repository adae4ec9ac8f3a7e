"""Rows that are taken apart by us are those that the driver reads."""

from __future__ import annotations

import random
import string
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pymysql
import pytest

from metastore_flavor_mysql._connection import Connection

from .servers import Server

LENGTHS = (0, 1, 250, 251, 252, 255, 256, 4_000, 8_190, 65_535, 65_536, 70_000)
"""Where a length takes another byte, and where a row is longer than a reader's buffer."""


def _both(server: Server, statement: str, parameters: Any = ()) -> tuple[Any, Any]:
    answers = []
    for kind in (Connection, pymysql.connections.Connection):
        with closing(server.connect(kind=kind)) as connection, connection.cursor() as cursor:
            cursor.execute(statement, parameters)
            answers.append((cursor.fetchall(), cursor.rowcount, cursor.description))
    return answers[0], answers[1]


@contextmanager
def _ours(server: Server, **arguments: Any) -> Iterator[Any]:
    connection = server.connect(kind=Connection, database="mysql", **arguments)
    with closing(connection), connection.cursor() as cursor:
        yield cursor


def test_rows_of_every_type_are_those_of_the_driver(mariadb: Server) -> None:
    """Numbers, texts, bytes, times, decimals and NULLs come as the driver reads them."""
    chance = random.Random(1)
    rows = []
    for number in range(700):
        length = LENGTHS[number % len(LENGTHS)] if number % 7 == 0 else chance.randrange(300)
        text = "".join(chance.choices(string.ascii_letters + "äß€😀'\\\n\0", k=length))
        rows.append(
            (
                chance.choice((None, 0, -1, 2**63 - 1, -(2**63), number)),
                chance.choice((None, 0.1, -0.0, 1e300, 5e-324, chance.random())),
                chance.choice((None, "", text)),
                chance.choice((None, b"", text.encode(), bytes(range(256)))),
            )
        )
    with closing(mariadb.connect()) as connection, connection.cursor() as cursor:
        database = mariadb.new_database()
        cursor.execute(
            f"CREATE TABLE {database}.of_rows (i BIGINT, d DOUBLE, t MEDIUMTEXT CHARACTER SET "
            "utf8mb4, b MEDIUMBLOB, at DATETIME DEFAULT '2026-01-02 03:04:05', "
            "many DECIMAL(20, 3) DEFAULT 1.250)"
        )
        cursor.executemany(
            f"INSERT INTO {database}.of_rows (i, d, t, b) VALUES (%s, %s, %s, %s)", rows
        )
        connection.commit()
    ours, theirs = _both(mariadb, f"SELECT * FROM {database}.of_rows")
    assert len(ours[0]) == len(rows)
    assert ours == theirs


@pytest.mark.parametrize("count", [0, 1, 2, 300])
def test_answers_of_any_length_are_whole(mariadb: Server, count: int) -> None:
    """However many rows there are, the next statement finds the connection where it should be."""
    statement = f"SELECT seq, REPEAT('x', seq) FROM seq_1_to_1000 LIMIT {count}"
    with (
        closing(mariadb.connect(kind=Connection, database="mysql")) as connection,
        connection.cursor() as cursor,
    ):
        for _ in range(3):
            cursor.execute(statement)
            found = cursor.fetchall()
            assert [len(text) for _, text in found] == [number for number, _ in found]
            assert len(found) == count
        cursor.execute("SELECT 1")
        assert cursor.fetchall() == ((1,),)


def test_a_row_of_several_packets_is_whole(mariadb: Server) -> None:
    """A row beyond 16 MB, which comes as several packets, is one row; so are its neighbours."""
    length = 17 * 2**20
    with (
        closing(mariadb.connect(kind=Connection, database="mysql")) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("SET GLOBAL max_allowed_packet = 67108864")
    with _ours(mariadb, max_allowed_packet=2**26) as cursor:
        cursor.execute(f"SELECT 'a' UNION ALL SELECT REPEAT('x', {length}) UNION ALL SELECT 'b'")
        assert [len(text) for (text,) in cursor.fetchall()] == [1, length, 1]


def test_an_error_in_the_middle_of_rows_is_raised(mariadb: Server) -> None:
    """What the server refuses behind some rows is an error, and the connection goes on."""
    statement = (
        "SELECT seq, (SELECT seq FROM seq_1_to_2 WHERE seq <= IF(a.seq < 900, 1, 2)) "
        "FROM seq_1_to_1000 a"
    )
    with (
        closing(mariadb.connect(kind=Connection, database="mysql")) as connection,
        connection.cursor() as cursor,
    ):
        with pytest.raises(pymysql.MySQLError, match="more than 1 row"):
            cursor.execute(statement)
        cursor.execute("SELECT 1")
        assert cursor.fetchall() == ((1,),)
