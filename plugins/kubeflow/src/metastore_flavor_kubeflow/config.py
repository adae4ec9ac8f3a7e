"""The settings of a Kubeflow store."""

from __future__ import annotations

from pydantic import Field

from metastore import FlavorConfig

__all__ = ["KubeflowConfig"]


class KubeflowConfig(FlavorConfig):
    """Where the metadata service is."""

    host: str = Field(description="The host of the metadata service.")
    port: int = Field(default=8080, ge=1, le=65535, description="Its port.")
