"""The conformance kit: pytest classes that hold a flavor to docs/contract.md.

A flavor's author writes one test module::

    import pytest

    from metastore.testing import StoreContract
    from metastore_flavor_mine import MineMetadataStore


    class TestMine(StoreContract):
        @pytest.fixture
        def make_store(self, tmp_path_factory):
            def make():
                return MineMetadataStore.open(MineConfig(...))  # a new, empty store, mode "rw"

            return make

and inherits the whole contract: docs/testing-a-flavor.md.  A test that the flavor cannot pass is
overridden and marked ``xfail(reason=..., strict=True)``; removing or replacing one otherwise is a
failure of its own.  What the flavor declares in `CAPABILITIES` not to have is skipped, visibly.  A
test that fails shows its docstring: what must hold, by which paragraph of docs/contract.md, and
what to check.  Needs the extra ``metastore-core[testing]``.
"""

import pytest

# By name, because a module that is imported already cannot be rewritten any more.
pytest.register_assert_rewrite(
    *(
        f"{__name__}.{module}"
        for module in (
            "_base",
            "_batches",
            "_changes",
            "_events",
            "_filters",
            "_fixtures",
            "_flavor",
            "_forks",
            "_lifecycle",
            "_links",
            "_nodes",
            "_on_top",
            "_pages",
            "_reading",
            "_reuse",
            "_texts",
            "_threads",
            "_transactions",
            "_types",
            "_updates",
            "_values",
            "contract",
            "replaying",
        )
    )
)

from metastore.testing._batches import BatchContract  # noqa: E402 - after the line above
from metastore.testing._changes import ChangeContract  # noqa: E402
from metastore.testing._contents import compare_stores, contents, exact  # noqa: E402
from metastore.testing._events import EventContract  # noqa: E402
from metastore.testing._filters import FilterContract, compare_filters  # noqa: E402
from metastore.testing._fixtures import FixtureContract  # noqa: E402
from metastore.testing._flavor import (  # noqa: E402
    ConfigContract,
    PluginContract,
    SecretContract,
)
from metastore.testing._forks import ForkContract  # noqa: E402
from metastore.testing._lifecycle import LifecycleContract  # noqa: E402
from metastore.testing._links import LinkContract  # noqa: E402
from metastore.testing._nodes import NodeContract  # noqa: E402
from metastore.testing._on_top import LineageContract, RecordingContract  # noqa: E402
from metastore.testing._pages import PageContract  # noqa: E402
from metastore.testing._reading import ReadingContract  # noqa: E402
from metastore.testing._reuse import ReuseContract  # noqa: E402
from metastore.testing._texts import TextContract  # noqa: E402
from metastore.testing._threads import ThreadContract  # noqa: E402
from metastore.testing._transactions import TransactionContract  # noqa: E402
from metastore.testing._types import TypeContract  # noqa: E402
from metastore.testing._updates import UpdateContract  # noqa: E402
from metastore.testing._values import ValueContract  # noqa: E402
from metastore.testing.contract import StoreContract  # noqa: E402
from metastore.testing.model_based import (  # noqa: E402
    ModelContract,
    StoreMachine,
    histories,
    replay,
)

__all__ = [
    "BatchContract",
    "ChangeContract",
    "ConfigContract",
    "EventContract",
    "FilterContract",
    "FixtureContract",
    "ForkContract",
    "LifecycleContract",
    "LineageContract",
    "LinkContract",
    "ModelContract",
    "NodeContract",
    "PageContract",
    "PluginContract",
    "ReadingContract",
    "RecordingContract",
    "ReuseContract",
    "SecretContract",
    "StoreContract",
    "StoreMachine",
    "TextContract",
    "ThreadContract",
    "TransactionContract",
    "TypeContract",
    "UpdateContract",
    "ValueContract",
    "compare_filters",
    "compare_stores",
    "contents",
    "exact",
    "histories",
    "replay",
]
