"""ML Metadata's own engine: called in this process, and behind gRPC as a server for tests.

As a program, ``python engine.py [--port PORT] [--store FILE]``, it serves the engine of the
ml-metadata wheel on 127.0.0.1 and prints ``PORT`` when it listens: what ML Metadata's C++ server
(which no wheel brings) answers.  Three RPCs are not in the wheel's extension: UNIMPLEMENTED.
"""

from __future__ import annotations

import argparse
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import grpc
from ml_metadata.metadata_store.pywrap.metadata_store_extension import metadata_store as extension
from ml_metadata.proto import metadata_store_pb2 as pb
from ml_metadata.proto import metadata_store_service_pb2 as service

SERVICE = service.DESCRIPTOR.services_by_name["MetadataStoreService"]
_CODES = {code.value[0]: code for code in grpc.StatusCode}
_MAX_BYTES = 100 * 1024 * 1024


class Answer(NamedTuple):
    """What a call came to: its code, 0 for success, with the response or the error's text."""

    code: int
    response: bytes = b""
    message: str = ""


class Engine:
    """A store of ML Metadata's engine; in memory where no file is named."""

    def __init__(self, file: Path | None = None) -> None:
        config = pb.ConnectionConfig()
        config.sqlite.SetInParent()
        if file is not None:
            config.sqlite.filename_uri = str(file)
        options = pb.MigrationOptions()
        self._store = extension.CreateMetadataStore(
            config.SerializeToString(), options.SerializeToString()
        )
        # The C++ server opens a connection for each call; this one is shared.
        self._lock = threading.Lock()

    def call(self, rpc: str, request: bytes) -> Answer:
        """Hand a serialized request to the engine."""
        method = getattr(extension, rpc, None)
        if method is None:
            return Answer(grpc.StatusCode.UNIMPLEMENTED.value[0], message=f"{rpc} is not there")
        with self._lock:
            response, message, code = method(self._store, request)
        return Answer(code, response, message.decode(errors="replace"))


def server_of(engine: Engine, port: int = 0) -> tuple[grpc.Server, int]:
    """A gRPC server around the engine, started on 127.0.0.1; and its port."""

    def handler(rpc: str) -> Any:
        def serve(request: bytes, context: grpc.ServicerContext) -> bytes:
            answer = engine.call(rpc, request)
            if answer.code:
                context.abort(_CODES[answer.code], answer.message)
            return answer.response

        return grpc.unary_unary_rpc_method_handler(serve)

    limits = [(f"grpc.max_{way}_message_length", _MAX_BYTES) for way in ("send", "receive")]
    server = grpc.server(ThreadPoolExecutor(8), options=[*limits, ("grpc.so_reuseport", 0)])
    handlers = {method.name: handler(method.name) for method in SERVICE.methods}
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(SERVICE.full_name, handlers),)
    )
    port = server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    return server, port


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--store", type=Path)
    arguments = parser.parse_args()
    server, port = server_of(Engine(arguments.store), arguments.port)
    stopped = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    print(port, flush=True)  # noqa: T201 - whoever started it reads it
    stopped.wait()
    server.stop(None).wait()


if __name__ == "__main__":
    main()
