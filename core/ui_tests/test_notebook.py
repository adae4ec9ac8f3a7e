"""A notebook, executed, in Chromium."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("nbconvert", reason="without nbconvert no notebook is executed")
pytest.importorskip("ipykernel", reason="without ipykernel no notebook is executed")

from .install import browser
from .notebook import main

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        browser() is None, reason="there is no Chromium: python ui_tests/install.py brings it"
    ),
]


def test_what_a_notebook_shows_can_be_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Everything has an output, whose texts stand out from what is behind them, in both themes."""
    assert main([str(tmp_path)]) == 0, capsys.readouterr().out
