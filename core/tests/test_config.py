"""Named stores, the config file, and which store is meant."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import metastore
from metastore import (
    CapabilityError,
    InvalidError,
    MemoryMetadataStore,
    NotFoundError,
    StorageError,
)
from metastore.cli import cli
from metastore.config._file import ConfigFile
from metastore.config._flavors import registry_of
from metastore.config._stores import NamedStore, Stores
from metastore.plugins import _sources

from .cli.helper import Command, run_command
from .vault import VaultStore


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's config file, which is not there yet; the flavor vault is known."""
    path = tmp_path / "config" / "config.toml"
    monkeypatch.setenv("METASTORE_CONFIG", str(path))
    monkeypatch.setattr(_sources, "_here", {"vault": _sources.flavor_of_class(VaultStore)})
    monkeypatch.setitem(sys.modules, VaultStore.__module__, sys.modules[VaultStore.__module__])
    monkeypatch.setattr(VaultStore, "services", set())
    cli.__dict__.pop("_found", None)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return path


@pytest.fixture
def command(config: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs the command."""
    return partial(run_command, capsys)


def opened(which: str | None = None) -> Any:
    """The vault that is meant."""
    return metastore.connect(which).backend


class TestNamedStores:
    """From `register` to `remove`."""

    def test_from_beginning_to_end(self, command: Command, config: Path) -> None:
        """A store is registered, used, changed, renamed and removed by its name."""
        done = command("store", "register", "prod", "--flavor", "vault", "--host", "db1", "--ssl")
        assert done.code == 0, done.err
        assert opened("prod").location == "vault://db1:3306"
        assert opened("prod").config.ssl is True
        assert command("store", "update", "prod", "--port", "3307", "--tags", "a", "--tags", "b")
        assert opened("prod").location == "vault://db1:3307"
        assert opened("prod").config.tags == ("a", "b")
        assert command("store", "update", "prod", "--unset", "port", "--no-ssl").code == 0
        assert opened("prod").location == "vault://db1:3306"
        assert opened("prod").config.ssl is False
        assert command("store", "use", "prod").code == 0
        assert command("store", "rename", "prod", "staging").code == 0
        assert opened().location == "vault://db1:3306"
        assert command("store", "list", "--json").data == [
            {
                "name": "staging",
                "flavor": "vault",
                "is_active": True,
                "settings": {"host": "db1", "ssl": False, "tags": ["a", "b"]},
            }
        ]
        assert "staging *" in command("store", "list").out
        assert command("run", "list", "--store", "staging").code == 0
        assert command("store", "remove", "staging").code == 0
        assert command("store", "list", "--json").data == []
        assert "active" not in config.read_text()

    def test_by_a_url(self, command: Command) -> None:
        """A URL is taken apart; what the environment says at that time is not kept."""
        assert command("store", "register", "u", "--url", "vault://?host=db2&port=9").code == 0
        assert command("store", "show", "u", "--json").data["settings"] == {
            "host": "db2",
            "port": 9,
        }

    def test_the_environment_is_not_kept(
        self, command: Command, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A setting that the environment gives today may be another one tomorrow."""
        monkeypatch.setenv("METASTORE_VAULT__PORT", "1")
        command("store", "register", "u", "--url", "vault://?host=db2")
        command("store", "register", "f", "--flavor", "vault", "--host", "db2")
        for name in "uf":
            assert command("store", "show", name, "--json").data["settings"] == {"host": "db2"}

    def test_paths_are_kept_whole(
        self, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A relative path is one from where the store was registered, wherever it is used."""
        command("store", "register", "p", "--flavor", "vault", "--host", "h", "--ca", "ca.pem")
        monkeypatch.chdir("/")
        assert opened("p").config.ca == tmp_path / "work" / "ca.pem"

    @pytest.mark.parametrize(
        ("arguments", "code", "why"),
        [
            (("a b", "--flavor", "vault", "--host", "h"), 2, "is no name of a store"),
            (("x", "--flavor", "vault"), 2, "host: Field required"),
            (("x", "--flavor", "vault", "--host", "h", "--port", "y"), 2, "port: Input should be"),
            (("x", "--flavor", "vault", "--host", "h", "--level", "no"), 2, "'low' or 'high'"),
            (("x", "--flavor", "vault", "--hosst", "h"), 2, "--host"),
            (("x", "--flavor", "vaut"), 1, "did you mean vault"),
            (("x", "--flavor", "vaut", "--host", "h"), 1, "did you mean vault"),
            (("x", "--flavor", "vault", "--host", ""), 2, "'host' is empty"),
            (("x", "--flavor", "vault", "--host", "\udcff"), 2, "is no text"),
            (("vault://u:p4ss@h", "--flavor", "vault", "--host", "h"), 2, "vault:... is no name"),
            (("x",), 2, "Give --flavor and its settings, or --url."),
            (("x", "--flavor", "vault", "--url", "vault://?host=h"), 2, "or --url"),
            (("x", "--url", "vault://?host=h", "--port", "3"), 2, "not both"),
            (("x", "--url", "vault://?nope=h"), 2, "nope"),
        ],
    )
    def test_what_cannot_be_registered(
        self, command: Command, config: Path, arguments: tuple[str, ...], code: int, why: str
    ) -> None:
        """Wrong settings are refused with a sentence, and nothing is written."""
        done = command("store", "register", *arguments)
        assert done.code == code
        assert why in done.err
        assert not config.exists()

    def test_names_that_are_taken_or_unknown(self, command: Command) -> None:
        """No name is given twice, and an unknown one is answered with a near one."""
        for name in ("one", "two"):
            command("store", "register", name, "--flavor", "vault", "--host", name)
        assert "already" in command("store", "register", "one", "--flavor", "vault").err
        assert "already" in command("store", "rename", "one", "two").err
        for noun in ("show", "update", "remove", "use", "status"):
            done = command("store", noun, "tow")
            assert done.code == 1
            assert "no store is called 'tow'" in done.err
        with pytest.raises(NotFoundError, match="did you mean two"):
            metastore.connect("tow")

    def test_help_has_the_settings_of_the_flavor(self, command: Command) -> None:
        """With the flavor said, the help of register lists its settings; of update, its store's."""
        shown = command("store", "register", "--flavor", "vault", "--help").out
        assert "--host STR" in shown
        assert "--ssl / --no-ssl" in shown
        assert "--password REFERENCE" in shown
        command("store", "register", "prod", "--flavor", "vault", "--host", "h")
        assert "--port INT" in command("store", "update", "prod", "--help").out

    def test_status_up_and_down(self, command: Command) -> None:
        """Status says whether a store answers; up and down are those of its flavor."""
        command("store", "register", "prod", "--flavor", "vault", "--host", "h", "--use")
        found = command("store", "status", "--json").data
        assert (found["answers"], found["provisioned"]) == (True, False)
        assert found["said_by"] == "'metastore store use'"
        assert found["service"] == {"door": "shut"}
        done = command("store", "up")
        assert (done.code, done.err) == (0, "the door of h opens\n")
        shown = command("store", "status", "prod").out
        assert "running" in shown
        assert re.search(r"door +open", shown)
        assert command("store", "down", "prod").code == 0
        assert VaultStore.services == set()
        for noun in ("up", "down"):
            done = command("store", noun, "memory://")
            assert done.code == 1
            assert "no service" in done.err
        done = command("store", "status", "nothing://")
        assert (done.code, "is not installed" in done.err) == (1, True)
        done = command("store", "update", "gone", "--port", "3")
        assert (done.code, "no store is called 'gone'" in done.err) == (1, True)

    def test_what_would_be_made(self, command: Command, tmp_path: Path) -> None:
        """What would be made is printed, or written to a file or a folder; nothing is made."""
        command("store", "register", "prod", "--flavor", "vault", "--host", "h", "--use")
        both = "door: h\n---\nwall: thick\n"
        assert command("store", "up", "--dry-run").out == both
        path, folder = tmp_path / "all.yaml", tmp_path / "new"
        assert command("store", "up", "--output", str(path)).out == f"{path} is written\n"
        assert path.read_text() == both
        for _ in range(2):
            assert command("store", "up", "--output", f"{folder}/").code == 0
        assert {each.name: each.read_text() for each in folder.iterdir()} == {
            "door.yaml": "door: h\n", "wall.yaml": "wall: thick\n"
        }  # fmt: skip
        done = command("store", "up", "--output", str(path / "in-a-file"))
        assert (done.code, "cannot be written" in done.err) == (1, True)
        assert command("store", "up", "--output", "x", "--dry-run").code == 2
        assert VaultStore.services == set()

    def test_a_flavor_that_cannot_say_it(self) -> None:
        """A flavor that has no such method cannot write down what it would make, and says so."""
        with pytest.raises(CapabilityError, match="'memory' cannot write down"):
            MemoryMetadataStore.manifest(None)
        assert MemoryMetadataStore.describe_service(None) == ()


class TestWhichIsMeant:
    """Precedence, as documented."""

    def test_the_environment_fills_what_is_not_said(
        self, command: Command, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A named store's settings and a URL's go before the environment, that before defaults."""
        monkeypatch.setenv("METASTORE_VAULT__HOST", "from-environment")
        monkeypatch.setenv("METASTORE_VAULT__PORT", "77")
        monkeypatch.setenv("METASTORE_VAULT__TAGS", '["x"]')
        assert opened("vault://").location == "vault://from-environment:77"
        assert opened("vault://?host=url").location == "vault://url:77"
        assert opened("vault://").config.tags == ("x",)
        for name in ("prod", "staging"):
            command("store", "register", name, "--flavor", "vault", "--host", f"db-{name}")
        assert opened("prod").location == "vault://db-prod:77"
        assert opened("staging").location == "vault://db-staging:77"

    def test_a_wrong_variable_is_named(self, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """An error about a setting that came from the environment says so."""
        monkeypatch.setenv("METASTORE_VAULT__PORT", "high")
        with pytest.raises(InvalidError, match="of the variable METASTORE_VAULT__PORT"):
            metastore.connect("vault://?host=h")

    def test_from_the_nearest_to_the_farthest(
        self, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Argument, METASTORE_STORE, the project's file, `store use`, the user's own store."""
        command("store", "register", "active", "--flavor", "vault", "--host", "active", "--use")
        command("store", "register", "named", "--flavor", "vault", "--host", "named")
        assert opened().config.host == "active"
        (tmp_path / "metastore.toml").write_text('store = "named"\n')
        assert opened().config.host == "named"
        (tmp_path / "work" / "metastore.toml").write_text('store = "vault://?host=project"\n')
        assert opened().config.host == "project"
        monkeypatch.setenv("METASTORE_STORE", "named")
        assert opened().config.host == "named"
        assert opened("vault://?host=argument").config.host == "argument"
        monkeypatch.delenv("METASTORE_STORE")
        assert str(tmp_path / "work" / "metastore.toml") in command("store", "status").out

    def test_paths_in_a_projects_file(
        self, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """They are relative to that file, wherever below it a command is run."""
        (tmp_path / "metastore.toml").write_text('store = "vault://?host=h&ca=certs/ca.pem"\n')
        assert opened().config.ca == tmp_path / "certs" / "ca.pem"

    @pytest.mark.parametrize(
        ("text", "why"),
        [
            ("", "names no store"),
            ("store = 3", "names no store"),
            ("store = 3 4", "line 1, column 11"),
            ('store = "gone"', "no store is called 'gone'"),
            ('store = "vault:/a?password=c4n4ry"', r"vault:\.\.\. is a path"),
        ],
    )
    def test_a_projects_file_that_is_none(self, config: Path, text: str, why: str) -> None:
        """It is an error that names the file or the store: nothing else is opened instead."""
        Path("metastore.toml").write_text(text)
        with pytest.raises(metastore.MetastoreError, match=why):
            metastore.connect()

    @pytest.mark.parametrize("kind", ["folder", "dangling link"])
    def test_a_projects_file_that_is_no_file(
        self, command: Command, tmp_path: Path, kind: str
    ) -> None:
        """It is not passed over: another store would be used than is meant."""
        path = Path("metastore.toml")
        path.mkdir() if kind == "folder" else path.symlink_to("nowhere")
        with pytest.raises(InvalidError, match="is no file, and would name the store"):
            metastore.connect()

    def test_who_named_a_store_that_is_not_there(self, command: Command) -> None:
        """Where a file names a store that is not there, the hint names the file."""
        Path("metastore.toml").write_text('store = "gone"\n')
        assert "metastore.toml names this store" in command("run", "list").err
        Path("metastore.toml").unlink()
        command("store", "register", "a", "--flavor", "vault", "--host", "h", "--use")
        Stores.of_user().file.path.write_text("active = 'gone'\n")
        assert "'metastore store use' names this store" in command("run", "list").err

    def test_lists_and_homes(
        self, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A list is JSON in a URL; a tilde in a path is the user's home."""
        assert opened('vault://?host=h&tags=["a","b"]').config.tags == ("a", "b")
        monkeypatch.setenv("HOME", str(tmp_path / "me"))
        command("store", "register", "p", "--flavor", "vault", "--host", "h", "--ca", "~/ca.pem")
        assert opened("p").config.ca == tmp_path / "me" / "ca.pem"

    def test_never_a_file_by_accident(self, config: Path, tmp_path: Path) -> None:
        """A name that is none, a scheme that is none: an error, and no file anywhere."""
        for wrong in (
            "prod",
            "runs.db",
            "./runs",
            "postgres://h/d",
            "sqlit:///x",
            "mysql+pymysql://h",
        ):
            with pytest.raises(metastore.MetastoreError):
                metastore.connect(wrong)
        assert [*(tmp_path / "work").iterdir()] == []
        assert not config.exists()


class TestFile:
    """The config file itself."""

    def test_comments_and_order_stay(self, command: Command, config: Path) -> None:
        """What a person wrote stays as it is, but for what is changed."""
        config.parent.mkdir()
        config.write_text(
            "# mine\nactive = 'a'  # today\n\n[stores.a]\nflavor = 'vault'\n# the old one\n"
            "host = 'h'\n\n[other]\nkept = [1,\n  2]  # yes\n"
        )
        assert command("store", "update", "a", "--port", "5").code == 0
        assert command("store", "register", "b", "--flavor", "vault", "--host", "i").code == 0
        text = config.read_text()
        assert text.startswith("# mine\nactive = 'a'  # today\n")
        assert "# the old one\nhost = 'h'" in text
        assert "  2]  # yes" in text
        assert [each.name for each in Stores.of_user().all()] == ["a", "b"]

    def test_nobody_else_reads_it(self, command: Command, config: Path) -> None:
        """The file is this user's alone, and so is its folder where that was made."""
        command("store", "register", "a", "--flavor", "vault", "--host", "h")
        assert stat.S_IMODE(config.stat().st_mode) == 0o600
        assert stat.S_IMODE(config.parent.stat().st_mode) == 0o700

    @pytest.mark.parametrize(
        ("text", "why"),
        [
            ("[flavors.registered]\nmine = 4\n", "what .* says of the flavor 'mine' is no text"),
            ("active = 3\n", "'active' in .* is no name of a store"),
            ("stores = { a = { flavor = 'vault' } }\n", "stands on one line"),
        ],
    )
    def test_what_it_says_wrong(self, command: Command, config: Path, text: str, why: str) -> None:
        """What the file says and cannot be meant is one line, not a bug."""
        config.parent.mkdir()
        config.write_text(text)
        for arguments in (
            ("store", "register", "b", "--flavor", "vault", "--host", "h"),
            ("flavor", "list"),
            ("store", "list"),
            ("run", "list"),
        ):
            done = command(*arguments)
            assert done.code in (0, 1, 2)
            assert "nobody foresaw" not in done.err
        with pytest.raises(InvalidError, match=why):
            registry_of(ConfigFile.of_user())
            assert Stores.of_user().active is None
            Stores.of_user().register(NamedStore("c", "memory", {}))
        assert config.read_text().startswith(text)

    def test_a_byte_order_mark_and_other_line_ends(self, command: Command, config: Path) -> None:
        """Files as other editors write them are read, and their line ends stay."""
        config.parent.mkdir()
        config.write_bytes(b"\xef\xbb\xbf# mine\r\nactive = 'a'\r\n")
        assert Stores.of_user().active == "a"
        command("store", "register", "a", "--flavor", "vault", "--host", "h")
        written = config.read_bytes()
        assert written.startswith(b"\xef\xbb\xbf# mine\r\nactive = 'a'\r\n")
        assert written.count(b"\n") == written.count(b"\r\n")

    def test_keys_with_dots_are_not_damaged(self, command: Command, config: Path) -> None:
        """A file in which a table cannot be added is refused, and stays as it is."""
        config.parent.mkdir()
        text = "stores.a.flavor = 'vault'\nstores.a.host = 'h'\nother = 1\n"
        config.write_text(text)
        done = command("store", "register", "b", "--flavor", "vault", "--host", "h")
        stores = {each.name: dict(each.fields) for each in Stores.of_user().all()}
        assert stores["a"] == {"host": "h"}
        if done.code:
            assert config.read_text() == text
            assert "nothing was changed" in done.err
        else:
            assert stores["b"] == {"host": "h"}

    def test_a_device_is_not_replaced(
        self, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What is no file does not become one."""
        pipe = tmp_path / "pipe"
        os.mkfifo(pipe)
        monkeypatch.setenv("METASTORE_CONFIG", str(pipe))
        with (
            pytest.raises(StorageError, match="is no file, and cannot hold settings"),
            ConfigFile.of_user().changed(),
        ):
            pass
        assert stat.S_ISFIFO(pipe.stat().st_mode)

    def test_what_a_killed_process_left_is_cleared(self, command: Command, config: Path) -> None:
        """A new file that was never put in its place is gone with the next change."""
        command("store", "register", "a", "--flavor", "vault", "--host", "h")
        left = config.parent / ".config.toml.abc.new"
        left.write_text("")
        command("store", "use", "a")
        assert not left.exists()

    def test_relative_paths_written_by_hand(self, command: Command, config: Path) -> None:
        """They are relative to the file's folder, wherever a command is run."""
        config.parent.mkdir()
        config.write_text("[stores.a]\nflavor = 'vault'\nhost = 'h'\nca = 'ca.pem'\n")
        assert opened("a").config.ca == config.parent / "ca.pem"

    def test_a_link_and_its_target_share_a_lock(self, config: Path, tmp_path: Path) -> None:
        """Whoever comes by the link and whoever comes by the file wait for one another."""
        config.parent.mkdir()
        target = tmp_path / "dotfiles.toml"
        target.write_text("")
        config.symlink_to(target)
        with ConfigFile(config).changed() as document:
            document["a"] = 1
            assert (tmp_path / "dotfiles.toml.lock").exists()
        assert not (config.parent / "config.toml.lock").exists()

    def test_a_link_stays_a_link(self, command: Command, config: Path, tmp_path: Path) -> None:
        """A config that is kept elsewhere is written there."""
        config.parent.mkdir()
        target = tmp_path / "dotfiles.toml"
        target.write_text("# kept\n")
        config.symlink_to(target)
        command("store", "register", "a", "--flavor", "vault", "--host", "h")
        assert config.is_symlink()
        assert "[stores.a]" in target.read_text()

    @pytest.mark.parametrize(
        ("text", "why"),
        [
            (b"[stores.a\nflavor = 1", "line 1, column 10"),
            (b"stores = 3\n", "'stores' in .* is no table"),
            (b"[stores]\na = 3\n", "store 'a' in .* has no flavor"),
            (b"\xff\xfe", "no text in UTF-8"),
            (b"[flavors.registered]\nmine = 4\n[stores.a]\n", "store 'a' in .* has no flavor"),
        ],
    )
    def test_a_damaged_file_is_never_written(
        self, command: Command, config: Path, text: bytes, why: str
    ) -> None:
        """It is said where it is wrong; what does not need it still works."""
        config.parent.mkdir()
        config.write_bytes(text)
        done = command("store", "register", "b", "--flavor", "vault", "--host", "h")
        assert done.code == 2
        assert config.read_bytes() == text
        with pytest.raises(InvalidError, match=why):
            Stores.of_user().all()
        assert opened("vault://?host=h").location == "vault://h:3306"

    def test_a_write_that_fails_leaves_the_old_file(
        self, command: Command, config: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The file is the old one or the new one, and nothing is left beside it."""
        command("store", "register", "a", "--flavor", "vault", "--host", "h")
        before = config.read_bytes()

        def fail(*_: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("metastore.config._file.os.replace", fail)
        with pytest.raises(StorageError, match="No space left"):
            Stores.of_user().remove("a")
        assert config.read_bytes() == before
        assert {each.name for each in config.parent.iterdir()} == {
            "config.toml",
            "config.toml.lock",
        }

    @pytest.mark.slow
    def test_eight_processes_lose_nothing(self, config: Path) -> None:
        """Eight processes register fifty stores each at one time: all of them are there."""
        code = (
            "import sys\n"
            "from metastore.config._stores import NamedStore, Stores\n"
            "for n in range(50):\n"
            "    name = f'{sys.argv[1]}-{n}'\n"
            "    Stores.of_user().register(NamedStore(name, 'memory', {'n': n}))\n"
        )
        running = [
            subprocess.Popen([sys.executable, "-c", code, f"p{number}"], env=os.environ)
            for number in range(8)
        ]
        assert [each.wait() for each in running] == [0] * 8
        found = Stores.of_user().all()
        assert {each.name for each in found} == {f"p{a}-{b}" for a in range(8) for b in range(50)}
        assert all(each.fields["n"] == int(each.name.partition("-")[2]) for each in found)

    def test_unreadable(self, config: Path) -> None:
        """A folder where the file should be is an error of ours."""
        config.mkdir(parents=True)
        with pytest.raises(StorageError, match="cannot be read"):
            ConfigFile.of_user().read()
        with pytest.raises(StorageError):
            Stores.of_user().register(NamedStore("a", "memory", {}))

    @pytest.mark.parametrize(
        ("written", "why"),
        [
            ("a = " + "[" * 5_000 + "]" * 5_000, "is nested too deeply"),
            ("a = " + "{a = " * 5_000 + "1" + "}" * 5_000, "is nested too deeply"),
            (".".join(["a"] * 100_000) + " = 1", "has a key of more than 30 parts"),
            ("[" + " . ".join(['"a"'] * 40) + "]", "has a key of more than 30 parts"),
            ("# " + "x" * (1 << 20), "has more than 1,048,576 bytes"),
        ],
    )
    def test_beyond_reason(self, config: Path, written: str, why: str) -> None:
        """A file that would take the parser's stack, or all memory, is refused, and stays."""
        config.parent.mkdir()
        config.write_text(written)
        for work in (
            ConfigFile.of_user().read,
            lambda: Stores.of_user().register(NamedStore("a", "memory", {})),
        ):
            with pytest.raises(InvalidError, match=why):
                work()
        assert config.read_text() == written

    def test_dots_that_are_no_keys(self, config: Path) -> None:
        """Many dots in a text or a comment are no key."""
        config.parent.mkdir()
        config.write_text(f"# {'.' * 500}\na = '{'...' * 100}'\nb.c.d = 1\n")
        assert ConfigFile.of_user().read()["b"] == {"c": {"d": 1}}

    def test_a_device_has_no_end(self, config: Path) -> None:
        """What never ends is not read to its end."""
        config.parent.mkdir()
        config.symlink_to("/dev/zero")
        with pytest.raises(InvalidError, match="more than"):
            ConfigFile.of_user().read()


@pytest.mark.parametrize(
    "url",
    [
        "vault://?host=%ff",
        "vault://%ff?host=h",
        "sqlite:///%ff.db",
        "sqlite:///%ed%a0%80",
        "vault://?%ff=1",
    ],
)
def test_percent_encoded_bytes_that_are_no_text(url: str, config: Path) -> None:
    """They name no store: read with a substitute, they would name another one."""
    with pytest.raises(InvalidError, match="no text"):
        metastore.connect(url, mode="r")


def test_a_list_nested_too_deeply(config: Path) -> None:
    """A setting of JSON that the parser's stack does not hold is a wrong setting."""
    with pytest.raises(InvalidError, match="tags"):
        metastore.connect(f"vault://?host=h&tags={'[' * 100_000}", mode="r")
