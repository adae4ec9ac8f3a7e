"""`Cluster`: requests to an API server, and the pods behind a service."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar
from urllib.parse import quote, urlencode

from metastore.errors import NotFoundError, Offender, StoreNotFoundError
from metastore.forks import carrying, keep_for_ever, watch_forks
from metastore.kube import access as _access
from metastore.kube.access import Access
from metastore.kube.failures import (
    Call,
    CutError,
    UnauthorizedError,
    UnreachableError,
    not_an_api,
    refusal,
    unreachable,
)
from metastore.kube.pods import is_ready, no_ready_pod, pod_port, selector_of, target_port

if TYPE_CHECKING:
    from metastore.kube.config import ClusterConfig

__all__ = ["Cluster", "Target"]

T = TypeVar("T")


class Target(NamedTuple):
    """A port of a pod that is ready."""

    namespace: str
    pod: str
    port: int

    def __str__(self) -> str:
        return f"port {self.port} of pod {self.pod!r} in namespace {self.namespace!r}"


class Cluster:
    """A cluster, as one of its users sees it; made by `Cluster.load`.

    Threads may share it.  Forked children too: each makes connections of its own.  Credentials are
    read again when the API server no longer accepts them, so tokens that rotate, programs of the
    kubeconfig that give them (``exec``), and a cluster that was made anew, need no restart.
    """

    def __init__(self, config: ClusterConfig) -> None:
        self.config = config
        self._lock = threading.Lock()
        self._current: Access | None = None
        self._last: Access | None = None
        """The last one that was read: names and places, even if it can no longer be used."""
        watch_forks(self)

    @classmethod
    def load(cls, config: ClusterConfig) -> Cluster:
        """The cluster that a config means; nothing is sent to it yet.

        A kubeconfig or context that the config or KUBECONFIG names comes first, then the service
        account of the pod that this process runs in, then ``~/.kube/config``.

        Raises
        ------
        OpenError
            There is no configuration, it is broken, or its program for credentials gave none.
        InvalidError
            It has no such context.
        FlavorError
            The extra ``metastore-core[kube]`` is not installed.
        """
        cluster = cls(config)
        cluster._access()
        return cluster

    @property
    def namespace(self) -> str:
        """The one of the config, else of the context or the pod, else ``default``."""
        return self._known().namespace

    @property
    def context(self) -> str | None:
        """The context of the kubeconfig; None in a pod."""
        return self._known().context

    @property
    def in_cluster(self) -> bool:
        """Whether the configuration is that of the pod we run in."""
        return self._known().context is None

    @property
    def location(self) -> str:
        """The API server and who is meant there, for people: without secrets."""
        current = self._known()
        return f"{current.server} ({current.context or 'in cluster'})"

    def __repr__(self) -> str:
        return f"<Cluster {self.location}>"

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str | int | bool] | None = None,
        body: object = None,
        content_type: str = "application/json",
        timeout: float | None = None,
    ) -> dict[str, Any]:
        """What the API server answers, as JSON; for a call that has no answer an empty dict.

        Parameters
        ----------
        method
            ``GET``, ``POST``, ``PUT``, ``PATCH`` or ``DELETE``.
        path
            As the API writes it, such as ``/api/v1/namespaces/ml/services/db``.
        query
            What stands behind the question mark, such as ``{"labelSelector": "app=db"}``.
        body
            What is sent as JSON.
        content_type
            For PATCH, such as ``application/apply-patch+yaml`` or ``application/merge-patch+json``.
        timeout
            Seconds until the answer begins; by default the config's ``connect_timeout``.

        Raises
        ------
        NotFoundError, AlreadyExistsError, ConflictError, InvalidError
            404, 409 (the reason tells which), 400 and 422.
        BusyError
            429, 503, 504: the server asks to come later.
        OpenError
            401, after the credentials were read again; 403, with the rule that a role lacks; a
            certificate that cannot be trusted; an answer that is not of an API server.
        StorageError
            Any other status, and no answer: refused, cut, or none in time.
        """
        if query:
            # As the API reads them: true, not True.
            texts = {
                key: json.dumps(value) if isinstance(value, bool) else value
                for key, value in query.items()
            }
            path = f"{path}?{urlencode(texts)}"
        seconds = self.config.connect_timeout if timeout is None else timeout

        def send(current: Access) -> dict[str, Any]:
            return _send(current, method.upper(), path, body, content_type, seconds)

        try:
            return self.using(send)
        except CutError:
            # A connection that was kept for later may have ended in the very moment of its use.
            if method.upper() != "GET":
                raise
            return self.using(send)

    def ready_pod(
        self,
        namespace: str | None = None,
        *,
        service: str | None = None,
        selector: str | None = None,
    ) -> str:
        """The name of a pod that is Ready, and not about to go, of a service or of a selector.

        Raises
        ------
        StoreNotFoundError
            There is no such service.
        OpenError
            The service has no selector; or as `request`.
        StorageError
            There is no pod, or none that is ready: the message has its reason, such as
            ``ImagePullBackOff``.
        """
        namespace = namespace or self.namespace
        if service is not None:
            selector = selector_of(self.service(service, namespace), namespace)
        return str(self._ready(namespace, selector, service)[0]["metadata"]["name"])

    def service(self, name: str, namespace: str | None = None) -> dict[str, Any]:
        """A service.

        Raises
        ------
        StoreNotFoundError
            There is none of that name; and as `request`.
        """
        namespace = namespace or self.namespace
        try:
            return self.request("GET", f"/api/v1/namespaces/{namespace}/services/{quote(name)}")
        except NotFoundError as error:
            raise StoreNotFoundError(
                f"there is no service {name!r} in namespace {namespace!r} of {self.location}",
                hint="check namespace and context",
                offender=Offender("service", name=name),
            ) from error

    def targets(
        self, namespace: str, service: str | None, selector: str | None, port: int | str
    ) -> list[Target]:
        """Where a port of a service, or of the pods of a selector, leads now: to each ready pod.

        Raises
        ------
        InvalidError
            There is no such port.
        MetastoreError
            As `ready_pod`.
        """
        if service is not None:
            found = self.service(service, namespace)
            selector = selector_of(found, namespace)
            port = target_port(found, port, namespace)
        return [
            Target(namespace, each["metadata"]["name"], pod_port(each, port))
            for each in self._ready(namespace, selector, service)
        ]

    def _ready(
        self, namespace: str, selector: str | None, service: str | None
    ) -> list[dict[str, Any]]:
        query = {"labelSelector": selector} if selector else None
        pods = self.request("GET", f"/api/v1/namespaces/{namespace}/pods", query=query)["items"]
        ready = [each for each in pods if is_ready(each)]
        if not ready:
            whose = f"the service {service!r}" if service else f"the selector {selector!r}"
            raise no_ready_pod(pods, whose, namespace)
        return ready

    def using(self, call: Callable[[Access], T]) -> T:
        """Do something with the configuration, and with a new reading of it where that is due."""
        current = self._access()
        try:
            with carrying():
                return call(current)
        except UnauthorizedError:
            current = self._access(instead_of=current)
            with carrying():
                return call(current)
        except UnreachableError:
            # The next call may find another server: clusters on a laptop come and go.
            self._forget(current)
            raise

    def _known(self) -> Access:
        return self._last or self._access()

    def _access(self, instead_of: Access | None = None) -> Access:
        with self._lock:
            current = self._current
            if current is None or current is instead_of or current.is_over:
                # Many threads may ask at once; one of them reads, and runs a program for it.
                current = self._current = self._last = _access.load(self.config)
            return current

    def _forget(self, current: Access) -> None:
        with self._lock:
            if self._current is current:
                self._current = None

    def close(self) -> None:
        """Let go of the connections that are kept for later; what is asked then makes new ones."""
        with self._lock:
            last, self._current = self._last, None
        if last is not None:
            last.close()

    def leave_parent(self) -> None:
        """In a forked child, where another thread of the parent's may have held the lock."""
        # Its connections are the parent's.
        keep_for_ever((self._current, self._last))
        self._lock = threading.Lock()
        self._current = None


def _send(
    current: Access, method: str, path: str, body: object, content_type: str, timeout: float
) -> dict[str, Any]:
    from kubernetes.client.exceptions import ApiException

    call = Call(method, path.partition("?")[0], current.server)
    headers = {**current.headers(), "Accept": "application/json", "Content-Type": content_type}
    status: int
    try:
        # A pair: client 35 takes a single float for no timeout at all.
        answer = current.client().request(
            method,
            current.configuration.host + path,
            headers=headers,
            body=body,
            _request_timeout=(timeout, timeout),
        )
        # Client 35 has read it and raises for a refusal; later ones do neither.
        status = answer.status
        text = answer.data if answer.data is not None else answer.read()
    except ApiException as error:
        if not error.status:
            raise unreachable(error, current.server, timeout) from error
        status, text = error.status, error.body
    # urllib3's, the socket's, TLS's: each has its own root.
    except Exception as error:
        raise unreachable(error, current.server, timeout) from error
    if not 200 <= status <= 299:
        raise refusal(status, text, call)
    if not text:
        return {}
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise not_an_api(call, "an answer that is no JSON object")
    return found
