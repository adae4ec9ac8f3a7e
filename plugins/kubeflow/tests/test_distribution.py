"""The distribution as it is installed, and where ml-metadata cannot be had."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from importlib.metadata import distribution
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

import pytest

import metastore
import metastore_flavor_kubeflow
from metastore_flavor_kubeflow import availability

_usable = pytest.mark.skipif(
    find_spec("ml_metadata") is None, reason="without ml-metadata the flavor is broken here"
)


def test_kubeflow_is_the_one_flavor_declared() -> None:
    """The distribution adds the flavor "kubeflow" and no other."""
    declared = distribution("metastore-flavor-kubeflow").entry_points
    assert [(point.group, point.name, point.value) for point in declared] == [
        ("metastore.flavors", "kubeflow", "metastore_flavor_kubeflow.plugin")
    ]


def test_types_are_for_users_too() -> None:
    """The installed package is marked as typed, so that users' type checkers read it."""
    assert files("metastore_flavor_kubeflow").joinpath("py.typed").is_file()


@_usable
def test_a_url_that_is_wrong_is_refused_with_a_sentence() -> None:
    """What no host, cluster or setting can mean is refused before anything is connected to."""
    for url, says in (
        ("kubeflow://me:secret@host:8080", "holds a user"),
        ("kubeflow://host:8080/database", "behind the host"),
        ("kubeflow://host:8080?namespace=kubeflow", "namespace is of a cluster's service"),
        ("kubeflow://host?port=0", "port"),
        ("kubeflow://host:1?port=2", "gives the port twice"),
        ("kubeflow://host?tls=false&tls_ca=ca.pem", "tls is false"),
        ("kubeflow://host?tls_cert=cert.pem", "belong together"),
        ("kubeflow://?namespace=Not/One", "namespace"),
        ("kubeflow://host?colour=red", "colour"),
    ):
        with pytest.raises(metastore.InvalidError, match=says) as raised:
            metastore.connect(url)
        assert "secret" not in str(raised.value)


@_usable
def test_the_location_of_a_store_is_its_url() -> None:
    """What a store calls itself opens it again, and leaves out what is default."""
    for url in (
        "kubeflow://host:8080",
        "kubeflow://[::1]:8080",
        "kubeflow://",
        "kubeflow://?namespace=kfp&context=prod&service=other",
    ):
        parsed = metastore.StoreURL.parse(url)
        config = metastore_flavor_kubeflow.KubeflowConfig.from_url(parsed)
        assert config.location("kubeflow") == url


@pytest.mark.parametrize(
    ("machine", "python", "says"),
    [
        (("linux", "x86_64"), (3, 11), "pip install 'metastore-flavor-kubeflow[mlmd]'"),
        (("darwin", "arm64"), (3, 13), "pip install 'metastore-flavor-kubeflow[mlmd]'"),
        (("linux", "aarch64"), (3, 11), "use one of these"),
        (("win32", "AMD64"), (3, 11), "use one of these"),
        (("linux", "x86_64"), (3, 14), "use one of these"),
    ],
)
def test_where_ml_metadata_is_missing_the_error_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
    machine: tuple[str, str],
    python: tuple[int, int],
    says: str,
) -> None:
    """It names where there are wheels, what this machine is, and the command where one may help."""
    monkeypatch.setattr(availability, "find_spec", lambda name: None)
    monkeypatch.setattr(sys, "platform", machine[0])
    monkeypatch.setattr(platform, "machine", lambda: machine[1])
    monkeypatch.setattr(sys, "version_info", (*python, 0))
    with pytest.raises(metastore.FlavorError) as raised:
        availability.check_available()
    text = str(raised.value)
    assert says in text
    assert "there are wheels for Linux x86_64" in text
    assert machine[1] in text


def test_without_ml_metadata_the_state_and_the_command_say_so(tmp_path: Path) -> None:
    """`flavor list` has the reason, other flavors work, and `serve` is answered with it."""
    hide = (
        "import sys\n"
        "class Hidden:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] == 'ml_metadata':\n"
        "            raise ModuleNotFoundError(name)\n"
        "import importlib.util as util\n"
        "found = util.find_spec\n"
        "def find(name, *rest): return None if name == 'ml_metadata' else found(name, *rest)\n"
        "util.find_spec = find\n"
        "sys.meta_path.insert(0, Hidden())\n"
        "from metastore.cli import main\n"
        "main()\n"
    )

    def command(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", hide, *arguments],
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
        )

    rows = {each["name"]: each for each in json.loads(command("flavor", "list", "--json").stdout)}
    assert rows["kubeflow"]["state"] == "broken"
    assert "needs the protocol modules of ml-metadata" in rows["kubeflow"]["reason"]
    assert rows["memory"]["state"] == "ok"
    served = command("serve", "memory://")
    assert served.returncode == 2
    assert "needs the protocol modules of ml-metadata" in served.stderr


@_usable
def test_listing_flavors_loads_no_grpc(tmp_path: Path) -> None:
    """The plugin module needs neither gRPC nor protobuf nor ml-metadata to describe itself."""
    code = (
        "import sys, metastore_flavor_kubeflow.plugin as plugin\n"
        "plugin.metastore_flavor(); plugin.metastore_commands()\n"
        "print({'grpc', 'google', 'ml_metadata', 'pydantic'} & set(sys.modules))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout == "set()\n"
