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

_HEAVY = {"google", "lark", "ml_metadata", "pluggy", "pydantic", "sqlalchemy", "sqlite3"}


def _imported(*arguments: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", _SHOW_MODULES, *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stderr.splitlines()[-1]))


@pytest.mark.parametrize("arguments", [("--help",), ("--version",)])
def test_what_needs_no_noun_imports_none(arguments: tuple[str, ...]) -> None:
    """Help and version import click, and neither rich nor a module of any noun."""
    found = _imported(*arguments)
    assert not found & (_HEAVY | {"rich", "importlib_metadata"})
    assert {each for each in found if each.startswith("metastore.cli.")} == {
        f"metastore.cli.{each}" for each in ("_errors", "_escape", "_lazy", "_options")
    }


@pytest.mark.parametrize(
    "noun", ["pipeline", "run", "artifact", "execution", "context", "type", "flavor"]
)
def test_help_of_a_noun_imports_that_noun_alone(noun: str) -> None:
    """What a noun's help needs is the noun's own module, and no store."""
    found = _imported(noun, "--help")
    assert not found & (_HEAVY | {"rich", "metastore.store"})
    public = {each for each in found if each.startswith("metastore.cli.") and "._" not in each}
    assert public == {f"metastore.cli.{noun}"}


@pytest.mark.parametrize("option", [(), ("--json",)])
def test_listing_flavors_loads_none(option: tuple[str, ...]) -> None:
    """Flavors are listed from their metadata: no plugin module, driver or toolkit is imported."""
    found = _imported("flavor", "list", *option)
    assert not found & (_HEAVY | {"rich", "metastore.store"})
    assert not {each for each in found if each.startswith(("metastore_flavor", "metastore.sql"))}


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
