"""Runs: their steps, those beside them, those inside of them."""

from __future__ import annotations

import os
import re
from typing import Any

import pytest

from metastore import Batch, ExecutionState, NodeKind, Store
from metastore.layout import RUN_PROPERTIES, RUN_TYPE, STEP_PROPERTIES
from metastore.ui._timeline import timeline
from metastore.views import Step

from .client import Client


def test_a_run_shows_its_steps(runs: Client) -> None:
    """Status, durations, parameters, what each step wrote, and how many are in which state."""
    data = runs.json("/runs/20.json")
    page = runs.page("/runs/20")
    assert data["name"] in page.text
    for step in data["steps"]:
        assert f"../executions/{step['id']}" in page.links
        for artifacts in step["outputs"].values():
            assert all(f"../artifacts/{each['id']}" in page.links for each in artifacts)
    complete = [each for each in data["steps"] if each["state"] == "COMPLETE"]
    assert f"Complete {len(complete)}" in page.text
    assert len(re.findall(r'<rect class="bar ', page.source)) == len(data["steps"])
    assert '<svg xmlns="http://www.w3.org/2000/svg" class="ms-graph" role="group"' in page.source


def test_a_run_that_failed_says_why(runs: Client) -> None:
    """Its error stands on the page, and that of the step beside the step."""
    failed = runs.json("/runs.json?state=FAILED")["runs"][0]
    page = runs.page(f"/runs/{failed['id']}")
    assert page.text.count(failed["error"][:40]) >= 2


def test_a_run_with_many_steps_comes_in_parts(store: Store) -> None:
    """A page has two hundred steps, whatever the run has; the parts show each once."""
    with store.run("p") as run:
        for number in range(450):
            with run.step(f"step-{number}") as step:
                step.output("out", uri=f"/{number}")
    client = Client(store)
    pages = [client.page(f"/runs/{run.id}?part={part}") for part in (1, 2, 3)]
    seen = [each for page in pages for each in page.links if "/executions/" in each]
    assert len(seen) == len(set(seen)) == 450
    assert all("too many for a picture" in each.text for each in pages)
    assert len(client.json(f"/runs/{run.id}.json")["steps"]) == 200
    assert len(client.ask(f"/runs/{run.id}.csv").text.splitlines()) == 451
    assert client.ask(f"/runs/{run.id}.dot").text.startswith("digraph")


def test_nested_runs_lead_to_one_another(store: Store) -> None:
    """A run whose context has another run as parent is linked from there, and links back."""
    batch = Batch()
    batch.type(NodeKind.CONTEXT, RUN_TYPE, RUN_PROPERTIES)
    outer = batch.context(RUN_TYPE, name="sweep", properties={"state": "RUNNING"})
    for number in range(60):
        inner = batch.context(RUN_TYPE, name=f"trial-{number}", properties={"state": "COMPLETE"})
        batch.parent(inner, outer)
    written = store.write(batch)
    above, first, *_ = (each.id for each in written.contexts)
    client = Client(store)
    page = client.page(f"/runs/{above}")
    assert f"../runs/{first}" in page.links
    assert f"../contexts?parent={above}" in page.links
    assert "Nested runs" in page.text
    back = client.page(f"/runs/{first}")
    assert back.links.count(f"../runs/{above}") >= 2
    assert "Part of" in back.text
    assert client.json(f"/runs/{first}.json")["parents"][0]["name"] == "sweep"


def test_steps_inside_of_steps_stand_below_them(store: Store) -> None:
    """A loop's turns follow the loop, further in; the loop's page is linked from a turn's."""
    batch = Batch()
    for name in ("system.Pipeline", "system.PipelineRun"):
        batch.type(NodeKind.CONTEXT, name)
    batch.type(NodeKind.EXECUTION, "system.DAGExecution")
    batch.type(NodeKind.EXECUTION, "system.ContainerExecution")
    run = batch.context("system.PipelineRun", name="r")
    root = batch.execution("system.DAGExecution", name="run/r")
    batch.association(run, root)
    root_id = store.write(batch).executions[0].id
    batch = Batch()
    loop = batch.execution(
        "system.DAGExecution",
        custom_properties={"task_name": "loop", "parent_dag_id": root_id},
    )
    batch.association(1, loop)
    loop_id = store.write(batch).executions[0].id
    batch = Batch()
    turn = batch.execution(
        "system.ContainerExecution",
        state=ExecutionState.COMPLETE,
        custom_properties={"task_name": "turn", "parent_dag_id": loop_id},
    )
    batch.association(1, turn)
    turn_id = store.write(batch).executions[0].id
    client = Client(store)
    page = client.page("/runs/1")
    assert f'class="in1"><a href="../executions/{turn_id}"' in page.source
    assert f"../executions/{loop_id}" in client.page(f"/executions/{turn_id}").links


def test_what_changes_the_store_is_a_command_line(store: Store) -> None:
    """A run that goes on shows how it is canceled; a pipeline, how its old runs are deleted."""
    client = Client(store, name="prod; rm -rf /")
    with store.run("p's") as run:
        page = client.page(f"/runs/{run.id}")
        assert f"metastore run cancel {run.id} --store 'prod; rm -rf /'" in page.text
    assert "run cancel" not in client.page(f"/runs/{run.id}").text
    pipeline = store.pipeline("p's").id
    assert (
        """metastore prune 'prod; rm -rf /' --pipeline 'p'"'"'s'"""
        in client.page(f"/pipelines/{pipeline}").text
    )


def test_a_run_whose_process_is_gone(store: Store) -> None:
    """It is flagged in lists and on its page, which says what ends it."""
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    with store.run("p") as run:
        store.update(store.context(run.id), lambda _: {"metastore_process": pid})
        client = Client(store)
        assert "process gone" in client.page("/runs").text
        assert f"process {pid} on this host is gone" in client.page(f"/runs/{run.id}").text


def test_comparing_shows_what_differs(store: Store) -> None:
    """Only lines that differ; how much more or less a number is; all lines when asked for."""
    ids = []
    for lr, acc in ((0.1, 0.9), (0.2, 0.95), (0.1, 0.9)):
        with store.run("p", parameters={"lr": lr, "seed": 7}) as run:
            ids.append(run.id)
            with run.step("train", parameters={"lr": lr}) as step:
                step.metric("accuracy", acc)
    client = Client(store)
    path = f"/compare?run={ids[0]}&run={ids[1]}"
    page = client.page(path)
    assert "+0.1" in page.text
    assert "+0.05" in page.text
    assert "seed" not in page.text
    assert "seed" in client.page(f"{path}&show=all").text
    found = client.json(f"/compare.json?run={ids[0]}&run={ids[1]}")["differences"]
    assert found["Parameters"] == {"lr": [0.1, 0.2]}
    assert found["Step train"]["metric accuracy"] == [0.9, 0.95]
    same = client.json(f"/compare.json?run={ids[0]}&run={ids[2]}")["differences"]
    assert set(same) <= {"Run"}
    three = client.page(f"/compare?run={ids[0]},{ids[1]}+{ids[2]}")
    assert all(f"../runs/{id}"[3:] in "".join(three.links) for id in ids)
    assert "Choose two or more" in client.page("/compare").text
    assert "Choose two or more" in client.page(f"/compare?run={ids[0]}&run={ids[0]}").text


@pytest.mark.parametrize("seconds", [5, 15, 60])
def test_what_runs_may_refresh(seconds: int, store: Store) -> None:
    """The address says how often; without script the browser does it; what has ended does not."""
    client = Client(store)
    with store.run("p") as run:
        live = client.page(f"/runs/{run.id}?refresh={seconds}")
        assert f'<noscript><meta http-equiv="refresh" content="{seconds}">' in live.source
        assert "http-equiv" not in client.page(f"/runs/{run.id}").source
    assert "http-equiv" not in client.page(f"/runs/{run.id}?refresh={seconds}").source


def _steps(store: Store, *times: tuple[int, int | None]) -> Any:
    batch = Batch()
    batch.type(NodeKind.EXECUTION, "S", STEP_PROPERTIES)
    batch.type(NodeKind.CONTEXT, RUN_TYPE, RUN_PROPERTIES)
    run = batch.context(RUN_TYPE, name="r")
    for began, ended in times:
        properties: dict[str, Any] = {"metastore_step": "s"}
        if ended is not None:
            properties["metastore_finished"] = float(ended)
        state = ExecutionState.RUNNING if ended is None else ExecutionState.COMPLETE
        step = batch.execution(
            "S", state=state, properties=properties, create_time_ms=began, update_time_ms=began
        )
        batch.association(run, step)
    store.write(batch)
    found: list[Step] = list(store.find_run("r").steps)
    return found


def test_bars_stand_where_steps_went_on(store: Store) -> None:
    """On one scale, from the first begin to the last end; what is very short can be seen."""
    drawn = timeline(_steps(store, (1000, 3000), (3000, 3001), (2000, 5000), (4000, None)), 9000)
    assert drawn is not None
    spans = [drawn.spans[id] for id in sorted(drawn.spans)]
    assert [each.left for each in spans] == [0, 250, 125, 375]
    assert [each.width for each in spans] == [250, 4, 375, 625]
    assert [each.is_open for each in spans] == [False, False, False, True]
    assert [(mark.left, mark.text) for mark in drawn.marks] == [
        *((0, "0"), (250, "2 s"), (500, "4 s"), (750, "6 s")),
    ]


@pytest.mark.parametrize(
    "times",
    [
        [(1000, 1000)],
        [(1000, 500)],
        [(1000, None)],
        [(1, 4_000_000_000_000)],
        [(1000, 1001), (10**15, 10**15 + 1)],
    ],
)
def test_bars_of_odd_times(times: Any, store: Store) -> None:
    """Clocks that went back, steps of no time, years: the bars stay on the page."""
    drawn = timeline(_steps(store, *times), 500)
    assert drawn is not None
    for span in drawn.spans.values():
        assert 0 <= span.left <= span.left + span.width <= 1000
    assert 1 <= len(drawn.marks) <= 7
    assert timeline([], 0) is None
