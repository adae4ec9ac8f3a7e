"""`KubeflowMetadataStore`: what `connect("kubeflow://...")` comes to."""

from __future__ import annotations

from typing import Any, ClassVar, NoReturn

from metastore import BaseMetadataStore, Capabilities, CapabilityError, OpenMode

__all__ = ["KubeflowMetadataStore"]


class KubeflowMetadataStore(BaseMetadataStore):
    """A store behind Kubeflow's metadata service; this release serves, and opens none."""

    FLAVOR: ClassVar[str] = "kubeflow"
    CAPABILITIES: ClassVar[Capabilities] = Capabilities(
        atomic_batch="nodes", given_times=False, exact_doubles=False
    )

    @classmethod
    def open(cls, config: Any, *, mode: OpenMode = "rw", create: bool = True) -> NoReturn:  # noqa: ARG003 - core's signature
        """Raise: there is no client of the metadata service in this release.

        Raises
        ------
        CapabilityError
            Always.
        """
        raise CapabilityError(
            "this release of the flavor 'kubeflow' serves stores to ML Metadata's clients, and "
            "does not open a metadata service itself",
            hint="open the database behind the service with the flavor of that database",
        )

    def _unopened(self, *args: Any, **kwargs: Any) -> Any:
        # There is no instance that it could be asked of: `open` gives none.
        raise NotImplementedError

    close = transaction = read_types = read_nodes = read_events = read_links = _unopened
    location = property(_unopened)
