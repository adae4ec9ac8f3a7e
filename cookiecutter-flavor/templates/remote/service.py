"""A tiny service that keeps rows, so that the flavor works as it was generated.

Your service takes its place: this module goes, and what `store.py` calls becomes its protocol.

    GET    /                        200: it is up
    PUT    /stores/NAME             make a store; 200 where it is there already
    GET    /stores/NAME?after=N     the batches behind the first N, a JSON object a line
    POST   /stores/NAME?after=N     append a batch, if there are N; 409 where there are not
    DELETE /stores/NAME             remove a store
    POST   /stop                    end the service

Every request shows the token: ``Authorization: Bearer ...``.  A batch is on the disk when it is
answered.
"""

from __future__ import annotations

import argparse
import hmac
import json
import os
import re
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

TOKEN_VARIABLE = "{{cookiecutter.__variable}}_SERVICE_TOKEN"
"""By which the service learns its token; a command line is public."""
SHORTEST_TOKEN = 8
NAME = b"rows of {{cookiecutter.name}}"
"""What it answers to who asks whether it is up: another service may have the port."""
_PATH = re.compile(r"/stores/([A-Za-z0-9][A-Za-z0-9_-]{0,63})(?:\?after=(\d{1,15}))?")


class Stores:
    """Files of JSON lines in a folder, a line a batch; threads may share it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._lines: dict[str, list[bytes]] = {}
        folder.mkdir(parents=True, exist_ok=True)
        # Of two services on one folder, each would write over what the other wrote.
        self._folder_lock = FileLock(folder / "service.lock", timeout=0)
        self._folder_lock.acquire()
        for path in folder.glob("*.jsonl"):
            # A last line without an end was never answered.
            lines = path.read_bytes().splitlines(keepends=True)
            self._lines[path.stem] = [line for line in lines if line.endswith(b"\n")]

    def make(self, name: str) -> int:
        """Make a store; the status to answer."""
        with self._lock:
            if name in self._lines:
                return 200
            self._path(name).write_bytes(b"")
            self._lines[name] = []
            return 201

    def remove(self, name: str) -> int:
        """Remove a store; the status to answer."""
        with self._lock:
            if self._lines.pop(name, None) is None:
                return 404
            self._path(name).unlink()
            return 200

    def read(self, name: str, after: int) -> tuple[int, bytes]:
        """The status, and the batches behind the first `after` ones."""
        with self._lock:
            lines = self._lines.get(name)
            return (404, b"") if lines is None else (200, b"".join(lines[after:]))

    def append(self, name: str, after: int, line: bytes) -> int:
        """Append a batch if there are `after`; the status to answer."""
        with self._lock:
            lines = self._lines.get(name)
            if lines is None:
                return 404
            if len(lines) != after:
                return 409
            with self._path(name).open("r+b") as file:
                file.truncate(sum(map(len, lines)))
                file.seek(0, os.SEEK_END)
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
            lines.append(line)
            return 200

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.jsonl"


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    stores: Stores
    token: str

    def do_GET(self) -> None:
        """Whether it is up, or a store's batches."""
        if self.path == "/":
            self._answer(200, NAME)
        elif (asked := self._asked()) is not None:
            self._answer(*self.stores.read(*asked))

    def do_PUT(self) -> None:
        """Make a store."""
        if (asked := self._asked()) is not None:
            self._answer(self.stores.make(asked[0]))

    def do_DELETE(self) -> None:
        """Remove a store."""
        if (asked := self._asked()) is not None:
            self._answer(self.stores.remove(asked[0]))

    def do_POST(self) -> None:
        """Append a batch, or stop."""
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        if self.path == "/stop":
            if self._is_let_in():
                self._answer(200)
                threading.Thread(target=self.server.shutdown).start()
        elif (asked := self._asked()) is not None:
            try:
                entry = json.loads(body)
            except ValueError:
                self._answer(400)
                return
            # One line, however it was sent.
            self._answer(self.stores.append(*asked, json.dumps(entry).encode() + b"\n"))

    def _asked(self) -> tuple[str, int] | None:
        """Name and number of the path; None where the request is answered already."""
        if not self._is_let_in():
            return None
        found = _PATH.fullmatch(self.path)
        if found is None:
            self._answer(400)
            return None
        return found[1], int(found[2] or 0)

    def _is_let_in(self) -> bool:
        shown = self.headers.get("Authorization", "").encode()
        if hmac.compare_digest(shown, f"Bearer {self.token}".encode()):
            return True
        self._answer(401)
        return False

    def _answer(self, status: int, body: bytes = b"") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


class Server(ThreadingHTTPServer):
    """The service on its port."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], handler: type[Handler]) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, handler)


def serve(host: str, port: int, folder: Path, token: str) -> Server:
    """The service, listening; ``serve_forever`` answers."""
    handler = type("OwnHandler", (Handler,), {"stores": Stores(folder), "token": token})
    return Server((host, port), handler)


def main() -> None:
    """Serve until somebody says stop."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8765)
    parser.add_argument("--folder", type=Path, required=True)
    asked = parser.parse_args()
    token = os.environ.pop(TOKEN_VARIABLE, "")
    if len(token) < SHORTEST_TOKEN:
        parser.error(f"the variable {TOKEN_VARIABLE} holds no token of {SHORTEST_TOKEN} characters")
    try:
        server = serve(asked.host, asked.port, asked.folder, token)
    except (OSError, Timeout) as error:
        parser.exit(1, f"the port or the folder cannot be used ({type(error).__name__})\n")
    with server:
        server.serve_forever(poll_interval=0.05)


if __name__ == "__main__":
    main()
