"""Lineage, near and far, of few and of many."""

from __future__ import annotations

import csv
import io

import pytest

from metastore import Batch, EventType, NodeKind, Store

from .client import Client


def chain(store: Store, length: int) -> list[int]:
    """Artifacts, each made from the one before; their ids."""
    batch = Batch()
    batch.type(NodeKind.ARTIFACT, "A")
    batch.type(NodeKind.EXECUTION, "E")
    before = batch.artifact("A", name="0")
    for number in range(1, length):
        execution = batch.execution("E", name=f"step-{number}")
        batch.event(before, execution, EventType.INPUT, path=["in", 0])
        before = batch.artifact("A", name=str(number))
        batch.event(before, execution, EventType.OUTPUT, path=["out", 0])
    return [each.id for each in store.write(batch).artifacts]


def star(store: Store, readers: int) -> int:
    """An artifact that so many executions read, each of which wrote another; its id."""
    batch = Batch()
    batch.type(NodeKind.ARTIFACT, "A")
    batch.type(NodeKind.EXECUTION, "E")
    middle = batch.artifact("A", name="shared")
    for number in range(readers):
        execution = batch.execution("E", name=f"reader-{number}")
        batch.event(middle, execution, EventType.INPUT)
        batch.event(batch.artifact("A"), execution, EventType.OUTPUT)
    return store.write(batch).artifacts[0].id


def found(client: Client, path: str) -> tuple[set[int], set[int]]:
    """Artifacts and executions of a page's data."""
    data = client.json(path)
    return {each["id"] for each in data["artifacts"]}, {each["id"] for each in data["executions"]}


@pytest.mark.parametrize(
    ("query", "artifacts"),
    [
        ("", {4, 5, 6}),
        ("?depth=1", {5}),
        ("?depth=4", {3, 4, 5, 6, 7}),
        ("?direction=up&depth=4", {3, 4, 5}),
        ("?direction=down&depth=2", {5, 6}),
        ("?direction=up&depth=all", {1, 2, 3, 4, 5}),
    ],
)
def test_depth_and_direction_are_in_the_address(
    query: str, artifacts: set[int], store: Store
) -> None:
    """At first two hops both ways; the address says another depth and direction, in all forms."""
    chain(store, 10)
    client = Client(store)
    assert found(client, f"/lineage/5.json{query}")[0] == artifacts
    page = client.page(f"/lineage/5{query}")
    assert {f"../artifacts/{id}" for id in artifacts} <= set(page.links)
    rows = csv.DictReader(io.StringIO(client.ask(f"/lineage/5.csv{query}").text))
    if query != "?depth=1":
        assert {int(each["artifact"]) for each in rows} == artifacts
    for form, begin in (("svg", "<svg"), ("dot", "digraph"), ("mmd", "flowchart")):
        answer = client.ask(f"/lineage/5.{form}{query}")
        assert answer.text.startswith(begin)
        assert "attachment" in answer.headers["content-disposition"]


def test_a_picture_is_that_of_a_notebook(store: Store) -> None:
    """The page draws what a notebook draws: the same boxes and lines, which are links here."""
    chain(store, 4)
    client = Client(store)
    whole = client.ask("/lineage/2.svg").text
    walked = store.artifact(2).lineage(upstream=True, downstream=True, max_hops=2)
    assert whole == walked.picture()
    assert whole in walked._repr_html_()
    page = client.page("/lineage/2").source
    for each in whole.split("<path d=")[1:]:
        assert each.split("/>")[0] in page
    assert "<style>" not in page


def test_a_way_is_highlighted(store: Store) -> None:
    """The way to an artifact stands out, all else is dim; where none leads there, it says so."""
    chain(store, 6)
    client = Client(store)
    page = client.page("/lineage/3?depth=6&highlight=5")
    # Two lines of the four on the way, and three boxes with it.
    assert page.source.count('<path class="on"') == 4
    assert page.source.count('<path class="dim"') == 6
    assert "is highlighted" in page.text
    none = client.page("/lineage/3?depth=2&highlight=5")
    assert "No way in this picture leads to artifact 5" in none.text
    assert client.page("/lineage/3?highlight=999").text.count("No way in this picture") == 1


@pytest.mark.parametrize("readers", [149, 150, 400, 3000])
def test_more_than_a_picture_holds(readers: int, store: Store) -> None:
    """Beyond 300 artifacts and steps the page shows the hops that fit, and leads to all of them."""
    id = star(store, readers)
    client = Client(store)
    page = client.page(f"/lineage/{id}")
    boxes = page.source.count('<rect class="box"')
    assert boxes <= 300
    is_cut = 2 * readers + 1 > 300
    assert ("There is more than a picture can show" in page.text) == is_cut
    assert client.json(f"/lineage/{id}.json")["is_cut"] == is_cut
    if is_cut:
        assert boxes == (readers + 1 if readers < 300 else 1)
        assert f"../executions?where=events_e.artifact_id+%3D+{id}" in page.links
    rows = list(csv.reader(io.StringIO(client.ask(f"/lineage/{id}.csv").text)))
    assert len(rows) == 2 * readers + 1
    svg = client.ask(f"/lineage/{id}.svg")
    assert svg.status_code == (400 if is_cut else 200)
    assert len(page.source) < 500_000


def test_an_artifact_that_everything_read(store: Store) -> None:
    """Its page shows fifty of its readers, counts all, and leads to the list of them."""
    id = star(store, 120)
    client = Client(store)
    page = client.page(f"/artifacts/{id}")
    assert "Read by 120" in page.text
    shown = [each for each in page.links if each.startswith("../executions/")]
    assert len(shown) == 50
    (more,) = [each for each in page.links if "events_e" in each]
    listed = client.json("/" + more.removeprefix("../").replace("executions?", "executions.json?"))
    assert len(listed["executions"]) == 50
    assert listed["next"]
