"""Random histories of batches, written to the store under test and to the memory flavor.

After each batch both must have said the same (ids aside) and hold the same.  A history is plain
data: hypothesis shrinks it, and what it prints of a failure is short enough to be read, and
can be pasted into `replay`.  Nodes are named by their rank among the nodes of their kind, so that
a history means the same for stores that give different ids; times are given, so that the same
times are stored.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import MISSING, dataclass, fields
from typing import Any, TypeAlias

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from metastore.base import BaseMetadataStore
from metastore.batch import ALL, INSERT, Batch, Merge, Ref, Replace, Reuse, WriteMode, WrittenBatch
from metastore.errors import MetastoreError
from metastore.memory import MemoryMetadataStore
from metastore.model import AnyNode, EventType, LinkKind, NodeKind, PropertyKind, Proto
from metastore.query import NodeQuery
from metastore.testing._base import ContractBase, MakeStore, needs
from metastore.testing._contents import compare_stores

__all__ = ["Action", "ModelContract", "histories", "replay"]

EXAMPLES = int(os.environ.get("METASTORE_TEST_HISTORIES", "80"))
"""Random histories."""


class _Brief:
    """Prints what differs from the defaults only."""

    __slots__ = ()

    def __repr__(self) -> str:
        said = []
        for each in fields(self):  # type: ignore[arg-type]  # every subclass is a dataclass
            value = getattr(self, each.name)
            if each.default is MISSING or value != each.default:
                said.append(f"{each.name}={value!r}")
        return f"{type(self).__name__}({', '.join(said)})"


# What a batch is made of.  A number stands for a node: 0, 1 ... for stored ones by rank (the one
# behind the last is none at all), -1, -2 ... for those of the same batch, the latest first.


@dataclass(frozen=True, repr=False)
class PutType(_Brief):
    """A draft of a type."""

    kind: NodeKind
    name: str
    properties: tuple[tuple[str, PropertyKind], ...] = ()
    version: str | None = None
    base_type: str | None = None
    external_id: str | None = None
    can_add: bool = False
    can_omit: bool = False


@dataclass(frozen=True, repr=False)
class Put(_Brief):
    """A draft of a node.

    how:
        insert, replace, merge, keep (and update by: reuse), reuse-replace, reuse-merge.
    target:
        The node to replace or merge.
    by:
        What to reuse by.
    expect:
        Whether the update time that is expected is the right one; None expects nothing.
    """

    kind: NodeKind
    type: str | None = "T"
    how: str = "insert"
    target: int = 0
    by: str = "name"
    name: str | None = None
    uri: str = ""
    state: int | None = None
    external_id: str | None = None
    properties: tuple[tuple[str, Any], ...] = ()
    custom: tuple[tuple[str, Any], ...] = ()
    fields: tuple[str, ...] = ()
    keys: tuple[str, ...] | str | None = None
    expect: bool | None = None
    force: bool = False


@dataclass(frozen=True, repr=False)
class PutEvent(_Brief):
    """A draft of an event."""

    artifact: int
    execution: int
    type: EventType = EventType.INPUT
    path: tuple[int | str, ...] = ()


@dataclass(frozen=True, repr=False)
class PutLink(_Brief):
    """A draft of a link."""

    kind: LinkKind
    context: int
    other: int


Action: TypeAlias = "PutType | Put | PutEvent | PutLink"
History: TypeAlias = "Sequence[Sequence[Action]]"

_PROPERTIES = (("a", PropertyKind.INT), ("b", PropertyKind.STRING), ("c", PropertyKind.STRUCT))
_BEGINNING = [PutType(kind, name, _PROPERTIES) for kind in NodeKind for name in ("T", "U")]
"""Types to begin with, so that most nodes of a history can be written."""

# Histories, generated.  Small pools, so that drafts meet one another; mostly valid ones.

_numbers = st.integers(-2, 3)
_names = st.sampled_from([None, None, "n", "m", "é", ""])
_external_ids = st.sampled_from([None, None, None, "x", "y"])
_values = st.sampled_from(
    [0, 1, True, 1.0, 0.0, -0.0, "", "1", "t\0", "mlmd-struct::x", 2**63 - 1, 5e-324]
) | st.builds(Proto, st.just("t"), st.binary(max_size=2))
_structs = st.sampled_from([{}, {"k": 1.0}, {"k": True}, {"k": [None, {}, []]}])


def _entries(keys: list[str], values: SearchStrategy[Any]) -> SearchStrategy[Any]:
    entry = st.tuples(st.sampled_from(keys), values)
    return st.lists(entry, max_size=2, unique_by=lambda each: each[0]).map(tuple)


_declared = st.one_of(
    _entries(["a"], st.integers(0, 2)),
    _entries(["b"], st.sampled_from(["", "v", "w"])),
    _entries(["c"], _structs),
    # Now and then one that the type may not have.
    _entries(["a", "b", "d"], st.sampled_from([1, "v"])),
)
_custom = _entries(["a", "z"], _values | _structs)

_types = st.builds(
    PutType,
    kind=st.sampled_from(NodeKind),
    name=st.sampled_from(["T", "U", "V"]),
    properties=st.sampled_from([_PROPERTIES, _PROPERTIES[:1], (), (("d", PropertyKind.INT),)])
    | st.just((("a", PropertyKind.DOUBLE),)),
    version=st.sampled_from([None, None, "1"]),
    base_type=st.sampled_from([None, None, "mlmd.Model", "mlmd.Train"]),
    external_id=st.sampled_from([None, None, "x", "y"]),
    can_add=st.booleans(),
    can_omit=st.booleans(),
)
_events = st.builds(
    PutEvent,
    artifact=_numbers,
    execution=_numbers,
    type=st.sampled_from([EventType.INPUT, EventType.OUTPUT]),
    path=st.sampled_from([(), ("k", 0), (0, "0")]),
)
_links = st.builds(PutLink, st.sampled_from(LinkKind), context=_numbers, other=_numbers)


@st.composite
def _nodes(draw: st.DrawFn) -> Put:
    kind = draw(st.sampled_from(NodeKind))
    how = draw(
        st.sampled_from(
            ["insert", "insert", "replace", "merge", "keep", "reuse-replace", "reuse-merge"]
        )
    )
    names = st.sampled_from(["n", "m", "o", ""]) if kind is NodeKind.CONTEXT else _names
    uris = st.sampled_from(["", "", "u", "v"]) if kind is NodeKind.ARTIFACT else st.just("")
    states = st.none() if kind is NodeKind.CONTEXT else st.sampled_from([None, 0, 2])
    updates = how in ("replace", "merge")
    reuses = how in ("keep", "reuse-replace", "reuse-merge")
    return Put(
        kind,
        type=draw(st.sampled_from([None, "T", "T", "U"] if updates else ["T", "T", "U", "V"])),
        how=how,
        target=draw(st.integers(0, 3)) if updates else 0,
        by=draw(st.sampled_from(["name", "external_id", "uri"])) if reuses else "name",
        name=draw(names),
        uri=draw(uris),
        state=draw(states),
        external_id=draw(_external_ids),
        properties=draw(_declared),
        custom=draw(_custom),
        fields=tuple(
            draw(st.lists(st.sampled_from(["uri", "state", "external_id", "name"]), unique=True))
        )
        if how == "merge"
        else (),
        keys=draw(st.sampled_from([None, (), ("a",), ("a", "z"), "all"]))
        if how == "merge"
        else None,
        expect=draw(st.sampled_from([None, None, True, False])) if updates else None,
        force=draw(st.booleans()) if updates else False,
    )


def histories(*, max_batches: int = 8, max_actions: int = 4) -> SearchStrategy[History]:
    """Histories: lists of batches, each a list of actions; some of them break rules."""
    actions: SearchStrategy[Action] = st.one_of(_nodes(), _nodes(), _events, _links, _types)
    batches = st.lists(actions, min_size=1, max_size=max_actions)
    return st.lists(batches, min_size=1, max_size=max_batches)


# Histories, written.


class _Player:
    """Writes batches of a history to one store."""

    def __init__(self, store: BaseMetadataStore) -> None:
        self.store = store
        self._nodes: dict[NodeKind, list[AnyNode]] = {}

    def play(self, actions: Sequence[Action], time: int) -> tuple[object, ...]:
        """Write one batch; what the store says to it, ids as ranks."""
        self._nodes = {kind: list(self.store.iterate(NodeQuery(kind))) for kind in NodeKind}
        batch = Batch()
        for position, action in enumerate(actions):
            self._add(batch, action, time + position)
        try:
            written = self.store.write(batch)
        except MetastoreError as error:
            return (type(error).__name__,)
        return self._said(written)

    def _said(self, written: WrittenBatch) -> tuple[object, ...]:
        outcomes: list[object] = [[each.outcome.name for each in written.types]]
        for kind in NodeKind:
            ranks = {node.id: rank for rank, node in enumerate(self.store.iterate(NodeQuery(kind)))}
            outcomes.append([(ranks[id], outcome.name) for id, outcome in written.nodes[kind]])
        return tuple(outcomes)

    def _ref(self, batch: Batch, kind: NodeKind, number: int) -> int | Ref:
        drafts = batch.nodes[kind]
        if number < 0:
            return Ref(kind, len(drafts) + number)
        return self._id(kind, number)

    def _id(self, kind: NodeKind, number: int) -> int:
        stored = self._nodes[kind]
        position = number % (len(stored) + 1)
        return stored[position].id if position < len(stored) else 4_242_424_242

    def _add(self, batch: Batch, action: Action, time: int) -> None:
        if isinstance(action, PutType):
            batch.type(
                action.kind,
                action.name,
                dict(action.properties),
                version=action.version,
                base_type=action.base_type,
                external_id=action.external_id,
                can_add_properties=action.can_add,
                can_omit_properties=action.can_omit,
            )
        elif isinstance(action, PutEvent):
            batch.event(
                self._ref(batch, NodeKind.ARTIFACT, action.artifact),
                self._ref(batch, NodeKind.EXECUTION, action.execution),
                action.type,
                path=action.path,
                time_ms=time,
            )
        elif isinstance(action, PutLink):
            context = self._ref(batch, NodeKind.CONTEXT, action.context)
            other = self._ref(batch, action.kind.other, action.other)
            write = {
                LinkKind.ATTRIBUTION: batch.attribution,
                LinkKind.ASSOCIATION: batch.association,
                LinkKind.PARENT: batch.parent,
            }
            write[action.kind](context, other)
        else:
            self._add_node(batch, action, time)

    def _add_node(self, batch: Batch, action: Put, time: int) -> None:
        own: dict[str, Any] = {}
        if action.kind is NodeKind.ARTIFACT:
            own["uri"] = action.uri
        if action.kind is not NodeKind.CONTEXT:
            own["state"] = action.state
        getattr(batch, action.kind.label)(
            action.type,
            name=action.name,
            external_id=action.external_id,
            properties=dict(action.properties),
            custom_properties=dict(action.custom),
            mode=self._mode(action),
            create_time_ms=time,
            update_time_ms=time,
            **own,
        )

    def _mode(self, action: Put) -> WriteMode:
        by: Any = action.by
        match action.how:
            case "insert":
                return INSERT
            case "keep":
                return Reuse(by)
            case "reuse-replace":
                return Reuse(by, "replace")
            case "reuse-merge":
                return Reuse(by, "merge")
        id = self._id(action.kind, action.target)
        expected = None
        if action.expect is not None:
            seen = [node.update_time_ms for node in self._nodes[action.kind] if node.id == id]
            expected = seen[0] if action.expect and seen else -1
        if action.how == "replace":
            return Replace(id, expected, action.force)
        keys: Any = action.keys
        keys = ALL if keys == "all" else keys if keys is None else frozenset(keys)
        return Merge(id, frozenset(action.fields), keys, keys, expected, action.force)


def replay(history: History, store: BaseMetadataStore, model: BaseMetadataStore) -> None:
    """Write a history to two new stores; fail at the first batch after which they differ."""
    times = store.CAPABILITIES.given_times
    players = _Player(store), _Player(model)
    for number, actions in enumerate([_BEGINNING, *history]):
        said, expected = (player.play(actions, 1000 * number) for player in players)
        what = f"batch {number} of the history: {list(actions)!r}"
        assert said == expected, f"after {what}\nsaid {said}\nexpected {expected}"
        differences = compare_stores(store, model, times=times)
        assert not differences, "\n".join([f"after {what}", *differences])


class ModelContract(ContractBase):
    """Random histories leave the same as in the reference implementation, `memory`."""

    @settings(
        deadline=None,
        derandomize=bool(os.environ.get("CI")),
        max_examples=EXAMPLES,
        # Nothing is left in the folder of whoever runs the tests.
        database=None,
        suppress_health_check=[
            # The fixture makes a new store for each example.
            HealthCheck.function_scoped_fixture,
            # The test is inherited by one class a flavor.
            HealthCheck.differing_executors,
            HealthCheck.too_slow,
        ],
    )
    @given(history=histories())
    def test_histories(self, make_store: MakeStore, history: History) -> None:
        """After any history the store says and holds what the memory flavor does. [1.1-7.11]"""
        store, model = make_store(), MemoryMetadataStore.open()
        try:
            needs(store, "atomic_batch", "full")
            replay(history, store, model)
        finally:
            store.close()
            model.close()
