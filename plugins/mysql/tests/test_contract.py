"""The conformance kit, on each kind of server."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from metastore import BaseMetadataStore
from metastore.testing import StoreContract

from .places import Places
from .servers import Cluster, Server

Make = Callable[[], BaseMetadataStore]


class TestMariaDB(StoreContract):
    """A database of a MariaDB server holds to the contract."""

    @pytest.fixture
    def make_store(self, mariadb: Server, request: pytest.FixtureRequest) -> Iterator[Make]:
        """Another database each time, emptied where it was used before."""
        with Places.of(mariadb, request) as places:
            yield places.open


class TestMySQL(StoreContract):
    """A database of a server of Oracle's MySQL holds to the contract."""

    @pytest.fixture
    def make_store(self, mysql9: Server, request: pytest.FixtureRequest) -> Iterator[Make]:
        """Another database each time, emptied where it was used before."""
        with Places.of(mysql9, request) as places:
            yield places.open


class TestGalera(StoreContract):
    """A database of a Galera cluster holds to the contract, through its host list."""

    @pytest.fixture
    def make_store(self, galera: Cluster, request: pytest.FixtureRequest) -> Iterator[Make]:
        """Another database each time, emptied where it was used before."""
        with Places.of(galera.nodes[0], request) as places:
            yield lambda: places.open(host=galera.hosts, port=None)
