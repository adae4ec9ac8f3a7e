"""The conformance kit, on each kind of server."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from metastore import BaseMetadataStore
from metastore.testing import StoreContract
from metastore_flavor_mysql import MySQLMetadataStore

from .places import Places
from .servers import Cluster, Server


class TestMariaDB(StoreContract):
    """A database of a MariaDB server holds to the contract."""

    @pytest.fixture
    def make_store(self, mariadb: Server) -> Iterator[Callable[[], BaseMetadataStore]]:
        """Another database each time, emptied where it was used before."""
        with Places.of(mariadb) as places:
            yield lambda: MySQLMetadataStore.open(places.config())


class TestMySQL(StoreContract):
    """A database of a server of Oracle's MySQL holds to the contract."""

    @pytest.fixture
    def make_store(self, mysql9: Server) -> Iterator[Callable[[], BaseMetadataStore]]:
        """Another database each time, emptied where it was used before."""
        with Places.of(mysql9) as places:
            yield lambda: MySQLMetadataStore.open(places.config())


class TestGalera(StoreContract):
    """A database of a Galera cluster holds to the contract, through its host list."""

    @pytest.fixture
    def make_store(self, galera: Cluster) -> Iterator[Callable[[], BaseMetadataStore]]:
        """Another database each time, emptied where it was used before."""
        with Places.of(galera.nodes[0]) as places:
            yield lambda: MySQLMetadataStore.open(places.config(host=galera.hosts, port=None))
