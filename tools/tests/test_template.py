"""The template: of one mind with core, with our own workflows, and with what is said of it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

import check_template
import release
from _building import ROOT

from .judges import check_form, check_safety

TEMPLATE = ROOT / "cookiecutter-flavor"
TOLD = json.loads((TEMPLATE / "cookiecutter.json").read_text("utf-8"))


def test_core_is_pinned_by_the_interface_that_is_stated() -> None:
    """What is generated takes the versions of core that speak the interface which it states."""
    core = release.project(ROOT / "core" / "pyproject.toml")
    requirement = Requirement(f"metastore-core{TOLD['_core']}")
    assert release.is_pinned(requirement, Version(core["version"]))
    assert TOLD["_interface_version"] == release.core_interface(ROOT)


def test_the_pythons_are_those_of_core() -> None:
    """The oldest Python that may be chosen is core's, and core is tested on all of them."""
    core = release.project(ROOT / "core" / "pyproject.toml")
    named = [each.rpartition(" ")[2] for each in core["classifiers"] if ":: 3." in each]
    assert TOLD["python_minimum"] == named
    assert core["requires-python"] == f">={named[0]}"


def test_the_names_that_are_ours_are_refused() -> None:
    """Each flavor of this repository, and core's own, is a name that nobody else can take."""
    hook = (TEMPLATE / "hooks" / "pre_gen_project.py").read_text("utf-8")
    for name in (*(name for name in release.DISTRIBUTIONS if name != "core"), "memory"):
        assert f'"{name}"' in hook


def test_the_readme_has_the_command() -> None:
    """The README's command generates from the folder where the template is."""
    readme = (ROOT / "README.md").read_text("utf-8")
    assert ".venv/bin/cookiecutter cookiecutter-flavor" in readme
    page = (ROOT / "docs" / "writing-a-flavor.md").read_text("utf-8")
    assert "$ cookiecutter cookiecutter-flavor --output-dir ..\n" in page


@pytest.fixture(scope="module")
def workflows(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Those of a flavor that was generated with default answers."""
    project = check_template.generate(
        check_template.Answers("mine", "plain"), tmp_path_factory.mktemp("flavors")
    )
    return sorted((project / ".github" / "workflows").iterdir())


def test_generated_workflows_are_valid_and_safe(workflows: list[Path]) -> None:
    """GitHub reads them, and an auditor finds no fault with them."""
    assert [path.name for path in workflows] == ["ci.yml", "publish.yml"]
    check_form(workflows)
    check_safety(workflows)


def test_generated_workflows_use_the_actions_that_ours_use(workflows: list[Path]) -> None:
    """An action that was looked at here is the one that a stranger's project runs."""
    ours: set[str] = set()
    for path in (ROOT / ".github" / "workflows").iterdir():
        ours |= {*re.findall(r"uses: (.*)", path.read_text("utf-8"))}
    for path in workflows:
        assert {*re.findall(r"uses: (.*)", path.read_text("utf-8"))} <= ours


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ("", 0),
        ('"""Said."""\n\n# said\n', 0),
        ("x = 1  # said\n\n\ny = (\n    2,\n)\n", 4),
        ('def f():\n    """Said,\n\n    at length."""\n    return """a\n\nb"""\n', 4),
        ("class A:\n    x = 1\n    'said'\n", 2),
    ],
)
def test_lines_are_counted(source: str, lines: int) -> None:
    """Blank lines, comments and docstrings are no lines; each line of a longer statement is one."""
    assert len(check_template.lines_of(source)) == lines
