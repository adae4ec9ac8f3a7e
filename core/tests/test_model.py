"""The plain records."""

from __future__ import annotations

import json

import pytest

from metastore import ExecutionState, NodeKind, PropertyKind


def test_states_and_kinds_print_as_their_names() -> None:
    """People read a name, in whatever layout; programs that ask for an integer get the number."""
    state = ExecutionState.COMPLETE
    assert (str(state), f"{state}", f"{state:>10}", f"{state!s}") == (
        "COMPLETE",
        "COMPLETE",
        "  COMPLETE",
        "COMPLETE",
    )
    assert (f"{state:d}", f"{state:04x}", int(state), json.dumps(state)) == ("3", "0003", 3, "3")


@pytest.mark.parametrize("kind", [ExecutionState, NodeKind, PropertyKind])
def test_members_are_equal_to_their_numbers(kind: type[ExecutionState]) -> None:
    """A member is found by its number, and hashes as it."""
    for member in kind:
        assert kind(int(member)) is member
        assert {int(member): "found"}[member] == "found"
