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

    def _pages(self, rpc: str, kind: NodeKind, **fields: Any) -> Iterator[Any]:
        """The messages of a list, in the order of their ids."""
        size, token = PAGE, ""
        while True:
            options = {"max_result_size": size, "next_page_token": token}
            try:
                response = self._service.channel.read(
                    rpc, (StatusCode.RESOURCE_EXHAUSTED,), options=options, **fields
                )
            except CallError as error:
                if size == 1:
                    self._service.channel.refuse(error)
                size //= 2
                continue
            yield from getattr(response, f"{kind.label}s")
            token = response.next_page_token
            if not token:
                return

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

    def _parents(
        self, contexts: Sequence[int] | None, parents: Sequence[int] | None
    ) -> Iterator[Link]:
        if contexts is not None and (parents is None or len(contexts) <= len(parents)):
            for child, above in self._family("Parent", contexts):
                yield Link(child, above)
        elif parents is not None:
            for above, child in self._family("Children", parents):
                yield Link(child, above)
        else:
            for child, above in self._family("Parent", self._all_ids(NodeKind.CONTEXT)):
                yield Link(child, above)

    def _family(self, which: str, contexts: Sequence[int]) -> Iterator[tuple[int, int]]:
        """Pairs of a context and a parent (a child) of it."""
        wanted = sorted({id for id in contexts if is_id(id)})
        many = f"Get{which}ContextsByContexts"
        too_large: tuple[StatusCode, ...] = (StatusCode.RESOURCE_EXHAUSTED,)

        def ask(some: Sequence[int]) -> Any:
            response = self._service.optional(many, too_large, context_ids=some)
            return response if response is not None else self._family_of_each(which, some)

        for response in self._service.in_portions(wanted, ask):
            if isinstance(response, list):
                yield from response
                continue
            for id, family in response.contexts.items():
                members = family.parent_contexts if which == "Parent" else family.children_contexts
                yield from ((id, member.id) for member in members)

    def _family_of_each(self, which: str, contexts: Sequence[int]) -> list[tuple[int, int]]:
        rpc = f"Get{which}ContextsByContext"
        found: list[tuple[int, int]] = []
        read: Callable[..., Any] = self._service.channel.read
        for id in contexts:
            response = read(rpc, context_id=id)
            found += ((id, message.id) for message in response.contexts)
        return found
