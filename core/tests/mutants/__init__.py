"""Wrong stores: each is the memory flavor with one mistake, and names the test that must notice.

A new one is a class with the decorator `mutant` in the module of its subject.
"""

from __future__ import annotations

from . import _lifecycle, _links, _nodes, _reading, _transactions, _types, _values
from ._mutant import MUTANTS, UNMUTATED, Flavor, Mutant

__all__ = ["MUTANTS", "UNMUTATED", "Flavor", "Mutant", "mutant_named"]

# They are imported for what they enter in the table.
_SUBJECTS = (_lifecycle, _links, _nodes, _reading, _transactions, _types, _values)


def mutant_named(name: str) -> Mutant:
    """The mutant, or `UNMUTATED`, with that name."""
    [found] = [each for each in (UNMUTATED, *MUTANTS) if each.name == name]
    return found
