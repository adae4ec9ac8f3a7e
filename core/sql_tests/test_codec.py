"""Property values as rows."""

from __future__ import annotations

from metastore.model import NodeKind, Value
from metastore.sql import Schema
from metastore.sql.codec import in_one_group, property_rows


def test_rows_of_all_kinds_name_their_columns_as_an_insert_does() -> None:
    """Values of all kinds in one group fill their own columns, in the order of the table."""
    values: dict[str, Value] = {
        "i": 1,
        "d": 0.5,
        "z": -0.0,
        "s": "text",
        "b": True,
        "m": "mlmd-struct::",
    }
    ((columns, rows),) = in_one_group(property_rows([(7, values, {"n": 2})])).items()
    table = [each.name for each in Schema().properties[NodeKind.ARTIFACT].c]
    assert list(columns) == [name for name in table if name in columns]
    cells = {row[1]: dict(zip(columns, row[3:], strict=True)) for row in rows}
    filled = {
        key: {column: value for column, value in row.items() if value is not None}
        for key, row in cells.items()
    }
    assert filled == {
        "i": {"int_value": 1},
        "n": {"int_value": 2},
        "d": {"double_value": 0.5},
        "z": {"double_value": 0.0, "byte_value": b"-0.0"},
        "s": {"string_value": "text"},
        "m": {"string_value": "mlmd-struct::", "byte_value": b"text"},
        "b": {"bool_value": 1},
    }
