"""The filter language: what is understood, and what is said of what is not."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from random import Random
from typing import Any

import pytest

from metastore import (
    Batch,
    Filter,
    FilterError,
    InvalidError,
    MemoryMetadataStore,
    NodeKind,
    NodeQuery,
)
from metastore.query import like
from metastore.testing.random_filters import random_batch

ARTIFACT, EXECUTION, CONTEXT = NodeKind.ARTIFACT, NodeKind.EXECUTION, NodeKind.CONTEXT
PAGE = Path(__file__).parents[2] / "docs" / "filters.md"

# The filter; what stands at the mark; words of the message.
WRONG: list[tuple[str, str, tuple[str, ...]]] = [
    ("properties.learning-rate > 0.1", "rate", ("properties.`learning-rate`",)),
    ("name = ", "", ("does not expect the end", "a field", "a text in quotes")),
    ("name == 'x'", "=", ("does not expect '='",)),
    ("name = 'x' ANDD id = 1", "ANDD", ("'ANDD'", "expected AND, OR, the end")),
    ("nme = 'x'", "nme", ("no field 'nme'", "did you mean name?")),
    ("name = 1", "1", ("a number stands where a text is wanted",)),
    ("id = 'x'", "'x'", ("a text stands where a number is wanted",)),
    ("state < LIVE", "state < LIVE", ("cannot be compared with <", "NOT IN")),
    ("state = LIV", "LIV", ("not a state of artifacts", "LIVE")),
    ("state = 2", "2", ("not a state of artifacts",)),
    ("state = RUNNING", "RUNNING", ("not a state of artifacts",)),
    ("properties.a = properties.b", "properties.a = properties.b", (".int_value",)),
    ("name = NULL", "name = NULL", ("IS NULL",)),
    ("NULL", "NULL", ("where a condition is wanted",)),
    ("id", "id", ("a number where a condition is wanted",)),
    ("name = 'x", "'", ("has no end", "close it with '")),
    ("(id = 1", "", ("the end", "')'")),
    ("id = 1)", ")", ("')'",)),
    ("id = 1; DROP TABLE Artifact", ";", ("not a statement",)),
    ("id = 1 -- comment", "comment", ("no field 'comment'",)),
    ("events_0.foo = 1", "events_0.foo", ("no field 'foo'", "execution_id")),
    ("artifacts_0.id = 1", "artifacts_0.id", ("no neighbours 'artifacts_0'", "contexts_x")),
    ("contexts_0 = 1", "contexts_0", ("a neighbour", "contexts_0.id")),
    ("name = 'it''s'", "'s'", (r"'it\'s'",)),
    ("id = 99999999999999999999", "99999999999999999999", ("64 bits",)),
    ("id = 9223372036854775808", "9223372036854775808", ("64 bits",)),
    ("id = 1e999", "1e999", ("range of a double",)),
    ("id = 1x", "1", ("cannot have '1'",)),
    ("`name` = 'x'", "`", ("backquotes",)),
    ("name LIKE 3", "3", ("no text in quotes",)),
    ("name LIKE uri", "uri", ("no text in quotes",)),
    (f"name LIKE '{'x' * 2001}'", "'" + "x" * 2001 + "'", ("more than 2000",)),
    ("id IN ()", ")", ("')'",)),
    ("1 = 1 = 1", "=", ("expected AND, OR, the end",)),
    ("(id = 1) = TRUE", "id = 1", ("a condition where a value is wanted",)),
    ("LENGTH(name, uri) = 1", "LENGTH(name, uri", ("one argument, not 2",)),
    ("COALESCE() = 1", "COALESCE", ("no arguments",)),
    ("COALESCE(state, state) = LIVE", "LIVE", ("no field",)),
    ("name = 'a\\q'", "\\q", ("stands for nothing",)),
    ("name = '\\ud800'", "\\ud800", ("no character",)),
    ("properties = 1", "properties", ("wants the key",)),
    ("properties.a.b.c = 1", "properties.a.b.c", ("too long",)),
    (f"id IN ({', '.join(['1.5'] * 1001)})", "1.5", ("more than 1000 conditions",)),
    ("-" * 26 + "id = 1", "-" * 25 + "id", ("more than 25 levels",)),
    ("properties.a.int = 1", "properties.a.int", ("no 'int'", "int_value")),
]


@pytest.mark.parametrize(("text", "place", "words"), WRONG, ids=[each[0][:40] for each in WRONG])
def test_what_is_wrong_is_shown_in_its_place(text: str, place: str, words: tuple[str, ...]) -> None:
    """An error says what is wrong and what was expected, with a mark under the place."""
    with pytest.raises(FilterError) as raised:
        Filter.parse(ARTIFACT, text)
    error = raised.value
    for word in words:
        assert word in error.line
    assert error.span is not None
    assert text[slice(*error.span)] == place
    assert error.marked is not None
    shown, mark = error.marked
    if len(text) < 100:
        assert shown[len(mark) - len(mark.lstrip()) :].startswith(place)
        assert mark.strip() == "^" * max(1, len(place))
    assert str(error) == f"{error.line}\n  {shown}\n  {mark}"


@pytest.mark.parametrize("wrong", ["", "  \n", None, 3, b"id = 1", ["id = 1"], "\ud800 = 1"])
def test_what_is_no_text_is_no_filter(wrong: Any) -> None:
    """What is no text, or an empty one, is refused."""
    with pytest.raises(FilterError, match="filter"):
        Filter.parse(ARTIFACT, wrong)


def test_a_filter_is_for_a_kind_of_nodes() -> None:
    """A kind that is none is refused; filters of one kind and text are equal."""
    with pytest.raises(InvalidError, match=r"NodeKind\.ARTIFACT"):
        Filter.parse("artifact", "id = 1")  # type: ignore[arg-type]  # the test's point
    assert Filter.parse(ARTIFACT, "id = 1") == Filter.parse(ARTIFACT, "id = 1")
    assert Filter.parse(ARTIFACT, "id = 1") != Filter.parse(CONTEXT, "id = 1")
    assert len({Filter.parse(ARTIFACT, "id = 1"), Filter.parse(ARTIFACT, "id = 1")}) == 1


def test_a_place_in_a_long_text_is_shown_alone() -> None:
    """Of a long filter only what is around the place is shown, on one line."""
    text = "\n".join(["id = 1 OR"] * 50 + ["nme = 2"] + ["OR id = 1"] * 50)
    with pytest.raises(FilterError) as raised:
        Filter.parse(ARTIFACT, text)
    assert raised.value.marked is not None
    shown, mark = raised.value.marked
    assert "nme = 2" in shown
    assert len(shown) < 150
    assert "\n" not in shown
    assert shown[mark.index("^") :].startswith("nme")


def test_a_place_behind_wide_characters() -> None:
    """In a terminal the mark stays below its place: East Asian characters take two cells."""
    with pytest.raises(FilterError) as raised:
        Filter.parse(ARTIFACT, "custom_properties.データ = 1 AND nme = 2")
    assert raised.value.marked is not None
    shown, mark = raised.value.marked
    assert mark == " " * (len("custom_properties. = 1 AND ") + 2 * len("データ")) + "^^^"
    assert shown == "custom_properties.データ = 1 AND nme = 2"


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("name='a' and not id<>3", "name = 'a' AND NOT (id != 3)"),
        ("NOT NOT id = 1", "id = 1"),
        ("id in(1,2)", "id IN (1, 2)"),
        ('name = "a\\x41\\u0041\\101\\n"', "name = 'aAAA\n'"),
        ('name = "it\'s"', r"name = 'it\'s'"),
        ("id = +1", None),
        ("properties.and.int_value = 1", "properties.`and`.int_value = 1"),
        ("properties . a . int_value = 1", "properties.a.int_value = 1"),
        ("id = .5e1", "id = 5.0"),
        ("id BETWEEN .1 AND .5 AND .5 = id", "id BETWEEN 0.1 AND 0.5 AND 0.5 = id"),
        ("((((id = 1))))", "id = 1"),
        ("last_known_state = RUNNING", "state = 'RUNNING'"),
    ],
)
def test_ways_to_write(text: str, same: str | None) -> None:
    """Case of words, blanks, quotes, escapes and parentheses make no difference."""
    kind = EXECUTION if "state" in text else ARTIFACT
    if same is None:
        with pytest.raises(FilterError):
            Filter.parse(kind, text)
        return
    one, other = Filter.parse(kind, text), Filter.parse(kind, same)
    assert (one.condition, one.constants) == (other.condition, other.constants)


def test_states_of_neighbours() -> None:
    """Executions have a `state` where they are neighbours, too."""
    short, full = (
        Filter.parse(CONTEXT, f"executions_x.{field} = RUNNING")
        for field in ("state", "last_known_state")
    )
    assert (short.condition, short.constants) == (full.condition, full.constants)


HOSTILE = {
    "deep parentheses": "(" * 40_000 + "id = 1" + ")" * 40_000,
    "deep brackets that never close": "(" * 90_000,
    "deep NOT": "NOT " * 20_000 + "id = 1",
    "deep alternation": "(id = 1 OR (id = 2 AND " * 3000 + "id = 3" + "))" * 3000,
    "deep arithmetic": "id = " + "(1 + " * 10_000 + "1" + ")" * 10_000,
    "many minuses": "id = " + "- " * 30_000 + "1",
    "a long chain": " OR ".join(["id = 1"] * 1000),
    "a chain that is too long": " OR ".join(["id = 1"] * 5000),
    "a long list": f"id IN ({', '.join(map(str, range(15_000)))})",
    "a megabyte": "name = '" + "x" * 1_000_000 + "'",
    "many neighbours": " AND ".join(f"contexts_{n}.id = {n}" for n in range(500)),
    "entangled neighbours": " AND ".join(
        f"contexts_{n}.id = contexts_{n + 1}.id" for n in range(9)
    ),
    "a long word": "a" * 99_000,
    "a long path": "properties" + ".a" * 40_000,
    "a long number": "id = " + "9" * 90_000,
    "a long string of escapes": "name = '" + "\\\\" * 40_000 + "'",
    "unclosed escapes": "name = '" + "\\" * 99_001,
    "all of latin": "name = '" + "".join(map(chr, range(0x80, 0x2000))).replace("'", "") + "'",
    "right to left": "name = '\u202e\u2066'",
    "a pattern of stars": "name LIKE '" + "%a" * 999 + "b'",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_filters_are_answered_or_refused(text: str) -> None:
    """Whatever is asked, the answer is one, or an error of ours."""
    store = MemoryMetadataStore.open()
    batch = random_batch(Random(1))
    batch.artifact("T", name="a" * 3000)
    store.write(batch)
    said = ""
    try:
        store.find_nodes(NodeQuery(ARTIFACT, filter=Filter.parse(ARTIFACT, text)))
    except FilterError as error:
        said = str(error)
    assert len(said) < 2000, said[:200]


def _with_contexts(count: int) -> MemoryMetadataStore:
    """A store with one artifact that is in so many contexts."""
    store = MemoryMetadataStore.open()
    batch = Batch()
    for kind in (ARTIFACT, NodeKind.CONTEXT):
        batch.type(kind, "T")
    artifact = batch.artifact("T")
    for number in range(count):
        batch.attribution(batch.context("T", name=f"c{number}"), artifact)
    store.write(batch)
    return store


NEVER = "contexts_a.id + contexts_b.id < 0"


def test_combinations_of_neighbours_are_bounded() -> None:
    """Pairs of neighbours are tried up to a bound; beyond it, the filter is refused."""
    few, many = _with_contexts(300), _with_contexts(1500)
    filter = Filter.parse(ARTIFACT, NEVER)
    assert few.find_nodes(NodeQuery(ARTIFACT, filter=filter)) == []
    with pytest.raises(FilterError, match="2,000,000 combinations"):
        many.find_nodes(NodeQuery(ARTIFACT, filter=filter))


def test_few_neighbours_are_combined() -> None:
    """What is asked of a neighbour alone is asked first: only what is left is combined."""
    store = _with_contexts(1500)
    filter = Filter.parse(
        ARTIFACT,
        f"({NEVER} OR contexts_a.id > contexts_b.id) AND "
        "contexts_a.name = 'c3' AND contexts_b.name = 'c2'",
    )
    assert len(store.find_nodes(NodeQuery(ARTIFACT, filter=filter))) == 1


@pytest.mark.parametrize(
    ("pattern", "text", "fits"),
    [
        ("", "", True),
        ("", "a", False),
        ("%", "", True),
        ("%%", "abc", True),
        ("_", "", False),
        ("_", "é", True),
        ("a%c", "abbbc", True),
        ("a%c", "abbb", False),
        ("a%b%c", "aXbYbZc", True),
        ("%b", "ab", True),
        ("b%b", "b", False),
        ("_%_", "a", False),
        ("A", "a", True),
        ("É", "é", False),
        ("a\\%", "a%", True),
        ("a\\%", "ab", False),
        ("a\\_b", "aXb", False),
        ("a\\b", "ab", True),
        ("a\\", "a\\", False),
        ("a.c", "abc", False),
        ("%\\%", "50%", True),
        ("[ab]", "a", False),
        ("a_c", "a\nc", True),
    ],
)
def test_like(pattern: str, text: str, fits: bool) -> None:
    """The whole text fits or does not; letters A to Z fit in both cases; backslash escapes."""
    assert like(pattern, text) is fits


def test_like_takes_no_exponential_time() -> None:
    """A pattern of a thousand stars on a text that nearly fits is answered."""
    assert not like("%a" * 1000 + "b", "a" * 10_000)
    assert like("%a" * 1000, "a" * 10_000)


@pytest.mark.skipif(not PAGE.is_file(), reason="the documents are not part of the distribution")
def test_the_examples_of_the_page() -> None:
    """Each filter of docs/filters.md is one, for the kind of nodes that it is said to be for."""
    blocks = re.findall(r"```filter (\w+)\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) > 6
    store = MemoryMetadataStore.open()
    for kind, lines in blocks:
        for line in lines.splitlines():
            filter = Filter.parse(NodeKind[kind.upper()], line)
            store.find_nodes(NodeQuery(filter.kind, filter=filter))


def test_no_filter_no_parser() -> None:
    """The parser library is imported for the first filter, and not before."""
    code = (
        "import sys, metastore\n"
        "store = metastore.connect('memory://')\n"
        "len(store.artifacts())\n"
        "assert 'lark' not in sys.modules\n"
        "len(store.artifacts(where='id = 1'))\n"
        "assert 'lark' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
