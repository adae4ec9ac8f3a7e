"""Lineage is what ml-metadata's get_lineage_subgraph says: on graphs of every sort, hop by hop."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import pytest

pytest.importorskip("ml_metadata", reason="without ml-metadata there is nothing to compare with")

from ml_metadata.proto import metadata_store_pb2

from metastore import Batch, EventType
from metastore.lineage import walk

from . import mlmd
from .helpers import ARTIFACT, EXECUTION, open_file

pb: Any = metadata_store_pb2
IN, OUT = EventType.INPUT, EventType.OUTPUT
Events = list[tuple[int, int, EventType]]


def chain(length: int = 6) -> Events:
    """Artifact n is made from artifact n - 1 by execution n."""
    return [each for n in range(1, length) for each in ((n - 1, n, IN), (n, n, OUT))]


def diamonds(count: int = 3) -> Events:
    """Two ways each time, which meet again."""
    events: Events = []
    for n in range(count):
        first, left, right, last = (3 * n + k for k in range(4))
        for execution, reads, writes in (
            (3 * n, first, left),
            (3 * n + 1, first, right),
        ):
            events += [(reads, execution, IN), (writes, execution, OUT)]
        events += [(left, 3 * n + 2, IN), (right, 3 * n + 2, IN), (last, 3 * n + 2, OUT)]
    return events


def fan(width: int = 12) -> Events:
    """One artifact read by many, whose outputs are joined."""
    events: Events = []
    for n in range(width):
        events += [(0, n, IN), (n + 1, n, OUT), (n + 1, width, IN)]
    return [*events, (width + 1, width, OUT)]


def cycles() -> Events:
    """What was made is read by what made it, and by what made its inputs."""
    return [*chain(4), (3, 1, IN), (2, 2, IN), (0, 3, OUT)]


def tangle(seed: int) -> Events:
    """Any events at all, of every type."""
    chance = Random(seed)
    types = [each for each in EventType if each]
    return sorted(
        {(chance.randrange(9), chance.randrange(7), chance.choice(types)) for _ in range(30)}
    )


GRAPHS: dict[str, Callable[[], Events]] = {
    "chain": chain,
    "diamonds": diamonds,
    "fan": fan,
    "cycles": cycles,
    **{f"tangle {seed}": partial(tangle, seed) for seed in range(6)},
}


STOPS = {
    "artifacts": ("id IN (3, 5)", None),
    "executions": (None, "id IN (2, 5)"),
    "both": ("id = 4", "id = 3"),
}


@pytest.mark.parametrize("stops", STOPS.values(), ids=STOPS.keys())
@pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS.keys())
def test_a_walk_stops_where_ml_metadata_stops(
    graph: Callable[[], Events], stops: tuple[str | None, str | None], tmp_path: Path
) -> None:
    """With ml-metadata's ending nodes included; it stops where the walk begins, too: not we."""
    path = tmp_path / "store.db"
    count = write_graph(path, graph())
    artifacts, executions = stops
    theirs = mlmd.connect(path)
    options = pb.LineageSubgraphQueryOptions
    ways = {True: options.UPSTREAM, False: options.DOWNSTREAM}
    asked = {}
    for start, up in itertools.product(range(1, count + 1), ways):
        if artifacts is not None and str(start) in artifacts:
            continue
        asking = options(
            starting_artifacts=options.StartingNodes(filter_query=f"id = {start}"),
            direction=ways[up],
        )
        for field, text in (("ending_artifacts", artifacts), ("ending_executions", executions)):
            if text is not None:
                ending = getattr(asking, field)
                ending.filter_query, ending.include_ending_nodes = text, True
        asked[start, up] = nodes_and_events(theirs.get_lineage_subgraph(asking))
    del theirs
    with_us = open_file(path, "r")
    for (start, up), said in asked.items():
        found = walk(
            with_us,
            [start],
            upstream=up,
            downstream=not up,
            stop_at=artifacts,
            stop_at_execution=executions,
        )
        assert said == (
            set(found.artifacts),
            set(found.executions),
            {(e.artifact_id, e.execution_id, int(e.type)) for e in found.events},
        ), (start, up)
    with_us.close()


def write_graph(path: Path, events: Events) -> int:
    """Write a new store with these events; how many artifacts there are."""
    batch = Batch()
    batch.type(ARTIFACT, "T")
    batch.type(EXECUTION, "T")
    artifacts = [batch.artifact("T") for _ in range(1 + max(a for a, _, _ in events))]
    executions = [batch.execution("T") for _ in range(1 + max(e for _, e, _ in events))]
    for artifact, execution, type in events:
        batch.event(artifacts[artifact], executions[execution], type)
    with_us = open_file(path)
    with_us.write(batch)
    with_us.close()
    return len(artifacts)


def nodes_and_events(found: Any) -> tuple[set[int], set[int], set[tuple[int, int, int]]]:
    """Of ml-metadata's lineage graph: ids of artifacts, of executions, and the events."""
    return (
        {node.id for node in found.artifacts},
        {node.id for node in found.executions},
        {(e.artifact_id, e.execution_id, e.type) for e in found.events},
    )


@pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS.keys())
def test_lineage_is_what_ml_metadata_says(graph: Callable[[], Events], tmp_path: Path) -> None:
    """From each artifact, in each direction, for each number of hops: the same nodes and events.

    What ml-metadata calls BIDIRECTIONAL goes both ways at every node, as ours does with siblings.
    """
    path = tmp_path / "store.db"
    count = write_graph(path, graph())
    theirs = mlmd.connect(path)
    options = pb.LineageSubgraphQueryOptions
    ways: dict[str, tuple[Any, dict[str, Any]]] = {
        "up": (options.UPSTREAM, {"upstream": True}),
        "down": (options.DOWNSTREAM, {"upstream": False, "downstream": True}),
        "both": (options.BIDIRECTIONAL, {"downstream": True, "siblings": True}),
    }
    asked = {}
    cases = list(itertools.product(range(1, count + 1), ways, (0, 1, 2, 3, 5, 100)))
    for start, way, hops in cases:
        found = theirs.get_lineage_subgraph(
            options(
                starting_artifacts=options.StartingNodes(filter_query=f"id = {start}"),
                max_num_hops=hops,
                direction=ways[way][0],
            )
        )
        asked[start, way, hops] = nodes_and_events(found)
    del theirs

    with_us = open_file(path, "r")
    for start, way, hops in cases:
        ours = walk(with_us, [start], max_hops=hops, **ways[way][1])
        assert asked[start, way, hops] == (
            set(ours.artifacts),
            set(ours.executions),
            {(e.artifact_id, e.execution_id, int(e.type)) for e in ours.events},
        ), (start, way, hops)
    with_us.close()
