"""The conformance kit: pytest classes that hold a flavor to docs/contract.md.

A flavor's author writes one test module::

    import pytest

    from metastore.testing import StoreContract
    from metastore_flavor_mine import MineMetadataStore


    class TestMine(StoreContract):
        @pytest.fixture
        def make_store(self, tmp_path_factory):
            def make():
                return MineMetadataStore.open(...)  # a new, empty store, in mode "rw"

            return make

        @pytest.fixture
        def reopen(self):  # leave it out where a store cannot be opened twice
            return lambda store, mode: MineMetadataStore.open(..., mode=mode)

and inherits the whole contract.  A test that the flavor cannot pass is overridden and marked
``xfail`` with a reason; removing or replacing one otherwise is a failure of its own.  What the
flavor declares in `CAPABILITIES` not to have is skipped.  Needs the extra
``metastore-core[testing]``.
"""

import pytest

# By name, because a module that is imported already cannot be rewritten any more.
pytest.register_assert_rewrite(
    *(
        f"{__name__}.{module}"
        for module in (
            "_base",
            "_batches",
            "_events",
            "_filters",
            "_lifecycle",
            "_links",
            "_nodes",
            "_reading",
            "_reuse",
            "_transactions",
            "_types",
            "_updates",
            "_values",
            "contract",
            "model_based",
        )
    )
)

from metastore.testing._batches import BatchContract  # noqa: E402 - after the line above
from metastore.testing._contents import compare_stores, contents, exact  # noqa: E402
from metastore.testing._events import EventContract  # noqa: E402
from metastore.testing._filters import FilterContract, compare_filters  # noqa: E402
from metastore.testing._lifecycle import LifecycleContract  # noqa: E402
from metastore.testing._links import LinkContract  # noqa: E402
from metastore.testing._nodes import NodeContract  # noqa: E402
from metastore.testing._reading import ReadingContract  # noqa: E402
from metastore.testing._reuse import ReuseContract  # noqa: E402
from metastore.testing._transactions import TransactionContract  # noqa: E402
from metastore.testing._types import TypeContract  # noqa: E402
from metastore.testing._updates import UpdateContract  # noqa: E402
from metastore.testing._values import ValueContract  # noqa: E402
from metastore.testing.contract import StoreContract  # noqa: E402
from metastore.testing.model_based import ModelContract, histories, replay  # noqa: E402

__all__ = [
    "BatchContract",
    "EventContract",
    "FilterContract",
    "LifecycleContract",
    "LinkContract",
    "ModelContract",
    "NodeContract",
    "ReadingContract",
    "ReuseContract",
    "StoreContract",
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
