"""``metastore flavor``."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from metastore.cli._lazy import SuggestingGroup
from metastore.cli._options import debug_option
from metastore.errors import FlavorError, FlavorNotFoundError, MetastoreError, Offender

if TYPE_CHECKING:
    from metastore.cli._output import Row
    from metastore.plugins._flavor import Flavor
    from metastore.plugins._registry import FlavorRegistry, FlavorStatus

__all__ = ["flavor"]


@click.group(cls=SuggestingGroup)
def flavor() -> None:
    """The installed flavors: kinds of stores."""


_json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON, with all there is."
)


@flavor.command("list")
@_json_option
@debug_option(hidden=True)
def list_(as_json: bool) -> None:
    """List the flavors; a flavor's name is the scheme of its stores' URLs.

    Their plugin modules are loaded for it, but not their drivers.

    JSON fields: name, state (ok, registered, incompatible, conflict, broken or disabled), reason
    (null when it can be used), summary, distribution, version, location (the folder it is installed
    in), editable, entry_point, source (of a registered class), capabilities.
    """
    from metastore.cli import _json
    from metastore.cli._output import Column, remark, state_style, table

    with _nothing_on_stdout():
        statuses = _registry().statuses()
    if as_json:
        _json.write_list(map(_fields, statuses))
        return
    rows: list[Row] = []
    for each in statuses:
        found = each.found
        rows.append(
            [
                each.name,
                each.state.value,
                found.distribution if found else "-",
                found.version if found else "-",
                ", ".join(_able(each.flavor)) if each.flavor else "",
                f"{found.location} (editable)" if found and found.editable else _place(each),
            ]
        )
        if each.reason:
            rows.append(each.reason)
    count = table(
        [
            Column("NAME"),
            Column("STATE", style=state_style),
            Column("DISTRIBUTION"),
            Column("VERSION"),
            Column("CAPABILITIES", shrinks=8),
            Column("LOCATION", shrinks=8),
        ],
        rows,
    )
    if not count:
        remark("no flavors are installed, not even core's own: its metadata is missing")


@flavor.command("show")
@click.argument("name")
@_json_option
@debug_option(hidden=True)
def show(name: str, as_json: bool) -> None:
    """Show a flavor, and the settings of its stores; never a value of one.

    JSON fields: those of 'metastore flavor list', and settings: a list with name, type, default
    (null where it must be given), variable (of the environment), is_secret, description.
    """
    from metastore.cli import _json
    from metastore.cli._output import Column, fields, heading, line, table
    from metastore.plugins._classes import config_class

    registry = _registry()
    usable = registry.get(name)
    status = next(
        each for each in registry.statuses() if each.flavor is usable or each.flavor == usable
    )
    settings = config_class(usable).settings(name)
    if as_json:
        _json.write_object({**_fields(status), "settings": [each._asdict() for each in settings]})
        return
    line(f"flavor {name}", style="bold")
    found = status.found
    fields(
        [
            ("summary", usable.summary),
            ("state", status.state.value),
            ("distribution", f"{found.distribution} {found.version}" if found else None),
            ("location", _place(status)),
            ("editable", "yes" if found and found.editable else None),
            ("capabilities", _able(usable) or "none beyond the contract"),
        ]
    )
    if not settings:
        line("Its stores have no settings.")
        return
    heading("Settings")
    table(
        [
            Column("NAME"),
            Column("TYPE"),
            Column("DEFAULT", shrinks=8),
            Column("SECRET"),
            Column("ENVIRONMENT"),
            Column("DESCRIPTION", shrinks=16),
        ],
        (
            [
                each.name,
                each.type,
                "(required)" if each.default is None else each.default,
                "yes" if each.is_secret else "no",
                each.variable,
                each.description,
            ]
            for each in settings
        ),
    )


@flavor.command("register")
@click.argument("source")
@debug_option(hidden=True)
def register(source: str) -> None:
    """Register a store class that no distribution provides, for this user.

    SOURCE is package.module.Class, or path/to/file.py:Class; the class derives from
    metastore.BaseMetadataStore and says its name as FLAVOR.
    """
    from metastore.cli._output import line
    from metastore.config._file import ConfigFile
    from metastore.config._flavors import FlavorSettings, registry_of
    from metastore.errors import AlreadyExistsError
    from metastore.plugins._sources import checked_source, load_source

    kept = checked_source(source)
    found = load_source(kept)
    file = ConfigFile.of_user()
    for each in registry_of(file).found:
        if each.name == found.FLAVOR:
            raise AlreadyExistsError(
                f"{each.distribution} provides the flavor {found.FLAVOR!r} already",
                hint=f"give the class another FLAVOR, or pip uninstall {each.distribution}",
                offender=Offender("flavor", name=found.FLAVOR),
            )
    FlavorSettings(file).register(found.FLAVOR, kept)
    line(f"flavor {found.FLAVOR} is registered: {kept}")


@flavor.command("unregister")
@click.argument("name")
@debug_option(hidden=True)
def unregister(name: str) -> None:
    """Forget a flavor that was registered by its source; nothing of it is deleted."""
    from metastore.cli._output import line
    from metastore.config._file import ConfigFile
    from metastore.config._flavors import FlavorSettings

    FlavorSettings(ConfigFile.of_user()).unregister(name)
    line(f"flavor {name} is no longer registered")


@flavor.command("prefer")
@click.argument("name")
@click.argument("distribution", required=False)
@debug_option(hidden=True)
def prefer(name: str, distribution: str | None) -> None:
    """Say whose flavor is meant, where several distributions claim one name.

    DISTRIBUTION is the name of one, or 'source' for a registered class; without it nothing is
    preferred any more.
    """
    from metastore.cli._output import line
    from metastore.config._file import ConfigFile
    from metastore.config._flavors import FlavorSettings
    from metastore.plugins._finder import normalized
    from metastore.plugins._registry import SOURCE

    registry = _registry()
    owners = [each.distribution for each in registry.found if each.name == name]
    owners += [SOURCE] if name in registry.sources else []
    if distribution is not None and normalized(distribution) not in map(normalized, owners):
        raise FlavorNotFoundError(
            f"{distribution!r} does not provide the flavor {name!r}",
            hint=f"those who do: {', '.join(owners) or 'nobody'}",
            offender=Offender("flavor", name=name),
        )
    FlavorSettings(ConfigFile.of_user()).prefer(name, distribution)
    line(
        f"the flavor {name} is that of {distribution}"
        if distribution
        else f"nothing is preferred for the flavor {name} any more"
    )


@flavor.command("check")
@click.argument("name")
@debug_option(hidden=True)
def check(name: str) -> None:
    """Load all of a flavor, its driver too, and say what is wrong with it.

    For its author, and for who wonders why it does not work; exit code 1 where something is wrong.
    """
    from metastore.cli._output import line

    wrong = 0
    for what, run in _checks(name):
        try:
            said = run()
        except MetastoreError as error:
            line(f"wrong  {what}: {error}", style="red")
            wrong += 1
            # What follows needs it.
            break
        line(f"ok     {what}{f': {said}' if said else ''}", style="green")
    if wrong:
        raise click.exceptions.Exit(1)


def _checks(name: str) -> Iterator[tuple[str, Callable[[], str | None]]]:
    """What is asked of a flavor, one after the other; each builds on those before."""
    from metastore.display import harmless
    from metastore.plugins._classes import config_class, store_class
    from metastore.plugins._loader import load_module
    from metastore.plugins._registry import FlavorRegistry
    from metastore.plugins._sources import FLAVOR_NAME

    found: list[Flavor] = []
    registry = _registry()

    def named() -> None:
        if not FLAVOR_NAME.fullmatch(name):
            raise FlavorError(
                f"{harmless(name)} is no name of a flavor",
                hint="it is made of lower-case letters and digits, single hyphens between them",
            )

    def loads() -> str:
        found.append(registry.get(name))
        return found[0].summary

    def hooks() -> str:
        (entry,) = (each for each in registry.plugins() if each.name == name)
        manager = load_module(entry)
        (plugin,) = manager.get_plugins()
        return ", ".join(each.name for each in manager.get_hookcallers(plugin) or ())

    def settings() -> str:
        names = [each.name for each in config_class(found[0]).settings(name)]
        return ", ".join(names) or "none"

    def store() -> str:
        loaded = store_class(found[0])
        if found[0].capabilities != loaded.CAPABILITIES:
            raise FlavorError(
                f"the descriptor and {loaded.__name__} say different capabilities: "
                f"{', '.join(_different(found[0], loaded.CAPABILITIES))}",
                hint="say the same in both",
            )
        return f"{loaded.__module__}.{loaded.__qualname__}"

    yield "its name", named
    yield "its plugin module loads and describes it", loads
    if any(each.name == name for each in registry.plugins()):
        yield "its hooks are known ones, with the right arguments", hooks

    def commands() -> str | None:
        from metastore.plugins._commands import commands_of

        alone = FlavorRegistry([each for each in registry.found if each.name == name])
        given, problems = commands_of(alone)
        if problems:
            raise FlavorError(problems[0])
        return ", ".join(each.name for each in given) or "none"

    if any(each.name == name for each in registry.plugins()):
        yield "its commands", commands
    yield "its settings", settings
    yield "its store class loads and agrees with the descriptor", store


@contextmanager
def _nothing_on_stdout() -> Iterator[None]:
    """What plugins write past Python, to the file descriptor itself, goes to stderr."""
    try:
        out, err = sys.__stdout__, sys.__stderr__
        if out is None or err is None or sys.stdout is not out:
            raise OSError
        number, other = out.fileno(), err.fileno()
        kept = os.dup(number)
    except (OSError, ValueError):
        yield
        return
    sys.stdout.flush()
    try:
        os.dup2(other, number)
        yield
    finally:
        os.dup2(kept, number)
        os.close(kept)


def _different(flavor: Flavor, others: Any) -> list[str]:
    return [
        name
        for name in type(others).__dataclass_fields__
        if getattr(flavor.capabilities, name) != getattr(others, name)
    ]


def _registry() -> FlavorRegistry:
    from metastore.config._file import ConfigFile
    from metastore.config._flavors import registry_of

    return registry_of(ConfigFile.of_user())


def _able(flavor: Flavor) -> list[str]:
    """What it can, in words: the names of capabilities, the atomic batch only where it is less."""
    able = []
    for name in type(flavor.capabilities).__dataclass_fields__:
        value = getattr(flavor.capabilities, name)
        if isinstance(value, str):
            able += [f"{name}={value}"] if value != "full" else []
        elif value:
            able.append(name)
    return able


def _place(status: FlavorStatus) -> str:
    return status.found.location if status.found else status.source or ""


def _fields(status: FlavorStatus) -> dict[str, Any]:
    found, known = status.found, status.flavor
    return {
        "name": status.name,
        "state": status.state.value,
        "reason": status.reason,
        "summary": known.summary if known else None,
        "distribution": found.distribution if found else None,
        "version": found.version if found else None,
        "location": found.location if found else None,
        "editable": found.editable if found else None,
        "entry_point": found.value if found else None,
        "source": status.source,
        "capabilities": {
            name: getattr(known.capabilities, name)
            for name in type(known.capabilities).__dataclass_fields__
        }
        if known
        else None,
    }
