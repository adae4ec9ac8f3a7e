"""docs/writing-a-flavor.md: its code is a flavor that keeps the contract."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PAGE = Path(__file__).parents[2] / "docs" / "writing-a-flavor.md"

pytestmark = pytest.mark.skipif(
    not PAGE.is_file(), reason="the documents are not part of the distribution"
)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project of the page, with the metadata that its pyproject.toml would have."""
    folder = tmp_path_factory.mktemp("flavor")
    blocks = re.findall(r"```\w+ file=(\S+)\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    for name, text in blocks:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    told = tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))["project"]
    info = folder / "src" / "metastore_flavor_shared-1.0.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Name: {told['name']}\nVersion: {told['version']}\n")
    points = told["entry-points"]["metastore.flavors"]
    lines = [f"{name} = {value}" for name, value in points.items()]
    (info / "entry_points.txt").write_text("\n".join(["[metastore.flavors]", *lines]))
    return folder


def run(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A Python of its own, in which the project is installed."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(project / "src")},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_it_keeps_the_contract(project: Path) -> None:
    """The page's own tests pass: the whole kit, and that the entry point loads."""
    done = run(project, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests")
    assert done.returncode == 0, done.stdout[-3000:]
    assert int(re.findall(r"(\d+) passed", done.stdout)[-1]) > 700


def test_it_is_seen_and_checked(project: Path) -> None:
    """The flavor is listed as ok, its settings are shown, and nothing is wrong with it."""
    assert (
        '"shared", "state": "ok"'
        in run(project, "-m", "metastore", "flavor", "list", "--json").stdout
    )
    checked = run(project, "-m", "metastore", "flavor", "check", "shared")
    assert (checked.returncode, checked.stderr) == (0, ""), checked.stdout
    shown = run(project, "-m", "metastore", "flavor", "show", "shared").stdout
    assert "METASTORE_SHARED__NAME" in shown
    wrong = run(project, "-m", "metastore", "run", "list", "--store", "shared:///x")
    assert "write shared://name" in wrong.stderr


def test_its_plugin_module_is_light(project: Path) -> None:
    """As the page says: to describe the flavor, neither pydantic nor the store is imported."""
    code = (
        "import sys, metastore_flavor_shared.plugin as p; p.metastore_flavor();"
        "print([n for n in sys.modules if n in ('pydantic', 'metastore.base')"
        " or n.startswith('metastore_flavor_shared.') and not n.endswith('plugin')])"
    )
    assert run(project, "-c", code).stdout.strip() == "[]"
