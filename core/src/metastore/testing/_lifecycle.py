"""Sections 10 and 11 of the contract: open, close, modes, threads, capabilities."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import pytest

from metastore.base import BaseMetadataStore
from metastore.batch import Batch
from metastore.capabilities import Capabilities
from metastore.errors import (
    CapabilityError,
    ClosedError,
    ReadOnlyError,
)
from metastore.model import EventType, LinkKind, NodeKind
from metastore.query import EventQuery, Filter, LinkQuery, NodeQuery, TypeQuery
from metastore.testing._base import (
    ARTIFACT,
    CONTEXT,
    EXECUTION,
    INT,
    ContractBase,
    MakeStore,
    Reopen,
    batch_with,
    events,
    ids,
    needs,
    needs_transaction,
    prepare,
    put,
    types,
)
from metastore.testing._contents import compare_stores, contents

READS: list[Callable[[BaseMetadataStore], object]] = [
    lambda store: store.read_types(TypeQuery(ARTIFACT)),
    lambda store: store.read_nodes(NodeQuery(ARTIFACT)),
    lambda store: store.read_nodes(NodeQuery(CONTEXT, ids=[])),
    lambda store: store.read_events(EventQuery()),
    lambda store: store.read_links(LinkQuery(LinkKind.PARENT)),
    lambda store: store.count(NodeQuery(EXECUTION)),
    lambda store: list(store.iterate(NodeQuery(EXECUTION))),
    lambda store: store.find_nodes(NodeQuery(ARTIFACT)),
    lambda store: store.find_nodes(NodeQuery(CONTEXT, filter=Filter.parse(CONTEXT, "id > 0"))),
]


def _enter_transaction(store: BaseMetadataStore) -> None:
    with store.transaction():
        pass


def _all_ids(store: BaseMetadataStore) -> dict[str, list[int]]:
    """Every id that the store has given, by what has it; no events where they have none."""
    found = {f"{kind.label}s": ids(store, kind) for kind in NodeKind}
    found["types"] = [each.id for kind in NodeKind for each in types(store, kind).values()]
    found["events"] = [each.id for each in events(store) if each.id]
    return found


def _filled(store: BaseMetadataStore) -> None:
    batch = batch_with(a=INT)
    made = batch.artifact("T", uri="x", external_id="x", properties={"a": 1})
    ran = batch.execution("T", name="n", custom_properties={"s": {"t": [1.0]}})
    group, above = batch.context("T", name="group"), batch.context("T", name="above")
    batch.event(made, ran, EventType.OUTPUT, path=["out", 0])
    batch.attribution(group, made)
    batch.association(group, ran)
    batch.parent(group, above)
    store.write(batch)


class LifecycleContract(ContractBase):
    """Stores are opened, closed, opened again, and shared by threads."""

    def test_closing_twice_is_fine(self, store: BaseMetadataStore) -> None:
        """A store may be closed any number of times. [10.3]

        On failure: `close` must remember that it ran, and do nothing the second time.
        """
        prepare(store)
        store.close()
        store.close()

    @pytest.mark.parametrize("position", range(len(READS)))
    def test_reading_after_close(self, store: BaseMetadataStore, position: int) -> None:
        """Every read of a closed store is ClosedError. [10.3]

        On failure: each read must ask whether the store is closed before anything else, also where
        it could answer without the backend (an empty list). A pool or client that connects anew by
        itself hides the close.
        """
        prepare(store)
        store.close()
        with pytest.raises(ClosedError):
            READS[position](store)

    def test_writing_after_close(self, store: BaseMetadataStore) -> None:
        """Every write to a closed store, of an empty batch too, is ClosedError. [10.3]

        On failure: the default `write` gets the error from `transaction`. A `write` of your own
        that returns early for an empty batch must ask whether the store is closed first.
        """
        store.close()
        for batch in (Batch(), batch_with()):
            with pytest.raises(ClosedError):
                store.write(batch)

    def test_a_transaction_after_close(self, store: BaseMetadataStore) -> None:
        """A transaction on a closed store is ClosedError. [10.3]

        On failure: raise `ClosedError` when the block is entered, before a lock or connection is
        taken; the driver's "connection is closed" is not enough.
        """
        needs_transaction(store)
        store.close()
        with pytest.raises(ClosedError):
            _enter_transaction(store)

    def test_a_snapshot_after_close(self, store: BaseMetadataStore) -> None:
        """A snapshot of a closed store is ClosedError. [10.3]

        On failure: `snapshot` begins with the connection, or does nothing until the first read.
        Ask whether the store is closed when the block is entered: this one is empty.
        """
        needs(store, "snapshot")
        store.close()
        with pytest.raises(ClosedError), store.snapshot():
            pass

    def test_location(self, store: BaseMetadataStore) -> None:
        """The location is a URL with the flavor's scheme, open or closed. [10.3, 10.7]

        On failure: make `location` of the config, when the store is opened: a property that asks
        the connection fails after `close`. It begins with `FLAVOR` and "://".
        """
        before = store.location
        assert before.startswith(f"{store.FLAVOR}://")
        store.close()
        assert store.location == before

    def test_a_store_tells_itself_from_others(
        self, store: BaseMetadataStore, new_store: MakeStore
    ) -> None:
        """A store is the same as itself, and not the same as a store of other data, open or closed.
        [10.3, 10.9]

        On failure: compare in `is_same` what identifies the data (path, or host, database and
        schema), not the class; keep it when the store is closed. If the two stores are the same,
        `make_store` opened one place twice.
        """
        other = new_store()
        assert store.is_same(store)
        assert not store.is_same(other)
        assert not other.is_same(store)
        store.close()
        assert store.is_same(store)
        assert not store.is_same(other)
        assert not other.is_same(store)

    def test_a_store_that_is_opened_again_is_no_other(
        self, new_store: MakeStore, open_again: Reopen
    ) -> None:
        """A store that was opened again is the same as itself, never as one of other data. [10.9]

        On failure: `is_same` compares something that all stores lack which were opened again, such
        as a mark that is made with a new one: None of one is None of the other. Where it cannot be
        told, say False; whether the first store is the same may be either.
        """
        ones, others = ([made, open_again(made, "r")] for made in (new_store(), new_store()))
        for one_of, other in product(ones, others):
            assert one_of.is_same(other) is other.is_same(one_of) is False
        for first, again in (ones, others):
            assert again.is_same(again) is True
            assert again.is_same(first) in (True, False)

    def test_what_was_written_is_there_again(
        self, store: BaseMetadataStore, open_again: Reopen
    ) -> None:
        """All that was written is there after the store is closed and opened again. [10.4]

        On failure: `transaction` did not commit, or `open` empties what it finds. If nothing at all
        is there, `reopen` opens another place than `make_store` did.
        """
        _filled(store)
        before = contents(store)
        store.close()
        again = open_again(store, "rw")
        assert contents(again) == before
        put(again, ARTIFACT)
        assert len(ids(again, ARTIFACT)) == 2

    def test_ids_are_not_given_again(self, store: BaseMetadataStore, open_again: Reopen) -> None:
        """Ids go on from where they were when a store is opened again, and none is given twice.
        [1.3]

        On failure: a counter in memory began at 1 again, or at the number of rows: begin behind the
        highest stored id, of each kind of nodes, of types and of events. A part of the id that says
        which process gave it must rise from process to process.
        """
        _filled(store)
        last = store
        for name in ("second", "third"):
            before = _all_ids(last)
            last.close()
            last = open_again(store, "rw")
            assert _all_ids(last) == before
            batch = batch_with(name)
            made, ran = batch.artifact(name), batch.execution(name)
            batch.context(name, name=name)
            batch.event(made, ran, EventType.OUTPUT)
            last.write(batch)
            after = _all_ids(last)
            for what, given in before.items():
                new = set(after[what]) - set(given)
                assert len(after[what]) == len(given) + len(new)
                assert bool(new) is bool(given)
                assert min(new, default=1) > max(given, default=0), what

    def test_a_reading_store_reads(self, store: BaseMetadataStore, open_again: Reopen) -> None:
        """A store opened for reading reads everything. [10.2]

        On failure: something in mode "r" wants to write: tables or indexes that `open` makes, a
        temporary table for long lists, a lock. An account that may only read must be enough for
        every read.
        """
        _filled(store)
        reader = open_again(store, "r")
        assert compare_stores(store, reader) == []
        for reading in READS:
            reading(reader)

    def test_a_reading_store_does_not_write(
        self, store: BaseMetadataStore, open_again: Reopen
    ) -> None:
        """Writing to a store opened for reading, even an empty batch, is ReadOnlyError. [10.2]

        On failure: `transaction` must ask for the mode first. A `write` of your own must raise
        `ReadOnlyError` for an empty batch as well, before it looks what is in it.
        """
        _filled(store)
        before = contents(store)
        reader = open_again(store, "r")
        for batch in (Batch(), batch_with("New")):
            with pytest.raises(ReadOnlyError):
                reader.write(batch)
        assert contents(reader) == before == contents(store)

    def test_a_reading_store_has_no_transaction(
        self, store: BaseMetadataStore, open_again: Reopen
    ) -> None:
        """A transaction on a store opened for reading is ReadOnlyError. [10.2]

        On failure: raise when the block is entered, not at the first `apply`: the block of this
        test is empty, and one that only asks locks others out.
        """
        needs_transaction(store)
        reader = open_again(store, "r")
        with pytest.raises(ReadOnlyError):
            _enter_transaction(reader)

    def test_a_closed_reading_store_is_closed(
        self, store: BaseMetadataStore, open_again: Reopen
    ) -> None:
        """Writing to a store opened for reading and closed is ClosedError. [10.3]

        On failure: `ReadOnlyError` came, because the mode is asked for before the store is. Ask
        whether it is closed first.
        """
        reader = open_again(store, "r")
        reader.close()
        with pytest.raises(ClosedError):
            reader.write(Batch())

    # Threads.

    # What a flavor says of itself.

    def test_a_store_without_a_service(self, store: BaseMetadataStore) -> None:
        """Where the service is not the flavor's to make, it is there, and cannot be made. [11.4]

        On failure: you override `provision` or one of its kin without declaring
        `Capabilities(provision=True)`. Without a service leave them to the base class; they are
        asked of the class, with None for a config here.
        """
        if store.CAPABILITIES.provision:
            pytest.skip("the flavor has the capability")
        kind = type(store)
        assert kind.is_provisioned(None)
        assert kind.is_running(None)
        for call in (kind.provision, kind.deprovision, kind.suspend, kind.resume):
            with pytest.raises(CapabilityError, match="provision") as raised:
                call(None)
            assert kind.FLAVOR in str(raised.value)

    def test_the_class_is_complete(self, store: BaseMetadataStore) -> None:
        """The class has a well-formed FLAVOR and CAPABILITIES of its own. [11.1]

        On failure: `FLAVOR` is lower-case letters and digits with single hyphens between them, and
        `CAPABILITIES` an object of class `Capabilities`, no dict. `make_store` must give the store,
        no wrapper around it.
        """
        import re

        cls = type(store)
        assert isinstance(store, BaseMetadataStore)
        assert re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", cls.FLAVOR)
        assert isinstance(cls.CAPABILITIES, Capabilities)
        allowed = ("full", "nodes")
        assert cls.CAPABILITIES.atomic_batch in allowed

    def test_a_new_store_is_empty(self, store: BaseMetadataStore) -> None:
        """A new store holds no nodes, events and links. [1.11]

        On failure: `make_store` gave a store that another test had filled: use a new path, database
        or schema each time, or empty it. If it is new, `open` writes more than types.
        """
        found = contents(store)
        found.pop("types")
        assert found == {what: [] for what in found}
        assert len(found) == 1 + len(NodeKind) + len(LinkKind)

    def test_filters_after_close(self, store: BaseMetadataStore) -> None:
        """Finding and counting nodes by a filter is ClosedError once the store is closed. [10.3]

        On failure: check in `find_nodes` and `count` that the store is open, where the flavor
        overrides them.
        """
        prepare(store)
        put(store, ARTIFACT)
        query = NodeQuery(ARTIFACT, filter=Filter.parse(ARTIFACT, "id > 0"))
        assert store.count(query) == len(store.find_nodes(query)) == 1
        store.close()
        for read_it in (store.find_nodes, store.count):
            with pytest.raises(ClosedError):
                read_it(query)
