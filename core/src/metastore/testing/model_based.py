"""Random histories of batches, written to the store under test and to the memory flavor.

After each step both must have said the same (ids aside) and hold the same.  A history is plain
data: hypothesis shrinks it, and what it prints of a failure is short enough to be read, and
can be pasted into `replay`.  Nodes are named by their rank among the nodes of their kind, so that
a history means the same for stores that give different ids; times are given, so that the same
times are stored.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import MISSING, dataclass, fields
from typing import Any, TypeAlias

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from hypothesis.strategies import SearchStrategy

from metastore.base import BaseMetadataStore, OpenMode
from metastore.batch import ALL, INSERT, Batch, Merge, Ref, Replace, Reuse, WriteMode, WrittenBatch
from metastore.errors import MetastoreError
from metastore.memory import MemoryMetadataStore
from metastore.model import AnyNode, EventType, LinkKind, NodeKind, PropertyKind, Proto
from metastore.query import NodeQuery, OrderBy
from metastore.rules import Planner
from metastore.testing._base import UNKNOWN_ID, ContractBase, MakeStore, needs
from metastore.testing._contents import compare_stores

__all__ = ["Action", "ModelContract", "StoreMachine", "histories", "replay"]

EXAMPLES = int(os.environ.get("METASTORE_TEST_HISTORIES", "50"))
"""Random histories."""
STEPS = 15
"""The most that one of them has."""


class _Brief:
    """Prints what differs from the defaults only."""

    __slots__ = ()

    def _repr_pretty_(self, printer: Any, _: bool) -> None:
        """So that hypothesis, too, prints no more."""
        printer.text(repr(self))

    def __repr__(self) -> str:
        said = []
        for each in fields(self):  # type: ignore[arg-type]  # every subclass is a dataclass
            value = getattr(self, each.name)
            if each.default is MISSING or value != each.default:
                said.append(f"{each.name}={value!r}")
        return f"{type(self).__name__}({', '.join(said)})"


# What a batch is made of.  A number stands for a node: 0, 1 ... for stored ones by rank, around
# and around, 9 for none, -1, -2 ... for those of the same batch, the latest first, where there are
# so many.


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
_BEGINNING: list[list[Action]] = [
    [PutType(kind, name, _PROPERTIES) for kind in NodeKind for name in ("T", "U")],
    [Put(kind, name="m", properties=(("a", 0),)) for kind in NodeKind],
    [
        Put(kind, name="o", custom=(("a", 5e-324), ("z", -0.0), ("y", True), ("x", {"k": [{}]})))
        for kind in NodeKind
    ],
]
"""Types and nodes to begin with, so that most of a history can be written."""

# Histories, generated.  Small pools, so that drafts meet one another; mostly valid ones.

NOBODY = 9
_stored = st.sampled_from([0, 1, 2, 3, 0, 1, 2, NOBODY])
_numbers = _stored | st.sampled_from([-1, -2])
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
    type=st.sampled_from([EventType.INPUT, EventType.OUTPUT, EventType.DECLARED_OUTPUT]),
    path=st.sampled_from([(), ("k", 0), (0, "0")]),
)
_links = st.builds(PutLink, st.sampled_from(LinkKind), context=_numbers, other=_numbers)


_HOW = ["insert", "insert", "replace", "merge", "keep", "reuse-replace", "reuse-merge"]


@st.composite
def _nodes(draw: st.DrawFn, *, insert: bool = False) -> Put:
    kind = draw(st.sampled_from(NodeKind))
    how = "insert" if insert else draw(st.sampled_from(_HOW))
    names = st.sampled_from(["n", "m", "o", ""]) if kind is NodeKind.CONTEXT else _names
    uris = st.sampled_from(["", "", "u", "v"]) if kind is NodeKind.ARTIFACT else st.just("")
    states = st.none() if kind is NodeKind.CONTEXT else st.sampled_from([None, 0, 2])
    updates = how in ("replace", "merge")
    reuses = how in ("keep", "reuse-replace", "reuse-merge")
    return Put(
        kind,
        type=draw(st.sampled_from([None, "T", "T", "U"] if updates else ["T"] * 5 + ["U", "V"])),
        how=how,
        target=draw(_stored) if updates else 0,
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


_actions: SearchStrategy[Action] = st.one_of(
    _nodes(), _nodes(), _nodes(), _events, _events, _links, _links, _types
)
# Short ones: of a long one something is wrong nearly always, and nothing of it is written.
_batches = st.lists(_actions, min_size=1, max_size=2)


def histories(*, max_batches: int = 8) -> SearchStrategy[History]:
    """Histories: lists of batches, each a list of actions; some of them break rules."""
    return st.lists(_batches, min_size=1, max_size=max_batches)


# Histories, written.


def _ranks(store: BaseMetadataStore, kind: NodeKind) -> dict[int, int]:
    """By id, the position of each node of a kind in the order of ids."""
    return {node.id: rank for rank, node in enumerate(store.iterate(NodeQuery(kind)))}


class _Player:
    """Writes batches of a history to one store."""

    def __init__(self, store: BaseMetadataStore) -> None:
        self.store = store
        self._nodes: dict[NodeKind, list[AnyNode]] = {}

    def batch(self, actions: Sequence[Action], time: int) -> Batch:
        """A batch of these actions, for what is stored now."""
        self._nodes = {kind: list(self.store.iterate(NodeQuery(kind))) for kind in NodeKind}
        batch = Batch()
        for position, action in enumerate(actions):
            self._add(batch, action, time + position)
        return batch

    def play(self, actions: Sequence[Action], time: int) -> tuple[object, ...]:
        """Write one batch; what the store says to it, ids as ranks."""
        try:
            written = self.store.write(self.batch(actions, time))
        except MetastoreError as error:
            return (type(error).__name__,)
        return self._said(written)

    def _said(self, written: WrittenBatch) -> tuple[object, ...]:
        outcomes: list[object] = [[each.outcome.name for each in written.types]]
        for kind in NodeKind:
            ranks = _ranks(self.store, kind)
            outcomes.append([(ranks[id], outcome.name) for id, outcome in written.nodes[kind]])
        return tuple(outcomes)

    def _ref(self, batch: Batch, kind: NodeKind, number: int) -> int | Ref:
        position = len(batch.nodes[kind]) + number
        if number < 0 <= position:
            return Ref(kind, position)
        return self._id(kind, abs(number))

    def _id(self, kind: NodeKind, number: int) -> int:
        stored = self._nodes[kind]
        if number == NOBODY or not stored:
            return UNKNOWN_ID
        return stored[number % len(stored)].id

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
    for number, actions in enumerate([*_BEGINNING, *history]):
        said, expected = (player.play(actions, 1000 * number) for player in players)
        what = f"batch {number - len(_BEGINNING) + 1} of the history: {list(actions)!r}"
        assert said == expected, f"after {what}\nsaid {said}\nexpected {expected}"
        differences = compare_stores(store, model, times=times)
        assert not differences, "\n".join([f"after {what}", *differences])


class _RolledBackError(Exception):
    """What ends a transaction whose changes must not stay."""


class StoreMachine(RuleBasedStateMachine):
    """Does the same to a new store and to one of the memory flavor, and compares them.

    Steps are batches, transactions that are rolled back, pages that are read, and closing and
    opening the store.  What hypothesis prints of a failure are the fewest and simplest steps that
    it found; the error's own text has the batches among them as a history for `replay`.
    """

    def __init__(
        self,
        make_store: MakeStore,
        reopen: Callable[[BaseMetadataStore, OpenMode], BaseMetadataStore] | None,
    ) -> None:
        super().__init__()
        self._reopen = reopen
        self._store = self._first = make_store()
        self._model = MemoryMetadataStore.open()
        self._time = 0
        self._history: list[Sequence[Action]] = []
        needs(self._store, "atomic_batch", "full")
        for actions in _BEGINNING:
            self._play(actions)

    def teardown(self) -> None:
        """Close both."""
        self._store.close()
        self._model.close()

    def _play(self, actions: Sequence[Action]) -> None:
        self._time += 1000
        self._same(
            *(_Player(store).play(actions, self._time) for store in (self._store, self._model))
        )

    def _same(self, said: object, expected: object) -> None:
        assert said == expected, f"{self._so_far()}\nsaid {said}\nexpected {expected}"

    def _so_far(self) -> str:
        return f"after the history {self._history!r}" if self._history else "in the beginning"

    @rule(actions=_batches)
    def write(self, actions: Sequence[Action]) -> None:
        """Both say the same to a batch."""
        self._history.append(actions)
        self._play(actions)

    @rule(nodes=st.lists(_nodes(insert=True), min_size=1, max_size=3))
    def write_nodes(self, nodes: Sequence[Action]) -> None:
        """Both say the same to new nodes, which others of the history refer to."""
        self.write(nodes)

    @rule(actions=st.lists(_events | _links, min_size=1, max_size=3))
    def connect(self, actions: Sequence[Action]) -> None:
        """Both say the same to events and links among the nodes that are there."""
        self.write(actions)

    @rule(actions=_batches)
    def roll_back(self, actions: Sequence[Action]) -> None:
        """What was applied in a transaction that fails is gone."""
        for store in (self._store, self._model):
            player = _Player(store)
            try:
                with store.transaction() as transaction:
                    planner = Planner(player.batch(actions, self._time + 1))
                    transaction.apply(planner.run(transaction.lookup))
                    raise _RolledBackError
            except (_RolledBackError, MetastoreError):
                # Rolled back; refused by a rule; or a flavor without transactions of its own.
                pass

    @rule(
        kind=st.sampled_from(NodeKind),
        order_by=st.sampled_from(OrderBy),
        descending=st.booleans(),
        size=st.integers(1, 3),
    )
    def read_pages(self, kind: NodeKind, order_by: OrderBy, descending: bool, size: int) -> None:
        """Pages of any size make up the same list, and it is as long as is counted."""
        if order_by is not OrderBy.ID and not self._store.CAPABILITIES.given_times:
            order_by = OrderBy.ID
        query = NodeQuery(kind, order_by=order_by, descending=descending)
        listed = []
        for store in (self._store, self._model):
            ranks = _ranks(store, kind)
            found = [ranks[node.id] for node in store.iterate(query, page_size=size)]
            listed.append((found, store.count(query)))
        self._same(*listed)

    @precondition(lambda self: self._reopen is not None)
    @rule()
    def open_again(self) -> None:
        """Closed and opened again, the store is what it was."""
        reopen = self._reopen
        assert reopen is not None
        self._store.close()
        # The author's function knows the stores that make_store made.
        self._store = reopen(self._first, "rw")

    @invariant()
    def both_hold_the_same(self) -> None:
        """All types, nodes, events and links are alike."""
        times = self._store.CAPABILITIES.given_times
        differences = compare_stores(self._store, self._model, times=times)
        assert not differences, "\n".join([self._so_far(), *differences])


class ModelContract(ContractBase):
    """Random histories leave the same as in the reference implementation, `memory`."""

    def test_histories(
        self, make_store: MakeStore, reopen: Callable[..., BaseMetadataStore] | None
    ) -> None:
        """After any steps, the store says and holds what the memory flavor does. [1.1-7.12, 8.8]

        On failure: hypothesis has looked for the shortest history that fails: read it from
        ``state.write(...)`` to the last step, which is the one that the store and the memory flavor
        answer differently.  ``replay`` runs the batches of a history again, in a test of yours.
        """
        run_state_machine_as_test(
            # Documented to take whatever makes a machine.
            lambda: StoreMachine(make_store, reopen),  # type: ignore[arg-type]
            settings=settings(
                deadline=None,
                derandomize=bool(os.environ.get("CI")),
                max_examples=EXAMPLES,
                stateful_step_count=STEPS,
                # Nothing is left in the folder of whoever runs the tests.
                database=None,
                print_blob=False,
                # Without explanations: they take longer than all else.
                phases=(Phase.generate, Phase.shrink),
                suppress_health_check=[HealthCheck.too_slow],
            ),
        )
