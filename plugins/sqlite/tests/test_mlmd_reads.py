"""What we read of a store is what ml-metadata reads of it; the judge is ml-metadata."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip(
    "ml_metadata", reason="without ml-metadata nothing says whether we read its stores as it does"
)

from metastore import LinkKind, LinkQuery, NodeQuery, TypeKey
from metastore.model import SIMPLE_TYPES
from metastore.query import Cursor, EventQuery, OrderBy, TypeQuery

from . import mlmd
from .golden import GOLDEN
from .helpers import ARTIFACT, CONTEXT, EXECUTION, fingerprint, listing, open_file, real_stores

_SECTIONS = (
    *("artifact_types", "execution_types", "context_types"),
    *("artifacts", "executions", "contexts"),
    *("events", "attributions", "associations", "parent_contexts"),
)
_GENERATED: Mapping[str, Callable[[Path], None]] = {
    "tfx-orchestrated": mlmd.write_tfx_orchestrated,
    "everything": mlmd.write_everything,
}
_STORES = (*sorted(GOLDEN), *_GENERATED)
_KINDS = (ARTIFACT, EXECUTION, CONTEXT)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Path, Any]]:
    """A function from the name of a store to its file of schema 10 and ml-metadata's snapshot.

    The snapshot is taken from a copy, because ml-metadata writes where it only reads.
    """
    made: dict[str, tuple[Path, Any]] = {}

    def prepare(name: str) -> tuple[Path, Any]:
        if name not in made:
            path = tmp_path_factory.mktemp("store") / "store.sqlite"
            if name in _GENERATED:
                _GENERATED[name](path)
            else:
                mlmd.upgraded_copy(real_stores() / name, path)
            copy = tmp_path_factory.mktemp("copy") / "store.sqlite"
            shutil.copyfile(path, copy)
            made[name] = path, mlmd.snapshot(copy)
        return made[name]

    return prepare


@pytest.fixture(params=_STORES)
def store(request: pytest.FixtureRequest, prepared: Any) -> tuple[Path, Any]:
    """Each store: its file, and what ml-metadata says is in it."""
    found: tuple[Path, Any] = prepared(request.param)
    return found


def test_everything_listed_is_what_mlmd_lists(store: tuple[Path, Any]) -> None:
    """Every type, node, event and link that ml-metadata lists is listed by us, alike."""
    path, expected = store
    with_us = open_file(path, "r")
    found = listing(with_us)
    with_us.close()
    assert set(expected) == set(_SECTIONS) == set(found)
    for section in _SECTIONS:
        assert len(found[section]) == len(expected[section]), section
        # One by one: an assertion on the whole would show nothing that can be read.
        for ours, theirs in zip(found[section], expected[section], strict=True):
            assert ours == theirs, section


def test_reading_leaves_the_file_as_it_is(store: tuple[Path, Any]) -> None:
    """A store that was read whole is the same, byte by byte, and nothing lies beside it."""
    path, _ = store
    before = fingerprint(path)
    with_us = open_file(path, "r")
    listing(with_us)
    with_us.close()
    assert fingerprint(path) == before
    assert set(before) == {path.name}


@pytest.mark.parametrize("name", ["active-learning.sqlite", "failed-runs.sqlite"])
def test_real_stores_of_schema_10_are_read_where_they_lie(name: str, prepared: Any) -> None:
    """A real store of schema 10 needs no copy: read in place, it lists the same, unharmed."""
    path = real_stores() / name
    _, expected = prepared(name)
    before = fingerprint(path)
    with_us = open_file(path, "r")
    found = listing(with_us)
    with_us.close()
    assert found == expected
    assert fingerprint(path) == before


@pytest.mark.parametrize("kind", _KINDS, ids=lambda kind: kind.label)
def test_each_node_is_found_by_what_it_has(store: tuple[Path, Any], kind: Any) -> None:
    """By id, name, external id, type and uri we find the nodes that have it, and no others."""
    path, expected = store
    nodes = expected[f"{kind.label}s"]
    backend = open_file(path, "r")

    def ids(**conditions: Any) -> list[int]:
        return [node.id for node in backend.read_nodes(NodeQuery(kind, **conditions))]

    def having(field: str, value: Any) -> list[int]:
        return [node["id"] for node in nodes if node[field] == value]

    for node in nodes:
        assert ids(ids=[node["id"]]) == [node["id"]]
        for field, condition in (
            ("name", "names"),
            ("external_id", "external_ids"),
            ("type", "type_names"),
            *([("uri", "uris")] if kind is ARTIFACT else []),
        ):
            if node[field] is not None:
                assert ids(**{condition: [node[field]]}) == having(field, node[field])
    for type in expected[f"{kind.label}_types"]:
        key = TypeKey(kind, type["name"], type["version"])
        assert ids(type=key) == having("type_id", type["id"])
        assert [each.id for each in backend.read_types(TypeQuery(kind, keys=[key]))] == [type["id"]]
    assert ids(ids=[0, -1, 10**9]) == ids(names=["nobody"]) == ids(type_names=["none"]) == []
    backend.close()


@pytest.mark.parametrize("kind", [ARTIFACT, EXECUTION], ids=lambda kind: kind.label)
def test_members_of_each_context(store: tuple[Path, Any], kind: Any) -> None:
    """A context's members are those that ml-metadata says, and theirs are its contexts."""
    path, expected = store
    link = LinkKind.ATTRIBUTION if kind is ARTIFACT else LinkKind.ASSOCIATION
    pairs = expected[f"{link.label}s"]
    backend = open_file(path, "r")
    for context in expected["contexts"]:
        found = backend.read_nodes(NodeQuery(kind, context_ids=[context["id"]]))
        members = [other for one, other in pairs if one == context["id"]]
        assert [node.id for node in found] == sorted(members)
    for node in expected[f"{kind.label}s"]:
        links = backend.read_links(LinkQuery(link, other_ids=[node["id"]]))
        assert [each.context_id for each in links] == [
            one for one, other in pairs if other == node["id"]
        ]
    backend.close()


def test_parents_and_children_of_each_context(store: tuple[Path, Any]) -> None:
    """Parents and children of each context are those that ml-metadata says."""
    path, expected = store
    pairs = expected["parent_contexts"]
    backend = open_file(path, "r")
    for context in expected["contexts"]:
        id = context["id"]
        parents = backend.read_nodes(NodeQuery(CONTEXT, parents_of=[id]))
        children = backend.read_nodes(NodeQuery(CONTEXT, children_of=[id]))
        assert [node.id for node in parents] == [one for one, child in pairs if child == id]
        assert [node.id for node in children] == [child for one, child in pairs if one == id]
    backend.close()


def test_events_of_each_node(store: tuple[Path, Any]) -> None:
    """Events asked for by artifact and by execution are those that ml-metadata says."""
    path, expected = store
    backend = open_file(path, "r")
    for nodes, position, condition in (
        ("artifacts", 0, "artifact_ids"),
        ("executions", 1, "execution_ids"),
    ):
        for node in expected[nodes]:
            found = backend.read_events(EventQuery(**{condition: [node["id"]]}))
            assert sorted((*each[:2], int(each.type), each.time_ms) for each in found) == sorted(
                each[:4] for each in expected["events"] if each[position] == node["id"]
            )
    backend.close()


@pytest.mark.parametrize("order", OrderBy)
@pytest.mark.parametrize("descending", [False, True])
def test_pages_of_any_size_lose_nothing(
    store: tuple[Path, Any], order: OrderBy, descending: bool
) -> None:
    """Read in pages of 1, 7 or 1,000, in any order, the nodes are all there, each once."""
    path, expected = store
    field = {
        OrderBy.ID: "id",
        OrderBy.CREATE_TIME: "create_time_since_epoch",
        OrderBy.UPDATE_TIME: "last_update_time_since_epoch",
    }[order]
    backend = open_file(path, "r")
    for kind in _KINDS:
        wanted = [
            node["id"]
            for node in sorted(
                expected[f"{kind.label}s"],
                key=lambda node: (node[field], node["id"]),
                reverse=descending,
            )
        ]
        for size in (1, 7, 1000):
            query = NodeQuery(kind, order_by=order, descending=descending)
            assert [node.id for node in backend.iterate(query, page_size=size)] == wanted
        if wanted:
            behind = NodeQuery(kind, order_by=order, after=Cursor(2**62, 2**62))
            assert backend.read_nodes(behind) == []
        assert backend.count(NodeQuery(kind)) == len(wanted)
    backend.close()


def test_simple_types_are_listed_by_us_alone(prepared: Any) -> None:
    """The types that every store has (``mlmd.*``), which ml-metadata hides, are listed by us."""
    path, _ = prepared("everything")
    backend = open_file(path, "r")
    for kind in _KINDS:
        names = {each.name for each in backend.read_types(TypeQuery(kind))}
        assert names >= set(SIMPLE_TYPES[kind])
    backend.close()
