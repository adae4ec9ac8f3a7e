"""Lists and pages of nodes: filters, orders, moments, and what each noun shows."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone

import pytest

import metastore
from metastore import ArtifactState, Batch, NodeKind, PropertyKind, Store

from .helper import Command, use


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """A store in memory with nodes of three ages, which the command opens."""
    with metastore.connect("memory://") as opened:
        now = datetime.now(timezone.utc)
        batch = Batch()
        for kind in NodeKind:
            batch.type(kind, "T", {"n": PropertyKind.INT}, version=None)
        batch.type(NodeKind.ARTIFACT, "T", version="2", description="the second")
        run = batch.context("T", name="run")
        batch.parent(run, batch.context("T", name="pipeline"))
        for number, age in enumerate((40, 3, 0)):
            time = int((now - timedelta(days=age)).timestamp() * 1000)
            artifact = batch.artifact(
                "T",
                name=f"a{number}",
                state=ArtifactState.LIVE,
                properties={"n": number},
                create_time_ms=time,
            )
            batch.attribution(run, artifact)
            execution = batch.execution("T", name=f"e{number}", create_time_ms=time)
            batch.association(run, execution)
            batch.event(artifact, execution, metastore.EventType.OUTPUT, path=("out", 0))
        opened.write(batch)
        with monkeypatch.context() as open_for_long:
            open_for_long.setattr(opened, "close", lambda: None)
            use(open_for_long, opened)
            yield opened


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ((), [3, 2, 1]),
        (("--order", "id"), [1, 2, 3]),
        (("--order", "create_time"), [1, 2, 3]),
        (("--order", "-create_time"), [3, 2, 1]),
        (("--where", "id > 1"), [3, 2]),
        (("--where", "contexts_r.name = 'run' AND name = 'x1' OR id = 2"), [2]),
        (("--since", "7d"), [3, 2]),
        (("--since", "12h"), [3]),
        (("--since", "5w"), [3, 2]),
        (("--since", "2000-01-01"), [3, 2, 1]),
        (("--since", "2999-01-01T10:00Z"), []),
        (("--since", "7d", "--where", "id = 1 OR id = 2"), [2]),
        (("--type", "T", "--limit", "1"), [3]),
        (("--type", "None"), []),
    ],
)
@pytest.mark.parametrize("noun", ["artifact", "execution"])
def test_lists_are_narrowed_and_ordered(
    command: Command, store: Store, noun: str, options: tuple[str, ...], expected: list[int]
) -> None:
    """Type, filter, moment, order and limit do what they say, together too."""
    result = command(noun, "list", "--json", *options)
    assert [each["id"] for each in result.data] == expected
    plain = command(noun, "list", *options)
    assert plain.out.count("\n") == (len(expected) + 1 if expected else 0)


@pytest.mark.parametrize("noun", ["artifact", "execution", "context", "run"])
def test_a_wrong_filter_is_shown_in_its_place(command: Command, store: Store, noun: str) -> None:
    """A filter that is none is wrong use: what is wrong, the text, a mark under the place."""
    code, out, err = command(noun, "list", "--where", "nme = 'x' AND id > 3", "--since", "7d")
    assert (code, out) == (2, "")
    assert err.splitlines()[1:] == ["  nme = 'x' AND id > 3", "  ^^^"]
    assert "did you mean name?" in err.splitlines()[0]


def test_a_filter_that_since_makes_too_long_is_told_without_a_mark(
    command: Command, store: Store
) -> None:
    """What only the two together are is said of both, and marks nothing that nobody typed."""
    text = " OR ".join(["id = 1"] * 1000)
    assert command("artifact", "list", "--where", text).code == 0
    code, _, err = command("artifact", "list", "--where", text, "--since", "7d")
    assert code == 2
    assert "with --since, " in err
    assert "create_time" not in err


@pytest.mark.parametrize(
    "moment", ["yesterday", "7", "7y", "2026-13-01", "", "9999999d", "999999w"]
)
def test_a_wrong_moment_is_wrong_use(command: Command, store: Store, moment: str) -> None:
    """What is no moment is wrong use."""
    assert command("artifact", "list", "--since", moment).code == 2


def test_an_empty_answer_says_why(command: Command, store: Store) -> None:
    """Where nothing is found it is said what was asked, and which types there are."""
    assert (
        "no executions for which that holds"
        in command("execution", "list", "--where", "id > 9").err
    )
    assert "types of contexts: T" in command("context", "list", "--type", "R").err


def test_an_execution_is_shown(command: Command, store: Store) -> None:
    """``execution show`` tells what it wrote; what it read, where there is nothing, too."""
    shown = command("execution", "show", "1").out
    assert "out: T 1 a0" in shown
    assert "nothing that is recorded" in shown
    data = command("execution", "show", "1", "--json").data
    assert [each["id"] for each in data["outputs"]["out"]] == [1]
    assert (data["inputs"], data["step"], data["run"]) == ({}, None, None)
    assert "'metastore execution list'" in command("execution", "show", "99").err


def test_a_context_is_shown(command: Command, store: Store) -> None:
    """``context show`` tells its relatives, and how many nodes belong to it."""
    shown = command("context", "show", "1").out
    for words in ("artifacts   3", "executions  3", "parents     T 2 pipeline"):
        assert words in shown
    data = command("context", "show", "2", "--json").data
    assert [each["name"] for each in data["children"]] == ["run"]
    assert (data["parents"], data["artifacts"]) == ([], 0)
    assert "'metastore context list'" in command("context", "show", "99").err


def test_types_are_listed_and_shown(command: Command, store: Store) -> None:
    """``type list`` leaves out what every store has; ``type show`` shows all of one name."""
    lines = command("type", "list").out.splitlines()
    assert [line.split()[1] for line in lines[1:]] == [
        "artifact",
        "artifact",
        "execution",
        "context",
    ]
    assert len(command("type", "list", "--json").data) > 10
    contexts = command("type", "list", "--kind", "context", "--json").data
    assert [(each["name"], each["properties"]) for each in contexts] == [("T", {"n": "INT"})]
    shown = command("type", "show", "T").out
    assert "artifact type T@2" in shown
    assert "the second" in shown
    data = command("type", "show", "T", "--kind", "artifact", "--json").data
    assert [(each["version"], each["nodes"]) for each in data] == [(None, 3), ("2", 0)]
    failed = command("type", "show", "None", "--kind", "context")
    assert (failed.code, "no context type 'None'" in failed.err) == (1, True)
