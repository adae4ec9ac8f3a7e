"""Servers, once for all pages; and for each a folder, and nobody's own settings."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

# What other tests start is started here, too.
sys.path.insert(0, str(Path(__file__).parents[1]))

from docs_tests.resources import Resources
from docs_tests.session import Session

_OF_PEOPLE = ("METASTORE_", "KUBE", "METADATA_", "XDG_", "PIP_")
"""How variables begin in which people keep settings."""


@pytest.fixture(scope="session")
def resources(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Resources]:
    """What pages need."""
    made = Resources(tmp_path_factory.mktemp("resources"))
    yield made
    made.close()


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    """A page in a folder of its own, which is the current one."""
    for name in list(os.environ):
        if name.startswith(_OF_PEOPLE) and not name.startswith("METASTORE_TEST_"):
            monkeypatch.delenv(name)
    folder = tmp_path / "folder"
    for each in (folder, tmp_path / "home"):
        each.mkdir()
    settings = {
        "HOME": str(tmp_path / "home"),
        "METASTORE_CONFIG": str(tmp_path / "home" / "config.toml"),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        # Wide enough for the widest table of a page.
        "COLUMNS": "160",
        # All that a page installs is installed; pip then says so, and asks no registry.
        "PIP_NO_INDEX": "1",
        "PIP_NO_BUILD_ISOLATION": "0",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_ROOT_USER_ACTION": "ignore",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(folder)
    with Session(folder, monkeypatch.setenv) as made:
        yield made
