"""Graphs as pictures: where nodes stand, and what a browser is given."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metastore.drawing import Box, Html, Line, boxes, layered, page, svg

SVG = "{http://www.w3.org/2000/svg}"


@st.composite
def graphs(draw: st.DrawFn) -> tuple[int, list[tuple[int, int]]]:
    """Any graph: with cycles, loops, repeated edges, parts that do not hang together."""
    count = draw(st.integers(1, 12))
    node = st.integers(0, count - 1)
    return count, draw(st.lists(st.tuples(node, node), max_size=30))


@given(graphs())
def test_nodes_of_a_layer_do_not_touch(graph: tuple[int, list[tuple[int, int]]]) -> None:
    """In one layer, nodes and bends stand at least 1 apart, and none left of 0."""
    count, edges = graph
    layout = layered(count, edges)
    places: defaultdict[int, set[float]] = defaultdict(set)
    for layer, place in zip(layout.layer, layout.place, strict=True):
        assert place not in places[layer]
        places[layer].add(place)
    for route in layout.routes:
        for layer, place in route[1:-1]:
            assert place not in places[layer]
            places[layer].add(place)
    for found in places.values():
        assert min(found) > -1e-6
        assert all(after - before > 1 - 1e-6 for before, after in pairwise(sorted(found)))


@given(graphs())
def test_routes_lead_from_source_to_target(graph: tuple[int, list[tuple[int, int]]]) -> None:
    """Each edge begins at its source, ends at its target, and passes every layer between."""
    count, edges = graph
    layout = layered(count, edges)
    for (source, target), route in zip(edges, layout.routes, strict=True):
        assert route[0] == (layout.layer[source], layout.place[source])
        assert route[-1] == (layout.layer[target], layout.place[target])
        if source != target:
            assert {abs(b[0] - a[0]) for a, b in pairwise(route)} == {1}


@given(graphs())
def test_edges_lead_onwards(graph: tuple[int, list[tuple[int, int]]]) -> None:
    """Without a cycle every edge leads to a later layer, and first nodes stand in layer 0."""
    count, edges = graph
    forward = [(min(edge), max(edge)) for edge in edges if edge[0] != edge[1]]
    layout = layered(count, forward)
    assert all(layout.layer[source] < layout.layer[target] for source, target in forward)
    targets = {target for _, target in forward}
    assert all(layout.layer[node] == 0 for node in range(count) if node not in targets)


def test_a_cycle_has_one_edge_that_leads_back() -> None:
    """Of a cycle, all edges but one lead onwards."""
    edges = [(0, 1), (1, 2), (2, 3), (3, 1)]
    assert list(layered(4, edges).layer) == [0, 1, 2, 3]


def test_ladders_do_not_cross() -> None:
    """Two chains whose nodes are numbered crosswise are drawn beside each other."""
    layout = layered(6, [(0, 3), (1, 2), (2, 5), (3, 4)])
    assert [layout.place[node] for node in (0, 3, 4)] == [layout.place[0]] * 3
    assert [layout.place[node] for node in (1, 2, 5)] == [layout.place[1]] * 3


def test_a_parent_stands_amid_its_children() -> None:
    """A node stands at the mean of what it leads to."""
    layout = layered(4, [(0, 1), (0, 2), (0, 3)])
    assert layout.place[0] == sum(layout.place[1:]) / 3


def test_nothing_to_draw() -> None:
    """Without nodes there is an empty picture."""
    assert layered(0, []).layers == 0
    assert ElementTree.fromstring(svg([], [], title="nothing")).find(f"{SVG}g") is None


@given(st.text(), st.text())
def test_texts_stay_texts(text: str, title: str) -> None:
    """Whatever is in a text, the picture is well-formed, and has no element because of it."""
    picture = ElementTree.fromstring(
        svg([Box(text, text), Box("b", "c")], [Line(0, 1, text)], title=title)
    )
    allowed = {"svg", "title", "style", "defs", "marker", "path", "g", "rect", "text"}
    assert {element.tag.removeprefix(SVG) for element in picture.iter()} <= allowed
    assert len(picture.findall(f"{SVG}g")) == 2


@pytest.mark.parametrize("text", ["<script>alert(1)</script>", '" onload="x', "\x00\ud800\ufffe&"])
def test_hostile_texts(text: str) -> None:
    """No script, no attribute, no character that XML does not have comes from a text."""
    drawn = svg([Box(text, text)], [], title=text)
    ElementTree.fromstring(drawn)
    for each in (drawn, page(text, drawn)):
        each.encode()
        assert "<script" not in each
        assert 'onload="' not in each


def test_a_page_asks_for_nothing() -> None:
    """No script, and no address but the name of SVG."""
    whole = page("A title", svg([Box("a", "b")], [], title="c"))
    assert "<script" not in whole
    assert whole.count("http") == whole.count("http://www.w3.org/2000/svg") == 1
    assert "url(" not in whole.replace("url(#ms-arrow)", "")


def test_boxes_may_lead_somewhere_and_stand_out() -> None:
    """A box with a link is one, whatever stands in the link; looks are those that are given."""
    drawn = svg(
        [Box("a", "", "on", '../a?"<&'), Box("b", "", "dim")],
        [Line(0, 1, "k", "dim")],
        title="t",
        style=None,
    )
    root = ElementTree.fromstring(drawn)
    assert root.get("role") == "group"
    assert [each.get("href") for each in root.iter(f"{SVG}a")] == ['../a?"<&']
    assert [each.get("class") for each in root.iter(f"{SVG}g")] == ["on", "dim"]
    assert root.find(f"{SVG}path").get("class") == "dim"  # type: ignore[union-attr]  # there is one
    assert root.find(f"{SVG}style") is None
    assert ElementTree.fromstring(svg([Box("a", "")], [], title="t")).get("role") == "img"


def test_markup_says_so_to_templates() -> None:
    """What template languages escape they leave as it is, where it is markup."""
    assert Html("<b>").__html__() == "<b>"


def test_what_is_cut_is_whole_in_the_tooltip() -> None:
    """A long text shows its beginning and its end; the tooltip has all of it."""
    text = "begin" + "x" * 100 + "end"
    group = ElementTree.fromstring(svg([Box("a", text)], [], title="t")).find(f"{SVG}g")
    assert group is not None
    shown = group.findall(f"{SVG}text")[1].text or ""
    assert len(shown) == 30
    assert (shown[:5], shown[-3:]) == ("begin", "end")
    assert group.findtext(f"{SVG}title") == f"a {text}"


# Boxes in a terminal.

UP, DOWN, LEFT, RIGHT = (-1, 0), (1, 0), (0, -1), (0, 1)
FROM = {  # Where a line that comes in one direction goes on.
    DOWN: {
        "│": [DOWN],
        "└": [RIGHT],
        "┘": [LEFT],
        "┴": [LEFT, RIGHT],
        "├": [DOWN, RIGHT],
        "┤": [DOWN, LEFT],
        "┼": [DOWN, LEFT, RIGHT],
    },
    LEFT: {"─": [LEFT], "│": [LEFT], "┌": [DOWN], "┬": [LEFT, DOWN]},
    RIGHT: {"─": [RIGHT], "│": [RIGHT], "┐": [DOWN], "┬": [RIGHT, DOWN]},
}


def traced(picture: list[str], count: int) -> set[tuple[int, int]]:
    """The edges that a reader sees, who follows each line down to the head of an arrow."""
    wide = max(map(len, picture))
    grid = [line.ljust(wide) for line in picture]
    owner: dict[tuple[int, int], int] = {}
    for number in range(count):
        (row,) = (at for at, line in enumerate(grid) if f" n{number} " in line)
        middle = grid[row].index(f" n{number} ") + 1
        left, right = grid[row].rindex("│", 0, middle), grid[row].index("│", middle)
        for column in range(left, right):
            owner[row - 1, column] = owner[row + 1, column] = number
    edges = set()
    for at, line in enumerate(grid):
        for column, each in enumerate(line):
            if each != "┬" or (at, column) not in owner:
                continue
            going = [((at + 1, column), DOWN)]
            while going:
                (row, column_now), way = going.pop()
                found = grid[row][column_now]
                if found == "▼":
                    edges.add((owner[at, column], owner[row + 1, column_now]))
                    continue
                going += [((row + on[0], column_now + on[1]), on) for on in FROM[way][found]]
    return edges


@given(graphs())
def test_lines_lead_where_edges_lead(graph: tuple[int, list[tuple[int, int]]]) -> None:
    """Whoever follows the lines of a picture comes from each box to its targets, and no other."""
    count, edges = graph
    forward = {(min(edge), max(edge)) for edge in edges if edge[0] != edge[1]}
    picture = boxes([f"n{number}" for number in range(count)], sorted(forward))
    assert picture is not None
    assert traced(picture, count) == forward


def test_a_picture_of_boxes() -> None:
    """Boxes stand in layers, from top to bottom; a line passes by what it does not lead to."""
    names = ["split", "train", "evaluate"]
    drawn = """
    ┌───────┐
    │ split │
    └───┬───┘
    ┌───┴────┐
    ▼        │
┌───────┐    │
│ train │    │
└───┬───┘    │
    └──┐ ┌───┘
       ▼ ▼
  ┌──────────┐
  │ evaluate │
  └──────────┘"""
    assert boxes(names, [(0, 1), (1, 2), (0, 2), (0, 2)]) == drawn.splitlines()[1:]


def test_boxes_fit_the_terminal() -> None:
    """Where there is little room texts lose their middle; where there is too little, None."""
    names = [f"a-step-with-a-long-name-{number}" for number in range(3)]
    edges = [(0, 1), (0, 2)]
    for width in (200, 60, 40, 30):
        picture = boxes(names, edges, width=width)
        assert picture is not None
        assert max(map(len, picture)) <= width
    assert boxes(names, edges, width=20) is None
    assert boxes([], []) == []


def test_boxes_of_a_cycle_and_of_one() -> None:
    """What leads back has its arrow upwards; what leads to itself is not drawn."""
    picture = boxes(["a", "b"], [(0, 1), (1, 0), (1, 1)])
    assert picture is not None
    assert "▲" in "".join(picture)
    assert "▼" in "".join(picture)


def test_wide_characters_take_two_cells() -> None:
    """A box around wide characters is closed where the terminal ends it."""
    assert boxes(["日本"], []) == ["┌──────┐", "│ 日本 │", "└──────┘"]
    assert boxes(["e\u0301"], []) == ["┌───┐", "│ e\u0301 │", "└───┘"]
