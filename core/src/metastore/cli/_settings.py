"""The settings of a flavor as options of a command."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from metastore.cli._errors import WrongUse
from metastore.errors import InvalidError, MetastoreError

if TYPE_CHECKING:
    from metastore.plugins._config import FlavorConfig, Setting

__all__ = ["SECRET_FORMS", "CommandWithSettings", "checked_settings", "given_settings"]

SECRET_FORMS = "env:NAME, file:/path, keyring:service/user, or 'prompt' to type it"
_PREFIX = "setting_"


class CommandWithSettings(click.Command):
    """A command that has, besides its own options, one for each setting of a flavor.

    Which flavor, only its arguments tell: `flavor_of` finds it among them, or gives None.
    """

    flavor_of: Callable[[list[str]], str | None] = staticmethod(lambda args: None)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Add the options of the flavor, then parse as always."""
        known = {option for each in self.params for option in each.opts}
        settings: list[Setting] = []
        try:
            found = self.flavor_of(list(args))
            settings = [] if found is None else _settings(found)
        except MetastoreError:
            # Where an option is none of the command's own, this is why.
            others = {each.partition("=")[0] for each in args if each.startswith("--")}
            if "--help" not in others and others - known - {"--debug"}:
                raise
        self.params += [
            option for each in settings if not known & set((option := _option(each)).opts)
        ]
        return super().parse_args(ctx, args)


def _settings(flavor: str) -> list[Setting]:
    from metastore.config._file import ConfigFile
    from metastore.config._flavors import registry_of
    from metastore.plugins._classes import config_class

    return config_class(registry_of(ConfigFile.of_user()).get(flavor)).settings(flavor)


def _option(setting: Setting) -> click.Option:
    name = setting.name.replace("_", "-")
    help = setting.description
    if setting.is_secret:
        help = f"{help} Given as {SECRET_FORMS}.".strip()
    elif setting.default not in (None, "none"):
        help = f"{help}  [default: {setting.default}]"
    if setting.type == "bool":
        return click.Option(
            [f"--{name}/--no-{name}", f"{_PREFIX}{setting.name}"], default=None, help=help
        )
    return click.Option(
        [f"--{name}", f"{_PREFIX}{setting.name}"],
        multiple=setting.type.startswith(("list", "tuple", "set", "frozenset")),
        default=None,
        metavar="REFERENCE" if setting.is_secret else _metavar(setting.type),
        help=help,
    )


def given_settings(options: Mapping[str, Any]) -> dict[str, Any]:
    """The settings among the options of a command, those alone that were given."""
    return {
        name.removeprefix(_PREFIX): list(value) if isinstance(value, tuple) else value
        for name, value in options.items()
        if name.startswith(_PREFIX) and value not in (None, ())
    }


def checked_settings(
    config_class: type[FlavorConfig], flavor: str, fields: Mapping[str, Any]
) -> dict[str, Any]:
    """The fields as they are kept: of the right types, paths absolute, secrets as references.

    Raises
    ------
    WrongUse
        A secret is no reference.
    InvalidError
        A field is wrong.
    """
    from metastore.plugins._secret import Secret

    secrets = {each.name for each in config_class.settings(flavor) if each.is_secret}
    wanted = dict(fields)
    for name in secrets & wanted.keys():
        if not isinstance(wanted[name], Secret):
            wanted[name] = _reference(name, wanted[name])
    empty = next((name for name, value in wanted.items() if value == ""), None)
    if empty is not None:
        raise InvalidError(
            f"the setting {empty!r} is empty", hint="leave it out; update has --unset for that"
        )
    config = _with_whole_paths(config_class.checked(flavor, wanted))
    dumped = config.model_dump(mode="json")
    return {name: wanted[name] if name in secrets else dumped[name] for name in wanted}


def _with_whole_paths(config: FlavorConfig) -> FlavorConfig:
    """The config with paths that mean the same wherever it is used."""
    paths = {
        name: value.expanduser()
        for name in type(config).model_fields
        if isinstance(value := getattr(config, name), Path)
    }
    if not paths:
        return config
    try:
        return config.model_copy(update=paths).relative_to(Path.cwd())
    except OSError as error:
        raise InvalidError(
            "the current folder is gone, from which a relative path would be",
            hint="give the whole path",
        ) from error


def _reference(name: str, text: Any) -> Any:
    from metastore.plugins._secret import Secret

    try:
        return Secret.of_reference(text)
    except (InvalidError, TypeError):
        # Without the text: it is the secret, most likely.
        raise WrongUse(
            f"--{name.replace('_', '-')} is a secret, which is never written down: give "
            f"{SECRET_FORMS}"
        ) from None


def _metavar(type: str) -> str:
    """A type in capitals, but for words that are to be typed as they are."""
    return type if "'" in type else type.upper()
