"""Campaigns: writers are killed, one after the other, and after each the store is looked at."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from plugins.mysql.tests.servers import Server

import metastore
from faults.batches import check
from faults.forking import ROOT, Fork, Forks
from faults.ledger import Ledger, Stage
from faults.writers import label_of

__all__ = ["PATIENCE", "Campaign", "Writer", "verify_by_command", "wait_until"]

PATIENCE = 120.0
"""Seconds to wait for what a process surely does, on a machine that does other things too."""


def wait_until(happened: Callable[[], bool], what: str) -> None:
    """Wait for something that another process does."""
    deadline = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(0.0005)


class Writer:
    """A process that writes, and what is known of its batches."""

    def __init__(
        self,
        forks: Forks,
        folder: Path,
        name: str,
        *,
        action: str = "faults.writers:write",
        **arguments: Any,
    ) -> None:
        self.name = name
        self.ledger = Ledger(folder / f"ledger of {name}", make=True)
        self._fork: Fork = forks.start(
            action, ledger=str(self.ledger.path), writer=name, **arguments
        )

    def wait_for_begin(self, number: int) -> None:
        """Wait until it has begun its batch of that number."""

        def happened() -> bool:
            if self._fork.has_ended:
                # It raises what the process has raised.
                self._fork.wait()
            return self.ledger.get("begun") >= number

        wait_until(happened, f"{self.name} begins {number}")

    def kill(self) -> Stage:
        """Kill it now; in which stage it was."""
        self._fork.kill()
        status = self._fork.wait()
        assert status == -9, f"{self.name} ended by itself: {status}"
        return self.ledger.stage

    def stop(self) -> None:
        """Let it end by itself; it has met no error."""
        self.ledger.set("stop", 1)
        assert self._fork.wait() == 0

    def labels(self, what: str) -> list[str]:
        """Its batches that are begun, or acknowledged, as of now."""
        return [label_of(self.name, number + 1) for number in range(self.ledger.get(what))]


def verify_by_command(url: str) -> None:
    """``metastore verify`` finds nothing wrong; a password goes by its environment."""
    environment = dict(os.environ)
    parts = urlsplit(url)
    if parts.password is not None:
        url = url.replace(f":{parts.password}@", "@")
        environment[f"METASTORE_{parts.scheme.upper()}__PASSWORD"] = parts.password
    done = subprocess.run(
        [sys.executable, "-m", "metastore", "verify", url],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env=environment,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@dataclass
class Campaign:
    """Kills of writers that work on one store after the other, two of them at a time.

    Of each two, one is killed while the other goes on, so that the dead one's transaction is taken
    back by a living neighbour; and then the other, so that it is taken back by whoever opens the
    store next.
    """

    forks: Forks
    folder: Path
    chance: random.Random
    longest: float
    """Seconds after its first batch begins within which a writer is killed."""
    command_each: int = 50
    """After so many kills the command verifies, too."""
    wrong: str | None = None
    stages: Counter[Stage] = field(default_factory=Counter)
    acknowledged: int = 0
    unacknowledged: int = 0
    """Batches of the killed that are there and were not acknowledged any more."""
    servers: int = 0
    """Servers that were killed."""
    checks: int = 0
    commands: int = 0
    _number: int = 0

    @property
    def kills(self) -> int:
        """Of writers, so far."""
        return self.stages.total()

    @property
    def inside(self) -> int:
        """Kills between the answer to BEGIN and the sending of COMMIT: surely in a transaction."""
        return self.stages[Stage.OPEN]

    @property
    def before_the_end(self) -> int:
        """Kills in a transaction that was begun and whose COMMIT was not answered.

        On a slow disk most of a transaction is its COMMIT.
        """
        return self.inside + self.stages[Stage.COMMITTING]

    def run(self, url: str, kills: int) -> None:
        """Kill so many writers on the store of a URL, which is there and has no batches."""
        writers: list[Writer] = []
        try:
            before = self.kills
            while self.kills < before + kills:
                pair = [self._start(url), self._start(url)]
                writers += pair
                for writer in pair:
                    writer.wait_for_begin(1)
                self._kill(pair[0])
                # So that the store stays small; what it has begun it goes on to write.
                pair[1].ledger.set("hold", 1)
                self._check(url, writers)
                pair[1].ledger.set("hold", 0)
                pair[1].wait_for_begin(pair[1].ledger.get("begun") + 1)
                self._kill(pair[1])
                self._check(url, writers)
            there = self._check(url, writers)
            done = {label for each in writers for label in each.labels("acknowledged")}
            self.acknowledged += len(done)
            self.unacknowledged += len(there - done)
        finally:
            for writer in writers:
                writer.ledger.close()

    def outlive(self, url: str, server: Server, kills: int) -> None:
        """Kill the server so many times under three writers, and start it again each time."""
        writers = [self._start(url) for _ in range(3)]
        try:
            for _ in range(kills):
                for writer in writers:
                    # So that each of them has something to lose, and has found the server again.
                    writer.wait_for_begin(writer.ledger.get("begun") + 3)
                time.sleep(self.chance.uniform(0, self.longest))
                server.kill()
                self.stages.update(writer.ledger.stage for writer in writers)
                self.servers += 1
                server.start()
            for writer in writers:
                writer.wait_for_begin(writer.ledger.get("begun") + 3)
            for writer in writers:
                writer.stop()
            there = self._check(url, writers)
            done = {label for each in writers for label in each.labels("acknowledged")}
            # Each knows the outcome of all that it began.
            assert there == done
            self.acknowledged += len(done)
        finally:
            for writer in writers:
                writer.ledger.close()

    def _start(self, url: str) -> Writer:
        self._number += 1
        return Writer(self.forks, self.folder, f"w{self._number}", url=url, wrong=self.wrong)

    def _kill(self, writer: Writer) -> None:
        time.sleep(self.chance.uniform(0, self.longest))
        self.stages[writer.kill()] += 1

    def _check(self, url: str, writers: list[Writer]) -> set[str]:
        # In this order: who lives goes on to write meanwhile.
        acknowledged = [label for each in writers for label in each.labels("acknowledged")]
        with metastore.connect(url, mode="rw", create=False) as store:
            there = _check_later(store.backend, acknowledged, writers)
        self.checks += 1
        if self.kills % self.command_each == 0:
            verify_by_command(url)
            self.commands += 1
        return there

    def figures(self) -> dict[str, Any]:
        """What was done, in numbers."""
        return {
            "kills": self.kills,
            "inside an open transaction": self.inside,
            "inside an open transaction, %": round(100 * self.inside / self.kills, 1),
            "while COMMIT was under way": self.stages[Stage.COMMITTING],
            "while BEGIN was under way": self.stages[Stage.BEGINNING],
            "outside": self.stages[Stage.OUTSIDE],
            "batches acknowledged": self.acknowledged,
            "batches there though not acknowledged": self.unacknowledged,
            "lost, doubled or partial batches": 0,
            "checks of the whole store": self.checks,
            "of them by the command": self.commands,
        }

    def figures_of_servers(self) -> dict[str, Any]:
        """The same of kills of servers."""
        return {
            "kills of the server": self.servers,
            "writers inside an open transaction then": self.inside,
            "writers whose COMMIT was under way then": self.stages[Stage.COMMITTING],
            "batches acknowledged": self.acknowledged,
            "lost, doubled or partial batches": 0,
            "errors of writers": 0,
        }


def _check_later(
    store: metastore.BaseMetadataStore, acknowledged: list[str], writers: list[Writer]
) -> set[str]:
    class Begun:
        """Read when the store was read: the labels that may be there by then."""

        def __iter__(self) -> Any:
            return iter([label for each in writers for label in each.labels("begun")])

    return set(check(store, acknowledged=acknowledged, begun=Begun()))
