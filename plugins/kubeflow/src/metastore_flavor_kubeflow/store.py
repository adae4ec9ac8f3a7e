"""`KubeflowMetadataStore`: what `connect("kubeflow://...")` comes to."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from typing import Any, ClassVar

from metastore import (
    BaseMetadataStore,
    Batch,
    Capabilities,
    CapabilityError,
    Event,
    EventQuery,
    Link,
    LinkQuery,
    NodeQuery,
    OpenMode,
    ReadOnlyError,
    Type,
    TypeQuery,
    WrittenBatch,
)
from metastore.base import Transaction
from metastore.model import AnyNode
from metastore_flavor_kubeflow.client._address import connect
from metastore_flavor_kubeflow.client._channel import Channel
from metastore_flavor_kubeflow.client._edges import Edges
from metastore_flavor_kubeflow.client._nodes import Nodes
from metastore_flavor_kubeflow.client._service import Service
from metastore_flavor_kubeflow.client._types import Types
from metastore_flavor_kubeflow.client._writer import Writer
from metastore_flavor_kubeflow.config import KubeflowConfig
from metastore_flavor_kubeflow.plugin import CAPABILITIES

__all__ = ["KubeflowMetadataStore"]


class KubeflowMetadataStore(BaseMetadataStore):
    """A store behind a metadata service: Kubeflow Pipelines' (up to 2.18), or `metastore serve`.

    The service checks and stores; it has no transaction that spans two calls, so that `write` is a
    plan of ours and as few calls as the protocol allows (docs/flavors/kubeflow.md).
    """

    FLAVOR: ClassVar[str] = "kubeflow"
    CAPABILITIES: ClassVar[Capabilities] = CAPABILITIES
    CONFIG: ClassVar[type[Any] | None] = KubeflowConfig

    def __init__(
        self, config: KubeflowConfig, service: Service, stack: ExitStack, *, mode: OpenMode
    ) -> None:
        self._config = config
        self._service = service
        self._channel: Channel = service.channel
        self._stack = stack
        self._mode = mode
        types, edges = Types(service), Edges(service)
        nodes = Nodes(service, types, edges)
        self._types, self._edges, self._nodes = types, edges, nodes
        self._writer = Writer(service, nodes, types, edges)
        if service.has_exact_doubles:
            # Of this store, whose server is known; the class speaks of all.
            self.CAPABILITIES = replace(CAPABILITIES, exact_doubles=True)  # type: ignore[misc]

    def __repr__(self) -> str:
        return f"<KubeflowMetadataStore {self.location}>"

    @classmethod
    def open(
        cls,
        config: KubeflowConfig,
        *,
        mode: OpenMode = "rw",
        create: bool = True,  # noqa: ARG003 - there is nothing that a client could create
    ) -> KubeflowMetadataStore:
        """Connect to the service.

        Raises
        ------
        StoreNotFoundError
            The cluster has no such service: releases of Kubeflow Pipelines after 2.18 have none.
        NotAStoreError
            Something else answers.
        OpenError, StorageError
            Nothing does; or a file of TLS cannot be read.
        """
        with ExitStack() as stack:
            channel = connect(config, config.location(cls.FLAVOR), stack)
            stack.callback(channel.close)
            service = Service(channel)
            service.greet(config.connect_timeout)
            return cls(config, service, stack.pop_all(), mode=mode)

    def close(self) -> None:
        """Close the connection, and the forwarded port with it."""
        self._stack.close()

    @property
    def location(self) -> str:
        """The store's URL."""
        return self._channel.location

    def is_same(self, other: BaseMetadataStore) -> bool:
        """Whether the other one is of the same service, by the same way."""
        return isinstance(other, KubeflowMetadataStore) and (
            other is self or other._config == self._config
        )

    def transaction(self) -> AbstractContextManager[Transaction]:
        """Raise: the protocol has no transaction that a client could hold open.

        Raises
        ------
        CapabilityError
            Always, where nothing else is wrong.
        """
        self._check_writable()
        raise CapabilityError(
            f"flavor {self.FLAVOR!r} has no transaction: each call to a metadata service is one",
            hint="use write",
        )

    def write(self, batch: Batch) -> WrittenBatch:
        """Write the batch, as far as the protocol allows in one call.

        Types are written before and parent links behind the rest; so are contexts and links that
        PutLineageSubgraph, which links all with all, cannot take along.
        """
        self._check_writable()
        return self._writer.write(batch)

    def _check_writable(self) -> None:
        self._channel.check()
        if self._mode == "r":
            raise ReadOnlyError(
                f"the store {self.location} is open for reading only",
                hint="open it with mode='rw'",
            )

    def read_types(self, query: TypeQuery) -> list[Type]:
        """The types that the query asks for."""
        self._channel.check()
        return self._types.read(query)

    def read_nodes(self, query: NodeQuery) -> Sequence[AnyNode]:
        """One page of the nodes that the query asks for, its filter included."""
        self._channel.check()
        return self._nodes.read(query, self)

    def count(self, query: NodeQuery) -> int:
        """How many nodes the query asks for: the protocol counts nothing, so they are all read."""
        self._channel.check()
        return self._nodes.count(query, self)

    def read_events(self, query: EventQuery) -> list[Event]:
        """The events that the query asks for."""
        self._channel.check()
        return self._edges.events(query)

    def read_links(self, query: LinkQuery) -> list[Link]:
        """The links that the query asks for."""
        self._channel.check()
        return self._edges.links(query)
