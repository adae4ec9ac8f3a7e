"""A stand-in for an API server and the node behind it, on a port of this machine, with TLS.

It is no Kubernetes: it keeps objects, knows tokens and roles, and speaks the protocol of
port-forwards, and what passes here is proved for what it imitates only.  Its refusals, headers and
frames were recorded from kube-apiserver 1.20.2 with the kubelet's own port-forward code behind it;
the same tests run on such a server where ``METASTORE_TEST_KUBECONFIG`` names one.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import trustme
from aiohttp import WSMsgType, web

from .resources import JSON, RefusalError, Store, Users, Where

CHUNK = 64 * 1024
REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
PROTOCOL = "v4.channel.k8s.io"
_VERBS = {"GET": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


class StandIn:
    """The server, in a thread of its own; `close` ends it."""

    def __init__(self, folder: Path) -> None:
        self.store = Store()
        self.users = Users()
        self.map: dict[str, int | str] = {}
        """What answers behind ``namespace/pod:port`` or ``namespace/pod``: a port of this machine,
        ``refuse`` or ``hang``."""
        self.before: Callable[[str, str], Coroutine[Any, Any, web.Response | None]] | None = None
        """Asked first, with method and path, for what a test wants to go wrong."""
        self.asked: list[tuple[str, str]] = []
        """Methods and paths of all requests, in their order."""
        self._folder = folder
        self._forwards: set[tuple[str, web.WebSocketResponse, asyncio.Transport | None]] = set()
        authority = trustme.CA()
        self._ca = folder / "ca.crt"
        authority.cert_pem.write_to_path(str(self._ca))
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(self._tls)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="stand-in")
        self._thread.start()
        self._runner: web.AppRunner | None = None
        self.port = self._run(self._start())
        self.url = f"https://127.0.0.1:{self.port}"

    def close(self) -> None:
        """End it, and every connection."""
        self._run(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def kubeconfig(self, name: str, user: JSON, namespace: str | None = None) -> Path:
        """A kubeconfig of this server with that user's credentials."""
        context = {"cluster": "standin", "user": "someone"}
        path = self._folder / name
        path.write_text(
            # JSON is YAML.
            json.dumps(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "current-context": "standin",
                    "clusters": [
                        {
                            "name": "standin",
                            "cluster": {"server": self.url, "certificate-authority": str(self._ca)},
                        }
                    ],
                    "users": [{"name": "someone", "user": user}],
                    "contexts": [
                        {
                            "name": "standin",
                            "context": {
                                **context,
                                **({"namespace": namespace} if namespace else {}),
                            },
                        }
                    ],
                }
            )
        )
        return path

    def cut(self, pod: str = "", *, abruptly: bool = False) -> None:
        """End forwarded connections: of ``namespace/pod``, or all; abruptly: without a word."""
        self._run(self._cut(pod, abruptly))

    def _run(self, doing: Coroutine[Any, Any, Any]) -> Any:
        future: Future[Any] = asyncio.run_coroutine_threadsafe(doing, self._loop)
        return future.result(60)

    async def _start(self) -> int:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        # A port-forward has no timeout, and the end of a test waits for none.
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=self._tls, backlog=256)
        await site.start()
        port: int = self._runner.addresses[0][1]
        return port

    async def _stop(self) -> None:
        await self._cut("", True)
        assert self._runner is not None
        assert self._runner.server is not None
        # TLS would wait for the client's goodbye, and clients keep connections for later.
        for each in self._runner.server.connections:
            if each.transport is not None:
                each.transport.abort()
        await self._runner.cleanup()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for other in others:
            other.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        # Transports that were aborted close in the rounds that follow.
        for _ in range(10):
            await asyncio.sleep(0)

    async def _cut(self, pod: str, abruptly: bool) -> None:
        for name, forward, transport in list(self._forwards):
            if pod not in ("", name):
                continue
            if abruptly and transport is not None:
                transport.abort()
            else:
                await forward.close()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        path = request.path
        self.asked.append((request.method, path))
        if self.before is not None:
            answer = await self.before(request.method, path)
            if answer is not None:
                return answer
        try:
            user = self.users.who(request.headers.get("Authorization"))
            if path == REVIEWS:
                return web.json_response(self.users.review(user, await request.json()), status=201)
            where = Where.parse(path)
            verb = _VERBS[request.method]
            self.users.check(user, "list" if verb == "get" and not where.name else verb, where)
            if _applies(request) and not self.store.has(where):
                # What is applied and is not there is made.
                self.users.check(user, "create", where)
            if where.subresource == "portforward":
                return await self._forward(request, where)
            return web.json_response(await self._served(request, where))
        except RefusalError as refusal:
            return web.json_response(refusal.status, status=refusal.code)
        except (LookupError, ValueError):
            return web.Response(status=404, text="404 page not found\n")

    async def _served(self, request: web.Request, where: Where) -> JSON:
        """The generic part: any resource is created, read, changed and deleted alike."""
        if request.method == "GET":
            if where.name:
                return self.store.get(where)
            query = request.query
            return self.store.list(
                where, query.get("labelSelector", ""), query.get("fieldSelector", "")
            )
        if request.method == "DELETE":
            return self.store.delete(where)
        body = await request.json()
        if _applies(request):
            if "fieldManager" not in request.query:
                text = "fieldManager: Required value: is required for apply patch"
                raise RefusalError(422, "Invalid", f"PatchOptions is invalid: {text}")
            return self.store.apply(where, body, request.query["fieldManager"])
        if request.method == "POST":
            return self.store.create(where, body)
        if request.method == "PUT":
            return self.store.replace(where, body)
        return self.store.merge(where, body)

    async def _forward(self, request: web.Request, where: Where) -> web.StreamResponse:
        """What the kubelet does: a connection to the pod's port, carried by channels 0 and 1."""
        self.store.get(where._replace(subresource=""))
        if not request.query.get("ports", "").isdigit():
            text = f'bad request {request.path}: query parameter "port" is required'
            return web.Response(status=400, text=text)
        offered = request.headers.get("Sec-WebSocket-Protocol", PROTOCOL)
        if PROTOCOL not in [each.strip() for each in offered.split(",")]:
            return web.Response(status=403)
        forward = web.WebSocketResponse(protocols=(PROTOCOL,), max_msg_size=0, autoping=True)
        await forward.prepare(request)
        port = int(request.query["ports"])
        pod = f"{where.namespace}/{where.name}"
        entry = pod, forward, request.transport
        self._forwards.add(entry)
        try:
            for channel in (0, 1):
                await forward.send_bytes(bytes([channel]) + port.to_bytes(2, "little"))
            await self._carry(forward, pod, port)
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._forwards.discard(entry)
            await forward.close()
        return forward

    async def _carry(self, forward: web.WebSocketResponse, pod: str, port: int) -> None:
        leads = self.map.get(f"{pod}:{port}", self.map.get(pod, self.map.get(str(port), "refuse")))
        if leads == "hang":
            async for _ in forward:
                pass
            return
        try:
            if leads == "refuse":
                raise ConnectionRefusedError
            reader, writer = await asyncio.open_connection("127.0.0.1", int(leads), limit=CHUNK)
        except ConnectionError:
            text = (
                f"error forwarding port {port} to pod {pod}, uid : failed to connect to"
                f" localhost:{port}: connection refused"
            )
            await forward.send_bytes(b"\x01" + text.encode())
            return
        from_pod = asyncio.ensure_future(_from_pod(reader, forward))
        to_pod = asyncio.ensure_future(_to_pod(forward, writer))
        try:
            await asyncio.wait({from_pod, to_pod}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in (from_pod, to_pod):
                each.cancel()
            await asyncio.gather(from_pod, to_pod, return_exceptions=True)
            writer.transport.abort()


def _applies(request: web.Request) -> bool:
    return request.method == "PATCH" and "apply-patch" in request.content_type


async def _from_pod(reader: asyncio.StreamReader, forward: web.WebSocketResponse) -> None:
    while data := await reader.read(CHUNK):
        await forward.send_bytes(b"\x00" + data)


async def _to_pod(forward: web.WebSocketResponse, writer: asyncio.StreamWriter) -> None:
    async for message in forward:
        if message.type is not WSMsgType.BINARY or message.data[:1] != b"\x00":
            return
        writer.write(message.data[1:])
        await writer.drain()
