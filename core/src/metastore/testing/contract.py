"""`StoreContract`: the whole contract in one class."""

from __future__ import annotations

from typing import Any

import pytest

from metastore.testing._batches import BatchContract
from metastore.testing._events import EventContract
from metastore.testing._filters import FilterContract
from metastore.testing._lifecycle import LifecycleContract
from metastore.testing._links import LinkContract
from metastore.testing._nodes import NodeContract
from metastore.testing._reading import ReadingContract
from metastore.testing._reuse import ReuseContract
from metastore.testing._transactions import TransactionContract
from metastore.testing._types import TypeContract
from metastore.testing._updates import UpdateContract
from metastore.testing._values import ValueContract
from metastore.testing.model_based import ModelContract

__all__ = ["StoreContract"]


class StoreContract(
    TypeContract,
    ValueContract,
    NodeContract,
    ReuseContract,
    UpdateContract,
    EventContract,
    LinkContract,
    BatchContract,
    TransactionContract,
    ReadingContract,
    FilterContract,
    LifecycleContract,
    ModelContract,
):
    """Every test of the contract; give it a fixture `make_store`, and `reopen` where it can be.

    make_store:
        A function without arguments; each call gives a new, empty store, open in mode ``"rw"``.
        The tests close it.
    reopen:
        A function ``reopen(store, mode)`` that gives another open store over the same data;
        ``store`` may be closed by then.
    """

    def test_no_test_is_lost(self) -> None:
        """Every test of the contract is there; one that was overridden is marked xfail. [11.1]"""
        lost = missing_tests(type(self))
        assert not lost, (
            f"tests of the contract that the class lacks, or replaces without an xfail: "
            f"{', '.join(lost)}; inherit them, or override them with "
            "@pytest.mark.xfail(reason=...)"
        )


def missing_tests(cls: type[Any]) -> list[str]:
    """Tests of the contract that a class removed, or replaced without saying why."""
    lost = []
    for name in dir(StoreContract):
        if not name.startswith("test_"):
            continue
        own = getattr(cls, name, None)
        if own is getattr(StoreContract, name):
            continue
        marks: list[pytest.Mark] = list(getattr(own, "pytestmark", ()))
        if not any(mark.name == "xfail" and mark.kwargs.get("reason") for mark in marks):
            lost.append(name)
    return lost
