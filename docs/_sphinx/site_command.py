"""The command, described by itself."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

import click

from metastore.cli import cli

__all__ = ["command", "walk"]

OPTION = re.compile(r"(?<![\w-])--[a-z][\w-]*")
SPECIAL = re.compile(r"([\\`*_\[\]<>|#])")


def walk(context: click.Context) -> Iterator[click.Context]:
    """A command and all that are below it, in the order of the help."""
    yield context
    group = context.command
    if isinstance(group, click.Group):
        for name in group.list_commands(context):
            found = group.get_command(context, name)
            if found is not None and not found.hidden:
                yield from walk(click.Context(found, info_name=name, parent=context))


def command() -> str:
    """Markdown: a section a command, with what its help says, its usage and its options."""
    return "\n\n".join(
        section for each in walk(click.Context(cli, info_name="metastore")) for section in _of(each)
    )


def _of(context: click.Context) -> Iterator[str]:
    path = context.command_path
    yield f"{'#' * (1 + len(path.split()))} {path}"
    for paragraph in inspect.cleandoc(context.command.help or "").split("\n\n"):
        yield _shown(paragraph)
    usage = " ".join(context.command.collect_usage_pieces(context))
    yield f"```text\n{path} {usage}\n```"
    rows = [
        found
        for option in context.command.get_params(context)
        # Every command has it.
        if "--help" not in option.opts
        # Of arguments, which some releases of click list, those that have something to say.
        and (found := option.get_help_record(context))
        and (found[1] or isinstance(option, click.Option))
    ]
    if rows:
        cells = (f"| `{_in_cell(what)}` | {_escaped(said)} |" for what, said in rows)
        yield "\n".join(["| option | |", "|---|---|", *cells])


def _shown(paragraph: str) -> str:
    """A paragraph; one that click is told not to wrap is an example."""
    first, _, rest = paragraph.partition("\n")
    if first.strip() == "\b":
        return f"```console\n{rest}\n```"
    return _escaped(paragraph)


def _in_cell(text: str) -> str:
    return text.replace("|", r"\|")


def _escaped(text: str) -> str:
    """Text as text; options in it are code, or their hyphens would become a dash."""
    return OPTION.sub(r"`\g<0>`", SPECIAL.sub(r"\\\1", text))
