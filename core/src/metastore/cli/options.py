"""Options for commands that plugins add, so that they read as core's own do."""

from __future__ import annotations

from collections.abc import Callable

import click

from metastore.cli._errors import Refused
from metastore.cli._options import F, debug_option, opened, without_password

__all__ = ["Refused", "debug_option", "opened", "store_argument"]


def store_argument(f: F) -> F:
    """``[STORE]``: a name or URL, or None; a URL with a password in it is refused.

    Hand it to `opened`.
    """
    decorate: Callable[[F], F] = click.argument(
        "store",
        required=False,
        envvar="METASTORE_STORE",
        metavar="[NAME|URL]",
        callback=without_password,
    )
    return decorate(f)
