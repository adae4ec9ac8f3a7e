"""The `kubernetes` flavor of metastore: a shared store on a MySQL in a cluster."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from metastore_flavor_kubernetes.config import KubernetesConfig
    from metastore_flavor_kubernetes.store import KubernetesMetadataStore

__all__ = ["KubernetesConfig", "KubernetesMetadataStore"]


def __getattr__(name: str) -> object:
    # Lazily: the plugin module is imported to list flavors, and must load no client and no driver.
    if name == "KubernetesConfig":
        from metastore_flavor_kubernetes.config import KubernetesConfig

        return KubernetesConfig
    if name == "KubernetesMetadataStore":
        from metastore_flavor_kubernetes.store import KubernetesMetadataStore

        return KubernetesMetadataStore
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
