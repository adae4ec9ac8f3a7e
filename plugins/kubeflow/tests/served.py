"""`metastore serve` in a process of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
from ml_metadata.metadata_store import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as pb
from ml_metadata.proto import metadata_store_service_pb2_grpc as service_grpc


class Served:
    """A running server."""

    def __init__(self, process: subprocess.Popen[str], port: int, line: str, log: Path) -> None:
        self.folder = log.parent
        """The folder that it was started in."""
        self.process = process
        self.port = port
        self.line = line
        """What it said when it listened."""
        self._log = log

    @property
    def log(self) -> str:
        """What it wrote to stderr until now."""
        return self._log.read_text(encoding="utf-8")

    @property
    def address(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self.port}"

    def client(self) -> MetadataStore:
        """ML Metadata's own client."""
        return MetadataStore(pb.MetadataStoreClientConfig(host="127.0.0.1", port=self.port))

    @contextmanager
    def stub(self) -> Iterator[Any]:
        """The generated stub, for what the client does not offer."""
        with grpc.insecure_channel(self.address) as channel:
            yield service_grpc.MetadataStoreServiceStub(channel)

    def stop(self, sig: int = signal.SIGTERM) -> int:
        """Send a signal and wait for the exit status."""
        self.process.send_signal(sig)
        return self.process.wait(60)


@contextmanager
def serving(store: str, *options: str, folder: Path, port: int = 0) -> Iterator[Served]:
    """Run ``metastore serve STORE --port PORT OPTIONS...`` in a folder, until the block ends."""
    number = len(list(folder.glob("serve-*.log")))
    log = folder / f"serve-{number}.log"
    command = [sys.executable, "-m", "metastore", "serve", store, "--port", str(port), *options]
    with (
        log.open("w") as stderr,
        subprocess.Popen(
            command,
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            env=os.environ | {"HOME": str(folder)},
        ) as process,
    ):
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            found = re.search(r":(\d+), with", line)
            assert found is not None, f"it did not listen: {line!r}\n{log.read_text()}"
            yield Served(process, int(found[1]), line, log)
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait(60)
