"""Random histories, done to the store under test and to the memory flavor.

After each step both must have said the same (ids aside) and hold the same.  A history is plain
data: what is printed of a failure is cut down to what it needs, short enough to be read, and can be
pasted into `replay`.  Nodes are named by their rank among the nodes of their kind, so that a
history means the same for stores that give different ids; times are given, so that the same times
are stored.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from metastore.memory import MemoryMetadataStore
from metastore.testing._base import ContractBase, MakeStore, Reopen, needs
from metastore.testing.actions import STEPS, History, Step, histories
from metastore.testing.replaying import Pair, minimal, replay

__all__ = ["ModelContract", "StoreMachine", "histories", "replay"]

EXAMPLES = int(os.environ.get("METASTORE_TEST_HISTORIES", "80"))
"""Random histories."""
MOST_STEPS = 15
"""Of one of them."""


class StoreMachine(RuleBasedStateMachine):
    """Does the same steps to a new store and to one of the memory flavor, and compares them.

    Steps are batches, transactions that are rolled back, pages that are read, and closing and
    opening the store; see `metastore.testing.actions`.
    """

    def __init__(self, pair: Pair) -> None:
        super().__init__()
        self._pair = pair

    def teardown(self) -> None:
        """Close both stores."""
        self._pair.close()

    @rule(step=STEPS)
    def do(self, step: Step) -> None:
        """Both say the same to a step, and hold the same after it."""
        self._pair.do(step)


class ModelContract(ContractBase):
    """Random histories leave the same as in the reference implementation, `memory`."""

    def test_histories(self, make_store: MakeStore, reopen: Reopen | None) -> None:
        """After any steps, the store says and holds what the memory flavor does. [1.1-7.12, 8.8]

        On failure: the error has the shortest history that was found to fail: of its last step,
        store and memory flavor make something else.  ``replay`` does it again, in a test of yours.
        """
        pairs: list[Pair] = []

        def new_pair() -> Pair:
            store = make_store()
            needs(store, "atomic_batch", "full")
            pairs.append(Pair(store, MemoryMetadataStore.open(), reopen))
            return pairs[-1]

        try:
            _run_machine(lambda: StoreMachine(new_pair()))
        except Exception:
            if not pairs:
                raise
            # The last one that hypothesis tried is one that fails.
            shortest = minimal(pairs[-1].history, lambda history: _fails(history, new_pair))
        else:
            return
        # Outside of the handler: what it failed with first is the same, and much longer.
        _do(shortest, new_pair)
        raise AssertionError(f"it failed once, and not again: {shortest!r}")


def _run_machine(machine: Callable[[], StoreMachine]) -> None:
    run_state_machine_as_test(
        # Documented to take whatever makes a machine.
        machine,  # type: ignore[arg-type]
        settings=settings(
            deadline=None,
            derandomize=bool(os.environ.get("CI")),
            max_examples=EXAMPLES,
            stateful_step_count=MOST_STEPS,
            # Nothing is left in the folder of whoever runs the tests.
            database=None,
            print_blob=False,
            # `minimal` is faster than shrinking, and knows what a history is.
            phases=(Phase.generate,),
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )


def _do(history: History, new_pair: Callable[[], Pair]) -> None:
    pair = new_pair()
    try:
        for step in history:
            pair.do(step)
    finally:
        pair.close()


def _fails(history: History, new_pair: Callable[[], Pair]) -> bool:
    try:
        _do(history, new_pair)
    except Exception:  # noqa: BLE001 - as above
        return True
    return False
