"""The command ``metastore``: one module a noun, imported only when that noun is used.

Exit codes: 0 done, 1 failed, 2 wrong use, 130 interrupted.  What was asked for goes to stdout,
remarks and errors go to stderr.
"""

from __future__ import annotations

import os

import click

from metastore.cli._errors import ReportingGroup
from metastore.cli._lazy import Noun
from metastore.cli._options import debug_option

__all__ = ["cli", "main"]

_NOUNS = {
    "demo": Noun("metastore.cli.demo:demo", "Record a small pipeline and look at it."),
    "pipeline": Noun("metastore.cli.pipeline:pipeline", "Pipelines: what there are runs of."),
    "run": Noun("metastore.cli.run:run", "Runs of pipelines, and their steps."),
    "artifact": Noun("metastore.cli.artifact:artifact", "What steps read and wrote."),
    "execution": Noun("metastore.cli.execution:execution", "What ran, as a step or otherwise."),
    "context": Noun("metastore.cli.context:context", "What groups artifacts and executions."),
    "type": Noun("metastore.cli.type:type_", "Types: which properties nodes have."),
    "lineage": Noun("metastore.cli.lineage:lineage", "What an artifact was made from."),
    "ui": Noun("metastore.cli.ui:ui", "Look at all of it in a browser."),
    "export": Noun("metastore.cli.export:export", "Write a store to a file."),
    "import": Noun("metastore.cli.import_:import_", "Write such a file into a store."),
    "copy": Noun("metastore.cli.copy:copy", "Copy a store into another one."),
    "store": Noun("metastore.cli.store:store", "Named stores, and whether they answer."),
    "verify": Noun("metastore.cli.verify:verify", "Look for what is wrong in a store."),
    "prune": Noun("metastore.cli.prune:prune", "Delete old runs."),
    "upgrade": Noun("metastore.cli.upgrade:upgrade", "Bring an older store to the present schema."),
    "flavor": Noun("metastore.cli.flavor:flavor", "The installed flavors: kinds of stores."),
}


def _version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if not wanted or ctx.resilient_parsing:
        return
    from importlib.metadata import version

    click.echo(f"metastore {version('metastore-core')}")
    ctx.exit()


def _of_plugins() -> dict[str, Noun]:
    from metastore.cli._plugins import commands_of_plugins

    return commands_of_plugins()


@click.group(cls=ReportingGroup, nouns=_NOUNS, more=_of_plugins)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_version,
    help="Show the version and exit.",
)
@debug_option()
def cli() -> None:
    """Look at the history of machine-learning work that a metadata store keeps.

    A store is named by a URL, such as sqlite:///runs.db (relative to the current folder) or
    sqlite:////data/runs.db (absolute), or by the name it was registered under: with --store, in the
    environment variable METASTORE_STORE, in the project's metastore.toml, or by 'metastore store
    use'. Without any it is an SQLite file in your data folder.

    New here? Try: metastore demo
    """


def main() -> None:
    """Run the command that the process was started with, and exit."""
    # Pydantic would look for plugins of its own in all that is installed, whatever state that is
    # in, and we have none.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    cli()
