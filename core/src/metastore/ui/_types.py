"""Types: which properties nodes have."""

from __future__ import annotations

from metastore import json_fields
from metastore.errors import NotFoundError, Offender
from metastore.model import SIMPLE_TYPES, NodeKind, Type
from metastore.query import NodeQuery, TypeQuery
from metastore.ui._page import Page, Rows, Shown, View

__all__ = ["TYPE", "TYPES"]

_KINDS = (NodeKind.ARTIFACT, NodeKind.EXECUTION, NodeKind.CONTEXT)


def _every(view: View) -> dict[NodeKind, list[Type]]:
    return {kind: list(view.store.types(kind)) for kind in _KINDS}


def _types(view: View) -> Shown:
    every = _every(view)
    own = {
        kind: [each for each in found if each.name not in SIMPLE_TYPES[kind]]
        for kind, found in every.items()
    }
    hidden = sum(map(len, every.values())) - sum(map(len, own.values()))
    return Shown(
        "types.html",
        "Types",
        {"types": own, "hidden": hidden},
        lambda: {"types": [json_fields.type_(each) for found in every.values() for each in found]},
    )


def _rows(view: View) -> Rows:
    head = ("id", "kind", "name", "version", "description", "base_type", "properties")
    every = (json_fields.type_(each) for found in _every(view).values() for each in found)
    return Rows(head, ([fields[key] for key in head] for fields in every))


def _type(view: View) -> Shown:
    word = str(view.request.path_params["kind"])
    kind = next((each for each in _KINDS if each.label == word), None)
    found = [] if kind is None else view.store.backend.read_types(TypeQuery(kind, ids=[view.id()]))
    if kind is None or not found:
        raise NotFoundError(
            f"there is no {word} type with id {view.id()}", offender=Offender("type", id=view.id())
        )
    type = found[0]
    count = view.store.backend.count(NodeQuery(kind, type=type.key))
    return Shown(
        "type.html",
        str(type.key),
        {"type": type, "count": count},
        lambda: {**json_fields.type_(type), "nodes": count},
        has_rows=False,
    )


TYPES = Page("/types", _types, _rows, place="types")
TYPE = Page("/types/{kind}/{id}", _type, place="types")
