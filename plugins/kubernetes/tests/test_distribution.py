"""The distribution as it is installed: what other programs find it by."""

import subprocess
import sys
from importlib.metadata import distribution
from importlib.resources import files
from pathlib import Path

import pytest
import yaml

from metastore_flavor_kubernetes import KubernetesConfig
from metastore_flavor_kubernetes._rights import role


def test_kubernetes_is_the_one_flavor_declared() -> None:
    """The distribution adds the flavor "kubernetes" and no other."""
    declared = distribution("metastore-flavor-kubernetes").entry_points
    assert [(point.group, point.name, point.value) for point in declared] == [
        ("metastore.flavors", "kubernetes", "metastore_flavor_kubernetes.plugin")
    ]


def test_types_are_for_users_too() -> None:
    """The installed package is marked as typed, so that users' type checkers read it."""
    assert files("metastore_flavor_kubernetes").joinpath("py.typed").is_file()


def test_a_list_of_flavors_imports_no_driver_and_no_client() -> None:
    """The flavor is described, and its settings are shown, without SQLAlchemy, PyMySQL and the
    client of Kubernetes.
    """
    code = (
        "import sys; from metastore.cli import main\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "assert not {'sqlalchemy', 'pymysql', 'kubernetes', 'websocket', 'yaml'} & {*sys.modules}"
    )
    for words in (("flavor", "list"), ("flavor", "show", "kubernetes")):
        done = subprocess.run(
            [sys.executable, "-c", code, *words], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert "kubernetes" in done.stdout


@pytest.mark.parametrize("making", [True, False])
def test_the_page_has_the_roles(making: bool) -> None:
    """The Roles of docs/flavors/kubernetes.md are those that the tests run with."""
    page = Path(__file__).parents[3] / "docs" / "flavors" / "kubernetes.md"
    if not page.is_file():
        pytest.skip("the page is in the repository only")
    blocks = page.read_text(encoding="utf-8").split("```yaml\n")[1:]
    found = [yaml.safe_load(each.partition("```")[0]) for each in blocks if "kind: Role\n" in each]
    wanted = role(KubernetesConfig(), making=making)
    (same,) = [each for each in found if each["metadata"]["name"] == wanted["metadata"]["name"]]
    assert same == wanted
