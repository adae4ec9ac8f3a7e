"""Which commands plugins add to ``metastore``."""

from __future__ import annotations

import re

from metastore.errors import FlavorError
from metastore.plugins._flavor import Command
from metastore.plugins._loader import broken, load_in_time, load_module
from metastore.plugins._registry import FlavorRegistry

__all__ = ["commands_of"]

_WORD = re.compile(r"[a-z][a-z0-9-]*")


def commands_of(registry: FlavorRegistry) -> tuple[list[Command], list[str]]:
    """The commands, by name; and what is wrong with plugins whose commands are left out.

    Of two commands of one name neither is taken.
    """
    found: dict[str, tuple[Command, str]] = {}
    problems: list[str] = []
    clashing: set[str] = set()
    for each in registry.plugins():
        try:
            load_in_time(each)
            given = load_module(each).hook.metastore_commands()
            commands = [command for some in given for command in some]
            wrong = [command for command in commands if not _is_command(command)]
            if wrong:
                raise broken(
                    each, f"metastore_commands() gives {wrong[0]!r:.100}, which is no command"
                )
        except FlavorError as error:
            problems.append(str(error))
            continue
        except KeyboardInterrupt:
            raise
        # A stranger's function may raise anything, SystemExit included.
        except BaseException as error:  # noqa: BLE001 - see above
            problems.append(str(broken(each, f"{type(error).__name__} in metastore_commands()")))
            continue
        for command in commands:
            if command.name in found:
                clashing.add(command.name)
                problems.append(
                    f"{found[command.name][1]} and {each.distribution} both add the command "
                    f"{command.name!r}, so neither is there; uninstall one of them"
                )
            found.setdefault(command.name, (command, each.distribution))
    return [found[name][0] for name in sorted(found.keys() - clashing)], problems


def _is_command(given: object) -> bool:
    return isinstance(given, Command) and bool(_WORD.fullmatch(given.name)) and ":" in given.where
