"""The gRPC server around a `Service`.

Calls are received by an event loop and worked on by a few threads: a client that is slow to send
holds none of them, which it would in gRPC's server of threads.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import time
import traceback
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import grpc
import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from metastore import BaseMetadataStore, MetastoreError
from metastore_flavor_kubeflow.protocol import SERVICE
from metastore_flavor_kubeflow.said import SAID
from metastore_flavor_kubeflow.serving._refusals import Refusal
from metastore_flavor_kubeflow.serving._service import MAX_MESSAGE_BYTES, RPCS, Service, is_read
from metastore_flavor_kubeflow.serving._tls import TLSFiles

__all__ = ["Calls", "ServerSettings", "make_server", "run_server"]

log = logging.getLogger("metastore.serve")

_MAX_DETAILS = 3000
"""Bytes of an error's sentence: it travels in a header, and clients limit those to 8 KiB."""
_MAX_CALLS = 5000
"""Calls at a time, those that wait included; further ones are RESOURCE_EXHAUSTED at once."""
_TO_TELL = 1.0
"""Seconds for the last answers to reach their clients."""


@dataclass(frozen=True)
class ServerSettings:
    """How to serve.

    host, port:
        Where to listen; port 0 is a free one.
    workers:
        How many reads, and how many writes, are worked on at a time, each in a thread.
    max_message_bytes:
        Of a request and of an answer.
    tls:
        None for a server without.
    grace:
        Seconds that calls have to end when the server stops.  What has not begun then is
        UNAVAILABLE, a write that has begun UNKNOWN.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    workers: int = 8
    max_message_bytes: int = MAX_MESSAGE_BYTES
    tls: TLSFiles | None = None
    grace: float = 30.0

    @property
    def options(self) -> list[tuple[str, int]]:
        """As channel arguments of gRPC (grpc/impl/channel_arg_names.h)."""
        return [
            ("grpc.max_receive_message_length", self.max_message_bytes),
            ("grpc.max_send_message_length", self.max_message_bytes),
            # As Kubeflow runs ML Metadata's server.
            ("grpc.max_metadata_size", 16 * 1024),
            # A second server on the port would get half of the calls, and nobody would know.
            ("grpc.so_reuseport", 0),
            # Who looks after a port-forward, or is behind a load balancer, pings without calls.
            ("grpc.keepalive_permit_without_calls", 1),
            ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
            # gRPC would cancel what comes in a burst beyond 1,000, before we hear of it.
            ("grpc.server.max_pending_requests", 2 * _MAX_CALLS),
            ("grpc.server.max_pending_requests_hard_limit", 2 * _MAX_CALLS),
            # What has vanished without a word is noticed.
            ("grpc.keepalive_time_ms", 120_000),
            ("grpc.keepalive_timeout_ms", 20_000),
        ]


class AddressError(Exception):
    """The server cannot listen where it should."""


def run_server(
    store: BaseMetadataStore, settings: ServerSettings, ready: Callable[[int], None]
) -> int:
    """Serve a store until SIGTERM or SIGINT; a second one of them ends it at once.

    `ready` is called with the port when the server listens.  The store stays open.  Returns how
    many calls had not ended when it gave up waiting: their threads still run, and only the end of
    the process ends them.

    Raises
    ------
    AddressError
        It cannot listen there.
    """
    service = Service(store, max_message_bytes=settings.max_message_bytes)
    return asyncio.run(_serve(service, settings, ready))


async def _serve(service: Service, settings: ServerSettings, ready: Callable[[int], None]) -> int:
    calls = Calls(service, settings.workers)
    healthy = _Health()
    server, port = make_server(calls, service.words, settings)
    health_pb2_grpc.add_HealthServicer_to_server(healthy, server)
    await server.start()
    for name in ("", SERVICE.full_name):
        await healthy.set(name, health_pb2.HealthCheckResponse.SERVING)
    stopping, at_once = asyncio.Event(), asyncio.Event()
    _on_signals(stopping, at_once)
    ready(port)
    await stopping.wait()
    log.info("stopping: calls that have begun have %g seconds to end", settings.grace)
    await healthy.enter_graceful_shutdown()
    healthy.stopped.set()
    # No new calls from here on; those that were taken are waited for here, where streams of the
    # health service, which never end, do not count.
    stopped = asyncio.ensure_future(server.stop(settings.grace + _TO_TELL))
    await calls.ended(settings.grace, at_once)
    left = calls.give_up()
    # For what was said to them to get there.
    await asyncio.wait({stopped}, timeout=_TO_TELL)
    await server.stop(None)
    return left


class _Health(health.aio.HealthServicer):  # type: ignore[misc]  # it has no types
    """The health service, whose streams end when the server stops: gRPC would tear them."""

    def __init__(self) -> None:
        super().__init__()
        self.stopped = asyncio.Event()

    async def Watch(self, request: Any, context: Any) -> None:  # noqa: N802 - the protocol's name
        """Tell of each change, until the client or the server ends it."""
        watching = asyncio.ensure_future(super().Watch(request, context))
        stopped = asyncio.ensure_future(self.stopped.wait())
        try:
            await asyncio.wait({watching, stopped}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            watching.cancel()
            stopped.cancel()


def make_server(calls: Calls, words: str, settings: ServerSettings) -> tuple[grpc.aio.Server, int]:
    """A server that listens and is to be started, and its port; inside an event loop.

    `words` are what it says of itself.
    """
    server = grpc.aio.server(options=settings.options)
    server.add_generic_rpc_handlers((_handlers(calls, words),))
    return server, _listen(server, settings)


def _listen(server: grpc.aio.Server, settings: ServerSettings) -> int:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    address = f"{host}:{settings.port}"
    try:
        if settings.tls is None:
            port = server.add_insecure_port(address)
        else:
            port = server.add_secure_port(address, settings.tls.credentials())
    except RuntimeError as error:
        raise AddressError(address) from error
    if not port:
        raise AddressError(address)
    return int(port)


def _on_signals(stopping: asyncio.Event, at_once: asyncio.Event) -> None:
    def stop() -> None:
        if stopping.is_set():
            at_once.set()
        stopping.set()

    loop = asyncio.get_running_loop()
    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, stop)


class Calls:
    """The calls that were taken: worked on by threads, some for reads and as many for writes.

    Of their own, because writes that wait for a lock which another program holds would leave no
    thread to read, and a database can be read then.
    """

    def __init__(self, service: Service, workers: int) -> None:
        self._service = service
        self._pools = {
            is_reading: ThreadPoolExecutor(workers, thread_name_prefix="metastore-serve")
            for is_reading in (True, False)
        }
        self._open: dict[asyncio.Future[bytes], tuple[str, Future[bytes]]] = {}
        self._changed = asyncio.Event()

    async def answer(self, rpc: str, request: bytes) -> bytes:
        """The answer to a call; raises `Refusal`."""
        if len(self._open) >= _MAX_CALLS:
            raise Refusal(
                grpc.StatusCode.RESOURCE_EXHAUSTED, f"{_MAX_CALLS} calls are waiting already"
            )
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[bytes] = loop.create_future()

        def settle(done: Future[bytes]) -> None:
            # What was given up, or whose client has gone, is settled.
            if not answer.done() and not done.cancelled():
                error = done.exception()
                if error is None:
                    answer.set_result(done.result())
                else:
                    answer.set_exception(error)

        working = self._pools[is_read(rpc)].submit(self._service.call, rpc, request)
        self._open[answer] = rpc, working
        try:
            working.add_done_callback(partial(_back_in, loop, settle))
            return await answer
        finally:
            # Its client has gone: what has not begun need not.
            working.cancel()
            del self._open[answer]
            self._changed.set()

    async def ended(self, seconds: float, at_once: asyncio.Event) -> None:
        """Wait until no call is open, or time is up, or it is to be at once."""
        now = asyncio.ensure_future(at_once.wait())
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while self._open and loop.time() < until and not now.done():
            self._changed.clear()
            change = asyncio.ensure_future(self._changed.wait())
            await asyncio.wait(
                {change, now}, timeout=until - loop.time(), return_when=asyncio.FIRST_COMPLETED
            )
            change.cancel()
        now.cancel()

    def give_up(self) -> int:
        """Answer the open calls with what is known of them; how many have begun and not ended."""
        begun = 0
        for answer, (rpc, working) in self._open.items():
            if answer.done():
                continue
            if working.cancel():
                refusal = Refusal(grpc.StatusCode.UNAVAILABLE, "the server stops; nothing was done")
            elif is_read(rpc):
                begun += 1
                refusal = Refusal(grpc.StatusCode.UNAVAILABLE, "the server stops")
            else:
                begun += 1
                refusal = Refusal(
                    grpc.StatusCode.UNKNOWN,
                    "the server stopped before the call ended; whether it was written is not known",
                )
            answer.set_exception(refusal)
        for pool in self._pools.values():
            pool.shutdown(wait=False, cancel_futures=True)
        return begun


def _back_in(
    loop: asyncio.AbstractEventLoop,
    settle: Callable[[Future[bytes]], None],
    done: Future[bytes],
) -> None:
    try:
        loop.call_soon_threadsafe(settle, done)
    except RuntimeError:
        pass  # the loop is closed: the server has given up this call


def _handlers(calls: Calls, words: str) -> grpc.GenericRpcHandler:
    """A handler for each RPC; bytes to bytes, so that messages are parsed in the threads too."""
    handlers = {
        rpc: grpc.unary_unary_rpc_method_handler(_handler(rpc, calls, words)) for rpc in RPCS
    }
    return grpc.method_handlers_generic_handler(SERVICE.full_name, handlers)


def _handler(rpc: str, calls: Calls, words: str) -> Any:
    metadata = ((SAID, words),)

    async def handle(request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        began = time.perf_counter()
        code, answer = grpc.StatusCode.CANCELLED, b""
        try:
            answer = await calls.answer(rpc, request)
            code = grpc.StatusCode.OK
            context.set_trailing_metadata(metadata)
            return answer
        except Refusal as refusal:
            code = refusal.code
            _tell_of(rpc, refusal)
            await context.abort(code, _shortened(refusal.message))
            raise  # abort does not return
        finally:
            log.info(
                "%s %s %s %.1f ms %d bytes in %d bytes out",
                context.peer(),
                rpc,
                code.name,
                (time.perf_counter() - began) * 1000,
                len(request),
                len(answer),
            )

    return handle


def _shortened(message: str) -> str:
    """The sentence, as far as it may travel."""
    size = 0
    for at, each in enumerate(message):
        # What is no printable ASCII is percent-encoded, byte by byte.
        size += 1 if " " <= each <= "~" and each != "%" else 3 * len(each.encode(errors="replace"))
        if size > _MAX_DETAILS:
            return message[:at]
    return message


def _tell_of(rpc: str, refusal: Refusal) -> None:
    """Log where a failure that is the server's own came from: places, without what was there."""
    cause = refusal.__cause__
    if (
        cause is None
        or isinstance(cause, MetastoreError)
        or refusal.code is not (grpc.StatusCode.INTERNAL)
    ):
        return
    places = [
        f"{frame.filename}:{frame.lineno} in {frame.name}"
        for frame in traceback.extract_tb(cause.__traceback__)
    ]
    log.error("%s failed with %s at %s", rpc, type(cause).__name__, " < ".join(reversed(places)))
