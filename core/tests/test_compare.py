"""Two stores compared: whatever differs is found, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from metastore import (
    Batch,
    Differences,
    Event,
    EventType,
    LinkKind,
    MemoryMetadataStore,
    NodeKind,
)
from metastore.memory import Tables
from metastore.transfer import compare, copy

from .copied import full, rows

ARTIFACT, EXECUTION, CONTEXT = NodeKind.ARTIFACT, NodeKind.EXECUTION, NodeKind.CONTEXT


def test_equal_stores_are_equal() -> None:
    """A store that was copied is found equal to its source, though its ids are other ones."""
    source, target = full(), MemoryMetadataStore()
    batch = Batch()
    batch.type(ARTIFACT, "Model")
    target.write(batch)
    copy(source, target)
    assert not compare(source, target, page_size=2)
    assert not compare(target, source)


def damaged(how: Callable[[Tables], object]) -> Differences:
    """What the comparison says after a copy was changed so."""
    source, target = full(), MemoryMetadataStore()
    copy(source, target)
    how(rows(target))
    return compare(source, target, page_size=2)


def change(kind: NodeKind, id: int, **fields: Any) -> Callable[[Tables], object]:
    """Changes a node."""
    return lambda rows: rows.nodes[kind].update({id: replace(rows.nodes[kind][id], **fields)})


_KEY = (3, 3, EventType.INPUT)


@pytest.mark.parametrize(
    ("how", "told"),
    [
        (change(ARTIFACT, 2, uri="x"), "uri"),
        (change(ARTIFACT, 2, name="x"), "name"),
        (change(ARTIFACT, 2, state=None), "state"),
        (change(EXECUTION, 2, external_id="y"), "external id"),
        (change(EXECUTION, 2, custom_properties={}), "custom property 'int'"),
        (change(EXECUTION, 2, custom_properties={"int": "another kind", "b": 1}), "'b'"),
        (change(ARTIFACT, 2, custom_properties={"number": True, "": ""}), "'number'"),
        (change(CONTEXT, 2, properties={"int": 1}), "property 'int'"),
        (change(CONTEXT, 1, create_time_ms=1), "create time"),
        (change(CONTEXT, 1, update_time_ms=1), "update time"),
        (change(CONTEXT, 1, type_id=10), "another type"),
        (lambda rows: rows.events.pop(_KEY), "INPUT event of artifact 3"),
        (lambda rows: rows.events.update({_KEY: rows.events[_KEY]._replace(path=(0,))}), "path"),
        (lambda rows: rows.events.update({_KEY: rows.events[_KEY]._replace(time_ms=0)}), "time"),
        (
            lambda rows: rows.events.update({(1, 2, EventType.INPUT): Event(1, 2, _KEY[2], 5)}),
            "that is not here",
        ),
        (lambda rows: rows.links[LinkKind.ATTRIBUTION].pop((1, 2)), "attribution"),
        (lambda rows: rows.links[LinkKind.ASSOCIATION].pop((2, 4)), "association"),
        (lambda rows: rows.links[LinkKind.PARENT].pop((1, 2)), "parent context"),
        (lambda rows: rows.links[LinkKind.ATTRIBUTION].update({(2, 3): None}), "has an attrib"),
        (lambda rows: rows.nodes[ARTIFACT].pop(5), "artifacts: 5 on one side, 4 on the other"),
        (lambda rows: rows.types.update({10: replace(rows.types[10], description="x")}), "descr"),
        (lambda rows: rows.types.update({10: replace(rows.types[10], properties={})}), "declares"),
    ],
)
def test_each_difference_is_found(how: Callable[[Tables], object], told: str) -> None:
    """Whatever is changed, missing or too much in one of two equal stores is told."""
    found = damaged(how)
    assert any(told in each for each in found.first), found.first


def test_many_differences_are_counted() -> None:
    """All differences are counted, the first twenty are told."""
    source = full(steps=30)
    found = compare(source, MemoryMetadataStore())
    assert found.count == 7
    target = full(steps=30)
    for node in list(rows(target).nodes[ARTIFACT].values()):
        change(ARTIFACT, node.id, name="x")(rows(target))
    found = compare(source, target)
    assert (found.count, len(found.first)) == (30, 20)
