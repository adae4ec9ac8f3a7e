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

Make = Callable[[], BaseMetadataStore]


class TestStandIn(StoreContract):
    """A store in a cluster holds to the contract."""

    @pytest.fixture(scope="class")
    def of_class(
        self, tmp_path_factory: pytest.TempPathFactory, mariadb: Server
    ) -> Iterator[places.Places]:
        """A cluster with one server."""
        world = StandInWorld(tmp_path_factory.mktemp("standin"))
        with places.of(world, mariadb) as made:
            yield made
        world.server.close()

    @pytest.fixture
    def make_store(self, of_class: places.Places, request: pytest.FixtureRequest) -> Make:
        """Another database each time, emptied where it was used before."""
        anew = places.is_about_nothing(request)
        return lambda: of_class.open(anew=anew)


class TestRealServer(StoreContract):
    """A store in a cluster holds to the contract, asked through a real API server."""

    @pytest.fixture(scope="class")
    def of_class(
        self, tmp_path_factory: pytest.TempPathFactory, mariadb: Server
    ) -> Iterator[places.Places]:
        """A cluster with one server."""
        folder: Path = tmp_path_factory.mktemp("real")
        with places.of(real_world(folder), mariadb) as made:
            yield made

    @pytest.fixture
    def make_store(self, of_class: places.Places, request: pytest.FixtureRequest) -> Make:
        """Another database each time, emptied where it was used before."""
        anew = places.is_about_nothing(request)
        return lambda: of_class.open(anew=anew)
