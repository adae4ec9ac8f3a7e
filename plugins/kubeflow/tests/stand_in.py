"""A stand-in: a server that hands each call on to a real one, and then behaves as it is told."""

from __future__ import annotations

import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import grpc
from grpc import StatusCode
from ml_metadata.proto import metadata_store_service_pb2 as service

__all__ = ["CUT", "EMPTY", "SILENCE", "StandIn", "standing_in"]

SERVICE = service.DESCRIPTOR.services_by_name["MetadataStoreService"]

CUT = "cut"
"""Instead of a status: the connection is reset."""
EMPTY = "empty"
"""Instead of a status: success, and an empty message."""
SILENCE = "silence"
"""Instead of a status: no answer, until the client has given up."""

_MAX_BYTES = 256 * 1024 * 1024
_OPTIONS = [
    ("grpc.max_send_message_length", _MAX_BYTES),
    ("grpc.max_receive_message_length", _MAX_BYTES),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.so_reuseport", 0),
]
_AT_ONCE = struct.pack("ii", 1, 0)
"""SO_LINGER: the other side gets a reset."""


@dataclass
class _Fault:
    what: StatusCode | str
    forward: bool
    times: int
    details: str


class StandIn:
    """What is to go wrong, and what was asked."""

    def __init__(self, port: int) -> None:
        self._faults: dict[str, list[_Fault]] = {}
        self._lock = threading.Lock()
        self._broken = threading.Condition()
        self._failing = Counter[str]()
        self.counts = Counter[str]()
        """How often each RPC was called."""
        self.filters: list[str] = []
        """The filters that came with lists."""
        self.hides_itself = False
        """Whether it keeps back what the real server says of itself in trailing metadata."""
        self.rewrite: Callable[[str, Any], None] = lambda rpc, request: None
        """Changes a request before it is handed on."""
        self.garble: Callable[[str, bytes], bytes] = lambda rpc, answer: answer
        """Changes an answer before it is handed on."""
        self._real = grpc.insecure_channel(f"127.0.0.1:{port}", _OPTIONS)
        self._server = grpc.server(ThreadPoolExecutor(24), options=_OPTIONS)
        handlers = {
            method.name: grpc.unary_unary_rpc_method_handler(self._handler(method))
            for method in SERVICE.methods
        }
        self._server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(SERVICE.full_name, handlers),)
        )
        self._wire = _Wire(self._server.add_insecure_port("127.0.0.1:0"))
        self._server.start()
        self.port = self._wire.port

    def close(self) -> None:
        """Stop."""
        self._wire.close()
        self._server.stop(None).wait()
        self._real.close()

    def fail(
        self,
        rpc: str,
        what: StatusCode | str,
        *,
        forward: bool = True,
        times: int = 1,
        details: str = "of the stand-in",
    ) -> None:
        """The next calls of the RPC fail so, once the real server has answered, or before."""
        with self._lock:
            self._faults.setdefault(rpc, []).append(_Fault(what, forward, times, details))

    @staticmethod
    def answer_of(rpc: str, answer: bytes) -> Any:
        """The message of an answer."""
        return getattr(service, f"{rpc}Response").FromString(answer)

    def wait_for(self, rpc: str) -> None:
        """Wait until a call of the RPC that is to fail was handed on."""
        with self._broken:
            there = self._broken.wait_for(lambda: self._failing[rpc] > 0, 60)
        assert there, f"nobody called {rpc}"

    def _next_fault(self, rpc: str) -> _Fault | None:
        with self._lock:
            self.counts[rpc] += 1
            faults = self._faults.get(rpc, [])
            if not faults:
                return None
            faults[0].times -= 1
            return faults[0] if faults[0].times else faults.pop(0)

    def _handler(self, method: Any) -> Callable[[bytes, Any], bytes]:
        rpc, request_class = method.name, getattr(service, f"{method.name}Request")
        forward = self._real.unary_unary(f"/{SERVICE.full_name}/{rpc}")

        def handle(data: bytes, context: Any) -> bytes:
            fault = self._next_fault(rpc)
            request = request_class.FromString(data)
            self.filters += _filters_of(request)
            self.rewrite(rpc, request)
            answer = b""
            if fault is None or fault.forward:
                try:
                    answer, call = forward.with_call(request.SerializeToString())
                except grpc.RpcError as error:
                    if fault is None:
                        context.abort(error.code(), error.details())
                else:
                    if not self.hides_itself:
                        context.set_trailing_metadata(call.trailing_metadata())
            if fault is not None:
                with self._broken:
                    self._failing[rpc] += 1
                    self._broken.notify_all()
            if fault is not None and fault.what != EMPTY:
                self._break(fault, context)
            return b"" if fault is not None else self.garble(rpc, bytes(answer))

        return handle

    def _break(self, fault: _Fault, context: Any) -> None:
        if fault.what == CUT:
            self._wire.cut()
            context.abort(StatusCode.CANCELLED, "nobody reads it")
        if fault.what == SILENCE:
            gone = threading.Event()
            if context.add_callback(gone.set):
                gone.wait(60)
            context.abort(StatusCode.CANCELLED, "nobody reads it")
        context.abort(fault.what, fault.details)


def _filters_of(request: Any) -> list[str]:
    options = getattr(request, "options", None)
    text = getattr(options, "filter_query", "")
    return [text] if text else []


class _Wire:
    """Hands on bytes, until it is cut."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Reset every connection that there is."""
        with self._lock:
            pairs, self._pairs = self._pairs, []
        for pair in pairs:
            for side in pair:
                with suppress(OSError):
                    side.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
                    # A thread in recv() keeps the socket open beyond close().
                    side.shutdown(socket.SHUT_RD)
                side.close()

    def close(self) -> None:
        """Accept nobody any more."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._to))
            except OSError:
                return
            with self._lock:
                self._pairs.append((client, server))
            for source, target in ((client, server), (server, client)):
                threading.Thread(target=_pump, args=(source, target), daemon=True).start()


def _pump(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
    except OSError:
        pass
    finally:
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)


@contextmanager
def standing_in(port: int) -> Iterator[StandIn]:
    """A stand-in for the server behind a port, while the block lasts."""
    stand_in = StandIn(port)
    try:
        yield stand_in
    finally:
        stand_in.close()
