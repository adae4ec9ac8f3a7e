"""Commands that are only looked at: whether `metastore` would take their words."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

import click

from metastore import MetastoreError, StoreURL
from metastore.cli import cli
from metastore.plugins._classes import config_class
from metastore.plugins._registry import FlavorRegistry

__all__ = ["look_at_command"]


def look_at_command(command: str) -> None:
    """Raise `click.UsageError` or `MetastoreError` where a `metastore` command is none.

    Options, arguments and the URLs of stores of installed flavors are looked at; nothing is opened.
    """
    for words in _simple_commands(command):
        if "metastore" in words:
            # Before it may stand what runs it: the times of a line of cron.
            _parse(cli, "metastore", words[words.index("metastore") + 1 :])
        for word in words:
            _look_at_url(word)


def _simple_commands(command: str) -> Iterator[list[str]]:
    """The words of each command of a line, without redirections."""
    lexer = shlex.shlex(command, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words: list[str] = []
    to_file = False
    for word in lexer:
        if set(word) <= set("<>"):
            to_file = True
        elif set(word) <= set("|&;()"):
            if words:
                yield words
            words = []
        elif to_file:
            to_file = False
        else:
            words.append(word)
    if words:
        yield words


def _parse(command: click.Command, name: str, words: list[str]) -> None:
    """As click does before it calls anything."""
    with command.make_context(name, words) as context:
        if isinstance(command, click.Group):
            # What click keeps the rest in: that of the public name is what another group may have.
            rest = [*context._protected_args, *context.args]
            if rest:
                found, inner, more = command.resolve_command(context, rest)
                assert inner is not None
                _parse(inner, found or "", more)


def _look_at_url(word: str) -> None:
    scheme, _, rest = word.partition("://")
    if not rest or not scheme.isidentifier():
        return
    registry = FlavorRegistry.discover()
    if scheme not in registry.names:
        raise MetastoreError(f"no flavor here is called {scheme!r}")
    config_class(registry.get(scheme)).from_url(StoreURL.parse(word))
