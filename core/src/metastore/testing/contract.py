"""`StoreContract`: the whole contract in one class."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from metastore.testing._base import ContractBase
from metastore.testing._batches import BatchContract
from metastore.testing._changes import ChangeContract
from metastore.testing._deleting import DeleteContract
from metastore.testing._events import EventContract
from metastore.testing._filters import FilterContract
from metastore.testing._fixtures import FixtureContract
from metastore.testing._flavor import ConfigContract, PluginContract, SecretContract
from metastore.testing._forks import ForkContract
from metastore.testing._lifecycle import LifecycleContract
from metastore.testing._links import LinkContract
from metastore.testing._nodes import NodeContract
from metastore.testing._on_top import LineageContract, RecordingContract
from metastore.testing._pages import PageContract
from metastore.testing._reading import ReadingContract
from metastore.testing._reuse import ReuseContract
from metastore.testing._texts import TextContract
from metastore.testing._threads import ThreadContract
from metastore.testing._transactions import TransactionContract
from metastore.testing._types import TypeContract
from metastore.testing._updates import UpdateContract
from metastore.testing._values import ValueContract
from metastore.testing.model_based import ModelContract

__all__ = ["StoreContract"]


class StoreContract(
    FixtureContract,
    PluginContract,
    ConfigContract,
    SecretContract,
    TypeContract,
    ValueContract,
    TextContract,
    NodeContract,
    ReuseContract,
    UpdateContract,
    ChangeContract,
    EventContract,
    LinkContract,
    BatchContract,
    DeleteContract,
    TransactionContract,
    ReadingContract,
    PageContract,
    FilterContract,
    LifecycleContract,
    ThreadContract,
    ForkContract,
    LineageContract,
    RecordingContract,
    ModelContract,
):
    """Every test of the contract; give it a fixture `make_store`.

    make_store:
        A function without arguments; each call gives a new, empty store, open in mode ``"rw"``,
        from `open` of the flavor's class.  The tests close it.
    reopen:
        A function ``reopen(store, mode)`` that gives another open store over the same data;
        ``store`` may be closed by then.  By default the class opens what it opened before; None
        for a flavor whose data are gone when a store is closed.
    """

    def test_no_test_is_lost(self) -> None:
        """Every test of the contract is there; one that was overridden is marked xfail. [11.1]

        On failure: inherit the test.  Where the backend cannot do it, name it in `KNOWN_FAILURES`
        with the reason, or override it with ``@pytest.mark.xfail(reason="...", strict=True)`` and
        call the inherited one, so that the mark goes when the reason goes.
        """
        unknown = [
            name
            for name, why in self.KNOWN_FAILURES.items()
            if not why or not hasattr(StoreContract, name.partition("[")[0])
        ]
        assert not unknown, f"no reason, or no test of the contract: {', '.join(unknown)}"
        lost = missing_tests(type(self))
        assert not lost, (
            f"tests or fixtures of the contract that the class lacks, or replaces without an "
            f"xfail: {', '.join(lost)}; inherit them, or override a test with "
            "@pytest.mark.xfail(reason=..., strict=True)"
        )


_OF_THE_AUTHOR = frozenset({"make_store", "reopen"})


def missing_tests(cls: type[Any]) -> list[str]:
    """Tests and fixtures of the contract that a class removed, or replaced without saying why."""
    lost = []
    for name in dir(StoreContract):
        # Static: a fixture is another object at each access.
        whole = inspect.getattr_static(StoreContract, name)
        own = inspect.getattr_static(cls, name, None)
        if own is whole or name in _OF_THE_AUTHOR:
            continue
        if name.startswith("test_"):
            marks: list[pytest.Mark] = list(getattr(own, "pytestmark", ()))
            if not any(_says_why(mark) for mark in marks):
                lost.append(name)
        elif name in _FIXTURES:
            lost.append(name)
    return lost


def _says_why(mark: pytest.Mark) -> bool:
    """Whether it is an xfail with a reason that fails when the reason is gone."""
    told = mark.kwargs
    return mark.name == "xfail" and bool(told.get("reason")) and told.get("strict") is True


_FIXTURES = frozenset(
    name
    for base in StoreContract.__mro__
    if issubclass(base, ContractBase)
    for name in vars(base)
    if not name.startswith(("test_", "__")) and name != "KNOWN_FAILURES"
)
"""What the tests of the contract are made with."""
