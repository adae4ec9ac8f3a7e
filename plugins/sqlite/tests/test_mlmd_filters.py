"""Filters find what ml-metadata's `filter_query` finds, but for what it gets wrong.

The deviations (docs/filters.md, "Differences from ML Metadata"), and how they are dealt with here:

- A property or neighbour that a node has not drops the node there: here the filter is asked
  together with a condition that each property and neighbour which it names is there.
- A text that is called like a column is read as the column there: no such text is asked for.
- LOWER and UPPER know A to Z only there: no other letters with two cases are asked for.
- A struct is a text there, the one that it is stored as: there are none here.
- A property and a custom property of one key are one in some updates there: nothing is updated.
- Names of states that it does not know, and backslashes in LIKE: not asked for.
"""

from __future__ import annotations

import os
import random
import re
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

pytest.importorskip("ml_metadata", reason="without ml-metadata there is nothing to compare with")

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from ml_metadata import errors
from ml_metadata.metadata_store.metadata_store import ListOptions

from metastore import (
    ArtifactState,
    EventType,
    ExecutionState,
    Filter,
    FilterError,
    NodeKind,
    NodeQuery,
)
from metastore.testing.random_filters import FilterAuthor, Words, random_batch

from . import mlmd
from .helpers import ARTIFACT, CONTEXT, EXECUTION, open_file

WORDS = Words(
    texts=("a", "A", "b", "x%y", "x_y", "", "\u4e2d", "it's", "\U0001f600", "q" * 50),
    doubles=(0.0, 0.5, 1.0, 2.0, -1.5),
    structs=False,
)
_UNKNOWN = {ArtifactState.ABANDONED, ArtifactState.REFERENCE, EventType.PENDING_OUTPUT}


def _known(states: Any) -> list[Any]:
    return [each for each in states if each not in _UNKNOWN or type(each) is ExecutionState]


_THEIRS = MappingProxyType({field: _known(states) for field, states in FilterAuthor.states.items()})


class TheirAuthor(FilterAuthor):
    """Writes what ml-metadata understands, too."""

    patterns = tuple(each for each in FilterAuthor.patterns if "\\" not in each)
    states = _THEIRS

    def _untyped(self) -> str:
        return self._comparison()

    def _missing(self) -> str:
        return f"{self._one(self._text, self._number)(0)} IS {self._one('', 'NOT ')}NULL"

    def _boolean(self) -> str:
        return (
            f"{self._property('.bool_value')} {self._one('=', '!=')} {self._one('TRUE', 'FALSE')}"
        )

    def _number(self, depth: int) -> str:
        # Of large numbers ml-metadata's own arithmetic is another one.
        found = super()._number(depth)
        return "1" if re.search(r"\d{10}|1e300", found) else found


def alike(text: str) -> str:
    """The filter, and that all that it names is there."""
    named = set(re.findall(r"(?:custom_)?properties\.(?:`[^`]*`|\w+)", text))
    named |= {f"{alias}.{_first(alias)}" for alias in re.findall(r"\b[a-z_]+_[a-z0-9](?=\.)", text)}
    return " AND ".join([f"({text})", *(f"{each} IS NOT NULL" for each in sorted(named))])


def _first(alias: str) -> str:
    return "type" if alias.startswith("events") else "id"


def _parsed(kind: NodeKind, text: str) -> Filter | None:
    """The filter; None where we refuse what makes no sense, or would take too long."""
    problem = ""
    try:
        return Filter.parse(kind, text)
    except FilterError as error:
        problem = error.line
    assert "depend on one another" in problem or "with NULL never holds" in problem, problem
    return None


def _asked(theirs: Any, kind: NodeKind, text: str) -> list[int] | None:
    ask = {
        ARTIFACT: theirs.get_artifacts,
        EXECUTION: theirs.get_executions,
        CONTEXT: theirs.get_contexts,
    }[kind]
    try:
        return sorted(node.id for node in ask(list_options=ListOptions(filter_query=text)))
    except (errors.InvalidArgumentError, errors.InternalError):
        return None


@settings(
    deadline=None,
    derandomize=bool(os.environ.get("CI")),
    max_examples=int(os.environ.get("METASTORE_TEST_FILTERS", "40")),
    database=None,
    suppress_health_check=list(HealthCheck),
    # To shrink takes minutes, each example being a new file for ml-metadata; the text is short.
    phases=[Phase.generate],
)
@given(chance=st.randoms(use_true_random=False))
def test_random_filters_find_what_ml_metadata_finds(
    chance: random.Random, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Random filters on random stores find the same nodes with ml-metadata and with us."""
    path: Path = tmp_path_factory.mktemp("filters") / "store.db"
    with_us = open_file(path)
    with_us.write(random_batch(chance, WORDS))
    with_us.close()
    theirs, asked, refused = mlmd.connect(path), [], 0
    for _ in range(25):
        kind = chance.choice(list(NodeKind))
        text = TheirAuthor(chance, kind, WORDS).condition()
        found = _asked(theirs, kind, text)
        asked.append((kind, text, found))
    del theirs
    with_us = open_file(path, "r")
    for kind, text, found in asked:
        if found is None:
            refused += 1
            continue
        filter = _parsed(kind, alike(text))
        if filter is None:
            continue
        ours = [node.id for node in with_us.read_nodes(NodeQuery(kind, filter=filter))]
        assert ours == found, f"{kind.label}s where {text}"
    with_us.close()
    assert refused < len(asked), "ml-metadata understood nothing"
