"""What docs/json.md promises of ``--json``."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest

from metastore import FlavorConfig, MemoryMetadataStore, Store
from metastore.plugins._sources import flavor_of_class

from .helper import Command

PAGE = Path(__file__).parents[3] / "docs" / "json.md"

COMMANDS = {
    "artifact": ("artifact", "show", "2"),
    "execution": ("execution", "show", "2"),
    "context": ("context", "show", "2"),
    "type": ("type", "show", "Model"),
    "pipeline": ("pipeline", "list"),
    "run": ("run", "show", "first"),
    "lineage": ("lineage", "2", "--down", "--up"),
    "store": ("store", "show", "mine"),
    "flavor": ("flavor", "show", "settled"),
}
ONLY_SHOWN = {
    "artifact": {"property_kinds", "custom_property_kinds", "produced_by", "consumed_by"},
    "execution": {
        *("property_kinds", "custom_property_kinds", "step", "step_state", "reason"),
        *("run_id", "run", "inputs", "outputs"),
    },
    "context": {
        *("property_kinds", "custom_property_kinds", "artifacts", "executions"),
        *("parents", "children"),
    },
    "type": {"nodes"},
    "run": {"steps"},
    "store": set(),
    "flavor": {"settings"},
}


def promised() -> dict[str, set[str]]:
    """The fields that the page names, by the name of its blocks."""
    if not PAGE.is_file():
        pytest.skip("the documents are not part of the distribution")
    blocks = re.findall(r"```fields ([\w.]+)\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    return {name: set(fields.split()) for name, fields in blocks}


def first(data: Any) -> dict[str, Any]:
    """An object, or the first of a list."""
    found: dict[str, Any] = data[0] if isinstance(data, list) else data
    return found


class SettledConfig(FlavorConfig):
    """Has a setting."""

    level: int = 3


class Settled(MemoryMetadataStore):
    """A flavor with a setting."""

    FLAVOR = "settled"
    CONFIG = SettledConfig


@pytest.fixture(autouse=True)
def registered(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A named store and a flavor with a setting."""
    monkeypatch.setenv("METASTORE_CONFIG", str(tmp_path / "config.toml"))
    monkeypatch.setattr("metastore.plugins._sources._here", {"settled": flavor_of_class(Settled)})
    monkeypatch.setitem(sys.modules, __name__, sys.modules[Settled.__module__])
    assert command("store", "register", "mine", "--flavor", "memory").code == 0


@pytest.mark.parametrize("noun", COMMANDS)
def test_fields_are_those_of_the_page(command: Command, store: Store, noun: str) -> None:
    """Each command prints the fields that the page promises, and the page names all of them."""
    page = promised()
    data = first(command(*COMMANDS[noun], "--json").data)
    assert set(data) == page[noun]
    for name, fields in page.items():
        if name.startswith(f"{noun}."):
            assert set(first(data[name.rpartition(".")[2]])) == fields


@pytest.mark.parametrize("noun", ONLY_SHOWN)
def test_lists_have_the_fields_of_the_page(command: Command, store: Store, noun: str) -> None:
    """A list has what the page does not say is there in `show` alone."""
    data = first(command(noun, "list", "--json").data)
    assert set(data) == promised()[noun] - ONLY_SHOWN[noun]


def test_every_block_of_the_page_is_one_of_a_command() -> None:
    """No fields are promised that no command prints."""
    # What copies a store takes two of them, and is in test_copy.py.
    assert {name.partition(".")[0] for name in promised()} == {*COMMANDS, "copy"}
