"""What the command imports, and when."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

_SHOW_MODULES = """
import json, sys
from metastore.cli import main
try:
    main()
finally:
    print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""

_HEAVY = {"google", "grpc", "lark", "ml_metadata", "pluggy", "pydantic", "sqlalchemy", "sqlite3"}


def _imported(*arguments: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", _SHOW_MODULES, *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stderr.splitlines()[-1]))


def test_the_version_imports_no_noun() -> None:
    """The version needs click, and neither rich nor a module of any noun."""
    found = _imported("--version")
    assert not found & (_HEAVY | {"rich", "importlib_metadata"})
    assert {each for each in found if each.startswith("metastore.cli.")} == {
        f"metastore.cli.{each}" for each in ("_errors", "_escape", "_lazy", "_options")
    }


def test_help_asks_plugins_for_commands_alone() -> None:
    """The help loads plugin modules, which may add commands; no noun, no driver, no pydantic."""
    found = _imported("--help")
    assert not found & (_HEAVY - {"pluggy"} | {"rich", "importlib_metadata", "metastore.base"})
    assert not {each for each in found if each.startswith("metastore.cli.") and "._" not in each}


def test_a_noun_asks_no_plugin() -> None:
    """A command of core's loads no plugin module but that of the flavor that it needs."""
    found = _imported("run", "list", "--store", "memory://")
    assert "metastore.plugins.memory" in found
    assert not {each for each in found if each.startswith("metastore_flavor")}


@pytest.mark.parametrize(
    "noun", ["pipeline", "run", "artifact", "execution", "context", "type", "store", "flavor"]
)
def test_help_of_a_noun_imports_that_noun_alone(noun: str) -> None:
    """What a noun's help needs is the noun's own module, and no store."""
    found = _imported(noun, "--help")
    assert not found & (_HEAVY | {"rich", "metastore.store"})
    public = {each for each in found if each.startswith("metastore.cli.") and "._" not in each}
    assert public == {f"metastore.cli.{noun}"}


@pytest.mark.parametrize("option", [(), ("--json",)])
def test_listing_flavors_loads_no_driver(option: tuple[str, ...]) -> None:
    """To list flavors their plugin modules are loaded: no driver, no toolkit, no pydantic."""
    found = _imported("flavor", "list", *option)
    assert not found & (_HEAVY - {"pluggy"} | {"rich", "metastore.store", "metastore.base"})
    flavors = {each for each in found if each.startswith(("metastore_flavor", "metastore.sql"))}
    # A package, its plugin module, and what tells that one whether the flavor can be used.
    assert {each.partition(".")[2] for each in flavors} <= {"", "plugin", "availability"}


def test_every_noun_in_the_help_is_there() -> None:
    """The static list of commands names modules that exist, and says what they say themselves."""
    import click

    from metastore.cli import cli

    ctx = click.Context(cli)
    for name in cli.list_commands(ctx):
        found = cli.get_command(ctx, name)
        assert found is not None
        assert found.name == name
        assert found.help
        # A mark of click's that click did not read.
        assert "\\b" not in found.get_help(click.Context(found, info_name=name, parent=ctx))
