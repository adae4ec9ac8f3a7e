"""Wrong stores: each is the memory flavor with one mistake, and names the test that must notice.

A new one is a class with the decorator `mutant` in the module of its subject.
"""

from __future__ import annotations

from . import (
    _deleting,
    _fixtures,
    _flavor,
    _forks,
    _lifecycle,
    _links,
    _nodes,
    _on_top,
    _reading,
    _transactions,
    _types,
    _values,
)
from ._cellar import UNMUTATED_CELLAR
from ._mutant import MUTANTS, UNMUTATED, Flavor, Mutant

__all__ = ["MUTANTS", "UNMUTATED", "UNMUTATED_CELLAR", "Flavor", "Mutant", "mutant_named"]

# They are imported for what they enter in the table.
_SUBJECTS = (
    *(_deleting, _fixtures, _flavor, _forks, _lifecycle, _links, _nodes, _on_top),
    *(_reading, _transactions, _types, _values),
)


def mutant_named(name: str) -> Mutant:
    """The mutant, or one of those that are none, with that name."""
    [found] = [each for each in (UNMUTATED, UNMUTATED_CELLAR, *MUTANTS) if each.name == name]
    return found
