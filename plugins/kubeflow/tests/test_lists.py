"""Lists and filters over services of several kinds: the answers are those of the file behind."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest

pytest.importorskip("ml_metadata.metadata_store", reason="the judge is not installed here")

import metastore
from metastore import (
    BaseMetadataStore,
    Batch,
    Filter,
    FilterError,
    NodeKind,
    NodeQuery,
    OrderBy,
    StorageError,
    TypeKey,
)
from metastore.base import cursor_of
from metastore.model import AnyNode, PropertyKind
from metastore.query import select
from metastore.testing.random_filters import Words, random_batch, random_filter
from metastore_flavor_kubeflow import KubeflowConfig, KubeflowMetadataStore

from .services import calls_to, engine_service, our_service
from .stand_in import EMPTY, StandIn, standing_in

ARTIFACT, CONTEXT = NodeKind.ARTIFACT, NodeKind.CONTEXT
NOW = 1_700_000_000_000
COUNT = 700
ORDERS = pytest.mark.parametrize("order", list(OrderBy), ids=lambda each: each.value)
WAYS = pytest.mark.parametrize("descending", [False, True], ids=["up", "down"])


class Place(NamedTuple):
    """The same store, as a file and behind a service."""

    kind: str
    file: BaseMetadataStore
    served: KubeflowMetadataStore
    port: int


def _fill(file: Path) -> None:
    chance = random.Random(3)
    batch = Batch()
    batch.type(ARTIFACT, "T", {"p": PropertyKind.STRING, "n": PropertyKind.INT})
    batch.type(ARTIFACT, "T", version="2")
    batch.type(CONTEXT, "C")
    contexts = [batch.context("C", name=f"c {number}") for number in range(3)]
    for number in range(COUNT):
        # Of one millisecond, half of them; the others in no order.
        created = NOW if number % 2 else NOW + chance.randrange(-200, 200)
        updated = NOW + 500 if 100 <= number < 450 else created + chance.randrange(500)
        artifact = batch.artifact(
            TypeKey(ARTIFACT, "T", "2" if number % 7 == 3 else None),
            name=f"a {number}" if number % 3 else None,
            uri=f"u{number % 5}",
            custom_properties={"n": number % 11},
            create_time_ms=created,
            update_time_ms=updated,
        )
        batch.attribution(contexts[number % 3], artifact)
        if number % 4 == 0:
            batch.attribution(contexts[0], artifact)
    with metastore.connect(f"sqlite:///{file}") as store:
        store.backend.write(batch)


def _ignore_filters(rpc: str, request: Any) -> None:
    """As ML Metadata 1.21 does."""
    if "options" in request.DESCRIPTOR.fields_by_name and rpc.startswith("Get"):
        request.options.ClearField("filter_query")


@pytest.fixture(scope="module", params=["engine", "ours", "no filters"])
def place(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A store with times in no order, behind each kind of server."""
    folder = tmp_path_factory.mktemp("lists")
    file, copied = folder / "lists.db", folder / "copied.db"
    _fill(file)
    shutil.copyfile(file, copied)
    with ExitStack() as stack:
        if request.param == "ours":
            port = stack.enter_context(our_service(f"sqlite:///{copied}"))
        else:
            port = stack.enter_context(engine_service(copied))
        real = port
        if request.param == "no filters":
            stand_in = stack.enter_context(standing_in(port))
            stand_in.rewrite = _ignore_filters
            port = stand_in.port
        opened = stack.enter_context(metastore.connect(f"sqlite:///{file}", mode="r"))
        served = stack.enter_context(closing(_open(port)))
        yield Place(request.param, opened.backend, served, real)


def _open(port: int) -> KubeflowMetadataStore:
    return KubeflowMetadataStore.open(KubeflowConfig(host="127.0.0.1", port=port))


def _walked(store: BaseMetadataStore, query: NodeQuery, most: int = 10**6) -> list[AnyNode]:
    """The nodes of a query, page by page, each behind the cursor of the last one."""
    found: list[AnyNode] = []
    for _ in range(most):
        page = store.read_nodes(query)
        found += page
        if query.limit is None or len(page) < query.limit:
            break
        query = replace(query, after=cursor_of(page[-1], query.order_by))
    return found


@pytest.mark.parametrize(
    "narrowed",
    [
        {},
        {"type": TypeKey(ARTIFACT, "T")},
        {"context_ids": [1]},
        {"context_ids": [1, 3]},
        {"type_names": ["T"], "uris": ["u1", "u2"]},
        {"names": [f"a {number}" for number in range(0, COUNT, 2)]},
    ],
    ids=["all", "type", "context", "contexts", "uris", "names"],
)
@ORDERS
@WAYS
def test_pages_are_those_of_the_file(
    place: Place, narrowed: dict[str, Any], order: OrderBy, descending: bool
) -> None:
    """In either direction, of any size, by times that are not in the order of ids."""
    query = NodeQuery(ARTIFACT, order_by=order, descending=descending, **narrowed)
    wanted = list(place.file.read_nodes(query))
    assert len(wanted) >= 100
    # Without filters each page by time is found among all nodes.
    for limit in (250, None) if place.kind == "no filters" else (89, 250, None):
        assert _walked(place.served, replace(query, limit=limit)) == wanted
    assert _walked(place.served, replace(query, limit=1), most=4) == wanted[:4]
    for at in (0, 99, len(wanted) - 2):
        behind = replace(query, after=cursor_of(wanted[at], order), limit=3)
        assert list(place.served.read_nodes(behind)) == wanted[at + 1 : at + 4]
    assert place.served.count(query) == len(wanted)


@ORDERS
@WAYS
@pytest.mark.parametrize("service", [engine_service, our_service], ids=["engine", "ours"])
def test_what_is_written_between_pages(service: Any, order: OrderBy, descending: bool) -> None:
    """New nodes, most of them of the same millisecond, neither repeat nor hide others."""
    with service() as port, closing(_open(port)) as store:
        batch = Batch()
        batch.type(ARTIFACT, "T")
        for _ in range(150):
            batch.artifact("T")
        store.write(batch)
        query = NodeQuery(ARTIFACT, order_by=order, descending=descending, limit=40)
        before = {node.id for node in store.read_nodes(replace(query, limit=None))}
        found: list[AnyNode] = []
        while True:
            page = store.read_nodes(query)
            found += page
            if len(page) < 40:
                break
            query = replace(query, after=cursor_of(page[-1], order))
            more = Batch()
            more.artifact("T")
            if len(found) < 200:
                store.write(more)
        ids = [node.id for node in found]
        assert len(set(ids)) == len(ids)
        assert set(ids) >= before
        assert descending or set(ids) > before


@pytest.mark.parametrize("rpc", ["GetArtifacts", "GetArtifactsByType"])
def test_a_server_that_takes_no_notice_of_tokens(rpc: str) -> None:
    """A list that does not go on is an error, and not asked for for ever."""

    def forget(name: str, request: Any) -> None:
        if name == rpc:
            request.options.ClearField("next_page_token")

    with engine_service() as port, standing_in(port) as stand_in, closing(_open(port)) as writer:
        batch = Batch()
        batch.type(ARTIFACT, "T")
        for _ in range(250):
            batch.artifact("T")
        writer.write(batch)
        stand_in.rewrite = forget
        with closing(_open(stand_in.port)) as store:
            type = TypeKey(ARTIFACT, "T") if rpc.endswith("Type") else None
            with pytest.raises(StorageError, match=f"{rpc} with pages that do not go on"):
                store.read_nodes(NodeQuery(ARTIFACT, type=type))


# Filters.


def _filtered(store: BaseMetadataStore, kind: NodeKind, text: str) -> Sequence[AnyNode]:
    return store.find_nodes(NodeQuery(kind, filter=Filter.parse(kind, text)))


@pytest.mark.parametrize("service", [engine_service, our_service], ids=["engine", "ours"])
@pytest.mark.parametrize("seed", range(4))
def test_random_filters_find_what_python_finds(service: Any, seed: int) -> None:
    """What the server sorts out before is nothing that we would have let through."""
    chance = random.Random(seed)
    # What the engine cannot keep is left out.
    words = Words(
        texts=("a", "A", "b", "x%y", "x_y", "", "é", "É", "it's", "uri", "name", "back\\slash"),
        doubles=(0.0, 0.5, 1.0, 2.0, -1.5, 1e-6, 0.1),
    )
    with service() as port, closing(_open(port)) as store:
        for _ in range(3):
            try:
                store.write(random_batch(chance, words))
            except metastore.MetastoreError:
                continue
        everything = {kind: list(store.iterate(NodeQuery(kind))) for kind in NodeKind}
        tried = found = 0
        for _ in range(150):
            kind = chance.choice(list(NodeKind))
            text = random_filter(chance, kind, words)
            try:
                filter = Filter.parse(kind, text)
            except FilterError:
                continue
            tried += 1
            answer = list(store.find_nodes(NodeQuery(kind, filter=filter)))
            assert answer == list(select(filter, everything[kind], store)), text
            found += len(answer)
        assert tried > 100
        assert found > 50


PASSED_ON = [
    "type = 'T' AND name = 'a 1'",
    "uri = 'u3' AND custom_properties.n.int_value = 5",
    "custom_properties.n.int_value = 5 AND LENGTH(uri) = 2",
    "contexts_c.name = 'c 1' AND custom_properties.n.int_value = 3",
    "id IN (5, 6, 7)",
    "custom_properties.n.int_value >= 10 AND NOT uri = 'u1'",
]


@pytest.mark.parametrize("text", PASSED_ON)
def test_a_filter_is_passed_on(place: Place, text: str) -> None:
    """A server with filters sends fewer pages; the answers are the same without."""
    wanted = list(_filtered(place.file, ARTIFACT, text))
    assert 0 < len(wanted) < 100
    assert place.served._service.filters is (place.kind != "no filters")
    calls_to(place.port)
    assert list(_filtered(place.served, ARTIFACT, text)) == wanted
    calls = calls_to(place.port)["GetArtifacts"]
    assert calls == (COUNT // 100 if place.kind == "no filters" else 1)


HOSTILE = [
    *("uri", "name", "id", "type_id", "state", "external_id", "t0.id", "T", "ROWID"),
    *("it's", 'say "no"', "back\\slash", "\\", "'", '"', "''", "\\'", "' OR '1'='1", "\n", "\t"),
    *("'; DROP TABLE Artifact; --", "u1' OR name != '", "é", "\U0001f600", "%", "_", "u%", "`"),
    *("?", "%s", "{x}", "/* */", "-- ", ")", "(", "\u2028", "NULL", "true", "current_date"),
]


@pytest.fixture(scope="module")
def hostile() -> Iterator[tuple[BaseMetadataStore, StandIn]]:
    """Artifacts that are called so, behind the engine, and one whose uri and name are plain."""
    with (
        engine_service() as port,
        standing_in(port) as stand_in,
        closing(_open(stand_in.port)) as store,
    ):
        batch = Batch()
        batch.type(ARTIFACT, "T")
        batch.artifact("T", name="plain", uri="u1")
        for text in HOSTILE:
            batch.artifact("T", name=text, uri=text, custom_properties={"t": text})
        store.write(batch)
        yield store, stand_in


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_a_hostile_text_is_only_a_text(
    hostile: tuple[BaseMetadataStore, StandIn], text: str
) -> None:
    """Quotes, backslashes, names of columns and SQL find what is called so, and nothing else."""
    store, _ = hostile
    quoted = "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
    for filter in (
        f"uri = {quoted}",
        f"name IN ({quoted})",
        f"custom_properties.t.string_value = {quoted}",
        f"type = 'T' AND uri = {quoted}",
    ):
        assert [node.name for node in _filtered(store, ARTIFACT, filter)] == [text], filter
    for query in (
        NodeQuery(ARTIFACT, names=[text]),
        NodeQuery(ARTIFACT, type=TypeKey(ARTIFACT, "T"), names=[text]),
        NodeQuery(ARTIFACT, type=TypeKey(ARTIFACT, "T"), names=[text, "x", "y", "z", "plai"]),
        NodeQuery(ARTIFACT, uris=[text]),
    ):
        assert [node.name for node in store.read_nodes(query)] == [text]


def test_what_the_engine_would_take_for_something_else_is_not_passed_on(
    hostile: tuple[BaseMetadataStore, StandIn],
) -> None:
    """Names of columns and texts with quotes never get there; a NUL finds nothing."""
    store, stand_in = hostile
    stand_in.filters.clear()
    for text in ("uri", "NAME", "it\\'s", "back\\\\slash", "é"):
        _filtered(store, ARTIFACT, f"uri = '{text}' AND type = 'T'")
    assert set(stand_in.filters) == {"((type = 'T'))"} or set(stand_in.filters) == {"(type = 'T')"}
    assert store.read_nodes(NodeQuery(ARTIFACT, names=["pla\0in", "plain\0"])) == []
    assert store.read_nodes(NodeQuery(ARTIFACT, uris=["u1\0"])) == []


def test_lists_that_end_early(hostile: tuple[BaseMetadataStore, StandIn]) -> None:
    """An empty answer is an empty list: nothing is invented, and nothing asked for twice."""
    store, stand_in = hostile
    stand_in.fail("GetArtifacts", EMPTY)
    before = stand_in.counts["GetArtifacts"]
    assert store.read_nodes(NodeQuery(ARTIFACT)) == []
    assert stand_in.counts["GetArtifacts"] == before + 1
