"""What all parts of the contract share: fixtures, and short ways to write and read."""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from typing import Any, ClassVar, TypeAlias

import pytest

from metastore.base import BaseMetadataStore, OpenMode
from metastore.batch import Batch, Written, WrittenBatch
from metastore.errors import CapabilityError, MetastoreError
from metastore.model import (
    AnyNode,
    Artifact,
    Context,
    Event,
    Execution,
    LinkKind,
    NodeKind,
    PropertyKind,
    Type,
    TypeKey,
)
from metastore.query import EventQuery, LinkQuery, NodeQuery, TypeQuery
from metastore.testing._contents import contents
from metastore.testing._opens import Opens

ARTIFACT, EXECUTION, CONTEXT = NodeKind.ARTIFACT, NodeKind.EXECUTION, NodeKind.CONTEXT
ALL_KINDS = pytest.mark.parametrize("kind", list(NodeKind), ids=lambda kind: kind.label)

INT, DOUBLE, STRING = PropertyKind.INT, PropertyKind.DOUBLE, PropertyKind.STRING
STRUCT, PROTO, BOOLEAN = PropertyKind.STRUCT, PropertyKind.PROTO, PropertyKind.BOOLEAN

UNKNOWN_ID = 4_242_424_242
"""An id that no store of these tests reaches."""

MakeStore: TypeAlias = Callable[[], BaseMetadataStore]
Reopen: TypeAlias = Callable[[BaseMetadataStore, OpenMode], BaseMetadataStore]


class ContractBase:
    """The fixtures; a flavor gives `make_store`, and `reopen` where the default is not right."""

    KNOWN_FAILURES: ClassVar[Mapping[str, str]] = {}
    """Tests that the backend makes fail, by name, or by name and case as pytest shows them
    (``"test_texts[null word of MLMD]"``), and why.  They must fail."""

    @pytest.fixture(autouse=True)
    def _says_what_to_check(self, request: pytest.FixtureRequest) -> None:
        """A test that fails shows its docstring: what must hold, and what to check."""
        for name in (request.node.name, request.node.originalname):
            if name in self.KNOWN_FAILURES:
                why = self.KNOWN_FAILURES[name]
                request.applymarker(pytest.mark.xfail(reason=why, strict=True))
        text = inspect.getdoc(request.function) or ""
        request.node.add_report_section("call", "contract", f"docs/contract.md: {text}")

    @pytest.fixture
    def opens(self, monkeypatch: pytest.MonkeyPatch) -> Opens:
        """Which config each store of this test was opened with."""
        return Opens(monkeypatch)

    @pytest.fixture
    def reopen(self, opens: Opens) -> Reopen | None:
        """Open the data of a store again: ``reopen(store, mode)``.

        By default with the config that the store was opened with.  A flavor whose data are gone
        when a store is closed overrides it, and returns None.
        """
        return opens.again

    @pytest.fixture
    def new_store(self, opens: Opens, make_store: MakeStore) -> Iterator[MakeStore]:
        """Like `make_store`, and closes what it made."""
        made: list[BaseMetadataStore] = []

        def make() -> BaseMetadataStore:
            made.append(make_store())
            return made[-1]

        yield make
        for store in made:
            store.close()

    @pytest.fixture
    def store(self, new_store: MakeStore) -> BaseMetadataStore:
        """A new, empty store."""
        return new_store()

    @pytest.fixture
    def open_again(self, reopen: Reopen | None) -> Iterator[Reopen]:
        """Like `reopen`, and closes what it opened; skips where the flavor has none."""
        if reopen is None:
            pytest.skip("the flavor's data are gone when it is closed: its `reopen` is None")
        opened: list[BaseMetadataStore] = []

        def open_it(store: BaseMetadataStore, mode: OpenMode) -> BaseMetadataStore:
            opened.append(reopen(store, mode))
            return opened[-1]

        yield open_it
        for each in opened:
            each.close()


def needs(store: BaseMetadataStore, capability: str, wanted: object = True) -> None:
    """Skip the test where the flavor declares not to have what it is about."""
    if getattr(store.CAPABILITIES, capability) != wanted:
        pytest.skip(f"flavor {store.FLAVOR!r} declares {capability} = not {wanted!r}")


# Writing.


def batch_with(*names: str, **properties: PropertyKind) -> Batch:
    """A batch with types of these names (``"T"`` by default), of all kinds, with properties.

    It finds the types where they are stored already, and widens them.
    """
    batch = Batch()
    for name in names or ("T",):
        for kind in NodeKind:
            batch.type(kind, name, properties, can_add_properties=True, can_omit_properties=True)
    return batch


def prepare(store: BaseMetadataStore, *names: str, **properties: PropertyKind) -> None:
    """Write types as `batch_with` makes them."""
    store.write(batch_with(*names, **properties))


def add(batch: Batch, kind: NodeKind, type: Any = "T", **fields: Any) -> Any:
    """Add a node of any kind; a context that gets no name is called after its position."""
    if kind is CONTEXT:
        fields.setdefault("name", f"context {len(batch.nodes[CONTEXT])}")
    return getattr(batch, kind.label)(type, **fields)


def put(store: BaseMetadataStore, kind: NodeKind, type: Any = "T", **fields: Any) -> Written:
    """Write one node of any kind, in a batch of its own."""
    batch = Batch()
    ref = add(batch, kind, type, **fields)
    return store.write(batch)[ref]


def update(store: BaseMetadataStore, kind: NodeKind, mode: Any, **fields: Any) -> Written:
    """Write one node by its id, with nothing but these fields."""
    batch = Batch()
    ref = getattr(batch, kind.label)(None, mode=mode, **fields)
    return store.write(batch)[ref]


def refuse(
    store: BaseMetadataStore, batch: Batch, error: type[MetastoreError], **offender: Any
) -> MetastoreError:
    """Check that writing raises, names the offender, and leaves the store as it was."""
    before = contents(store)
    with pytest.raises(error) as raised:
        store.write(batch)
    assert contents(store) == before, "the batch failed and left something behind"
    found = raised.value.offender
    assert found is not None, "the error names no offender"
    assert found._replace(**offender) == found, f"offender {found!r}, expected {offender!r}"
    return raised.value


def whole_text(error: BaseException) -> str:
    """All that anybody could read of an error: its messages and those of its causes."""
    texts = []
    seen: BaseException | None = error
    while seen is not None:
        texts += traceback.format_exception_only(type(seen), seen)
        texts += [str(seen), repr(seen), repr(seen.args)]
        seen = seen.__cause__ or (None if seen.__suppress_context__ else seen.__context__)
    return "\n".join(texts)


# Reading.


def types(store: BaseMetadataStore, kind: NodeKind) -> dict[str, Type]:
    """The types of a kind by key, as text; without the simple types."""
    found = store.read_types(TypeQuery(kind))
    return {str(each.key): each for each in found if not each.name.startswith("mlmd.")}


def one_type(store: BaseMetadataStore, kind: NodeKind, name: str, version: Any = None) -> Type:
    """The type of that key."""
    [found] = store.read_types(TypeQuery(kind, keys=[TypeKey(kind, name, version)]))
    return found


def read(store: BaseMetadataStore, kind: NodeKind, **conditions: Any) -> list[AnyNode]:
    """The nodes that fulfil the conditions of a `NodeQuery`."""
    return list(store.read_nodes(NodeQuery(kind, **conditions)))


def ids(store: BaseMetadataStore, kind: NodeKind, **conditions: Any) -> list[int]:
    """Their ids."""
    return [node.id for node in read(store, kind, **conditions)]


def one(store: BaseMetadataStore, kind: NodeKind, id: int) -> AnyNode:
    """The node with that id."""
    [node] = read(store, kind, ids=[id])
    return node


def artifact(store: BaseMetadataStore, id: int) -> Artifact:
    """The artifact with that id."""
    node = one(store, ARTIFACT, id)
    assert type(node) is Artifact
    return node


def execution(store: BaseMetadataStore, id: int) -> Execution:
    """The execution with that id."""
    node = one(store, EXECUTION, id)
    assert type(node) is Execution
    return node


def context(store: BaseMetadataStore, id: int) -> Context:
    """The context with that id."""
    node = one(store, CONTEXT, id)
    assert type(node) is Context
    return node


def events(store: BaseMetadataStore, **conditions: Any) -> list[Event]:
    """The events that fulfil the conditions of an `EventQuery`."""
    return list(store.read_events(EventQuery(**conditions)))


def links(store: BaseMetadataStore, kind: LinkKind, **conditions: Any) -> list[tuple[int, int]]:
    """The links that fulfil the conditions of a `LinkQuery`, as plain pairs."""
    return [(link[0], link[1]) for link in store.read_links(LinkQuery(kind, **conditions))]


def chain(store: BaseMetadataStore, length: int) -> tuple[list[int], WrittenBatch]:
    """Contexts of which each is the child of the next; their ids."""
    batch = batch_with()
    refs = [batch.context("T", name=f"link {number}") for number in range(length)]
    for child, parent in pairwise(refs):
        batch.parent(child, parent)
    written = store.write(batch)
    return [written[ref].id for ref in refs], written


def needs_transaction(store: BaseMetadataStore) -> None:
    """Skip the test where a flavor overrides `write` and has no transaction of its own."""
    try:
        with store.transaction():
            pass
    except CapabilityError:
        pytest.skip(f"flavor {store.FLAVOR!r} has no transaction: its backend has rules of its own")
