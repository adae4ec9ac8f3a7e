"""The workflows: valid, least privileged, and of one mind with tools/release.py and README.md."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

import release
from _building import ROOT

from .judges import check_form, check_safety

FOLDER = ROOT / ".github" / "workflows"
CI, PUBLISH = FOLDER / "ci.yml", FOLDER / "publish.yml"
WORKFLOWS = sorted(FOLDER.iterdir())


def load(path: Path) -> dict[str, Any]:
    """What a workflow says; YAML 1.2, so that `on` is a word."""
    said: dict[str, Any] = YAML(typ="safe").load(path.read_text("utf-8"))
    return said


def test_workflows_have_the_form_that_github_reads() -> None:
    """GitHub runs nothing of a file that has another one."""
    check_form(WORKFLOWS)


def test_workflows_are_safe() -> None:
    """Zizmor finds nothing, not even what it only suspects (persona auditor)."""
    check_safety(WORKFLOWS)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned(path: Path) -> None:
    """A tag can be moved to other code, a commit cannot; the comment says which version it is."""
    used = re.findall(r"uses: (.*)", path.read_text("utf-8"))
    assert used
    for each in used:
        assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", each)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_nothing_is_pasted_into_commands(path: Path) -> None:
    """What others choose, as the name of a tag, would be run."""
    for job in load(path)["jobs"].values():
        for step in job["steps"]:
            assert "${{" not in step.get("run", "")


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_no_secret_is_used(path: Path) -> None:
    """What is not there cannot be stolen."""
    assert "secrets" not in path.read_text("utf-8")


def test_ci_runs_the_test_command_of_the_readme() -> None:
    """It runs what the README promises, and nothing else, on each Python that we say we support."""
    said = load(CI)
    (job,) = said["jobs"].values()
    command = job["steps"][-1]["run"]
    assert f"\n{command}\n" in (ROOT / "README.md").read_text("utf-8")
    supported = [
        name.rpartition(" ")[2]
        for name in release.project(release.manifest(ROOT, "core"))["classifiers"]
        if re.search(r"Python :: 3\.\d+$", name)
    ]
    assert job["strategy"]["matrix"]["python"] == supported
    assert said["permissions"] == {"contents": "read"}
    assert "permissions" not in job


def test_the_tags_that_publish_are_those_that_are_checked() -> None:
    """A tag that starts the workflow is one that release.py knows, and the other way round."""
    assert load(PUBLISH)["on"] == {"push": {"tags": release.PATTERNS}}


def test_each_distribution_is_published_from_its_environment() -> None:
    """The tag alone says from which, and there is no tag without one."""
    chosen = load(PUBLISH)["jobs"]["publish"]["environment"]["name"]
    choices = " || ".join(
        f"startsWith(github.ref_name, '{name}-v') && 'publish-{name}'"
        for name in release.DISTRIBUTIONS
    )
    assert chosen == f"${{{{ {choices} }}}}"


def test_what_builds_may_not_publish() -> None:
    """The job that runs code of others has no identity; the one that has runs none of it."""
    said = load(PUBLISH)
    build, publish = said["jobs"]["build"], said["jobs"]["publish"]
    assert said["permissions"] == {}
    assert build["permissions"] == {"contents": "read"}
    assert publish["permissions"] == {"id-token": "write"}
    assert publish["needs"] == "build"
    assert not [step for step in publish["steps"] if "run" in step]
    commands = [step["run"] for step in build["steps"] if "run" in step]
    assert commands[-1] == 'python tools/release.py check "$GITHUB_REF_NAME" dist'


def test_what_was_checked_is_published() -> None:
    """The files of the folder that release.py filled, attested, to where they go by default."""
    jobs = load(PUBLISH)["jobs"]
    upload, (download, publish) = jobs["build"]["steps"][-1], jobs["publish"]["steps"]
    assert upload["with"]["path"] == "dist/"
    assert download["with"] == {"name": upload["with"]["name"], "path": "dist"}
    assert publish["uses"].startswith("pypa/gh-action-pypi-publish@")
    assert publish["with"] == {"print-hash": True}
