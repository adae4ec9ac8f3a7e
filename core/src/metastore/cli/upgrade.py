"""``metastore upgrade``."""

from __future__ import annotations

import click

from metastore.cli._options import debug_option, without_password

__all__ = ["upgrade"]


@click.command()
@click.argument("which", metavar="NAME|URL", callback=without_password)
@click.option("--json", "as_json", is_flag=True, help="Print JSON: before, now, backup.")
@debug_option(hidden=True)
def upgrade(which: str, as_json: bool) -> None:
    """Bring a store of an older schema to the one that this release writes.

    Nothing else need be done first: a store that is a file is copied beside itself, and what was
    changed is taken back where it fails. Stores of that schema stay as they are.
    """
    from metastore.cli import _json
    from metastore.cli._output import line, remark
    from metastore.config._target import target_of
    from metastore.plugins._classes import store_class

    target = target_of(which)
    done = store_class(target.flavor).upgrade(target.config)
    if as_json:
        fields = ("before", "now", "backup")
        _json.write_object({each: getattr(done, each, None) for each in fields})
    elif done is None:
        line("there is nothing to upgrade")
    else:
        line(f"upgraded from schema {done.before} to {done.now}")
        if done.backup is not None:
            remark(f"as it was before, it is in {done.backup}")
