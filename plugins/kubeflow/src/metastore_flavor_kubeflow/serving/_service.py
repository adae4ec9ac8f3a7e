"""`Service`: the 52 RPCs of ML Metadata's protocol, each a function of bytes to bytes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from functools import partial
from typing import Any, TypeAlias

from grpc import StatusCode

from metastore import BaseMetadataStore, NodeKind
from metastore_flavor_kubeflow.protocol import SERVICE, request_of, response_of
from metastore_flavor_kubeflow.said import words_of
from metastore_flavor_kubeflow.serving import _lineage, _nodes, _types, _writes
from metastore_flavor_kubeflow.serving._refusals import Refusal, refusal_of

__all__ = ["MAX_MESSAGE_BYTES", "RPCS", "Service", "is_read"]

MAX_MESSAGE_BYTES = 100 * 1024 * 1024
"""Kubeflow's limit of a message, in either direction (its --grpc_channel_arguments)."""

Body: TypeAlias = Callable[[BaseMetadataStore, Any, Any], None]
"""Fills the response to a request, or raises."""


def _never(store: BaseMetadataStore, request: Any, response: Any) -> None:  # noqa: ARG001 - a body
    raise Refusal(StatusCode.UNIMPLEMENTED, "GetLineageGraph is deprecated: use GetLineageSubgraph")


def _bodies(max_bytes: int) -> Mapping[str, Body]:
    """The body of each RPC, by its name."""
    bodies: dict[str, Body] = {
        "PutTypes": _types.put_types,
        "PutEvents": _writes.put_events,
        "PutExecution": _writes.put_execution,
        "PutLineageSubgraph": _writes.put_lineage_subgraph,
        "PutAttributionsAndAssociations": _writes.put_attributions_and_associations,
        "PutParentContexts": _writes.put_parent_contexts,
        "GetArtifactsByURI": partial(_nodes.get_artifacts_by_uri, max_bytes=max_bytes),
        "GetParentContextsByContext": _nodes.get_parents,
        "GetChildrenContextsByContext": _nodes.get_children,
        "GetParentContextsByContexts": _nodes.get_parents_of_many,
        "GetChildrenContextsByContexts": _nodes.get_children_of_many,
        "GetLineageSubgraph": _lineage.get_lineage_subgraph,
        "GetLineageGraph": _never,
    }
    of_all_kinds = {
        "Put{}Type": _types.put_type,
        "Get{}Type": _types.get_type,
        "Get{}Types": _types.get_types,
        "Get{}TypesByID": _types.get_types_by_id,
        "Get{}TypesByExternalIds": _types.get_types_by_external_ids,
        "Put{}s": _writes.put_nodes,
        "Get{}ByTypeAndName": _nodes.get_node_by_type_and_name,
        "Get{}sByExternalIds": _nodes.get_nodes_by_external_ids,
    }
    lists_of_all_kinds = {
        "Get{}s": _nodes.get_nodes,
        "Get{}sByID": _nodes.get_nodes_by_id,
        "Get{}sByType": _nodes.get_nodes_by_type,
    }
    for kind in NodeKind:
        name = kind.label.capitalize()
        for pattern, body in of_all_kinds.items():
            bodies[pattern.format(name)] = partial(body, kind)
        for pattern, listing in lists_of_all_kinds.items():
            bodies[pattern.format(name)] = partial(listing, kind, max_bytes=max_bytes)
        if kind is not NodeKind.CONTEXT:
            bodies[f"GetEventsBy{name}IDs"] = partial(_nodes.get_events, kind)
            bodies[f"GetContextsBy{name}"] = partial(_nodes.get_contexts_of, kind)
            bodies[f"Get{name}sByContext"] = partial(
                _nodes.get_nodes_by_context, kind, max_bytes=max_bytes
            )
    return bodies


def is_read(rpc: str) -> bool:
    """Whether an RPC changes nothing."""
    return rpc.startswith("Get")


RPCS: tuple[str, ...] = tuple(method.name for method in SERVICE.methods)
"""The names of the RPCs."""


class Service:
    """Answers calls from a store; threads may share it, as they may the store.

    Parameters
    ----------
    store:
        Where everything is; it stays open.
    max_message_bytes:
        A longer answer is RESOURCE_EXHAUSTED, found out before it is made whole.
    """

    def __init__(
        self, store: BaseMetadataStore, *, max_message_bytes: int = MAX_MESSAGE_BYTES
    ) -> None:
        self._store = store
        self._max_bytes = max_message_bytes
        self._bodies = _bodies(max_message_bytes)
        self.words = words_of(exact_doubles=store.CAPABILITIES.exact_doubles)
        """What the server says of itself."""
        self._snapshot = store.snapshot if store.CAPABILITIES.snapshot else nullcontext

    def call(self, rpc: str, request: bytes) -> bytes:
        """The serialized response to a serialized request.

        Raises
        ------
        Refusal
            The call is answered with an error; nothing was written, unless its code is UNKNOWN.
        """
        try:
            response = response_of(rpc)()
            parsed = request_of(rpc).FromString(request)
            # A call that reads more than once answers from one state, as one that reads once.
            with self._snapshot() if is_read(rpc) else nullcontext():
                self._bodies[rpc](self._store, parsed, response)
            answer: bytes = response.SerializeToString()
        except Exception as error:
            raise refusal_of(error) from error
        if len(answer) > self._max_bytes:
            raise Refusal(
                StatusCode.RESOURCE_EXHAUSTED,
                f"the answer has {len(answer)} bytes, and a message at most {self._max_bytes}: "
                "ask for less at once, or raise --max-message-size",
            )
        return answer
