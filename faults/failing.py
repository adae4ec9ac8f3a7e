"""A writer whose calls to the disk fail, in a process that has loaded the shim."""

from __future__ import annotations

import errno
import json
import random
import shutil
from collections import Counter
from pathlib import Path

import metastore
from faults import shim
from faults.batches import batch_of, batches_in, check
from faults.shim import Sort
from faults.stores import new_file, url_of
from metastore import MetastoreError, OutcomeUnknownError

__all__ = ["write"]

_SORTS = (
    (Sort.WRITE,),
    (Sort.SYNC,),
    (Sort.TRUNCATE,),
    (Sort.UNLINK,),
    (Sort.OPEN, Sort.MAKE),
    (Sort.WRITE, Sort.SYNC, Sort.TRUNCATE, Sort.UNLINK, Sort.OPEN, Sort.MAKE),
)
_FOREVER = 1_000_000
_PER_STORE = 40
"""Failures on one file: it stays small enough to be looked at whole after each."""


def write(folder: str, results: str, journal: str, seed: int, times: int) -> None:
    """Write batches while calls fail, and look at what is there; figures go to a file.

    After each failure the files are copied, as they would be found if the process died now, and
    looked at; and the same store is written to again, when no call fails any more.

    Raises
    ------
    AssertionError
        Something acknowledged is not there, something is there in part, or what was told to have
        failed is there; what was raised is no error of ours.
    """
    chance = random.Random(seed)
    found = Counter[str]()
    while found["failures"] < times:
        here = Path(folder) / f"{found['failures']}"
        here.mkdir()
        _Writer(here, journal, chance, found).run(min(_PER_STORE, times - found["failures"]))
        shutil.rmtree(here)
    Path(results).write_text(json.dumps(found))


class _Writer:
    def __init__(
        self, folder: Path, journal: str, chance: random.Random, found: Counter[str]
    ) -> None:
        self._folder = folder
        self._path = folder / "store.db"
        # Not below the folder whose calls fail.
        self._dead = folder.parent.with_name(f"{folder.parent.name} dead")
        self._journal = journal
        self._chance = chance
        self._found = found
        self._done: list[str] = []
        self._doubtful: list[str] = []
        """Told to be written, or not."""
        self._number = 0

    def run(self, failures: int) -> None:
        """Write until so many batches have failed."""
        url = new_file(self._path, self._journal)
        with metastore.connect(url, create=False) as store:
            last = self._found["failures"] + failures
            while self._found["failures"] < last:
                self._write(store)
        with metastore.connect(url, create=False) as store:
            self._check(store)

    def _write(self, store: metastore.Store) -> None:
        self._number += 1
        label = f"f{self._number}"
        sorts = self._chance.choice(_SORTS)
        # How many calls a batch makes is known only when it has made them.
        after = self._chance.randrange(self._chance.choice([2, 20, 200]))
        shim.fail(
            *sorts,
            after=after,
            times=self._chance.choice([1, 2, _FOREVER]),
            error=self._chance.choice([errno.EIO, errno.ENOSPC]),
        )
        try:
            store.write(batch_of(label))
        except OutcomeUnknownError:
            self._doubtful.append(label)
            self._fell(OutcomeUnknownError.__name__, label, sorts)
        except MetastoreError as error:
            self._fell(type(error).__name__, label, sorts)
        else:
            self._done.append(label)
            if shim.calls(*sorts) > after:
                # A checkpoint, which is behind the batch and may fail, or a file that is closed.
                self._found["failing calls that did no harm"] += 1
        finally:
            shim.fail()
        # Later ones work: this one at once.
        self._number += 1
        label = f"f{self._number}"
        store.write(batch_of(label))
        self._done.append(label)
        self._check(store)

    def _fell(self, name: str, label: str, sorts: tuple[Sort, ...]) -> None:
        shim.fail()
        self._found["failures"] += 1
        self._found[f"told as {name}"] += 1
        shutil.rmtree(self._dead, ignore_errors=True)
        shutil.copytree(self._folder, self._dead, ignore=shutil.ignore_patterns("*-shm"))
        path = self._dead / "store.db"
        with metastore.connect(url_of(path), create=False) as store:
            there = set(batches_in(store.backend))
            assert label in self._doubtful or label not in there, (
                f"{label} was told to have failed ({name}, {sorts}), and is there when the "
                "process dies now"
            )
            self._check(store)
        self._found["looked at as after the death of the process"] += 1

    def _check(self, store: metastore.Store) -> None:
        check(store.backend, acknowledged=self._done, begun=[*self._done, *self._doubtful])
