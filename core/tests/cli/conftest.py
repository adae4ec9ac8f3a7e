"""Fixtures of the command's tests."""

from __future__ import annotations

from functools import partial

import pytest

import metastore
from metastore import Store

from .helper import Command, run_command, use


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """Runs the command; nobody's own store is in reach."""
    monkeypatch.delenv("METASTORE_STORE", raising=False)
    return partial(run_command, capsys)


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Store:
    """A store with a run that failed and a run called 2; the command opens it."""
    store = metastore.connect("memory://")
    first = store.run("train", name="first", parameters={"seed": 7})
    with pytest.raises(ValueError), first, first.step("fit") as step:
        step.input("data", "s3://data")
        raise ValueError("no luck")
    with store.run("train", name="2") as run, run.step("fit", parameters={"lr": 0.1}) as step:
        step.input("data", "s3://data")
        step.metric("loss", 0.25)
        step.output("model", type="Model", uri="s3://model")
    with store.run("other") as run:
        pass
    monkeypatch.setattr(store, "close", lambda: None)
    use(monkeypatch, store)
    return store
