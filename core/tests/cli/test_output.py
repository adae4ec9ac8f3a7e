"""What the command shows: to people, to ``grep``, to programs."""

from __future__ import annotations

import math

import pytest

import metastore
from metastore import Proto
from metastore.cli._escape import escape
from metastore.display import duration, iso

from .helper import Command, artifact_of, many_artifacts, on_screen, store_with, use

_HOSTILE = "[red]\x1b[31m\n\u202eevil\x9b2J\x07"
_SHOWN = r"[red]\x1b[31m\n\u202eevil\x9b2J\x07"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain [bold] text", "plain [bold] text"),
        ("日本語 é", "日本語 é"),
        (_HOSTILE, _SHOWN),
        ("\ud800", r"\ud800"),
        ("C:\\new", "C:\\new"),
        ("a\u2028b\tc\r", r"a\u2028b\tc\r"),
    ],
)
def test_what_does_not_print_is_escaped(text: str, shown: str) -> None:
    """Text that prints stays as it is; all else is written out."""
    assert escape(text) == shown


_COMMANDS = [
    ("pipeline", "list"),
    ("run", "list"),
    ("run", "show", "2"),
    ("artifact", "list"),
    ("artifact", "show", "1"),
    ("lineage", "1"),
]


def _hostile_store() -> metastore.Store:
    store = metastore.connect("memory://")
    h = _HOSTILE
    run = store.run(h, name=f"{h} run", parameters={h: h})
    with pytest.raises(ValueError), run, run.step(h, type=h, parameters={h: {h: h}}) as step:
        step.metric(h, 1.0)
        step.output(h, type=h, name=h, uri=h, properties={h: h}, custom_properties={h: h})
        raise ValueError(h)
    return store


@pytest.mark.parametrize("arguments", _COMMANDS)
def test_hostile_text_is_shown_and_does_nothing(
    command: Command, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    """Names, uris, keys, values and errors are printed literally, their controls escaped."""
    use(monkeypatch, _hostile_store())
    code, out, err = command(*arguments)
    assert (code, err) == (0, "")
    assert _SHOWN in out
    assert all(each.isprintable() for each in out.splitlines())


@pytest.mark.parametrize("arguments", _COMMANDS)
def test_hostile_text_is_harmless_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    """On a terminal nothing but our own lines and no control sequence of a name arrives."""
    use(monkeypatch, _hostile_store())
    lines = on_screen(monkeypatch, *arguments, width=300)
    assert any("[red]" in line for line in lines)
    assert all(line.isprintable() for line in lines)


@pytest.mark.parametrize("arguments", _COMMANDS)
def test_json_is_ascii(
    command: Command, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    """JSON output holds no control characters either, and comes back as what was stored."""
    use(monkeypatch, _hostile_store())
    result = command(*arguments, "--json")
    assert result.out.isascii()
    assert "\x1b" not in result.out
    assert result.data


def test_tables_fit_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """On 80 columns no line of a list is wider; ids are whole, and names keep both ends."""
    use(monkeypatch, store_with(name="begin-" + "x" * 200 + "-end", uri="s3://" + "y" * 200 + "/z"))
    lines = on_screen(monkeypatch, "artifact", "list")
    assert max(map(len, lines)) <= 80
    assert lines[1].startswith("1 ")
    assert "begin-" in lines[1]
    assert "-end" in lines[1]
    assert lines[1].endswith("/z")


def test_wide_characters_count_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """East Asian names are cut by the room they take, not by their number of characters."""
    from rich.cells import cell_len

    use(monkeypatch, store_with(name="日本語" * 30))
    assert max(map(cell_len, on_screen(monkeypatch, "artifact", "list"))) <= 80


def test_lines_are_whole_in_a_pipe(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no terminal, a row is one line with whole names and uris."""
    name, uri = "n" * 500, "s3://" + "u" * 500
    use(monkeypatch, store_with(name=name, uri=uri))
    header, row = command("artifact", "list").out.splitlines()
    assert header.split()[:3] == ["ID", "TYPE", "NAME"]
    assert row.split() == ["1", "T", name, "LIVE", *row.split()[4:6], uri]


def test_colours_are_for_terminals(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal with colours gets them, a pipe gets no escape sequence."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    store = store_with()
    monkeypatch.setattr(store, "close", lambda: None)
    use(monkeypatch, store)
    assert "\x1b" not in command("run", "list").out
    assert "\x1b[32m" in "".join(on_screen(monkeypatch, "run", "list", colour=True))


def test_lists_end_at_fifty_on_a_terminal(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A terminal gets the newest 50 and hears of the rest; a pipe and --json get all."""
    store = many_artifacts(60)
    monkeypatch.setattr(store, "close", lambda: None)
    use(monkeypatch, store)
    assert len(command("artifact", "list").out.splitlines()) == 61
    assert len(command("artifact", "list", "--json").data) == 60
    lines = on_screen(monkeypatch, "artifact", "list")
    assert len(lines) == 51
    assert lines[1].startswith("60 ")


def test_limits_are_kept_and_said(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """--limit holds everywhere, what is left out is said on stderr, and 0 means all."""
    store = many_artifacts(3)
    monkeypatch.setattr(store, "close", lambda: None)
    use(monkeypatch, store)
    for option in ((), ("--json",)):
        _, out, err = command("artifact", "list", "--limit", "2", *option)
        assert "/data/2" in out
        assert "/data/0" not in out
        assert err == "2 of 3 artifacts, the newest; --limit 0 shows all of them\n"
        assert command("artifact", "list", "--limit", "3", *option).err == ""
        assert "/data/0" in command("artifact", "list", "--limit", "0", *option).out


@pytest.mark.parametrize("noun", ["pipeline", "run", "artifact"])
def test_empty_lists(command: Command, monkeypatch: pytest.MonkeyPatch, noun: str) -> None:
    """A list of nothing is no output, said on stderr, and an empty array with --json."""
    use(monkeypatch, metastore.connect("memory://"))
    code, out, err = command(noun, "list")
    assert (code, out, err) == (0, "", f"no {noun}s in memory://\n")
    use(monkeypatch, metastore.connect("memory://"))
    assert command(noun, "list", "--json") == (0, "[]\n", "")


def test_every_kind_of_value_is_valid_json(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Values JSON lacks have a documented form, and the kinds tell it from text that is alike."""
    values = {
        "int": 2**63 - 1,
        "double": math.inf,
        "minus": -math.inf,
        "text": "Infinity",
        "yes": True,
        "struct": {"a": [1.5, None, {"b": -math.inf}]},
        "proto": Proto("type.googleapis.com/x", b"\x00\xff"),
    }
    use(monkeypatch, store_with(properties=values, custom_properties=values))
    found = command("artifact", "show", "1", "--json").data
    assert (
        found["properties"]
        == found["custom_properties"]
        == {
            "int": 2**63 - 1,
            "double": "Infinity",
            "minus": "-Infinity",
            "text": "Infinity",
            "yes": True,
            "struct": {"a": [1.5, None, {"b": "-Infinity"}]},
            "proto": {"type_url": "type.googleapis.com/x", "value": "AP8="},
        }
    )
    assert found["property_kinds"] == {
        "int": "INT",
        "double": "DOUBLE",
        "minus": "DOUBLE",
        "text": "STRING",
        "yes": "BOOLEAN",
        "struct": "STRUCT",
        "proto": "PROTO",
    }


def test_long_values_are_cut_for_people_only(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A very long value loses its middle in a table, and is whole in JSON."""
    store = store_with(properties={"long": "x" * 100_000})
    monkeypatch.setattr(store, "close", lambda: None)
    use(monkeypatch, store)
    out = command("artifact", "show", "1").out
    assert "(100000 characters)" in out
    assert len(out) < 2000
    whole = command("artifact", "show", "1", "--json").data
    assert whole["properties"]["long"] == "x" * 100_000


def test_times_are_iso_in_utc(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """Times have milliseconds and a Z; 0, which old stores write for unknown, is no time."""
    store = store_with()
    created = artifact_of(store).create_time
    use(monkeypatch, store)
    [found] = command("artifact", "list", "--json").data
    assert found["create_time"] == created.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    assert iso(1_700_000_000_001) == "2023-11-14T22:13:20.001Z"
    assert iso(0) is iso(None) is None
    assert iso(2**62) == "9999-12-31T23:59:59.999Z"


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (0, "0 ms"),
        (999, "999 ms"),
        (1000, "1.0 s"),
        (59_949, "59.9 s"),
        (59_960, "1 min 00 s"),
        (125_000, "2 min 05 s"),
        (3_600_000, "1 h 00 min"),
        (360_000_000, "100 h 00 min"),
    ],
)
def test_durations_read_well(milliseconds: int, text: str) -> None:
    """A duration has the two units that matter."""
    assert duration(1, 1 + milliseconds) == text
    assert duration(None, 1) == duration(2, 1) == ""
