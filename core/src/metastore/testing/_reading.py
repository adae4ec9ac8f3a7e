"""Section 8 of the contract: queries, order, pages and counts of nodes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from metastore.base import BaseMetadataStore
from metastore.batch import Batch
from metastore.errors import InvalidError
from metastore.model import EventType, LinkKind, NodeKind, TypeKey
from metastore.query import NodeQuery, TypeQuery
from metastore.testing._base import (
    ALL_KINDS,
    ARTIFACT,
    CONTEXT,
    EXECUTION,
    UNKNOWN_ID,
    ContractBase,
    add,
    batch_with,
    events,
    ids,
    links,
    one_type,
    prepare,
    put,
    read,
)

_IDS = range(UNKNOWN_ID, UNKNOWN_ID + 40_000)
"""Of nothing."""


def _row(store: BaseMetadataStore) -> dict[NodeKind, list[int]]:
    """Seven nodes of each kind, and their ids.

    Each context has one artifact, one execution and, but for the last, the next one as its parent;
    each artifact and execution have one event.
    """
    batch = batch_with()
    batch.types = [
        replace(each, external_id="the type") if each.key.kind is ARTIFACT else each
        for each in batch.types
    ]
    groups = []
    for number in range(7):
        name, external_id = f"n{number}", f"x{number}"
        made = batch.artifact("T", uri=f"u{number}", name=name, external_id=external_id)
        ran = batch.execution("T", name=name, external_id=external_id)
        group = batch.context("T", name=name, external_id=external_id)
        batch.event(made, ran, EventType.OUTPUT)
        batch.attribution(group, made)
        batch.association(group, ran)
        groups.append(group)
    for child, parent in pairwise(groups):
        batch.parent(child, parent)
    written = store.write(batch)
    return {kind: [each.id for each in written.nodes[kind]] for kind in NodeKind}


def _linked_by(kind: NodeKind) -> list[str]:
    """The conditions that are about links of nodes of the kind."""
    return ["parents_of", "children_of"] if kind is CONTEXT else ["context_ids"]


def _among(few: list[Any], many: Sequence[Any]) -> list[Any]:
    """The few among the many: the first at the beginning, the last at the end."""
    step = len(many) // (len(few) - 1)
    found: list[Any] = []
    for number, each in enumerate(few):
        found += [each, *many[number * step : (number + 1) * step]]
    return found


class ReadingContract(ContractBase):
    """Nodes are read by queries, in order, page by page."""

    # Conditions.

    @ALL_KINDS
    def test_conditions_of_a_query(self, store: BaseMetadataStore, kind: NodeKind) -> None:
        """Each condition narrows the answer; several are fulfilled all at once. [8.1, 8.5]

        On failure: in `read_nodes`, values of one condition are alternatives, and conditions hold
        all at once. A value that is given twice must not give its node twice; without an order,
        sort by id.
        """
        batch = batch_with("T", "U")
        for number in range(6):
            type = "T" if number % 2 == 0 else "U"
            fields: dict[str, Any] = {"uri": f"u{number // 2}"} if kind is ARTIFACT else {}
            add(batch, kind, type, name=f"n{number % 3}", external_id=f"x{number}", **fields)
        made = [each.id for each in store.write(batch).nodes[kind]]

        def asked(**conditions: Any) -> list[int]:
            return [made.index(id) for id in ids(store, kind, **conditions)]

        assert asked() == [0, 1, 2, 3, 4, 5]
        assert asked(ids=[made[4], made[1], made[4], UNKNOWN_ID]) == [1, 4]
        assert asked(names=["n0", "n2", "n0", "none"]) == [0, 2, 3, 5]
        assert asked(external_ids=["x5", "x1", "none", ""]) == [1, 5]
        assert asked(type=TypeKey(kind, "T")) == [0, 2, 4]
        assert asked(type=TypeKey(kind, "U"), names=["n0"]) == [3]
        assert asked(type=TypeKey(kind, "U"), names=["n0"], external_ids=["x0"]) == []
        assert asked(names=["n0", "n1"], external_ids=["x0", "x4", "x5"], ids=made[1:]) == [4]
        if kind is ARTIFACT:
            assert asked(uris=["u1", "u1", "none"]) == [2, 3]
            assert asked(uris=["u1"], type=TypeKey(kind, "T")) == [2]

    @ALL_KINDS
    def test_empty_conditions(self, store: BaseMetadataStore, kind: NodeKind) -> None:
        """An empty list as a condition is fulfilled by nothing. [8.1]

        On failure: ask `query.ids is not None`: `if query.ids` takes an empty list for no
        condition. If only the count is wrong, your `count` builds its conditions by other code.
        """
        prepare(store)
        put(store, kind, name="n", external_id="x")
        conditions = ["ids", "names", "external_ids", "type_names"]
        conditions += {
            ARTIFACT: ["uris", "context_ids"],
            EXECUTION: ["context_ids"],
            CONTEXT: ["parents_of", "children_of"],
        }[kind]
        for condition in conditions:
            assert ids(store, kind, **{condition: []}) == []
            nothing: dict[str, Any] = {condition: []}
            assert store.count(NodeQuery(kind, **nothing)) == 0

    @ALL_KINDS
    def test_integers_that_are_no_ids(self, store: BaseMetadataStore, kind: NodeKind) -> None:
        """Integers that no id can be do no harm as a condition: they are fulfilled by nothing,
        and what stands beside them counts. [8.1]

        On failure: the driver raises for integers beyond 64 bits (OverflowError), or wraps them.
        Drop what is not from 1 to 2^63-1 from lists of ids; what is left may be empty, and is then
        fulfilled by nothing: it is no condition less.
        """
        made = _row(store)
        odd = [0, -1, 2**31, 2**63 - 1, 2**63, -(2**63) - 1, 2**80, UNKNOWN_ID]
        id = made[kind][1]
        assert ids(store, kind, ids=[*odd, id]) == [id]
        assert ids(store, kind, ids=odd) == []
        a, e, group = made[ARTIFACT][1], made[EXECUTION][1], made[CONTEXT][1]
        for condition in _linked_by(kind):
            assert ids(store, kind, **{condition: odd}) == []
            assert len(ids(store, kind, **{condition: [group, *odd]})) == 1
        type_id = one_type(store, kind, "T").id
        assert list(store.read_types(TypeQuery(kind, ids=odd))) == []
        assert [each.id for each in store.read_types(TypeQuery(kind, ids=[*odd, type_id]))] == [
            type_id
        ]
        for conditions in ({"artifact_ids": odd}, {"execution_ids": odd, "artifact_ids": [a]}):
            assert events(store, **conditions) == []
        [event] = events(store, artifact_ids=[*odd, a], execution_ids=[e, *odd])
        assert (event.artifact_id, event.execution_id) == (a, e)
        for link in LinkKind:
            other = made[link.other][2 if link is LinkKind.PARENT else 1]
            assert links(store, link, context_ids=odd) == links(store, link, other_ids=odd) == []
            assert links(store, link, context_ids=[*odd, group], other_ids=odd) == []
            assert links(store, link, context_ids=[*odd, group], other_ids=[other, *odd]) == [
                (group, other)
            ]

    def test_conditions_may_be_long(self, store: BaseMetadataStore) -> None:
        """A condition may have tens of thousands of values, all of which count. [8.1]

        On failure: look at the limits of your driver and service (variables of a statement, length
        of a URL). Ask in portions and put the answers in order, or pass the list as one value.
        Where too much came, the long list was left out of the condition.
        """
        made = _row(store)[ARTIFACT]
        # Neither the first nor the last: an answer to no condition would have these as well.
        wanted = made[1:-1]
        numbers = range(1, len(wanted) + 1)
        assert ids(store, ARTIFACT, ids=_among(wanted, _IDS)) == wanted
        for field, letter in (("names", "n"), ("external_ids", "x"), ("uris", "u")):
            texts = _among([f"{letter}{number}" for number in numbers], [f"{n}" for n in _IDS])
            assert ids(store, ARTIFACT, **{field: texts}) == wanted
        keys = [TypeKey(ARTIFACT, str(number)) for number in _IDS]
        type = one_type(store, ARTIFACT, "T")
        for query in (
            TypeQuery(ARTIFACT, ids=[*_IDS, type.id]),
            TypeQuery(ARTIFACT, keys=[*keys, type.key]),
            TypeQuery(ARTIFACT, external_ids=[*map(str, _IDS), "the type"]),
        ):
            assert [each.name for each in store.read_types(query)] == ["T"]

    def test_long_conditions_on_events_and_links(self, store: BaseMetadataStore) -> None:
        """The ends of events and links may be tens of thousands, all of which count. [8.1, 8.14]

        On failure: the queries for events and links, and `context_ids`, `parents_of` and
        `children_of` of nodes, bind their lists by other code than `ids`: the same limits hold
        there. Where portions are joined, an event must fulfil both lists, and come once.
        """
        made = _row(store)
        wanted = {kind: made[kind][1:-1] for kind in NodeKind}
        long = {kind: _among(wanted[kind], _IDS) for kind in NodeKind}
        pairs = list(zip(wanted[ARTIFACT], wanted[EXECUTION], strict=True))
        for conditions in (
            {"artifact_ids": long[ARTIFACT]},
            {"execution_ids": long[EXECUTION]},
            {"artifact_ids": long[ARTIFACT], "execution_ids": long[EXECUTION]},
        ):
            found = events(store, **conditions)
            assert [(each.artifact_id, each.execution_id) for each in found] == pairs
        for kind in (ARTIFACT, EXECUTION):
            assert ids(store, kind, context_ids=long[CONTEXT]) == wanted[kind]
        assert ids(store, CONTEXT, parents_of=long[CONTEXT]) == made[CONTEXT][2:]
        assert ids(store, CONTEXT, children_of=long[CONTEXT]) == made[CONTEXT][:-2]
        for link in LinkKind:
            everything = links(store, link)
            groups, others = set(wanted[CONTEXT]), set(wanted[link.other])
            assert links(store, link, context_ids=long[CONTEXT]) == [
                each for each in everything if each[0] in groups
            ]
            assert links(store, link, other_ids=long[link.other]) == [
                each for each in everything if each[1] in others
            ]
            assert links(store, link, context_ids=long[CONTEXT], other_ids=long[link.other]) == [
                each for each in everything if each[0] in groups and each[1] in others
            ]

    def test_types_as_conditions(self, store: BaseMetadataStore) -> None:
        """`type` is one version of a type, `type_names` all versions; unknown types have none.
        [8.4]

        On failure: find the ids of `type` by name and version, no version being NULL, and those of
        `type_names` by name alone. Where none is found the answer is empty; do not drop the
        condition.
        """
        batch = Batch()
        keys = [
            batch.type(ARTIFACT, "T"),
            batch.type(ARTIFACT, "T", version="1"),
            batch.type(ARTIFACT, "U", version="1"),
        ]
        for key in keys:
            batch.artifact(key)
        batch.type(EXECUTION, "V")
        made = [each.id for each in store.write(batch).artifacts]
        assert [ids(store, ARTIFACT, type=key) for key in keys] == [[each] for each in made]
        assert ids(store, ARTIFACT, type_names=["T"]) == made[:2]
        assert ids(store, ARTIFACT, type_names=["U", "T", "U", "V", "none"]) == made
        assert ids(store, ARTIFACT, type_names=["T"], type=keys[2]) == []
        assert ids(store, ARTIFACT, type_names=["U"], type=keys[2]) == [made[2]]
        for key in (
            TypeKey(ARTIFACT, "U"),
            TypeKey(ARTIFACT, "T", "2"),
            TypeKey(ARTIFACT, "t"),
            TypeKey(ARTIFACT, "V"),
        ):
            assert ids(store, ARTIFACT, type=key) == []
            assert store.count(NodeQuery(ARTIFACT, type=key)) == 0

    def test_texts_are_compared_exactly(self, store: BaseMetadataStore) -> None:
        """Case, accents, trailing spaces and normal forms differ in every text condition. [8.5]

        On failure: the text column's collation ignores case, accents, width or trailing spaces:
        choose a binary one (`utf8mb4_bin` pads in MySQL, `utf8mb4_0900_bin` does not). If two words
        became one, something normalises Unicode.
        """
        words = ["a", "A", "a ", " a", "á", "a\u0301", "\uff41", "ß", "ss", "%", "_", "a%"]
        batch = batch_with()
        for number, word in enumerate(words):
            for kind in NodeKind:
                uri: dict[str, Any] = {"uri": word} if kind is ARTIFACT else {}
                add(
                    batch, kind, name=word, external_id=word, custom_properties={"n": number}, **uri
                )
        for word in words:
            batch.type(ARTIFACT, word, external_id=word)
        store.write(batch)
        for number, word in enumerate(words):
            for kind in NodeKind:
                fields = ["names", "external_ids", *(["uris"] if kind is ARTIFACT else [])]
                for field in fields:
                    [node] = read(store, kind, **{field: [word]})
                    assert node.custom_properties == {"n": number}
            [found] = store.read_types(TypeQuery(ARTIFACT, keys=[TypeKey(ARTIFACT, word)]))
            assert (found.name, found.external_id) == (word, word)
            [found] = store.read_types(TypeQuery(ARTIFACT, external_ids=[word]))
            assert found.name == word

    def test_hostile_texts(self, store: BaseMetadataStore) -> None:
        """Text that looks like a language of queries is only text. [8.5]

        On failure: the condition was pasted into the text of a query: bind it as a parameter, or
        quote it as the backend says. If "n" and a NUL found "n", the driver cuts there.
        """
        prepare(store)
        id = put(store, ARTIFACT, name="n").id
        for text in ("' OR 1=1 --", '"; DROP TABLE Artifact; --', "n' --", "*", "%", "n\0", ":n"):
            for field in ("names", "external_ids", "uris"):
                assert ids(store, ARTIFACT, **{field: [text]}) == []
            assert ids(store, ARTIFACT, type=TypeKey(ARTIFACT, text)) == []
        assert ids(store, ARTIFACT) == [id]

    @pytest.mark.parametrize(
        ("kind", "conditions"),
        [
            (EXECUTION, {"uris": ["x"]}),
            (CONTEXT, {"uris": []}),
            (CONTEXT, {"context_ids": [1]}),
            (ARTIFACT, {"parents_of": [1]}),
            (EXECUTION, {"children_of": [1]}),
            (ARTIFACT, {"type": TypeKey(EXECUTION, "T")}),
            (ARTIFACT, {"limit": -1}),
        ],
        ids=repr,
    )
    def test_meaningless_conditions(self, kind: NodeKind, conditions: dict[str, Any]) -> None:
        """A condition that nodes of the kind cannot meet, or a negative limit, is InvalidError.
        [8.7]

        On failure: nothing of yours is called: `NodeQuery` refuses these when it is made. Look
        whether your tests replace its `__post_init__`.
        """
        with pytest.raises(InvalidError):
            NodeQuery(kind, **conditions)

    @ALL_KINDS
    def test_kinds_are_read_apart(self, store: BaseMetadataStore, kind: NodeKind) -> None:
        """A query answers with nodes of its kind only, though ids and names are the same. [1.3]

        On failure: nodes of the three kinds are in one table or index, and `read_nodes` forgot
        `query.kind` in its condition, or looked up the type "T" without it.
        """
        prepare(store)
        made = {each: put(store, each, name="same", external_id="same") for each in NodeKind}
        found = read(store, kind, names=["same"], external_ids=["same"])
        assert [node.id for node in found] == [made[kind].id]
        assert found[0].type_id == one_type(store, kind, "T").id

    def test_lists_may_be_other_sequences(self, store: BaseMetadataStore) -> None:
        """A condition may be a tuple or a range as well as a list. [8.1]

        On failure: your driver binds lists only, or a method adds two lists. Call `list(...)` on
        each condition of a query before it is bound or joined.
        """
        prepare(store)
        id = put(store, ARTIFACT, name="n").id
        assert ids(store, ARTIFACT, ids=(id,)) == [id]
        assert ids(store, ARTIFACT, ids=range(id, id + 3)) == [id]
        assert ids(store, ARTIFACT, names=("n",)) == [id]

    # Problems.

    def test_nothing_is_wrong_in_what_was_written(self, store: BaseMetadataStore) -> None:
        """Of a store that was written through `write` alone nothing is wrong; a step that read what
        it wrote is told. [8.17]

        On failure: a flavor that overrides `problems` counts rows that are as they should be: the
        simple types, nodes without properties, events without a path.
        """
        rows = _row(store)
        assert list(store.problems()) == []
        batch = Batch()
        batch.event(rows[ARTIFACT][2], rows[EXECUTION][2], EventType.INPUT)
        store.write(batch)
        found = [(each.kind, each.number) for each in store.problems()]
        assert found == [("lineage-cycle", 1)]
