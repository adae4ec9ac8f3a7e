"""What notebooks show of a store and of what is in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree

import pytest

from metastore import Execution, ExecutionState, MemoryMetadataStore, Store
from metastore.pipelines import StepRecord
from metastore.views import Run, Step, Steps

from .recorded import store

__all__ = ["store"]

HOSTILE = "<script>alert(1)</script>\" onload='x' \x00\ud7ff]]>&"


def recorded(store: Store, text: str = "plain") -> Run:
    """A run of two steps, the second of which failed, with a text everywhere."""
    with (
        pytest.raises(ValueError, match="that was it"),
        store.run("p", name=text, parameters={text: text}) as run,
    ):
        with run.step(text, parameters={text: text}) as step:
            data = step.output(text, type=text, uri=text, name=text, properties={text: text})
            step.metric(text, 0.5)
        with run.step("second") as step:
            step.input("data", data)
            raise ValueError(f"that was it {text}")
    return store.find_run(run.id)


def parsed(thing: Any) -> tuple[set[str], str]:
    """The elements that a notebook is given, and the text in them, without styles."""
    root = ElementTree.fromstring(thing._repr_html_())
    tags = {each.tag.rpartition("}")[2] for each in root.iter()}
    styles = [*root.iter("style"), *root.iter("{http://www.w3.org/2000/svg}style")]
    for style in styles:
        style.text = ""
    return tags, " ".join("".join(root.itertext()).split())


THINGS: dict[str, Callable[[Store, Run], Any]] = {
    "store": lambda store, run: store,
    "runs": lambda store, run: store.runs(),
    "pipelines": lambda store, run: store.pipelines(),
    "artifacts": lambda store, run: store.artifacts(),
    "executions": lambda store, run: store.executions(),
    "contexts": lambda store, run: store.contexts(),
    "pipeline": lambda store, run: store.pipeline("p"),
    "run": lambda store, run: run,
    "steps": lambda store, run: run.steps,
    "step": lambda store, run: run.steps[0],
    "artifact": lambda store, run: store.artifact(1),
    "execution": lambda store, run: store.execution(1),
    "context": lambda store, run: store.context(2),
    "graph": lambda store, run: run.graph,
    "lineage": lambda store, run: store.artifact(1).lineage(downstream=True),
}


@pytest.mark.parametrize("thing", THINGS.values(), ids=THINGS)
def test_everything_has_a_form_for_notebooks(
    thing: Callable[[Store, Run], Any], store: Store
) -> None:
    """It is well-formed, says what the thing is called, and asks for nothing from anywhere."""
    drawn = thing(store, recorded(store))
    tags, text = parsed(drawn)
    assert tags <= ALLOWED
    assert text
    assert "http" not in drawn._repr_html_().replace("http://www.w3.org/2000/svg", "")


ALLOWED = {
    *("div", "style", "h3", "h4", "p", "table", "thead", "tbody", "tr", "th", "td", "span", "br"),
    *("svg", "title", "defs", "marker", "path", "g", "rect", "text"),
}


@pytest.mark.parametrize("thing", THINGS.values(), ids=THINGS)
def test_texts_stay_texts(thing: Callable[[Store, Run], Any], store: Store) -> None:
    """Whatever names, uris, keys and values are, nothing of them becomes markup."""
    tags, text = parsed(thing(store, recorded(store, HOSTILE)))
    assert tags <= ALLOWED
    assert "\x00" not in text


@pytest.mark.parametrize("thing", THINGS.values(), ids=THINGS)
def test_of_a_closed_store_a_sentence(thing: Callable[[Store, Run], Any], store: Store) -> None:
    """A cell that is shown after the store was closed says so, or shows what it had read."""
    drawn = thing(store, recorded(store))
    store.close()
    tags, text = parsed(drawn)
    assert "closed" in text or "svg" in tags


def test_a_run_shows_its_steps_and_a_picture(store: Store) -> None:
    """State, error, steps with their artifacts and metrics, and the graph."""
    tags, text = parsed(recorded(store))
    assert "svg" in tags
    for said in ("FAILED", "that was it", "plain: plain #1", "plain = 0.5", "data: plain #1"):
        assert said in text


def test_long_lists_show_their_beginning(store: Store) -> None:
    """Ten rows, and how many there are."""
    with store.run("p") as run, run.step("s") as step:
        for number in range(25):
            step.output(f"o{number}", type="T", uri=f"u{number}")
    _, text = parsed(store.artifacts())
    assert text.endswith("u9... 25 in all")
    assert parsed(store.artifacts(where="id > 99"))[1] == "an empty list"


def test_a_page_of_a_run(store: Store) -> None:
    """A run as a page of its own has its name as a heading, and the same content."""
    page = recorded(store, "nightly & daily").to_html()
    assert "<h1>Run nightly &amp; daily</h1>" in page
    assert page.count("<svg") == 1


def steps_of(*parents: int | None) -> Steps:
    """Steps from 1 on, each with the number of the step that it is a part of."""
    store = MemoryMetadataStore()
    return Steps(
        [
            Step(
                store,
                StepRecord(
                    f"s{id}",
                    Execution(id, 1, "T", None, None, {}, {}, 1, 1, None),
                    ExecutionState.COMPLETE,
                    parent=parent,
                ),
            )
            for id, parent in enumerate(parents, 1)
        ]
    )


@pytest.mark.parametrize(
    ("parents", "expected"),
    [
        ((None, None), [(0, 1), (0, 2)]),
        ((None, None, 1, 3, 1), [(0, 1), (1, 3), (2, 4), (1, 5), (0, 2)]),
        # The part is there before what it is a part of; or that is not there at all.
        ((2, None, 99), [(0, 2), (1, 1), (0, 3)]),
        # Of a damaged store: parts of one another, and of itself.
        ((2, 1, 3), [(0, 1), (1, 2), (0, 3)]),
    ],
)
def test_steps_stand_below_what_they_are_a_part_of(
    parents: tuple[int | None, ...], expected: list[tuple[int, int]]
) -> None:
    """Every step is there once, behind the one that it is a part of."""
    nested = [(depth, step.id) for depth, step in steps_of(*parents).nested()]
    assert nested == expected


def counting(calls: list[str], name: str, original: Callable[..., Any]) -> Callable[..., Any]:
    """A method that notes that it is called."""

    def called(*given: Any) -> Any:
        calls.append(name)
        return original(*given)

    return called


def test_a_run_is_read_at_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The steps, inputs and outputs of a run take as many reads, however many steps it has."""
    counted = []
    for count in (2, 40):
        with store.run("p") as run:
            for number in range(count):
                with run.step(f"s{number}") as step:
                    step.output("o", type="T", uri=f"u{number}")
        calls: list[str] = []
        for name in ("read_nodes", "read_events", "read_links", "read_types"):
            original = getattr(store.backend, name)

            monkeypatch.setattr(store.backend, name, counting(calls, name, original))
        store.find_run(run.id)._repr_html_()
        monkeypatch.undo()
        counted.append(calls)
    assert counted[0] == counted[1]


def test_a_picture_stands_alone(store: Store) -> None:
    """What shows no HTML gets lineage and graphs as an SVG document, with any text; a picture that
    would be too large is none.
    """
    run = recorded(store, HOSTILE)
    for graph in (run.graph, store.artifact(1).lineage(upstream=False, downstream=True)):
        text = graph._repr_svg_()
        assert text is not None
        root = ElementTree.fromstring(text)
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        assert not [*root.iter("{http://www.w3.org/2000/svg}script")]
    with store.run("wide") as wide, wide.step("s") as step:
        for number in range(301):
            step.output(f"o{number}", type="T")
    assert store.find_run(wide.id).graph._repr_svg_() is None
