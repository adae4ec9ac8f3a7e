"""Section 15 of the contract: deleting."""

from __future__ import annotations

import pytest

from metastore.base import BaseMetadataStore, Deleted
from metastore.batch import Batch, WrittenBatch
from metastore.errors import CapabilityError, ClosedError, ReadOnlyError
from metastore.model import EventType, LinkKind, NodeKind
from metastore.testing._base import (
    ALL_KINDS,
    ARTIFACT,
    CONTEXT,
    EXECUTION,
    INT,
    UNKNOWN_ID,
    ContractBase,
    MakeStore,
    Reopen,
    batch_with,
    events,
    ids,
    links,
    needs,
    put,
)
from metastore.testing._contents import contents


def _graph(store: BaseMetadataStore, count: int = 3) -> WrittenBatch:
    """Artifacts, executions and contexts, each linked with every other one."""
    batch: Batch = batch_with(a=INT)
    refs = {
        kind: [
            getattr(batch, kind.label)(
                "T",
                name=f"n{number}",
                external_id=f"x{number}",
                properties={"a": number},
                custom_properties={"c": "d"},
            )
            for number in range(count)
        ]
        for kind in NodeKind
    }
    for context in refs[CONTEXT]:
        for artifact in refs[ARTIFACT]:
            batch.attribution(context, artifact)
        for execution in refs[EXECUTION]:
            batch.association(context, execution)
    for execution in refs[EXECUTION]:
        for artifact in refs[ARTIFACT]:
            batch.event(artifact, execution, EventType.OUTPUT, path=["out", 1])
    for child, parent in zip(refs[CONTEXT], refs[CONTEXT][1:], strict=False):
        batch.parent(child, parent)
    return store.write(batch)


class DeleteContract(ContractBase):
    """Nodes are deleted with everything that hangs on them."""

    @ALL_KINDS
    def test_a_node_and_what_hangs_on_it(self, store: BaseMetadataStore, kind: NodeKind) -> None:
        """With a node go its properties, events and links; everything else stays. [15.1]

        On failure: look which table still has rows of the node: properties, paths of its events,
        links by either end. A row that went and should not have is one of another kind of node
        with the same id.
        """
        needs(store, "delete")
        written = _graph(store)
        gone = written.nodes[kind][1].id
        done = store.delete({kind: [gone]})
        kept = {each: [node.id for node in written.nodes[each]] for each in NodeKind}
        kept[kind].remove(gone)
        assert {each: ids(store, each) for each in NodeKind} == kept
        assert all(
            event.artifact_id in kept[ARTIFACT] and event.execution_id in kept[EXECUTION]
            for event in events(store)
        )
        assert len(events(store)) == len(kept[ARTIFACT]) * len(kept[EXECUTION])
        assert {event.path for event in events(store)} == {("out", 1)}
        contexts = set(kept[CONTEXT])
        assert links(store, LinkKind.ATTRIBUTION) == [
            (context, id) for context in sorted(contexts) for id in kept[ARTIFACT]
        ]
        assert links(store, LinkKind.ASSOCIATION) == [
            (context, id) for context in sorted(contexts) for id in kept[EXECUTION]
        ]
        first, second, third = (node.id for node in written.contexts)
        pairs = [(first, second), (second, third)]
        assert links(store, LinkKind.PARENT) == [pair for pair in pairs if contexts >= set(pair)]
        counts = {ARTIFACT: (1, 0, 0), EXECUTION: (0, 1, 0), CONTEXT: (0, 0, 1)}
        number = {ARTIFACT: 3, EXECUTION: 3, CONTEXT: 8}[kind]
        assert done == Deleted(*counts[kind], 0 if kind is CONTEXT else 3, number)

    def test_all_kinds_at_once(self, store: BaseMetadataStore) -> None:
        """Nodes of several kinds are deleted together; what hangs on two counts once. [15.1]

        On failure: an event whose artifact and execution both go was counted twice.
        """
        needs(store, "delete")
        empty = contents(store)
        written = _graph(store)
        wanted = {kind: [node.id for node in written.nodes[kind]] for kind in NodeKind}
        done = store.delete(wanted)
        assert done == Deleted(3, 3, 3, 9, 20)
        after = contents(store)
        assert {kind: ids(store, kind) for kind in NodeKind} == {kind: [] for kind in NodeKind}
        assert len(after) == len(empty)
        assert events(store) == []

    def test_what_is_not_there(self, store: BaseMetadataStore) -> None:
        """Ids that are not stored, or are none, are passed over; nothing at all is no error. [15.1]

        On failure: an id beyond 64 bits has to be left out before the backend sees it.
        """
        needs(store, "delete")
        written = _graph(store)
        before = contents(store)
        assert store.delete({}) == Deleted()
        assert store.delete({ARTIFACT: [], CONTEXT: [UNKNOWN_ID, 0, -1, 2**70]}) == Deleted()
        assert contents(store) == before
        id = written.artifacts[0].id
        assert store.delete({ARTIFACT: [id, id, UNKNOWN_ID]}).artifacts == 1
        assert store.delete({ARTIFACT: [id]}) == Deleted()

    @ALL_KINDS
    def test_ids_are_never_given_again(
        self, store: BaseMetadataStore, open_again: Reopen, kind: NodeKind
    ) -> None:
        """A node that is written after the last one was deleted has a higher id. [15.2, 1.3]

        On failure: the backend numbers on from the highest row that is there: keep the last id
        given apart from the rows (AUTOINCREMENT of SQLite, a sequence), also over a restart.
        """
        needs(store, "delete")
        last = _graph(store).nodes[kind][-1].id
        store.delete({kind: [last]})
        later = put(store, kind, name="later").id
        assert later > last
        store.delete({kind: [later]})
        again = open_again(store, "rw")
        assert put(again, kind, name="last").id > later

    def test_names_are_free_again(self, store: BaseMetadataStore) -> None:
        """Name and external id of what was deleted may be used again, and find nothing before.
        [15.2]

        On failure: an index, or a cache of names, still has the deleted node.
        """
        needs(store, "delete")
        written = _graph(store)
        for kind in NodeKind:
            store.delete({kind: [written.nodes[kind][0].id]})
            assert ids(store, kind, names=["n0"]) == []
            assert ids(store, kind, external_ids=["x0"]) == []
            put(store, kind, name="n0", external_id="x0", properties={"a": 7})
            assert len(ids(store, kind, names=["n0"])) == 1

    def test_many_at_once(self, store: BaseMetadataStore) -> None:
        """Thousands of nodes are deleted at once, with their events. [15.1]

        On failure: lists are to be cut into portions, or bound as one parameter.
        """
        needs(store, "delete")
        batch = batch_with(a=INT)
        ran = batch.execution("T")
        for number in range(5000):
            made = batch.artifact("T", properties={"a": number})
            batch.event(made, ran, EventType.OUTPUT, path=[number])
        written = store.write(batch)
        doomed = [node.id for node in written.artifacts[100:]]
        done = store.delete({ARTIFACT: doomed})
        assert (done.artifacts, done.events) == (4900, 4900)
        assert [event.path for event in events(store)] == [(number,) for number in range(100)]

    def test_deleting_is_writing(
        self, store: BaseMetadataStore, open_again: Reopen, new_store: MakeStore
    ) -> None:
        """A store that is open for reading, or closed, deletes nothing. [15.3]

        On failure: `delete` goes the way of `write`: the same checks before anything is done.
        """
        needs(store, "delete")
        written = _graph(store)
        wanted = {ARTIFACT: [written.artifacts[0].id]}
        reader = open_again(store, "r")
        before = contents(reader)
        with pytest.raises(ReadOnlyError):
            reader.delete(wanted)
        assert contents(reader) == before
        closed = new_store()
        closed.close()
        with pytest.raises(ClosedError):
            closed.delete(wanted)

    def test_without_the_capability(self, store: BaseMetadataStore) -> None:
        """A flavor that cannot delete says so, with its name and the capability's. [11.2, 15.3]

        On failure: inherit `delete`, or declare the capability.
        """
        if store.CAPABILITIES.delete:
            pytest.skip(f"flavor {store.FLAVOR!r} can delete")
        with pytest.raises(CapabilityError, match="delete") as raised:
            store.delete({ARTIFACT: [1]})
        assert store.FLAVOR in str(raised.value)
