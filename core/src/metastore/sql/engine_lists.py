"""Lists of any length in one parameter, as JSON; and texts compared exactly: what to ask for it.

Databases open a JSON array in different words, of which `find_form` takes the first that works.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Integer,
    String,
    Text,
    bindparam,
    column,
    false,
    text,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.sql.expression import TextualSelect

from metastore.errors import BusyError, MetastoreError, Offender, OpenError
from metastore.sql.engine_errors import LostConnectionError
from metastore.sql.schema import Schema

if TYPE_CHECKING:
    from metastore.sql.database import Session

__all__ = ["bind_list", "find_form", "in_list", "inexact_columns", "is_storable", "list_shape"]

# {name} is the parameter, {type} what its elements become; the standard's words, and two
# databases' own.
_FORMS = (
    "SELECT value FROM json_each(:{name})",
    "SELECT CAST(value AS {type}) FROM json_array_elements_text(CAST(:{name} AS json)) AS {name}_l",
    "SELECT element FROM JSON_TABLE(:{name}, '$[*]' COLUMNS (element {type} PATH '$')) AS {name}_l",
    "SELECT element FROM OPENJSON(:{name}) WITH (element {type} '$')",
)

_INTEGERS, _TEXTS, _NONE = "integers", "texts", "none"
_SMALLEST, _LARGEST = -(2**63), 2**63 - 1


def is_storable(value: str) -> bool:
    """Whether a text can be in a column at all: databases take no NUL and no half characters."""
    return "\0" not in value and (value.isascii() or value.isprintable() or _is_unicode(value))


def _is_unicode(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def list_shape(values: Collection[Any]) -> str:
    """``"integers"``, ``"texts"``, or ``"none"`` for a list without either."""
    for value in values:
        if isinstance(value, int):
            return _INTEGERS
        if isinstance(value, str):
            return _TEXTS
    return _NONE


def bind_list(values: Collection[Any], shape: str) -> str:
    """The list as JSON; without what no stored value is equal to."""
    if shape == _INTEGERS:
        return json.dumps(
            [
                int(each)
                for each in values
                if isinstance(each, int) and _SMALLEST <= each <= _LARGEST
            ]
        )
    return json.dumps(
        [each for each in values if isinstance(each, str) and is_storable(each)],
        ensure_ascii=False,
    )


def in_list(
    column: ColumnElement[Any], name: str, shape: str, form: str, dialect: Dialect
) -> ColumnElement[bool]:
    """``column IN (the list that is bound to `name`)``."""
    if shape == _NONE or isinstance(column.type, Integer) != (shape == _INTEGERS):
        return false()
    return column.in_(_elements(name, shape, form, dialect))


def _elements(name: str, shape: str, form: str, dialect: Dialect) -> TextualSelect:
    type = BigInteger() if shape == _INTEGERS else Text()
    words = form.format(name=name, type=dialect.type_compiler_instance.process(type))
    return text(words).bindparams(bindparam(name, type_=String())).columns(column("element"))


_SAMPLES = (
    (_INTEGERS, [1, -3, 2**53 + 1, 2**63 - 1]),
    (_TEXTS, ["a", "", 'é"\\', "a ", "123"]),
)


def find_form(
    dialect: Dialect,
    session: Callable[[], AbstractContextManager[Session]],
    location: str,
) -> str:
    """The words that open a JSON array in this database.

    Raises
    ------
    OpenError
        It has none that we know.
    """
    for form in _FORMS:
        try:
            # A session of its own: some databases answer nothing more after an error.
            with session() as asked:
                if all(_opens(asked, form, shape, sample, dialect) for shape, sample in _SAMPLES):
                    return form
        except (OpenError, BusyError, LostConnectionError):
            raise
        except MetastoreError:
            continue
    raise OpenError(
        f"the database of {location} cannot open a JSON array, which questions come in",
        hint="use a newer release of it, or override `in_list` and `bind_list` of EngineDatabase",
        offender=Offender("store", name=location),
    )


def _opens(session: Session, form: str, shape: str, sample: list[Any], dialect: Dialect) -> bool:
    from metastore.sql.database import Statement

    statement = Statement(_elements("sample", shape, form, dialect), dialect)
    rows = session.rows(statement, sample=bind_list(sample, shape))
    return [value for (value,) in rows] == sample


def inexact_columns(session: Session, schema: Schema, dialect: Dialect) -> list[str]:
    """The columns in which the database takes different texts for equal: "a" for "A", and so on.

    The texts are put behind the column's own rows, of which none is taken, so that they are
    compared as the column is, and nothing needs to be written.  As text: SQLAlchemy's own building
    of these takes longer than the database does.
    """
    quote = dialect.identifier_preparer
    compared = [
        each
        for table in schema.metadata.sorted_tables
        for each in table.c
        if each.name in ("name", "version", "external_id", "uri")
    ]
    questions = [
        f"SELECT {number} FROM (SELECT {quote.format_column(each)} AS v"  # noqa: S608 - our names
        f" FROM {quote.format_table(each.table)} WHERE 1 = 0 UNION ALL SELECT 'a' UNION ALL"
        f" SELECT 'é') given{number} WHERE v IN ('A', 'a ', 'e')"
        for number, each in enumerate(compared)
    ]
    session.execute(" UNION ALL ".join(questions))
    return sorted({str(compared[number]) for (number,) in session.cursor.fetchall()})
