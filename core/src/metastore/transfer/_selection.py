"""Which nodes of the source are meant."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from metastore.base import BaseMetadataStore, cursor_of
from metastore.model import NODE_KINDS, AnyNode, LinkKind, NodeKind
from metastore.query import EventQuery, Filter, LinkQuery, NodeQuery, OrderBy
from metastore.transfer._ids import IdsOfKind

__all__ = ["Selection", "chunks"]

_CHUNK = 500
"""Ids that are asked about at once."""


def chunks(ids: Iterable[int], size: int = _CHUNK) -> Iterator[list[int]]:
    """The ids, so many at once."""
    left = iter(ids)
    while chunk := list(islice(left, size)):
        yield chunk


class Selection:
    """All nodes of a store, or those of which the ids are given."""

    def __init__(
        self, store: BaseMetadataStore, ids: dict[NodeKind, set[int]] | None = None
    ) -> None:
        self._store = store
        self._ids = (
            None if ids is None else {kind: array("q", sorted(ids[kind])) for kind in NODE_KINDS}
        )

    @property
    def is_all(self) -> bool:
        """Whether it is everything."""
        return self._ids is None

    def count(self, kind: NodeKind) -> int:
        """How many nodes there are of a kind."""
        return self._store.count(NodeQuery(kind)) if self._ids is None else len(self._ids[kind])

    def pairs(self, ids: IdsOfKind, kind: NodeKind, size: int) -> Iterator[list[tuple[int, int]]]:
        """Those of the ids that are of its nodes, so many at once."""
        if self._ids is None:
            yield from ids.pages(size)
            return
        for chunk in chunks(self._ids[kind], size):
            yield [(id, there) for id in chunk if (there := ids.get(id)) is not None]

    def pages(self, kind: NodeKind, size: int) -> Iterator[Sequence[AnyNode]]:
        """Its nodes, in the order of their ids, so many at once."""
        if self._ids is not None:
            for chunk in chunks(self._ids[kind], size):
                yield self._store.read_nodes(NodeQuery(kind, ids=chunk))
            return
        query = NodeQuery(kind, limit=size)
        while page := self._store.read_nodes(query):
            yield page
            if len(page) < size:
                return
            query = NodeQuery(kind, limit=size, after=cursor_of(page[-1], OrderBy.ID))

    @classmethod
    def of(
        cls,
        store: BaseMetadataStore,
        *,
        since_ms: int | None = None,
        contexts: Sequence[int] | None = None,
    ) -> Selection:
        """What hangs together.

        since_ms:
            Executions, artifacts and contexts created or changed since then (milliseconds since
            the epoch), and what they need: the artifacts that such an execution touched, the
            contexts that such a node is in, and their parents.
        contexts:
            Executions in one of these contexts and what they need, with the artifacts and the
            contexts themselves; with `since_ms`, only those created or changed since.
        """
        if since_ms is None and contexts is None:
            return cls(store)
        executions = set(_ids(store, NodeKind.EXECUTION, since_ms, contexts))
        artifacts = set(_ids(store, NodeKind.ARTIFACT, since_ms, contexts))
        groups: set[int] = set()
        if contexts is None:
            groups.update(_ids(store, NodeKind.CONTEXT, since_ms, None))
            # Artifacts that were only read come without the contexts of those who made them.
            groups.update(_contexts(store, LinkKind.ATTRIBUTION, artifacts))
        else:
            wanted = NodeQuery(NodeKind.CONTEXT, ids=contexts)
            groups.update(each.id for each in store.iterate(wanted) if _is_in(each, since_ms))
        groups.update(_contexts(store, LinkKind.ASSOCIATION, executions))
        for chunk in chunks(sorted(executions)):
            events = store.read_events(EventQuery(execution_ids=chunk))
            artifacts.update(each.artifact_id for each in events)
        _add_parents(store, groups)
        return cls(
            store,
            {
                NodeKind.ARTIFACT: artifacts,
                NodeKind.EXECUTION: executions,
                NodeKind.CONTEXT: groups,
            },
        )


def _is_in(node: AnyNode, since_ms: int | None) -> bool:
    return since_ms is None or max(node.create_time_ms, node.update_time_ms) >= since_ms


def _ids(
    store: BaseMetadataStore,
    kind: NodeKind,
    since_ms: int | None,
    contexts: Sequence[int] | None,
) -> Iterator[int]:
    filter = None
    if since_ms is not None:
        text = "create_time_since_epoch >= {0} OR last_update_time_since_epoch >= {0}"
        filter = Filter.parse(kind, text.format(since_ms))
    query = NodeQuery(kind, context_ids=contexts, filter=filter)
    return (each.id for each in store.iterate(query))


def _contexts(store: BaseMetadataStore, kind: LinkKind, others: set[int]) -> Iterator[int]:
    for chunk in chunks(sorted(others)):
        for link in store.read_links(LinkQuery(kind, other_ids=chunk)):
            yield link.context_id


def _add_parents(store: BaseMetadataStore, contexts: set[int]) -> None:
    new = set(contexts)
    while new:
        above: set[int] = set()
        for chunk in chunks(sorted(new)):
            links = store.read_links(LinkQuery(LinkKind.PARENT, context_ids=chunk))
            above.update(link.other_id for link in links)
        new = above - contexts
        contexts |= new
