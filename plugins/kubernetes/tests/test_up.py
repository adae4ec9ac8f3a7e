"""A store is brought up, used, taken down, and brought up again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from metastore import Batch, NodeKind, NodeQuery
from metastore_flavor_kubernetes import KubernetesConfig, KubernetesMetadataStore

from .controllers import Controllers

Make = Callable[..., KubernetesConfig]


def put(store: KubernetesMetadataStore, name: str) -> None:
    """Write a context."""
    batch = Batch()
    batch.type(NodeKind.CONTEXT, "T", can_omit_properties=True)
    batch.context("T", name=name)
    store.write(batch)


def names(store: KubernetesMetadataStore) -> list[str | None]:
    """The names of all contexts."""
    return [node.name for node in store.read_nodes(NodeQuery(NodeKind.CONTEXT))]


def test_up_write_down_up(controllers: Controllers, config: Make, open_store: Any) -> None:
    """What is written is there again after the store was taken down and brought up."""
    KubernetesMetadataStore.provision(config())
    store = open_store()
    put(store, "before")
    controllers.replace("db-0")
    assert names(store) == ["before"]
    store.close()
    assert KubernetesMetadataStore.is_running(config())
    KubernetesMetadataStore.deprovision(config())
    assert not KubernetesMetadataStore.is_provisioned(config())
    KubernetesMetadataStore.provision(config())
    assert names(open_store()) == ["before"]
