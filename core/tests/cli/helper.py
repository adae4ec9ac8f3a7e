"""Running the command inside the test's process, on a store in memory."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

import metastore
from metastore import Artifact, Batch, EventType, NodeKind, Store
from metastore.cli import cli


class Result(NamedTuple):
    """What a command said and how it ended."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        """Its output as JSON, strictly: Python alone would also take NaN and Infinity."""

        def refuse(constant: str) -> None:
            raise AssertionError(f"{constant} is no JSON")

        return json.loads(self.out, parse_constant=refuse)


Command = Callable[..., Result]


class Screen(io.StringIO):
    """A stdout that says it is a terminal."""

    def isatty(self) -> bool:
        """Yes."""
        return True


def run_command(capsys: pytest.CaptureFixture[str], *arguments: str) -> Result:
    """The command with these arguments."""
    with pytest.raises(SystemExit) as ended:
        cli.main(list(arguments), prog_name="metastore")
    out, err = capsys.readouterr()
    code = ended.value.code
    return Result(code if isinstance(code, int) else 0 if code is None else 1, out, err)


def on_screen(
    monkeypatch: pytest.MonkeyPatch, *arguments: str, width: int = 80, colour: bool = False
) -> list[str]:
    """The lines that the command shows on a terminal."""
    screen = Screen()
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TERM", "xterm-256color" if colour else "dumb")
    monkeypatch.setattr(sys, "stdout", screen)
    with pytest.raises(SystemExit):
        cli.main(list(arguments), prog_name="metastore")
    return screen.getvalue().splitlines()


def use(monkeypatch: pytest.MonkeyPatch, store: Store) -> None:
    """Let the command open this store, whatever it is told."""
    monkeypatch.setattr("metastore.config._connect.connect", lambda url, **how: store)


def store_with(**fields: Any) -> Store:
    """A store in memory with one artifact of these fields, and the step and run that made it."""
    store = metastore.connect("memory://")
    name, uri = fields.pop("name", None), fields.pop("uri", "")
    with store.run("pipeline", name="run", parameters={"seed": 7}) as run, run.step("step") as step:
        step.metric("loss", 0.5)
        step.output("out", type="T", name=name, uri=uri, **fields)
    return store


def artifact_of(store: Store) -> Artifact:
    """Its one artifact."""
    return store.artifacts()[0].node


def many_artifacts(count: int) -> Store:
    """A store in memory with so many artifacts, all written by one execution."""
    store = metastore.connect("memory://")
    batch = Batch()
    for kind in (NodeKind.ARTIFACT, NodeKind.EXECUTION):
        batch.type(kind, "T")
    execution = batch.execution("T")
    for number in range(count):
        artifact = batch.artifact("T", uri=f"/data/{number}")
        batch.event(artifact, execution, EventType.OUTPUT, path=("out", number))
    store.write(batch)
    return store
