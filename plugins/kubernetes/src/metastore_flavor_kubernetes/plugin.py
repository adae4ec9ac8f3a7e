"""The plugin module: what core reads before it needs the store.  Imports no client, no driver."""

from __future__ import annotations

from metastore import Capabilities, Flavor, hookimpl


@hookimpl
def metastore_flavor() -> Flavor:
    """Describe the flavor."""
    return Flavor(
        name="kubernetes",
        summary="A shared store on a MySQL or MariaDB that it brings up in a Kubernetes cluster",
        config="metastore_flavor_kubernetes.config:KubernetesConfig",
        store="metastore_flavor_kubernetes.store:KubernetesMetadataStore",
        capabilities=Capabilities(native_filter=True, snapshot=True, delete=True, provision=True),
        interface_version=1,
        secret_schemes=("k8s",),
    )


@hookimpl
def metastore_resolve_secret(scheme: str, reference: str) -> str | None:
    """The secret that ``k8s:namespace/secret/key`` stands for."""
    if scheme != "k8s":
        return None
    from metastore_flavor_kubernetes._secrets import resolve

    return resolve(reference)
