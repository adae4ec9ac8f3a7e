"""`KubernetesMetadataStore`."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from metastore import BaseMetadataStore, Capabilities, OpenError, StoreNotFoundError
from metastore.errors import StorageError
from metastore.sql import EngineConfig, EngineDatabase
from metastore_flavor_kubernetes import _service
from metastore_flavor_kubernetes._database import KubernetesDatabase
from metastore_flavor_kubernetes._files import files_of
from metastore_flavor_kubernetes._manifest import SERVICE
from metastore_flavor_kubernetes._state import describe
from metastore_flavor_kubernetes.config import KubernetesConfig
from metastore_flavor_mysql import MySQLMetadataStore

__all__ = ["KubernetesMetadataStore"]

_PAUSE = 0.5


class KubernetesMetadataStore(MySQLMetadataStore):
    """A store on a MySQL or MariaDB in a Kubernetes cluster, which it brings up there.

    Inside the cluster it is reached by its service's name, from outside through a forwarded port,
    with the password of the secret that was made with it.  In all else it is a store of the mysql
    flavor.
    """

    FLAVOR: ClassVar[str] = "kubernetes"
    CAPABILITIES: ClassVar[Capabilities] = Capabilities(
        native_filter=True, snapshot=True, delete=True, provision=True
    )
    CONFIG: ClassVar[type[Any] | None] = KubernetesConfig
    DATABASE: ClassVar[type[EngineDatabase]] = KubernetesDatabase

    @classmethod
    def prepare(cls, database: EngineDatabase, config: EngineConfig, *, creating: bool) -> None:  # noqa: ARG003 - what it comes to, the database knows
        """Make the tables where they may be made, check them, and learn what they take."""
        assert isinstance(database, KubernetesDatabase)
        super().prepare(database, database.settings, creating=creating)

    def is_same(self, other: BaseMetadataStore) -> bool:
        """Whether both are over the same data, by whatever way to the cluster."""
        if not isinstance(other, KubernetesMetadataStore):
            return False
        ours, theirs = self._database, other._database
        assert isinstance(ours, KubernetesDatabase)
        assert isinstance(theirs, KubernetesDatabase)
        return ours.place == theirs.place

    # The service.

    @classmethod
    def provision(cls, config: KubernetesConfig) -> None:
        """Make what is missing in the cluster, change what differs, and wait until it answers.

        An empty database becomes a store.  See `docs/flavors/kubernetes.md`; passwords are made
        once, and never changed.

        Raises
        ------
        OpenError
            A right, the namespace, or the secret of data that are there is missing; nothing was
            changed.
        AlreadyExistsError, InvalidError
            Something else has the name, or the data are another server's; nothing was changed.
        StorageError
            The cluster refuses something, or the pod does not become ready within
            `KubernetesConfig.start_timeout` seconds; the message has its reason.
        """
        _service.bring_up(config)
        deadline = time.monotonic() + config.connect_timeout
        while True:
            try:
                cls.open(config).close()
                return
            except (OpenError, StorageError):
                # Of a pod that is ready just now, not everybody has heard.
                if time.monotonic() + _PAUSE > deadline:
                    raise
            time.sleep(_PAUSE)

    @classmethod
    def deprovision(cls, config: KubernetesConfig, *, delete_data: bool = False) -> None:
        """Delete the service; its volume and its passwords stay, unless `delete_data`.

        Raises
        ------
        OpenError
            A right is missing; nothing was changed.
        AlreadyExistsError
            Something of that name is not the store's; nothing was changed.
        """
        _service.take_down(config, delete_data=delete_data)

    @classmethod
    def suspend(cls, config: KubernetesConfig) -> None:
        """Let the pod end, and everything else stay; `resume` starts it again."""
        _service.suspend(config)

    @classmethod
    def is_provisioned(cls, config: KubernetesConfig) -> bool:
        """Whether the service is there."""
        # Of all that is made, what whoever uses the store may see.
        return _service.objects_of(config).read(SERVICE) is not None

    @classmethod
    def is_running(cls, config: KubernetesConfig) -> bool:
        """Whether a pod of it is ready."""
        objects = _service.objects_of(config)
        try:
            objects.cluster.ready_pod(objects.namespace, service=config.name)
        except (StoreNotFoundError, StorageError):
            return False
        return True

    @classmethod
    def manifest(cls, config: KubernetesConfig) -> Mapping[str, str]:
        """YAML files of all that is made, with placeholders for the passwords."""
        return files_of(config)

    @classmethod
    def describe_service(cls, config: KubernetesConfig) -> Sequence[tuple[str, str]]:
        """A line for each object, what differs included, and one for the pod."""
        return describe(_service.objects_of(config))
