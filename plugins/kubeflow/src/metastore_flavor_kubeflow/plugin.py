"""The plugin module: what core reads before it needs the flavor.  Imports no gRPC, no protobuf."""

from __future__ import annotations

from metastore import Capabilities, Command, Flavor, hookimpl
from metastore_flavor_kubeflow.availability import check_available


@hookimpl
def metastore_flavor() -> Flavor:
    """Describe the flavor; raises `FlavorError` where ml-metadata is not installed."""
    check_available()
    return Flavor(
        name="kubeflow",
        summary="Serves any store to ML Metadata's clients: Kubeflow Pipelines, TFX, ml-metadata",
        config="metastore_flavor_kubeflow.config:KubeflowConfig",
        store="metastore_flavor_kubeflow.store:KubeflowMetadataStore",
        capabilities=Capabilities(atomic_batch="nodes", given_times=False, exact_doubles=False),
        interface_version=1,
    )


@hookimpl
def metastore_commands() -> list[Command]:
    """Add ``metastore serve``."""
    return [
        Command(
            "serve",
            "metastore_flavor_kubeflow.serving.command:serve",
            "Serve a store to ML Metadata's clients (Kubeflow, TFX).",
        )
    ]
