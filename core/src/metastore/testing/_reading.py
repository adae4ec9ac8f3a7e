"""Section 8 of the contract: queries, order, pages and counts of nodes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import islice, pairwise
from typing import Any

import pytest

from metastore.base import BaseMetadataStore, cursor_of
from metastore.batch import Batch, Merge
from metastore.errors import CapabilityError, InvalidError
from metastore.model import AnyNode, EventType, LinkKind, NodeKind, TypeKey
from metastore.query import Cursor, NodeQuery, OrderBy, TypeQuery
from metastore.testing._base import (
    ALL_KINDS,
    ARTIFACT,
    CONTEXT,
    EXECUTION,
    INT,
    UNKNOWN_ID,
    ContractBase,
    add,
    batch_with,
    events,
    ids,
    links,
    needs,
    one_type,
    prepare,
    put,
    read,
    update,
)
from metastore.testing._contents import contents

ORDERS = pytest.mark.parametrize("order_by", list(OrderBy), ids=lambda order: order.value)
DIRECTIONS = pytest.mark.parametrize("descending", [False, True], ids=["up", "down"])

_TIMES = [50, 20, 50, 30, 20, 50, 20, 40, 50, 10, 20]
"""Create times with ties; update times go the other way."""


def _timed(store: BaseMetadataStore, kind: NodeKind) -> list[AnyNode]:
    """Nodes whose times, where they can be given, are no order of their ids."""
    batch = batch_with()
    for number, time in enumerate(_TIMES):
        add(
            batch,
            kind,
            name=f"n{number}",
            create_time_ms=time,
            update_time_ms=100 - time,
        )
    store.write(batch)
    return read(store, kind)


def _sorted(nodes: list[AnyNode], order_by: OrderBy, *, descending: bool) -> list[int]:
    found = sorted(nodes, key=lambda node: cursor_of(node, order_by), reverse=descending)
    return [node.id for node in found]


def _pages(store: BaseMetadataStore, query: NodeQuery) -> list[list[AnyNode]]:
    pages: list[list[AnyNode]] = []
    while True:
        page = list(store.read_nodes(query))
        pages.append(page)
        assert query.limit is not None
        assert len(page) <= query.limit
        # One that begins with the node behind which it should begin is read for ever.
        assert len(pages) <= 2 * len(_TIMES), "pages without end"
        if len(page) < query.limit:
            return pages
        query = replace(query, after=cursor_of(page[-1], query.order_by))


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

    # Order and pages.

    @ALL_KINDS
    @ORDERS
    @DIRECTIONS
    def test_order(
        self, store: BaseMetadataStore, kind: NodeKind, order_by: OrderBy, descending: bool
    ) -> None:
        """Nodes come in the order asked for; ties are ordered by id, in the same
        direction. [8.8]

        On failure: put the id behind the time in the ORDER BY, with the same direction for both. If
        only the order by time fails, look whether times are sorted as texts, or a sort of yours
        comes after the limit.
        """
        nodes = _timed(store, kind)
        expected = _sorted(nodes, order_by, descending=descending)
        assert ids(store, kind, order_by=order_by, descending=descending) == expected
        conditions: dict[str, Any] = {"names": [f"n{number}" for number in range(0, 11, 2)]}
        wanted = [node for node in nodes if node.name in conditions["names"]]
        assert ids(store, kind, order_by=order_by, descending=descending, **conditions) == _sorted(
            wanted, order_by, descending=descending
        )

    @ORDERS
    @DIRECTIONS
    @pytest.mark.parametrize("limit", [1, 2, 3, 5, 11, 12, 1000])
    def test_pages(
        self, store: BaseMetadataStore, order_by: OrderBy, descending: bool, limit: int
    ) -> None:
        """Pages of any size, one behind the other, give each node once, in order. [8.9]

        On failure: what is behind the cursor is `value > v OR (value = v AND id > i)`, with `<` for
        both when descending. Ties get lost or repeated where the id is not compared; short pages
        come from a cap of the backend.
        """
        nodes = _timed(store, EXECUTION)
        query = NodeQuery(EXECUTION, order_by=order_by, descending=descending, limit=limit)
        pages = _pages(store, query)
        found = [node.id for page in pages for node in page]
        assert found == _sorted(nodes, order_by, descending=descending)
        assert [len(page) for page in pages[:-1]] == [limit] * (len(nodes) // limit)

    @ORDERS
    @DIRECTIONS
    def test_pages_with_conditions(
        self, store: BaseMetadataStore, order_by: OrderBy, descending: bool
    ) -> None:
        """Pages of a query with conditions hold nodes that fulfil them, and full pages. [8.9]

        On failure: `read_nodes` applies `limit` before the other conditions, for instance because
        it drops nodes of a page in Python. Put all conditions into the request, or read on until
        the page is full.
        """
        nodes = _timed(store, ARTIFACT)
        batch = Batch()
        group = batch.context("T", name="group")
        members = [node for node in nodes if node.id % 3]
        for node in members:
            batch.attribution(group, node.id)
        group_id = store.write(batch)[group].id
        query = NodeQuery(
            ARTIFACT,
            type=TypeKey(ARTIFACT, "T"),
            context_ids=[group_id],
            order_by=order_by,
            descending=descending,
            limit=3,
        )
        found = [node.id for page in _pages(store, query) for node in page]
        assert found == _sorted(members, order_by, descending=descending)

    @DIRECTIONS
    def test_limits(self, store: BaseMetadataStore, descending: bool) -> None:
        """A limit of 0 gives nothing, a large one all; behind the last node is nothing. [8.9]

        On failure: 0 is a limit: write `if query.limit is not None`. Where 2^31 overflows, cap what
        you send to the backend; behind the last node the answer is an empty list, no error.
        """
        nodes = _timed(store, CONTEXT)
        assert read(store, CONTEXT, limit=0, descending=descending) == []
        assert len(read(store, CONTEXT, limit=2**31, descending=descending)) == len(nodes)
        last = nodes[0] if descending else nodes[-1]
        after = cursor_of(last, OrderBy.ID)
        assert read(store, CONTEXT, after=after, descending=descending) == []
        assert read(store, CONTEXT, after=after, descending=descending, limit=5) == []

    def test_large_pages_are_whole(self, store: BaseMetadataStore) -> None:
        """A page of thousands is not cut short, nor are its properties. [8.9]

        On failure: the backend returns fewer rows than it was asked for (100 or 1000 are usual
        caps), or cuts the rows of properties, 4000 here. Follow its page tokens until you have
        `limit` nodes.
        """
        count = 2100
        batch = batch_with(a=INT)
        for number in range(count):
            batch.artifact("T", properties={"a": number}, custom_properties={"a": -number})
        store.write(batch)
        page = read(store, ARTIFACT, limit=2000)
        assert [(node.properties, node.custom_properties) for node in page] == [
            ({"a": number}, {"a": -number}) for number in range(2000)
        ]
        assert len(read(store, ARTIFACT, after=cursor_of(page[-1], OrderBy.ID), limit=2000)) == 100

    @ORDERS
    def test_a_cursor_needs_no_node(self, store: BaseMetadataStore, order_by: OrderBy) -> None:
        """A cursor is a place in the order; no node need be there. [8.10]

        On failure: use only `value` and `id` of the `Cursor`: a search for the node, or for its
        time, finds nothing here. Compare the two as a pair, in 64 bits with a sign.
        """
        _timed(store, ARTIFACT)
        for descending in (False, True):
            for value in (-1, 0, 15, 20, 35, 50, 2**62):
                for id in (0, 3, UNKNOWN_ID):
                    place = Cursor(id if order_by is OrderBy.ID else value, id)
                    found = read(
                        store, ARTIFACT, order_by=order_by, descending=descending, after=place
                    )
                    cursors = [cursor_of(node, order_by) for node in found]
                    everything = [cursor_of(node, order_by) for node in read(store, ARTIFACT)]
                    assert sorted(cursors, reverse=descending) == cursors
                    assert set(cursors) == {
                        each
                        for each in everything
                        if (each < place if descending else each > place)
                    }

    @ORDERS
    @DIRECTIONS
    def test_pages_stay_put_while_others_write(
        self, store: BaseMetadataStore, order_by: OrderBy, descending: bool
    ) -> None:
        """Nodes inserted between two pages neither repeat nor hide those that were there. [8.10]

        On failure: the page is found by counting (OFFSET, a page number, a token that holds one).
        Nodes that come in front move all others: start from `query.after` instead.
        """
        before = {node.id for node in _timed(store, ARTIFACT)}
        query = NodeQuery(ARTIFACT, order_by=order_by, descending=descending, limit=3)
        found: list[int] = []
        for number in range(100):
            page = list(store.read_nodes(query))
            found += [node.id for node in page]
            if len(page) < 3:
                break
            query = replace(query, after=cursor_of(page[-1], order_by))
            # In front of what was read, in it, and behind it: at most one a page of each.
            if number < 3:
                batch = Batch()
                for time in (1, 20, 35, 50, 99):
                    batch.artifact("T", create_time_ms=time, update_time_ms=100 - time)
                store.write(batch)
        assert len(found) == len(set(found))
        assert before <= set(found)

    def test_an_update_does_not_disturb_pages_by_id(self, store: BaseMetadataStore) -> None:
        """Nodes updated between two pages by id or create time come once. [8.10]

        On failure: an update moved the node: it was deleted and inserted anew, or rows come in the
        order of storage. Sort by the order that was asked for, and do not write the create time in
        an update.
        """
        for order_by in (OrderBy.ID, OrderBy.CREATE_TIME):
            kind = ARTIFACT if order_by is OrderBy.ID else EXECUTION
            nodes = _timed(store, kind)
            query = NodeQuery(kind, order_by=order_by, limit=4)
            found: list[int] = []
            for number in range(3):
                page = list(store.read_nodes(query))
                found += [node.id for node in page]
                query = replace(query, after=cursor_of(page[-1], order_by))
                for node in nodes:
                    update(store, kind, Merge(node.id), custom_properties={"n": number})
            assert found == _sorted(nodes, order_by, descending=False)

    # Counting and iterating.

    @ALL_KINDS
    def test_counts(self, store: BaseMetadataStore, kind: NodeKind) -> None:
        """A count is the number of nodes that fulfil the conditions, whatever the page. [8.11]

        On failure: your `count` uses `query.after` or `query.limit`, or counts rows of a join
        (`COUNT(DISTINCT id)`). If you do not override it, it reads all pages of `read_nodes`, one
        of which was short or came twice.
        """
        assert store.count(NodeQuery(kind)) == 0
        nodes = _timed(store, kind)
        assert store.count(NodeQuery(kind)) == 11
        assert store.count(NodeQuery(kind, names=["n1", "n3", "none"])) == 2
        assert store.count(NodeQuery(kind, type_names=["T"])) == 11
        assert store.count(NodeQuery(kind, type=TypeKey(kind, "none"))) == 0
        after = cursor_of(nodes[5], OrderBy.CREATE_TIME)
        for descending in (False, True):
            query = NodeQuery(
                kind, order_by=OrderBy.CREATE_TIME, descending=descending, after=after, limit=2
            )
            assert store.count(query) == 11
            assert store.count(replace(query, names=["n1"], limit=0)) == 1

    @ORDERS
    @DIRECTIONS
    def test_iterating(self, store: BaseMetadataStore, order_by: OrderBy, descending: bool) -> None:
        """Iterating gives all nodes of a query, up to its limit, whatever the page size. [8.11]

        On failure: `iterate` reads on from `cursor_of` the last node, and stops at a page that is
        shorter than it asked for: look at `read_nodes` with `after` and small limits. An `iterate`
        of your own ends at `query.limit`.
        """
        nodes = _timed(store, ARTIFACT)
        expected = _sorted(nodes, order_by, descending=descending)
        query = NodeQuery(ARTIFACT, order_by=order_by, descending=descending)
        for page_size in (1, 3, 11, 1000):
            # One more than there are, at most: a page may begin where it began before, for ever.
            found = islice(store.iterate(query, page_size=page_size), len(nodes) + 1)
            assert [node.id for node in found] == expected
            for limit in (0, 1, 3, 7, 11, 12):
                limited = store.iterate(replace(query, limit=limit), page_size=page_size)
                assert [node.id for node in limited] == expected[:limit]
        after = cursor_of(next(node for node in nodes if node.id == expected[4]), order_by)
        rest = store.iterate(replace(query, after=after), page_size=2)
        assert [node.id for node in islice(rest, len(nodes))] == expected[5:]

    def test_page_sizes(self, store: BaseMetadataStore) -> None:
        """A page size below 1 is InvalidError. [8.11]

        On failure: only an `iterate` of your own can fail here: it must raise `InvalidError` for a
        page size below 1, not read for ever.
        """
        with pytest.raises(InvalidError):
            list(store.iterate(NodeQuery(ARTIFACT), page_size=0))

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

    # Snapshots.

    def test_a_snapshot_is_one_state(self, store: BaseMetadataStore) -> None:
        """Reads inside a snapshot see one state, though another thread writes meanwhile. [8.15]

        On failure: inside the block all reads of this thread, `count` too, must use one connection
        and one transaction with repeatable reads. The writer of the other thread may wait for the
        block, but not run into its timeout.
        """
        from concurrent.futures import ThreadPoolExecutor

        needs(store, "snapshot")
        prepare(store)
        put(store, ARTIFACT)
        with ThreadPoolExecutor(1) as pool:
            with store.snapshot():
                before = ids(store, ARTIFACT)
                writing = pool.submit(put, store, ARTIFACT)
                for _ in range(50):
                    assert ids(store, ARTIFACT) == before
                    assert store.count(NodeQuery(ARTIFACT)) == 1
            writing.result()
        assert len(ids(store, ARTIFACT)) == 2

    def test_a_snapshot_needs_the_capability(self, store: BaseMetadataStore) -> None:
        """Without the capability, a snapshot is CapabilityError that names the flavor.
        [8.15, 11.2]

        On failure: the base class raises this. If you override `snapshot`, declare
        `Capabilities(snapshot=True)`; if it comes from a mixin, raise with the flavor's name in the
        message.
        """
        if store.CAPABILITIES.snapshot:
            pytest.skip("the flavor has the capability")
        with pytest.raises(CapabilityError, match=store.FLAVOR), store.snapshot():
            pass

    def test_a_snapshot_holds_links_too(self, store: BaseMetadataStore) -> None:
        """A snapshot is one state of types, events and links as well as of nodes. [8.15]

        On failure: see that every read inside the block goes over the one connection, or to the one
        version, that `snapshot` has begun, also those of types, events and links.
        """
        from concurrent.futures import ThreadPoolExecutor

        if not store.CAPABILITIES.snapshot:
            pytest.skip(f"flavor {store.FLAVOR!r} declares snapshot = not True")

        def write(name: str) -> None:
            batch = batch_with(name)
            made, ran = batch.artifact(name), batch.execution(name)
            group, above = batch.context(name, name=name), batch.context(name, name=f"{name} above")
            batch.event(made, ran, EventType.OUTPUT)
            batch.attribution(group, made)
            batch.association(group, ran)
            batch.parent(group, above)
            store.write(batch)

        write("before")
        with ThreadPoolExecutor(1) as pool:
            with store.snapshot():
                before = contents(store)
                writing = pool.submit(write, "meanwhile")
                for _ in range(20):
                    assert contents(store) == before
            writing.result()
        after = contents(store)
        assert all(len(after[what]) > len(before[what]) for what in before)
