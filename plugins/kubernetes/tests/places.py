"""Stores of the kit: databases on the one server of a cluster, used again once they are empty."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import pytest
from core.kube_tests.worlds import World
from plugins.mysql.tests.places import empty
from plugins.mysql.tests.servers import Server

from metastore import NodeKind, TypeQuery
from metastore_flavor_kubernetes import KubernetesConfig, KubernetesMetadataStore
from metastore_flavor_kubernetes._rights import role

from .controllers import Controllers

__all__ = ["Places", "of"]

NAME = "kit"
_REPLACED_AFTER = 25
"""Stores that are opened before the pod is replaced by another one, and again after it."""


class Places:
    """Stores in one cluster whose pod is replaced every now and then, while they are open."""

    def __init__(
        self, config: Callable[..., KubernetesConfig], controllers: Controllers, server: Server
    ) -> None:
        self.replaced = 0
        self._config = config
        self._controllers = controllers
        self._server = server
        self._numbers = count(1)
        self._opened = 0
        self._free: list[str] = []
        self._made: list[tuple[str, KubernetesMetadataStore]] = []

    def open(self, *, anew: bool) -> KubernetesMetadataStore:
        """A store that is new, or as good as new."""
        self._take_back()
        database = self._free.pop() if self._free and not anew else f"kit_{next(self._numbers)}"
        self._server.run(f"CREATE DATABASE IF NOT EXISTS {database}")
        store = KubernetesMetadataStore.open(self._config(database=database))
        self._made.append((database, store))
        self._opened += 1
        if self._opened % _REPLACED_AFTER == 0:
            # The store is open, and its connections are to the pod that goes.
            self._controllers.replace(f"{NAME}-0")
            self.replaced += 1
            # What is tried again finds the other pod; a bare transaction would not be.
            store.read_types(TypeQuery(NodeKind.CONTEXT))
        return store

    def _take_back(self) -> None:
        for database, store in list(self._made):
            if store._closed:
                self._made.remove((database, store))
                empty(self._server, database)
                self._free.append(database)


@contextmanager
def of(world: World, server: Server) -> Iterator[Places]:
    """Bring the server of the kit's stores up, as the user with the page's Role."""
    namespace = world.make_namespace(role(KubernetesConfig(name=NAME)))
    kubeconfig = world.kubeconfig()

    def config(**fields: Any) -> KubernetesConfig:
        given = {"kubeconfig": kubeconfig, "namespace": namespace, "name": NAME}
        return KubernetesConfig(**{**given, "connect_timeout": 30.0, **fields})

    with Controllers(world, namespace, lambda _: server) as controllers:
        controllers.more.append(r"GRANT ALL ON `kit\_%`.* TO {user}@'%'")
        KubernetesMetadataStore.provision(config())
        controllers.rest()
        yield Places(config, controllers, server)


def is_about_nothing(request: pytest.FixtureRequest) -> bool:
    """Whether a test is about where there is no store: emptied tables are one."""
    return bool(request.node.originalname == "test_reading_creates_nothing")
