"""Every page, in every form."""

from __future__ import annotations

import csv
import io
import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

import metastore
from metastore import NodeKind, Store

from .client import Client
from .generated import fill

_PAGES = 220
"""At most so many of a store: some of every sort."""


def _real_stores() -> list[Path]:
    folder = os.environ.get("METASTORE_TEST_STORES")
    return sorted(Path(folder).glob("*.sqlite")) if folder else []


def damaged(path: Path) -> None:
    """Write a store from which rows were deleted by hand."""
    with metastore.connect(f"sqlite:///{path}") as store:
        fill(store, 12)
    with closing(sqlite3.connect(path)) as file:
        file.execute("DELETE FROM Artifact WHERE id % 3 = 0")
        file.execute("DELETE FROM Execution WHERE id % 4 = 0")
        file.execute("DELETE FROM Type WHERE name = 'Model'")
        file.execute("UPDATE Execution SET last_known_state = 77 WHERE id = 1")
        file.execute("UPDATE Context SET create_time_since_epoch = -5 WHERE id = 4")
        file.execute("DELETE FROM ParentContext WHERE context_id = 5")
        file.commit()


@pytest.fixture(params=["empty", "filled", "damaged", "memory", *map(str, _real_stores())])
def anything(request: pytest.FixtureRequest, tmp_path: Path, filled: Path) -> Iterator[Store]:
    """Stores of all sorts."""
    path = tmp_path / "store.db"
    if request.param == "memory":
        with metastore.connect("memory://") as store:
            fill(store, 12, shared=True)
            yield store
        return
    if request.param == "empty":
        metastore.connect(f"sqlite:///{path}").close()
    elif request.param == "damaged":
        damaged(path)
    elif request.param == "filled":
        path = filled
    else:
        path = Path(request.param)
    with metastore.connect(f"sqlite:///{path}", mode="r") as store:
        yield store


def test_all_pages_can_be_read(anything: Store) -> None:
    """Whatever leads from page to page is answered, well-formed, labelled and with headings."""
    client = Client(anything)
    forms: dict[str, int] = {}
    for path, answer in client.walk(_PAGES):
        assert answer.status_code == 200, f"{path}: {answer.status_code}\n{answer.text}"
        kind = answer.headers["content-type"].partition(";")[0]
        forms[kind] = forms.get(kind, 0) + 1
        if kind == "text/html":
            client.page(path)
        elif kind == "application/json":
            json.loads(answer.text)
        elif kind == "text/csv":
            rows = list(csv.reader(io.StringIO(answer.text)))
            assert {len(row) for row in rows} == {len(rows[0])}, path
    assert forms["text/html"] >= 7
    assert forms["application/json"] >= 5


FORMS = [
    *("/", "/pipelines", "/pipelines/1", "/runs", "/runs/4", "/compare?run=4&run=5", "/artifacts"),
    *("/artifacts/2", "/executions", "/executions/3", "/contexts", "/contexts/1", "/lineage/2"),
    *("/types", "/types/context/10"),
]


@pytest.mark.parametrize("path", FORMS)
def test_every_page_has_a_twin_of_data(path: str, runs: Client) -> None:
    """The same address with .json gives an object, which says what the page shows."""
    runs.page(path)
    head, question, query = path.partition("?")
    data = runs.json((head if head != "/" else "/index") + ".json" + question + query)
    assert isinstance(data, dict)
    assert data


TABLES = {
    "/runs": 130,
    "/pipelines": 3,
    "/pipelines/1": None,
    "/artifacts": None,
    "/executions": None,
    "/contexts": 133,
    "/types": None,
    "/runs/4": None,
    "/compare?run=4&run=5": None,
    "/lineage/2": None,
    "/executions/3": None,
}


@pytest.mark.parametrize("path", TABLES)
def test_a_table_can_be_had_whole(path: str, runs: Client) -> None:
    """With .csv there are all rows of a list, not those of one page, below one line of heads."""
    head, question, query = path.partition("?")
    answer = runs.ask(f"{head}.csv{question}{query}")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/csv")
    assert "attachment" in answer.headers["content-disposition"]
    first, *rows = csv.reader(io.StringIO(answer.text))
    assert rows
    assert len(set(first)) == len(first)
    if TABLES[path]:
        assert len(rows) == TABLES[path]


def test_counts_are_those_of_the_store(runs: Client, filled: Path) -> None:
    """The first page says how much is in the store."""
    with metastore.connect(f"sqlite:///{filled}", mode="r") as store:
        expected = {
            "pipelines": len(store.pipelines()),
            "runs": len(store.runs()),
            "artifacts": len(store.artifacts()),
            "executions": len(store.executions()),
            "contexts": len(store.contexts()),
        }
    assert runs.json("/index.json")["counts"] == expected
    text = runs.page("/").text
    assert all(f"{count:,} {name}" in text for name, count in expected.items())


def test_types_and_how_many_nodes_they_have(runs: Client, filled: Path) -> None:
    """A type's page counts its nodes and leads to the list of them."""
    with metastore.connect(f"sqlite:///{filled}", mode="r") as store:
        type = store.type(NodeKind.ARTIFACT, "Model")
        count = len(store.artifacts(type="Model"))
    page = runs.page(f"/types/artifact/{type.id}")
    assert "../../artifacts?type=Model" in page.links
    assert runs.json(f"/types/artifact/{type.id}.json")["nodes"] == count


@pytest.mark.parametrize(
    "path",
    [
        *("/runs/99999", "/runs/x", "/runs/0", "/runs/-1", "/runs/9999999999999999999999"),
        *("/artifacts/99999", "/executions/1e3", "/contexts/99999", "/pipelines/4", "/lineage/0"),
        *("/types/artifact/1", "/types/nothing/1", "/nowhere", "/runs/4/steps", "/static/x.css"),
        *("/runs/99999.json", "/artifacts/99999.json", "/nowhere.json", "/lineage/99999.csv"),
        *("/compare?run=99999&run=4", "/runs?pipeline=99999", "/lineage/99999.dot"),
    ],
)
def test_what_is_not_there(path: str, runs: Client) -> None:
    """A page of nothing is a 404 that says so, in the form that was asked for."""
    if path == "/types/artifact/1":
        path = "/types/context/1"
    answer = runs.ask(path)
    assert answer.status_code == 404, answer.text
    if ".json" in path:
        assert answer.json()["error"]["message"]
    elif not path.endswith((".csv", ".dot")):
        assert "Traceback" not in runs.page(path, 404).text


@pytest.mark.parametrize(
    "path",
    [
        *("/runs?state=SLEEPING", "/runs?sort=name", "/runs?op=like", "/lineage/2?depth=0"),
        *("/lineage/2?depth=-1", "/lineage/2?depth=%D9%A3", "/lineage/2?direction=left"),
        *("/compare?run=x", "/compare?run=" + "+".join(map(str, range(4, 20))), "/runs/4?part=2"),
        *("/runs?pipeline=x", "/artifacts?context=x", "/artifacts?state=SLEEPING"),
        *("/artifacts?key=a%60b", "/artifacts?page=x", "/runs?page=x", "/pipelines?page=%00"),
        "/runs?refresh=7&state=RUNNING",
    ],
)
def test_what_cannot_be_meant(path: str, runs: Client) -> None:
    """An address that asks for what there is not is a 400, and the page says what there is."""
    assert "Traceback" not in runs.page(path, 400).text


def test_what_is_too_much_for_a_page(store: Store) -> None:
    """Of thousands of properties, outputs and types a page has the first 500; JSON has all."""
    many = {f"key {number}": "x" * 15 for number in range(5000)}
    with store.run("p", parameters=many) as run, run.step("s", parameters=many) as step:
        for number in range(700):
            step.output(f"output {number}", type=f"T{number}", uri=f"u{number}")
        step.output("wordy", type="W", uri="w", custom_properties=dict.fromkeys(many, "x" * 15_000))
    client = Client(store)
    for path, more in (
        (f"/runs/{run.id}", "4,500 more"),
        ("/executions/1", "201 more"),
        ("/artifacts/701", "4,987 more"),
        ("/types", "201 more"),
    ):
        page = client.page(path)
        assert more in page.text, path
        assert len(page.source) < 1_000_000, path
    assert len(client.json(f"/runs/{run.id}.json")["parameters"]) == 5000
