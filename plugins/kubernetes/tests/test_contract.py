"""The conformance kit through a forwarded port, whose pod is replaced in the middle."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from core.kube_tests.worlds import StandInWorld, real_world
from plugins.mysql.tests.servers import Server

from metastore import BaseMetadataStore
from metastore.testing import StoreContract

from . import places

# It takes minutes.
pytestmark = pytest.mark.slow

Make = Callable[[], BaseMetadataStore]


@pytest.fixture(scope="module")
def on_standin(
    tmp_path_factory: pytest.TempPathFactory, mariadb: Server
) -> Iterator[places.Places]:
    """A cluster with one server."""
    world = StandInWorld(tmp_path_factory.mktemp("standin"))
    with places.of(world, mariadb) as made:
        yield made
    world.server.close()


@pytest.fixture(scope="module")
def on_real(tmp_path_factory: pytest.TempPathFactory, mariadb: Server) -> Iterator[places.Places]:
    """The same on a real API server."""
    folder: Path = tmp_path_factory.mktemp("real")
    with places.of(real_world(folder), mariadb) as made:
        yield made


class TestStandIn(StoreContract):
    """A store in a cluster holds to the contract."""

    @pytest.fixture
    def make_store(self, on_standin: places.Places, request: pytest.FixtureRequest) -> Make:
        """Another database each time, emptied where it was used before."""
        anew = places.is_about_nothing(request)
        return lambda: on_standin.open(anew=anew)


class TestRealServer(StoreContract):
    """A store in a cluster holds to the contract, asked through a real API server."""

    @pytest.fixture
    def make_store(self, on_real: places.Places, request: pytest.FixtureRequest) -> Make:
        """Another database each time, emptied where it was used before."""
        anew = places.is_about_nothing(request)
        return lambda: on_real.open(anew=anew)
