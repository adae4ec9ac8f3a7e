"""``metastore import``."""

from __future__ import annotations

import hashlib
from contextlib import closing
from pathlib import Path

import click

from metastore.cli._errors import FAILED, Refused
from metastore.cli._options import debug_option, opened, without_password
from metastore.cli.copy import journal_path, show_report, store_name
from metastore.errors import InvalidError

__all__ = ["import_"]


@click.command("import")
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False))
@click.argument("target", metavar="NAME|URL", callback=without_password)
@click.option(
    "--merge", is_flag=True, help="Take equal nodes of one name or external id for the same."
)
@click.option("--strict", is_flag=True, help="Refuse where the store cannot hold all, as it is.")
@click.option("--dry-run", is_flag=True, help="Read and check the file, and write nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, as metastore copy does.")
@debug_option(hidden=True)
def import_(
    file: Path, target: str, merge: bool, strict: bool, dry_run: bool, as_json: bool
) -> int:
    """Write what metastore export wrote into a store.

    All of the file is checked before anything is written; what is wrong in it is said with its
    line. Into a store that holds something, too: under the rules of metastore copy. The same
    command goes on where one ended that was killed, and does nothing twice.
    """
    from metastore import transfer
    from metastore.cli._output import remark
    from metastore.cli._progress import shown_progress

    with shown_progress("lines") as progress:
        source = transfer.read_export(file, progress=progress)
    with (
        closing(source),
        opened(target, mode="r" if dry_run else "rw") as there,
        shown_progress() as progress,
    ):
        # By what it holds: the file may be moved, and another one may get its name.
        names = (f"export:{_digest(file)}", store_name(target, there))
        try:
            report = transfer.copy(
                source,
                there.backend,
                merge=merge,
                strict=strict,
                dry_run=dry_run,
                journal=journal_path(names),
                names=names,
                progress=progress,
                told=remark,
            )
        except InvalidError as error:
            raise Refused(str(error)) from error
    show_report(report, as_json=as_json)
    return FAILED if report.differences else 0


def _digest(file: Path) -> str:
    digest = hashlib.sha256()
    with open(file, "rb") as opened_file:
        while block := opened_file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()[:32]
