"""Section 15 of the contract done wrong: deleting."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from metastore.base import Deleted
from metastore.memory import MemoryMetadataStore, Tables
from metastore.model import LinkKind, NodeKind

from ._mutant import mutant

Nodes = Mapping[NodeKind, Collection[int]]


@mutant("test_a_node_and_what_hangs_on_it")
class LeavesEvents(Tables):
    """Deletes nodes, and leaves their events."""

    def delete(self, nodes: Nodes) -> Deleted:
        events = dict(self.events)
        done = super().delete(nodes)
        self.events.update(events)
        return done


@mutant("test_a_node_and_what_hangs_on_it")
class LeavesParentLinks(Tables):
    """Deletes contexts, and leaves the links to their parents."""

    def delete(self, nodes: Nodes) -> Deleted:
        links = dict(self.links[LinkKind.PARENT])
        done = super().delete(nodes)
        self.links[LinkKind.PARENT].update(links)
        return done


@mutant("test_a_node_and_what_hangs_on_it")
class DeletesWhatHasTheId(Tables):
    """Takes the ids of one kind for those of all kinds."""

    def delete(self, nodes: Nodes) -> Deleted:
        ids = {id for some in nodes.values() for id in some}
        return super().delete(dict.fromkeys(NodeKind, ids))


@mutant("test_ids_are_never_given_again")
class NumbersFromTheHighest(Tables):
    """Gives the id behind the highest that is there."""

    def delete(self, nodes: Nodes) -> Deleted:
        done = super().delete(nodes)
        for kind in NodeKind:
            self._last_ids[kind] = max(self.nodes[kind], default=0)
        return done


@mutant("test_deleting_is_writing")
class DeletesWhileReading(MemoryMetadataStore):
    """Deletes through a store that is open for reading."""

    def delete(self, nodes: Nodes) -> Deleted:
        self._mode = "rw"
        return super().delete(nodes)


@mutant("test_all_kinds_at_once")
class CountsTwice(Tables):
    """Counts an event for its artifact and for its execution."""

    def delete(self, nodes: Nodes) -> Deleted:
        done = Deleted()
        for kind, ids in nodes.items():
            number = sum(
                1
                for artifact, execution, _ in self.events
                if (kind, artifact) in {(NodeKind.ARTIFACT, id) for id in ids}
                or (kind, execution) in {(NodeKind.EXECUTION, id) for id in ids}
            )
            done = done._replace(events=done.events + number)
        real = super().delete(nodes)
        return real._replace(events=done.events)
