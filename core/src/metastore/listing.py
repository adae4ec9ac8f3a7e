"""Lists that page lazily: what `Store` returns where a store may hold more than memory does."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import operator
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar, overload

from metastore.base import BaseMetadataStore, cursor_of
from metastore.errors import InvalidError, MetastoreError
from metastore.model import AnyNode
from metastore.query import Cursor, Filter, NodeQuery, check_number
from metastore.values import INT64_MAX

__all__ = ["Listing", "ListingPage", "checked_limit"]

T_co = TypeVar("T_co", covariant=True)


class Listing(Sequence[T_co]):
    """A sequence over the answer to a query, read page by page when it is asked for.

    `len` counts in the backend; a negative index asks in reverse; iterating reads a page at a
    time and keeps none.  What others write in between may or may not be seen.
    """

    PAGE = 500
    MOST_IDS = 5_000
    """So many nodes are read as one page where they are asked for by id."""

    def __init__(
        self,
        backend: BaseMetadataStore,
        query: NodeQuery,
        wrap: Callable[[Sequence[Any]], Sequence[T_co]],
    ) -> None:
        self._backend = backend
        self._query = query
        self._wrap = wrap
        self._begun: int | None = None

    def newest_first(self, limit: int | None = None) -> Listing[T_co]:
        """The same list from its end; of it the first `limit` items.

        Raises
        ------
        InvalidError
            The list has a limit of its own, whose end is nowhere in the store.
        """
        if self._query.limit is not None:
            raise InvalidError(
                "a list with a limit cannot be turned around",
                hint="turn the whole list around, and limit that: newest_first(limit)",
            )
        query = replace(
            self._query, descending=not self._query.descending, limit=checked_limit(limit)
        )
        return Listing(self._backend, query, self._wrap)

    def where(self, text: str) -> Listing[T_co]:
        """The same list, less what does not fulfil a filter (docs/filters.md).

        Raises
        ------
        FilterError
            The text is no filter.
        InvalidError
            The list has a filter already.
        """
        if self._query.filter is not None:
            raise InvalidError("the list has a filter already", hint="join the two with AND")
        filter = Filter.parse(self._query.kind, text)
        return Listing(self._backend, replace(self._query, filter=filter), self._wrap)

    def page(self, size: int = 100, token: str | None = None) -> ListingPage[T_co]:
        """A part of the list, and where it goes on: for who asks from another process, or later.

        Parameters
        ----------
        size:
            At most so many items, from 1.
        token:
            The `ListingPage.next_token` of the page before; None for the first page.

        Returns
        -------
        ListingPage
            What is written between two pages neither repeats nor hides other items; what changes
            its place (its update time, in a list that is ordered by it) may be met twice, or not at
            all where the newest come first.

        Raises
        ------
        InvalidError
            The token is none, or one of another list.
        """
        check_number(size, "the size of a page is an integer from 1", 1)
        query, left = self._query, self._query.limit
        if token is not None:
            after, left = _read_token(token, query)
            query = replace(query, after=after)
        wanted = size if left is None else min(size, left)
        nodes = self._take(replace(query, limit=None), wanted + 1)
        left = None if left is None else left - wanted
        following = None
        if len(nodes) > wanted and left != 0:
            cursor = cursor_of(nodes[wanted - 1], query.order_by)
            following = _token(self._query, cursor, left)
        return ListingPage(tuple(self._wrap(nodes[:wanted])), following)

    def __iter__(self) -> Iterator[T_co]:
        # `list` asks for an iterator, then for the length, to make room; what it comes to is often
        # known from the first page, and to count in the backend can cost more than to read.
        pages = self._pages(self._query)
        first = next(pages, ())
        limit = self._query.limit
        if len(first) < self._page_size() or len(first) == limit:
            self._begun = len(first)
        return self._from(first, pages)

    def _from(self, first: Sequence[Any], pages: Iterator[Sequence[Any]]) -> Iterator[T_co]:
        self._begun = None
        yield from self._wrap(first)
        for page in pages:
            yield from self._wrap(page)

    def _page_size(self) -> int:
        ids = self._query.ids
        if ids is not None and len(ids) <= self.MOST_IDS:
            # All of them, instead of sending the whole list of ids for each page.
            return max(self.PAGE, len(ids) + 1)
        return self.PAGE

    def _pages(self, query: NodeQuery) -> Iterator[Sequence[AnyNode]]:
        left, most = query.limit, self._page_size()
        while left is None or left > 0:
            size = most if left is None else min(most, left)
            page = self._backend.find_nodes(
                query if size == query.limit else query.page(query.after, size)
            )
            if page:
                yield page
            left = None if left is None else left - size
            if len(page) < size or left == 0:
                return
            query = query.page(cursor_of(page[-1], query.order_by), query.limit)

    def __len__(self) -> int:
        begun, self._begun = self._begun, None
        if begun is not None:
            return begun
        count = self._backend.count(self._query)
        return count if self._query.limit is None else min(count, self._query.limit)

    def __bool__(self) -> bool:
        return bool(self._take(self._query, 1))

    def _take(self, query: NodeQuery, size: int) -> list[AnyNode]:
        limit = size if query.limit is None else min(size, query.limit)
        query = query.page(query.after, limit)
        if 0 < limit <= self._page_size():
            return list(self._backend.find_nodes(query))
        return list(itertools.chain(*self._pages(query)))

    @overload
    def __getitem__(self, index: int) -> T_co: ...
    @overload
    def __getitem__(self, index: slice) -> list[T_co]: ...
    def __getitem__(self, index: int | slice) -> T_co | list[T_co]:
        if isinstance(index, slice):
            return self._slice(index)
        try:
            position = operator.index(index)
        except TypeError:
            raise TypeError(
                f"a list has positions and slices, no {type(index).__name__}; a run or a step is "
                "found by its name with find_run, pipeline or steps[...]"
            ) from None
        node = self._node(position)
        if node is None:
            raise IndexError(f"the list has no item {index}")
        return self._wrap([node])[0]

    def _node(self, index: int) -> AnyNode | None:
        if index < 0:
            if self._query.limit is not None:
                # The end of a limited list is not the end of the store.
                index += len(self)
                return None if index < 0 else self._node(index)
            backwards = replace(self._query, descending=not self._query.descending)
            found = self._take(backwards, -index)
            return found[-1] if len(found) == -index else None
        found = self._take(self._query, index + 1)
        return found[-1] if len(found) == index + 1 else None

    def _slice(self, index: slice) -> list[T_co]:
        start, stop, step = index.indices(len(self))
        if step > 0:
            return list(itertools.islice(iter(self), start, max(start, stop), step))
        return [*iter(self)][index]

    def __repr__(self) -> str:
        shown = self._wrap(self._take(self._query, 4))
        lines = [repr(each) for each in shown[:3]]
        if len(shown) > 3:
            lines.append(f"... {len(self)} in all")
        return "[" + ",\n ".join(lines) + "]"

    def _repr_html_(self) -> str:
        """A table of the first ten, for notebooks."""
        from metastore.drawing import card, table

        try:
            shown: Sequence[Any] = self._wrap(self._take(self._query, 11))
            rows = [each._row_html_() for each in shown[:10]]
            more = f"... {len(self)} in all" if len(shown) > 10 else ""
        except MetastoreError as error:
            return card("", str(error))
        if not rows:
            return card("", "an empty list")
        return card("", table([*rows[0]], ([*row.values()] for row in rows)), more)


@dataclass(frozen=True)
class ListingPage(Generic[T_co]):
    """A page of a list."""

    items: tuple[T_co, ...]
    next_token: str | None
    """For the page behind this one; None where there is none.  It is the text of a URL's query."""


_TOKEN_VERSION = 1


def _token(query: NodeQuery, cursor: Cursor, left: int | None) -> str:
    content = [_TOKEN_VERSION, _digest(query), cursor.value, cursor.id, left]
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")


def _read_token(token: str, query: NodeQuery) -> tuple[Cursor, int | None]:
    try:
        padded = token + "=" * (-len(token) % 4)
        decoded = base64.b64decode(padded, altchars=b"-_", validate=True)
        version, digest, value, id, left = json.loads(decoded)
        numbers = [value, id, 0 if left is None else left]
        if version != _TOKEN_VERSION or not all(
            type(each) is int and abs(each) <= INT64_MAX for each in numbers
        ):
            raise ValueError
    except (ValueError, TypeError, RecursionError):
        raise InvalidError(
            "the page token is none", hint="give the next_token of a page, or none"
        ) from None
    if digest != _digest(query):
        raise InvalidError(
            "the page token is one of another list",
            hint="ask with the conditions and the order that the token was given for",
        )
    return Cursor(value, id), left


def _digest(query: NodeQuery) -> str:
    """What makes a list another one: kind, conditions, filter and order."""
    filter = query.filter and query.filter.text
    said = repr((replace(query, after=None, filter=None), filter))
    return hashlib.sha256(said.encode(errors="surrogatepass")).hexdigest()[:16]


def checked_limit(limit: int | None) -> int | None:
    """The limit, if it is one."""
    if limit is not None:
        check_number(limit, "a limit is an integer from 0", 0, hint="use None for no limit")
    return limit
