"""A store made of literals, for tests of the planner: it answers questions and remembers them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from metastore.batch import Batch
from metastore.changes import Answers, Changes, EventKey, Questions
from metastore.model import (
    AnyNode,
    Artifact,
    ArtifactState,
    Context,
    EventType,
    Execution,
    ExecutionState,
    NodeKind,
    PropertyKind,
    Type,
)
from metastore.rules import Planner

NOW = 1_700_000_000_000
"""The time at which the tests plan, in milliseconds."""

ARTIFACT, EXECUTION, CONTEXT = NodeKind.ARTIFACT, NodeKind.EXECUTION, NodeKind.CONTEXT
INT, DOUBLE, STRING = PropertyKind.INT, PropertyKind.DOUBLE, PropertyKind.STRING


class Stored:
    """What is stored, in literals; `asked` holds the questions in the order they were asked."""

    def __init__(
        self,
        types: Iterable[Type] = (),
        nodes: Iterable[AnyNode] = (),
        events: Iterable[EventKey] = (),
        parents: Iterable[tuple[int, int]] = (),
    ) -> None:
        self.types = list(types)
        self.nodes: dict[NodeKind, list[AnyNode]] = {kind: [] for kind in NodeKind}
        classes: dict[type[Any], NodeKind] = {
            Artifact: ARTIFACT,
            Execution: EXECUTION,
            Context: CONTEXT,
        }
        for node in nodes:
            self.nodes[classes[type(node)]].append(node)
        self.events = set(events)
        self.parents = set(parents)
        self.asked: list[Questions] = []

    def lookup(self, questions: Questions) -> Answers:
        """Answer what is asked, and nothing else."""
        self.asked.append(questions)
        return Answers(
            types=[
                each
                for each in self.types
                if each.key in questions.types
                or each.id in questions.type_ids
                or each.external_id in questions.type_external_ids
            ],
            nodes=self._owners(questions.nodes, lambda node: node.id, lambda node: node),
            existing={
                kind: {node.id for node in self.nodes[kind]} & ids
                for kind, ids in questions.existing.items()
            },
            names=self._owners(questions.names, lambda node: (node.type_id, node.name)),
            external_ids=self._owners(questions.external_ids, lambda node: node.external_id),
            uris=self._owners(
                {ARTIFACT: questions.uris}, lambda node: (node.type_id, getattr(node, "uri", None))
            )[ARTIFACT],
            events={key for key in self.events if key[:2] in questions.events},
            parents=self.parents if questions.parents_of else set(),
        )

    def _owners(
        self,
        wanted: dict[NodeKind, set[Any]],
        key: Callable[[AnyNode], Any],
        value: Callable[[AnyNode], Any] = lambda node: node.id,
    ) -> Any:
        return {
            kind: {key(node): value(node) for node in self.nodes[kind] if key(node) in keys}
            for kind, keys in wanted.items()
        }

    def plan(self, batch: Batch) -> tuple[Changes, Planner]:
        """Plan the batch, at `NOW`."""
        planner = Planner(batch, now_ms=NOW)
        return planner.run(self.lookup), planner

    def changes(self, batch: Batch) -> Changes:
        """What the batch comes to."""
        return self.plan(batch)[0]


# A small world: every test may expect exactly this.

DATASET = Type(1, ARTIFACT, "mlmd.Dataset", {})
MODEL = Type(2, ARTIFACT, "mlmd.Model", {})
T = Type(10, ARTIFACT, "T", {"a": INT, "d": DOUBLE}, external_id="type-x")
U = Type(11, ARTIFACT, "U", {})
T2 = Type(12, ARTIFACT, "T", {"b": INT}, version="2", base_type="mlmd.Dataset")
E = Type(20, EXECUTION, "E", {"a": INT})
C = Type(30, CONTEXT, "C", {"a": INT})

ART = Artifact(
    100,
    10,
    "T",
    "art",
    "x",
    {"a": 1, "d": 0.5},
    {"a": "custom"},
    1000,
    2000,
    "u",
    ArtifactState.LIVE,
)
OTHER = Artifact(101, 10, "T", "other", "y", {}, {}, 1000, 2000, "u", None)
OF_U = Artifact(102, 11, "U", None, "z", {}, {}, 1000, 2000, "", None)
EXE = Execution(200, 20, "E", "exe", None, {"a": 1}, {}, 1000, 2000, ExecutionState.RUNNING)
RUN = Context(300, 30, "C", "run", "run-x", {"a": 1}, {}, 1000, 2000)
GROUP = Context(301, 30, "C", "group", None, {}, {}, 1000, 2000)
TOP = Context(302, 30, "C", "top", None, {}, {}, 1000, 2000)


def world() -> Stored:
    """The small world, new."""
    return Stored(
        types=[DATASET, MODEL, T, U, T2, E, C],
        nodes=[ART, OTHER, OF_U, EXE, RUN, GROUP, TOP],
        events=[(100, 200, EventType.INPUT)],
        parents=[(300, 301), (301, 302)],
    )
