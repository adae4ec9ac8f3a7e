"""``metastore demo``."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from metastore.cli._options import debug_option, opened, store_option

if TYPE_CHECKING:
    from metastore.store import Store

__all__ = ["demo"]

_FOLDER = "metastore-demo"


@click.command()
@store_option(
    envvar=None, help=f"Where to record; by default a store in the folder {_FOLDER} made here."
)
@debug_option(hidden=True)
def demo(store: str | None) -> None:
    """Record a small pipeline and look at it.

    Makes a folder metastore-demo in the current one, trains a classifier of flowers there, in plain
    Python and twice, and records what happened. The second run need not make its dataset again.

    The environment variable METASTORE_STORE does not count here: a demo is not for your own store,
    unless you name that with --store.
    """
    from metastore.cli import _demo
    from metastore.config._target import DEFAULT_STORE_URL, target_of

    folder = Path(_FOLDER)
    if store is None:
        store = f"{DEFAULT_STORE_URL.partition(':')[0]}:///{_FOLDER}/metastore.db"
        # Before the folder is made, which would stay behind without the flavor.
        target_of(store)
        folder.mkdir(exist_ok=True)
    with opened(store, mode="rw") as found:
        folder.mkdir(exist_ok=True)
        runs = [_demo.record(found, folder.resolve(), epochs) for epochs in (1, 100)]
        _show(found, folder.resolve(), runs[-1])


def _show(store: Store, folder: Path, last: tuple[str, int]) -> None:
    from metastore.cli import _demo
    from metastore.cli._output import heading, line, lines
    from metastore.cli.pipeline import show_pipelines
    from metastore.cli.run import show_runs

    run, model = last
    there = f"--store {shlex.quote(store.location)}"
    line(f"Recorded two runs in {store.location}; their files are in {folder}")
    heading(f"$ metastore pipeline list {there}")
    show_pipelines(store)
    heading(f"$ metastore run list {there}")
    show_runs(store, pipeline=_demo.PIPELINE, limit=5)
    heading(f"$ metastore lineage {model} {there}")
    lines(store.artifact(model).lineage().tree())
    line("")
    if store.flavor == "memory":
        line("This store was in memory, and is gone now.")
        return
    line(f"Next, try:  metastore run show {shlex.quote(run)} {there}")
    line(f"or:         metastore artifact show {model} {there}")
    line("--store can be left out where the environment variable METASTORE_STORE says the same.")
