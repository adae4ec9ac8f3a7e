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
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from metastore import BaseMetadataStore, MetastoreError
from metastore_flavor_kubeflow.protocol import SERVICE
from metastore_flavor_kubeflow.serving._refusals import Refusal
from metastore_flavor_kubeflow.serving._service import MAX_MESSAGE_BYTES, RPCS, Service
from metastore_flavor_kubeflow.serving._tls import TLSFiles

__all__ = ["ServerSettings", "run_server"]

log = logging.getLogger("metastore.serve")

_MAX_DETAILS = 2000
"""Characters of an error's sentence: it travels in a header, and clients limit those to 8 KiB."""
_MAX_CALLS = 5000
"""Calls at a time, those that wait included; further ones are RESOURCE_EXHAUSTED at once."""


@dataclass(frozen=True)
class ServerSettings:
    """How to serve.

    host, port:
        Where to listen; port 0 is a free one.
    workers:
        How many calls are worked on at a time, each in a thread.
    max_message_bytes:
        Of a request and of an answer.
    tls:
        None for a server without.
    grace:
        Seconds that calls have to end when the server stops; what is not done then is cancelled
        on its way to the client, not in the store.
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
            # What has vanished without a word is noticed.
            ("grpc.keepalive_time_ms", 120_000),
            ("grpc.keepalive_timeout_ms", 20_000),
        ]


class AddressError(Exception):
    """The server cannot listen where it should."""


def run_server(
    store: BaseMetadataStore, settings: ServerSettings, ready: Callable[[int], None]
) -> None:
    """Serve a store until SIGTERM or SIGINT; a second one of them ends it at once.

    `ready` is called with the port when the server listens.  The store stays open.

    Raises
    ------
    AddressError
        It cannot listen there.
    """
    asyncio.run(
        _serve(Service(store, max_message_bytes=settings.max_message_bytes), settings, ready)
    )


async def _serve(service: Service, settings: ServerSettings, ready: Callable[[int], None]) -> None:
    with ThreadPoolExecutor(settings.workers, thread_name_prefix="metastore-serve") as pool:
        server = grpc.aio.server(options=settings.options, maximum_concurrent_rpcs=_MAX_CALLS)
        server.add_generic_rpc_handlers((_handlers(service, pool),))
        healthy = health.aio.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(healthy, server)
        port = _listen(server, settings)
        await server.start()
        for name in ("", SERVICE.full_name):
            await healthy.set(name, health_pb2.HealthCheckResponse.SERVING)
        stopping, at_once = asyncio.Event(), asyncio.Event()
        _on_signals(stopping, at_once)
        ready(port)
        await stopping.wait()
        log.info("stopping: calls that have begun have %g seconds to end", settings.grace)
        await healthy.enter_graceful_shutdown()
        stopped = asyncio.ensure_future(server.stop(settings.grace))
        second = asyncio.ensure_future(at_once.wait())
        await asyncio.wait({stopped, second}, return_when=asyncio.FIRST_COMPLETED)
        if not stopped.done():
            await server.stop(None)
        second.cancel()
        pool.shutdown(cancel_futures=True)


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


def _handlers(service: Service, pool: ThreadPoolExecutor) -> grpc.GenericRpcHandler:
    """A handler for each RPC; bytes to bytes, so that messages are parsed in the threads too."""
    handlers = {
        rpc: grpc.unary_unary_rpc_method_handler(_handler(rpc, service, pool)) for rpc in RPCS
    }
    return grpc.method_handlers_generic_handler(SERVICE.full_name, handlers)


def _handler(rpc: str, service: Service, pool: ThreadPoolExecutor) -> Any:
    async def handle(request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        began = time.perf_counter()
        code, answer = grpc.StatusCode.CANCELLED, b""
        try:
            loop = asyncio.get_running_loop()
            answer = await loop.run_in_executor(pool, service.call, rpc, request)
            code = grpc.StatusCode.OK
            return answer
        except Refusal as refusal:
            code = refusal.code
            _tell_of(rpc, refusal)
            await context.abort(code, refusal.message[:_MAX_DETAILS])
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
