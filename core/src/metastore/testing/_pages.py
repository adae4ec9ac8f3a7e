"""Section 8 of the contract: order, pages, counting, snapshots."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from typing import Any

import pytest

from metastore.base import BaseMetadataStore, cursor_of
from metastore.batch import Batch, Merge
from metastore.errors import CapabilityError, InvalidError
from metastore.model import AnyNode, EventType, NodeKind, TypeKey
from metastore.query import Cursor, NodeQuery, OrderBy
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
    ids,
    needs,
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


class PageContract(ContractBase):
    """Lists keep their order over pages of any size."""

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
