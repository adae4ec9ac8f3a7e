"""Section 10 of the contract: processes that are forked."""

from __future__ import annotations

import os
import pickle
import select
import signal
import warnings
from collections.abc import Callable
from typing import Any

import pytest

from metastore.base import BaseMetadataStore
from metastore.errors import ForkError, MetastoreError
from metastore.testing._base import ARTIFACT, ContractBase, ids, prepare, put

_SECONDS = 60


class ForkContract(ContractBase):
    """A forked child has a connection of its own, or none."""

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform has no fork")
    def test_a_forked_child_reads(self, store: BaseMetadataStore) -> None:
        """A forked child reads what is stored, or gets ForkError; its parent goes on. [10.6]

        On failure: compare `os.getpid()` with that of the process which connected, and connect
        anew (without closing what the parent uses), or raise `ForkError`.
        """
        prepare(store)
        id = put(store, ARTIFACT).id
        said = _in_child(lambda: ids(store, ARTIFACT))
        assert said in ([id], "ForkError"), said
        assert ids(store, ARTIFACT) == [id]
        put(store, ARTIFACT)
        assert len(ids(store, ARTIFACT)) == 2

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform has no fork")
    def test_a_forked_child_writes(self, store: BaseMetadataStore) -> None:
        """A forked child writes, or gets ForkError, and then its parent writes as before. [10.6]

        On failure: a connection that parent and child share mixes up what they say; one that the
        child closes at its end is closed for the parent too.
        """
        prepare(store)
        said = _in_child(lambda: put(store, ARTIFACT, name="of the child").id)
        assert isinstance(said, int) or said == "ForkError", said
        before = ids(store, ARTIFACT)
        id = put(store, ARTIFACT, name="of the parent").id
        assert ids(store, ARTIFACT) == [*before, id]


def _in_child(work: Callable[[], Any]) -> Any:
    """What `work` returns in a forked child, or the name of the error that it raises."""
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        # Threads of the flavor's: what becomes of them is what is tested.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if not child:
        _answer(work, writing)
    os.close(writing)
    try:
        answered, _, _ = select.select([reading], [], [], _SECONDS)
        if not answered:
            os.kill(child, signal.SIGKILL)
        with os.fdopen(reading, "rb") as pipe:
            data = pipe.read()
    finally:
        os.waitpid(child, 0)
    if not answered:
        return f"nothing in {_SECONDS} seconds: the child waits for a lock of its parent's"
    return pickle.loads(data) if data else "nothing: the child died"  # noqa: S301 - our own child's


def _answer(work: Callable[[], Any], pipe: int) -> None:
    """In the child: never back into pytest."""
    try:
        try:
            said = work()
        except ForkError:
            said = "ForkError"
        except MetastoreError as error:
            said = f"{type(error).__name__}: {error}"
        except BaseException as error:  # noqa: BLE001 - it is told to the parent
            said = f"raised {error!r}, which is no MetastoreError"
        os.write(pipe, pickle.dumps(said))
    finally:
        os._exit(0)
