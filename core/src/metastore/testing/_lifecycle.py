"""Sections 10 and 11 of the contract: open, close, modes, threads, capabilities."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from threading import Barrier
from typing import Any

import pytest

from metastore.base import BaseMetadataStore
from metastore.batch import Batch, Merge, Outcome, Reuse
from metastore.capabilities import Capabilities
from metastore.errors import (
    BusyError,
    CapabilityError,
    ClosedError,
    ConflictError,
    MetastoreError,
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
    artifact,
    batch_with,
    events,
    ids,
    links,
    needs,
    needs_transaction,
    one,
    prepare,
    put,
    read,
    refuse,
    types,
    update,
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

    def test_two_stores_over_the_same_data(
        self, store: BaseMetadataStore, open_again: Reopen
    ) -> None:
        """What one store writes, another that is open over the same data sees, and the reverse.
        [10.4]

        On failure: a cache of types in one store did not see what the other wrote: check it against
        the backend when a transaction begins. A read that leaves its transaction open sees an old
        state, too.
        """
        other = open_again(store, "rw")
        prepare(store)
        put(store, ARTIFACT, name="first")
        assert [node.name for node in read(other, ARTIFACT)] == ["first"]
        batch = batch_with("U")
        batch.artifact("U", name="second")
        other.write(batch)
        assert put(store, ARTIFACT, "U", name="third").outcome is Outcome.CREATED
        batch = Batch()
        batch.type(ARTIFACT, "T", {"new": INT}, can_add_properties=True)
        other.write(batch)
        put(store, ARTIFACT, name="fourth", properties={"new": 1})
        assert compare_stores(store, other) == []
        assert [node.name for node in read(other, ARTIFACT)] == [
            "first",
            "second",
            "third",
            "fourth",
        ]

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

    def test_a_reading_store_sees_what_others_write(
        self, store: BaseMetadataStore, open_again: Reopen
    ) -> None:
        """A store opened for reading sees what is written afterwards. [10.4]

        On failure: the reading store keeps its first state: a transaction that is not ended after a
        read, an option such as `immutable`, or types that were read once at `open`.
        """
        prepare(store)
        reader = open_again(store, "r")
        assert ids(reader, ARTIFACT) == []
        id = put(store, ARTIFACT).id
        assert ids(reader, ARTIFACT) == [id]
        batch = batch_with("U")
        store.write(batch)
        assert set(types(reader, ARTIFACT)) == {"T", "U"}

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

    def test_closing_one_store_leaves_the_others(
        self, store: BaseMetadataStore, open_again: Reopen
    ) -> None:
        """Closing a store leaves another one over the same data open. [10.8]

        On failure: stores over the same data share a connection, an engine or a server, and `close`
        ends it for all. Count who uses it, or give each store its own.
        """
        other = open_again(store, "rw")
        prepare(store)
        store.close()
        put(other, ARTIFACT)
        assert len(ids(other, ARTIFACT)) == 1

    # Threads.

    def test_threads_share_a_store(self, store: BaseMetadataStore) -> None:
        """Eight threads write nodes of their own and read all: nothing is lost or mixed
        up. [10.5]

        On failure: two threads used one connection at once: give each its own, or lock. If paths or
        names are mixed up, an id was read after another thread's insert (`lastrowid` of a shared
        cursor); `BusyError` means too short a timeout.
        """
        prepare(store, a=INT)
        workers, rounds = 8, 12
        barrier = Barrier(workers)

        def work(worker: int) -> list[tuple[int, str]]:
            barrier.wait(timeout=60)
            made = []
            for number in range(rounds):
                batch = Batch()
                name = f"{worker}-{number}"
                artifact = batch.artifact("T", name=name, properties={"a": worker})
                execution = batch.execution("T", name=name, properties={"a": worker})
                group = batch.context("T", name=f"of {worker}", mode=Reuse("name"))
                batch.event(artifact, execution, EventType.OUTPUT, path=[name])
                batch.attribution(group, artifact)
                written = store.write(batch)
                id = written[artifact].id
                made.append((id, name))
                [node] = read(store, ARTIFACT, ids=[id])
                assert (node.name, node.properties) == (name, {"a": worker})
                own = read(store, ARTIFACT, context_ids=[written[group].id])
                assert [each.name for each in own] == [f"{worker}-{n}" for n in range(number + 1)]
            return made

        with ThreadPoolExecutor(workers) as pool:
            futures = [pool.submit(work, worker) for worker in range(workers)]
            made = dict(pair for future in futures for pair in future.result())
        assert {node.id: node.name for node in read(store, ARTIFACT)} == made
        assert len(made) == workers * rounds
        assert len(read(store, CONTEXT)) == workers
        names = {node.id: node.name for node in read(store, EXECUTION)}
        found = events(store)
        assert len(found) == workers * rounds
        for event in found:
            assert event.path == (made[event.artifact_id],) == (names[event.execution_id],)
        assert len(links(store, LinkKind.ATTRIBUTION)) == workers * rounds

    def test_threads_reuse_one_node(self, store: BaseMetadataStore) -> None:
        """Threads that reuse the same node by name end with one, created once. [10.5, 4.17]

        On failure: two transactions asked for the name before either wrote it. `transaction` must
        be exclusive from its first `lookup`; a unique index alone makes an error of it, after which
        the whole block has to start over.
        """
        prepare(store)
        workers = 6
        barrier = Barrier(workers)

        def work() -> Any:
            barrier.wait(timeout=60)
            return put(store, CONTEXT, name="shared", mode=Reuse("name"))

        with ThreadPoolExecutor(workers) as pool:
            written = [future.result() for future in [pool.submit(work) for _ in range(workers)]]
        assert len({each.id for each in written}) == 1
        assert [each.outcome for each in written].count(Outcome.CREATED) == 1
        assert len(read(store, CONTEXT)) == 1

    def test_two_stores_write_at_once(self, store: BaseMetadataStore, open_again: Reopen) -> None:
        """Two stores over the same data, each in a thread of its own, lose nothing. [10.4, 10.5]

        On failure: the lock is one of the process or of the object: it keeps out the other threads
        of a store, not those of another store. Lock in the backend from the first `lookup` on, or
        notice when you commit that somebody was faster, and raise `BusyError`: this test tries
        again.
        """
        prepare(store)
        stores = {"one": store, "other": open_again(store, "rw")}
        rounds = 10
        barrier = Barrier(len(stores))

        def write(writer: BaseMetadataStore, batch: Batch) -> None:
            last = time.monotonic() + 60
            while True:
                try:
                    writer.write(batch)
                    return
                except BusyError:
                    if time.monotonic() > last:
                        raise

        def work(name: str) -> None:
            barrier.wait(timeout=60)
            for number in range(rounds):
                batch = Batch()
                made = batch.artifact("T", name=f"{name} {number}")
                group = batch.context("T", name=f"group {number}", mode=Reuse("name"))
                batch.attribution(group, made)
                write(stores[name], batch)

        with ThreadPoolExecutor(len(stores)) as pool:
            for future in [pool.submit(work, name) for name in stores]:
                future.result()
        names = {f"{name} {number}" for name in stores for number in range(rounds)}
        for each in stores.values():
            assert sorted(str(node.name) for node in read(each, ARTIFACT)) == sorted(names)
            groups = [node.name for node in read(each, CONTEXT)]
            assert sorted(map(str, groups)) == sorted({f"group {n}" for n in range(rounds)})
            assert len(links(each, LinkKind.ATTRIBUTION)) == len(names)
        assert compare_stores(*stores.values()) == []

    def test_readers_see_whole_batches(self, store: BaseMetadataStore) -> None:
        """A reader sees all nodes and events of a batch or none, each whole, while another thread
        writes. [7.3, 8.12]

        On failure: a reader saw half a batch: inserts are committed one by one, or `read_nodes`
        reads a long answer, or nodes and then their properties, in several requests that are no one
        state. Commit once, at the end of the block, and read each answer in one transaction.
        """
        prepare(store, a=INT)
        size, batches = 7, 15

        def write() -> None:
            for _ in range(batches):
                batch = Batch()
                ran = batch.execution("T", properties={"a": 1})
                for _ in range(size):
                    made = batch.artifact("T", properties={"a": 1}, custom_properties={"p": "q"})
                    batch.event(made, ran, EventType.OUTPUT, path=["out", 0])
                store.write(batch)

        with ThreadPoolExecutor(1) as pool:
            writing = pool.submit(write)
            while True:
                done = writing.done()
                told = events(store)
                found = read(store, ARTIFACT)
                ran = read(store, EXECUTION)
                # What is read later may be more, and never less.
                after = events(store)
                assert len(told) % size == len(found) % size == len(after) % size == 0
                assert len(told) <= len(found) <= size * len(ran)
                assert {each.path for each in after} <= {("out", 0)}
                assert all(node.custom_properties == {"p": "q"} for node in found)
                assert all(node.properties == {"a": 1} for node in [*found, *ran])
                artifacts, executions = {node.id for node in found}, {node.id for node in ran}
                assert {each.artifact_id for each in told} <= artifacts
                assert {each.execution_id for each in told} <= executions
                assert artifacts <= {each.artifact_id for each in after}
                if done:
                    break
            writing.result()
        assert len(told) == len(found) == size * batches

    def test_errors_in_threads_stay_there(self, store: BaseMetadataStore) -> None:
        """A batch refused in one thread harms no other thread's. [9.6, 10.5]

        On failure: a rollback on a connection that threads share takes the batch of another thread
        with it. Failing blocks must let go of their lock, too, or the others wait for ever.
        """
        prepare(store)
        workers = 6
        barrier = Barrier(workers)

        def work(worker: int) -> int:
            barrier.wait(timeout=60)
            for number in range(8):
                batch = Batch()
                batch.artifact("T", name=f"{worker}-{number}")
                if worker % 2:
                    batch.artifact("nowhere")
                    with pytest.raises(MetastoreError):
                        store.write(batch)
                else:
                    store.write(batch)
            return worker

        with ThreadPoolExecutor(workers) as pool:
            for future in [pool.submit(work, worker) for worker in range(workers)]:
                future.result()
        names = {node.name for node in read(store, ARTIFACT)}
        assert names == {f"{w}-{n}" for w in range(0, workers, 2) for n in range(8)}

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

    def test_a_store_sees_the_updates_of_others(
        self, store: BaseMetadataStore, open_again: Reopen
    ) -> None:
        """A node that another store over the same data updates is read as it is by then, and an
        update that expects the old time is ConflictError. [4.11, 10.4]

        On failure: look for nodes that the store keeps between two reads, such as the identity map
        of an ORM's session: end the session, or expire what it holds, with every call.
        """
        other = open_again(store, "rw")
        prepare(store, a=INT)
        id = put(store, ARTIFACT, name="n", uri="old", properties={"a": 1}).id
        seen = one(other, ARTIFACT, id).update_time_ms
        mode = Merge(id, frozenset({"uri", "external_id"}))
        update(store, ARTIFACT, mode, uri="new", external_id="x", properties={"a": 2})
        node = artifact(other, id)
        assert (node.uri, node.external_id, node.properties) == ("new", "x", {"a": 2})
        assert ids(other, ARTIFACT, uris=["old"]) == []
        assert ids(other, ARTIFACT, uris=["new"]) == [id]
        batch = Batch()
        batch.artifact(mode=Merge(id, expected_update_time_ms=seen), properties={"a": 3})
        refuse(other, batch, ConflictError, kind="artifact", index=0)
        update(other, ARTIFACT, Merge(id), properties={"a": 4})
        assert one(store, ARTIFACT, id).properties == {"a": 4}
