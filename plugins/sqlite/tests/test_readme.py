"""The README's examples are run, as they stand."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]


def run_examples(page: Path) -> dict[str, Any]:
    """Run what a page shows in Python from top to bottom; the names that it leaves."""
    blocks = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) >= 2
    names: dict[str, Any] = {}
    for block in blocks:
        exec(block, names)  # noqa: S102 - our own page
    return names


def test_the_page_about_recording_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What docs/recording.md shows runs, and ends as it says."""
    monkeypatch.chdir(tmp_path)
    with run_examples(ROOT / "docs" / "recording.md")["store"] as store:
        states = {step.state.name for run in store.runs() for step in run.steps}
        assert states == {"COMPLETE", "CACHED"}
        assert len(store.artifacts(type="Site")) == 1


def test_the_examples_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the README shows in Python runs from top to bottom and says what it promises."""
    monkeypatch.chdir(tmp_path)
    names = run_examples(ROOT / "README.md")
    shown = capsys.readouterr().out
    assert "COMPLETE" in shown
    assert "made by train" in shown
    assert "used by train" in shown
    names["store"].close()
