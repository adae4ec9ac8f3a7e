"""What a flavor can do beyond the contract; by itself, so that a plugin module imports little."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Capabilities"]


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a flavor can do beyond the contract, known without opening a store.

    atomic_batch:
        ``"full"``, or ``"nodes"`` where types and parent contexts are written apart.
    given_times:
        Create and update times of a draft are kept; otherwise the backend sets its own.
    exact_doubles:
        Doubles come back bit for bit.
    snapshot:
        `BaseMetadataStore.snapshot` gives several reads one state of the store.
    native_filter:
        Filters are evaluated by the backend; otherwise on our side.
    delete:
        Nodes can be deleted.
    provision:
        The flavor can create and remove the service it connects to.
    """

    atomic_batch: Literal["full", "nodes"] = "full"
    given_times: bool = True
    exact_doubles: bool = True
    snapshot: bool = False
    native_filter: bool = False
    delete: bool = False
    provision: bool = False
