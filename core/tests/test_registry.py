"""Whatever a stranger's flavor does: it is listed as what it is, and harms nobody else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import metastore
from metastore import INTERFACE_VERSION, FlavorError, FoundFlavor, MemoryMetadataStore, find_flavors
from metastore.cli import cli
from metastore.plugins import _finder, _registry, _sources
from metastore.plugins._loader import load_in_time
from metastore.plugins._registry import FlavorRegistry, FlavorState

from .cli.helper import Command, run_command
from .fabricated import PLUGIN, Install, good, install

__all__ = ["install"]


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: Any) -> Command:
    """Runs the command with a config file of its own."""
    monkeypatch.setenv("METASTORE_CONFIG", str(tmp_path / "config" / "config.toml"))
    # What plugins add is asked for once in a process.
    cli.__dict__.pop("_found", None)
    return partial(run_command, capsys)


@pytest.fixture(autouse=True)
def in_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A flavor that does not come in a tenth of a second does not come."""
    monkeypatch.setattr(_registry, "load_in_time", partial(load_in_time, seconds=0.5))


HOOK = "from metastore import hookimpl\n@hookimpl\n"
CONFIG, STORE = (
    "metastore.plugins._memory_config:MemoryConfig",
    "metastore.memory:MemoryMetadataStore",
)

BAD: dict[str, tuple[str, str, str]] = {
    "ImportError": ("import no_such_module", "broken", "No module named 'no_such_module'"),
    "its own ImportError": ("raise ImportError('no libfoo')", "broken", "ImportError: no libfoo"),
    "SyntaxError": ("def (", "broken", "SyntaxError"),
    "SystemExit": ("raise SystemExit(3)", "broken", "SystemExit"),
    "BaseException": ("class Odd(BaseException): pass\nraise Odd", "broken", "Odd"),
    "wrong arguments": (f"{HOOK}def metastore_flavor(extra): pass", "broken", "'extra'"),
    "unknown hook": (f"{HOOK}def metastore_flavour(): pass", "broken", "'metastore_flavour'"),
    "no hook": ("", "broken", "returns no Flavor"),
    "a hook that raises": (f"{HOOK}def metastore_flavor(): 1 / 0", "broken", "ZeroDivisionError"),
    "another name": (good("other"), "broken", "its Flavor 'other'"),
    "newer": (good("demo", INTERFACE_VERSION + 1), "incompatible", "upgrade metastore-core"),
    "older": (good("demo", INTERFACE_VERSION - 1), "incompatible", "metastore-flavor-demo"),
}


@pytest.mark.parametrize(("source", "state", "why"), BAD.values(), ids=BAD)
def test_a_bad_flavor_is_listed_and_harms_nobody(
    install: Install, command: Command, source: str, state: str, why: str
) -> None:
    """It has its state and a reason, the others are fine, and what needs none of it loads none."""
    install("demo", source)
    assert command("run", "list", "--store", "memory://").code == 0
    assert PLUGIN not in sys.modules
    found = {each["name"]: each for each in command("flavor", "list", "--json").data}
    assert found["memory"]["state"] == "ok"
    assert found["demo"]["state"] == state
    assert why in found["demo"]["reason"]
    assert found["demo"]["distribution"] == "metastore-flavor-demo"
    assert found["demo"]["version"] == "1.0"
    assert why in command("flavor", "list").out
    assert command("--help").code == 0


@pytest.mark.parametrize(
    ("source", "state", "why"),
    BAD.values(),
    ids=BAD,
)
def test_who_uses_a_bad_flavor_is_told_how_to_be_rid_of_it(
    install: Install, command: Command, source: str, state: str, why: str
) -> None:
    """One line: what is wrong, of which distribution, and what to run."""
    install("demo", source)
    for arguments in (("run", "list", "--store", "demo://"), ("flavor", "show", "demo")):
        code, out, err = command(*arguments)
        assert (code, out) == (1, "")
        assert err.count("\n") == 1
        assert why in err
        assert "pip uninstall metastore-flavor-demo" in err or "pip install --upgrade" in err
    checked = command("flavor", "check", "demo")
    assert checked.code == 1
    assert why in checked.out


def test_a_flavor_says_itself_why_it_cannot_be_used(install: Install, command: Command) -> None:
    """A FlavorError that a plugin module raises keeps its sentence and its hint, whole."""
    why = "it needs libfoo, which has wheels for Linux only; " + "and more of that. " * 20
    source = (
        "from metastore import FlavorError, hookimpl\n"
        "@hookimpl\n"
        f"def metastore_flavor(): raise FlavorError({why!r}, hint='use Linux')"
    )
    install("demo", source)
    (row,) = (each for each in command("flavor", "list", "--json").data if each["name"] == "demo")
    assert row["state"] == "broken"
    assert row["reason"] == (
        "the flavor 'demo' of metastore-flavor-demo 1.0 cannot be used: " + why + "; use Linux"
    )
    assert command("run", "list", "--store", "demo://").err == f"error: {row['reason']}\n"


@pytest.mark.parametrize(
    ("where", "why"),
    [
        ("no_such_module:Store", "No module named 'no_such_module'"),
        ("json:NoSuchClass", "AttributeError"),
        ("json:JSONDecoder", "is no BaseMetadataStore"),
        ("metastore.base:BaseMetadataStore", "another FLAVOR"),
    ],
)
def test_a_store_class_that_is_none(
    install: Install, command: Command, where: str, why: str
) -> None:
    """What only its use shows, the list does not know; the use and the check say it in one line."""
    install("demo", good("demo").replace(STORE, where))
    found = {each["name"]: each for each in command("flavor", "list", "--json").data}
    assert found["demo"]["state"] == "ok"
    code, _, err = command("run", "list", "--store", "demo://")
    assert (code, err.count("\n")) == (1, 1)
    assert why in err
    checked = command("flavor", "check", "demo")
    assert (checked.code, checked.out.count("wrong ")) == (1, 1)
    assert why in checked.out


def test_ctrl_c_of_a_plugin_is_its_own(install: Install, command: Command) -> None:
    """A plugin that raises KeyboardInterrupt is broken, and does not end the list."""
    install("rude", "raise KeyboardInterrupt")
    found = {each["name"]: each for each in command("flavor", "list", "--json").data}
    assert (found["memory"]["state"], found["rude"]["state"]) == ("ok", "broken")


def test_what_a_plugin_writes_past_python_is_no_output(install: Install, tmp_path: Path) -> None:
    """A plugin that writes to the file descriptor does not break the JSON."""
    site = install("raw", f"import os\nos.write(1, b'raw')\n{good('raw')}".replace("\n    ", "\n"))
    done = subprocess.run(
        [sys.executable, "-m", "metastore", "flavor", "list", "--json"],
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "raw" in done.stderr
    assert {each["name"] for each in json.loads(done.stdout)} >= {"memory", "raw"}


def test_a_flavor_that_never_comes(install: Install, command: Command) -> None:
    """The list does not wait for it, and shows the others."""
    install("sleepy", "import threading\nthreading.Event().wait()")
    found = {each["name"]: each for each in command("flavor", "list", "--json").data}
    assert found["memory"]["state"] == "ok"
    assert found["sleepy"]["state"] == "broken"
    assert "takes longer than 0.5 seconds" in found["sleepy"]["reason"]
    assert command("run", "list", "--store", "memory://").code == 0


def test_what_a_plugin_prints_is_no_output(install: Install, command: Command) -> None:
    """A plugin that prints while it is loaded does not get between the lines of the output."""
    install("demo", f"print('hello')\n{good('demo')}".replace("\n    ", "\n"))
    shown = command("flavor", "list", "--json")
    assert {each["state"] for each in shown.data} == {"ok"} | {
        each["state"] for each in shown.data if each["name"] not in ("demo", "memory")
    }
    assert "hello" in shown.err


def test_a_name_that_core_has(install: Install, command: Command) -> None:
    """Of two that claim one name neither wins; the user says which one is meant."""
    install("memory", distribution="metastore-flavor-takeover")
    states = [each for each in command("flavor", "list", "--json").data if each["name"] == "memory"]
    assert [each["state"] for each in states] == ["conflict", "conflict"]
    code, _, err = command("run", "list", "--store", "memory://")
    assert code == 1
    assert "metastore-core" in err
    assert "metastore-flavor-takeover" in err
    assert "metastore flavor prefer memory" in err
    assert command("flavor", "prefer", "memory", "nobody").code == 1
    assert command("flavor", "prefer", "memory", "Metastore_Core").code == 0
    assert command("run", "list", "--store", "memory://").code == 0
    states = [each for each in command("flavor", "list", "--json").data if each["name"] == "memory"]
    assert [each["state"] for each in states] == ["ok", "disabled"]
    assert command("flavor", "prefer", "memory").code == 0
    assert command("run", "list", "--store", "memory://").code == 1


def test_one_distribution_twice_is_one(install: Install, command: Command) -> None:
    """A distribution that two folders of the path hold is no conflict."""
    install("demo", folder="old", version="1.0")
    install("demo", folder="new", version="2.0")
    found = [each for each in command("flavor", "list", "--json").data if each["name"] == "demo"]
    assert [(each["state"], each["version"]) for each in found] == [("ok", "2.0")]


def test_an_orphaned_editable_install(install: Install, command: Command, tmp_path: Path) -> None:
    """Where the project of an editable install is gone, it is said where it was."""
    gone = str(tmp_path / "gone")
    install("demo", editable=gone)
    found = {each["name"]: each for each in command("flavor", "list", "--json").data}["demo"]
    assert (found["state"], found["editable"], found["location"]) == ("broken", True, gone)
    assert f"in {gone}, where it was installed as editable" in found["reason"]


@pytest.mark.parametrize(
    ("allowed", "states"),
    [
        ("memory", {"memory": "ok", "demo": "disabled"}),
        (" demo , memory,", {"memory": "ok", "demo": "ok"}),
        ("", {"memory": "disabled", "demo": "disabled"}),
    ],
)
def test_metastore_flavors_limits_what_is_loaded(
    install: Install,
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
    allowed: str,
    states: dict[str, str],
) -> None:
    """Flavors that METASTORE_FLAVORS does not name are listed, and never imported."""
    install("demo")
    monkeypatch.setenv("METASTORE_FLAVORS", allowed)
    found = {each["name"]: each["state"] for each in command("flavor", "list", "--json").data}
    assert {name: found[name] for name in states} == states
    for name, state in states.items():
        if state == "disabled":
            with pytest.raises(FlavorError, match="METASTORE_FLAVORS leaves"):
                metastore.connect(f"{name}://")
    assert (PLUGIN in sys.modules) == (states["demo"] == "ok")


class TestSources:
    """Classes that no distribution provides."""

    SOURCE = (
        "from metastore import FlavorConfig, MemoryMetadataStore\n"
        "class Mine(MemoryMetadataStore):\n    'My own.'\n    FLAVOR = 'mine'\n"
        "class Half(MemoryMetadataStore):\n    FLAVOR = 'Half'\n"
        "from metastore import BaseMetadataStore\n"
        "class Abstract(BaseMetadataStore):\n    FLAVOR = 'abstract'\n"
    )

    def test_a_class_in_a_file(
        self, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A registered class is used by its name, from wherever, until it is unregistered."""
        (tmp_path / "mine.py").write_text(self.SOURCE)
        monkeypatch.chdir(tmp_path)
        assert command("flavor", "register", "mine.py:Mine").code == 0
        monkeypatch.chdir("/")
        assert command("run", "list", "--store", "mine://").code == 0
        found = {each["name"]: each for each in command("flavor", "list", "--json").data}["mine"]
        assert (found["state"], found["summary"]) == ("registered", "My own.")
        assert found["source"] == f"{tmp_path / 'mine.py'}:Mine"
        assert command("flavor", "check", "mine").code == 0
        assert command("flavor", "unregister", "mine").code == 0
        assert command("flavor", "unregister", "mine").code == 1
        assert command("run", "list", "--store", "mine://").code == 1

    @pytest.mark.parametrize(
        ("source", "why"),
        [
            ("mine.py:Missing", "no class 'Missing'"),
            ("mine.py:Half", "is no name of a flavor"),
            ("mine.py:Abstract", "lacks methods"),
            ("gone.py:Mine", "there is no file"),
            ("json.JSONDecoder", "no class 'JSONDecoder' that is a BaseMetadataStore"),
            ("no_such_module.Mine", "No module named"),
            ("Mine", "names no class"),
            ("a b.c", "names no class"),
            ("metastore.MemoryMetadataStore", "metastore-core provides"),
        ],
    )
    def test_what_cannot_be_registered(
        self, command: Command, tmp_path: Path, monkeypatch: Any, source: str, why: str
    ) -> None:
        """What is no usable class is refused, and nothing is kept of it."""
        (tmp_path / "mine.py").write_text(self.SOURCE)
        monkeypatch.chdir(tmp_path)
        code, _, err = command("flavor", "register", source)
        assert code in (1, 2)
        assert why in err
        assert not (tmp_path / "config" / "config.toml").exists()

    def test_a_source_that_is_gone_later(
        self, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It is listed as broken, and the others are fine."""
        path = tmp_path / "later.py"
        path.write_text(self.SOURCE)
        assert command("flavor", "register", f"{path}:Mine").code == 0
        path.unlink()
        for name in [each for each in sys.modules if each.startswith("metastore_source_")]:
            monkeypatch.delitem(sys.modules, name)
        found = {each["name"]: each for each in command("flavor", "list", "--json").data}
        assert found["mine"]["state"] == "broken"
        assert "unregister" in found["mine"]["reason"]
        assert found["memory"]["state"] == "ok"

    def test_a_flavor_given_in_code(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """An application that lost its metadata registers its flavors itself."""

        class Frozen(MemoryMetadataStore):
            FLAVOR = "frozen"

        monkeypatch.setattr(sys.modules[__name__], "Frozen", Frozen, raising=False)
        monkeypatch.setattr(_sources, "_here", {})
        Frozen.__qualname__ = "Frozen"
        monkeypatch.setitem(sys.modules, Frozen.__module__, sys.modules[__name__])
        metastore.register_flavor(_sources.flavor_of_class(Frozen))
        with metastore.connect("frozen://") as store:
            assert store.flavor == "frozen"
        with pytest.raises(metastore.InvalidError):
            metastore.register_flavor("frozen")  # type: ignore[arg-type]


def test_a_scan_finds_what_importlib_metadata_finds(install: Install, tmp_path: Path) -> None:
    """The own scan of folders and importlib-metadata agree, whatever lies in the folders."""
    install("demo")
    install("demo", folder="second", version="2.0")
    install("another", distribution="Metastore.Flavor_Odd", version="1.0.post1")
    install("edited", editable=str(tmp_path / "project"))
    site = install("zebra")
    for name, text in (
        ("empty-1.dist-info", None),
        ("comments-1.dist-info", "# [metastore.flavors]\n[console_scripts]\na = b\n"),
        ("spaces-1.dist-info", "[metastore.flavors]\n  a-b  =  module.name  \n\n# c = d\n"),
        ("extras-1.dist-info", "[other]\nx = y\n[metastore.flavors]\nq = m:attr [extra]\n"),
        ("old.egg-info", "[metastore.flavors]\nold = old_module\n"),
    ):
        info = site / name
        info.mkdir()
        stem = name.partition("-1")[0].removesuffix(".egg-info")
        header = "PKG-INFO" if name.endswith("egg-info") else "METADATA"
        (info / header).write_text(f"Metadata-Version: 2.1\nName: {stem}\nVersion: 1\n")
        if text is not None:
            (info / "entry_points.txt").write_text(text)
    (site / "file.dist-info").write_text("no folder")
    ours = sorted(_finder._in_folders(sys.path))
    assert ours == sorted(_finder._as_importlib_metadata_finds())
    assert {"demo", "another", "edited", "a-b", "q", "old"} <= {each.name for each in ours}
    assert find_flavors() == ours


def test_an_archive_on_the_path_is_left_to_importlib_metadata(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A distribution in a zip file is found too."""
    import zipfile

    archive = tmp_path / "site.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("zipped-1.dist-info/METADATA", "Name: zipped\nVersion: 1\n")
        file.writestr("zipped-1.dist-info/entry_points.txt", "[metastore.flavors]\nzipped = z\n")
    monkeypatch.syspath_prepend(str(archive))
    assert "zipped" in {each.name for each in find_flavors()}


def test_no_flavor_at_all() -> None:
    """Without any distribution there is a sentence, and no crash."""
    registry = FlavorRegistry([])
    assert registry.statuses() == []
    with pytest.raises(metastore.FlavorNotFoundError, match="installed: none"):
        registry.get("sqlite")


def test_a_distribution_and_a_source_of_one_name() -> None:
    """They are a conflict too, which a preference decides."""
    found = FoundFlavor("demo", "dist", "1", "no_module", "/site")
    registry = FlavorRegistry([found], sources={"demo": "no_module.Class"})
    assert {each.state for each in registry.statuses()} == {FlavorState.CONFLICT}
    for preferred, broken in (("dist", found), ("source", None)):
        registry = FlavorRegistry(
            [found], sources={"demo": "no_module.Class"}, preferred={"demo": preferred}
        )
        states = {each.found: each.state for each in registry.statuses()}
        other = found if broken is None else None
        assert states == {broken: FlavorState.BROKEN, other: FlavorState.DISABLED}


class TestHooks:
    """What plugins add."""

    def test_a_plugin_adds_a_command(self, install: Install, command: Command) -> None:
        """The command stands in the help, apart from core's, and runs."""
        source = good("demo") + (
            "\n    from metastore import Command\n    import click\n"
            "    @hookimpl\n    def metastore_commands():\n"
            f"        return [Command('greet', '{PLUGIN}:greet', 'Says hello.')]\n"
            "    @click.command()\n    def greet():\n        click.echo('hello')\n"
        )
        install("demo", source)
        shown = command("--help")
        assert "Commands of plugins" in shown.out
        assert "greet  Says hello." in shown.out
        assert command("greet").out == "hello\n"
        assert "'greet'" in command("great").err

    @pytest.mark.parametrize(
        ("gives", "why"),
        [
            ("3", "TypeError in metastore_commands()"),
            ("['serve']", "gives 'serve', which is no command"),
            ("[Command('Bad Name', 'a:b', 'c')]", "'Bad Name'"),
            ("1 / 0", "ZeroDivisionError in metastore_commands()"),
            ("[None]", "gives None, which is no command"),
            ("[('a', 'b')]", "gives ('a', 'b'), which is no command"),
            ("exit(9)", "SystemExit in metastore_commands()"),
        ],
    )
    def test_what_is_no_command(
        self, install: Install, command: Command, gives: str, why: str
    ) -> None:
        """A plugin whose commands are none is warned about, and the rest works."""
        source = good("demo") + (
            "\n    from metastore import Command\n"
            f"    @hookimpl\n    def metastore_commands():\n        return {gives}\n"
        )
        install("demo", source)
        shown = command("--help")
        assert shown.code == 0
        assert why in shown.err
        assert command("flavor", "list").err == ""

    @pytest.mark.parametrize(
        ("where", "why"),
        [
            ("no_such_module:main", "raises ModuleNotFoundError"),
            (f"{PLUGIN}:missing", "raises AttributeError"),
            (f"{PLUGIN}:PLAIN", "is no click.Command"),
            (f"{PLUGIN}:fails", "which is a bug in plugin_metastore_flavor_demo"),
        ],
    )
    def test_a_command_that_does_not_work(
        self, install: Install, command: Command, where: str, why: str
    ) -> None:
        """What is wrong with a plugin's command is said of the plugin, not of metastore."""
        source = good("demo") + (
            "\n    from metastore import Command\n    import click\n    PLAIN = 3\n"
            "    @hookimpl\n    def metastore_commands():\n"
            f"        return [Command('greet', '{where}', 'Says hello.')]\n"
            "    @click.command()\n    def fails():\n        1 / 0\n"
        )
        install("demo", source)
        done = command("greet")
        assert done.code == 1
        assert why in done.err

    def test_two_plugins_with_one_command(self, install: Install, command: Command) -> None:
        """Neither is taken, both are named; a command of core's stays core's."""
        for name in ("ant", "bee"):
            install(
                name,
                good(name) + "\n    from metastore import Command\n"
                "    @hookimpl\n    def metastore_commands():\n"
                "        return [Command('serve', 'a:b', 'c'), Command('run', 'a:b', 'c')]\n",
            )
        shown = command("serve")
        assert shown.code == 2
        assert "metastore-flavor-ant and metastore-flavor-bee both add" in shown.err
        assert "Runs of pipelines" in command("run", "--help").out


def test_hooks_and_their_arguments_stand_in_the_docs() -> None:
    """docs/plugins.md names every hook with its arguments."""
    import inspect

    from metastore.plugins._hooks import HookSpecs

    page = Path(__file__).parents[2] / "docs" / "plugins.md"
    if not page.is_file():
        pytest.skip("the documents are not part of the distribution")
    text = page.read_text("utf-8")
    hooks = [name for name in vars(HookSpecs) if name.startswith("metastore_")]
    assert hooks
    for name in hooks:
        parameters = [*inspect.signature(getattr(HookSpecs, name)).parameters]
        assert f"{name}({', '.join(parameters[1:])})" in text


def test_json_of_flavors_is_json(command: Command) -> None:
    """The list is JSON with all states as words."""
    assert json.dumps(command("flavor", "list", "--json").data)
