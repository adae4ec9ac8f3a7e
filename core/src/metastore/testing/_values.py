"""Section 2 of the contract: values come back as they were written, or are refused."""

from __future__ import annotations

import enum
import math
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterable
from decimal import Decimal
from fractions import Fraction
from types import MappingProxyType
from typing import Any, TypeAlias

import pytest

from metastore.base import BaseMetadataStore
from metastore.batch import Batch, Merge, Replace
from metastore.errors import InvalidError, MetastoreError
from metastore.model import EventType, NodeKind, PropertyKind, Proto
from metastore.query import TypeQuery
from metastore.testing._base import (
    ALL_KINDS,
    ARTIFACT,
    BOOLEAN,
    CONTEXT,
    DOUBLE,
    EXECUTION,
    INT,
    PROTO,
    STRING,
    STRUCT,
    ContractBase,
    add,
    events,
    needs,
    one,
    one_type,
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


_SURROGATES = ("\ud800", "a\udc00b", "\udfff\ud800")

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


_Place: TypeAlias = tuple[
    Callable[[Batch, str], object], Callable[[BaseMetadataStore, str], Iterable[object]]
]


def _field(kind: NodeKind, field: str) -> _Place:
    """A field of nodes by which they are found."""
    return (
        lambda batch, text: add(batch, kind, **{field: text}),
        lambda store, text: [
            getattr(node, field) for node in read(store, kind, **{f"{field}s": [text]})
        ],
    )


def _in_a_type(field: str) -> _Place:
    """A field of types: of one that is named after the length of the text."""
    return (
        lambda batch, text: batch.type(ARTIFACT, **({"name": f"of {len(text)}"} | {field: text})),
        lambda store, _: [getattr(each, field) for each in store.read_types(TypeQuery(ARTIFACT))],
    )


def _event(batch: Batch, text: str) -> None:
    batch.event(batch.artifact("T"), batch.execution("T"), EventType.OUTPUT, path=["a", text])


_PLACES: dict[str, _Place] = {
    "name": _field(ARTIFACT, "name"),
    "uri": _field(ARTIFACT, "uri"),
    "external id": _field(ARTIFACT, "external_id"),
    "name of an execution": _field(EXECUTION, "name"),
    "external id of an execution": _field(EXECUTION, "external_id"),
    "name of a context": _field(CONTEXT, "name"),
    "external id of a context": (
        lambda batch, text: batch.context("T", name=f"of {len(text)}", external_id=text),
        _field(CONTEXT, "external_id")[1],
    ),
    "value": (
        lambda batch, text: batch.artifact("T", properties={"s": text}),
        lambda store, _: [node.properties["s"] for node in read(store, ARTIFACT)],
    ),
    "custom key": (
        lambda batch, text: batch.artifact("T", custom_properties={text: 1}),
        lambda store, _: [key for node in read(store, ARTIFACT) for key in node.custom_properties],
    ),
    "name of a type": _in_a_type("name"),
    "version of a type": _in_a_type("version"),
    "description of a type": _in_a_type("description"),
    "external id of a type": _in_a_type("external_id"),
    "declared key": (
        lambda batch, text: batch.type(ARTIFACT, f"of {len(text)}", {text: INT}),
        lambda store, _: [
            key for each in store.read_types(TypeQuery(ARTIFACT)) for key in each.properties
        ],
    ),
    "step of a path": (_event, lambda store, _: [each.path[1] for each in events(store)]),
}
"""Where a text may stand: how it gets there, and the texts that are there."""


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

    @ALL_KINDS
    @pytest.mark.parametrize("text", [text for name, text in TEXTS.items() if "mega" not in name])
    def test_texts_of_fields(self, store: BaseMetadataStore, kind: NodeKind, text: str) -> None:
        """Names, keys, uris and external ids are texts like any other, and are found
        exactly. [2.8]

        On failure: the columns of names, keys, uris and external ids are narrower than those of
        values, or compare otherwise. If two nodes were found, the comparison is a prefix, a pattern
        (LIKE) or without case.
        """
        prepare(store)
        text = text or "x"
        fields: dict[str, Any] = {"uri": text} if kind is ARTIFACT else {}
        written = put(
            store, kind, name=text, external_id=text, custom_properties={text: 1}, **fields
        )
        put(store, kind, name=text + "x", external_id="x" + text)
        for condition in ("names", "external_ids", *(("uris",) if kind is ARTIFACT else ())):
            [node] = read(store, kind, **{condition: [text]})
            assert (node.id, node.name, node.external_id) == (written.id, text, text)
            assert node.custom_properties == {text: 1}

    @pytest.mark.parametrize("text", [text for name, text in TEXTS.items() if "mega" not in name])
    def test_texts_of_types_and_paths(self, store: BaseMetadataStore, text: str) -> None:
        """Names, versions, descriptions and keys of types, and steps of paths, are texts. [2.8]

        On failure: the tables of types, of their properties and of the steps of paths need the same
        column types and collation as those of nodes. An empty description and an empty step are
        texts, not NULL.
        """
        name = text or "x"
        batch = Batch()
        key = batch.type(
            ARTIFACT,
            name,
            {name: INT},
            version=name,
            description=text,
            external_id=name,
        )
        batch.type(NodeKind.EXECUTION, "E")
        made = batch.artifact(key, properties={name: 1})
        batch.event(made, batch.execution("E"), EventType.OUTPUT, path=[text])
        store.write(batch)
        found = one_type(store, ARTIFACT, name, name)
        assert (found.description, found.external_id) == (text, name)
        assert dict(found.properties) == {name: INT}
        [event] = events(store)
        assert event.path == (text,)

    @pytest.mark.parametrize("text", _SURROGATES)
    @pytest.mark.parametrize("field", ["name", "uri", "external_id", "type", "key"])
    def test_no_texts(self, store: BaseMetadataStore, field: str, text: str) -> None:
        """Half of a surrogate pair in a name, uri, external id, type or key is InvalidError. [2.4,
        2.8]

        On failure: an encoding error of your driver, or none at all, shows that a `write` of your
        own used the text before it was checked: `text.encode()` fails for half a pair. The planner
        never asks `lookup` for one.
        """
        prepare(store)
        batch = Batch()
        if field == "key":
            batch.artifact("T", custom_properties={text: 1})
        elif field == "type":
            batch.artifact(text)
        else:
            batch.artifact("T", **{field: text})  # type: ignore[arg-type]
        refuse(store, batch, InvalidError, kind="artifact", index=0)

    @pytest.mark.parametrize("field", ["name", "uri", "external_id", "key"])
    @pytest.mark.parametrize("thing", [7, b"x", ["x"], object()])
    def test_other_things_are_no_texts(
        self, store: BaseMetadataStore, field: str, thing: Any
    ) -> None:
        """What is no text, where a text belongs, is InvalidError. [2.8]

        On failure: a `write` of your own passed the object to a driver, which stored a number or
        bytes in a text column. Ask `isinstance(text, str)` for names, uris, external ids and keys
        before you send.
        """
        prepare(store)
        batch = Batch()
        if field == "key":
            batch.artifact("T", custom_properties={7: 1})  # type: ignore[dict-item]
        else:
            batch.artifact("T", **{field: thing})
        refuse(store, batch, InvalidError, kind="artifact", index=0)

    def test_half_pairs_in_types(self, store: BaseMetadataStore) -> None:
        """Half of a surrogate pair anywhere in a type is InvalidError. [2.4, 2.8]

        On failure: with a `write` of your own, every text of a type draft needs the check that
        texts of nodes get: description, base type, input type and keys of properties are the
        forgotten ones.
        """
        half = "\ud800"
        for fields in (
            {"name": half},
            {"version": half},
            {"description": half},
            {"external_id": half},
            {"base_type": half},
            {"input_type": half},
            {"properties": {half: INT}},
        ):
            batch = Batch()
            batch.type(NodeKind.EXECUTION, **({"name": "T"} | fields))
            refuse(store, batch, InvalidError, kind="execution type", index=0)

    @pytest.mark.parametrize("place", list(_PLACES))
    def test_long_texts_are_kept_or_refused(self, store: BaseMetadataStore, place: str) -> None:
        """A long name, key, uri or external id comes back whole, or is InvalidError; it is never
        cut, and a value of a property is always kept. [2.4, 2.8]

        On failure: the column cut the text silently (MySQL outside of its strict mode), or
        `read_nodes` finds by a prefix of it. Take a column without a limit, or measure the text
        before anything is written and raise `InvalidError`: an error of the driver's is none.
        """
        prepare(store, s=STRING)
        put_there, found_there = _PLACES[place]
        for length in (255, 256, 1000, 5000, 70_000):
            # The same but for the end, so that two of them become one where they are cut.
            text = "x" * (length - 1) + "y"
            batch = Batch()
            put_there(batch, text)
            before = contents(store)
            try:
                store.write(batch)
            except InvalidError:
                assert place != "value", "a text of one megabyte is nothing special"
                assert contents(store) == before
                assert text not in found_there(store, text)
            else:
                assert list(found_there(store, text)).count(text) == 1

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

    def test_what_is_written_is_copied(self, store: BaseMetadataStore) -> None:
        """Changing a mapping after it was written changes nothing stored. [2.9]

        On failure: your store keeps the very objects of `NodeInsert`. Structs are dicts that the
        caller still holds: copy them with `copy.deepcopy` in `apply`, or serialise them there.
        """
        prepare(store, s=STRUCT)
        struct: dict[str, Any] = {"list": [1.0], "map": {"a": "b"}}
        properties = {"s": struct}
        custom: dict[str, Any] = {"c": struct}
        written = put(store, ARTIFACT, properties=properties, custom_properties=custom)
        struct["list"].append(2.0)
        struct["map"]["a"] = "changed"
        properties.clear()
        custom["more"] = 1
        expected = {"list": [1.0], "map": {"a": "b"}}
        node = one(store, ARTIFACT, written.id)
        assert node.properties == {"s": expected}
        assert node.custom_properties == {"c": expected}

    def test_what_is_read_is_copied(self, store: BaseMetadataStore) -> None:
        """Changing a mapping that was read changes nothing stored. [2.9]

        On failure: `read_nodes` or `read_types` hands out what it will hand out again, from a cache
        or from the store itself. Copy nodes deeply, because of structs, and do not forget
        `Type.properties`.
        """
        prepare(store, s=STRUCT)
        written = put(store, ARTIFACT, properties={"s": {"list": [1.0]}})
        found: Any = one(store, ARTIFACT, written.id)
        found.properties["s"]["list"].append(2.0)
        found.properties["more"] = 1
        found.custom_properties["more"] = 1
        kinds: Any = one_type(store, ARTIFACT, "T").properties
        kinds["more"] = INT
        again = one(store, ARTIFACT, written.id)
        assert again.properties == {"s": {"list": [1.0]}}
        assert again.custom_properties == {}
        assert dict(one_type(store, ARTIFACT, "T").properties) == {"s": STRUCT}

    def test_drafts_are_not_changed(self, store: BaseMetadataStore) -> None:
        """Writing does not change the mappings of a draft, converted values included. [7.6]

        On failure: a `write` of your own converts values in place (1 to 1.0, a tuple to a list).
        Build new mappings for the converted values; the draft is the caller's.
        """
        prepare(store, s=STRUCT)
        properties = {"s": {"n": 1, "t": (1, 2)}}
        put(store, ARTIFACT, properties=properties)
        assert exact(properties) == exact({"s": {"n": 1, "t": (1, 2)}})

    def test_a_struct_of_a_megabyte(self, store: BaseMetadataStore) -> None:
        """A struct may be as long as a text may be. [2.4, 2.5]

        On failure: look at the column that holds structs. One of a limited size (TEXT of MySQL has
        64 kilobytes) must refuse what is longer, and the text in a struct has no such limit.
        """
        self._round_trip(store, STRUCT, {"text": TEXTS["one megabyte"], "list": [1.0] * 100})

    def test_keys_are_kept_apart(self, store: BaseMetadataStore) -> None:
        """Keys of one node that differ in case, accents, spaces or normal form are different
        keys, the empty one included. [1.9, 2.8, 8.5]

        On failure: look at the collation of the column that holds the keys, and at the primary key
        of which it is a part: both must compare texts exactly. An empty key is no missing one.
        """
        keys = [
            "",
            " ",
            "a",
            "A",
            "a ",
            " a",
            "\u00e1",
            "a\u0301",
            "\u00df",
            "ss",
            "a.b",
            "$a",
            "0",
        ]
        prepare(store, **dict.fromkeys(keys, INT))
        assert set(one_type(store, ARTIFACT, "T").properties) == set(keys)
        values = {key: number for number, key in enumerate(keys)}
        written = put(store, ARTIFACT, properties=values, custom_properties=values)
        node = one(store, ARTIFACT, written.id)
        assert node.properties == node.custom_properties == values
        for number, key in enumerate(keys, 100):
            mode = Merge(written.id)
            update(store, ARTIFACT, mode, properties={key: number}, custom_properties={key: number})
            values[key] = number
            node = one(store, ARTIFACT, written.id)
            assert node.properties == node.custom_properties == values

    def test_long_keys_and_words_are_kept_or_refused(self, store: BaseMetadataStore) -> None:
        """A long key, description, version, name of a type or step of a path comes back whole or
        is refused; it is never cut. [2.8]

        On failure: look at the size of the column that holds what is named. Where the backend cuts
        silently, check the length before, and raise `InvalidError`.
        """
        prepare(store)
        ran = put(store, NodeKind.EXECUTION)
        for length in (255, 256, 1000, 5000):
            long = "x" * length
            fields: dict[str, Any] = {"name": f"T {length}"}
            for field, value in (("name", long), ("version", long), ("description", long)):
                batch = Batch()
                batch.type(ARTIFACT, **(fields | {field: value}))
                try:
                    [made] = store.write(batch).types
                except MetastoreError:
                    continue
                [found] = store.read_types(TypeQuery(ARTIFACT, ids=[made.id]))
                assert getattr(found, field) == value
            batch = Batch()
            ref = batch.artifact("T", custom_properties={long: 1, long + "y": 2})
            batch.event(ref, ran.id, EventType.OUTPUT, path=[long])
            try:
                id = store.write(batch)[ref].id
            except MetastoreError:
                continue
            assert one(store, ARTIFACT, id).custom_properties == {long: 1, long + "y": 2}
            [event] = [each for each in events(store) if each.artifact_id == id]
            assert event.path == (long,)

    def test_many_properties_are_updated(self, store: BaseMetadataStore) -> None:
        """Thousands of properties of a node are set, and removed, in one update. [4.6, 4.9]

        On failure: look at how an update names the keys that it drops or overwrites. A statement
        takes a limited number of variables, so that long lists are to be cut into several.
        """
        prepare(store)
        values = {f"key {number}": number for number in range(3000)}
        id = put(store, CONTEXT, name="n", custom_properties=values).id
        others = {f"key {number}": -number for number in range(2500, 5500)}
        update(store, CONTEXT, Replace(id), name="n", custom_properties=others)
        assert one(store, CONTEXT, id).custom_properties == others
        update(store, CONTEXT, Replace(id), name="n")
        assert one(store, CONTEXT, id).custom_properties == {}

    @ALL_KINDS
    def test_plain_mappings_are_copied(self, store: BaseMetadataStore, kind: NodeKind) -> None:
        """Changing a mapping of plain values after it was written changes nothing stored. [2.9]

        On failure: copy the mappings of `NodeInsert` and `NodeUpdate` before you keep them. Where
        nothing had to be converted, they are the very ones that the caller of `write` still holds.
        """
        prepare(store, a=INT)
        properties, custom = {"a": 1}, {"b": "c"}
        id = put(store, kind, name="n", properties=properties, custom_properties=custom).id
        properties["a"] = 2
        custom["b"] = custom["more"] = "changed"
        node = one(store, kind, id)
        assert (node.properties, node.custom_properties) == ({"a": 1}, {"b": "c"})
        changed = {"d": 1}
        update(store, kind, Merge(id), custom_properties=changed)
        changed.clear()
        assert one(store, kind, id).custom_properties == {"b": "c", "d": 1}
