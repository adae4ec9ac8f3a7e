"""The plugin module: what core reads before it needs the flavor.  Imports no gRPC, no protobuf."""

from __future__ import annotations

from metastore import Capabilities, Command, Flavor, hookimpl
from metastore_flavor_kubeflow.availability import check_available

CAPABILITIES = Capabilities(
    # Types, parent contexts: docs/flavors/kubeflow.md.
    atomic_batch="nodes",
    given_times=False,
    exact_doubles=False,
    native_filter=True,
)
"""Of every server; one that keeps doubles exactly says so when a store is opened."""


@hookimpl
def metastore_flavor() -> Flavor:
    """Describe the flavor; raises `FlavorError` where ml-metadata is not installed."""
    check_available()
    return Flavor(
        name="kubeflow",
        summary="The metadata service of Kubeflow Pipelines (up to 2.18); serves any store as one",
        config="metastore_flavor_kubeflow.config:KubeflowConfig",
        store="metastore_flavor_kubeflow.store:KubeflowMetadataStore",
        capabilities=CAPABILITIES,
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
