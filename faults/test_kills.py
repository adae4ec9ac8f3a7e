"""Writers killed with SIGKILL at random moments: what was acknowledged is there, whole and once."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from plugins.mysql.tests import servers
from plugins.mysql.tests.servers import Server

import metastore
from faults.conftest import Figures
from faults.forking import Forks
from faults.killing import Campaign
from faults.stores import new_file, whole

_PER_STORE = 20
"""Kills on one file: it stays small enough to be looked at whole after each."""
_LONGEST = 0.03
"""Seconds from a writer's first batch to its death, at most: some ten batches."""


_FLAVORS = ("metastore_flavor_sqlite.store", "metastore_flavor_mysql.store")


@pytest.fixture(scope="module")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    """What starts writers of files."""
    folder = tmp_path_factory.mktemp("forks")
    with Forks.of(folder, "faults.writers", *_FLAVORS) as found:
        yield found


def _kill_writers(
    forks: Forks,
    folder: Path,
    chance: random.Random,
    journal: str,
    kills: int,
    wrong: str | None = None,
) -> Campaign:
    campaign = Campaign(forks, folder, chance, _LONGEST, wrong=wrong)
    while campaign.kills < kills:
        path = folder / f"{campaign.kills}.db"
        campaign.run(new_file(path, journal), min(_PER_STORE, kills - campaign.kills))
        whole(path)
        path.unlink()
    return campaign


@pytest.mark.parametrize("journal", ["wal", "delete"])
def test_kills_of_writers_of_a_file(
    journal: str,
    forks: Forks,
    tmp_path: Path,
    chance: random.Random,
    size: Callable[[int, int], int],
    figures: Figures,
) -> None:
    """After each kill every acknowledged batch is in the file, whole and once, and no part of
    another; at least three of ten kills fell inside an open transaction, its COMMIT included.
    """
    campaign = _kill_writers(forks, tmp_path, chance, journal, size(40, 1000))
    assert campaign.before_the_end >= 0.3 * campaign.kills, campaign.stages
    figures(**campaign.figures())


@pytest.mark.parametrize(("wrong", "said"), [("early", "lost"), ("two", "in part")])
@pytest.mark.parametrize("journal", ["wal", "delete"])
def test_a_wrong_writer_is_found_out(
    wrong: str, said: str, journal: str, forks: Forks, tmp_path: Path, chance: random.Random
) -> None:
    """A writer that acknowledges before it has written, or that writes a batch in two
    transactions, does not pass: the harness can fail.
    """
    with pytest.raises(AssertionError, match=said):
        _kill_writers(forks, tmp_path, chance, journal, 200, wrong=wrong)


def test_kills_of_writers_to_a_server(
    mariadb: Server,
    forks: Forks,
    tmp_path: Path,
    chance: random.Random,
    size: Callable[[int, int], int],
    figures: Figures,
) -> None:
    """The same holds of writers to MariaDB that are killed: a transaction ends with its client."""
    campaign = Campaign(forks, tmp_path, chance, _LONGEST)
    kills = size(20, 200)
    while campaign.kills < kills:
        url = _new_database(mariadb)
        campaign.run(url, min(_PER_STORE, kills - campaign.kills))
    assert campaign.before_the_end >= 0.3 * campaign.kills, campaign.stages
    figures(**campaign.figures())


def _new_database(server: Server) -> str:
    url = server.url(server.new_database())
    metastore.connect(url).close()
    return url


def test_kills_of_the_server(
    forks: Forks,
    tmp_path: Path,
    chance: random.Random,
    size: Callable[[int, int], int],
    figures: Figures,
) -> None:
    """A MariaDB server that is killed under three writers and started again has what it
    acknowledged, whole and once, and they go on without an error.
    """
    kills = size(2, 20)
    with servers.mariadb() as server:
        campaign = Campaign(forks, tmp_path, chance, _LONGEST)
        campaign.outlive(_new_database(server), server, kills)
    figures(**campaign.figures_of_servers())
