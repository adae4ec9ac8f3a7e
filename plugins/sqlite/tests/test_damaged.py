"""A damaged store: every command reads it as far as it can, and `verify` counts what is wrong."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from metastore import Batch, EventType, ExecutionState, NodeKind
from metastore.problems import problems_of

from .helpers import connect, fingerprint, open_file, url_of

RUNS, STEPS = 6, 5


def _record(path: Path) -> None:
    with connect(path) as store:
        for number in range(RUNS):
            with store.run(f"pipeline-{number % 2}") as run:
                made = None
                for step_number in range(STEPS):
                    with run.step(f"step-{step_number}", parameters={"n": step_number}) as step:
                        if made is not None:
                            step.input("in", made)
                        made = step.output("out", type="Data", uri=f"/{number}/{step_number}")


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    """A store of which most artifacts and executions were deleted by hand."""
    path = tmp_path / "store.db"
    _record(path)
    with closing(sqlite3.connect(path)) as file:
        file.execute("DELETE FROM Artifact WHERE id % 4 != 0")
        file.execute("DELETE FROM Execution WHERE id % 3 != 0")
        file.execute("DELETE FROM Context WHERE name LIKE 'pipeline-1-%'")
        file.execute("DELETE FROM EventPath WHERE event_id % 2")
        file.execute("DELETE FROM Event WHERE id % 7 = 0")
        file.commit()
    return path


def _count(path: Path, statement: str) -> int:
    with closing(sqlite3.connect(path)) as file:
        (number,) = file.execute(f"SELECT COUNT(*) FROM {statement}").fetchone()
    return int(number)


def _problems(path: Path) -> dict[str, int]:
    with closing(open_file(path, "r")) as store:
        return {each.kind: each.number for each in store.problems()}


def test_a_whole_store(tmp_path: Path) -> None:
    """Of a store that we wrote nothing is wrong, by the database and by reading."""
    path = tmp_path / "store.db"
    _record(path)
    with closing(open_file(path, "r")) as store:
        assert list(store.problems()) == list(problems_of(store)) == []


def test_what_dangles_is_counted(damaged: Path) -> None:
    """Every event, link and property that points at nothing is counted, and no other."""
    found = _problems(damaged)
    no_artifact = "artifact_id NOT IN (SELECT id FROM Artifact)"
    no_execution = "execution_id NOT IN (SELECT id FROM Execution)"
    no_context = "context_id NOT IN (SELECT id FROM Context)"
    expected = {
        "event-without-artifact": f"Event WHERE {no_artifact}",
        "event-without-execution": f"Event WHERE {no_execution}",
        "path-without-event": "EventPath WHERE event_id NOT IN (SELECT id FROM Event)",
        "attribution-without-artifact": f"Attribution WHERE {no_artifact}",
        "attribution-without-context": f"Attribution WHERE {no_context}",
        "association-without-execution": f"Association WHERE {no_execution}",
        "association-without-context": f"Association WHERE {no_context}",
        "parent-context-without-context": f"ParentContext WHERE {no_context}",
        "execution-property-without-owner": f"ExecutionProperty WHERE {no_execution}",
        "context-property-without-owner": f"ContextProperty WHERE {no_context}",
    }
    assert found == {kind: _count(damaged, where) for kind, where in expected.items()}
    assert min(found.values()) > 0
    assert found["event-without-artifact"] * 2 > _count(damaged, "Event")


def test_reading_finds_what_it_can_see(damaged: Path) -> None:
    """A flavor without tables to ask finds the same of what its reads give."""
    with closing(open_file(damaged, "r")) as store:
        by_reading = {each.kind: each.number for each in problems_of(store)}
    by_tables = _problems(damaged)
    # Nobody reads properties of what is not there, and paths of no event.
    unseen = {kind for kind in by_tables if "property" in kind or kind == "path-without-event"}
    assert by_reading == {kind: by_tables[kind] for kind in by_tables.keys() - unseen}


_CHANGES = {
    "artifact-without-type": "UPDATE Artifact SET type_id = 999 WHERE id = 1",
    "artifact-state": "UPDATE Artifact SET state = 77 WHERE id = 1",
    "execution-state": "UPDATE Execution SET last_known_state = -1 WHERE id = 1",
    "execution-time": "UPDATE Execution SET last_update_time_since_epoch = 1 WHERE id = 1",
    "context-time": "UPDATE Context SET create_time_since_epoch = -5 WHERE id = 1",
    "event-type": "UPDATE Event SET type = 99 WHERE id = 1",
    "event-time": "UPDATE Event SET milliseconds_since_epoch = -1 WHERE id = 1",
    "type-repeated": "INSERT INTO Type (name, type_kind) VALUES ('Data', 1)",
    "type-of-no-kind": "INSERT INTO Type (name, type_kind) VALUES ('odd', 9)",
    "type-property-without-type": "INSERT INTO TypeProperty VALUES (999, 'k', 1)",
    "type-property-of-no-kind": "UPDATE TypeProperty SET data_type = 12 WHERE rowid = "
    "(SELECT rowid FROM TypeProperty WHERE name = 'metastore_error' LIMIT 1)",
    "base-type-without-type": "INSERT INTO ParentType VALUES (999, 1)",
    "execution-property-undeclared": "INSERT INTO ExecutionProperty (execution_id, name, "
    "is_custom_property, int_value) VALUES (1, 'unheard of', 0, 1)",
    "execution-property-of-another-kind": "UPDATE ExecutionProperty SET string_value = NULL, "
    "int_value = 3 WHERE execution_id = 1 AND name = 'metastore_step'",
    "execution-property-without-value": "UPDATE ExecutionProperty SET string_value = NULL "
    "WHERE execution_id = 1 AND name = 'metastore_step'",
    "parent-cycle": "INSERT INTO ParentContext SELECT parent_context_id, context_id "
    "FROM ParentContext LIMIT 1",
    "lineage-cycle": "INSERT INTO Event (artifact_id, execution_id, type, "
    "milliseconds_since_epoch) SELECT artifact_id, execution_id, 3, 5 FROM Event "
    "WHERE type = 4 LIMIT 1",
}


@pytest.mark.parametrize("kind", _CHANGES)
def test_each_problem(tmp_path: Path, kind: str) -> None:
    """Each sort of wrong row is found, and taken for no other one."""
    path = tmp_path / "store.db"
    _record(path)
    with closing(sqlite3.connect(path)) as file:
        file.execute(_CHANGES[kind])
        file.commit()
    found = _problems(path)
    if kind == "artifact-without-type":
        assert found.pop(kind) == 1
        assert set(found) <= {"artifact-property-undeclared"}
        return
    assert set(found) == {kind}
    assert found[kind] == (2 if kind == "parent-cycle" else 1)


def test_a_long_cycle(tmp_path: Path) -> None:
    """Of a ring of steps all artifacts are told, and none of what leads to it or away from it."""
    path = tmp_path / "store.db"
    with closing(open_file(path)) as store:
        batch = Batch()
        batch.type(NodeKind.ARTIFACT, "A")
        batch.type(NodeKind.EXECUTION, "E")
        made = [batch.artifact("A") for _ in range(12)]
        for at in range(11):
            ran = batch.execution("E", state=ExecutionState.COMPLETE)
            batch.event(made[at], ran, EventType.INPUT)
            batch.event(made[at + 1], ran, EventType.OUTPUT)
        back = batch.execution("E")
        batch.event(made[8], back, EventType.INPUT)
        batch.event(made[3], back, EventType.OUTPUT)
        store.write(batch)
        [problem] = store.problems()
    assert (problem.kind, problem.number) == ("lineage-cycle", 6)
    assert problem.examples == tuple(f"artifact {id}" for id in range(4, 10))


def _run(path: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "metastore", *words, "--store", url_of(path)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


_COMMANDS: dict[str, Callable[[Path], tuple[str, ...]]] = {
    "pipeline list": lambda _: ("pipeline", "list"),
    "run list": lambda _: ("run", "list"),
    "run show": lambda _: ("run", "show", "2"),
    "artifact list": lambda _: ("artifact", "list", "--where", "events_e.type = OUTPUT"),
    "artifact show": lambda _: ("artifact", "show", "4"),
    "execution list": lambda _: ("execution", "list"),
    "execution show": lambda _: ("execution", "show", "3"),
    "context list": lambda _: ("context", "list", "--where", "artifacts_a.type = 'Data'"),
    "context show": lambda _: ("context", "show", "1"),
    "type list": lambda _: ("type", "list"),
    "lineage": lambda _: ("lineage", "4"),
    "lineage, siblings": lambda _: ("lineage", "8", "--siblings", "--format", "dot"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", _COMMANDS)
def test_every_command_reads_it(damaged: Path, name: str) -> None:
    """A command that reads does so, and changes nothing."""
    before = fingerprint(damaged)
    done = _run(damaged, *_COMMANDS[name](damaged))
    assert done.returncode == 0, done.stderr
    assert done.stdout
    assert fingerprint(damaged) == before


def test_the_command(damaged: Path) -> None:
    """`metastore verify` ends with 1 where something is wrong, and prints it as it is asked to."""
    command = [sys.executable, "-m", "metastore", "verify", url_of(damaged)]
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    assert told.returncode == 1
    assert "events whose artifact is not there" in told.stdout
    as_json = subprocess.run([*command, "--json"], capture_output=True, text=True, check=False)
    assert as_json.returncode == 1
    found = {each["kind"]: each["number"] for each in json.loads(as_json.stdout)}
    assert found == _problems(damaged)


def test_two_stores_are_compared(tmp_path: Path) -> None:
    """`metastore verify A B` says whether both hold the same, and what they do not."""
    path, other = tmp_path / "store.db", tmp_path / "copy.db"
    _record(path)
    with closing(sqlite3.connect(path)) as file, closing(sqlite3.connect(other)) as copy:
        file.backup(copy)
    command = [sys.executable, "-m", "metastore", "verify", url_of(path), url_of(other)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "both hold the same\n"), done.stderr
    with closing(sqlite3.connect(other)) as copy:
        copy.execute("UPDATE Artifact SET uri = '/elsewhere' WHERE id = 3")
        copy.commit()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stdout.startswith("1 difference\n")
    assert "uri" in done.stdout
    assert "elsewhere" not in done.stdout
