"""Lists: what they are narrowed by, in which order, and page by page."""

from __future__ import annotations

import csv
import io
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

import metastore
from metastore import Batch, ExecutionState, NodeKind, Store

from .client import Client
from .generated import fill


def listed(client: Client, path: str, **query: Any) -> list[dict[str, Any]]:
    """All of a list, page after page, as its links lead on."""
    what = path.strip("/")
    found: list[dict[str, Any]] = []
    following: str | None = f"{what}.json" + (f"?{urlencode(query)}" if query else "")
    for _ in range(100):
        assert following is not None
        data = client.json(f"/{following}")
        found += data[what]
        following = data["next"]
        if following is None:
            return found
    raise AssertionError("the list does not end")


@pytest.mark.parametrize("path", ["/runs", "/artifacts", "/executions", "/contexts"])
@pytest.mark.parametrize("sort", ["newest", "oldest", "changed"])
def test_pages_hold_everything_once(path: str, sort: str, runs: Client) -> None:
    """Page after page shows each item once, in order, as many as the file of rows has."""
    ids = [each["id"] for each in listed(runs, path, sort=sort)]
    assert len(ids) == len(set(ids))
    if sort != "changed":
        assert ids == sorted(ids, reverse=sort == "newest")
    rows = list(csv.DictReader(io.StringIO(runs.ask(f"{path}.csv?sort={sort}").text)))
    assert [int(each["id"]) for each in rows] == ids
    assert len(ids) > 100


def test_what_is_written_meanwhile_repeats_nothing(tmp_path: Path) -> None:
    """Between two pages runs may begin; the next page shows none again and leaves none out."""
    with metastore.connect(f"sqlite:///{tmp_path / 'store.db'}") as store:
        fill(store, 120)
        client = Client(store)
        known = {each.id for each in store.runs()}
        page = client.json("/runs.json")
        seen = [each["id"] for each in page["runs"]]
        while page["next"]:
            with store.run("another"):
                pass
            page = client.json(f"/{page['next']}")
            seen += [each["id"] for each in page["runs"]]
    assert len(seen) == len(set(seen))
    assert set(seen) == known


def test_links_lead_through_a_list(runs: Client) -> None:
    """The list in HTML has the same pages, and a way back to the first one."""
    path, pages = "/runs?state=COMPLETE", 0
    while True:
        page = runs.page(path)
        pages += 1
        onward = [each for each in page.links if "page=" in each and ".json" not in each]
        assert ("First page" in page.text) == (pages > 1)
        if not onward:
            break
        path = f"/{onward[0]}"
    assert pages == 3


@pytest.mark.parametrize("state", ["RUNNING", "COMPLETE", "FAILED", "CANCELED", "UNKNOWN"])
def test_runs_by_status(state: str, runs: Client) -> None:
    """Those of a status are all of that status, and none is missing."""
    every = Counter(each["state"] for each in listed(runs, "/runs"))
    found = listed(runs, "/runs", state=state)
    assert {each["state"] for each in found} <= {state}
    assert len(found) == every[state]
    rows = list(csv.DictReader(io.StringIO(runs.ask(f"/runs.csv?state={state}").text)))
    assert [int(each["id"]) for each in rows] == [each["id"] for each in found]


@pytest.fixture
def foreign(tmp_path: Path) -> Iterator[Store]:
    """Runs of TFX, whose status only their steps know, between some of ours."""
    with metastore.connect(f"sqlite:///{tmp_path / 'store.db'}") as store:
        batch = Batch()
        for name in ("pipeline", "pipeline_run", "node"):
            batch.type(NodeKind.CONTEXT, name)
        batch.type(NodeKind.EXECUTION, "Trainer")
        pipeline = batch.context("pipeline", name="taxi")
        for number in range(2500):
            run = batch.context("pipeline_run", name=f"run-{number}")
            batch.parent(run, pipeline)
            failed = number % 50 == 7
            state = ExecutionState.FAILED if failed else ExecutionState.COMPLETE
            execution = batch.execution("Trainer", state=state)
            batch.association(run, execution)
        store.write(batch)
        with store.run("ours"):
            pass
        yield store


def test_status_that_only_steps_know(foreign: Store) -> None:
    """Runs of others are read some at a time: no page reads all, together they show each once."""
    client = Client(foreign)
    found = listed(client, "/runs", state="FAILED")
    assert len(found) == len({each["id"] for each in found}) == 50
    assert "were looked at" in client.page("/runs?state=FAILED").text
    assert listed(client, "/runs", state="COMPLETE")[0]["pipeline"] == "ours"
    # A page that finds nothing still leads on.
    none = client.page("/runs?state=CANCELED")
    assert "page=" in "".join(none.links)
    assert listed(client, "/runs", state="CANCELED") == []


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"name": "fraud"}, lambda run: run["pipeline"] == "fraud-hourly"),
        ({"name": "FRAUD-HOURLY-0000"}, lambda run: run["name"].startswith("fraud-hourly-0000")),
        ({"name": "100%"}, lambda run: False),
        ({"name": "_"}, lambda run: False),
        ({"key": "window", "value": "7d"}, lambda run: run["parameters"]["window"] == "7d"),
        ({"key": "seed", "value": "7"}, lambda run: run["parameters"]["seed"] == 7),
        ({"key": "seed", "op": "lt", "value": "50"}, lambda run: run["parameters"]["seed"] < 50),
        ({"key": "lr", "op": "ge", "value": "3e-2"}, lambda run: run["parameters"]["lr"] >= 0.03),
        ({"key": "full_refresh", "value": "true"}, lambda run: run["parameters"]["full_refresh"]),
        (
            {"key": "window", "op": "has", "value": "0D"},
            lambda run: run["parameters"]["window"] == "90d",
        ),
        ({"key": "nothing", "op": "set"}, lambda run: False),
        ({"key": "seed", "op": "set", "value": "ignored"}, lambda run: True),
        ({"key": "state", "value": "FAILED"}, lambda run: run["state"] == "FAILED"),
        (
            {"where": "custom_properties.seed > 90 OR name LIKE '%-000000'"},
            lambda run: run["parameters"]["seed"] > 90 or run["name"].endswith("-000000"),
        ),
        (
            {"where": "executions_e.last_known_state = RUNNING", "name": "churn"},
            lambda run: run["state"] == "RUNNING",
        ),
    ],
)
def test_runs_by_what_is_known_of_them(query: Any, expected: Any, runs: Client) -> None:
    """Name, parameters and filters narrow the list to just what fulfils them."""
    every = listed(runs, "/runs")
    assert listed(runs, "/runs", **query) == [each for each in every if expected(each)]


def test_runs_of_a_pipeline(runs: Client) -> None:
    """A pipeline's list has its runs, and the other conditions count there too."""
    for id in (1, 2, 3):
        name = runs.json(f"/pipelines/{id}.json")["name"]
        found = listed(runs, "/runs", pipeline=id)
        assert {each["pipeline"] for each in found} == {name}
        failed = [each["id"] for each in found if each["state"] == "FAILED"]
        narrowed = listed(runs, "/runs", pipeline=id, state="FAILED")
        assert [each["id"] for each in narrowed] == failed


@pytest.mark.parametrize("path", ["/runs", "/artifacts", "/executions", "/contexts"])
def test_a_filter_that_is_none(path: str, runs: Client) -> None:
    """It is told in its place, with a mark below what is wrong, and what was typed stays there."""
    wrong = "nme = 'x\"' AND id > 3"
    page = runs.page(f"{path}?{urlencode({'where': wrong, 'name': 'kept'})}", 400)
    assert "have no field 'nme'. Did you mean name?" in page.text
    assert "^^^" in page.text
    assert "nme = &#39;x&#34;&#39; AND id &gt; 3" in page.source
    assert 'value="kept"' in page.source
    assert 'aria-invalid="true"' in page.source
    data = runs.json(f"{path}.json?{urlencode({'where': wrong})}", 400)
    assert data["error"]["span"] == [0, 3]
    assert data[path.strip("/")] == []
    answer = runs.ask(f"{path}.csv?{urlencode({'where': wrong})}")
    assert answer.status_code == 400
    assert "nme" in answer.text


def test_lists_of_nodes_by_type_state_and_context(runs: Client) -> None:
    """Artifacts by type, executions by state, both by context, contexts by parent."""
    assert {each["type"] for each in listed(runs, "/artifacts", type="Model")} == {"Model"}
    failed = listed(runs, "/executions", state="FAILED")
    assert {each["state"] for each in failed} == {"FAILED"}
    run = runs.json("/runs/9.json")
    steps = {each["id"] for each in run["steps"]}
    assert {each["id"] for each in listed(runs, "/executions", context=9)} == steps
    children = listed(runs, "/contexts", parent=1)
    assert [each["id"] for each in children] == [
        each["id"] for each in listed(runs, "/runs", pipeline=1)
    ]
    assert listed(runs, "/artifacts", uri="s3://nowhere") == []


def test_a_store_that_no_convention_explains(store: Store) -> None:
    """What is neither pipeline nor run is still shown: as executions and artifacts."""
    batch = Batch()
    batch.type(NodeKind.ARTIFACT, "Blob")
    batch.type(NodeKind.EXECUTION, "Job")
    batch.artifact("Blob", name="a-blob", uri="file:///x")
    batch.execution("Job", name="a-job", state=ExecutionState.FAILED)
    store.write(batch)
    text = Client(store).page("/").text
    assert "a-blob" in text
    assert "a-job" in text
    assert "No run is recorded in a way that is known here" in text


def test_damaged_rows_are_told(tmp_path: Path) -> None:
    """Where events name what is not there, the page draws it so and says what looks further."""
    path = tmp_path / "store.db"
    with metastore.connect(f"sqlite:///{path}") as store:
        fill(store, 2)
    with closing(sqlite3.connect(path)) as file:
        file.execute("DELETE FROM Artifact WHERE id = 2")
        file.commit()
    with metastore.connect(f"sqlite:///{path}", mode="r") as store:
        client = Client(store)
        pages = [client.page(f"/runs/{run.id}") for run in store.runs()]
    told = [each for each in pages if "that it does not have" in each.text]
    assert len(told) == 1
    assert f"metastore verify sqlite:///{path}" in told[0].text
    assert 'class="missing round"' in told[0].source
