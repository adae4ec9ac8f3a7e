"""The database behind a service of a cluster."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, TypeVar

from metastore import (
    InvalidError,
    MetastoreError,
    NotFoundError,
    Offender,
    OpenError,
    Secret,
    StoreNotFoundError,
)
from metastore.kube import Cluster, PortForward
from metastore_flavor_kubernetes._secrets import read_secret, value_of
from metastore_flavor_kubernetes.config import PORT, KubernetesConfig
from metastore_flavor_mysql import MySQLConfig
from metastore_flavor_mysql.extending import Connector, Host, MySQLDatabase

if TYPE_CHECKING:
    import pymysql

__all__ = ["KubernetesDatabase"]

T = TypeVar("T")

_UP = "'metastore store up' brings it up; or correct namespace, name and context"


class KubernetesDatabase(MySQLDatabase):
    """As MySQL's; each connection goes through a port of this machine, or to the service's name.

    The port is this object's own, and ends with it.  Which pod is behind it is asked for each
    connection, so that one that is replaced is a lost connection and no more.
    """

    def __init__(self, config: KubernetesConfig, *, location: str) -> None:
        self._cluster = cluster = _told(location, lambda: Cluster.load(config))
        self.place: Hashable
        """What two stores have in common only if they are over the same data."""
        self._forward: PortForward | None = None
        namespace = config.namespace or _told(location, lambda: cluster.namespace)
        user, password, self.place = _told(location, lambda: _login(config, cluster, namespace))
        if _goes_by_name(config, cluster):
            host = f"{config.name}.{namespace}.svc"
        else:
            host = PortForward.host
            self._forward = PortForward(
                cluster, service=config.name, namespace=namespace, port=PORT
            )
        # A tunnel of the API server's is encrypted already.
        tls = None if self._forward is None else False
        self.settings = config.mysql(host, user, password, tls=tls)
        """What the store behind it is opened with."""
        try:
            super().__init__(self.settings, location=location)
        except BaseException:
            if self._forward is not None:
                self._forward.close()
            raise

    def new_connector(self, config: MySQLConfig, location: str) -> Connector:
        """One that goes through the port, where there is one."""
        if self._forward is None:
            return Connector(config, location)
        return _ForwardedConnector(config, location, self._forward)

    def close(self) -> None:
        """Close the connections, the port, and what is kept to the API server."""
        super().close()
        if self._forward is not None:
            self._forward.close()
        self._cluster.close()


class _ForwardedConnector(Connector):
    """Goes through a forwarded port, and knows what stands in the way there."""

    def __init__(self, config: MySQLConfig, location: str, forward: PortForward) -> None:
        super().__init__(config, location)
        self._forward = forward

    def address(self, host: Host) -> tuple[str, int]:  # noqa: ARG002 - there is one
        """The port; in a forked child it is another one."""
        return self._forward.host, self._forward.port

    def unreachable(self, error: pymysql.MySQLError, host: Host) -> MetastoreError:
        """What the cluster says, where it says anything: the driver sees a connection end."""
        said = self._forward.error
        if said is None:
            return super().unreachable(error, host)
        if isinstance(said, StoreNotFoundError) and not self.opened:
            return StoreNotFoundError(said.message, hint=_UP, offender=said.offender)
        offender = Offender("store", name=self.location)
        return self.kind(said.message, hint=said.hint, offender=offender)


def _goes_by_name(config: KubernetesConfig, cluster: Cluster) -> bool:
    if config.connection == "auto":
        return cluster.in_cluster
    return config.connection == "service"


def _login(
    config: KubernetesConfig, cluster: Cluster, namespace: str
) -> tuple[str, Secret, Hashable]:
    """Who logs in, with what, and what tells the store from others."""
    if config.user is not None and config.password is not None:
        way = cluster.location, namespace, config.name, config.database
        return config.user, config.password, way
    try:
        found = read_secret(cluster, namespace, config.secret_name)
    except NotFoundError as error:
        raise StoreNotFoundError(
            f"there is no store {config.name!r} in namespace {namespace!r} of {cluster.location}:"
            f" the secret {config.secret_name!r} with its passwords is not there",
            hint=_UP,
            offender=Offender("secret", name=config.secret_name),
        ) from error
    # It is made once for the data, and never changed.
    place = found["metadata"].get("uid"), config.database
    return value_of(found, "username"), Secret(value_of(found, "password")), place


def _told(location: str, ask: Callable[[], T]) -> T:
    """What is asked of the cluster, whose failure is one to open the store."""
    try:
        return ask()
    except (OpenError, InvalidError):
        raise
    except MetastoreError as error:
        raise OpenError(
            error.message, hint=error.hint, offender=Offender("store", name=location)
        ) from error
