"""``metastore export``."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import click

from metastore.cli._options import debug_option, opened, without_password

__all__ = ["export"]


@click.command()
@click.argument("which", metavar="NAME|URL", callback=without_password)
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path, allow_dash=True))
@click.option("--force", is_flag=True, help="Write over a file that is there.")
@debug_option(hidden=True)
def export(which: str, file: Path, force: bool) -> None:
    """Write a store to a file, as lines of JSON; - is standard output.

    The file is compressed where its name ends in .gz, .bz2 or .xz. Stores that hold the same come
    to the same lines, whatever their ids, so that two exports can be compared by diff. The store
    is only read.
    """
    import sys

    from metastore import transfer
    from metastore.cli._output import remark
    from metastore.cli._progress import shown_progress

    is_stdout = str(file) == "-"
    if not is_stdout and file.exists() and not force:
        raise click.UsageError(f"{file} is there already. Name another file, or give --force.")
    with opened(which) as store, shown_progress() as progress:
        if is_stdout:
            # Lines end in the same way everywhere, and are UTF-8.
            sys.stdout.reconfigure(encoding="utf-8", newline="\n")  # type: ignore[union-attr]
        with nullcontext(sys.stdout) if is_stdout else transfer.written_text(file) as lines:
            counts = transfer.export(store.backend, lines, progress=progress)
    remark(f"exported {_told(counts)}")


def _told(counts: dict[str, int]) -> str:
    return ", ".join(f"{number} {what}s" for what, number in counts.items()) or "nothing"
