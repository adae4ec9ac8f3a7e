"""Whether one store holds what another one does."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import zip_longest

from metastore.base import BaseMetadataStore
from metastore.model import (
    NODE_KINDS,
    AnyNode,
    Event,
    EventType,
    LinkKind,
    NodeKind,
    PropertyKind,
    Type,
    TypeKey,
)
from metastore.query import EventQuery, LinkQuery, NodeQuery
from metastore.transfer._content import differing, repaired
from metastore.transfer._ids import Ids
from metastore.transfer._report import Differences
from metastore.transfer._selection import Selection
from metastore.transfer._types import types_of

__all__ = ["Comparison", "compare"]

PAGE = 1000
"""Nodes that are compared at once."""

Progress = Callable[[str, int, int], None]
"""Called with what is done, how much of it, and how much there is of it in all."""

_LINK_OF = {
    NodeKind.ARTIFACT: LinkKind.ATTRIBUTION,
    NodeKind.EXECUTION: LinkKind.ASSOCIATION,
    NodeKind.CONTEXT: LinkKind.PARENT,
}


def compare(
    left: BaseMetadataStore,
    right: BaseMetadataStore,
    *,
    page_size: int = PAGE,
    progress: Progress | None = None,
) -> Differences:
    """What two stores hold differently; ids aside, which differ in stores that were copied.

    Nodes belong together by their order: the first artifact of one store is the first of the other.
    Memory is bounded by a page of nodes and 32 bytes for each node.

    Parameters
    ----------
    left, right:
        The stores, open; the right one is the copy, if one is: times and doubles are compared as
        far as it can be given them.
    page_size:
        Nodes that are read at once.
    progress:
        Called with what is done, how much of it, and how much there is of it in all.
    """
    comparison = Comparison(left, right, Ids(), page_size=page_size, progress=progress)
    comparison.match()
    comparison.run()
    return comparison.found


class Comparison:
    """The comparison of what `ids` say belongs together; `found` is what differs.

    What the right store holds beside is no difference: it may have been there before.  Between two
    nodes that belong to nodes of the left one, it is.
    """

    def __init__(
        self,
        left: BaseMetadataStore,
        right: BaseMetadataStore,
        ids: Ids,
        *,
        page_size: int = PAGE,
        progress: Progress | None = None,
        lenient_types: Iterable[TypeKey] = (),
        without_parents: Iterable[tuple[int, int]] = (),
        selection: Selection | None = None,
    ) -> None:
        self.found = Differences()
        self._left, self._right, self._ids = left, right, ids
        self._page_size = page_size
        self._progress = progress
        self._lenient = set(lenient_types)
        self._without = set(without_parents)
        self._selection = selection or Selection(left)
        # A store of times of its own says them truly: it is the other one that has to keep them.
        self._times = right.CAPABILITIES.given_times
        self._exact = right.CAPABILITIES.exact_doubles
        self._types: dict[int, Type] = {}
        self._keys: dict[int, TypeKey] = {}

    def match(self) -> None:
        """Let nodes belong together by their order; tell where one store has more."""
        for kind in NODE_KINDS:
            counts = [0, 0]
            left = (node.id for node in self._left.iterate(NodeQuery(kind)))
            right = (node.id for node in self._right.iterate(NodeQuery(kind)))
            for one, other in zip_longest(left, right):
                counts[0] += one is not None
                counts[1] += other is not None
                if one is not None and other is not None:
                    self._ids[kind].add(one, other)
            if counts[0] != counts[1]:
                self.found.add(f"{kind.label}s: {counts[0]} on one side, {counts[1]} on the other")

    def run(self) -> None:
        """Compare."""
        self._compare_types()
        selection = self._selection
        # From the other side than where they were copied from; of a part, from where it is whole.
        by = NodeKind.ARTIFACT if selection.is_all else NodeKind.EXECUTION
        total = len(self._ids) if selection.is_all else sum(map(selection.count, NODE_KINDS))
        done = 0
        for kind in (NodeKind.CONTEXT, NodeKind.ARTIFACT, NodeKind.EXECUTION):
            for pairs in selection.pairs(self._ids[kind], kind, self._page_size):
                self._compare_nodes(kind, pairs)
                self._compare_links(_LINK_OF[kind], pairs)
                if kind is by:
                    self._compare_events(by, pairs)
                done += len(pairs)
                if self._progress:
                    self._progress("compare", done, total)

    def _compare_types(self) -> None:
        here, there = types_of(self._left), types_of(self._right)
        stored = {each.key: each for each in reversed(there)}
        self._keys = {each.id: each.key for each in there}
        declared: dict[TypeKey, dict[str, PropertyKind]] = {}
        for each in here:
            declared.setdefault(each.key, {}).update(each.properties)
        for each in here:
            other = stored.get(each.key)
            label = f"{each.kind.label} type {str(each.key)!r}"
            if other is None:
                self.found.add(f"{label} is missing")
                continue
            lenient = each.key in self._lenient
            own, others = declared[each.key], dict(other.properties)
            if lenient:
                others = {name: kind for name, kind in others.items() if name in own}
            if own != others:
                self.found.add(f"{label} declares other properties")
            if not lenient:
                for what, one, two in (
                    ("description", each.description, other.description),
                    ("base type", each.base_type, other.base_type),
                    ("external id", each.external_id, other.external_id),
                    ("input type", each.input_type, other.input_type),
                    ("output type", each.output_type, other.output_type),
                ):
                    if one != two:
                        self.found.add(f"{label} has another {what}")
        for each in here:
            # Of two types of one key, nodes may have what only the other one declares.
            self._types[each.id] = replace(each, properties=declared[each.key])

    def _compare_nodes(self, kind: NodeKind, pairs: Sequence[tuple[int, int]]) -> None:
        left = self._nodes(self._left, kind, [one for one, _ in pairs])
        right = self._nodes(self._right, kind, [other for _, other in pairs])
        merged = self._ids[kind].merged
        for one, other in pairs:
            label = f"{kind.label} {one} ({other} in the other store)"
            here, there = left.get(one), right.get(other)
            if here is None or there is None:
                if here is not None:
                    self.found.add(f"{label} is missing there")
                continue
            type = self._types.get(here.type_id)
            if type is not None:
                here = repaired(here, type).node
                if self._keys.get(there.type_id) != type.key:
                    self.found.add(f"{label} is of another type")
                    continue
            fields = differing(
                here, there, times=self._times and one not in merged, exact_doubles=self._exact
            )
            if fields:
                self.found.add(f"{label} differs in: {', '.join(fields)}")

    @staticmethod
    def _nodes(store: BaseMetadataStore, kind: NodeKind, ids: list[int]) -> dict[int, AnyNode]:
        return {node.id: node for node in store.read_nodes(NodeQuery(kind, ids=ids))}

    def _compare_links(self, kind: LinkKind, pairs: Sequence[tuple[int, int]]) -> None:
        contexts, others = self._ids[NodeKind.CONTEXT], self._ids[kind.other]
        without = self._without if kind is LinkKind.PARENT else ()
        expected = set()
        for link in self._read_links(self._left, kind, [one for one, _ in pairs]):
            context, other = contexts.get(link[0]), others.get(link[1])
            if context is not None and other is not None and link not in without:
                expected.add((context, other))
        stored = self._read_links(self._right, kind, [other for _, other in pairs])
        for context, other in sorted(expected - stored):
            self.found.add(
                f"the {kind.label} of context {context} and {kind.other.label} {other} of the "
                "other store is missing there"
            )
        for context, other in sorted(stored - expected):
            if contexts.has_target(context) and others.has_target(other):
                self.found.add(
                    f"the other store has {_an(kind.label)} of context {context} and "
                    f"{kind.other.label} {other} that is not here"
                )

    @staticmethod
    def _read_links(
        store: BaseMetadataStore, kind: LinkKind, ids: list[int]
    ) -> set[tuple[int, int]]:
        # By the end that has few of them: one context may hold everything.
        query = (
            LinkQuery(kind, context_ids=ids)
            if kind is LinkKind.PARENT
            else LinkQuery(kind, other_ids=ids)
        )
        return {(link.context_id, link.other_id) for link in store.read_links(query)}

    def _compare_events(self, by: NodeKind, pairs: Sequence[tuple[int, int]]) -> None:
        artifacts, executions = self._ids[NodeKind.ARTIFACT], self._ids[NodeKind.EXECUTION]
        expected: dict[tuple[int, int, EventType], Event] = {}
        for event in self._left.read_events(_touching(by, [one for one, _ in pairs])):
            artifact, execution = artifacts.get(event[0]), executions.get(event[1])
            if artifact is not None and execution is not None and event.type:
                expected.setdefault((artifact, execution, event.type), event)
        stored = {
            (event.artifact_id, event.execution_id, event.type): event
            for event in self._right.read_events(_touching(by, [other for _, other in pairs]))
        }
        for key, event in expected.items():
            label = (
                f"the {event.type.name} event of artifact {event.artifact_id} and execution "
                f"{event.execution_id}"
            )
            there = stored.pop(key, None)
            if there is None:
                self.found.add(f"{label} is missing in the other store")
            elif there.path != event.path or there.time_ms != event.time_ms:
                what = "path" if there.path != event.path else "time"
                self.found.add(f"{label} has another {what} in the other store")
        for artifact, execution, type in stored:
            if type and executions.has_target(execution) and artifacts.has_target(artifact):
                self.found.add(
                    f"the other store has {_an(type.name)} event of artifact {artifact} and "
                    f"execution {execution} that is not here"
                )


def _touching(kind: NodeKind, ids: list[int]) -> EventQuery:
    if kind is NodeKind.ARTIFACT:
        return EventQuery(artifact_ids=ids)
    return EventQuery(execution_ids=ids)


def _an(word: str) -> str:
    return f"a{'n' * (word[:1].lower() in 'aeiou')} {word}"
