"""`ClusterConfig`: which cluster is meant, and as whom."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from metastore.plugins._config import FlavorConfig

__all__ = ["ClusterConfig"]


class ClusterConfig(FlavorConfig):
    """The settings of a flavor in a cluster; a flavor derives its own from it and adds some.

    Tokens and certificates are no settings: they stay where kubectl has them.
    """

    kubeconfig: Path | None = Field(
        default=None,
        description="The kubeconfig; without it what KUBECONFIG names, inside a pod its service "
        "account, else ~/.kube/config.",
    )
    context: str | None = Field(
        default=None, min_length=1, description="The context in it; the current one by default."
    )
    namespace: str | None = Field(
        default=None,
        # What may stand in a path of the API, and nothing else (RFC 1123, label).
        pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$",
        description="The namespace; by default the context's, inside a pod the pod's.",
    )
    connect_timeout: float = Field(
        default=10.0,
        gt=0,
        le=3600,
        allow_inf_nan=False,
        description="Seconds that the API server has for an answer.",
    )
