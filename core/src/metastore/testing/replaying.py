"""Histories, done to a store and to the memory flavor, which must not differ after any step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import MISSING, fields, replace
from itertools import islice
from typing import Any

from metastore.base import BaseMetadataStore
from metastore.batch import ALL, INSERT, Batch, Merge, Ref, Replace, Reuse, WriteMode, WrittenBatch
from metastore.errors import MetastoreError
from metastore.model import AnyNode, LinkKind, NodeKind
from metastore.query import NodeQuery, OrderBy
from metastore.rules import Planner
from metastore.testing._base import UNKNOWN_ID, Reopen
from metastore.testing._contents import compare_stores
from metastore.testing.actions import (
    BEGINNING,
    NOBODY,
    Action,
    History,
    OpenAgain,
    Put,
    PutEvent,
    PutLink,
    PutType,
    ReadPages,
    RollBack,
    Step,
)

__all__ = ["Pair", "minimal", "replay"]


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


class _RolledBackError(Exception):
    """What ends a transaction whose changes must not stay."""


class Pair:
    """A new store and its model, to which the same is done."""

    def __init__(
        self, store: BaseMetadataStore, model: BaseMetadataStore, reopen: Reopen | None = None
    ) -> None:
        self._store = self._first = store
        self._model = model
        self._reopen = reopen
        self._time = 0
        self.history: list[Step] = []
        """What was done so far."""
        for actions in BEGINNING:
            self._do(actions)
        self._compare()

    def close(self) -> None:
        """Close both."""
        self._store.close()
        self._model.close()

    def do(self, step: Step) -> None:
        """Do one step to both; fail where they say or hold something else after it."""
        self.history.append(step)
        self._do(step)
        self._compare()

    def _do(self, step: Step) -> None:
        self._time += 1000
        if isinstance(step, OpenAgain):
            if self._reopen is not None:
                self._store.close()
                # The author's function knows the stores that make_store made.
                self._store = self._reopen(self._first, "rw")
            return
        said, expected = (self._says(store, step) for store in (self._store, self._model))
        assert said == expected, f"{self._so_far()}\nsaid {said}\nexpected {expected}"

    def _says(self, store: BaseMetadataStore, step: Step) -> object:
        if isinstance(step, RollBack):
            _roll_back(store, step, self._time)
            return None
        if isinstance(step, ReadPages):
            given_times = self._store.CAPABILITIES.given_times
            return _pages(store, step if given_times else replace(step, order_by=OrderBy.ID))
        return _Player(store).play(step, self._time)  # type: ignore[arg-type]  # a batch

    def _compare(self) -> None:
        times = self._store.CAPABILITIES.given_times
        differences = compare_stores(self._store, self._model, times=times)
        assert not differences, "\n".join([self._so_far(), *differences])

    def _so_far(self) -> str:
        if not self.history:
            return "with what every history begins (metastore.testing.actions.BEGINNING)"
        steps = "".join(f"    {step!r},\n" for step in self.history)
        return f"after step {len(self.history)} of the history [\n{steps}]"


def _roll_back(store: BaseMetadataStore, step: RollBack, time: int) -> None:
    batch = _Player(store).batch(step.actions, time)
    try:
        with store.transaction() as transaction:
            transaction.apply(Planner(batch).run(transaction.lookup))
            raise _RolledBackError
    except (_RolledBackError, MetastoreError):
        # Rolled back; refused by a rule; or a flavor without transactions of its own.
        pass


def _pages(store: BaseMetadataStore, step: ReadPages) -> object:
    query = NodeQuery(step.kind, order_by=step.order_by, descending=step.descending)
    ranks = _ranks(store, step.kind)
    # One more than there are, at most: a page may begin where the one before began, for ever.
    nodes = islice(store.iterate(query, page_size=step.size), len(ranks) + 1)
    return [ranks[node.id] for node in nodes], store.count(query)


def replay(
    history: History,
    store: BaseMetadataStore,
    model: BaseMetadataStore,
    reopen: Reopen | None = None,
) -> None:
    """Do a history to two new stores; fail at the first step after which they differ.

    reopen:
        Opens the store's data again; without it, steps `OpenAgain` are left out.
    """
    pair = Pair(store, model, reopen)
    for step in history:
        pair.do(step)


# The shortest history that fails.

_TRIES = 400


def minimal(history: History, fails: Callable[[History], bool]) -> History:
    """The history without what it fails without: steps, actions and what they say besides."""
    tries = _TRIES
    shorter = True
    while shorter and tries:
        shorter = False
        for candidate in _shorter(history):
            tries -= 1
            if fails(candidate):
                history, shorter = candidate, True
                break
            if not tries:
                break
    return history


def _shorter(history: History) -> Iterator[History]:
    """Histories with a little less, those with most less first."""
    for number in range(len(history)):
        yield [*history[:number], *history[number + 1 :]]
    for number, step in enumerate(history):
        for less in _lesser(step):
            yield [*history[:number], less, *history[number + 1 :]]


def _lesser(step: Step) -> Iterator[Step]:
    if isinstance(step, RollBack):
        yield step.actions
        yield from map(RollBack, _fewer(step.actions))
    elif isinstance(step, ReadPages):
        yield from _plainer(step)
    elif not isinstance(step, OpenAgain):
        yield from _fewer(step)


def _fewer(actions: Sequence[Action]) -> Iterator[Sequence[Action]]:
    for number, action in enumerate(actions):
        if len(actions) > 1:
            yield [*actions[:number], *actions[number + 1 :]]
        for plain in _plainer(action):
            yield [*actions[:number], plain, *actions[number + 1 :]]


def _plainer(action: Any) -> Iterator[Any]:
    for each in fields(action):
        if each.default is not MISSING and getattr(action, each.name) != each.default:
            yield replace(action, **{each.name: each.default})
