"""ML Metadata's own tests of its client, against `metastore serve` in front of a server."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("ml_metadata", reason="without ml-metadata there is no client to be served")
if not (Path(__file__).parents[2] / "kubeflow" / "tests" / "served.py").is_file():
    pytest.skip("the tests of the kubeflow flavor are not beside these", allow_module_level=True)
sys.path.insert(0, str(Path(__file__).parents[3]))

from plugins.kubeflow.tests.served import serving
from plugins.kubeflow.tests.test_client_suite import check_suite

from metastore_flavor_mysql import MySQLMetadataStore

from .servers import Cluster, Server

if TYPE_CHECKING:
    from metastore_flavor_mysql import MySQLConfig


@pytest.mark.slow
def test_the_suite_on_mariadb(
    mariadb: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The suite of the wheel scores over a MariaDB server what it scores over its own engine."""
    _check(mariadb.config(), tmp_path, monkeypatch)


@pytest.mark.slow
def test_the_suite_on_galera(
    galera: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And over a node of a Galera cluster."""
    _check(galera.config(), tmp_path, monkeypatch)


def _check(config: MySQLConfig, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert config.password is not None
    monkeypatch.setenv("TEST_PASSWORD", config.password.reveal())
    with serving(f"{config.location('mysql')}?password=env:TEST_PASSWORD", folder=folder) as served:
        check_suite(served.port, folder)
    with closing(MySQLMetadataStore.open(config, mode="r")):
        pass
