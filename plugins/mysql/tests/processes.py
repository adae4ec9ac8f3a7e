"""Workers as tests see them: started, listened to, and what they wrote looked for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from metastore import EventQuery, NodeKind, NodeQuery
from metastore_flavor_mysql import MySQLConfig, MySQLMetadataStore

__all__ = ["Worker", "check_written", "started", "writers"]

_PATIENCE = 120.0
"""Seconds to wait for a worker, which never fails for a slow machine alone."""


class Worker:
    """A process that runs workers.py."""

    def __init__(self, action: str, config: MySQLConfig, **settings: Any) -> None:
        fields = config.model_dump(mode="json", exclude={"password"}, exclude_none=True)
        if config.password is not None:
            fields["password"] = config.password.reveal()
        environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("METASTORE_") or name == "METASTORE_CONFIG"
        }
        self.process = subprocess.Popen(
            [sys.executable, "-W", "error", str(Path(__file__).with_name("workers.py")), action],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        self.told: list[Any] = []
        self._changed = threading.Condition()
        self._ended = False
        self.tell(json.dumps({"config": fields, **settings}))
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._changed:
                self.told.append(json.loads(line))
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def tell(self, line: str) -> None:
        """Write a line to it."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def wait_for(self, count: int) -> None:
        """Wait until it has told so many things."""
        with self._changed:
            there = self._changed.wait_for(
                lambda: len(self.told) >= count or self._ended, _PATIENCE
            )
        if not there or len(self.told) < count:
            self.process.kill()
            _, errors = self.process.communicate()
            raise AssertionError(f"a worker told {len(self.told)} of {count} things\n{errors}")

    def end(self) -> None:
        """Let it end by itself."""
        self.process.stdin.close()  # type: ignore[union-attr]
        try:
            self._listener.join(_PATIENCE)
            status = self.process.wait(_PATIENCE)
            errors = self.process.stderr.read()  # type: ignore[union-attr]
        finally:
            self.process.kill()
            for stream in (self.process.stdout, self.process.stderr):
                if stream is not None:
                    stream.close()
        assert (status, errors) == (0, "")

    def abandon(self) -> None:
        """End it, whatever it does."""
        self.process.kill()
        self.process.wait()
        self._listener.join(_PATIENCE)
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream is not None:
                with suppress(OSError):
                    stream.close()

    @property
    def written(self) -> list[str]:
        """The batches that were acknowledged."""
        return [each["written"] for each in self.told if "written" in each]

    @property
    def failed(self) -> list[Any]:
        """The batches that raised."""
        return [each for each in self.told if "failed" in each]


@contextmanager
def started(action: str, *configs: MySQLConfig, **settings: Any) -> Iterator[list[Worker]]:
    """A worker for each config; none is left behind."""
    with ExitStack() as stack:
        workers = []
        for config in configs:
            worker = Worker(action, config, **settings)
            stack.callback(worker.abandon)
            workers.append(worker)
        yield workers


def wait_for_more(workers: list[Worker], count: int = 1) -> None:
    """Wait until each of them has told so many things more than now."""
    wanted = [len(worker.told) + count for worker in workers]
    for worker, number in zip(workers, wanted, strict=True):
        worker.wait_for(number)


@contextmanager
def writers(*configs: MySQLConfig, **settings: Any) -> Iterator[list[Worker]]:
    """Writers at work; when the block ends, all that they were told is there, once and whole."""
    MySQLMetadataStore.open(configs[0]).close()
    with started("write", *configs, **settings) as workers:
        wait_for_more(workers)
        yield workers
        wait_for_more(workers, 3)
        for worker in workers:
            worker.end()
        check_written(configs[0], workers)


def check_written(config: MySQLConfig, workers: list[Worker]) -> None:
    """Every acknowledged batch is there once, and none is there in part."""
    with closing(MySQLMetadataStore.open(config, mode="r")) as store:
        executions = store.read_nodes(NodeQuery(NodeKind.EXECUTION))
        artifacts = store.read_nodes(NodeQuery(NodeKind.ARTIFACT))
        events = store.read_events(EventQuery())
    labels = {node.id: node.properties["label"] for node in executions}
    there = Counter(labels.values())
    of_artifacts = Counter(node.properties["label"] for node in artifacts)
    of_events = Counter(labels[event.execution_id] for event in events)
    assert {label for label, count in there.items() if count != 1} == set(), "doubled"
    assert of_artifacts == of_events == dict.fromkeys(there, 2), "in part"
    assert all(event.path[:1] == ("model",) for event in events)
    failed = [each for worker in workers for each in worker.failed]
    assert not failed, failed[:3]
    acknowledged = [label for worker in workers for label in worker.written]
    assert set(acknowledged) - there.keys() == set(), "lost"
    # A writer is told of each batch before it begins the next one.
    assert there.keys() == set(acknowledged)
