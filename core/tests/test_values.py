"""Which Python values a property can hold, what becomes of them, and when two are the same."""

from __future__ import annotations

import enum
import math
from collections import OrderedDict, UserDict
from decimal import Decimal
from fractions import Fraction
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metastore.model import PropertyKind, Proto
from metastore.testing import exact
from metastore.values import BadValueError, clean_text, clean_value, kind_of, same_value


class _Number(enum.IntEnum):
    SEVEN = 7


class _Word(str, enum.Enum):
    BIG = "big"


class _Float(float):
    __slots__ = ()


class _Scalar:
    """Looks like a scalar of an array library, without one being installed."""

    ndim = 0

    def __init__(self, held: Any) -> None:
        self.held = held

    def item(self) -> Any:
        return self.held


class _Array(_Scalar):
    """Looks like an array of one element, which is no scalar."""

    ndim = 1


class _Dimensionless:
    """Has no dimensions, and is no scalar all the same."""

    ndim = 0


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, 0),
        (2**63 - 1, 2**63 - 1),
        (-(2**63), -(2**63)),
        (True, True),
        (0.1 + 0.2, 0.1 + 0.2),
        (-0.0, -0.0),
        (5e-324, 5e-324),
        (math.inf, math.inf),
        ("", ""),
        ("a\0b", "a\0b"),
        ("🧪", "🧪"),
        ({}, {}),
        (Proto("t", b""), Proto("t", b"")),
        # Of other types: the plain kind.
        (_Number.SEVEN, 7),
        (_Word.BIG, "big"),
        (_Float(0.5), 0.5),
        (Fraction(1, 4), 0.25),
        (_Scalar(7), 7),
        (_Scalar(0.5), 0.5),
        (_Scalar(True), True),
        (_Scalar("text"), "text"),
        (Proto("t", bytearray(b"x")), Proto("t", b"x")),  # type: ignore[arg-type]
        (Proto("t", memoryview(b"x")), Proto("t", b"x")),  # type: ignore[arg-type]
        (OrderedDict(a="b"), {"a": "b"}),
        (MappingProxyType({"a": 1}), {"a": 1.0}),
        (UserDict({"a": ()}), {"a": []}),
        ({_Word.BIG: _Number.SEVEN}, {"big": 7.0}),
        ({"a": [1, True, None, "x", {"b": (2,)}]}, {"a": [1.0, True, None, "x", {"b": [2.0]}]}),
        ({"a": 2**53}, {"a": 2.0**53}),
        ({"a": _Scalar(True), "b": _Scalar(3)}, {"a": True, "b": 3.0}),
    ],
)
def test_clean_values(value: Any, expected: Any) -> None:
    """A value becomes one of the plain types, of the same kind and content."""
    cleaned = clean_value(value)
    assert exact(cleaned) == exact(expected)
    assert type(cleaned) is type(expected)
    assert kind_of(cleaned) in PropertyKind


@pytest.mark.parametrize("value", [0, 1.5, "text", True], ids=repr)
def test_plain_values_are_themselves(value: Any) -> None:
    """A plain value is handed back itself, so that nothing is copied for nothing."""
    assert clean_value(value) is value


@pytest.mark.parametrize(
    ("value", "word"),
    [
        (None, "no content"),
        (math.nan, "NaN"),
        (_Float(math.nan), "NaN"),
        (2**63, "64 bits"),
        (-(2**63) - 1, "64 bits"),
        (_Scalar(2**63), "64 bits"),
        (Fraction(10**400), "range of a double"),
        ("\ud800", "surrogate"),
        (b"x", "bytes"),
        ([1], "list"),
        ((1,), "tuple"),
        (1j, "complex"),
        (Decimal(1), "Decimal"),
        (_Scalar([1]), "_Scalar"),
        (_Scalar(None), "_Scalar"),
        (_Array(1), "_Array"),
        (_Dimensionless(), "_Dimensionless"),
        (Proto("", b""), "type_url"),
        (Proto("t", "x"), "bytes"),  # type: ignore[arg-type]
        (Proto(7, b""), "int"),  # type: ignore[arg-type]
        (Proto("\ud800", b""), "surrogate"),
        ({1: 2}, "key"),
        ({"a": {1: 2}}, "key"),
        ({"\ud800": 1}, "surrogate"),
        ({"a": {"\ud800": 1}}, "surrogate"),
        ({"a": b"x"}, "bytes"),
        ({"a": {1, 2}}, "set"),
        ({"a": [math.nan]}, "NaN"),
        ({"a": 2**53 + 1}, "exactly"),
        ({"a": 10**400}, "range of a double"),
        ({"a": Proto("t", b"")}, "bytes"),
    ],
)
def test_bad_values(value: Any, word: str) -> None:
    """What no property can hold is refused, with a text that says why and shows no value."""
    with pytest.raises(BadValueError, match=word) as raised:
        clean_value(value)
    assert raised.value.__cause__ is None


def _nested(depth: int, *, lists: bool) -> Any:
    value: Any = "core"
    for _ in range(depth if lists else depth - 1):
        value = [value] if lists else {"in": value}
    return {"in": value}


@pytest.mark.parametrize(("lists", "deepest"), [(False, 30), (True, 44)])
def test_structs_are_as_deep_as_parsers_read(lists: bool, deepest: int) -> None:
    """The deepest struct that is accepted is one that protocol buffers can write and read."""
    Struct = pytest.importorskip("google.protobuf.struct_pb2").Struct  # noqa: N806 - a class
    value = clean_value(_nested(deepest, lists=lists))
    assert isinstance(value, dict)
    message = Struct()
    message.update(value)
    assert Struct.FromString(message.SerializeToString()) == message
    with pytest.raises(BadValueError, match="deep"):
        clean_value(_nested(deepest + 1, lists=lists))


def test_a_struct_in_itself_is_refused() -> None:
    """A struct that holds itself is too deep, not a crash."""
    endless: dict[str, Any] = {}
    endless["in"] = [endless]
    with pytest.raises(BadValueError, match="deep"):
        clean_value(endless)


@pytest.mark.parametrize("text", ["", "plain", "é", "a\0b", _Word.BIG, "\U0010ffff"], ids=repr)
def test_clean_texts(text: str) -> None:
    """Any Unicode text becomes a plain `str`."""
    assert type(clean_text(text)) is str
    assert clean_text(text) == text


@pytest.mark.parametrize("text", [None, 7, b"x", ["x"], "\ud800", "x\udfff"], ids=repr)
def test_bad_texts(text: Any) -> None:
    """What is no Unicode text is refused."""
    with pytest.raises(BadValueError):
        clean_text(text)


def test_kinds() -> None:
    """Each of the six plain types is of a kind of its own; a bool is no int."""
    values: list[Any] = [1, 1.0, "1", {"1": 1.0}, Proto("1", b"1"), True]
    assert [kind_of(value) for value in values] == list(PropertyKind)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (1, 2),
        (1.0, 2.0),
        (True, False),
        ("a", "b"),
        ({"a": "b"}, {"a": "c"}),
        ({"a": ["b"]}, {"a": ["c"]}),
        (1, 1.0),
        (1, True),
        (1.0, True),
        (0, False),
        (0.0, -0.0),
        (0, 0.0),
        ("1", 1),
        ("", {}),
        ({"a": 1.0}, {"a": True}),
        ({"a": 0.0}, {"a": -0.0}),
        ({"a": [0.0, {"b": 1.0}]}, {"a": [0.0, {"b": True}]}),
        ({"a": None}, {}),
        ({"a": None}, {"b": None}),
        ({"a": []}, {"a": {}}),
        ({"a": [1.0]}, {"a": [1.0, 1.0]}),
        (Proto("t", b""), Proto("u", b"")),
        (Proto("t", b""), Proto("t", b"x")),
    ],
    ids=repr,
)
def test_values_that_are_not_the_same(left: Any, right: Any) -> None:
    """Values of other kinds or content differ, though Python may call them equal."""
    assert not same_value(left, right)
    assert not same_value(right, left)
    assert same_value(left, left)
    assert same_value(right, right)
    assert exact(left) != exact(right)


_JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=6,
)
_VALUES = (
    st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.booleans()
    | st.text()
    | st.dictionaries(st.text(max_size=2), _JSON, max_size=3)
    | st.builds(Proto, st.text(min_size=1, max_size=3), st.binary(max_size=3))
)


@settings(deadline=None, database=None)
@given(_VALUES, _VALUES)
def test_same_means_the_same_exact_form(left: Any, right: Any) -> None:
    """`same_value` and `exact` agree on which values are the same, and cleaning changes none."""
    assert same_value(left, right) is (exact(left) == exact(right))
    assert same_value(left, clean_value(left))
