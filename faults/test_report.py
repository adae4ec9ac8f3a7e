"""docs/reliability.md says what the harnesses found last."""

from __future__ import annotations

import re
from pathlib import Path

from .report import PAGE, PROMISES, RESULTS, page_with, rendered

_TESTS = {
    name
    for path in Path(__file__).parent.glob("test_*.py")
    for name in re.findall(r"^def (test_\w+)", path.read_text(), re.MULTILINE)
}


def test_the_page_quotes_the_last_results() -> None:
    """The tables are those that `python -m faults.report` makes of `results/`."""
    assert PAGE.read_text() == page_with(rendered())


def test_every_harness_that_is_quoted_is_there() -> None:
    """A promise names a harness that can be run, and all results are of harnesses that can."""
    quoted = {each.test for promises in PROMISES.values() for each in promises}
    kept = {path.stem.partition("[")[0] for path in RESULTS.glob("*.json")}
    assert quoted <= _TESTS
    assert kept <= _TESTS
