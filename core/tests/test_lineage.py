"""Walking lineage and drawing it, over the memory flavor."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

import pytest

from metastore import (
    Batch,
    Capabilities,
    CapabilityError,
    EventType,
    ExecutionState,
    FilterError,
    InvalidError,
    MemoryMetadataStore,
    NodeKind,
    NotFoundError,
    Store,
)
from metastore.lineage import Lineage, walk

# Events as (artifact, execution, type): artifacts and executions are numbered from 1.
IN, OUT = EventType.INPUT, EventType.OUTPUT
Events = list[tuple[int, int, EventType]]

DIAMOND: Events = [
    (1, 1, OUT),
    *((1, 2, IN), (1, 3, IN)),
    *((2, 2, OUT), (3, 3, OUT)),
    *((2, 4, IN), (3, 4, IN)),
    (4, 4, OUT),
]


def store_with(events: Events) -> MemoryMetadataStore:
    """A store with these events and the nodes that they need."""
    store = MemoryMetadataStore()
    batch = Batch()
    batch.type(NodeKind.ARTIFACT, "A")
    batch.type(NodeKind.EXECUTION, "E")
    artifacts = [
        batch.artifact("A", name=f"a{n}") for n in range(1, 1 + max(a for a, _, _ in events))
    ]
    executions = [
        batch.execution("E", name=f"e{n}", state=ExecutionState.COMPLETE)
        for n in range(1, 1 + max(e for _, e, _ in events))
    ]
    for artifact, execution, type in events:
        batch.event(artifacts[artifact - 1], executions[execution - 1], type, path=("key", 0))
    store.write(batch)
    return store


def nodes(found: Lineage) -> tuple[set[int], set[int]]:
    """Ids of the artifacts and executions that a walk found."""
    return set(found.artifacts), set(found.executions)


def chain(length: int) -> Events:
    """Artifact 1 makes artifact 2 by execution 1, and so on."""
    return [event for n in range(1, length + 1) for event in ((n, n, IN), (n + 1, n, OUT))]


class TestWalk:
    """What a walk finds."""

    def test_upstream_is_what_it_was_made_from(self) -> None:
        """Upstream of the diamond's end is the whole diamond, each event once."""
        found = walk(store_with(DIAMOND), [4])
        assert nodes(found) == ({1, 2, 3, 4}, {1, 2, 3, 4})
        assert len(found.events) == len(DIAMOND)

    def test_a_sibling_is_not_upstream(self) -> None:
        """What was made from the same data is neither upstream nor downstream."""
        store = store_with(DIAMOND)
        assert nodes(walk(store, [2])) == ({1, 2}, {1, 2})
        assert nodes(walk(store, [2], upstream=False, downstream=True)) == ({2, 4}, {4})
        assert nodes(walk(store, [2], downstream=True)) == ({1, 2, 4}, {1, 2, 4})

    def test_siblings(self) -> None:
        """Going both ways at every node finds what was made from the same data."""
        store = store_with(DIAMOND)
        found = walk(store, [2], downstream=True, siblings=True)
        assert nodes(found) == ({1, 2, 3, 4}, {1, 2, 3, 4})
        with pytest.raises(InvalidError, match="both directions"):
            walk(store, [2], siblings=True)

    @pytest.mark.parametrize(
        ("hops", "expected"),
        [
            (0, ({4}, set())),
            (1, ({4}, {4})),
            (2, ({2, 3, 4}, {4})),
            (3, ({2, 3, 4}, {2, 3, 4})),
            (None, ({1, 2, 3, 4}, {1, 2, 3, 4})),
        ],
    )
    def test_hops_limit_the_walk(
        self, hops: int | None, expected: tuple[set[int], set[int]]
    ) -> None:
        """A hop is from an artifact to an execution, or on to an artifact."""
        assert nodes(walk(store_with(DIAMOND), [4], max_hops=hops)) == expected

    @pytest.mark.parametrize("hops", [-1, 1.5, "2", True])
    def test_hops_that_are_none(self, hops: Any) -> None:
        """A number of hops that is no integer from 0 is refused."""
        with pytest.raises(InvalidError, match="max_hops"):
            walk(store_with(DIAMOND), [4], max_hops=hops)

    @pytest.mark.parametrize("type", [each for each in EventType if each])
    def test_every_type_of_event_has_a_direction(self, type: EventType) -> None:
        """Inputs lead into executions, outputs out of them, whatever their exact type."""
        store = store_with([(1, 1, type)])
        assert type.is_input is not type.is_output
        assert (1 in walk(store, [1]).executions) is type.is_output
        assert (1 in walk(store, [1], upstream=False, downstream=True).executions) is type.is_input

    def test_cycles_end(self) -> None:
        """An artifact that is written by what read it does not keep the walk going."""
        store = store_with([(1, 1, IN), (2, 1, OUT), (2, 2, IN), (1, 2, OUT)])
        found = walk(store, [1], downstream=True)
        assert nodes(found) == ({1, 2}, {1, 2})
        assert len(list(found.tree())) < 20

    def test_several_starts(self) -> None:
        """A walk may begin at several artifacts."""
        assert nodes(walk(store_with(DIAMOND), [2, 3])) == ({1, 2, 3}, {1, 2, 3})

    def test_an_artifact_without_events(self) -> None:
        """An artifact that nothing made is its own lineage."""
        found = walk(store_with([(2, 1, OUT)]), [1])
        assert nodes(found) == ({1}, set())
        assert str(found) == "A 1 a1"

    def test_a_long_chain_is_no_deep_recursion(self) -> None:
        """A chain that is longer than Python's stack is deep is walked and drawn."""
        length = sys.getrecursionlimit()
        found = walk(store_with(chain(length)), [length + 1])
        assert len(found.executions) == length
        assert sum(1 for _ in found.tree()) == 2 * length + 1


class TestTree:
    """How lineage looks in a terminal."""

    def test_a_chain(self) -> None:
        """Upwards a tree says by what an artifact was made, and from what."""
        assert str(walk(store_with(chain(2)), [3])).splitlines() == [
            "A 3 a3",
            "└─ made by e2 (execution 2 COMPLETE) as key",
            "   └─ key: A 2 a2",
            "      └─ made by e1 (execution 1 COMPLETE) as key",
            "         └─ key: A 1 a1",
        ]

    def test_a_diamond_is_drawn_out_once(self) -> None:
        """A node that two ways lead to is drawn out at the first and only named at the second."""
        lines = str(walk(store_with(DIAMOND), [4])).splitlines()
        assert sum("made by e1" in line for line in lines) == 1
        assert sum("A 1 a1" in line for line in lines) == 2
        assert "(see above)" in lines[-1]

    def test_both_directions(self) -> None:
        """With both directions, what it was made from comes first, then what used it."""
        lines = str(walk(store_with(chain(2)), [2], downstream=True)).splitlines()
        assert [line.lstrip("│├└─ ").split()[0] for line in lines[1:]] == [
            "made",
            "key:",
            "used",
            "key:",
        ]

    def test_siblings_say_which_way_they_are(self) -> None:
        """In a tree of both ways, what a step read and what it wrote are told apart."""
        events: Events = [(1, 1, IN), (2, 1, OUT), (3, 1, OUT), (3, 2, IN)]
        found = walk(store_with(events), [2], downstream=True, siblings=True)
        assert [line.lstrip("│├└─ ") for line in found.tree()] == [
            "A 2 a2",
            "made by e1 (execution 1 COMPLETE) as key",
            "read key: A 1 a1",
            "wrote key: A 3 a3",
            "used by e2 (execution 2 COMPLETE) as key",
        ]

    def test_deep_levels_begin_at_the_left(self) -> None:
        """A tree grows with the lineage, not with its square: each line stays short."""
        lines = str(walk(store_with(chain(100)), [101])).splitlines()
        assert max(map(len, lines)) < 150
        assert lines[30].startswith("   " * 29)
        assert lines[31].startswith("30: └─ ")
        assert lines[92].startswith("90:    └─ ")

    def test_missing_nodes_are_named(self) -> None:
        """Events of a damaged store that point at nothing are drawn as missing."""
        store = store_with(chain(1))
        tables = store._tables
        assert tables is not None
        del tables.nodes[NodeKind.ARTIFACT][1], tables.nodes[NodeKind.EXECUTION][1]
        text = str(walk(store, [2]))
        assert "execution 1 (missing)" in text
        assert "artifact 1 (missing)" in text


class TestPaths:
    """How one artifact came from another."""

    def test_only_what_lies_between(self) -> None:
        """Of two ways both are kept, and nothing that leads elsewhere."""
        store = store_with([*DIAMOND, (5, 5, OUT), (5, 4, IN), (6, 4, OUT)])
        found = walk(store, [4]).paths_to(1)
        assert nodes(found) == ({1, 2, 3, 4}, {2, 3, 4})
        assert {(e.artifact_id, e.execution_id) for e in found.events} == {
            *((1, 2), (1, 3), (2, 2), (3, 3), (2, 4), (3, 4), (4, 4)),
        }

    def test_downstream_too(self) -> None:
        """The way is the same from the other end."""
        store = store_with(DIAMOND)
        found = walk(store, [1], upstream=False, downstream=True).paths_to(4)
        assert nodes(found) == ({1, 2, 3, 4}, {2, 3, 4})

    def test_one_way_of_two(self) -> None:
        """A target inside one way leaves out the other."""
        assert nodes(walk(store_with(DIAMOND), [4]).paths_to(2)) == ({2, 4}, {4})

    def test_a_sibling_is_reached_by_the_shortest_ways(self) -> None:
        """Where no way leads in one direction, a walk with siblings has the shortest ways."""
        found = walk(store_with(DIAMOND), [2], downstream=True, siblings=True)
        assert nodes(found.paths_to(3)) == ({2, 3}, {4})
        events: Events = [(1, 1, IN), (2, 1, OUT), (3, 1, OUT), (3, 2, IN), (4, 2, OUT)]
        found = walk(store_with(events), [2], downstream=True, siblings=True)
        assert nodes(found.paths_to(4)) == ({2, 3, 4}, {1, 2})

    @pytest.mark.parametrize("target", [4, 99])
    def test_no_way(self, target: int) -> None:
        """Where no way leads, or the walk went the other way, that is an error."""
        with pytest.raises(NotFoundError, match="no way"):
            walk(store_with(DIAMOND), [2]).paths_to(target)


class TestStops:
    """How far a walk goes: to what a filter says."""

    @pytest.mark.parametrize(
        ("stops", "expected"),
        [
            ({"stop_at": "name = 'a2'"}, ({1, 2, 3, 4}, {1, 3, 4})),
            ({"stop_at": "name IN ('a2', 'a3')"}, ({2, 3, 4}, {4})),
            ({"stop_at": "name = 'a4'"}, ({1, 2, 3, 4}, {1, 2, 3, 4})),
            ({"stop_at_execution": "id IN (2, 3)"}, ({2, 3, 4}, {2, 3, 4})),
            ({"stop_at": "id = 2", "stop_at_execution": "id = 3"}, ({2, 3, 4}, {3, 4})),
            ({"stop_at": "id = 99"}, ({1, 2, 3, 4}, {1, 2, 3, 4})),
        ],
    )
    def test_upstream(self, stops: dict[str, Any], expected: tuple[set[int], set[int]]) -> None:
        """What fulfils the filter is in the lineage, and what is behind it only is not."""
        assert nodes(walk(store_with(DIAMOND), [4], **stops)) == expected

    def test_downstream(self) -> None:
        """The same holds for the other direction."""
        store = store_with(DIAMOND)
        found = walk(
            store, [1], upstream=False, downstream=True, stop_at_execution="state = COMPLETE"
        )
        assert nodes(found) == ({1}, {2, 3})

    def test_what_is_no_filter(self) -> None:
        """What is no filter is refused, even where nothing is walked."""
        for wrong in ({"stop_at": "nme = 1"}, {"stop_at_execution": "uri = 'x'"}):
            with pytest.raises(FilterError):
                walk(store_with(DIAMOND), [1], max_hops=0, **wrong)  # type: ignore[arg-type]


ODD_NAME = 'a "quoted" <b>bold</b> [x] {y} #1; \\ \n --> b\u202e'


def odd() -> Lineage:
    """The lineage of an artifact with an odd name, whose step failed; an input is missing."""
    store = MemoryMetadataStore()
    batch = Batch()
    batch.type(NodeKind.ARTIFACT, "A")
    batch.type(NodeKind.EXECUTION, "E")
    made = batch.artifact("A", name=ODD_NAME)
    read = batch.artifact("A", name="read")
    execution = batch.execution("E", state=ExecutionState.FAILED)
    batch.event(made, execution, OUT, path=('out "x"', 0))
    batch.event(read, execution, IN)
    written = store.write(batch)
    found = walk(store, [written[made].id])
    return replace(found, artifacts={1: found.artifacts[1]})


class TestFormats:
    """Lineage for other programs."""

    def test_mermaid(self) -> None:
        """A node a line, an edge a line, whatever is in a name; what is missing is dashed."""
        lines = odd().to_mermaid().splitlines()
        assert lines[0] == "flowchart LR"
        assert lines[1].startswith('    a1(["A 1 a #34;quoted#34; #60;b#62;bold')
        assert lines[2] == '    a2(["artifact 2 (missing)"])'
        assert lines[3] == '    e1["E (execution 1 FAILED)"]'
        assert lines[4:6] == ['    e1 -- "out #34;x#34;" --> a1', "    a2 --> e1"]
        assert lines[6:] == ["    style a2 stroke-dasharray: 5 5", "    style e1 stroke: #c00"]
        for line in lines:
            assert line.count('"') in (0, 2)
            assert line.isprintable()

    def test_dot(self) -> None:
        """Quotes and backslashes are escaped, each statement is one line."""
        lines = odd().to_dot().splitlines()
        assert lines[0] == "digraph lineage {"
        assert lines[-1] == "}"
        assert r"a \"quoted\" <b>" in lines[2]
        assert r"\\" in lines[2]
        assert lines[3] == '    a2 [shape=ellipse, label="artifact 2 (missing)", style=dashed];'
        assert lines[4].endswith("color=red];")
        assert lines[5] == r'    e1 -> a1 [label="out \"x\""];'
        assert all(line.isprintable() for line in lines)

    @pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz is not installed")
    def test_graphviz_reads_it(self) -> None:
        """Graphviz draws it."""
        done = subprocess.run(
            ["dot", "-Tsvg"], input=odd().to_dot(), capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert "<svg" in done.stdout

    def test_html(self) -> None:
        """A page with a box for every node; notebooks show the same picture."""
        found = odd()
        picture = found.picture()
        assert picture in found.to_html()
        assert picture in found._repr_html_()
        boxes = ElementTree.fromstring(picture).findall("{*}g")
        titles = [box.findtext("{*}title") or "" for box in boxes]
        assert titles[0].startswith('A 1 a "quoted" <b>bold</b> [x]')
        assert titles[1:] == ["artifact 2 missing", "E execution 1 FAILED"]
        assert [box.get("class") for box in boxes] == ["round start", "missing round", "bad"]

    @pytest.mark.parametrize(("inputs", "drawn"), [(298, True), (299, False)])
    def test_too_much_for_a_picture(self, inputs: int, drawn: bool) -> None:
        """Of more than 300 nodes it is said how many there are."""
        store = store_with([(1, 1, OUT), *((n, 1, IN) for n in range(2, inputs + 2))])
        picture = walk(store, [1])._repr_html_()
        assert ("<svg" in picture) is drawn
        assert ("301 artifacts and executions, too many" in picture) is not drawn

    def test_networkx(self) -> None:
        """A graph whose edges lead from what was first to what came of it."""
        networkx = pytest.importorskip("networkx")
        graph = walk(store_with(DIAMOND), [4]).to_networkx()
        assert isinstance(graph, networkx.MultiDiGraph)
        assert networkx.has_path(graph, ("artifact", 1), ("artifact", 4))
        assert not networkx.has_path(graph, ("artifact", 4), ("artifact", 1))
        assert graph.nodes["artifact", 1]["node"].name == "a1"
        assert odd().to_networkx().nodes["artifact", 2]["node"] is None

    def test_without_networkx(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where networkx is not installed, it is said how it is."""
        monkeypatch.setitem(sys.modules, "networkx", None)
        with pytest.raises(CapabilityError, match="pip install networkx"):
            walk(store_with(DIAMOND), [4]).to_networkx()


def test_executions_are_called_what_they_are_called_in_their_run() -> None:
    """In the lineage that an artifact gives, executions have the names of their steps."""
    store = Store(MemoryMetadataStore())
    with store.run("p") as run, run.step("fit the model", type="Trainer") as step:
        model = step.output("model", type="Model", uri="m")
    assert "made by fit the model" in str(store.artifact(model.id).lineage())


def test_it_reads_whole_frontiers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of reads depends on the number of hops, not on how wide the graph is."""

    def reads(width: int) -> int:
        store = store_with([(1, 1, OUT), *((n, 1, IN) for n in range(2, width + 2))])
        count = 0
        original: Callable[..., object] = store.read_events

        def counted(*arguments: object) -> object:
            nonlocal count
            count += 1
            return original(*arguments)

        monkeypatch.setattr(store, "read_events", counted)
        walk(store, [1])
        return count

    assert reads(3) == reads(300)


class Unfiltered(MemoryMetadataStore):
    """One whose filters are evaluated in Python."""

    CAPABILITIES = Capabilities()


@pytest.mark.parametrize("backend", [MemoryMetadataStore, Unfiltered])
def test_a_walk_ends_before_the_hop_that_is_too_much(backend: type[MemoryMetadataStore]) -> None:
    """`max_nodes` keeps whole hops, and says that it left some out; what fits is as without it."""
    with Store(backend()) as store:
        batch = Batch()
        batch.type(NodeKind.ARTIFACT, "A")
        batch.type(NodeKind.EXECUTION, "E")
        middle = batch.artifact("A")
        for _ in range(20):
            execution = batch.execution("E")
            batch.event(middle, execution, IN)
            batch.event(batch.artifact("A"), execution, OUT)
        store.write(batch)
        whole = walk(store.backend, [1], downstream=True)
        assert not whole.is_cut
        for most, artifacts, executions in ((41, 21, 20), (40, 1, 20), (21, 1, 20), (20, 1, 0)):
            cut = walk(store.backend, [1], downstream=True, max_nodes=most)
            assert (len(cut.artifacts), len(cut.executions)) == (artifacts, executions), most
            assert cut.is_cut == (most < 41)
            assert set(cut.events) <= set(whole.events)
        # Upwards from one of the last there is little, whatever else was made of the first.
        up = walk(store.backend, [21], max_nodes=3)
        assert (len(up.artifacts), len(up.executions), up.is_cut) == (2, 1, False)
        with pytest.raises(InvalidError, match="max_nodes"):
            walk(store.backend, [1], max_nodes=-1)
