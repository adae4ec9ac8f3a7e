"""Everything in a store, in a plain form in which equal means the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from metastore.base import BaseMetadataStore
from metastore.model import AnyNode, Artifact, Execution, LinkKind, NodeKind, Proto, Type
from metastore.query import EventQuery, LinkQuery, NodeQuery, TypeQuery

__all__ = ["Contents", "compare_stores", "contents", "exact"]

Contents: TypeAlias = "dict[str, list[Any]]"
"""By what it is (``"types"``, ``"artifacts"`` ... ``"parent contexts"``): a list of plain rows."""


def exact(value: Any) -> Any:
    """A form of a value, or of a mapping of values, in which equal means the same.

    Python says that 1, 1.0 and True are equal, and 0.0 and -0.0.  Here they differ, inside structs
    too::

        assert exact(node.properties) == exact({"seed": 7, "lr": 0.1})
    """
    if isinstance(value, bool):
        return ("bool", value)
    if isinstance(value, float):
        return ("float", value.hex())
    if isinstance(value, int):
        return ("int", int(value))
    if isinstance(value, str):
        return ("str", str(value))
    if isinstance(value, Proto):
        return ("proto", value.type_url, value.value)
    if isinstance(value, Mapping):
        return ("map", {key: exact(item) for key, item in value.items()})
    if isinstance(value, list | tuple):
        return ("list", [exact(item) for item in value])
    return (type(value).__name__, value)


def contents(store: BaseMetadataStore, *, times: bool = True) -> Contents:
    """All types, nodes, events and links of a store.

    Two stores that hold the same have equal contents, though their ids differ: a node is named by
    its rank among the nodes of its kind, a type by its key.

    times:
        Whether times are part of it; for stores that set their own, they cannot be.
    """
    found: Contents = {"types": [], "events": []}
    keys: dict[int, str] = {}
    ranks: dict[NodeKind, dict[int, int]] = {}
    for kind in NodeKind:
        types = store.read_types(TypeQuery(kind))
        keys |= {each.id: str(each.key) for each in types}
        found["types"] += sorted((_type_row(each) for each in types), key=repr)
    for kind in NodeKind:
        nodes = list(store.iterate(NodeQuery(kind)))
        ranks[kind] = {node.id: rank for rank, node in enumerate(nodes)}
        found[f"{kind.label}s"] = [_node_row(node, keys, times=times) for node in nodes]
    for event in store.read_events(EventQuery()):
        artifact = _rank(ranks[NodeKind.ARTIFACT], event.artifact_id)
        execution = _rank(ranks[NodeKind.EXECUTION], event.execution_id)
        time = (event.time_ms,) if times else ()
        found["events"].append((artifact, execution, event.type.name, exact(event.path), *time))
    found["events"].sort(key=repr)
    for link in LinkKind:
        found[f"{link.label}s"] = sorted(
            (
                (
                    _rank(ranks[NodeKind.CONTEXT], context),
                    _rank(ranks[link.other], other),
                )
                for context, other in store.read_links(LinkQuery(link))
            ),
            key=repr,
        )
    return found


def _rank(ranks: Mapping[int, int], id: int) -> int | str:
    # In a damaged store a link may lead nowhere.
    return ranks.get(id, f"missing {id}")


def _type_row(each: Type) -> tuple[Any, ...]:
    return (
        each.kind.name,
        each.name,
        each.version,
        sorted((name, kind.name) for name, kind in each.properties.items()),
        each.description,
        each.base_type,
        each.external_id,
        each.input_type,
        each.output_type,
    )


def _node_row(node: AnyNode, keys: Mapping[int, str], *, times: bool) -> dict[str, Any]:
    row: dict[str, Any] = {
        "type": keys.get(node.type_id, f"missing {node.type_id}"),
        "name": node.name,
        "external_id": node.external_id,
        "properties": exact(node.properties),
        "custom_properties": exact(node.custom_properties),
    }
    if isinstance(node, Artifact):
        row["uri"] = node.uri
    if isinstance(node, Artifact | Execution):
        row["state"] = None if node.state is None else node.state.name
    if times:
        row |= {"create_time_ms": node.create_time_ms, "update_time_ms": node.update_time_ms}
    return row


def compare_stores(
    left: BaseMetadataStore, right: BaseMetadataStore, *, times: bool = True
) -> list[str]:
    """What two stores hold differently, a sentence each; empty where they hold the same."""
    first, second = contents(left, times=times), contents(right, times=times)
    differences = []
    for what, rows in first.items():
        others = second[what]
        if len(rows) != len(others):
            differences.append(f"{what}: {len(rows)} on the left, {len(others)} on the right")
        differences += [
            f"{what} {position}: left {row!r}, right {other!r}"
            for position, (row, other) in enumerate(zip(rows, others, strict=False))
            if row != other
        ]
    return differences
