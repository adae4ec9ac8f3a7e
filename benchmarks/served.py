"""Calls a second of `metastore serve`, beside ML Metadata's engine behind gRPC.

``python benchmarks/served.py --help``.  Both are reached by ml-metadata's own client, over
loopback, from this process, and both keep every write on the disk before they answer.
"""

from __future__ import annotations

import argparse
import itertools
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import report
from ml_metadata.metadata_store import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as pb
from rich.console import Console
from rich.table import Table

ENGINE = Path(__file__).parents[1] / "plugins" / "kubeflow" / "tests" / "engine.py"
CALLS = 400
_numbers = itertools.count()


class Served(NamedTuple):
    """A server, and what this process asks it with."""

    name: str
    client: MetadataStore
    inputs: list[int]


@contextmanager
def served(name: str, command: list[str], folder: Path) -> Iterator[Served]:
    """Start a server on an empty file, and put in what the calls refer to."""
    with subprocess.Popen(
        [sys.executable, *command], cwd=folder, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        found = re.search(r"(?:127\.0\.0\.1:|^)(\d+)", process.stdout.readline())
        assert found is not None
        try:
            client = MetadataStore(
                pb.MetadataStoreClientConfig(host="127.0.0.1", port=int(found[1]))
            )
            kinds = {"rows": pb.INT, "accuracy": pb.DOUBLE, "framework": pb.STRING}
            client.put_artifact_type(pb.ArtifactType(name="A", properties=kinds))
            client.put_execution_type(pb.ExecutionType(name="E", properties=kinds))
            client.put_context_type(pb.ContextType(name="C"))
            client.put_contexts([pb.Context(type_id=12, name=each) for each in ("p", "run")])
            inputs = client.put_artifacts([_filled(pb.Artifact(type_id=10)) for _ in range(20)])
            yield Served(name, client, list(inputs))
        finally:
            process.terminate()


def _filled(node: Any) -> Any:
    node.properties["rows"].int_value = next(_numbers)
    node.properties["accuracy"].double_value = 0.5
    node.properties["framework"].string_value = "torch"
    return node


def put_artifacts(server: Served) -> None:
    """One new artifact with three properties."""
    server.client.put_artifacts([_filled(pb.Artifact(type_id=10, uri="s3://bucket/a"))])


def put_execution(server: Served) -> None:
    """A step: two known inputs, two new outputs, two known contexts."""
    pairs = [(None, pb.Event(type=pb.Event.INPUT, artifact_id=each)) for each in server.inputs[:2]]
    pairs += [
        (_filled(pb.Artifact(type_id=10, uri="s3://bucket/b")), pb.Event(type=pb.Event.OUTPUT))
        for _ in range(2)
    ]
    contexts = [pb.Context(id=id, type_id=12, name=name) for id, name in ((1, "p"), (2, "run"))]
    server.client.put_execution(
        _filled(pb.Execution(type_id=11, last_known_state=pb.Execution.COMPLETE)),
        pairs,
        contexts,
        reuse_context_if_already_exist=True,
        force_reuse_context=True,
    )


def get_by_type_and_name(server: Served) -> None:
    """A context by its type and name."""
    assert server.client.get_context_by_type_and_name("C", "run") is not None


WORK: dict[str, Callable[[Served], None]] = {
    "put_artifacts": put_artifacts,
    "put_execution": put_execution,
    "get_context_by_type_and_name": get_by_type_and_name,
}


def calls_a_second(server: Served, work: Callable[[Served], None], clients: int) -> float:
    """How many calls a second that many threads of clients get answered."""

    def ask() -> None:
        for _ in range(CALLS // clients):
            work(server)

    threads = [threading.Thread(target=ask) for _ in range(clients)]
    begun = time.perf_counter()
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    return CALLS / (time.perf_counter() - begun)


def main() -> None:
    """Measure, in rounds in which each server has its turn, and print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="rounds that count (default 5)")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    arguments = parser.parse_args()
    console = Console()
    console.print(f"ml-metadata {version('ml-metadata')}, grpcio {version('grpcio')}")
    figures: dict[str, dict[str, list[float]]] = {}
    with tempfile.TemporaryDirectory(prefix="metastore-bench-", dir=".") as name:
        folder = Path(name).resolve()
        serve = ["-m", "metastore", "serve", "--port", "0", "--no-access-log"]
        # As ML Metadata makes it: with SQLite's rollback journal, which we keep.
        subprocess.run([sys.executable, "-c", _MAKE, str(folder / "delete.db")], check=True)
        with (
            served("ours", [*serve, "sqlite:///ours.db"], folder) as ours,
            served("ours-delete", [*serve, "sqlite:///delete.db"], folder) as delete,
            served("engine", [str(ENGINE), "--store", "engine.db"], folder) as engine,
        ):
            servers = [ours, delete, engine]
            for number in range(arguments.rounds + 1):
                for title, work in WORK.items():
                    for clients in (1, 8):
                        row = figures.setdefault(f"{title}, {clients} at a time", {})
                        for server in servers[number % 3 :] + servers[: number % 3]:
                            found = calls_a_second(server, work, clients)
                            if number:
                                row.setdefault(server.name, []).append(found)
    show(figures, console)
    if arguments.json:
        facts = {"ml-metadata": version("ml-metadata"), "grpcio": version("grpcio")}
        content = {
            "about": report.about(**facts, rounds=arguments.rounds),
            "calls a second": figures,
        }
        report.write(arguments.json, content)


_MAKE = """
import sys
from ml_metadata.metadata_store import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as pb
config = pb.ConnectionConfig()
config.sqlite.filename_uri = sys.argv[1]
MetadataStore(config)
"""


def show(figures: dict[str, dict[str, list[float]]], console: Console) -> None:
    """Calls a second, medians, and the ratio to the engine."""
    table = Table(title="calls a second, median (times the engine's)", title_justify="left")
    table.add_column("call")
    for name in ("ours", "ours-delete", "engine"):
        table.add_column(name, justify="right")
    for title, row in figures.items():
        engine = statistics.median(row["engine"])
        cells = [
            f"{statistics.median(row[name]):.0f} ({statistics.median(row[name]) / engine:.2f})"
            for name in ("ours", "ours-delete")
        ]
        table.add_row(title, *cells, f"{engine:.0f}")
    console.print(table)


if __name__ == "__main__":
    main()
