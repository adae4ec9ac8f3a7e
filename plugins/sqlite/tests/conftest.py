"""For all tests: nobody's own stores and settings are in reach."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(autouse=True, scope="session")
def _nobodys_settings(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Other processes that a test starts get the same environment."""
    for name in [name for name in os.environ if name.startswith("METASTORE_")]:
        if not name.startswith("METASTORE_TEST_"):
            del os.environ[name]
    config: Path = tmp_path_factory.mktemp("config") / "config.toml"
    os.environ["METASTORE_CONFIG"] = str(config)
