"""The helpers around ml-metadata and the golden tables: what the other tests here stand on."""

from __future__ import annotations

import os
import sqlite3
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip(
    "ml_metadata",
    reason="without ml-metadata nothing here is compared with what the original says",
)

from . import mlmd
from .golden import GOLDEN, GOLDEN_TFX_ORCHESTRATED, GoldenRun

_COUNTED = ("artifacts", "executions", "contexts", "events", "attributions", "associations")

_COUNTS = {
    # file: how many of each of _COUNTED the list that came with the stores says
    "active-learning.sqlite": (25, 8, 6, 37, 25, 8),
    "failed-runs.sqlite": (2, 2, 5, 2, 6, 6),
    "iowa-liquor.sqlite": (16, 16, 48, 16, 48, 48),
    "sepsis.sqlite": (17, 9, 19, 30, 77, 27),
    "tfx-chicago-taxi.sqlite": (11, 9, 11, 24, 46, 27),
}

_INPUTS = {2, 3, 5}  # DECLARED_INPUT, INPUT, INTERNAL_INPUT
_OUTPUTS = {1, 4, 6}  # DECLARED_OUTPUT, OUTPUT, INTERNAL_OUTPUT


@pytest.fixture(scope="module")
def stores() -> Path:
    """The folder with the real stores."""
    folder = os.environ.get("METASTORE_TEST_STORES")
    if not folder:
        pytest.skip(
            "METASTORE_TEST_STORES does not name the folder with the real stores: lost are the"
            " tests that their golden tables and ml-metadata's snapshots of them are right"
        )
    return Path(folder)


@pytest.fixture(scope="module")
def orchestrated(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The snapshot of a generated TFX store."""
    path = tmp_path_factory.mktemp("tfx") / "store.sqlite"
    mlmd.write_tfx_orchestrated(path)
    return mlmd.snapshot(path)


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The snapshot of a generated store with one of everything."""
    path = tmp_path_factory.mktemp("everything") / "store.sqlite"
    mlmd.write_everything(path)
    return mlmd.snapshot(path)


def _ports(snapshot: Mapping[str, Any], execution: int, types: set[int]) -> dict[str, Any]:
    ports: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for artifact, of, type_, _, path in snapshot["events"]:
        if of == execution and type_ in types:
            for at, key in enumerate(path or ("",)):
                if isinstance(key, str):
                    index = path[at + 1] if at + 1 < len(path) else 0
                    ports[key].append((index, artifact))
    return {key: tuple(id_ for _, id_ in sorted(pairs)) for key, pairs in ports.items()}


def _assert_ports_agree(runs: tuple[GoldenRun, ...], snapshot: Mapping[str, Any]) -> None:
    steps = [step for run in runs for step in run.steps]
    assert sorted(step.execution_id for step in steps) == [
        execution["id"] for execution in snapshot["executions"]
    ]
    for step in steps:
        assert step.inputs == _ports(snapshot, step.execution_id, _INPUTS), step.name
        assert step.outputs == _ports(snapshot, step.execution_id, _OUTPUTS), step.name


def test_every_real_store_is_known(stores: Path) -> None:
    """Each store in the folder has counts and a golden table, and each of these has a store."""
    found = {path.name for path in stores.glob("*.sqlite")}
    assert found == set(_COUNTS) == set(GOLDEN)


@pytest.mark.parametrize("name", sorted(_COUNTS))
def test_snapshot_of_a_real_store_is_complete(name: str, stores: Path, tmp_path: Path) -> None:
    """A snapshot lists as many nodes and links of each kind as the store's list says it has."""
    snapshot = mlmd.snapshot(mlmd.upgraded_copy(stores / name, tmp_path / name))
    assert tuple(len(snapshot[kind]) for kind in _COUNTED) == _COUNTS[name]


@pytest.mark.parametrize("name", sorted(GOLDEN))
def test_golden_ports_of_a_real_store(name: str, stores: Path, tmp_path: Path) -> None:
    """A golden table has each execution once, with the artifacts that its events point at."""
    snapshot = mlmd.snapshot(mlmd.upgraded_copy(stores / name, tmp_path / name))
    _assert_ports_agree(GOLDEN[name], snapshot)


def test_upgrade_leaves_the_state_of_schema_4_unset(stores: Path, tmp_path: Path) -> None:
    """An upgraded store of schema 4 has its states in the property ``state`` alone."""
    copy = mlmd.upgraded_copy(stores / "tfx-chicago-taxi.sqlite", tmp_path / "copy.sqlite")
    executions = mlmd.snapshot(copy)["executions"]
    assert {execution["state"] for execution in executions} == {None}
    assert {execution["properties"]["state"] for execution in executions} == {
        ("string_value", "complete"),
        ("string_value", "cached"),
    }


def test_upgraded_copy_leaves_the_source_alone(stores: Path, tmp_path: Path) -> None:
    """Upgrading works on a copy that can be written, whatever the source's mode and schema."""
    source = stores / "tfx-chicago-taxi.sqlite"
    before = source.read_bytes()
    copy = mlmd.upgraded_copy(source, tmp_path / "copy.sqlite")
    assert source.read_bytes() == before
    database = sqlite3.connect(copy)
    try:
        assert database.execute("SELECT schema_version FROM MLMDEnv").fetchall() == [(10,)]
        database.execute("UPDATE MLMDEnv SET schema_version = 10")
        database.commit()
    finally:
        database.close()


@pytest.mark.parametrize("runs", [*GOLDEN.values(), GOLDEN_TFX_ORCHESTRATED], ids=lambda _: "runs")
def test_golden_run_states_follow_from_their_steps(runs: tuple[GoldenRun, ...]) -> None:
    """A golden run's state is the one its steps make by the rule the tables state."""
    for run in runs:
        states = {step.state for step in run.steps}
        if "FAILED" in states:
            expected = "FAILED"
        elif "RUNNING" in states:
            expected = "RUNNING"
        else:
            expected = "UNKNOWN" if states == {"UNKNOWN"} else "COMPLETE"
        assert run.state == expected


def test_snapshot_makes_no_store(tmp_path: Path) -> None:
    """A snapshot of a file that is not there is an error, and no file comes of it."""
    with pytest.raises(FileNotFoundError):
        mlmd.snapshot(tmp_path / "missing.sqlite")
    assert list(tmp_path.iterdir()) == []


def test_orchestrated_golden_ports(orchestrated: dict[str, Any]) -> None:
    """The generated TFX store has the executions and ports that its golden table lists."""
    _assert_ports_agree(GOLDEN_TFX_ORCHESTRATED, orchestrated)


def test_orchestrated_golden_names_and_states(orchestrated: dict[str, Any]) -> None:
    """Contexts and states in the generated TFX store are those that its golden table lists."""
    names = {
        context["id"]: (context["type"], context["name"]) for context in orchestrated["contexts"]
    }
    states = {execution["id"]: execution["state"] for execution in orchestrated["executions"]}
    numbers = {"RUNNING": 2, "COMPLETE": 3, "FAILED": 4, "CACHED": 5}
    for run in GOLDEN_TFX_ORCHESTRATED:
        for step in run.steps:
            contexts = {
                names[context]
                for context, execution in orchestrated["associations"]
                if execution == step.execution_id
            }
            assert contexts >= {
                ("pipeline", run.pipeline),
                ("pipeline_run", run.name),
                ("node", f"{run.pipeline}.{step.name}"),
            }
            assert states[step.execution_id] == numbers[step.state]


def test_orchestrated_parents(orchestrated: dict[str, Any]) -> None:
    """One pipeline is the parent of its runs, one run of another, and one run has no parent."""
    names = {context["id"]: context["name"] for context in orchestrated["contexts"]}
    assert {(names[parent], names[child]) for parent, child in orchestrated["parent_contexts"]} == {
        ("penguin.v2", "2024-03-01T10:00:00.000001"),
        ("penguin.v2", "2024-03-02T10:00:00.000002"),
        ("2024-03-01T10:00:00.000001", "2024-03-02T10:00:00.000002"),
    }


def test_orchestrated_artifacts_belong_to_all_contexts_of_a_step(
    orchestrated: dict[str, Any],
) -> None:
    """Each artifact that a step reads or writes is attributed to the step's three contexts."""
    types = {context["id"]: context["type"] for context in orchestrated["contexts"]}
    attributions = set(orchestrated["attributions"])
    for artifact, execution, *_ in orchestrated["events"]:
        for context, of in orchestrated["associations"]:
            if of == execution and types[context] != "execution_cache":
                assert (context, artifact) in attributions


def test_orchestrated_failure_says_why(orchestrated: dict[str, Any]) -> None:
    """The one FAILED execution bears its error in a custom property."""
    [failed] = [node for node in orchestrated["executions"] if node["state"] == 4]
    kind, text = failed["custom_properties"]["__execution_result__"]
    assert kind == "string_value"
    assert "ValueError: no examples left" in text


@pytest.mark.parametrize("kind", ["artifacts", "executions", "contexts"])
@pytest.mark.parametrize("where", ["properties", "custom_properties"])
def test_everything_has_values_of_all_kinds(
    kind: str, where: str, everything: dict[str, Any]
) -> None:
    """Each kind of node has values of all six kinds, the extreme ones unharmed."""
    values: dict[str, list[Any]] = defaultdict(list)
    for node in everything[kind]:
        for tag, *content in node[where].values():
            values[tag].append(content[0] if len(content) == 1 else tuple(content))
    assert set(values) == {
        *("int_value", "double_value", "string_value"),
        *("struct_value", "proto_value", "bool_value"),
    }
    assert {2**63 - 1, -(2**63)} <= set(values["int_value"])
    assert {1e300, 1e-6, 3.141593} <= set(values["double_value"])
    assert "" in values["string_value"]
    assert {} in values["struct_value"]
    assert any(struct.get("list") for struct in values["struct_value"])
    assert ("example.com/not.known", bytes(range(256))) in values["proto_value"]
    assert set(values["bool_value"]) == {True, False}


def test_everything_has_one_key_declared_and_custom(everything: dict[str, Any]) -> None:
    """A property and a custom property of one key are both there, with values of two kinds."""
    for kind in ("artifacts", "executions", "contexts"):
        [node] = [node for node in everything[kind] if "both" in node["properties"]]
        assert node["properties"]["both"] == ("int_value", 1)
        assert node["custom_properties"]["both"] == ("string_value", "one")


def test_everything_has_types_of_all_sorts(everything: dict[str, Any]) -> None:
    """Each kind has versions, external ids and a description; base types are complete."""
    for kind in ("artifact_types", "execution_types", "context_types"):
        types = everything[kind]
        versions = {type_["version"] for type_ in types if type_["name"] == "Versioned"}
        assert versions == {None, "v1", "v2"}
        assert sum(type_["external_id"] is not None for type_ in types) == 2
        assert any(type_["description"] for type_ in types)
        assert any(len(set(type_["properties"].values())) == 6 for type_ in types)
    bases = {type_["base_type"] for type_ in everything["artifact_types"]}
    assert bases == {None, "DATASET", "MODEL", "METRICS", "STATISTICS"}
    bases = {type_["base_type"] for type_ in everything["execution_types"]}
    assert bases == {None, "TRAIN", "TRANSFORM", "PROCESS", "EVALUATE", "DEPLOY"}
    assert any(type_["input_type"] == {"any": {}} for type_ in everything["execution_types"])


def test_everything_has_states_names_and_uris(everything: dict[str, Any]) -> None:
    """All states occur and none; names, external ids and uris are unset, empty and odd."""
    artifacts, executions = everything["artifacts"], everything["executions"]
    assert {node["state"] for node in artifacts} == {None, *range(7)}
    assert {node["state"] for node in executions} == {None, *range(7)}
    for nodes in (artifacts, executions):
        assert {None, "", "same", "é 😀 'name'"} <= {node["name"] for node in nodes}
    for nodes in (artifacts, executions, everything["contexts"]):
        assert {node["external_id"] for node in nodes} == {None, "", "ext://é/1"}
        assert len({node["type"] for node in nodes if node["name"] == "same"}) == 2
    uris = [node["uri"] for node in artifacts]
    assert {"", "C:\\data\\new folder\\model.pkl", "\\\\server\\share\\x"} <= set(uris)
    assert uris.count("/shared") == 2


def test_everything_is_longer_than_a_page(everything: dict[str, Any]) -> None:
    """There are more alike artifacts than ml-metadata gives in one page, none of them lost."""
    numbers = [
        node["properties"]["number"][1]
        for node in everything["artifacts"]
        if node["type"] == "Bulk"
    ]
    assert numbers == list(range(mlmd.BULK))
    assert mlmd.BULK > 100


def test_everything_has_events_of_all_sorts(everything: dict[str, Any]) -> None:
    """All event types occur between one pair of nodes; paths and times are of all forms."""
    events = everything["events"]
    pairs: dict[tuple[int, int], set[int]] = defaultdict(set)
    for artifact, execution, type_, *_ in events:
        pairs[artifact, execution].add(type_)
    assert set(range(1, 8)) in pairs.values()
    paths = {event[4] for event in events}
    assert {(), (0,), (-1,), ("",), ("port",), ("port", 0)} <= paths
    assert ("port", 1, "other port", 0) in paths
    assert {0, -1, 2**53} <= {event[3] for event in events}


def test_everything_has_links_and_loners(everything: dict[str, Any]) -> None:
    """Contexts have artifacts, executions, both or neither; parents make a tree and a diamond."""
    names = {context["id"]: context["name"] for context in everything["contexts"]}
    attributed = {names[context] for context, _ in everything["attributions"]}
    associated = {names[context] for context, _ in everything["associations"]}
    assert attributed == {"artifacts only", "both"}
    assert associated == {"executions only", "both"}
    assert {(names[parent], names[child]) for parent, child in everything["parent_contexts"]} == {
        ("root", "left"),
        ("root", "right"),
        ("left", "left leaf"),
        ("right", "right leaf"),
        ("left", "leaf of both"),
        ("right", "leaf of both"),
    }
    linked = {id_ for _, id_ in everything["attributions"]}
    assert len(everything["artifacts"]) > len(linked)
