"""`PortForward`: a port of this machine that leads to a pod's."""

from __future__ import annotations

import random
import selectors
import socket
import threading
import time
import weakref
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from metastore.errors import (
    BusyError,
    ClosedError,
    ForkError,
    MetastoreError,
    NotFoundError,
    OpenError,
    StorageError,
)
from metastore.forks import watch_forks
from metastore.kube.failures import UnreachableError
from metastore.kube.pump import pump
from metastore.kube.tunnel import Tunnel, open_tunnel

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from metastore.kube.cluster import Cluster

__all__ = ["PortForward"]

HOST = "127.0.0.1"
_TRIES = 3
_GOODBYE = 2.0
"""Seconds that closing waits for connections to end; threads that are late end by themselves."""


class PortForward:
    """A port of this machine, each connection to which goes to a pod that is ready just then.

    Parameters
    ----------
    cluster
        Where the pods are.
    port
        A port of the service, by number or name; without a service one of the pods.
    service
        The service whose pods are meant; or
    selector
        the labels that they have, such as ``"app=db"``.
    namespace
        Theirs; by default the cluster's.
    local_port
        The port of this machine; 0, the default, takes a free one.

    It listens on 127.0.0.1 from the moment it is made until it is closed, whatever happens in the
    cluster meanwhile, and knows nothing of what it carries: a connection that breaks is broken for
    both sides, and whoever uses the port connects again.  The port is open to every user of this
    machine.

    A forked child gets a port of its own when it first asks for `port`; with a fixed `local_port`
    it gets `ForkError` there.  Connections stay with the parent.

    Raises
    ------
    OpenError
        The local port is taken.
    """

    host = HOST

    def __init__(
        self,
        cluster: Cluster,
        *,
        port: int | str,
        service: str | None = None,
        selector: str | None = None,
        namespace: str | None = None,
        local_port: int = 0,
    ) -> None:
        if (service is None) == (selector is None):
            raise TypeError("PortForward needs a service or a selector, and not both")
        self.cluster = cluster
        self.service = service
        self.selector = selector
        self.namespace = namespace or cluster.namespace
        self.remote_port = port
        self._local_port = local_port
        self._lock = threading.Lock()
        self._closed = False
        self._listener: _Listener | None = self._listen()
        watch_forks(self)

    @property
    def port(self) -> int:
        """The port of this machine, to which this process may connect.

        Raises
        ------
        ClosedError
            The port-forward was closed.
        ForkError
            This is a forked child, and the port is the parent's.
        OpenError
            A forked child finds no free port.
        """
        with self._lock:
            if self._closed:
                raise ClosedError(f"{self} was closed")
            if self._listener is None:
                if self._local_port:
                    raise ForkError(
                        f"port {self._local_port} of {self} belongs to the parent process",
                        hint="leave local_port out, and each process has a port of its own",
                    )
                self._listener = self._listen()
            return self._listener.port

    @property
    def error(self) -> MetastoreError | None:
        """What was wrong with the last connection; None if a pod answered, or nobody connected.

        What a client sees of such a connection is only that it ends; a flavor raises its own error
        with this as the cause.  It is set before the client's connection is closed.
        """
        listener = self._listener
        return None if listener is None else listener.error

    def check(self, *, patience: float = 1.0) -> None:
        """Make a connection, and say what is wrong if there is none.

        For when a store is opened: the port itself takes every connection, and ends those that
        lead nowhere.

        Parameters
        ----------
        patience
            Seconds in which the node may say that nothing answers in the pod.  A server that
            speaks first, as MySQL and gRPC do, ends them; silence is taken for a good sign.

        Raises
        ------
        StoreNotFoundError
            There is no such service.
        InvalidError
            It has no such port.
        OpenError, BusyError
            As `Cluster.request`.
        StorageError
            No pod is ready, nothing listens in it, or the API server cannot be reached.
        """
        tunnel = self._connect()
        try:
            _listen_to(tunnel, patience)
            failure = tunnel.failure()
            if failure is not None:
                raise failure
            tunnel.say_goodbye()
        finally:
            tunnel.close()

    def close(self) -> None:
        """End the connections and give the port back; closing twice is fine."""
        with self._lock:
            self._closed = True
            listener, self._listener = self._listener, None
        if listener is not None:
            listener.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __str__(self) -> str:
        whose = f"service {self.service!r}" if self.service else f"pods {self.selector!r}"
        return f"the port-forward to port {self.remote_port} of {whose} in {self.namespace!r}"

    def __repr__(self) -> str:
        listener = self._listener
        local = f"{HOST}:{listener.port}" if listener else "nowhere"
        return (
            f"<PortForward {local} to port {self.remote_port} of {self.service or self.selector}>"
        )

    def leave_parent(self) -> None:
        """In a forked child: the parent's port and connections are the parent's."""
        listener, self._listener = self._listener, None
        self._lock = threading.Lock()
        if listener is not None:
            listener.leave_parent()

    def _listen(self) -> _Listener:
        listener = _Listener(self._local_port, self._connector())
        # A port-forward that nobody holds any more ends.
        weakref.finalize(self, listener.stop).atexit = False
        return listener

    def _connect(self) -> Tunnel:
        return self._connector()()

    def _connector(self) -> Callable[[], Tunnel]:
        """What makes a tunnel; it does not hold on to this object."""
        cluster, namespace, port = self.cluster, self.namespace, self.remote_port
        service, selector = self.service, self.selector
        return lambda: _connect(cluster, namespace, service, selector, port)


def _connect(
    cluster: Cluster, namespace: str, service: str | None, selector: str | None, port: int | str
) -> Tunnel:
    """A tunnel to one of the pods that are ready now.

    Which ones are may change between asking and connecting, so it is asked again, a few times.
    """
    timeout = cluster.config.connect_timeout
    for attempt in range(1, _TRIES + 1):
        targets = cluster.targets(namespace, service, selector, port)
        target = random.choice(targets)
        try:
            return cluster.using(partial(open_tunnel, target=target, timeout=timeout))
        except (BusyError, NotFoundError, StorageError) as error:
            # Refused by all means at our disposal, or nobody there: that is what there is to say.
            if attempt == _TRIES or isinstance(error, UnreachableError):
                raise
            time.sleep(random.uniform(0.1, 0.2) * attempt)
    raise AssertionError("unreachable: the last try returns or raises")


def _listen_to(tunnel: Tunnel, patience: float) -> None:
    """Read until the pod, or the node, said something; at most for so many seconds."""
    deadline = time.monotonic() + patience
    with _new_selector() as selector:
        selector.register(tunnel, selectors.EVENT_READ)
        while not (tunnel.answered or tunnel.ended):
            left = deadline - time.monotonic()
            if not tunnel.pending and (left <= 0 or not selector.select(left)):
                return
            tunnel.receive()


def _new_selector() -> selectors.BaseSelector:
    """One that takes any descriptor, and needs none of its own."""
    kind: type[selectors.BaseSelector] = getattr(
        selectors, "PollSelector", selectors.DefaultSelector
    )
    return kind()


class _Listener:
    """The port and its threads, in one process: one that accepts, and one for each connection."""

    def __init__(self, local_port: int, connect: Callable[[], Tunnel]) -> None:
        self.error: MetastoreError | None = None
        self._connect = connect
        self._closing = False
        # Re-entrant: garbage may be collected, and stop us, while this very thread has it.
        self._lock = threading.RLock()
        self._clients: dict[socket.socket, threading.Thread] = {}
        self._tunnels: set[Tunnel] = set()
        try:
            self._socket = socket.create_server((HOST, local_port), backlog=128)
        except (OSError, OverflowError) as error:
            raise OpenError(
                f"port {local_port} of this machine cannot be listened on:"
                f" {getattr(error, 'strerror', None) or error}",
                hint="give another one, or none for a free one",
            ) from error
        self._socket.setblocking(False)
        self.port: int = self._socket.getsockname()[1]
        self._wake, self._woken = socket.socketpair()
        self._thread = threading.Thread(
            target=self._accept_all, name=f"metastore-forward-{self.port}", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """End it, and wait a little for its threads."""
        threads = self.stop()
        deadline = time.monotonic() + _GOODBYE
        for thread in threads:
            if thread is not threading.current_thread():
                thread.join(max(0.0, deadline - time.monotonic()))

    def stop(self) -> list[threading.Thread]:
        """Make its threads end, without waiting for them; which ones these are."""
        with self._lock:
            self._closing = True
            _shut(self._wake)
            for client in self._clients:
                _shut(client)
            return [self._thread, *self._clients.values()]

    def leave_parent(self) -> None:
        """In a forked child, which has none of the threads: close what it inherited, silently."""
        self._closing = True
        self._lock = threading.RLock()
        for each in (self._socket, self._wake, self._woken, *self._clients):
            each.close()
        for tunnel in self._tunnels:
            tunnel.close()

    def _accept_all(self) -> None:
        with self._socket, self._woken, self._wake, _new_selector() as selector:
            selector.register(self._socket, selectors.EVENT_READ)
            selector.register(self._woken, selectors.EVENT_READ)
            while True:
                selector.select()
                if self._closing:
                    # Closing alone would leave it open in a child that was forked just now.
                    _shut(self._socket)
                    return
                try:
                    client = self._socket.accept()[0]
                except (BlockingIOError, ConnectionError, InterruptedError):
                    continue
                except OSError as error:
                    # Too many open files, most likely: later there may be fewer.
                    self._fail(error)
                    self._pause(selector)
                    continue
                self._serve(client)

    def _pause(self, selector: selectors.BaseSelector) -> None:
        selector.unregister(self._socket)
        selector.select(0.2)
        selector.register(self._socket, selectors.EVENT_READ)

    def _fail(self, error: Exception) -> None:
        failure = StorageError(
            f"a connection to port {self.port} could not be taken: {error}",
            hint="the limit of open files or threads may be reached",
        )
        failure.__cause__ = error
        self.error = failure

    def _serve(self, client: socket.socket) -> None:
        thread = threading.Thread(
            target=self._carry, args=(client,), name=f"{self._thread.name}-client", daemon=True
        )
        with self._lock:
            if self._closing:
                client.close()
                return
            self._clients[client] = thread
        try:
            thread.start()
        except RuntimeError as error:
            self._fail(error)
            self._drop(client)

    def _carry(self, client: socket.socket) -> None:
        tunnel: Tunnel | None = None
        try:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            tunnel = self._connect()
            self._tunnels.add(tunnel)
            tunnel.on_answer = self._forget_error
            pump(client, tunnel, lambda: self._closing)
            self._note(tunnel.failure())
        except MetastoreError as error:
            self._note(error)
        except Exception as error:  # noqa: BLE001 - a thread has nobody else to tell
            self._note(_unexpected(error))
        finally:
            if tunnel is not None:
                self._tunnels.discard(tunnel)
                tunnel.close()
            self._drop(client)

    def _note(self, error: MetastoreError | None) -> None:
        if error is not None and not self._closing:
            self.error = error

    def _forget_error(self) -> None:
        self.error = None

    def _drop(self, client: socket.socket) -> None:
        """Close a client's socket such that it reads first what is still on its way."""
        with self._lock:
            self._clients.pop(client, None)
        try:
            client.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        client.close()


def _unexpected(error: Exception) -> MetastoreError:
    failure = StorageError(f"a port-forward failed unexpectedly: {type(error).__name__}: {error}")
    failure.__cause__ = error
    return failure


def _shut(sock: socket.socket) -> None:
    """Wake whoever waits for it."""
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
