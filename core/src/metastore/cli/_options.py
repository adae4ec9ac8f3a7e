"""Options that commands share, and what they mean."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import click
from click.core import ParameterSource

from metastore.cli._errors import Settings
from metastore.errors import MetastoreError, NotFoundError

if TYPE_CHECKING:
    from metastore.base import OpenMode
    from metastore.store import Store

__all__ = [
    "Page",
    "debug_option",
    "limit_option",
    "opened",
    "reading",
    "store_option",
    "without_password",
]

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")

ON_A_TERMINAL = 50
"""How many items a list shows there when nothing is said."""


def debug_option(*, hidden: bool = False) -> Callable[[F], F]:
    """``--debug``: understood in front of a command and behind it, listed once."""

    def remember(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
        if wanted:
            ctx.ensure_object(Settings).debug = True

    return click.option(
        "--debug",
        is_flag=True,
        expose_value=False,
        hidden=hidden,
        callback=remember,
        help="Show where an error comes from.",
    )


def store_option(*, envvar: str | None = "METASTORE_STORE", help: str) -> Callable[[F], F]:
    """``--store``: a name or URL, or None."""
    return click.option(
        "--store",
        metavar="NAME|URL",
        envvar=envvar,
        show_envvar=envvar is not None,
        callback=without_password,
        help=help,
    )


def without_password(
    ctx: click.Context, parameter: click.Parameter, value: str | None
) -> str | None:
    """The value of an option or argument that may be a URL, unless a secret was typed in it."""
    # An environment variable is not in everybody's list of processes.
    given = ctx.get_parameter_source(parameter.name or "") is ParameterSource.COMMANDLINE
    if value is not None and given and (_has_password(value) or _has_secret_option(value)):
        raise click.UsageError(
            "The URL holds a password, and everybody on this machine can read a command line. "
            "Change the password if it is a real one, and give a reference, such as "
            "...?password=env:NAME, or the URL in the environment variable METASTORE_STORE.",
            ctx,
        )
    return value


def _has_secret_option(url: str) -> bool:
    """Whether an option of the URL is a secret of its flavor, and no reference."""
    if "?" not in url:
        return False
    from metastore.config._file import ConfigFile
    from metastore.config._flavors import registry_of
    from metastore.plugins._classes import config_class
    from metastore.plugins._config import StoreURL
    from metastore.plugins._secret import Secret

    try:
        parsed = StoreURL.parse(url)
        flavor = registry_of(ConfigFile.of_user()).get(parsed.scheme)
        secret = {
            each.name for each in config_class(flavor).settings(parsed.scheme) if each.is_secret
        }
        given = [value for name, value in parsed.options.items() if name in secret]
        return any(Secret.parse(each).reference is None for each in given)
    except MetastoreError:
        # What is wrong with it is said where it is used.
        return False


def _has_password(url: str) -> bool:
    """Whether there is a ``user:password@``, also where a slash in it is not encoded."""
    from urllib.parse import unquote

    _, separator, rest = url.partition("://")
    rest = rest if separator else url
    authority, _, further = rest.partition("/")
    user, at, _ = unquote(authority).rpartition("@")
    if at:
        return bool(user.partition(":")[2])
    port = authority.partition(":")[2]
    return bool(port) and not port.isdigit() and "@" in further


def limit_option(f: F) -> F:
    """``--limit``: None where nothing was said."""
    return click.option(
        "--limit",
        type=click.IntRange(min=0),
        metavar="N",
        help=f"At most N of them, 0 for all.  [default: {ON_A_TERMINAL} on a terminal, else all]",
    )(f)


def reading(f: F) -> F:
    """The options of every command that reads a store: ``--store``, ``--json``, ``--debug``."""
    for option in (
        debug_option(hidden=True),
        click.option("--json", "as_json", is_flag=True, help="Print JSON, with all there is."),
        store_option(
            help="The store: its name, or a URL such as sqlite:///runs.db; never changed."
        ),
    ):
        f = option(f)
    return f


@contextmanager
def opened(url: str | None, *, mode: OpenMode = "r", create: bool | None = None) -> Iterator[Store]:
    """The store, for reading only where nothing else is said: nothing is ever created."""
    from metastore.config._connect import connect

    try:
        store = connect(url, mode=mode, create=create)
    except NotFoundError as error:
        if url is None and not isinstance(error, ImportError):
            error.hint = _why_this_one()
        raise
    with store:
        yield store


def _why_this_one() -> str:
    """What to do where the store that nobody named on the command line is not there."""
    from metastore.config._target import said_by

    named = said_by()
    if named is not None:
        return f"{named} names this store; correct it there, or name another with --store"
    return (
        "nothing has been recorded in your own store yet; name another one with --store, or try "
        "'metastore demo'"
    )


class Page(Generic[T]):
    """What a list command shows of a list that may be long."""

    def __init__(self, limit: int | None, *, whole: bool) -> None:
        if limit is None and not whole and sys.stdout.isatty():
            limit = ON_A_TERMINAL
        self.limit = limit or None
        """At most so many; None for all."""
        self.is_full = False
        """Whether there were more; known when `of` has come to its end."""

    @property
    def asked(self) -> int | None:
        """How many to ask the store for: one more, to know whether there are more."""
        return None if self.limit is None else self.limit + 1

    def of(self, items: Iterable[T]) -> Iterator[T]:
        """The items to show, read as they are asked for."""
        left = iter(items)
        yield from islice(left, self.limit)
        self.is_full = next(left, None) is not None

    def remark(self, total: Callable[[], int] | None, what: str) -> str | None:
        """What to say where there were more; `total` is None where to count would be to read."""
        if not self.is_full:
            return None
        if total is None:
            return f"{self.limit} {what}; --limit 0 shows all of them"
        return f"{self.limit} of {total()} {what}; --limit 0 shows all of them"
