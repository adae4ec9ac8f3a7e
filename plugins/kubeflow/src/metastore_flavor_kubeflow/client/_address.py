"""Where the metadata service is: a host, the variables of a pod, or a forwarded port."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import grpc

from metastore import InvalidError, MetastoreError, Offender, OpenError, StoreNotFoundError
from metastore_flavor_kubeflow.client._channel import Channel
from metastore_flavor_kubeflow.config import KubeflowConfig

if TYPE_CHECKING:
    from metastore.kube import PortForward

__all__ = ["Address", "address_in_pod", "connect", "message_bytes_in_pod"]

_PORT = 8080
_NAMESPACE = "kubeflow"
_LINK = "METADATA_GRPC_SERVICE_PORT"
_MESSAGE_SIZE = "METADATA_GRPC_MESSAGE_SIZE"
_IN_POD = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")

_GONE = (
    "releases of Kubeflow Pipelines after 2.18 keep no ML Metadata and have no such service: their "
    "history is in Kubeflow Pipelines' own database"
)


class Address:
    """What gRPC connects to, and the name that a certificate must have there."""

    def __init__(self, host: str, port: int, *, tls: bool = False, ca: Path | None = None) -> None:
        self.host = host
        self.port = port
        self.tls = tls
        self.ca = ca

    @property
    def target(self) -> str:
        """As gRPC writes it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def connect(config: KubeflowConfig, location: str, stack: ExitStack) -> Channel:
    """A channel to the service that a config means; what it needs is left open in the stack.

    Raises
    ------
    StoreNotFoundError
        The cluster has no such service.
    OpenError
        Its port cannot be forwarded, or a file of TLS cannot be read.
    """
    address, server_name, why = _address(config, stack)
    most = message_bytes_in_pod(config, os.environ) if _finds_in_pod(config) else None
    message_bytes = most or config.max_message_bytes
    tls = config.wants_tls or (config.tls is None and address.tls)
    options: list[tuple[str, Any]] = [
        ("grpc.max_send_message_length", message_bytes),
        ("grpc.max_receive_message_length", message_bytes),
        # Stores of one process have connections of their own, and close them.
        ("grpc.use_local_subchannel_pool", 1),
        # Kubeflow's sidecars and proxies are meant for HTTP, a forwarded port for none of them.
        ("grpc.enable_http_proxy", 0),
        # A server that was restarted is looked for again soon: the pauses are ours.
        ("grpc.initial_reconnect_backoff_ms", 200),
        ("grpc.min_reconnect_backoff_ms", 200),
        ("grpc.max_reconnect_backoff_ms", 2000),
    ]
    if tls:
        name = config.tls_server_name or server_name
        if name is not None:
            options.append(("grpc.ssl_target_name_override", name))
        channel = grpc.secure_channel(address.target, _credentials(config, address), options)
    else:
        channel = grpc.insecure_channel(address.target, options)
    return Channel(
        channel,
        location,
        timeout=config.timeout,
        retry_timeout=config.retry_timeout,
        why=why,
    )


def _address(
    config: KubeflowConfig, stack: ExitStack
) -> tuple[Address, str | None, Callable[[], MetastoreError | None]]:
    if config.host is not None:
        return Address(config.host, config.port or _PORT), None, _nothing
    if _finds_in_pod(config):
        return address_in_pod(config, os.environ), None, _nothing
    forward = _forwarded(config)
    stack.enter_context(forward)
    namespace = config.namespace or _NAMESPACE
    name = f"{config.service}.{namespace}.svc.cluster.local"
    return Address(forward.host, forward.port), name, lambda: forward.error


def _nothing() -> None:
    return None


def _finds_in_pod(config: KubeflowConfig) -> bool:
    """Whether the service is that of the cluster that this process runs in."""
    given = (config.host, config.context, config.kubeconfig)
    return all(each is None for each in given) and _is_in_pod()


def _is_in_pod() -> bool:
    return "KUBERNETES_SERVICE_HOST" in os.environ or _IN_POD.exists()


def address_in_pod(config: KubeflowConfig, environment: Mapping[str, str]) -> Address:
    """Where the service is, by what Kubeflow Pipelines and Kubernetes tell a pod.

    Kubeflow Pipelines gives ``METADATA_GRPC_SERVICE_HOST`` and ``_PORT`` to the pods of steps.  In
    the namespace of the service Kubernetes adds links to services of its own making, in which
    ``METADATA_GRPC_SERVICE_PORT`` is a URL such as ``tcp://10.0.0.7:8080``, and the host may stand
    in ``METADATA_GRPC_SERVICE_SERVICE_HOST``, or nowhere else but in that URL.
    """
    tls = environment.get("METADATA_TLS_ENABLED", "").strip().lower() in ("1", "true", "yes")
    ca = environment.get("CA_CERT_PATH", "").strip() if tls else ""
    ca_file = Path(ca) if ca else None
    if config.namespace is not None or config.service != "metadata-grpc-service":
        # Said by people: the variables are those of this pod's namespace.
        host = f"{config.service}.{config.namespace or _namespace_of_pod(environment)}"
        return Address(host, config.port or _PORT, tls=tls, ca=ca_file)
    link_host, link_port = _of_link(environment.get(_LINK, "").strip())
    host = (
        environment.get("METADATA_GRPC_SERVICE_HOST", "").strip()
        or environment.get("METADATA_GRPC_SERVICE_SERVICE_HOST", "").strip()
        or link_host
        or f"{config.service}.{_namespace_of_pod(environment)}"
    )
    port = config.port or link_port
    if port is None:
        name = "METADATA_GRPC_SERVICE_SERVICE_PORT"
        port = _port(environment.get(name, "").strip(), name) or _PORT
    return Address(host, port, tls=tls, ca=ca_file)


def _of_link(text: str) -> tuple[str | None, int | None]:
    """Host and port of the variable that may be a port, or the URL of one."""
    if "://" not in text:
        return None, _port(text, _LINK)
    try:
        parts = urlsplit(text)
        return parts.hostname, parts.port
    except ValueError:
        raise _no_port(text, _LINK) from None


def _port(text: str, name: str) -> int | None:
    if not text:
        return None
    if text.isascii() and text.isdecimal() and 0 < int(text) < 65536:
        return int(text)
    raise _no_port(text, name)


def _no_port(text: str, name: str) -> InvalidError:
    return InvalidError(
        f"the variable {name} is {text!r}, and no port",
        hint="correct it, or give host and port of the metadata service in the store's URL",
        offender=Offender("store", property="port"),
    )


def message_bytes_in_pod(config: KubeflowConfig, environment: Mapping[str, str]) -> int:
    """How large a message may be: the setting's, else what Kubeflow's own client goes by."""
    text = environment.get(_MESSAGE_SIZE, "").strip()
    if not text or "max_message_bytes" in config.model_fields_set:
        return config.max_message_bytes
    if text.isascii() and text.isdecimal() and 1024 <= int(text) < 2**31:
        return int(text)
    raise InvalidError(
        f"the variable {_MESSAGE_SIZE} is {text!r}, and no number of bytes from 1024 to 2^31 - 1",
        hint="correct it, or set max_message_bytes",
        offender=Offender("store", property="max_message_bytes"),
    )


def _namespace_of_pod(environment: Mapping[str, str]) -> str:
    """Multi-user Kubeflow has one service for all profiles, in its own namespace."""
    return environment.get("POD_NAMESPACE", "").strip() or _NAMESPACE


def _forwarded(config: KubeflowConfig) -> PortForward:
    """A port of this machine that is forwarded to the service."""
    # The client of Kubernetes takes its time, and a host needs none.
    from metastore.kube import Cluster, PortForward

    forward = PortForward(
        Cluster.load(config),
        service=config.service,
        namespace=config.namespace or _NAMESPACE,
        port=config.port or _PORT,
    )
    try:
        forward.check()
    except StoreNotFoundError as error:
        forward.close()
        raise StoreNotFoundError(
            error.message, hint=f"correct the namespace; {_GONE}", offender=error.offender
        ) from error
    except BaseException:
        forward.close()
        raise
    return forward


def _credentials(config: KubeflowConfig, address: Address) -> grpc.ChannelCredentials:
    ca = config.tls_ca or address.ca
    return grpc.ssl_channel_credentials(
        None if ca is None else _read(ca, "CA"),
        None if config.tls_key is None else _read(config.tls_key, "key"),
        None if config.tls_cert is None else _read(config.tls_cert, "certificate"),
    )


def _read(path: Path, what: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise OpenError(
            f"the file of the {what}, {path}, cannot be read: {error.strerror}",
            hint="correct the path, or its rights",
            offender=Offender("file", name=str(path)),
        ) from error
