"""How a cluster is reached, and as whom: by a kubeconfig, or from the pod we run in."""

from __future__ import annotations

import importlib
import logging
import os
import ssl
import threading
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from metastore.errors import FlavorError, OpenError
from metastore.forks import carrying
from metastore.kube import kubeconfig
from metastore.kube.failures import one_line
from metastore.kube.kubeconfig import Found

if TYPE_CHECKING:
    from metastore.kube.config import ClusterConfig

__all__ = ["Access", "load"]

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where a pod finds token, certificate and namespace."""
_IDLE = 20.0
"""Seconds after which a connection to the API server is given up."""
_EARLY = timedelta(seconds=10)
"""How long before their end credentials are replaced; some live for a minute only."""


class Access:
    """One reading of the configuration; another one is made when this one fails."""

    def __init__(self, found: Found) -> None:
        from kubernetes.client import ApiClient

        configuration = found.configuration
        # Ours to decide: the client would try three times more, each with the whole timeout.
        configuration.retries = False
        self.configuration = configuration
        self.namespace = found.namespace
        self.context = found.context
        self._expires = found.expires
        self._used = time.monotonic()
        self.pid = os.getpid()
        parts = urlsplit(configuration.host)
        # Without user and password, which may stand in front of the host.
        self.server = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
        self._lock = threading.Lock()
        with carrying():
            self._rest: Any = ApiClient(configuration).rest_client
            self.tls = self._new_tls() if parts.scheme == "https" else None
        """Whom we trust, and our certificate, for connections that the client does not make."""

    @property
    def is_over(self) -> bool:
        """Whether another reading is due: in another process, or when the credentials expire."""
        return self.pid != os.getpid() or (
            self._expires is not None and self._expires - _EARLY <= datetime.now(timezone.utc)
        )

    def client(self) -> Any:
        """The REST client; connections that were idle for long are not used again.

        Load balancers forget those without a word, and a request on one would wait in vain.
        """
        with self._lock:
            now = time.monotonic()
            if now - self._used > _IDLE:
                self._rest.pool_manager.clear()
            self._used = now
        return self._rest

    def close(self) -> None:
        """Close the connections that are kept for later; a parent's are left alone."""
        if self.pid == os.getpid():
            self._rest.pool_manager.clear()

    def headers(self) -> dict[str, str]:
        """Who asks; a token that the client knows to have expired is replaced first."""
        # The client's own refreshing is not made for several threads.
        with self._lock:
            found = self.configuration.auth_settings()
        value = next((each["value"] for each in found.values() if each.get("value")), None)
        return {"User-Agent": "metastore", **({"Authorization": value.strip()} if value else {})}

    def _new_tls(self) -> ssl.SSLContext:
        # Made at once, not when it is needed: so a bad certificate is an error of the opening.
        given = self.configuration
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        tls.check_hostname = given.verify_ssl and given.assert_hostname is not False
        tls.verify_mode = ssl.CERT_REQUIRED if given.verify_ssl else ssl.CERT_NONE
        data = getattr(given, "ca_cert_data", None)
        try:
            if given.ssl_ca_cert or data:
                tls.load_verify_locations(given.ssl_ca_cert, cadata=data)
            else:
                tls.load_default_certs()
            if given.cert_file:
                tls.load_cert_chain(given.cert_file, given.key_file)
        except (OSError, ValueError):
            raise OpenError(
                "a certificate or key of the kubeconfig cannot be read",
                hint="check certificate-authority, client-certificate and client-key",
            ) from None
        return tls


def load(config: ClusterConfig) -> Access:
    """Read the configuration that is meant.

    Raises
    ------
    OpenError
        There is none, or it is broken.
    InvalidError
        It has no such context.
    FlavorError
        The extra is not installed.
    """
    try:
        importlib.import_module("kubernetes.client")
        importlib.import_module("websocket")
    except ImportError as error:
        raise FlavorError(
            f"a store in a cluster needs a package that is not here: {error.name}",
            hint="pip install 'metastore-core[kube]'",
        ) from error
    # Client 35 writes each answer to it, at level DEBUG: secrets included.
    logging.getLogger("kubernetes.client.rest").addFilter(_is_no_answer)
    explicit = config.kubeconfig or config.context or os.environ.get("KUBECONFIG")
    if not explicit and is_in_cluster():
        return Access(_of_service_account(config))
    return Access(kubeconfig.read(config))


def _is_no_answer(record: logging.LogRecord) -> bool:
    return record.levelno > logging.DEBUG


def is_in_cluster() -> bool:
    """Whether this process runs in a pod that has a service account's token."""
    return bool(os.environ.get("KUBERNETES_SERVICE_HOST")) and (SERVICE_ACCOUNT / "token").exists()


def _of_service_account(config: ClusterConfig) -> Found:
    from kubernetes.client import Configuration
    from kubernetes.config import ConfigException
    from kubernetes.config.incluster_config import InClusterConfigLoader

    configuration = type.__call__(Configuration)
    try:
        InClusterConfigLoader(
            token_filename=str(SERVICE_ACCOUNT / "token"),
            cert_filename=str(SERVICE_ACCOUNT / "ca.crt"),
            environ=os.environ,
        ).load_and_set(configuration)
    except (ConfigException, OSError, ValueError) as error:
        # The client's texts about a service account quote nothing of it.
        raise OpenError(
            f"the service account of this pod cannot be used: {one_line(str(error))}",
            hint=f"check KUBERNETES_SERVICE_HOST, KUBERNETES_SERVICE_PORT and {SERVICE_ACCOUNT}",
        ) from error
    namespace = config.namespace
    if namespace is None:
        try:
            namespace = (SERVICE_ACCOUNT / "namespace").read_text().strip()
        except OSError:
            namespace = "default"
    return Found(configuration, namespace, None)
