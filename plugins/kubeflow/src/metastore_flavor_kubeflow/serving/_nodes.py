"""The RPCs that read nodes, events and links."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from google.protobuf.unknown_fields import UnknownFieldSet
from grpc import StatusCode

from metastore import (
    BaseMetadataStore,
    EventQuery,
    LinkKind,
    LinkQuery,
    NodeKind,
    NodeQuery,
    TypeQuery,
)
from metastore.model import AnyNode
from metastore_flavor_kubeflow.messages import fill_events, fill_node, key_of, text_of
from metastore_flavor_kubeflow.serving._lists import add_nodes, fill_page
from metastore_flavor_kubeflow.serving._refusals import Refusal
from metastore_flavor_kubeflow.serving._types import by_external_ids, fill_types

_LINKS = {NodeKind.ARTIFACT: LinkKind.ATTRIBUTION, NodeKind.EXECUTION: LinkKind.ASSOCIATION}


def _add(messages: Any, nodes: Iterable[AnyNode]) -> None:
    for node in nodes:
        fill_node(messages.add(), node)


def get_nodes(
    kind: NodeKind, store: BaseMetadataStore, request: Any, response: Any, max_bytes: int
) -> None:
    """Get{Artifacts,Executions,Contexts}."""
    fill_page(store, NodeQuery(kind), request, response, max_bytes)


def get_nodes_by_id(
    kind: NodeKind, store: BaseMetadataStore, request: Any, response: Any, max_bytes: int
) -> None:
    """Get{Artifacts,Executions,Contexts}ByID."""
    ids = list(getattr(request, f"{kind.label}_ids"))
    add_nodes(store, NodeQuery(kind, ids=ids), response, max_bytes)
    if kind is NodeKind.ARTIFACT and request.populate_artifact_types:
        used = sorted({each.type_id for each in response.artifacts})
        fill_types(response, kind, store.read_types(TypeQuery(kind, ids=used)))


def get_nodes_by_type(
    kind: NodeKind, store: BaseMetadataStore, request: Any, response: Any, max_bytes: int
) -> None:
    """Get{Artifacts,Executions,Contexts}ByType."""
    query = NodeQuery(kind, type=key_of(kind, request))
    fill_page(store, query, request, response, max_bytes)


def get_node_by_type_and_name(
    kind: NodeKind, store: BaseMetadataStore, request: Any, response: Any
) -> None:
    """Get{Artifact,Execution,Context}ByTypeAndName: an answer without node where there is none."""
    name = text_of(getattr(request, f"{kind.label}_name"))
    query = NodeQuery(kind, type=key_of(kind, request), names=[name], limit=1)
    for node in store.read_nodes(query):
        fill_node(getattr(response, kind.label), node)


def get_nodes_by_external_ids(
    kind: NodeKind, store: BaseMetadataStore, request: Any, response: Any
) -> None:
    """Get{Artifacts,Executions,Contexts}ByExternalIds."""

    def read(ids: Sequence[str]) -> Sequence[AnyNode]:
        return store.read_nodes(NodeQuery(kind, external_ids=ids))

    _add(getattr(response, f"{kind.label}s"), by_external_ids(kind.label, request, read))


def get_artifacts_by_uri(
    store: BaseMetadataStore, request: Any, response: Any, max_bytes: int
) -> None:
    """GetArtifactsByURI; field 1 is how clients of before 0.21 asked for one."""
    if any(each.field_number == 1 for each in UnknownFieldSet(request)):  # type: ignore[attr-defined]  # has __getitem__
        raise Refusal(StatusCode.INVALID_ARGUMENT, "the field 'uri' is no more: use 'uris'")
    query = NodeQuery(NodeKind.ARTIFACT, uris=[text_of(each) for each in request.uris])
    add_nodes(store, query, response, max_bytes)


def get_events(kind: NodeKind, store: BaseMetadataStore, request: Any, response: Any) -> None:
    """GetEventsBy{Artifact,Execution}IDs."""
    ids = list(getattr(request, f"{kind.label}_ids"))
    query = (
        EventQuery(artifact_ids=ids) if kind is NodeKind.ARTIFACT else EventQuery(execution_ids=ids)
    )
    fill_events(response.events, store.read_events(query))


def get_contexts_of(kind: NodeKind, store: BaseMetadataStore, request: Any, response: Any) -> None:
    """GetContextsBy{Artifact,Execution}: none is NOT_FOUND."""
    id = getattr(request, f"{kind.label}_id")
    links = store.read_links(LinkQuery(_LINKS[kind], other_ids=[id]))
    contexts = store.read_nodes(
        NodeQuery(NodeKind.CONTEXT, ids=[link.context_id for link in links])
    )
    if not contexts:
        raise Refusal(StatusCode.NOT_FOUND, f"{kind.label} {id} is in no context")
    _add(response.contexts, contexts)


def get_nodes_by_context(
    kind: NodeKind, store: BaseMetadataStore, request: Any, response: Any, max_bytes: int
) -> None:
    """Get{Artifacts,Executions}ByContext."""
    fill_page(
        store, NodeQuery(kind, context_ids=[request.context_id]), request, response, max_bytes
    )


def get_parents(store: BaseMetadataStore, request: Any, response: Any) -> None:
    """GetParentContextsByContext."""
    query = NodeQuery(NodeKind.CONTEXT, parents_of=[request.context_id])
    _add(response.contexts, store.read_nodes(query))


def get_children(store: BaseMetadataStore, request: Any, response: Any) -> None:
    """GetChildrenContextsByContext."""
    query = NodeQuery(NodeKind.CONTEXT, children_of=[request.context_id])
    _add(response.contexts, store.read_nodes(query))


def get_parents_of_many(store: BaseMetadataStore, request: Any, response: Any) -> None:
    """GetParentContextsByContexts: by the id of each context that has any."""
    links = store.read_links(LinkQuery(LinkKind.PARENT, context_ids=list(request.context_ids)))
    contexts = _contexts(store, {link.other_id for link in links})
    for link in links:
        if link.other_id in contexts:
            entry = response.contexts[link.context_id]
            fill_node(entry.parent_contexts.add(), contexts[link.other_id])


def get_children_of_many(store: BaseMetadataStore, request: Any, response: Any) -> None:
    """GetChildrenContextsByContexts: by the id of each context that has any."""
    links = store.read_links(LinkQuery(LinkKind.PARENT, other_ids=list(request.context_ids)))
    contexts = _contexts(store, {link.context_id for link in links})
    for link in links:
        if link.context_id in contexts:
            entry = response.contexts[link.other_id]
            fill_node(entry.children_contexts.add(), contexts[link.context_id])


def _contexts(store: BaseMetadataStore, ids: Iterable[int]) -> dict[int, AnyNode]:
    query = NodeQuery(NodeKind.CONTEXT, ids=sorted(ids))
    return {context.id: context for context in store.read_nodes(query)}
