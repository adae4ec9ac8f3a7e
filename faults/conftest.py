"""The two sizes of every harness, and where its figures go."""

from __future__ import annotations

import json
import os
import platform
import random
import sqlite3
import sys
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path

import pytest
from plugins.mysql.tests import servers
from plugins.mysql.tests.servers import Server

RESULTS = Path(__file__).parent / "results"
FIGURES = "figures"


def pytest_addoption(parser: pytest.Parser) -> None:
    """The long form, whose figures are kept."""
    parser.addoption(
        "--long",
        action="store_true",
        help="as often and as long as docs/reliability.md says; figures go to faults/results",
    )


@pytest.fixture(autouse=True)
def _nobodys_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nobody's own stores and settings are in reach, for other processes neither."""
    for name in list(os.environ):
        ours = name.startswith("METASTORE_") and not name.startswith("METASTORE_TEST_")
        if ours or name.startswith("KUBE"):
            monkeypatch.delenv(name)
    for name, folder in (("HOME", "home"), ("XDG_CONFIG_HOME", "xdg"), ("XDG_DATA_HOME", "data")):
        monkeypatch.setenv(name, str(tmp_path / folder))
    monkeypatch.setenv("METASTORE_CONFIG", str(tmp_path / "config" / "config.toml"))


@pytest.fixture(scope="session")
def long(request: pytest.FixtureRequest) -> bool:
    """Whether this is the long form."""
    return bool(request.config.getoption("--long"))


@pytest.fixture(scope="session")
def size(long: bool) -> Callable[[int, int], int]:
    """``size(quick, long)``: how often, or how long, in the form that runs."""
    return lambda quick, in_full: in_full if long else quick


@pytest.fixture
def chance(request: pytest.FixtureRequest) -> random.Random:
    """Random choices of a seed, which a failure prints; `METASTORE_TEST_SEED` sets it."""
    seed = os.environ.get("METASTORE_TEST_SEED") or str(random.SystemRandom().getrandbits(32))
    # Captured: pytest shows it where the test fails.
    sys.stdout.write(f"METASTORE_TEST_SEED={seed} {request.node.name}\n")
    return random.Random(seed)


@pytest.fixture(scope="session")
def mariadb() -> Iterator[Server]:
    """A MariaDB server; without one the test fails, or is left out by METASTORE_TEST_WITHOUT."""
    if "mariadb" in os.environ.get("METASTORE_TEST_WITHOUT", "").replace(",", " ").split():
        pytest.skip("METASTORE_TEST_WITHOUT names mariadb")
    with servers.mariadb() as server:
        yield server


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What was found, a line a harness."""
    for report in terminalreporter.getreports("passed"):
        for name, found in report.user_properties:
            if name == FIGURES:
                said = ", ".join(f"{key} {value}" for key, value in found.items())
                terminalreporter.line(f"{report.nodeid.rpartition('::')[2]}: {said}")


Figures = Callable[..., None]


@pytest.fixture
def figures(long: bool, request: pytest.FixtureRequest) -> Figures:
    """``figures(**figures)``: say what was found, and keep it where this is the long form.

    It goes to ``results/<name of the test>.json``, with the command that repeats it.
    """

    def say(**found: object) -> None:
        name = request.node.name
        request.node.user_properties += [(FIGURES, found)]
        if long:
            about = {
                "command": f"tox -e faults -- --long -k {request.node.originalname}",
                "date": datetime.now(timezone.utc).date().isoformat(),
                "python": platform.python_version(),
                "sqlite": sqlite3.sqlite_version,
                "cores": os.cpu_count(),
            }
            RESULTS.mkdir(exist_ok=True)
            text = json.dumps({"about": about, "figures": found}, indent=1)
            (RESULTS / f"{name}.json").write_text(text + "\n")

    return say
