"""The toolkit for flavors whose backend stands in a Kubernetes cluster.

A flavor's config has the fields of `ClusterConfig`; its store asks the cluster, and reaches what
runs in it, through a port of this machine::

    cluster = Cluster.load(config)
    with PortForward(cluster, service="metadata-grpc-service", port=8080) as forward:
        channel = grpc.insecure_channel(f"{forward.host}:{forward.port}")

Every connection to that port goes to a pod that is ready when it is made: pods may be replaced,
tokens expire and connections drop, the port stays.  ``docs/kube.md`` says what it survives, which
rights it needs, and who may use the port.

Needs the extra ``metastore-core[kube]``; importing this package, or the config, imports none of it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from metastore.kube.cluster import Cluster as Cluster
    from metastore.kube.config import ClusterConfig as ClusterConfig
    from metastore.kube.portforward import PortForward as PortForward

_HOMES = {
    "cluster": "Cluster",
    "config": "ClusterConfig",
    "portforward": "PortForward",
}
_HOME = {name: home for home, names in _HOMES.items() for name in names.split()}

__all__ = sorted(_HOME)  # noqa: PLE0605 - it is a list, and cannot differ from the table


def __getattr__(name: str) -> object:
    # Lazily: a flavor's config is imported to show its settings, and needs no client.
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value
