"""How many calls the commands make, on a store as Kubeflow Pipelines fills it."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest

pytest.importorskip("ml_metadata.metadata_store", reason="the judge is not installed here")

from click.testing import CliRunner
from filelock import FileLock

import metastore
from metastore import LinkKind, LinkQuery, NodeKind, NodeQuery
from metastore.cli import cli

from .kubeflow_store import fill
from .services import calls_to, engine_service, our_service

FEW, MANY = 200, 2000
"""Runs of the two stores."""
PAGE, IDS = 100, 500
"""Nodes of a page, and ids in a request."""

A_RUN = "00000005-aaaa-bbbb"


class Place(NamedTuple):
    """The same store, as a file and behind a service."""

    runs: int
    file: str
    url: str
    port: int


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """The stores, made once for all processes of a test run."""
    folder = tmp_path_factory.getbasetemp()
    folder = folder.parent if folder.name.startswith("popen") else folder
    made = {runs: folder / f"kubeflow-{runs}.db" for runs in (FEW, MANY)}
    with FileLock(folder / "kubeflow.lock"):
        for runs, file in made.items():
            if not file.exists():
                begun = file.with_suffix(".begun")
                fill(begun, runs)
                begun.rename(file)
    return made


@pytest.fixture(scope="module", params=["ours", "engine"])
def places(
    request: Any, files: dict[int, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[int, Place]]:
    """Both stores, behind our own server and behind ML Metadata's engine."""
    folder = tmp_path_factory.mktemp("served")
    found = {}
    with ExitStack() as stack:
        for runs, file in files.items():
            if request.param == "engine":
                copied = folder / file.name
                shutil.copyfile(file, copied)
                port = stack.enter_context(engine_service(copied))
            else:
                port = stack.enter_context(our_service(f"sqlite:///{file}"))
            url = f"kubeflow://127.0.0.1:{port}"
            found[runs] = Place(runs, f"sqlite:///{file}", url, port)
        yield found


def _shown(store: str, *command: str) -> str:
    done = CliRunner().invoke(cli, [*command, "--store", store])
    assert done.exit_code == 0, done.output
    return done.output.replace(store, "STORE")


def _calls(place: Place, *command: str) -> Counter[str]:
    """The calls of a command, whose output is that over the file."""
    calls_to(place.port)
    shown = _shown(place.url, *command)
    calls = Counter(calls_to(place.port))
    assert shown == _shown(place.file, *command)
    return calls


WHOLE = pytest.mark.parametrize(
    "command",
    [
        ("run", "show", A_RUN),
        ("run", "show", A_RUN, "--json"),
        ("lineage", "40"),
        ("lineage", "40", "--siblings", "--max-hops", "3"),
        ("lineage", "40", "--json"),
        ("context", "list", "--where", f"name = '{A_RUN}'"),
        ("execution", "list", "--where", "custom_properties.parent_dag_id.int_value = 5"),
        ("artifact", "list", "--where", "uri = 'minio://bucket/5/train'"),
        ("run", "list", "--where", f"name = '{A_RUN}'"),
    ],
    ids=" ".join,
)


@WHOLE
def test_calls_do_not_grow_with_the_store(
    places: dict[int, Place], command: tuple[str, ...]
) -> None:
    """Of ten times as many runs, what belongs to one is had by as many calls, fewer than 20."""
    few, many = (_calls(places[runs], *command) for runs in (FEW, MANY))
    assert few == many
    assert many.total() < 20


@pytest.mark.parametrize(
    ("command", "kind", "each"),
    [
        (("run", "list", "--limit", "20"), "Contexts", 1),
        (("run", "list", "--limit", "20", "--json"), "Contexts", 1),
        (("artifact", "list", "--limit", "20"), "Artifacts", 3),
        (("execution", "list", "--limit", "20"), "Executions", 4),
    ],
    ids=str,
)
def test_only_the_total_grows_by_its_pages(
    places: dict[int, Place], command: tuple[str, ...], kind: str, each: int
) -> None:
    """A list that says how many there are in all reads these, a hundred a call, and no more."""
    few, many = (_calls(places[runs], *command) for runs in (FEW, MANY))
    pages = (MANY - FEW) * each // PAGE
    assert many - few == Counter({f"Get{kind}": pages})
    assert not few - many


def test_a_page_of_runs_takes_as_many_calls_of_any_store(places: dict[int, Place]) -> None:
    """The newest runs, and those of a pipeline, without their total: the same calls."""
    counts = []
    for place in places.values():
        with (
            metastore.connect(place.url, mode="r") as store,
            metastore.connect(place.file, mode="r") as file,
        ):
            calls_to(place.port)
            for found, wanted in (
                (store.runs(), file.runs()),
                (store.pipeline("churn-1").runs, file.pipeline("churn-1").runs),
            ):
                # Not by list(), which asks for the total first.
                records = [each.record for each in found.newest_first(20)]
                assert records == [each.record for each in wanted.newest_first(20)]
            counts.append(calls_to(place.port))
    assert counts[0] == counts[1]
    assert sum(counts[0].values()) <= 24


def test_pipelines_are_listed_with_a_call_each(places: dict[int, Place]) -> None:
    """How many runs a pipeline has is one call for each of the four, however many there are."""
    few, many = (_calls(places[runs], "pipeline", "list") for runs in (FEW, MANY))
    assert few == many
    # A greeting, whether there are filters, the list; a server may lack the call for many.
    assert many.total() <= 3 + 4 + 1


def test_runs_by_their_state_are_looked_at_by_pages(places: dict[int, Place]) -> None:
    """Who asks for the state of all 2,000 runs pays by pages, not by runs."""
    calls = _calls(places[MANY], "run", "list", "--state", "FAILED")
    pages_of_executions = 4 * MANY // PAGE
    assert calls["GetLineageSubgraph"] <= pages_of_executions
    assert calls["GetExecutionsByID"] <= 4 * MANY // IDS + 4
    # By pages of 500 runs: themselves, and what of 4 pipelines they are.
    assert calls["GetContexts"] <= 3 * MANY // PAGE
    assert calls.total() <= 170


def test_all_that_was_made_of_a_dataset_comes_by_pages(places: dict[int, Place]) -> None:
    """The lineage of what every run read, 2,000 steps, is had by frontiers."""
    calls = _calls(places[MANY], "lineage", "1", "--down", "--max-hops", "1")
    assert calls["GetEventsByArtifactIDs"] == 1
    # Links of steps, twice: as steps, and of which run they are.
    assert calls["GetLineageSubgraph"] <= 2 * MANY // PAGE
    assert calls.total() <= 70


@pytest.mark.parametrize("kind", [LinkKind.ATTRIBUTION, LinkKind.ASSOCIATION])
def test_links_of_many_contexts_are_those_of_the_file(
    places: dict[int, Place], kind: LinkKind
) -> None:
    """All links of 2,000 contexts, by pages of the nodes at their other end."""
    place = places[MANY]
    each = {LinkKind.ATTRIBUTION: 3, LinkKind.ASSOCIATION: 4}[kind]
    with (
        metastore.connect(place.url, mode="r") as store,
        metastore.connect(place.file, mode="r") as file,
    ):
        runs = NodeQuery(NodeKind.CONTEXT, type_names=["system.PipelineRun"])
        ids = [node.id for node in file.backend.iterate(runs)]
        assert len(ids) == MANY
        calls_to(place.port)
        found = store.backend.read_links(LinkQuery(kind, context_ids=ids))
        calls = Counter(calls_to(place.port))
        assert found == file.backend.read_links(LinkQuery(kind, context_ids=ids))
        assert len(found) == each * MANY
    # 500 contexts a filter, and whether there are filters.
    assert calls.total() <= each * MANY // PAGE + MANY // IDS + 1


def test_parents_of_many_contexts_are_those_of_the_file(places: dict[int, Place]) -> None:
    """2,000 runs of 4 pipelines: a few calls, also where the server has no call for many."""
    place = places[MANY]
    with (
        metastore.connect(place.url, mode="r") as store,
        metastore.connect(place.file, mode="r") as file,
    ):
        query = LinkQuery(LinkKind.PARENT)
        calls_to(place.port)
        found = store.backend.read_links(query)
        calls = Counter(calls_to(place.port))
        assert found == file.backend.read_links(query)
        assert len(found) == MANY
    # 21 pages of contexts; by 500 of these the 4 parents, and the children of each by pages.
    assert calls.total() <= 21 + 5 * (1 + 4 * 2) + 2
