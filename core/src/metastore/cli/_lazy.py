"""Groups of commands that import a command's module when it is used, and know what was meant."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, NamedTuple

import click

__all__ = ["LazyGroup", "Noun", "SuggestingGroup"]


class Noun(NamedTuple):
    """A command that is not imported yet."""

    where: str
    """``"package.module:name"``"""
    summary: str
    """Its line in the list of commands: said here, so that the list imports nothing."""


class SuggestingGroup(click.Group):
    """A group that answers an unknown command with the one that was probably meant."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, which offers help itself only since 8.4, and not in lazy groups."""
        known = self.list_commands(ctx)
        word = args[0]
        if word in known or word.startswith("-") or ctx.resilient_parsing:
            return super().resolve_command(ctx, args)
        import difflib

        near = difflib.get_close_matches(word, known, n=1)
        help = f"Did you mean {near[0]!r}?" if near else f"There are: {', '.join(known)}."
        raise click.UsageError(f"No such command {word!r}. {help}", ctx)


class LazyGroup(SuggestingGroup):
    """A group whose commands are imported one at a time; listing them imports none.

    What `more` gives is asked for only when a word is not among the nouns, and for the list.
    """

    def __init__(
        self,
        *args: Any,
        nouns: Mapping[str, Noun],
        more: Callable[[], Mapping[str, Noun]] = dict,
        **options: Any,
    ) -> None:
        super().__init__(*args, **options)
        self._nouns = nouns
        self._more = more

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """The names, in the order in which a newcomer needs them."""
        return [*self._nouns, *self._others()]

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """A noun is found without asking for more."""
        if args[0] in self._nouns:
            return args[0], self.get_command(ctx, args[0]), args[1:]
        return super().resolve_command(ctx, args)

    @cached_property
    def _found(self) -> Mapping[str, Noun]:
        return self._more()

    def _others(self) -> Mapping[str, Noun]:
        return {name: noun for name, noun in self._found.items() if name not in self._nouns}

    def get_command(
        self,
        ctx: click.Context,  # noqa: ARG002 - click's signature
        cmd_name: str,
    ) -> click.Command | None:
        """Import the command."""
        noun = self._nouns.get(cmd_name) or self._others().get(cmd_name)
        if noun is None:
            return None
        module, _, name = noun.where.partition(":")
        if cmd_name in self._nouns:
            own: click.Command = getattr(importlib.import_module(module), name)
            return own
        try:
            command = getattr(importlib.import_module(module), name)
        # A stranger's module may raise anything at all, SystemExit included.
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            raise click.ClickException(
                f"the command {cmd_name!r} of a plugin cannot be imported: {noun.where} raises "
                f"{type(error).__name__}"
            ) from error
        if not isinstance(command, click.Command):
            raise click.ClickException(
                f"the command {cmd_name!r} of a plugin is none: {noun.where} is no click.Command"
            )
        return command

    def format_commands(
        self,
        ctx: click.Context,  # noqa: ARG002 - click's signature
        formatter: click.HelpFormatter,
    ) -> None:
        """The list in the help text."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, noun.summary) for name, noun in self._nouns.items()])
        others = self._others()
        if others:
            with formatter.section("Commands of plugins"):
                formatter.write_dl([(name, noun.summary) for name, noun in others.items()])
