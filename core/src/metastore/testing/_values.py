"""Section 2 of the contract: values come back as they were written, or are refused."""

from __future__ import annotations

import enum
import math
import sys
from collections import OrderedDict
from decimal import Decimal
from fractions import Fraction
from types import MappingProxyType
from typing import Any

import pytest

from metastore.base import BaseMetadataStore
from metastore.batch import Batch, Merge
from metastore.errors import InvalidError
from metastore.model import NodeKind, PropertyKind, Proto
from metastore.testing._base import (
    ARTIFACT,
    BOOLEAN,
    CONTEXT,
    DOUBLE,
    INT,
    PROTO,
    STRING,
    STRUCT,
    ContractBase,
    add,
    needs,
    one,
    prepare,
    put,
    read,
    refuse,
    update,
)
from metastore.testing._contents import contents, exact


def nested(depth: int, *, lists: bool = False) -> Any:
    """A struct of this many mappings, or a mapping with this many lists, inside one another."""
    value: Any = "core"
    for _ in range(depth if lists else depth - 1):
        value = [value] if lists else {"in": value}
    return {"in": value}


TEXTS = {
    "empty": "",
    "space": " ",
    "trailing spaces": "a  ",
    "quotes": 'it\'s "quoted" `too` \\ ; -- /* */',
    "percent": "100 % of :name ? %s {x}",
    "newlines": "a\r\nb\rc\n\t",
    "null word of MLMD": "__MLMD_NULL__",
    "struct word of MLMD": "mlmd-struct::x",
    "struct word alone": "mlmd-struct::",
    "struct word with a struct": "mlmd-struct::CgcKAWESAhgB",
    "null": "NULL",
    "number": "1",
    "control": "\x01\x1f\x7f\x80\x9f",
    "accents composed": "\u00e9",
    "accents decomposed": "e\u0301",
    "emoji": "🧪👩🏽‍🔬 ok",
    "beyond the BMP": "\U0001d54f\U0010fffd",
    "non-characters": "\ufffe\uffff\ufeff",
    "right to left": "\u202eabc\u202c \u05d0",
    "one megabyte": "0123456789abcdef" * 65536,
}
DOUBLES = {
    "zero": 0.0,
    "a third of a way": 0.1 + 0.2,
    "pi": math.pi,
    "six digits are not enough": 1.00000001,
    "small": 1e-9,
    "smallest": 5e-324,
    "subnormal": 2.2250738585072011e-308,
    "large": 1e308,
    "largest": sys.float_info.max,
    "most negative": -sys.float_info.max,
    "integral": 2.0**53,
    "beyond 64 bits": 1e30,
}
INTS = {
    "zero": 0,
    "one": 1,
    "minus one": -1,
    "beyond 31 bits": 2**31,
    "below 31 bits": -(2**31) - 1,
    "beyond a double": 2**53 + 1,
    "largest": 2**63 - 1,
    "smallest": -(2**63),
}
STRUCTS: dict[str, dict[str, Any]] = {
    "empty": {},
    "flat": {"a": 1.0, "b": "text", "c": True, "d": None, "e": False},
    "empty inside": {"map": {}, "list": [], "text": "", "": "empty key"},
    "lists": {"a": [1.0, [2.0, [], [None]], {"b": [True]}]},
    "kinds apart": {"a": [1.0, True, "1", 0.0, False, None]},
    "keys": {"a.b": 1.0, "a b": 2.0, "é🧪": 3.0, "__MLMD_NULL__": 4.0, "'": 5.0},
    "doubles": {"a": [5e-324, 1e308, 0.1 + 0.2, -0.0]},
    "deep": nested(30),
    "deep lists": nested(44, lists=True),
}
PROTOS = {
    "empty": Proto("type.googleapis.com/google.protobuf.Empty", b""),
    "bytes": Proto("type.googleapis.com/my.Message", bytes(range(256))),
    "long": Proto("t", b"\x00" * 100_000),
    "odd url": Proto("é/🧪", b"\xff"),
}


class _Number(enum.IntEnum):
    SEVEN = 7


class _Word(str, enum.Enum):
    BIG = "big"


class _Text(str):
    __slots__ = ()


_NO_VALUES: dict[str, Any] = {
    "None": None,
    "bytes": b"x",
    "list": [1],
    "set": {1},
    "complex": 1j,
    "Decimal": Decimal("1.5"),
    "object": object(),
    "class": int,
    "nan": math.nan,
    "too large": 2**63,
    "too small": -(2**63) - 1,
    "too large for a double": Fraction(10**400),
    "half a pair": "\ud800",
    "struct with bytes": {"a": b"x"},
    "struct with nan": {"a": [math.nan]},
    "struct with a set": {"a": {1}},
    "struct with a key of another kind": {1: "a"},
    "struct with a large integer": {"a": 2**53 + 1},
    "struct with a huge integer": {"a": 10**400},
    "struct with half a pair": {"a": ["\udfff"]},
    "struct with half a pair as key": {"\udfff": 1},
    "struct too deep": nested(60),
    "lists too deep": nested(100, lists=True),
    "proto without type": Proto("", b"x"),
    "proto of text": Proto("t", "x"),  # type: ignore[arg-type]
    "proto of none": Proto(None, b""),  # type: ignore[arg-type]
}


def _params(values: dict[str, Any]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("value", list(values.values()), ids=list(values))


class ValueContract(ContractBase):
    """Values of every kind, as properties and as custom properties, of nodes of every kind."""

    def _round_trip(self, store: BaseMetadataStore, kind: PropertyKind, value: Any) -> None:
        prepare(store, a=kind)
        for node_kind in NodeKind:
            written = put(store, node_kind, properties={"a": value}, custom_properties={"b": value})
            node = one(store, node_kind, written.id)
            assert exact(node.properties) == exact({"a": value})
            assert exact(node.custom_properties) == exact({"b": value})
            # The way of an update may be another one.
            target = put(store, node_kind, name="to update")
            update(
                store,
                node_kind,
                Merge(target.id),
                properties={"a": value},
                custom_properties={"b": value},
            )
            node = one(store, node_kind, target.id)
            assert exact(node.properties) == exact({"a": value})
            assert exact(node.custom_properties) == exact({"b": value})

    @_params(INTS)
    def test_ints(self, store: BaseMetadataStore, value: int) -> None:
        """Integers of 64 bits come back as they were written. [2.2]

        On failure: look at the column type: a 32-bit INTEGER cuts or refuses, a column or JSON
        number that is a double loses 2^53 + 1. If inserting works and updating does not, look at
        how `apply` writes `set_properties`.
        """
        self._round_trip(store, INT, value)

    @_params(DOUBLES)
    def test_doubles(self, store: BaseMetadataStore, value: float) -> None:
        """Doubles come back bit for bit. [2.3]

        On failure: the column must have 8 bytes (REAL and FLOAT have 4 in some databases), and a
        text form 17 digits, as `repr` gives. If the backend cannot do better, declare
        `exact_doubles=False`.
        """
        needs(store, "exact_doubles")
        self._round_trip(store, DOUBLE, value)

    def test_minus_zero(self, store: BaseMetadataStore) -> None:
        """The sign of a zero is kept. [2.3]

        On failure: the backend or its driver drops the sign of a zero, as SQLite does. Keep it
        elsewhere (a mark in another column), and look for tests like `if value` or `value == 0` on
        the way.
        """
        needs(store, "exact_doubles")
        self._round_trip(store, DOUBLE, -0.0)

    def test_a_zero_can_change_its_sign(self, store: BaseMetadataStore) -> None:
        """A zero updated to one of the other sign reads as that, in both directions. [2.3, 4.12]

        On failure: the key is in `NodeUpdate.set_properties`, but your `apply` or the backend skips
        a value that is "equal" to the stored one. A mark of the sign must be taken away again by
        the next update.
        """
        needs(store, "exact_doubles")
        prepare(store, a=DOUBLE)
        written = put(store, ARTIFACT, properties={"a": 0.0})
        for value in (-0.0, 0.0):
            update(store, ARTIFACT, Merge(written.id), properties={"a": value})
            assert exact(one(store, ARTIFACT, written.id).properties) == exact({"a": value})

    @pytest.mark.parametrize("value", [math.inf, -math.inf])
    @pytest.mark.parametrize("where", ["property", "custom property", "struct"])
    @pytest.mark.parametrize("by_update", [False, True], ids=["inserted", "updated"])
    def test_infinities(
        self, store: BaseMetadataStore, value: float, where: str, by_update: bool
    ) -> None:
        """An infinity comes back, or is refused; it never becomes something else. [2.3]

        On failure: your serialiser or column made NULL, a text or the largest double of it: JSON
        has no infinity. Raise `InvalidError` before anything is written where the backend cannot
        hold one; structs and updates may take another way to the backend.
        """
        prepare(store, a=DOUBLE)
        values: dict[str, Any] = {"b": value if where == "custom property" else {"c": [value]}}
        fields = {"properties": {"a": value}}
        if where != "property":
            fields = {"custom_properties": values}
        stored = put(store, ARTIFACT, properties={"a": 0.5}, custom_properties={"b": 0.5}).id
        before = contents(store)
        try:
            if by_update:
                id = update(store, ARTIFACT, Merge(stored), **fields).id
            else:
                id = put(store, ARTIFACT, **fields).id
        except InvalidError:
            assert contents(store) == before
        else:
            for name, expected in fields.items():
                assert exact(getattr(one(store, ARTIFACT, id), name)) == exact(expected)

    @_params(TEXTS)
    def test_texts(self, store: BaseMetadataStore, value: str) -> None:
        """Any text comes back, empty and long ones and those with a meaning elsewhere included.
        [2.4]

        On failure: look for code that gives texts a meaning: prefixes, `%` formatting, stripping,
        translation of newlines. Then for a column that is too narrow (VARCHAR(255), 64 KB of TEXT)
        or of three bytes a character (`utf8` of MySQL).
        """
        self._round_trip(store, STRING, value)

    @pytest.mark.parametrize("value", ["\0", "a\0b", "a\0", "\0\0é"])
    def test_texts_with_nul(self, store: BaseMetadataStore, value: str) -> None:
        """A text with a NUL comes back whole, or is refused; it is never cut. [2.4]

        On failure: the driver takes a NUL for the end, in names, uris, keys or values. Compare the
        lengths, or refuse such texts with `InvalidError` before anything is written; do not let
        `read_nodes` find "a" for "a" and a NUL.
        """
        prepare(store, a=STRING)
        try:
            written = put(
                store,
                ARTIFACT,
                name=value,
                uri=value,
                properties={"a": value},
                custom_properties={value: value},
            )
        except InvalidError:
            assert read(store, ARTIFACT) == []
            return
        [node] = read(store, ARTIFACT, names=[value])
        assert node.id == written.id
        assert node.properties == {"a": value}
        assert node.custom_properties == {value: value}
        [same] = read(store, ARTIFACT, uris=[value])
        assert same == node

    @_params(STRUCTS)
    def test_structs(self, store: BaseMetadataStore, value: dict[str, Any]) -> None:
        """Structs come back, nested and empty ones included. [2.5]

        On failure: empty mappings and lists, the key "" and None are what serialisers drop. A
        struct needs a mark that no text can have, and a parser must reach 30 mappings or 44 lists
        down (100 messages of protocol buffers).
        """
        if value is STRUCTS["doubles"]:
            needs(store, "exact_doubles")
        self._round_trip(store, STRUCT, value)

    def test_numbers_of_structs_are_doubles(self, store: BaseMetadataStore) -> None:
        """An integer in a struct comes back as a double, a tuple as a list. [2.5]

        On failure: the values reach `apply` as doubles and lists already; your JSON form wrote 1.0
        as 1 and read an int. Make every number of a struct a float when you read it, but not the
        bools.
        """
        prepare(store, a=STRUCT)
        big = 2**53 if store.CAPABILITIES.exact_doubles else 2**10
        written = put(store, ARTIFACT, properties={"a": {"n": 1, "l": (2, True), "big": big}})
        assert exact(one(store, ARTIFACT, written.id).properties) == exact(
            {"a": {"n": 1.0, "l": [2.0, True], "big": float(big)}}
        )

    @_params(PROTOS)
    def test_protos(self, store: BaseMetadataStore, value: Proto) -> None:
        """Type url and bytes of a proto come back. [2.6]

        On failure: keep the type url and the bytes, as two columns or as a serialised `Any`, in
        base64 or in a column for bytes, not in one for text. Do not parse the message; you do not
        have its type.
        """
        self._round_trip(store, PROTO, value)

    @pytest.mark.parametrize("value", [True, False])
    def test_bools(self, store: BaseMetadataStore, value: bool) -> None:
        """Bools come back as bools. [2.1]

        On failure: a backend without booleans returns 0 or 1. The row must say that it is a BOOLEAN
        (a column of its own, or one with the kind), and the reader call `bool`.
        """
        self._round_trip(store, BOOLEAN, value)

    def test_kinds_are_kept_apart(self, store: BaseMetadataStore) -> None:
        """Values that Python calls equal, or that look alike as text, come back as themselves.
        [2.1]

        On failure: custom properties have no declared kind, so the row must say it. In the encoder
        ask for bool before int, which it is a subclass of, and never `if value`, which is false for
        0, "" and {}.
        """
        prepare(store)
        values = {
            "int": 1,
            "double": 1.0,
            "bool": True,
            "text": "1",
            "int 0": 0,
            "double 0": 0.0,
            "bool 0": False,
            "no text": "",
            "no struct": {},
            "text of a struct": "{}",
            "text of a bool": "True",
        }
        for kind in NodeKind:
            written = put(store, kind, custom_properties=values)
            assert exact(one(store, kind, written.id).custom_properties) == exact(values)

    def test_a_value_can_change_its_kind(self, store: BaseMetadataStore) -> None:
        """A custom property overwritten by an equal value of another kind has that kind. [2.1,
        4.12]

        On failure: `set_custom_properties` overwrites a value of another kind: an update that fills
        the new column and does not empty the old one leaves two values, and the reader takes the
        wrong one. Delete the row first, or set all columns.
        """
        prepare(store)
        written = put(store, ARTIFACT, custom_properties={"a": 1})
        for value in (1.0, True, "1", {"a": 1.0}, {"a": True}, Proto("t", b""), 1):
            update(store, ARTIFACT, Merge(written.id), custom_properties={"a": value})
            found = one(store, ARTIFACT, written.id).custom_properties
            assert exact(found) == exact({"a": value})

    @_params(_NO_VALUES)
    def test_no_values(self, store: BaseMetadataStore, value: Any) -> None:
        """What no property can hold is InvalidError that names the property. [2.2-2.7]

        On failure: the planner refuses these before `apply`, so a `write` of your own let it
        through or raised its serialiser's error. Check all values before you build the request, and
        name the key in `Offender.property`.
        """
        prepare(store)
        batch = Batch()
        add(batch, ARTIFACT)
        add(batch, ARTIFACT, custom_properties={"fine": 1, "bad": value})
        error = refuse(store, batch, InvalidError, kind="artifact", index=1, property="bad")
        assert "'bad'" in str(error)

    def test_plain_kinds_come_back(self, store: BaseMetadataStore) -> None:
        """Subclasses and other mappings are accepted and come back as the plain kind. [2.7]

        On failure: `apply` gets plain ints, floats, texts and dicts; look at what your reader
        returns. Drivers give `Decimal`, `memoryview`, and subclasses of str and dict: convert them.
        """
        prepare(store, i=INT, s=STRING, m=STRUCT)
        written = put(
            store,
            ARTIFACT,
            properties=MappingProxyType(
                {"i": _Number.SEVEN, "s": _Word.BIG, "m": OrderedDict(a=_Text("b"))}
            ),
            custom_properties={"half": Fraction(1, 2), _Text("key"): _Text("text")},
        )
        node = one(store, ARTIFACT, written.id)
        assert exact(node.properties) == exact({"i": 7, "s": "big", "m": {"a": "b"}})
        assert exact(node.custom_properties) == exact({"half": 0.5, "key": "text"})
        kept = [*node.properties.values(), *node.custom_properties.values()]
        assert {type(each) for each in kept} <= {int, float, str, dict}
        assert {type(key) for key in node.custom_properties} == {str}

    def test_many_properties(self, store: BaseMetadataStore) -> None:
        """A node may have thousands of properties. [1.9]

        On failure: one statement with a parameter for each property goes beyond a limit of the
        driver, as do large requests of some services. Insert row by row (`executemany`) or in
        portions, and read without a cap on rows.
        """
        prepare(store)
        values = {f"key {number}": number for number in range(3000)}
        written = put(store, CONTEXT, custom_properties=values)
        assert one(store, CONTEXT, written.id).custom_properties == values

    def test_a_struct_of_a_megabyte(self, store: BaseMetadataStore) -> None:
        """A struct may be as long as a text may be. [2.4, 2.5]

        On failure: look at the column that holds structs. One of a limited size (TEXT of MySQL has
        64 kilobytes) must refuse what is longer, and the text in a struct has no such limit.
        """
        self._round_trip(store, STRUCT, {"text": TEXTS["one megabyte"], "list": [1.0] * 100})
