"""``metastore copy``."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from metastore.cli._errors import FAILED, Refused
from metastore.cli._nodes import MOMENT
from metastore.cli._options import debug_option, opened, without_password
from metastore.errors import (
    AlreadyExistsError,
    InvalidError,
    MetastoreError,
    NotFoundError,
    StoreNotFoundError,
)

if TYPE_CHECKING:
    from metastore.capabilities import Capabilities
    from metastore.model import NodeKind
    from metastore.store import Store
    from metastore.transfer import CopyReport

__all__ = ["copy", "journal_path", "show_report", "store_name"]

_KINDS = (
    *("type", "context", "artifact", "execution", "event"),
    *("attribution", "association", "parent context"),
)


@click.command()
@click.argument("source", metavar="SRC", callback=without_password)
@click.argument("target", metavar="DST", callback=without_password)
@click.option(
    "--since",
    type=MOMENT,
    metavar="MOMENT",
    help="Only what was created or changed since: 2026-11-24, 2026-11-24T09:30 (UTC), or 30m, 12h, "
    "7d, 2w ago; with what it hangs on.",
)
@click.option(
    "--pipeline", metavar="NAME|ID", help="Only the runs of this pipeline, and all on them."
)
@click.option(
    "--merge", is_flag=True, help="Take equal nodes of one name or external id for the same."
)
@click.option("--strict", is_flag=True, help="Refuse where DST cannot hold all of it, as it is.")
@click.option("--dry-run", is_flag=True, help="Count, say what would be lost, and write nothing.")
@click.option(
    "--map",
    "map_path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write which id became which: JSON lines, or CSV where it ends in .csv.",
)
@click.option(
    "--journal",
    type=click.Path(dir_okay=False, path_type=Path),
    help="What remembers what was copied.  [default: a file in your state folder]",
)
@click.option(
    "--batch", type=click.IntRange(min=1), metavar="N", help="Nodes to write at once.  [2000]"
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with all there is.")
@debug_option(hidden=True)
def copy(
    source: str,
    target: str,
    since: datetime | None,
    pipeline: str | None,
    merge: bool,
    strict: bool,
    dry_run: bool,
    map_path: Path | None,
    journal: Path | None,
    batch: int | None,
    as_json: bool,
) -> int:
    """Copy a store into another one, and compare the two; SRC is only read.

    The same command goes on where one ended that was killed, and copies what is new or changed
    where one was done. Ids are new ones; times stay where DST can be given them. Exit code 1 if DST
    does not hold in the end what SRC does.

    JSON fields: dry_run; created, updated and unchanged (numbers by what it is); notes; left_out (a
    list with reason, count, examples); differences (count, and first: a list of sentences).
    """
    from metastore import transfer
    from metastore.cli._output import remark
    from metastore.cli._progress import shown_progress
    from metastore.store import contexts_of

    with ExitStack() as stack:
        here = stack.enter_context(opened(source))
        there, capabilities = _target(target, stack, dry_run=dry_run)
        write = None if map_path is None or dry_run else stack.enter_context(_map(map_path))
        names = (store_name(source, here), store_name(target, there))
        path = journal or journal_path(names)
        try:
            with shown_progress() as progress:
                report = transfer.copy(
                    here.backend,
                    there.backend,
                    since_ms=None if since is None else int(since.timestamp() * 1000),
                    contexts=None
                    if pipeline is None
                    else lambda: contexts_of(here.pipeline(_id_or_name(pipeline))),
                    merge=merge,
                    strict=strict,
                    dry_run=dry_run,
                    journal=path,
                    names=names,
                    page_size=batch or transfer.PAGE,
                    map_to=write,
                    progress=progress,
                    told=remark,
                    target_capabilities=capabilities,
                )
        except InvalidError as error:
            # Not wrong to ask: it depends on what the stores hold.
            raise Refused(str(error)) from error
        except (AlreadyExistsError, NotFoundError):
            raise
        except (MetastoreError, KeyboardInterrupt):
            if path is not None and not dry_run:
                remark("the same command goes on where this one ended")
            raise
    show_report(report, as_json=as_json)
    return FAILED if report.differences else 0


def _id_or_name(text: str) -> int | str:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else text


def _target(url: str, stack: ExitStack, *, dry_run: bool) -> tuple[Store, Capabilities | None]:
    """The store to copy to; in a dry run it is not made, and an empty one stands for it."""
    if not dry_run:
        return stack.enter_context(opened(url, mode="rw")), None
    try:
        return stack.enter_context(opened(url)), None
    except StoreNotFoundError:
        from metastore.config._target import target_of
        from metastore.memory import MemoryMetadataStore
        from metastore.store import Store

        empty = Store(MemoryMetadataStore())
        return stack.enter_context(empty), target_of(url).flavor.capabilities


def store_name(url: str, store: Store) -> str:
    """What a store is called, from wherever the command is run."""
    from metastore.config._target import quoted, target_of

    name = store.location
    for _, value in target_of(url).config:
        # One file has many paths.
        if isinstance(value, Path):
            for text in (str(value), quoted(value.as_posix())):
                if name.endswith(f"/{text}"):
                    return name.removesuffix(text) + str(value.resolve())
    return name


def journal_path(names: tuple[str, str]) -> Path | None:
    """Where it is remembered what was copied; None where one of them ends with the process."""
    if any(name.endswith("://") for name in names):
        return None
    from platformdirs import user_state_path

    name = hashlib.sha256(json.dumps(names).encode()).hexdigest()[:20]
    return user_state_path("metastore") / "copies" / f"{name}.jsonl"


@contextmanager
def _map(path: Path) -> Iterator[Callable[[NodeKind, int, int], None]]:
    """Writes which id became which into a file, which is there when all of it is."""
    # A name that nobody can have put a link under.
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(8)}.part")
    try:
        with open(temporary, "x", encoding="utf-8", newline="") as file:
            yield _map_writer(file, as_csv=path.suffix.lower() == ".csv")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _map_writer(file: IO[str], *, as_csv: bool) -> Callable[[NodeKind, int, int], None]:
    if as_csv:
        file.write("kind,old,new\n")

    def write(kind: NodeKind, old: int, new: int) -> None:
        if as_csv:
            file.write(f"{kind.label},{old},{new}\n")
        else:
            file.write(json.dumps({"kind": kind.label, "old": old, "new": new}) + "\n")

    return write


def show_report(report: CopyReport, *, as_json: bool) -> None:
    """What became of a copy, on stdout; remarks beside it."""
    from metastore.cli import _json
    from metastore.cli._output import Column, line, remark, table

    if as_json:
        _json.write_object(_fields(report))
        return
    rows = [
        [
            f"{kind}s",
            *(str(each[kind]) for each in (report.created, report.updated, report.unchanged)),
        ]
        for kind in _KINDS
    ]
    new = "WOULD BE NEW" if report.dry_run else "NEW"
    titles = ("WHAT", new, "CHANGED" if not report.dry_run else "WOULD CHANGE", "THERE BEFORE")
    table([Column(each) for each in titles], rows)
    for reason, left in report.left_out.items():
        remark(f"left out: {left.count} {reason}, such as {'; '.join(left.examples)}")
    for text in report.differences.first:
        line(f"differs: {text}")
    more = report.differences.count - len(report.differences.first)
    if more:
        line(f"differs: {more} more")
    if report.differences:
        remark(f"error: the stores differ in {report.differences.count} places")
    elif not report.dry_run:
        remark("compared: the target holds what was copied")


def _fields(report: CopyReport) -> dict[str, Any]:
    def counts(found: Any) -> dict[str, int]:
        return {kind: found[kind] for kind in _KINDS}

    return {
        "dry_run": report.dry_run,
        "created": counts(report.created),
        "updated": counts(report.updated),
        "unchanged": counts(report.unchanged),
        "notes": report.notes,
        "left_out": [
            {"reason": reason, "count": left.count, "examples": left.examples}
            for reason, left in report.left_out.items()
        ],
        "differences": {"count": report.differences.count, "first": report.differences.first},
    }
