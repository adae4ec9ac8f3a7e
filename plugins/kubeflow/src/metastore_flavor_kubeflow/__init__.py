"""The `kubeflow` flavor: ML Metadata's service as a store, and any store served as one."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from metastore_flavor_kubeflow.config import KubeflowConfig
    from metastore_flavor_kubeflow.store import KubeflowMetadataStore

__all__ = ["KubeflowConfig", "KubeflowMetadataStore"]


def __getattr__(name: str) -> object:
    # Lazily: the plugin module is imported to list flavors, and must not load gRPC.
    if name == "KubeflowConfig":
        from metastore_flavor_kubeflow.config import KubeflowConfig

        return KubeflowConfig
    if name == "KubeflowMetadataStore":
        from metastore_flavor_kubeflow.store import KubeflowMetadataStore

        return KubeflowMetadataStore
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
