"""`Filter`: a condition on nodes, parsed and checked."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from metastore.errors import FilterError, InvalidError
from metastore.model import NodeKind
from metastore.query._grammar import parse
from metastore.query._resolve import Resolver
from metastore.query._scope import MAX_BOUND, TooEntangledError, bind
from metastore.query.tree import Condition

__all__ = ["Filter"]


class Filter:
    """A condition in the filter language (docs/filters.md), for nodes of one kind.

    Two filters of the same kind and text are equal.  For flavors: `condition` is the checked tree,
    without the values of literals, which are in `constants`; so one statement does for all filters
    of one shape.
    """

    __slots__ = ("condition", "constants", "kind", "text")

    def __init__(
        self, kind: NodeKind, text: str, condition: Condition, constants: tuple[Any, ...]
    ) -> None:
        self.kind = kind
        self.text = text
        self.condition = condition
        self.constants = constants

    @staticmethod
    def parse(kind: NodeKind, text: str) -> Filter:
        """The filter that a text says.

        Raises
        ------
        FilterError
            The text is none; it is shown with a mark under the place.
        """
        if type(kind) is not NodeKind:
            raise InvalidError(
                f"a filter is for a kind of nodes, not for {kind!r}",
                hint="use NodeKind.ARTIFACT, NodeKind.EXECUTION or NodeKind.CONTEXT",
            )
        # What is no text may not be hashable, so that the cache cannot take it.
        return _parsed(kind, text) if type(text) is str else _parse(kind, text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Filter) and (self.kind, self.text) == (other.kind, other.text)

    def __hash__(self) -> int:
        return hash((self.kind, self.text))

    def __repr__(self) -> str:
        return f"<Filter of {self.kind.label}s: {self.text}>"


def _parse(kind: NodeKind, text: str) -> Filter:
    syntax = parse(text)
    resolver = Resolver(kind, text)
    condition = resolver.condition(syntax)
    try:
        condition = bind(condition, resolver.aliases)
    except TooEntangledError:
        raise FilterError(
            f"more than {MAX_BOUND} neighbours in the filter depend on one another",
            hint="give neighbours that are asked for apart names of their own, or ask twice",
            text=text,
        ) from None
    return Filter(kind, text, condition, tuple(resolver.constants))


_parsed = lru_cache(maxsize=256)(_parse)
"""Lists ask page by page, and programs ask the same again."""
