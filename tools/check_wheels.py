"""Build the distributions, and check what a user gets who installs them.

Usage: check_wheels.py FOLDER, an empty folder for what is built.

- The wheel made from the sdist is the wheel made from the sources: the sdist lacks nothing.
- The wheel has the licence and the mark of a typed package, and nothing but its one package.
- The core wheel alone, in a new virtual environment, brings a working command, nothing heavy.
- With the flavor's wheel beside it, the flavor is found and the demo runs on it.
- With its extra, core's wheel shows the demo's store as pages: templates and styles are there.
- With the mysql flavor's wheel beside them, the flavor is found, and its driver loads.
- With the kubernetes flavor's wheel, and mysql's on which it depends, the flavor is found, and says
  what it would make.
- The kubeflow flavor says what is missing without ml-metadata, and serves a store with it.
- Strangers' flavors beside them, good and bad ones, are listed as what they are, and harm nobody;
  the good one is that of docs/writing-a-flavor.md, as a wheel and as an editable install.

Ends with status 0, or with 1 and a line that says what is wrong.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import NamedTuple

from _building import (
    CORE,
    HAS_MLMD,
    KUBEFLOW,
    KUBERNETES,
    MYSQL,
    ROOT,
    SQLITE,
    CheckError,
    Distribution,
    Environment,
    build,
    copy,
    expect_flavors,
    new_environment,
    only,
    run,
    say,
    use,
)

# What core must not bring along; it comes with an extra, by way of a flavor.
HEAVY = {
    *("sqlalchemy", "pymysql", "protobuf", "kubernetes", "pytest", "hypothesis"),
    *("starlette", "jinja2", "uvicorn"),
}


class Built(NamedTuple):
    """The sdist of a distribution, and the wheel that was made from it."""

    sdist: Path
    wheel: Path


def main(arguments: list[str]) -> int:
    """Check the distributions in the folder given; return the exit status."""
    if len(arguments) != 1:
        print("usage: check_wheels.py FOLDER", file=sys.stderr)
        return 2
    folder = Path(arguments[0]).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        core, sqlite, mysql, kubeflow, kubernetes = (
            check_contents(which, folder / which.package)
            for which in (CORE, SQLITE, MYSQL, KUBEFLOW, KUBERNETES)
        )
        installed = check_install(core.wheel, sqlite.wheel, folder)
        check_ui(installed, core.wheel)
        check_mysql(installed, mysql.wheel)
        check_kubernetes(installed, mysql.wheel, kubernetes.wheel)
        check_kubeflow(installed, kubeflow.wheel)
        check_strangers(installed, folder / "strangers")
    except CheckError as error:
        print(f"wheels: {error}", file=sys.stderr)
        return 1
    print("wheels: all is well")
    return 0


def check_contents(which: Distribution, folder: Path) -> Built:
    """Build one distribution both ways, compare the wheels and look into what came out."""
    source = copy(which, folder / "source")
    build(source, folder / "dist")
    build(source, folder / "direct", "--wheel")
    sdist = only(folder / "dist", "*.tar.gz")
    wheel = only(folder / "dist", "*.whl")

    ours, direct = contents(wheel), contents(only(folder / "direct", "*.whl"))
    differing = sorted(
        name for name in ours.keys() | direct.keys() if ours.get(name) != direct.get(name)
    )
    if differing:
        raise CheckError(f"{wheel.name} from the sdist and from the sources differ in {differing}")

    info = "-".join(wheel.name.split("-")[:2]) + ".dist-info"
    require(wheel.name, set(ours), {f"{which.package}/py.typed", f"{info}/licenses/LICENSE"})
    strangers = {name for name in ours if name.split("/")[0] not in {which.package, info}}
    if strangers:
        raise CheckError(f"{wheel.name} has more than its package: {sorted(strangers)}")

    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    require(sdist.name, names, {"LICENSE", "README.md", "CHANGELOG.md", "pyproject.toml", "tests"})
    say(f"{wheel.name}: {len(ours)} files, the same from the sdist and from the sources")
    return Built(sdist, wheel)


def check_install(core: Path, sqlite: Path, folder: Path) -> Environment:
    """Install the wheels in a new environment, core alone first, and use what they bring."""
    installed = new_environment(folder)
    python, metastore, home = installed

    run([python, "-m", "pip", "install", "-q", str(core)])
    listed = json.loads(run([python, "-m", "pip", "list", "--format", "json"]))
    brought = HEAVY & {distribution["name"].lower() for distribution in listed}
    if brought:
        raise CheckError(f"{core.name} alone brings {sorted(brought)}")
    use([metastore, "--help"], home)
    expect_flavors(use([metastore, "flavor", "list", "--json"], home), {"memory"})

    run([python, "-m", "pip", "install", "-q", str(core), str(sqlite)])
    run([python, "-m", "pip", "check"])
    expect_flavors(use([metastore, "flavor", "list", "--json"], home), {"memory", "sqlite"})
    use([python, "-m", "metastore", "--help"], home)
    store = home / "demo.db"
    use([metastore, "demo", "--store", f"sqlite:///{store.as_posix()}"], home)
    if not store.is_file():
        raise CheckError("`metastore demo --store` left no store where it was told to")
    return installed


# Asks for pages without a server, as one would.
PAGES = """
import asyncio, sys
import metastore
from metastore.ui import create_app

async def ask(app, path):
    sent = []
    async def send(message):
        sent.append(message)
    async def receive():
        await asyncio.Event().wait()
    scope = {"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET",
             "scheme": "http", "path": path, "raw_path": path.encode(), "query_string": b"",
             "root_path": "", "headers": [(b"host", b"localhost")], "client": None, "server": None}
    await app(scope, receive, send)
    if sent[0]["status"] != 200:
        raise SystemExit(f"{path} is answered with {sent[0]['status']}")

with metastore.connect(sys.argv[1], mode="r") as store:
    app = create_app(store)
    for path in ("/", "/runs", "/runs.csv", "/static/style.css", "/static/app.js"):
        asyncio.run(ask(app, path))
print("pages are there")
"""


def check_ui(installed: Environment, wheel: Path) -> None:
    """Install the extra, and look at the demo's store."""
    python, _, home = installed
    run([python, "-m", "pip", "install", "-q", f"{wheel}[ui]"])
    run([python, "-m", "pip", "check"])
    use([python, "-c", PAGES, f"sqlite:///{(home / 'demo.db').as_posix()}"], home)


def check_mysql(installed: Environment, wheel: Path) -> None:
    """Install the wheel and look at the flavor, for which no server is needed; then remove it."""
    python, metastore, home = installed
    run([python, "-m", "pip", "install", "-q", str(wheel)])
    run([python, "-m", "pip", "check"])
    listing = use([metastore, "flavor", "list", "--json"], home)
    expect_states(listing, memory="ok", sqlite="ok", mysql="ok")
    use([metastore, "flavor", "check", "mysql"], home)
    if "tls_ca" not in use([metastore, "flavor", "show", "mysql"], home):
        raise CheckError("`metastore flavor show mysql` does not tell its settings")
    run([python, "-m", "pip", "uninstall", "-q", "-y", wheel.name.split("-")[0]])


def check_kubernetes(installed: Environment, mysql: Path, wheel: Path) -> None:
    """Install both wheels and look at what would be made, for which no cluster is needed."""
    python, metastore, home = installed
    run([python, "-m", "pip", "install", "-q", str(mysql), str(wheel)])
    run([python, "-m", "pip", "check"])
    listing = use([metastore, "flavor", "list", "--json"], home)
    expect_states(listing, memory="ok", sqlite="ok", mysql="ok", kubernetes="ok")
    use([metastore, "flavor", "check", "kubernetes"], home)
    printed = use([metastore, "store", "up", "kubernetes://ml/db", "--dry-run"], home)
    if "kind: StatefulSet" not in printed:
        raise CheckError("`metastore store up --dry-run` does not print what it would make")
    names = [each.name.split("-")[0] for each in (wheel, mysql)]
    run([python, "-m", "pip", "uninstall", "-q", "-y", *names])


def check_kubeflow(installed: Environment, wheel: Path) -> None:
    """Install the wheel, first without ml-metadata, then with it, and serve a store; then remove
    what it brought.
    """
    python, metastore, home = installed
    run([python, "-m", "pip", "install", "-q", "--no-deps", str(wheel)])
    listing = use([metastore, "flavor", "list", "--json"], home)
    expect_states(listing, memory="ok", sqlite="ok", kubeflow="broken")
    if "there are wheels for" not in listing:
        raise CheckError("without ml-metadata `metastore flavor list` does not say what is missing")
    run([python, "-m", "pip", "install", "-q", str(wheel)])
    run([python, "-m", "pip", "check"])
    listing = use([metastore, "flavor", "list", "--json"], home)
    if HAS_MLMD:
        expect_states(listing, memory="ok", sqlite="ok", kubeflow="ok")
        use([metastore, "serve", "--help"], home)
        use([python, "-c", ASK, metastore], home)
    run([python, "-m", "pip", "uninstall", "-q", "-y", wheel.name.split("-")[0]])


ASK = """
import re, subprocess, sys
from ml_metadata.metadata_store import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as pb
command = [sys.argv[1], "serve", "sqlite:///served.db", "--port", "0"]
with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
    port = int(re.search(r":(\\d+), with", server.stdout.readline())[1])
    client = MetadataStore(pb.MetadataStoreClientConfig(host="127.0.0.1", port=port))
    print(client.put_artifact_type(pb.ArtifactType(name="T")))
    server.terminate()
sys.exit(server.wait())
"""

PROJECT = """
[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"
[project]
name = "metastore-flavor-{name}"
version = "1.0"
[project.entry-points."metastore.flavors"]
{flavor} = "plugin_{name}"
[tool.setuptools]
py-modules = ["plugin_{name}"]
"""
PLUGIN = """
from metastore import Flavor, hookimpl
@hookimpl
def metastore_flavor():
    return Flavor("sqlite", "Not ours", config="a:B", store="c:D")
"""


def check_strangers(installed: Environment, folder: Path) -> None:
    """Install flavors of others, and see that each is what it is and ours still work."""
    python, metastore, home = installed
    page = (ROOT / "docs" / "writing-a-flavor.md").read_text(encoding="utf-8")
    for name, text in re.findall(r"```\w+ file=(\S+)\n(.*?)```", page, re.DOTALL):
        write(folder / "shared" / name, text)
    for name, flavor, text in (("broken", "broken", "1 / 0\n"), ("takeover", "sqlite", PLUGIN)):
        write(folder / name / "pyproject.toml", PROJECT.format(name=name, flavor=flavor))
        write(folder / name / f"plugin_{name}.py", text)
    for name in ("shared", "broken", "takeover"):
        build(folder / name, folder / "dist", "--wheel")
    wheels = [str(each) for each in (folder / "dist").glob("*.whl")]
    run([python, "-m", "pip", "install", "-q", *wheels])

    listing = use([metastore, "flavor", "list", "--json"], home)
    expect_states(listing, memory="ok", shared="ok", broken="broken", sqlite="conflict")
    use([metastore, "flavor", "check", "shared"], home)
    use([metastore, "flavor", "prefer", "sqlite", "metastore-flavor-sqlite"], home)
    store = f"sqlite:///{(home / 'demo.db').as_posix()}"
    use([metastore, "run", "list", "--store", store], home)
    run([python, "-m", "pip", "uninstall", "-q", "-y", "metastore-flavor-takeover"])
    run([python, "-m", "pip", "install", "-q", "--no-deps", "-e", str(folder / "shared")])
    listing = use([metastore, "flavor", "list", "--json"], home)
    expect_states(listing, memory="ok", shared="ok", broken="broken", sqlite="ok")
    if not {row["name"]: row for row in json.loads(listing)}["shared"]["editable"]:
        raise CheckError("an editable install is not listed as one")
    shutil.rmtree(folder / "shared")
    listing = use([metastore, "flavor", "list", "--json"], home)
    expect_states(listing, memory="ok", shared="broken", broken="broken", sqlite="ok")
    use([metastore, "run", "list", "--store", store], home)


def write(path: Path, text: str) -> None:
    """Write a file, in a folder that may not be there yet."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def expect_states(listing: str, **states: str) -> None:
    """Check the states that `flavor list --json` says; one state stands for all of a name."""
    found: dict[str, set[str]] = {}
    for row in json.loads(listing):
        found.setdefault(row["name"], set()).add(row["state"])
    if found != {name: {state} for name, state in states.items()}:
        raise CheckError(f"`metastore flavor list` says {found}, not {states}")


def contents(wheel: Path) -> dict[str, bytes]:
    """Return what is in a wheel, by name."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def require(where: str, names: set[str], wanted: set[str]) -> None:
    """Check that these names are among those that an archive has."""
    if not wanted <= names:
        raise CheckError(f"{where} lacks {sorted(wanted - names)}")


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
