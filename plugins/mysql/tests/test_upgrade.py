"""Stores of older schemas: refused with the command that upgrades them, as ml-metadata would."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ml_metadata", reason="without ml-metadata nothing makes an older store")
if not (Path(__file__).parents[2] / "sqlite" / "tests" / "mlmd").is_dir():
    pytest.skip("the tests of the sqlite flavor are not beside these", allow_module_level=True)
sys.path.insert(0, str(Path(__file__).parents[3]))

from plugins.sqlite.tests import mlmd
from plugins.sqlite.tests.helpers import listing

from metastore import BusyError, DamagedStoreError, SchemaVersionError, Store
from metastore.sql import upgrading
from metastore_flavor_mysql import MySQLConfig, MySQLMetadataStore

from .servers import Server
from .test_mlmd import connection, record

VERSIONS = range(2, 10)
Make = Callable[..., MySQLConfig]


@pytest.fixture
def older(mariadb: Server) -> Make:
    """A database of an older schema, which ml-metadata itself made and brought down."""

    def make(version: int, write: Callable[[Any], None] = mlmd.write_kubeflow) -> MySQLConfig:
        from ml_metadata.metadata_store.metadata_store import downgrade_schema

        config = mariadb.config(mariadb.new_database("CHARACTER SET utf8mb4"))
        write(connection(config))
        downgrade_schema(connection(config), version)
        return config

    return make


def _copy(server: Server, config: MySQLConfig) -> MySQLConfig:
    """Another database with the same tables and rows."""
    copy = server.config(server.new_database("CHARACTER SET utf8mb4"))
    for name in _tables(server, config):
        source = f"`{config.database}`.`{name}`"
        server.run(f"CREATE TABLE `{name}` LIKE {source}", database=copy.database)
        server.run(f"INSERT INTO `{name}` SELECT * FROM {source}", database=copy.database)
    return copy


def _tables(server: Server, config: MySQLConfig) -> list[str]:
    return [name for (name,) in server.run("SHOW TABLES", database=config.database)]


def _listing(config: MySQLConfig) -> dict[str, Any]:
    with closing(MySQLMetadataStore.open(config, mode="r")) as store:
        return listing(store)


@pytest.mark.slow
@pytest.mark.parametrize("version", VERSIONS)
def test_each_version(mariadb: Server, older: Make, version: int) -> None:
    """Refused with the command to run; upgraded by us and by ml-metadata it lists the same."""
    config = older(version)
    theirs = _copy(mariadb, config)
    for mode in ("r", "rw"):
        with pytest.raises(SchemaVersionError, match="metastore upgrade mysql://") as raised:
            MySQLMetadataStore.open(config, mode=mode)
        assert raised.value.found == version
    done = MySQLMetadataStore.upgrade(config)
    assert done is not None
    assert (done.before, done.now, done.backup) == (version, 10, None)

    from ml_metadata.metadata_store.metadata_store import MetadataStore

    MetadataStore(connection(theirs), enable_upgrade_migration=True)
    assert _listing(config) == _listing(theirs)
    assert mlmd.snapshot(connection(config)) == mlmd.snapshot(connection(theirs))
    assert MySQLMetadataStore.upgrade(config) is None
    with closing(MySQLMetadataStore.open(config)) as base:
        record(Store(base), "plain")
    assert mlmd.snapshot(connection(config))["executions"]


class _KilledError(BaseException):
    """As if the process ended here."""


@pytest.mark.slow
def test_interrupted_anywhere(
    mariadb: Server, older: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Interrupted behind any of its steps, an upgrade goes on when it is begun again."""
    config = older(4)
    whole = _copy(mariadb, config)
    assert MySQLMetadataStore.upgrade(whole) is not None
    expected = _listing(whole)
    steps = ("_create", "_add_column", "_create_unique_key", "_write_missing_types")
    made = [0]
    left = [1]

    def counting(step: Callable[..., None]) -> Callable[..., None]:
        def counted(*arguments: Any) -> None:
            step(*arguments)
            made[0] += 1
            left[0] -= 1
            if left[0] == 0:
                raise _KilledError

        return counted

    for name in steps:
        monkeypatch.setattr(upgrading, name, counting(getattr(upgrading, name)))
    interrupted = 0
    while True:
        left[0] = 1 + interrupted % 3
        try:
            done = MySQLMetadataStore.upgrade(config)
        except _KilledError:
            interrupted += 1
            with pytest.raises(SchemaVersionError):
                MySQLMetadataStore.open(config)
            continue
        break
    assert done is not None
    assert interrupted >= 5
    assert _listing(config) == expected


def test_repeated_events(mariadb: Server, older: Make) -> None:
    """Of an event that is there several times the last one stays."""
    config = older(6)
    [(artifact, execution, kind)] = mariadb.run(
        "SELECT artifact_id, execution_id, type FROM Event ORDER BY id LIMIT 1",
        database=config.database,
    )
    mariadb.run(
        "INSERT INTO Event (artifact_id, execution_id, type, milliseconds_since_epoch) VALUES "
        f"({artifact}, {execution}, {kind}, 99)",
        database=config.database,
    )
    assert MySQLMetadataStore.upgrade(config) is not None
    times = [event[3] for event in _listing(config)["events"] if event[:2] == (artifact, execution)]
    assert 99 in times


def test_one_at_a_time(mariadb: Server, older: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """While one upgrade is at it, another one is refused."""
    config = older(8)
    refused = []
    make = upgrading._write_missing_types

    def meanwhile(*arguments: Any) -> None:
        hasty = config.model_copy(update={"busy_timeout": 0.0})
        with pytest.raises(BusyError, match="another program is upgrading"):
            MySQLMetadataStore.upgrade(hasty)
        refused.append(True)
        make(*arguments)

    monkeypatch.setattr(upgrading, "_write_missing_types", meanwhile)
    assert MySQLMetadataStore.upgrade(config) is not None
    assert refused == [True]


def test_half_made(mariadb: Server, older: Make) -> None:
    """An older store that lacks what its version has is damaged, and nothing is made of it."""
    config = older(6)
    mariadb.run("DROP TABLE EventPath", database=config.database)
    before = _tables(mariadb, config)
    with pytest.raises(DamagedStoreError, match="lacks EventPath"):
        MySQLMetadataStore.upgrade(config)
    assert _tables(mariadb, config) == before
