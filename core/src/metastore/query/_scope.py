"""Where the aliases of a filter are bound: each by one `Exists`, around as little as possible.

``contexts_a.name = 'x' AND contexts_b.name = 'y'`` asks for two contexts, each by itself; only
predicates that share an alias speak of one context.  So no product over all neighbours is needed:
"there is" moves inward over OR, and over AND to the parts that share aliases.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from metastore.query.tree import (
    AliasKind,
    Condition,
    Either,
    Every,
    Exists,
    aliases_of,
)

__all__ = ["MAX_BOUND", "TooEntangledError", "bind"]

MAX_BOUND = 2
"""Aliases that may depend on one another: a node with n neighbours has n**2 pairs of them."""


class TooEntangledError(Exception):
    """More aliases than `MAX_BOUND` depend on one another."""


def bind(
    condition: Condition, kinds: Mapping[str, AliasKind], bound: frozenset[str] = frozenset()
) -> Condition:
    """The condition with an `Exists` for each alias that is not in `bound`."""
    if isinstance(condition, Either):
        return Either(tuple(bind(each, kinds, bound) for each in condition.conditions))
    if isinstance(condition, Every):
        found = [_bind_group(group, kinds, bound) for group in _groups(condition.conditions, bound)]
        return found[0] if len(found) == 1 else Every(tuple(found))
    return _exists(aliases_of(condition) - bound, condition, kinds, bound)


def _bind_group(
    group: list[Condition], kinds: Mapping[str, AliasKind], bound: frozenset[str]
) -> Condition:
    if len(group) == 1:
        return bind(group[0], kinds, bound)
    counts: dict[str, int] = {}
    for each in group:
        for alias in aliases_of(each) - bound:
            counts[alias] = counts.get(alias, 0) + 1
    shared = frozenset(alias for alias, count in counts.items() if count > 1)
    inner = Every(tuple(bind(each, kinds, bound | shared) for each in group))
    return _exists(shared, inner, kinds, bound)


def _exists(
    aliases: frozenset[str],
    condition: Condition,
    kinds: Mapping[str, AliasKind],
    bound: frozenset[str],
) -> Condition:
    if not aliases:
        return condition
    if len(aliases | bound) > MAX_BOUND:
        raise TooEntangledError
    return Exists(tuple((alias, kinds[alias]) for alias in sorted(aliases)), condition)


def _groups(conditions: Iterable[Condition], bound: frozenset[str]) -> list[list[Condition]]:
    """The conditions, those together that share a free alias, over others too."""
    groups: list[tuple[set[str], list[Condition]]] = []
    for each in conditions:
        aliases, members = set(aliases_of(each) - bound), [each]
        apart = []
        for group in groups:
            if aliases and group[0] & aliases:
                aliases |= group[0]
                members = [*group[1], *members]
            else:
                apart.append(group)
        groups = [*apart, (aliases, members)]
    return [members for _, members in groups]
