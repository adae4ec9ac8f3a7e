"""A process that hosts metadata services: to start one for each test would take too long.

As a program it reads a command a line, and answers with a line of JSON::

    new engine FILE|-      a server around ML Metadata's own engine, on a file or in memory
    new ours URL           our own server, as `metastore serve` runs it
    calls PORT             how often each RPC was called since the last time
    stop PORT
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import metastore
from metastore_flavor_kubeflow.serving._server import Calls, ServerSettings, make_server
from metastore_flavor_kubeflow.serving._service import Service

if TYPE_CHECKING:
    from .engine import Engine, server_of
else:
    # As a program it has the folder of its own on the path.
    from engine import Engine, server_of

_counts: dict[int, Counter[str]] = {}
_stops: dict[int, Callable[[], Awaitable[Any]]] = {}


class _CountedEngine(Engine):
    def __init__(self, file: Path | None) -> None:
        super().__init__(file)
        self.counts = Counter[str]()

    def call(self, rpc: str, request: bytes) -> Any:
        self.counts[rpc] += 1
        return super().call(rpc, request)


class _CountedService(Service):
    counts: Counter[str]

    def call(self, rpc: str, request: bytes) -> bytes:
        self.counts[rpc] += 1
        return super().call(rpc, request)


async def _new_engine(file: str) -> int:
    engine = _CountedEngine(None if file == "-" else Path(file))
    server, port = server_of(engine)
    _counts[port] = engine.counts

    async def stop() -> None:
        await asyncio.to_thread(server.stop(None).wait)

    _stops[port] = stop
    return port


async def _new_ours(url: str) -> int:
    store = metastore.connect(url).backend
    service = _CountedService(store)
    service.counts = Counter()
    calls = Calls(service, 8)
    server, port = make_server(calls, service.words, ServerSettings(port=0))
    await server.start()
    _counts[port] = service.counts

    async def stop() -> None:
        await server.stop(None)
        calls.give_up()
        store.close()

    _stops[port] = stop
    return port


async def _answer(line: str) -> Any:
    command, _, rest = line.strip().partition(" ")
    if command == "new":
        kind, _, where = rest.partition(" ")
        return await (_new_engine(where) if kind == "engine" else _new_ours(where))
    port = int(rest)
    if command == "stop":
        await _stops.pop(port)()
        return 0
    counts = dict(_counts[port])
    _counts[port].clear()
    return counts


async def main() -> None:
    """Answer until stdin ends."""
    while line := await asyncio.to_thread(sys.stdin.readline):
        print(json.dumps(await _answer(line)), flush=True)  # noqa: T201 - whoever started it reads it


if __name__ == "__main__":
    asyncio.run(main())
