"""The exceptions: a tree that is as drawn, catchable by builtins, and travels between processes."""

from __future__ import annotations

import copy
import inspect
import pickle
import re
from typing import Any

import pytest

from metastore import errors
from metastore.errors import MetastoreError, Offender, ReadOnlyError, SchemaVersionError

CLASSES = [
    each
    for _, each in inspect.getmembers(errors, inspect.isclass)
    if issubclass(each, MetastoreError)
]
EACH = pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)


def _drawn() -> dict[str, tuple[str | None, str | None]]:
    """The tree in the docstring: class -> base of ours, builtin."""
    assert errors.__doc__
    drawn: dict[str, tuple[str | None, str | None]] = {}
    path: list[tuple[int, str]] = []
    for line in errors.__doc__.splitlines():
        found = re.match(r"^    ([│├└─ ]*)(\w+Error)\b(?: +\((\w+)\))?", line)
        if not found:
            continue
        depth = len(found[1])
        while path and path[-1][0] >= depth:
            path.pop()
        drawn[found[2]] = (path[-1][1] if path else None, found[3])
        path.append((depth, found[2]))
    return drawn


def test_the_tree_is_as_drawn() -> None:
    """The docstring draws every class, below the base and beside the builtin that it has."""
    real: dict[str, tuple[str | None, str | None]] = {}
    for cls in CLASSES:
        ours = [base.__name__ for base in cls.__bases__ if issubclass(base, MetastoreError)]
        # Beside a first base of ours a builtin, or a second one of ours.
        others = [base.__name__ for base in cls.__bases__ if base.__name__ != (ours or [""])[0]]
        builtin = others[0] if others and others != ["Exception"] else None
        real[cls.__name__] = (ours[0] if ours else None, builtin)
    assert _drawn() == real


def test_the_drawing_says_something() -> None:
    """The tree that is compared is no empty one."""
    drawn = _drawn()
    assert len(drawn) == len(CLASSES) > 15
    assert drawn["MetastoreError"] == (None, None)
    assert drawn["NotFoundError"] == ("MetastoreError", "LookupError")
    assert drawn["DamagedStoreError"] == ("OpenError", None)
    assert drawn["FlavorNotFoundError"] == ("FlavorError", "LookupError")


def test_all_is_exported() -> None:
    """`__all__` is what is there, sorted."""
    assert errors.__all__ == sorted([*(cls.__name__ for cls in CLASSES), "Offender"])


@EACH
def test_every_error_is_caught_by_root_and_builtin(cls: type[MetastoreError]) -> None:
    """Every class but the root derives from a builtin that says more than Exception."""
    with pytest.raises(MetastoreError):
        raise cls("message")
    if cls is not MetastoreError:
        builtins = {
            base for base in cls.__mro__ if base.__module__ == "builtins" and base is not object
        }
        assert builtins - {BaseException, Exception}


@EACH
def test_texts(cls: type[MetastoreError]) -> None:
    """The text is the message, with the hint behind it where there is one."""
    assert str(cls("it broke")) == "it broke"
    error = cls("it broke", hint="mend it")
    assert str(error) == "it broke; mend it"
    assert (error.message, error.hint, error.offender) == ("it broke", "mend it", None)
    assert str(cls("")) == ""


@EACH
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickling(cls: type[MetastoreError], protocol: int) -> None:
    """An error comes through pickle, as from a worker process, with all its attributes."""
    offender = Offender("artifact", 3, 7, "n", "p")
    error = cls("it broke", hint="mend it", offender=offender)
    for again in (pickle.loads(pickle.dumps(error, protocol)), copy.copy(error)):
        assert type(again) is cls
        assert str(again) == str(error)
        assert (again.message, again.hint, again.offender) == ("it broke", "mend it", offender)


def test_schema_versions_are_kept() -> None:
    """A SchemaVersionError says which version was found and which is supported."""
    error = SchemaVersionError("newer", found=11, supported=10)
    again = pickle.loads(pickle.dumps(error))
    assert (again.found, again.supported) == (error.found, error.supported) == (11, 10)


def test_errors_of_the_system_have_no_number() -> None:
    """A class that derives from OSError is no error of errno: it compares and prints like ours."""
    error = ReadOnlyError("no", hint="yes")
    assert error.errno is None
    assert repr(error) == "ReadOnlyError('no')"


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({}, "input"),
        ({"kind": "store", "name": "x"}, "store 'x'"),
        ({"kind": "event", "index": 0}, "event at position 0 of the batch"),
        (
            {"kind": "artifact", "index": 2, "id": 5, "name": "n", "property": "p"},
            "artifact 'n' (id 5) at position 2 of the batch",
        ),
    ],
)
def test_offenders(fields: dict[str, Any], text: str) -> None:
    """An offender reads as what it is, which, and where."""
    assert str(Offender(**fields)) == text
