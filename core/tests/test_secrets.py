"""Secrets: kept elsewhere, read late, and shown nowhere."""

from __future__ import annotations

import copy
import logging
import os
import pickle
import stat
import subprocess
import sys
import traceback
from functools import partial
from pathlib import Path
from typing import Any

import click
import pytest

import metastore
from metastore import CapabilityError, InvalidError, NotFoundError, Secret, StoreURL
from metastore.cli import cli
from metastore.config._kept import forget_secret, keep_secret
from metastore.config._stores import NamedStore, Stores
from metastore.plugins import _sources

from .cli.helper import Command, run_command
from .fabricated import Install, good, install
from .vault import VaultConfig, VaultStore

__all__ = ["install"]

CANARY = "c4n4ry-p4ssw0rd"


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's config file, which is not there yet; no keyring, and the flavor vault is known."""
    path = tmp_path / "config" / "config.toml"
    monkeypatch.setenv("METASTORE_CONFIG", str(path))
    monkeypatch.setattr(_sources, "_here", {"vault": _sources.flavor_of_class(VaultStore)})
    monkeypatch.setitem(sys.modules, "keyring", None)
    cli.__dict__.pop("_found", None)
    return path


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs the command."""
    return partial(run_command, capsys)


class FakeKeyring:
    """The functions of keyring that are used, over a dict."""

    class errors:  # noqa: N801 - a module of keyring
        """Its errors."""

        class KeyringError(Exception):
            """The root."""

    def __init__(self, *, priority: float = 5, broken: bool = False) -> None:
        self.kept: dict[tuple[str, str], str] = {}
        self.priority, self.broken = priority, broken

    def get_keyring(self) -> Any:
        """The backend."""
        return self

    def set_password(self, service: str, user: str, password: str) -> None:
        """Keep."""
        if self.broken:
            raise self.errors.KeyringError
        self.kept[service, user] = password

    def get_password(self, service: str, user: str) -> str | None:
        """Look."""
        if self.broken:
            raise self.errors.KeyringError
        return self.kept.get((service, user))

    def delete_password(self, service: str, user: str) -> None:
        """Forget."""
        if self.kept.pop((service, user), None) is None:
            raise self.errors.KeyringError


@pytest.fixture
def keyring(monkeypatch: pytest.MonkeyPatch) -> FakeKeyring:
    """A keyring."""
    found = FakeKeyring()
    monkeypatch.setitem(sys.modules, "keyring", found)
    monkeypatch.setitem(sys.modules, "keyring.errors", found.errors)
    return found


def test_half_of_a_surrogate_pair_in_a_setting() -> None:
    """It is refused where it stands, by its name, and goes into no URL and to no driver."""
    with pytest.raises(InvalidError, match=r"host: .*surrogate pair"):
        VaultConfig.checked("vault", {"host": "h\udfff"})


class TestReferences:
    """Where a secret is kept."""

    def test_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Read when it is needed, not when the config is made."""
        config = VaultConfig(host="h", password="env:VAULT_PASSWORD")  # type: ignore[arg-type]
        assert config.password is not None
        with pytest.raises(NotFoundError, match="VAULT_PASSWORD"):
            config.password.reveal()
        monkeypatch.setenv("VAULT_PASSWORD", CANARY)
        assert config.password.reveal() == CANARY

    def test_what_is_no_text(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A secret in other bytes than UTF-8 is refused when needed, and shown by no variable."""
        monkeypatch.setenv("VAULT_PASSWORD", os.fsdecode(CANARY.encode() + b"\xe9"))
        for secret in (Secret.of_reference("env:VAULT_PASSWORD"), Secret(f"{CANARY}\udfff")):
            with pytest.raises(InvalidError, match="no Unicode text") as raised:
                secret.reveal()
            assert CANARY not in everything_of(raised.value)

    @pytest.mark.parametrize(
        ("text", "secret"),
        [("a\n", "a"), ("a\r\n", "a"), ("a\n\n", "a\n"), (" a ", " a "), ("", "")],
    )
    def test_a_file(self, tmp_path: Path, text: str, secret: str) -> None:
        """Of its text the line end at the end is left out."""
        path = tmp_path / "secret"
        path.write_bytes(text.encode())
        assert Secret.of_reference(f"file:{path}").reveal() == secret

    @pytest.mark.parametrize(
        ("reference", "why"),
        [
            ("file:relative", "is relative"),
            ("file:/no/such/file", "No such file"),
            ("file:/", "Is a directory"),
            ("keyring:service", "lacks a service or a user"),
            ("keyring:a/b", r"pip install 'metastore-core\[keyring\]'"),
            ("nobodys:namespace/name/key", "is given as a reference"),
            ("admin:hunter2", "is given as a reference"),
            ("https://u:p@h", "is given as a reference"),
        ],
    )
    def test_what_cannot_be_read(self, reference: str, why: str) -> None:
        """It is said why, and what to do."""
        with pytest.raises(metastore.MetastoreError, match=why):
            Secret.of_reference(reference).reveal()

    def test_the_keyring(self, keyring: FakeKeyring) -> None:
        """Service and user are what stands before and behind the last slash."""
        keyring.kept["a/service", "user"] = CANARY
        assert Secret.of_reference("keyring:a/service/user").reveal() == CANARY
        with pytest.raises(NotFoundError, match="keyring set s u"):
            Secret.of_reference("keyring:s/u").reveal()
        keyring.broken = True
        with pytest.raises(CapabilityError, match="cannot be read"):
            Secret.of_reference("keyring:s/u").reveal()

    def test_the_real_keyring(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The package keyring, on a backend that keeps a file: kept, read, deleted."""
        monkeypatch.delitem(sys.modules, "keyring")
        keyring = pytest.importorskip("keyring")
        backend = pytest.importorskip("keyrings.alt.file").PlaintextKeyring()
        backend.file_path = str(tmp_path / "keyring.cfg")
        before = keyring.get_keyring()
        keyring.set_keyring(backend)
        try:
            reference = keep_secret(tmp_path, "prod", "password", CANARY)
            assert reference.startswith("keyring:metastore/prod.password.")
            assert Secret.of_reference(reference).reveal() == CANARY
            assert forget_secret(tmp_path, reference)
            with pytest.raises(NotFoundError, match="keyring set metastore"):
                Secret.of_reference(reference).reveal()
            assert not forget_secret(tmp_path, reference)
        finally:
            keyring.set_keyring(before)

    def test_a_plugin(self, install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
        """The plugin that declares the scheme is asked; one that fails shows nothing of it."""

        def source(name: str, body: str) -> str:
            declared = good(name).replace("summary=", f"secret_schemes=('{name}',), summary=")
            return (
                f"{declared}\n    @hookimpl\n"
                f"    def metastore_resolve_secret(scheme, reference):\n        {body}\n"
            )

        install("ant", source("ant", "return 3"))
        install("bee", source("bee", f"raise ValueError('{CANARY}')"))
        install("cow", source("cow", "return reference[::-1]"))
        install("dog", "import no_such_module")
        assert Secret.of_reference("cow:abc").reveal() == "cba"
        opened = metastore.connect("vault://?host=h&password=cow:abc").backend
        assert opened.password == "cba"  # type: ignore[attr-defined]
        with pytest.raises(CapabilityError, match="metastore-flavor-ant gives no text"):
            Secret.of_reference("ant:abc").reveal()
        with pytest.raises(CapabilityError, match="bee raises ValueError") as raised:
            Secret.of_reference("bee:abc").reveal()
        assert CANARY not in everything_of(raised.value)
        monkeypatch.setenv("METASTORE_FLAVORS", "memory")
        with pytest.raises(InvalidError):
            Secret.of_reference("cow:abc")

    @pytest.mark.parametrize("text", ["hunter2", "", ":x", "Env:X", "a b:c", "http//"])
    def test_what_is_no_reference(self, text: str) -> None:
        """It may be the secret itself, and is not shown."""
        with pytest.raises(InvalidError) as raised:
            Secret.of_reference(text)
        assert not text or text not in str(raised.value).replace("env:NAME", "")

    def test_texts(self) -> None:
        """A text is a reference where it begins like one of core's, else the secret itself."""
        assert Secret.parse("env:A").reference == "env:A"
        assert Secret.parse("abc:def").reveal() == "abc:def"
        assert Secret("env:A").reveal() == "env:A"

    def test_the_environment_of_a_setting_is_the_secret(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Whatever METASTORE_VAULT__PASSWORD holds is the password."""
        monkeypatch.setenv("METASTORE_VAULT__PASSWORD", "env:x")
        assert metastore.connect("vault://?host=h").backend.password == "env:x"  # type: ignore[attr-defined]


class TestCommand:
    """What is typed, and what is refused."""

    REGISTER = ("store", "register", "prod", "--flavor", "vault", "--host", "h")

    def test_a_literal_is_refused(self, command: Command, config: Path) -> None:
        """A password on the command line is wrong use, with the right form, and is not repeated."""
        for arguments in (
            (*self.REGISTER, "--password", CANARY),
            ("store", "register", "prod", "--url", f"vault://u:{CANARY}@h"),
            ("store", "register", "prod", "--url", f"vault://?host=h&password={CANARY}"),
            (*self.REGISTER, "--password", f"admin:{CANARY}"),
            (*self.REGISTER, "--password", f"env:{CANARY}"),
            (*self.REGISTER, "--password", f"https://u:{CANARY}@h"),
            ("run", "list", "--store", f"vault://u:{CANARY}@h"),
            ("run", "list", "--store", f"vault://?host=h&password={CANARY}"),
            ("store", "status", f"vault://u:{CANARY}@h"),
            ("store", "status", f"vault://?host=h&password={CANARY}"),
        ):
            done = command(*arguments)
            assert done.code == 2, arguments
            assert "env:" in done.err
            assert CANARY not in done.out + done.err
        assert not config.exists()

    def test_a_reference_is_kept(
        self, command: Command, config: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """References are shown, and read when the store is opened."""
        assert command(*self.REGISTER, "--password", "env:VAULT_PASSWORD").code == 0
        assert "env:VAULT_PASSWORD" in command("store", "show", "prod").out
        assert "VAULT_PASSWORD" in command("run", "list", "--store", "prod").err
        monkeypatch.setenv("VAULT_PASSWORD", CANARY)
        assert metastore.connect("prod").backend.password == CANARY  # type: ignore[attr-defined]
        assert CANARY not in config.read_text()

    def test_typed_without_a_keyring(
        self, command: Command, config: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It goes to a file of this user alone, which is gone when the store is removed."""
        monkeypatch.setattr(click, "prompt", lambda *_, **how: how["hide_input"] and CANARY)
        done = command(*self.REGISTER, "--password", "prompt")
        (path,) = (config.parent / "secrets").iterdir()
        assert f"file:{path}" in done.err
        assert path.read_text() == CANARY
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert metastore.connect("prod").backend.password == CANARY  # type: ignore[attr-defined]
        assert "is deleted" in command("store", "remove", "prod").out
        assert not path.exists()

    def test_typed_with_a_keyring(
        self, command: Command, keyring: FakeKeyring, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It goes to the keyring, and is gone from there when another takes its place."""
        monkeypatch.setattr(click, "prompt", lambda *_, **__: CANARY)
        done = command(*self.REGISTER, "--password", "prompt")
        assert "keyring:metastore/prod.password." in done.err
        assert [*keyring.kept.values()] == [CANARY]
        before = [*keyring.kept]
        assert command("store", "update", "prod", "--password", "prompt").code == 0
        assert len(keyring.kept) == 1
        assert before != [*keyring.kept]
        assert metastore.connect("prod").backend.password == CANARY  # type: ignore[attr-defined]
        assert command("store", "update", "prod", "--password", "env:X").code == 0
        assert keyring.kept == {}

    def test_typed_secrets_of_two_stores_are_two(
        self, command: Command, keyring: FakeKeyring, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A name that is given again does not share a secret with the store that was renamed."""
        for text in ("one", "two"):
            monkeypatch.setattr(click, "prompt", lambda *_, text=text, **__: text)
            command(*self.REGISTER, "--password", "prompt")
            command("store", "rename", "prod", text)
        for text in ("one", "two"):
            assert metastore.connect(text).backend.password == text  # type: ignore[attr-defined]
        reference = command("store", "show", "one", "--json").data["settings"]["password"]
        command(*self.REGISTER, "--password", reference)
        command("store", "remove", "one")
        assert metastore.connect("prod").backend.password == "one"  # type: ignore[attr-defined]
        command("store", "remove", "prod")
        assert [*keyring.kept.values()] == ["two"]

    def test_a_secret_of_another_config_file_is_not_ours(
        self,
        command: Command,
        config: Path,
        keyring: FakeKeyring,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """Who only refers to what was typed elsewhere does not delete it."""
        monkeypatch.setattr(click, "prompt", lambda *_, **__: CANARY)
        command(*self.REGISTER, "--password", "prompt")
        reference = command("store", "show", "prod", "--json").data["settings"]["password"]
        monkeypatch.setenv("METASTORE_CONFIG", str(config.parent / "other.toml"))
        command(*self.REGISTER, "--password", reference)
        command("store", "update", "prod", "--password", "env:X")
        command("store", "remove", "prod")
        assert [*keyring.kept.values()] == [CANARY]

    def test_two_who_forget_at_one_time(
        self, command: Command, keyring: FakeKeyring, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Who comes second to strike out a secret finds it gone, and that is no error."""
        monkeypatch.setattr(click, "prompt", lambda *_, **__: CANARY)
        command(*self.REGISTER, "--password", "prompt")
        first, second = Stores.of_user(), Stores.of_user()
        first.remove("prod")
        read = second.file.read
        stale = read()
        monkeypatch.setattr(second.file, "read", lambda: stale)
        assert len(first.forget_typed()) == 1
        assert second.forget_typed() == []
        assert first.forget_typed() == []

    def test_what_was_typed_in_vain_is_deleted(
        self, command: Command, keyring: FakeKeyring, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Where the store cannot be registered, its secret does not stay behind."""
        monkeypatch.setattr(click, "prompt", lambda *_, **__: CANARY)

        def fail(*_: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("metastore.config._file.os.replace", fail)
        assert command(*self.REGISTER, "--password", "prompt").code == 1
        assert keyring.kept == {}

    @pytest.mark.parametrize("found", [FakeKeyring(priority=0), FakeKeyring(broken=True), 3])
    def test_a_keyring_that_keeps_nothing(
        self, keyring: FakeKeyring, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, found: Any
    ) -> None:
        """It is as if there was none."""
        monkeypatch.setitem(sys.modules, "keyring", found)
        reference = keep_secret(tmp_path, "s", "f", CANARY)
        assert reference.startswith(f"file:{tmp_path / 'secrets' / 's.f.'}")

    def test_nobody_elses_secrets_are_deleted(self, tmp_path: Path, keyring: FakeKeyring) -> None:
        """Only what was kept for a store is forgotten with it."""
        other = tmp_path / "other"
        other.write_text("x")
        keyring.kept["elsewhere", "u"] = "x"
        assert not forget_secret(tmp_path, f"file:{other}")
        assert not forget_secret(tmp_path, "keyring:elsewhere/u")
        assert not forget_secret(tmp_path, "env:HOME")
        assert other.exists()

    @pytest.mark.parametrize(
        "written", ["password = '{}'", "password = ['{}']", "password = 'env:{}'", "pasword = '{}'"]
    )
    def test_a_literal_in_the_config_file(
        self, command: Command, config: Path, written: str
    ) -> None:
        """Who writes a password into the file by hand is told the right form."""
        config.parent.mkdir()
        config.write_text(f"[stores.p]\nflavor = 'vault'\nhost = 'h'\n{written.format(CANARY)}\n")
        done = command("run", "list", "--store", "p")
        assert done.code == 2
        assert ("must be a reference" in done.err) == written.startswith("password")
        for arguments in (("store", "list"), ("store", "list", "--json"), ("store", "show", "p")):
            shown = command(*arguments)
            assert "(not shown)" in shown.out
            assert CANARY not in done.err + shown.out + shown.err

    def test_a_url_where_a_name_belongs(self, command: Command) -> None:
        """It may hold a password, and is not repeated."""
        url = f"vault://a?password={CANARY}"
        for noun in ("show", "use", "remove"):
            done = command("store", noun, url)
            assert done.code == 1
            assert CANARY not in done.out + done.err
        for arguments in (("flavor", "show", url), ("flavor", "check", url)):
            assert CANARY not in "".join(map(str, command(*arguments)))


def everything_of(error: BaseException) -> str:
    """All that a report of an error may show: the variables of our frames included."""
    found = traceback.TracebackException.from_exception(error, capture_locals=True)
    lines: list[str] = []
    left: list[traceback.TracebackException | None] = [found]
    while left:
        each = left.pop()
        if each is None:
            continue
        lines += each.format_exception_only()
        for frame in each.stack:
            # The caller's own variables are the caller's.
            if f"{os.sep}metastore{os.sep}" in frame.filename:
                lines += [f"{name}={value}" for name, value in (frame.locals or {}).items()]
        if not each.__suppress_context__:
            left.append(each.__context__)
        left.append(each.__cause__)
    return "\n".join([*lines, str(error), repr(error), repr(getattr(error, "offender", None))])


URLS = [
    f"vault://?host=h&password={CANARY}&nope=1",
    f"vault://?password={CANARY}",
    f"vault://?host=h&password={CANARY}&port=x",
    f"vault://?host=h&password={CANARY}&password={CANARY}",
    f"vault://user:{CANARY}@h",
    f"vault://user:{CANARY}@[h",
    f"vault://?host=h&password={CANARY}\t",
    f"postgres://user:{CANARY}@h/db",
    f"vaut://?password={CANARY}",
    f"mysql+pymysql://user:{CANARY}@h/db",
    f"sqlit:///x?password={CANARY}",
    f"vault:/a?password={CANARY}",
    f"vault:user:{CANARY}@h",
    f"vault://?host=h&level={CANARY}",
    f"vault://?host=h&ssl={CANARY}",
]


@pytest.mark.parametrize("url", URLS)
def test_no_failure_shows_what_a_url_holds(
    url: str, monkeypatch: pytest.MonkeyPatch, command: Command, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither message, cause, offender, variables of frames, logs nor the command's output."""
    caplog.set_level(logging.DEBUG)
    with pytest.raises(metastore.MetastoreError) as raised:
        metastore.connect(url)
    assert CANARY not in everything_of(raised.value)
    monkeypatch.setenv("METASTORE_STORE", url)
    for arguments in (("run", "list"), ("run", "list", "--json"), ("store", "status")):
        done = command(*arguments)
        assert done.code != 0
        assert CANARY not in done.out + done.err
    assert CANARY not in caplog.text


def test_no_form_of_a_config_shows_it(command: Command, config: Path) -> None:
    """repr, str, dumps, copies, errors about it, and what the command says of it."""
    secret = Secret(CANARY)
    made = VaultConfig(host="h", password=secret)
    parsed = StoreURL.parse(f"vault://u:{CANARY}@h/{CANARY}?password={CANARY}")
    shown = [secret, made, parsed, made.model_dump(), made.model_dump_json(), [secret], {"a": made}]
    for each in shown:
        assert CANARY not in f"{each!r} {each!s}"
    assert copy.deepcopy(made) == made
    assert pickle.loads(pickle.dumps(secret)) == secret
    store = metastore.connect(f"vault://?host=h&password={CANARY}")
    assert CANARY not in f"{store!r} {store.location} {store._repr_html_()}"
    assert store.backend.password == CANARY  # type: ignore[attr-defined]
    Stores.of_user().register(NamedStore("x", "vault", {"host": "h"}))
    with pytest.raises(InvalidError, match="never written") as raised:
        Stores.of_user().update("x", {"password": secret})
    assert CANARY not in config.read_text()
    assert CANARY not in everything_of(raised.value)


def test_the_list_of_processes_has_none(tmp_path: Path) -> None:
    """What is given in the environment or typed is in no process's arguments."""
    code = (
        "import sys, metastore\nprint(' '.join(sys.orig_argv), open('/proc/self/cmdline').read())\n"
    )
    if not Path("/proc/self/cmdline").exists():
        pytest.skip("only Linux shows arguments there")
    shown = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "METASTORE_STORE": f"vault://u:{CANARY}@h"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert CANARY not in shown.stdout + shown.stderr


def test_debug_shows_nothing_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """With --debug there may be more said of an error, and nothing more of the URL."""
    monkeypatch.setenv("METASTORE_STORE", f"vault://?host=h&password={CANARY}&nope=1")
    with pytest.raises(InvalidError) as raised:
        cli.main(["run", "list", "--debug"], prog_name="metastore")
    assert CANARY not in "".join(traceback.format_exception(raised.value))


def test_a_kept_secret_has_no_foreseen_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the folder was open to others, a link of theirs in it leads no secret anywhere."""
    folder = tmp_path / "secrets"
    folder.mkdir()
    theirs = tmp_path / "theirs"
    monkeypatch.setattr("secrets.token_hex", lambda count: "0" * 2 * count)
    (folder / f".s.f.00000000.{os.getpid()}").symlink_to(theirs)
    reference = keep_secret(tmp_path, "s", "f", CANARY)
    assert not theirs.exists()
    path = Path(reference.removeprefix("file:"))
    assert path.read_text() == CANARY
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
