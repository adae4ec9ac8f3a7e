"""Lists of nodes: list options, and the tokens by which the next page is asked for."""

from __future__ import annotations

import base64
import binascii
from dataclasses import replace
from typing import Any, NamedTuple

from google.protobuf.message import DecodeError
from grpc import StatusCode

from metastore import BaseMetadataStore, Cursor, Filter, InvalidError, NodeQuery, OrderBy
from metastore.base import cursor_of
from metastore.model import AnyNode
from metastore_flavor_kubeflow.messages import fill_node, text_of
from metastore_flavor_kubeflow.protocol import pb
from metastore_flavor_kubeflow.serving._refusals import Refusal

__all__ = ["add_nodes", "fill_page"]

_PAGE = 1000
"""Nodes that are read at once where a client asks for all of them."""

_Field = pb.ListOperationOptions.OrderByField
_ORDERS = {
    _Field.CREATE_TIME: OrderBy.CREATE_TIME,
    _Field.LAST_UPDATE_TIME: OrderBy.UPDATE_TIME,
    _Field.ID: OrderBy.ID,
}


class _Place(NamedTuple):
    """Where a page begins, and how it is ordered."""

    order_by: OrderBy
    descending: bool
    after: Cursor | None


def fill_page(
    store: BaseMetadataStore, query: NodeQuery, request: Any, response: Any, max_bytes: int
) -> None:
    """Answer a request that may have list options; without, with all that the query finds.

    Raises
    ------
    Refusal
        The options or their token are wrong, or the answer would be larger than `max_bytes`.
    """
    if not request.HasField("options"):
        add_nodes(store, query, response, max_bytes)
        return
    options = request.options
    try:
        page = _page(query, options)
    except (Refusal, InvalidError):
        # Of a type or a context without nodes ML Metadata does not look at the options.
        narrowed = query.type is not None or query.context_ids is not None
        if narrowed and not store.read_nodes(replace(query, limit=1)):
            return
        raise
    # One more, to know whether there is a next page.
    size = options.max_result_size
    last, is_full = add_nodes(store, replace(page, limit=size + 1), response, max_bytes, size)
    if is_full and last is not None:
        response.next_page_token = _token(options, last, page.order_by)


def _page(query: NodeQuery, options: Any) -> NodeQuery:
    """The query for one page, without its limit."""
    if options.max_result_size <= 0:
        raise Refusal(
            StatusCode.INVALID_ARGUMENT,
            f"max_result_size is {options.max_result_size}; it is the number of nodes of a page, "
            "and greater than 0",
        )
    place = _place(options)
    query = replace(query, order_by=place.order_by, descending=place.descending, after=place.after)
    if options.filter_query:
        query = replace(query, filter=Filter.parse(query.kind, text_of(options.filter_query)))
    return query


def add_nodes(
    store: BaseMetadataStore, query: NodeQuery, response: Any, max_bytes: int, at_most: int = 0
) -> tuple[AnyNode | None, bool]:
    """Add what a query finds to the field ``artifacts`` and so on, up to `at_most` where given.

    Returns the last node that was added, and whether there were more.
    """
    messages = getattr(response, f"{query.kind.label}s")
    size, last = 0, None
    for count, node in enumerate(store.iterate(query, page_size=_PAGE)):
        if at_most and count == at_most:
            return last, True
        message = messages.add()
        fill_node(message, node)
        last = node
        size += message.ByteSize()
        if size > max_bytes:
            raise Refusal(
                StatusCode.RESOURCE_EXHAUSTED,
                f"the answer is larger than the {max_bytes} bytes of a message: ask for fewer "
                "nodes, page by page (max_result_size), or raise --max-message-size",
            )
    return last, False


def _place(options: Any) -> _Place:
    field = options.order_by_field
    if field.field not in _ORDERS:
        raise Refusal(StatusCode.INVALID_ARGUMENT, "order_by_field names no field to order by")
    order_by, descending = _ORDERS[field.field], not field.is_asc
    if not options.next_page_token:
        return _Place(order_by, descending, None)
    token = _decoded(text_of(options.next_page_token))
    then = token.set_options.order_by_field
    if (then.field, then.is_asc) != (field.field, field.is_asc):
        raise Refusal(
            StatusCode.INVALID_ARGUMENT,
            "the next_page_token is one of a list in another order; ask in the same order",
        )
    return _Place(order_by, descending, Cursor(token.field_offset, token.id_offset))


def _token(options: Any, last: AnyNode, order_by: OrderBy) -> str:
    """The token of the page behind a node; ML Metadata's message, without its listed_ids."""
    cursor = cursor_of(last, order_by)
    message = pb.ListOperationNextPageToken(id_offset=cursor.id, field_offset=cursor.value)
    message.set_options.CopyFrom(options)
    message.set_options.ClearField("next_page_token")
    return base64.urlsafe_b64encode(message.SerializeToString()).rstrip(b"=").decode()


def _decoded(token: str) -> Any:
    message = pb.ListOperationNextPageToken()
    try:
        data = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        message.ParseFromString(data)
    except (binascii.Error, ValueError, DecodeError) as error:
        raise Refusal(
            StatusCode.INVALID_ARGUMENT, "the next_page_token is none that this server gave"
        ) from error
    return message
