"""The list of runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple

from metastore import json_fields, pipelines
from metastore.display import iso
from metastore.errors import FilterError, InvalidError
from metastore.layout import RUN_TYPE, STATE
from metastore.listing import Listing
from metastore.model import ExecutionState, NodeKind
from metastore.query import Filter, OrderBy
from metastore.store import Store
from metastore.ui._page import Page, Rows, Shown, View
from metastore.ui._search import OPERATORS, Conditions, quoted
from metastore.views import Pipeline, Run, runs_listing

__all__ = ["PAGE", "run_row", "runs_of"]

SIZE = 50
"""Runs on a page."""
_LOOKED_AT = 200
_MOST_LOOKED_AT = 1000
"""Runs that are read for one page, where only their steps say what state they are in."""
_MOST_PIPELINES = 200
"""Of a menu."""

STATES = ("RUNNING", "COMPLETE", "FAILED", "CANCELED", "NEW", "UNKNOWN")

SORTS = {
    "newest": (OrderBy.ID, True),
    "oldest": (OrderBy.ID, False),
    "changed": (OrderBy.UPDATE_TIME, True),
}


class _Search(NamedTuple):
    """What the address asks for."""

    pipeline: Pipeline | None
    state: str | None
    conditions: Conditions
    sort: str

    @classmethod
    def of(cls, view: View) -> _Search:
        state = view.text("state")
        if state is not None:
            view.choice("state", STATES, "")
        pipeline = view.text("pipeline")
        return cls(
            None
            if pipeline is None
            else view.store.pipeline(view.number("pipeline", None, least=1)),
            state,
            Conditions.of(view),
            view.choice("sort", SORTS, "newest"),
        )

    def listing(self, store: Store) -> Listing[Run]:
        """The runs; of those whose state only their steps know, of every state."""
        order, descending = SORTS[self.sort]
        query = pipelines.runs_query()
        if self.pipeline is not None:
            query = pipelines.runs_of(store.backend, self.pipeline.context.node)
        text = self.conditions.filter(NodeKind.CONTEXT, self._state_condition(store))
        filter = None if text is None else Filter.parse(NodeKind.CONTEXT, text)
        query = replace(query, filter=filter, order_by=order, descending=descending)
        return runs_listing(store.backend, query)

    def _state_condition(self, store: Store) -> str | None:
        """What a database can say of the state: that of runs of ours is a property."""
        if self.state in (None, "UNKNOWN"):
            return None
        ours = f"properties.{STATE} = {quoted(str(self.state))}"
        others = {each.name for each in store.types(NodeKind.CONTEXT)} - {RUN_TYPE}
        if others & set(pipelines.runs_query().type_names or ()):
            return f"type != {quoted(RUN_TYPE)} OR {ours}"
        return ours


def runs_of(view: View) -> Iterator[Run]:
    """All runs that the address asks for."""
    search = _Search.of(view)
    every = search.listing(view.store)
    return (each for each in every if search.state in (None, each.state.name))


class _Found(NamedTuple):
    runs: list[Run]
    next: str | None
    looked_at: int
    """How many were read to find these; 0 where no more than these had to be."""


def _found(search: _Search, listing: Listing[Run], token: str | None) -> _Found:
    """A page of runs, after a number of reads that does not grow with the store."""
    if search.state is None:
        page = listing.page(SIZE, token)
        return _Found(list(page.items), page.next_token, 0)
    wanted = ExecutionState[search.state]
    found: list[Run] = []
    looked_at, size = 0, SIZE
    while True:
        page = listing.page(size, token)
        matching = [at for at, run in enumerate(page.items) if run.state is wanted]
        room = SIZE - len(found)
        if len(matching) >= room and matching:
            # The next page begins behind the last one that is shown.
            last = matching[room - 1] + 1
            found += [page.items[at] for at in matching[:room]]
            if last < len(page.items):
                return _Found(found, listing.page(last, token).next_token, looked_at)
            return _Found(found, page.next_token, looked_at)
        found += [page.items[at] for at in matching]
        looked_at += len(page.items)
        token, size = page.next_token, _LOOKED_AT
        if token is None or looked_at >= _MOST_LOOKED_AT:
            return _Found(found, token, looked_at if token else 0)


def _show(view: View) -> Shown:
    error: FilterError | InvalidError | None = None
    found = _Found([], None, 0)
    count: int | None = None
    search = _Search.of(view)
    token = view.text("page")
    try:
        listing = search.listing(view.store)
        found = _found(search, listing, token)
        if search.state is None and token is None:
            count = _count(search, listing, found)
    except InvalidError as wrong:
        error = wrong
    menu = [*view.store.pipelines().newest_first(_MOST_PIPELINES + 1)]
    following = None if found.next is None else view.link.here(page=found.next)
    return Shown(
        "runs.html",
        "Runs",
        {
            "runs": found.runs,
            "count": count,
            "next": following,
            "is_first": token is None,
            "looked_at": found.looked_at,
            "search": search,
            "pipelines": _menu(menu, search.pipeline),
            "is_long": len(menu) > _MOST_PIPELINES,
            "states": STATES,
            "sorts": SORTS,
            "operators": OPERATORS,
        },
        lambda: {
            "runs": [json_fields.run(each) for each in found.runs],
            "next": None if found.next is None else view.link.here(form="json", page=found.next),
        },
        status=200 if error is None else 400,
        error=error,
        is_live=any(each.state is ExecutionState.RUNNING for each in found.runs),
    )


def _count(search: _Search, listing: Listing[Run], found: _Found) -> int | None:
    """How many there are, where that is quickly told."""
    if found.next is None:
        return len(found.runs)
    # With a filter the database would have to try it on every run.
    no_filter = search.conditions.filter(NodeKind.CONTEXT) is None
    return len(listing) if no_filter else None


def _menu(newest: list[Pipeline], chosen: Pipeline | None) -> list[Pipeline]:
    shown = newest[:_MOST_PIPELINES]
    if chosen is not None and chosen not in shown:
        shown.append(chosen)
    return sorted(shown, key=lambda each: each.name.casefold())


RUN_COLUMNS = (
    *("id", "name", "pipeline", "convention", "state", "error", "start_time", "end_time"),
    *("duration_ms", "parameters"),
)


def run_row(run: Run) -> list[Any]:
    """A row of CSV."""
    record = run.record
    known = record.started_ms is not None and record.finished_ms is not None
    return [
        run.id,
        run.name,
        run.pipeline,
        run.convention,
        run.state.name,
        run.error,
        iso(record.started_ms),
        iso(record.finished_ms),
        (record.finished_ms or 0) - (record.started_ms or 0) if known else None,
        json_fields.values(run.parameters),
    ]


def _rows(view: View) -> Rows:
    return Rows(RUN_COLUMNS, map(run_row, runs_of(view)))


PAGE = Page("/runs", _show, _rows, place="runs")
