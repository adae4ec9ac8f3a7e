"""Section 10 of the contract: threads, and stores that are open at once."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from threading import Barrier
from typing import Any

import pytest

from metastore.base import BaseMetadataStore
from metastore.batch import Batch, Merge, Outcome, Reuse
from metastore.errors import (
    BusyError,
    ConflictError,
    MetastoreError,
)
from metastore.model import EventType, LinkKind
from metastore.rules import Planner
from metastore.testing._base import (
    ARTIFACT,
    CONTEXT,
    EXECUTION,
    INT,
    ContractBase,
    Reopen,
    artifact,
    batch_with,
    events,
    ids,
    links,
    needs_transaction,
    one,
    prepare,
    put,
    read,
    refuse,
    types,
    update,
)
from metastore.testing._contents import compare_stores


class ThreadContract(ContractBase):
    """Threads share a store, and stores their data."""

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

    def test_a_transaction_keeps_other_stores_out(
        self, store: BaseMetadataStore, open_again: Reopen
    ) -> None:
        """Of what two stores over the same data write at once, nothing acknowledged is lost. [7.10]

        On failure: both writers planned on the same rows, and one wrote over what the other wrote.
        Take a lock that other stores and processes respect before the first `lookup`, until the
        transaction ends (`exclusive` of a plain store), or notice that others were faster.
        """
        needs_transaction(store)
        prepare(store)
        other = open_again(store, "rw")
        batch = Batch()
        ref = batch.artifact("T", name="inside")
        planner = Planner(batch)
        acknowledged: dict[str, int] = {}

        def write_beside() -> None:
            with suppress(BusyError):
                acknowledged["beside"] = put(other, ARTIFACT, name="beside").id

        # Suppressed: it was noticed that somebody else was faster.
        with ThreadPoolExecutor(1) as pool, suppress(BusyError, ConflictError):
            with store.transaction() as transaction:
                changes = planner.run(transaction.lookup)
                # Who waits for the transaction is not done; who does not, is at once.
                wait([pool.submit(write_beside)], timeout=0.5)
                applied = transaction.apply(changes)
            acknowledged["inside"] = planner.written(applied)[ref].id
        assert acknowledged, "neither of the two could write"
        for each in (store, other, open_again(store, "r")):
            found = {node.name: node.id for node in read(each, ARTIFACT)}
            assert found == acknowledged

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
