"""Flavors are found without being imported, and loaded one at a time, whatever they do."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from metastore import (
    INTERFACE_VERSION,
    FlavorError,
    FlavorNotFoundError,
    InvalidError,
    MetastoreError,
    connect,
    find_flavors,
)
from metastore.config import _target
from metastore.plugins._registry import FlavorRegistry

from .fabricated import PLUGIN, Install, good, install

__all__ = ["install"]


class TestFinding:
    """Phase one."""

    def test_an_installed_flavor_is_found_unloaded(self, install: Install) -> None:
        """A flavor is found with its distribution, version and folder, and is not imported."""
        site = install("demo", "raise SystemExit('imported')")
        (found,) = (each for each in find_flavors() if each.name == "demo")
        assert found[1:4] == ("metastore-flavor-demo", "1.0", "plugin_metastore_flavor_demo")
        assert Path(found.location) == site

    def test_the_order_is_that_of_names(self, install: Install) -> None:
        """Flavors are listed by name and distribution, not in the order of the path."""
        for name in ("zebra", "ant", "bee"):
            install(name)
        names = [each.name for each in find_flavors()]
        assert names == sorted(names)

    def test_one_distribution_twice_on_the_path_is_one(self, install: Install) -> None:
        """A distribution that two folders of the path hold is found once: the first one."""
        install("demo", folder="old", version="1.0")
        install("demo", folder="new", version="2.0")
        (found,) = (each for each in find_flavors() if each.name == "demo")
        assert found.version == "2.0"

    def test_two_distributions_of_one_name_are_two(self, install: Install) -> None:
        """Two distributions that claim one name are both found: neither vanishes."""
        install("demo")
        install("demo", distribution="other-demo")
        claims = [each.distribution for each in find_flavors() if each.name == "demo"]
        assert claims == ["metastore-flavor-demo", "other-demo"]

    def test_metadata_that_is_damaged_is_no_crash(self, install: Install) -> None:
        """A distribution without a name does not keep the others from being found."""
        site = install("demo")
        broken = site / "broken-1.dist-info"
        broken.mkdir()
        (broken / "entry_points.txt").write_text("[metastore.flavors]\nbroken = nothing\n")
        assert "demo" in {each.name for each in find_flavors()}


class TestLoading:
    """Phase two."""

    def test_a_good_flavor_opens(self, install: Install) -> None:
        """A flavor of a stranger's distribution opens by its URL."""
        store = "class Demo(MemoryMetadataStore):\n        FLAVOR = 'demo'\n"
        source = good("demo").replace(
            "from metastore import", "from metastore import MemoryMetadataStore,"
        )
        source = source.replace("metastore.memory:MemoryMetadataStore", f"{PLUGIN}:Demo")
        install("demo", f"{source}\n    {store}")
        with connect("demo://") as opened:
            assert opened.flavor == "demo"

    def test_another_name_in_its_class_is_noticed(self, install: Install) -> None:
        """A store class whose FLAVOR is another one than its entry point's is a broken flavor."""
        install("demo")
        with pytest.raises(FlavorError, match="FLAVOR"):
            connect("demo://")

    @pytest.mark.parametrize(
        ("source", "says"),
        [
            ("import no_such_module", "No module named 'no_such_module'"),
            ("def (", "SyntaxError"),
            ("raise SystemExit(0)", "SystemExit"),
            ("class Odd(BaseException): pass\nraise Odd", "Odd"),
            ("", "returns no Flavor"),
            (good("another"), "its Flavor 'another'"),
            (
                "from metastore import hookimpl\n@hookimpl\ndef metastore_flavour(): pass",
                "unknown hook 'metastore_flavour'",
            ),
            (
                "from metastore import hookimpl\n@hookimpl\ndef metastore_flavor(extra): pass",
                "Argument.s. {'extra'} are declared in the hookimpl",
            ),
            (
                "from metastore import hookimpl\n@hookimpl\ndef metastore_flavor(): return 3",
                "returns no Flavor",
            ),
            (good("demo", INTERFACE_VERSION + 1), "--upgrade metastore-core"),
            (good("demo", INTERFACE_VERSION - 1), "--upgrade metastore-flavor-demo"),
            (
                good("demo").replace(
                    "metastore.plugins._memory_config:MemoryConfig", "no_module:Config"
                ),
                "cannot be imported",
            ),
            (
                good("demo").replace(
                    "metastore.plugins._memory_config:MemoryConfig", "json:JSONDecoder"
                ),
                "is no FlavorConfig",
            ),
        ],
    )
    def test_a_bad_flavor_is_one_error(self, install: Install, source: str, says: str) -> None:
        """Whatever a plugin module does, using it is a FlavorError that names its distribution."""
        install("demo", source)
        with pytest.raises(FlavorError, match=says) as raised:
            connect("demo://")
        assert "demo" in str(raised.value)
        assert "\n" not in str(raised.value)

    def test_a_bad_flavor_does_not_harm_others(self, install: Install) -> None:
        """Opening a store of one flavor loads no other one."""
        install("demo", "raise SystemExit('imported')")
        connect("memory://").close()

    def test_two_claims_are_a_conflict(self, install: Install) -> None:
        """When two distributions claim a name neither wins, and both are named."""
        install("demo")
        install("demo", distribution="other-demo")
        with pytest.raises(FlavorError, match=r"metastore-flavor-demo .* and other-demo "):
            connect("demo://")

    def test_stopping_it_is_not_its_fault(self, install: Install) -> None:
        """KeyboardInterrupt while a flavor loads is the user's, and goes on up."""
        install("demo", "raise KeyboardInterrupt")
        with pytest.raises(KeyboardInterrupt):
            connect("demo://")


class TestConnect:
    """URLs that are wrong, and what they are answered with."""

    @pytest.mark.parametrize(
        ("url", "says"),
        [
            ("postgres://host/db", "pip install metastore-flavor-postgres"),
            ("memry://", "did you mean memory://"),
            ("memory+fast://", r"write memory://"),
            ("no-such-name", "no store is called"),
            ("runs.db", "sqlite:///runs.db"),
            ("data/runs", "sqlite:///data/runs"),
            ("://x", "flavor"),
            ("", "names no store"),
            ("memory://host/path", "no path"),
            ("memory://?a=1&a=2", "twice"),
            ("memory://\t", "%09"),
            ("memory://?unknown=1", "unknown"),
        ],
    )
    def test_a_wrong_url_says_what_is_right(
        self, url: str, says: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        """A URL that names no store is answered with the right form, and makes no file."""
        monkeypatch.chdir(tmp_path)
        with pytest.raises(MetastoreError, match=says):
            connect(url)
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize(
        ("url", "says"),
        [
            (Path("/data/my runs.db"), "write sqlite:////data/my runs.db"),
            (Path("a?b.db"), "write sqlite:///a%3Fb.db"),
            (3, "int"),
            (b"memory://", "bytes"),
        ],
    )
    def test_what_is_no_text_is_no_url(self, url: Any, says: str) -> None:
        """A path is answered with its URL, anything else with what it is."""
        with pytest.raises(InvalidError, match=re.escape(says)):
            connect(url)

    def test_what_is_not_installed_is_no_broken_flavor(self) -> None:
        """A flavor that is not installed is told apart from one that does not load."""
        with pytest.raises(FlavorNotFoundError) as raised:
            connect("postgres://")
        assert raised.value.offender is not None
        assert raised.value.offender.name == "postgres"

    def test_the_environment_names_the_store(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """METASTORE_STORE is the store when none is given."""
        monkeypatch.setenv("METASTORE_STORE", "memory://")
        with connect() as store:
            assert store.location == "memory://"

    def test_the_users_own_folder_is_made(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        """Without a URL the user's folder for data is made for the store, for writing only."""
        home = tmp_path / "home"
        monkeypatch.setattr("platformdirs.user_data_path", lambda name: home / name)
        monkeypatch.setattr(_target, "DEFAULT_STORE_URL", "memory://")
        monkeypatch.delenv("METASTORE_STORE", raising=False)
        not_writing: tuple[Any, ...] = ({"mode": "r"}, {"create": False})
        for options in not_writing:
            connect(**options).close()
            assert not home.exists()
        connect().close()
        assert (home / "metastore").is_dir()

    def test_an_unknown_mode_is_refused(self) -> None:
        """A mode is "r" or "rw"."""
        with pytest.raises(MetastoreError, match="mode"):
            connect("memory://", mode="w")  # type: ignore[arg-type]

    def test_values_of_settings_stand_in_no_error(self) -> None:
        """An error about a setting names the setting, not what was given for it."""
        with pytest.raises(MetastoreError) as raised:
            connect("memory://?password=hunter2")
        assert "hunter2" not in str(raised.value)
        assert raised.value.__cause__ is None


def test_finding_imports_no_plugin_and_no_framework() -> None:
    """To list flavors, neither a plugin module nor pluggy nor pydantic is imported."""
    code = (
        "import sys, metastore; metastore.find_flavors();"
        "print([n for n in sys.modules if n in ('pluggy', 'pydantic', 'metastore.plugins.memory')])"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout
    assert shown.strip() == "[]"


def test_an_error_that_cannot_be_told(install: Install) -> None:
    """A plugin whose error raises when it is asked for its text is broken, and nothing more."""
    install("odd", "class E(Exception):\n    def __str__(self): raise SystemExit\nraise E")
    install("fine")
    with pytest.raises(FlavorError, match="is broken: E, while loading"):
        connect("odd://")
    states = {each.name: each.state.value for each in FlavorRegistry.discover().statuses()}
    assert (states["odd"], states["fine"]) == ("broken", "ok")


def test_metadata_nested_too_deeply(install: Install) -> None:
    """A ``direct_url.json`` that the parser's stack does not hold hides no flavor."""
    site = install("fine")
    (info,) = site.glob("*.dist-info")
    (info / "direct_url.json").write_text('{"a":' * 100_000)
    (found,) = (each for each in find_flavors() if each.name == "fine")
    assert not found.editable
