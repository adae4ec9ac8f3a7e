"""What each page takes for granted: what is there before its first block, and other names.

A page that is not here takes nothing for granted but what its blocks say they need.
"""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
import sysconfig
import types
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import metastore
import metastore_flavor_sqlite
from docs_tests.blocks import ROOT
from docs_tests.session import Session
from metastore import NodeKind
from metastore.kube import ClusterConfig

__all__ = ["PAGES", "SKIPPED", "Page", "page_of"]

SKIPPED: dict[str, str] = {}
"""Blocks that no test runs: where, as ``page:first line of the block``, and why."""


def _nothing(_: Session) -> None:
    """Take nothing for granted."""


@dataclass(frozen=True)
class Page:
    """What a page takes for granted."""

    before: Callable[[Session], None] = _nothing
    """Makes what is there before the first block."""
    replaced: Mapping[str, str] = field(default_factory=dict)
    """What readers write differently, and what stands there in the test; ``{folder}`` is the page's
    folder, ``{port}`` a free port."""
    needs: frozenset[str] = frozenset()
    """What it needs, where its blocks do not say so."""


def page_of(path: Path) -> Page:
    """By the path in the repository; of a page in docs/ by the path in there."""
    where = path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
    return PAGES.get(str(where).removeprefix("docs/"), Page())


# What pages speak of.


def _record(url: str, runs: int = 1, *, shared: str | None = None) -> None:
    """Record runs as the README's first example does; each has one artifact that is its own."""
    with metastore.connect(url) as store:
        for number in range(runs):
            with store.run("train-iris", parameters={"seed": 7}) as run:
                with run.step("prepare") as step:
                    step.input("raw", shared or "s3://bucket/iris.csv", type="Dataset")
                    examples = step.output("examples", type="Dataset", uri="s3://bucket/examples")
                with run.step("train", parameters={"lr": 0.1}) as step:
                    step.input("examples", examples)
                    step.output(
                        "model",
                        type="Model",
                        uri=f"s3://bucket/model-{number}",
                        properties={"accuracy": 0.97},
                    )
                    step.metric("loss", 0.12)


def _register(name: str, url: str) -> None:
    """As `metastore store register NAME --url URL` does."""
    subprocess.run(
        ["metastore", "store", "register", name, "--url", url], check=True, capture_output=True
    )


def _runs_db(_: Session) -> None:
    _record("sqlite:///runs.db")


def _tox(session: Session) -> None:
    here = Path(__file__)
    session.program(
        "tox", f'PYTHONPATH={ROOT} exec {sys.executable} {here.with_name("tox.py")} "$@"'
    )


def _readme(session: Session) -> None:
    """A fresh clone, in which pip finds what the test's own environment has."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    for name in listed.split("\0")[:-1]:
        if (ROOT / name).is_file():
            target = session.folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, target)
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    packages = session.folder / ".venv" / "lib" / version / "site-packages"
    packages.mkdir(parents=True)
    # Where a pip is found, a new environment brings none of its own.
    pip = session.folder / ".venv" / "bin" / "pip"
    pip.parent.mkdir()
    pip.write_text('#!/bin/bash\nexec .venv/bin/python -m pip "$@"\n')
    pip.chmod(0o755)
    (packages / "installed.pth").write_text(sysconfig.get_path("purelib"))
    _tox(session)
    _data(session)
    _of_others(session)


def _data(session: Session) -> None:
    _record(f"sqlite:///{session.folder}/data.db")


def _configuration(session: Session) -> None:
    _data(session)
    _runs_db(session)


def _metadb(session: Session) -> None:
    """What Kubeflow keeps in its database."""
    server = session.has["mariadb"].server
    _record(f"mysql://root@127.0.0.1:{server.port}/metadb", 3)


def _damaged(_: Session) -> None:
    """A store from which somebody has deleted an artifact by hand; and a store with its copy."""
    with metastore.connect("sqlite:///metadata.db") as store:
        batch = metastore.Batch()
        batch.type(NodeKind.ARTIFACT, "Dataset")
        batch.type(NodeKind.EXECUTION, "Train")
        batch.type(NodeKind.CONTEXT, "Project")
        dataset = batch.artifact("Dataset")
        for number in range(13):
            project = batch.context("Project", name=f"project-{number}")
            if number:
                batch.attribution(project, dataset)
        for each in [batch.execution("Train") for number in range(46)]:
            batch.event(dataset, each, metastore.EventType.INPUT)
        store.write(batch)
    with closing(sqlite3.connect("metadata.db")) as file:
        file.execute("DELETE FROM Artifact")
        file.commit()
    _record("sqlite:///runs.db")
    with metastore.connect("sqlite:///runs.db") as one, metastore.connect("sqlite:///b.db") as two:
        one.copy_to(two)
    _register("prod", "sqlite:///b.db")


def _registered(session: Session) -> None:
    _data(session)
    _register("prod", "sqlite:///data.db")


def _filters(session: Session) -> None:
    _runs_db(session)
    session.names["store"] = metastore.connect("sqlite:///runs.db")
    session.set("METASTORE_STORE", "sqlite:///runs.db")


def _zenml(session: Session) -> None:
    pytest.importorskip("ml_metadata", reason="ZenML's stores are ML Metadata's")
    from plugins.sqlite.tests import mlmd

    mlmd.write_zenml(session.folder / "metadata.db")


def _tfx(session: Session, name: str) -> Path:
    pytest.importorskip("ml_metadata", reason="nothing else makes a store of ML Metadata's own")
    from plugins.sqlite.tests import mlmd

    file = session.folder / name
    mlmd.write_tfx_orchestrated(file)
    return file


def _older(session: Session, name: str = "metadata-2021.sqlite") -> None:
    file = _tfx(session, name)
    from ml_metadata.metadata_store.metadata_store import downgrade_schema
    from ml_metadata.proto import metadata_store_pb2

    connection = metadata_store_pb2.ConnectionConfig()
    connection.sqlite.filename_uri = str(file)
    downgrade_schema(connection, 6)


def _of_others(session: Session) -> None:
    """Stores that metastore did not make."""
    _tfx(session, "metadata.sqlite")
    _older(session, "old-metadata.sqlite")
    _metadb(session)


def _kube(session: Session) -> None:
    """The flavor whose config the page speaks of is any one in a cluster."""
    session.names["config"] = ClusterConfig(namespace="kubeflow")
    session.names["grpc"] = pytest.importorskip("grpc")


def _kubernetes(_: Session) -> None:
    subprocess.run(["git", "init", "-q"], check=True)


_LONG_AGO = (
    "UPDATE Node SET create_time_since_epoch = create_time_since_epoch - :age, "
    "last_update_time_since_epoch = last_update_time_since_epoch - :age"
)


def _long_ago(_: Session) -> None:
    """Runs of half a year ago, of four of which a run of today has read the models."""
    _record("sqlite:///runs.db", 45)
    half_a_year = 182 * 24 * 3600 * 1000
    with closing(sqlite3.connect("runs.db")) as file:
        for table in ("Artifact", "Execution", "Context"):
            file.execute(_LONG_AGO.replace("Node", table), {"age": half_a_year})
        file.execute(
            "UPDATE ContextProperty SET double_value = double_value - ? "
            "WHERE name = 'metastore_finished'",
            [half_a_year],
        )
        file.commit()
    with (
        metastore.connect("sqlite:///runs.db") as store,
        store.run("compare") as run,
        run.step("compare") as step,
    ):
        step.input("models", [f"s3://bucket/model-{number}" for number in range(4)])


def _mine(session: Session) -> None:
    """The flavor that the page's reader is writing: here it is the sqlite flavor."""
    package = types.ModuleType("metastore_flavor_mine")
    for name, what in (("config", "Config"), ("store", "MetadataStore")):
        module = types.ModuleType(f"metastore_flavor_mine.{name}")
        setattr(module, f"Mine{what}", getattr(metastore_flavor_sqlite, f"SQLite{what}"))
        session.module(module)
    session.module(package)


def _ui(session: Session) -> None:
    _registered(session)
    _runs_db(session)
    # What Jupyter hands to its config file.
    session.names["c"] = types.SimpleNamespace(ServerProxy=types.SimpleNamespace())


_NEWEST = (
    "$(metastore run list --limit 1 --json --store {store} | "
    "python -c 'import json, sys; print(json.load(sys.stdin)[0][\"name\"])')"
)
"""For bash: the name of the newest run."""

PAGES = {
    "README.md": Page(
        _readme,
        {
            # All tests, and this one among them.
            ".venv/bin/tox": "tox",
            # It is installed beside the tests, and would ask.
            ".venv/bin/cookiecutter": "cookiecutter --no-input",
            "train-iris-20261123-091602-242c16": _NEWEST.format(store="sqlite:///runs.db"),
            "/data/runs.db": "{folder}/data.db",
            "metastore ui sqlite:///runs.db": "metastore ui sqlite:///runs.db --port 0",
            "--port 8080": "--port 0",
            # One who has a database server, and one who has none.
            "register team --url 'kubernetes:": "register cluster --url 'kubernetes:",
        },
        frozenset({"mariadb", "kubernetes", "kubeflow"}),
    ),
    "benchmarks/README.md": Page(_tox),
    "faults/README.md": Page(_tox),
    "reliability.md": Page(_tox),
    "cookiecutter-flavor/README.md": Page(
        replaced={"cookiecutter path/to": f"cookiecutter --no-input {ROOT}"}
    ),
    "configuration.md": Page(_configuration, {"/data/runs.db": "{folder}/data.db"}),
    "copying.md": Page(_metadb, needs=frozenset({"mariadb"})),
    "damaged-stores.md": Page(_damaged),
    "exporting.md": Page(_registered),
    "filters.md": Page(_filters),
    "history/zenml.md": Page(
        _zenml, {"/home/me/.config/zenml/local_stores/ID/metadata.db": "{folder}/metadata.db"}
    ),
    "kube.md": Page(_kube, needs=frozenset({"kubeflow"})),
    "history/kubeflow.md": Page(
        _metadb,
        {
            "--pipeline iris-training": "--pipeline churn-0",
            "run show RUN --store kf\n": f"run show {_NEWEST.format(store='kf')} --store kf\n",
            "run show RUN --store kfp": f"run show {_NEWEST.format(store='kfp')} --store kfp",
            "lineage ARTIFACT": "lineage 2",
            # A server of one's own is the same one, on which Kubeflow's database is already.
            "CREATE DATABASE metadb": "CREATE DATABASE own",
            "--user=root metadb <": "--user=root own <",
        },
        frozenset({"mariadb", "kubeflow"}),
    ),
    "flavors/kubernetes.md": Page(
        _kubernetes,
        {
            # The other server is the same one, on which the store has that name already.
            "CREATE DATABASE metastore": "CREATE DATABASE managed",
            "--password metastore <": "--password managed <",
            "db.example.com/metastore": "db.example.com/managed",
        },
        frozenset({"mariadb", "kubernetes"}),
    ),
    "flavors/mysql.md": Page(
        replaced={"db1.example.com,db2.example.com,db3.example.com:3307": "localhost"},
        needs=frozenset({"mariadb"}),
    ),
    "asking.md": Page(_data, {"/data/runs.db": "{folder}/data.db"}),
    "index.md": Page(_of_others, needs=frozenset({"mariadb", "kubeflow"})),
    "speed.md": Page(_tox),
    "older-stores.md": Page(_older, {".20261128T093105.123456Z": "..."}),
    # The command asks, and nobody answers.
    "pruning.md": Page(_long_ago, {"--before 90d --shrink": "--before 90d --shrink --yes"}),
    "serving.md": Page(replaced={"8080": "{port}"}),
    "testing-a-flavor.md": Page(_mine),
    "ui.md": Page(
        _ui,
        {
            "metastore ui sqlite:///runs.db": "metastore ui sqlite:///runs.db --port {port}",
            "127.0.0.1:8420": "127.0.0.1:{port}",
        },
    ),
    "plugins/kubeflow/README.md": Page(replaced={"8080": "{port}"}, needs=frozenset({"kubeflow"})),
    "plugins/kubernetes/README.md": Page(needs=frozenset({"kubernetes"})),
    "plugins/mysql/README.md": Page(needs=frozenset({"mariadb"})),
}
