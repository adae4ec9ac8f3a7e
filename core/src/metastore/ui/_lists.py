"""Lists of artifacts, executions and contexts: what any store has, whoever wrote it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from metastore import json_fields
from metastore.errors import FilterError, InvalidError
from metastore.listing import Listing
from metastore.model import ArtifactState, ExecutionState, NodeKind
from metastore.ui._page import Page, Rows, Shown, View
from metastore.ui._search import OPERATORS, Conditions, joined

__all__ = ["LISTS"]

SIZE = 50
_MOST_TYPES = 300
"""Of a menu."""
_LONGEST_NAME = 200

SORTS = {
    "newest": "-id",
    "oldest": "id",
    "changed": "-update_time",
    "created": "-create_time",
}
_STATES: dict[NodeKind, tuple[str, ...]] = {
    NodeKind.ARTIFACT: tuple(ArtifactState.__members__),
    NodeKind.EXECUTION: tuple(ExecutionState.__members__),
    NodeKind.CONTEXT: (),
}
_STATE_FIELD = {NodeKind.ARTIFACT: "state", NodeKind.EXECUTION: "last_known_state"}


def _listing(view: View, kind: NodeKind) -> Listing[Any]:
    state = view.text("state")
    if state is not None:
        view.choice("state", _STATES[kind], "")
        state = f"{_STATE_FIELD[kind]} = {state}"
    uri = view.text("uri") if kind is NodeKind.ARTIFACT else None
    arguments: dict[str, Any] = {
        "type": view.text("type"),
        "where": Conditions.of(view).filter(kind, state),
        "order_by": SORTS[view.choice("sort", SORTS, "newest")],
    }
    if kind is NodeKind.ARTIFACT:
        arguments["uri"] = uri
    if kind is NodeKind.CONTEXT:
        parent = view.text("parent")
        if parent is not None:
            of = f"parent_contexts_p.id = {view.number('parent', None, least=1)}"
            arguments["where"] = joined(arguments["where"], of)
        return view.store.contexts(**arguments)
    if view.text("context") is not None:
        arguments["context"] = view.number("context", None, least=1)
    if kind is NodeKind.ARTIFACT:
        return view.store.artifacts(**arguments)
    return view.store.executions(**arguments)


def _show(kind: NodeKind) -> Callable[[View], Shown]:
    def show(view: View) -> Shown:
        error: FilterError | InvalidError | None = None
        items: tuple[Any, ...] = ()
        token = None
        count = None
        try:
            listing = _listing(view, kind)
            page = listing.page(SIZE, view.text("page"))
            items, token = page.items, page.next_token
            is_whole = not any(view.text(each) for each in _NARROWING)
            if token is None and view.text("page") is None:
                count = len(items)
            elif is_whole:
                count = len(listing)
        except InvalidError as wrong:
            error = wrong
        plural = f"{kind.label}s"
        names = (each.name for each in view.store.types(kind))
        types = list(dict.fromkeys(each for each in names if len(each) <= _LONGEST_NAME))
        return Shown(
            "nodes.html",
            plural.capitalize(),
            {
                "kind": kind.label,
                "nodes": items,
                "count": count,
                "types": types[:_MOST_TYPES],
                "states": _STATES[kind],
                "sorts": SORTS,
                "operators": OPERATORS,
                "conditions": Conditions.of(view),
                "next": None if token is None else view.link.here(page=token),
                "is_first": view.text("page") is None,
            },
            lambda: {
                plural: [json_fields.node(each.node) for each in items],
                "next": None if token is None else view.link.here(form="json", page=token),
            },
            status=200 if error is None else 400,
            error=error,
        )

    return show


_NARROWING = ("name", "key", "where", "state", "type", "uri", "context", "parent")


def _rows(kind: NodeKind) -> Callable[[View], Rows]:
    def rows(view: View) -> Rows:
        special = {
            NodeKind.ARTIFACT: ("state", "uri"),
            NodeKind.EXECUTION: ("state",),
            NodeKind.CONTEXT: (),
        }[kind]
        head = (
            *("id", "type", "name", *special, "external_id", "create_time", "update_time"),
            *("properties", "custom_properties"),
        )
        nodes = (json_fields.node(each.node) for each in _listing(view, kind))
        return Rows(head, ([fields[key] for key in head] for fields in nodes))

    return rows


LISTS = tuple(
    Page(f"/{kind.label}s", _show(kind), _rows(kind), place=f"{kind.label}s")
    for kind in (NodeKind.ARTIFACT, NodeKind.EXECUTION, NodeKind.CONTEXT)
)
