"""The WebSocket of one forwarded connection: opened with a time limit, then never waited for."""

from __future__ import annotations

import socket
import ssl
import struct
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from metastore.errors import StorageError
from metastore.kube.access import Access
from metastore.kube.cluster import Target
from metastore.kube.failures import Call, not_an_api, one_line, refusal, unreachable
from metastore.kube.frames import CLOSE, DATA, ERROR, PING, Frames, ProtocolError

__all__ = ["Tunnel", "open_tunnel"]

PROTOCOL = "v4.channel.k8s.io"
CHUNK = 64 * 1024
LIMIT = 256 * 1024
"""Bytes that wait for the API server at most, and as many for the client."""
_LONGEST_ERROR = 4096
_BINARY, _CLOSE, _PING, _PONG = 0x2, 0x8, 0x9, 0xA


class Tunnel:
    """One connection to a pod's port; its socket does not block, and one thread uses it."""

    def __init__(self, sock: socket.socket, target: Target) -> None:
        self.target = target
        self.answered = False
        """Whether the pod sent anything."""
        self.ended = False
        """Whether nothing more will come."""
        self.cut = ""
        """Why it ended, where that was no proper end."""
        self.on_answer: Callable[[], None] | None = None
        """Called with the first bytes of the pod."""
        self.wants_read = False
        """Whether TLS must read before it can write."""
        self._said_goodbye = False
        self._socket = sock
        self._frames = Frames()
        self._unsent = bytearray()
        self._error = bytearray()
        sock.setblocking(False)

    def fileno(self) -> int:
        """For who waits for it."""
        return self._socket.fileno()

    @property
    def unsent(self) -> int:
        """Bytes that wait to be sent."""
        return len(self._unsent)

    @property
    def pending(self) -> bool:
        """Whether TLS holds bytes that the system says nothing of."""
        return isinstance(self._socket, ssl.SSLSocket) and self._socket.pending() > 0

    def failure(self) -> StorageError | None:
        """What the node, or the network, has to say against it."""
        if self._error:
            said = one_line(self._error.decode(errors="replace"))
            refused = "refused" in said.lower()
            return StorageError(
                f"nothing answers at {self.target}: {said}",
                hint="the server in the pod does not listen there (yet)"
                if refused
                else "kubectl describe pod, and its log, may say more",
            )
        if self.cut:
            return StorageError(
                f"the port-forward to {self.target} ended: {self.cut}",
                hint="connect again; the pod may have been replaced",
            )
        return None

    def put(self, data: bytes) -> None:
        """Bytes for the pod; `flush` sends them."""
        self._put(_BINARY, bytes([DATA]) + data)

    def ping(self) -> None:
        """A sign of life, for load balancers and proxies that end what is silent.

        The node's own limit is for silent connections too, and takes no notice of it: there only
        the client's traffic helps.
        """
        self._put(_PING, b"")

    def flush(self) -> int:
        """Send what can be sent now; how many bytes that was."""
        sent = 0
        self.wants_read = False
        try:
            while self._unsent:
                now = self._socket.send(memoryview(self._unsent)[:CHUNK])
                del self._unsent[:now]
                sent += now
        except ssl.SSLWantReadError:
            self.wants_read = True
        except (BlockingIOError, InterruptedError, ssl.SSLWantWriteError):
            pass
        except OSError as error:
            self._unsent.clear()
            self._end(error.strerror or "connection lost")
        return sent

    def receive(self) -> bytes:
        """What came in from the pod; empty where that is nothing yet, or `ended`."""
        try:
            data = self._socket.recv(CHUNK)
        except (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return b""
        except OSError as error:
            self._end(error.strerror or "connection lost")
            return b""
        if not data:
            self._end("the API server closed the connection")
            return b""
        arrived = bytearray()
        try:
            for kind, piece in self._frames.feed(data):
                if kind == DATA:
                    arrived += piece
                elif kind == ERROR:
                    self._error += piece[: _LONGEST_ERROR - len(self._error)]
                elif kind == PING:
                    # Nobody who does not read us may fill our memory with pings.
                    if len(self._unsent) < LIMIT:
                        self._put(_PONG, piece)
                elif kind == CLOSE:
                    self._end("")
        except ProtocolError as error:
            self._end(f"the API server broke the protocol, {error}")
        if self._error:
            self.ended = True
        if arrived and not self.answered:
            self.answered = True
            if self.on_answer is not None:
                self.on_answer()
        return bytes(arrived)

    def say_goodbye(self) -> None:
        """Tell the other side, once; its answer sets `ended`."""
        if not self.ended and not self._said_goodbye:
            self._said_goodbye = True
            self._put(_CLOSE, struct.pack("!H", 1000))
            self.flush()

    def close(self) -> None:
        """Let go of the socket."""
        try:
            self._socket.close()
        except OSError:
            pass

    def _end(self, cut: str) -> None:
        if not self.ended:
            self.ended, self.cut = True, cut

    def _put(self, opcode: int, data: bytes) -> None:
        from websocket import ABNF

        # Masked, as everything from a client.
        self._unsent += ABNF.create_frame(data, opcode).format()


def open_tunnel(access: Access, target: Target, timeout: float) -> Tunnel:
    """Open a WebSocket to a pod's port.

    Raises
    ------
    NotFoundError
        The pod is gone.
    MetastoreError
        As `Cluster.request`.
    """
    import websocket

    path = f"/api/v1/namespaces/{quote(target.namespace)}/pods/{quote(target.pod)}/portforward"
    call = Call("GET", path, access.server)
    host: str = access.configuration.host
    # http becomes ws, https wss.
    url = f"ws{host.removeprefix('http')}{path}?ports={target.port}"
    headers = {**access.headers(), "Sec-WebSocket-Protocol": PROTOCOL}
    connection = websocket.WebSocket(sslopt=_tls_options(access))
    try:
        connection.connect(
            url,
            header=[f"{name}: {value}" for name, value in headers.items()],
            timeout=timeout,
            suppress_origin=True,
            # The client follows none either; a token must not go elsewhere.
            redirect_limit=0,
            **_proxy_options(access),
        )
    except websocket.WebSocketBadStatusException as error:
        raise refusal(error.status_code, _body(error), call) from None
    except websocket.WebSocketException as error:
        if "Redirect" in str(error) or "Invalid WebSocket Header" in str(error):
            raise not_an_api(call, "no WebSocket") from None
        raise unreachable(error, access.server, timeout) from error
    # The socket's, TLS's, a proxy's: each has its own root.
    except Exception as error:
        raise unreachable(error, access.server, timeout) from error
    found = (connection.getheaders() or {}).get("sec-websocket-protocol")
    sock = connection.sock
    if found != PROTOCOL or sock is None:
        connection.shutdown()
        raise not_an_api(call, "another protocol than was asked for")
    # From here on the socket is ours: the library would wait where we must not.
    connection.sock = None
    connection.connected = False
    return Tunnel(sock, target)


def _tls_options(access: Access) -> dict[str, Any]:
    context = access.tls
    if context is None:
        return {}
    # Said again, because the library sets them on the context that it is given.
    options = {
        "context": context,
        "cert_reqs": context.verify_mode,
        "check_hostname": context.check_hostname,
    }
    name = getattr(access.configuration, "tls_server_name", None)
    return {**options, "server_hostname": name} if name else options


def _proxy_options(access: Access) -> dict[str, Any]:
    """The proxy of the kubeconfig or the environment, in the library's words."""
    given = access.configuration
    unproxied = [each.strip() for each in (given.no_proxy or "").split(",") if each.strip()]
    if not given.proxy:
        return {}
    proxy = urlsplit(given.proxy)
    options: dict[str, Any] = {
        "http_proxy_host": proxy.hostname,
        "http_proxy_port": proxy.port or (1080 if proxy.scheme.startswith("socks") else 80),
        "proxy_type": proxy.scheme if proxy.scheme.startswith("socks") else "http",
        "http_no_proxy": unproxied or None,
    }
    if proxy.username:
        options["http_proxy_auth"] = (unquote(proxy.username), unquote(proxy.password or ""))
    return options


def _body(error: Any) -> bytes | str | None:
    """The answer's body; a pod's 404 is a Status, a proxy's page is none."""
    body = error.resp_body
    return body if isinstance(body, (bytes, str)) else None
