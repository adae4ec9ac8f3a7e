"""Section 2 of the contract: texts of all sorts, and what is copied."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

import pytest

from metastore.base import BaseMetadataStore
from metastore.batch import Batch, Merge, Replace
from metastore.errors import InvalidError, MetastoreError
from metastore.model import EventType, NodeKind
from metastore.query import TypeQuery
from metastore.testing._base import (
    ALL_KINDS,
    ARTIFACT,
    CONTEXT,
    EXECUTION,
    INT,
    STRING,
    STRUCT,
    ContractBase,
    add,
    events,
    one,
    one_type,
    prepare,
    put,
    read,
    refuse,
    update,
)
from metastore.testing._contents import contents, exact
from metastore.testing._values import TEXTS

_SURROGATES = ("\ud800", "a\udc00b", "\udfff\ud800")


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


class TextContract(ContractBase):
    """Texts come back as they are wherever they stand, and nothing is shared with the caller."""

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
