"""Links from one page to others: relative, so that they hold wherever the pages are mounted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from urllib.parse import quote, urlencode

__all__ = ["Links"]

_LONGEST = 16_000
"""Characters of a value."""

Query = str | int | Iterable[str] | None


class Links:
    """Links of the page at a path, such as ``/runs/3``, below wherever the application is.

    Relative ones hold behind any proxy, whatever it does to paths, and whether it says so or not.
    """

    def __init__(self, path: str, query: Mapping[str, list[str]] | None = None) -> None:
        self._up = "../" * (path.count("/") - 1)
        self._last = path.rpartition("/")[2]
        self._query = dict(query or {})

    def __call__(self, *parts: str | int, **query: Query) -> str:
        """A link to another page; what is empty in its query is left out."""
        path = self._up + "/".join(quote(str(part), safe="") for part in parts)
        return (path or "./") + _query_text(query)

    def here(self, *, form: str | None = None, **changes: Query) -> str:
        """This page with something changed in its query; or as another form of it: ``"json"``."""
        query: dict[str, Query] = {**self._query, **changes}
        last = self._last if form is None else f"{self._last or 'index'}.{form}"
        return (quote(last, safe="") or "./") + _query_text(query)


def _query_text(query: Mapping[str, Query]) -> str:
    pairs: list[tuple[str, str]] = []
    for key, value in query.items():
        values = [str(value)] if isinstance(value, str | int) else list(value or ())
        # No server takes such an address; without that part it leads to a longer list.
        pairs += [(key, each) for each in values if 0 < len(each) <= _LONGEST]
    # What is half of a surrogate pair is no text, and nothing is called so.
    return f"?{urlencode(pairs, errors='replace')}" if pairs else ""
