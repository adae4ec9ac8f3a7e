"""Events and links, read: by whole frontiers, not one node at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from grpc import StatusCode

from metastore import Event, EventQuery, Link, LinkQuery, NodeKind
from metastore.model import LinkKind
from metastore_flavor_kubeflow.client._channel import CallError
from metastore_flavor_kubeflow.client._filters import ids_in
from metastore_flavor_kubeflow.client._service import PAGE, Service
from metastore_flavor_kubeflow.messages import event_of, is_id

__all__ = ["Edges"]

_OTHER = {LinkKind.ATTRIBUTION: NodeKind.ARTIFACT, LinkKind.ASSOCIATION: NodeKind.EXECUTION}
_LINKS = {LinkKind.ATTRIBUTION: "attributions", LinkKind.ASSOCIATION: "associations"}

_FEW = 3
"""Contexts whose parents are asked for one by one, where the server has no call for several."""

_LINEAGE = "GetLineageSubgraph"
"""With no hops it gives the links of a hundred nodes at once, which no other call does."""


class Edges:
    """Reads events and links."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def events(self, query: EventQuery) -> list[Event]:
        """The events that the query asks for, by time: the protocol has no ids of events."""
        artifacts, executions = query.artifact_ids, query.execution_ids
        if artifacts is not None and (executions is None or len(artifacts) <= len(executions)):
            found = self._events(NodeKind.ARTIFACT, artifacts)
        elif executions is not None:
            found = self._events(NodeKind.EXECUTION, executions)
        else:
            found = self._events(NodeKind.EXECUTION, self._all_ids(NodeKind.EXECUTION))
        if artifacts is not None:
            of_artifacts = frozenset(artifacts)
            found = (event for event in found if event.artifact_id in of_artifacts)
        if executions is not None:
            of_executions = frozenset(executions)
            found = (event for event in found if event.execution_id in of_executions)
        # Stable: those of one time stay as the server has them, which is the order of writing.
        return sorted(found, key=lambda event: event.time_ms)

    def links(self, query: LinkQuery) -> list[Link]:
        """The links that the query asks for, by both ends."""
        contexts, others = query.context_ids, query.other_ids
        if query.kind is LinkKind.PARENT:
            found = self._parents(contexts, others)
        elif others is not None and (contexts is None or len(others) <= PAGE * len(contexts)):
            found = self._of_others(query.kind, others)
        elif contexts is not None:
            found = self._of_contexts(query.kind, contexts)
        else:
            found = self._of_others(query.kind, self._all_ids(_OTHER[query.kind]))
        own = None if contexts is None else frozenset(contexts)
        other = None if others is None else frozenset(others)
        return sorted(
            {
                link
                for link in found
                if (own is None or link.context_id in own)
                and (other is None or link.other_id in other)
            }
        )

    # Events.

    def _events(self, kind: NodeKind, ids: Iterable[int]) -> Iterator[Event]:
        rpc, field = f"GetEventsBy{kind.label.capitalize()}IDs", f"{kind.label}_ids"
        for response in self._asked(rpc, field, ids):
            for message in response.events:
                yield event_of(message)

    def _asked(self, rpc: str, field: str, ids: Iterable[int], **more: Any) -> Iterator[Any]:
        wanted = sorted({id for id in ids if is_id(id)})
        read, too_large = self._service.channel.read, (StatusCode.RESOURCE_EXHAUSTED,)
        return self._service.in_portions(
            wanted, lambda some: read(rpc, too_large, **{field: some}, **more)
        )

    def _all_ids(self, kind: NodeKind) -> list[int]:
        """The ids of all nodes of a kind."""
        return [message.id for message in self._pages(f"Get{kind.label.capitalize()}s", kind)]

    def _pages(self, rpc: str, kind: NodeKind, predicate: str = "", **fields: Any) -> Iterator[Any]:
        """The messages of a list, in the order of their ids."""
        size, token, last = PAGE, "", 0
        while True:
            options = {"max_result_size": size, "next_page_token": token}
            if predicate:
                options["filter_query"] = predicate
            try:
                response = self._service.channel.read(
                    rpc, (StatusCode.RESOURCE_EXHAUSTED,), options=options, **fields
                )
            except CallError as error:
                if size == 1:
                    self._service.channel.refuse(error)
                size //= 2
                continue
            messages = getattr(response, f"{kind.label}s")
            yield from messages
            token = response.next_page_token
            if not token or not messages:
                return
            if messages[-1].id <= last:
                raise self._service.stuck(rpc)
            last = messages[-1].id

    # Links of contexts with artifacts and executions.

    def _of_others(self, kind: LinkKind, others: Sequence[int]) -> Iterator[Link]:
        wanted = sorted({id for id in others if is_id(id)})
        if not self._can_ask_for_links():
            yield from self._one_by_one(kind, wanted)
            return
        for at in range(0, len(wanted), PAGE):
            some = wanted[at : at + PAGE]
            found = self._subgraph(kind, ids_in("id", some)[0])
            if found is None:
                yield from self._one_by_one(kind, wanted[at:])
                return
            yield from found[0]

    def _of_contexts(self, kind: LinkKind, contexts: Sequence[int]) -> Iterator[Link]:
        wanted = sorted({id for id in contexts if is_id(id)})
        if len(wanted) == 1 or not self._can_ask_for_links():
            yield from self._by_context(kind, wanted)
            return
        for predicate in ids_in("contexts_metastore.id", wanted):
            last = 0
            while True:
                found = self._subgraph(kind, f"{predicate} AND id > {last}")
                if found is None:
                    yield from self._by_context(kind, wanted)
                    return
                links, nodes = found
                yield from links
                if len(nodes) < PAGE:
                    break
                last = max(nodes)

    def _can_ask_for_links(self) -> bool:
        return self._service.has(_LINEAGE) and self._service.filters

    def _subgraph(self, kind: LinkKind, filter: str) -> tuple[list[Link], list[int]] | None:
        """The links of the first hundred nodes that a filter finds, and these nodes.

        None where the server has no such call.
        """
        other = _OTHER[kind].label
        try:
            response = self._service.optional(
                _LINEAGE,
                (StatusCode.NOT_FOUND,),
                lineage_subgraph_query_options={
                    f"starting_{other}s": {"filter_query": filter},
                    "max_num_hops": 0,
                },
                read_mask={"paths": [f"{other}s", _LINKS[kind]]},
            )
        except CallError:
            return [], []
        if response is None:
            return None
        graph = response.lineage_subgraph
        links = [
            Link(message.context_id, getattr(message, f"{other}_id"))
            for message in getattr(graph, _LINKS[kind])
        ]
        return links, [message.id for message in getattr(graph, f"{other}s")]

    def _by_context(self, kind: LinkKind, contexts: Sequence[int]) -> Iterator[Link]:
        other = _OTHER[kind]
        rpc = f"Get{other.label.capitalize()}sByContext"
        for id in contexts:
            for message in self._pages(rpc, other, context_id=id):
                yield Link(id, message.id)

    def _one_by_one(self, kind: LinkKind, others: Sequence[int]) -> Iterator[Link]:
        other = _OTHER[kind].label
        for id in others:
            try:
                response = self._service.channel.read(
                    f"GetContextsBy{other.capitalize()}",
                    (StatusCode.NOT_FOUND,),
                    **{f"{other}_id": id},
                )
            except CallError:
                continue
            for message in response.contexts:
                yield Link(message.id, id)

    # Links of contexts with their parents.

    def kin(self, which: str, contexts: Iterable[int]) -> Iterator[tuple[int, Any]]:
        """Pairs of a context's id and one of its parents ("Parent") or children ("Children")."""
        wanted = sorted({id for id in contexts if is_id(id)})
        for response in self._service.in_portions(wanted, lambda some: self._kin(which, some)):
            yield from response

    def _parents(
        self, contexts: Sequence[int] | None, parents: Sequence[int] | None
    ) -> Iterator[Link]:
        if contexts is not None and (parents is None or len(contexts) <= len(parents)):
            for child, above in self.kin("Parent", contexts):
                yield Link(child, above.id)
        elif parents is not None:
            for above, child in self.kin("Children", parents):
                yield Link(child.id, above)
        else:
            for child, above in self.kin("Parent", self._all_ids(NodeKind.CONTEXT)):
                yield Link(child, above.id)

    def _kin(self, which: str, contexts: Sequence[int]) -> list[tuple[int, Any]]:
        too_large = (StatusCode.RESOURCE_EXHAUSTED,)
        many = f"Get{which}ContextsByContexts"
        try:
            response = self._service.optional(many, too_large, context_ids=contexts)
            if response is None:
                return self._kin_without_list(which, contexts)
        except CallError:
            if len(contexts) > 1 or not self._service.filters:
                raise
            # A pipeline may have more runs than one message holds.
            return [(contexts[0], each) for each in self._filtered_kin(which, contexts)]
        field = "parent_contexts" if which == "Parent" else "children_contexts"
        return [
            (id, member)
            for id, family in response.contexts.items()
            for member in getattr(family, field)
        ]

    def _filtered_kin(self, which: str, contexts: Sequence[int], more: str = "") -> Iterator[Any]:
        """The parents or children of any of the contexts."""
        column = f"{'child' if which == 'Parent' else 'parent'}_contexts_metastore.id"
        (predicate,) = ids_in(column, contexts)
        return self._pages("GetContexts", NodeKind.CONTEXT, predicate + more)

    def _kin_without_list(self, which: str, contexts: Sequence[int]) -> list[tuple[int, Any]]:
        """Likewise, of a server that has no call for it."""
        if which == "Parent" and len(contexts) > _FEW and self._service.filters:
            parents = list(self._filtered_kin(which, contexts))
            # Runs have few pipelines.
            if _FEW * len(parents) <= len(contexts):
                (among,) = ids_in("id", contexts)
                return [
                    (child.id, parent)
                    for parent in parents
                    for child in self._filtered_kin("Children", [parent.id], f" AND {among}")
                ]
        rpc = f"Get{which}ContextsByContext"
        read: Callable[..., Any] = self._service.channel.read
        too_large = (StatusCode.RESOURCE_EXHAUSTED,)
        return [
            (id, member)
            for id in contexts
            for member in read(rpc, too_large, context_id=id).contexts
        ]
