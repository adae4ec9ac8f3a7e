"""How the command fails: one line, the right exit code."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from metastore import StorageError

from .helper import Command, store_with, use


def _raising(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def connect(url: object, **how: object) -> None:
        raise error

    monkeypatch.setattr("metastore.config._connect.connect", connect)


def test_our_errors_are_one_line(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of the library is its sentence and its hint on one line of stderr, exit code 1."""
    _raising(monkeypatch, StorageError("the disk is full", hint="make room"))
    assert command("run", "list") == (1, "", "error: the disk is full; make room\n")


def test_text_of_errors_is_escaped(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an error quotes cannot reach the terminal's controls or begin a line of its own."""
    _raising(monkeypatch, StorageError("bad \x1b[2J\nerror: all is well"))
    assert command("run", "list").err == "error: bad \\x1b[2J\\nerror: all is well\n"


def test_bugs_are_named_without_their_text(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An exception nobody foresaw is named, its text, which may hold values, is not shown."""
    _raising(monkeypatch, ValueError("hunter2"))
    code, out, err = command("run", "list")
    assert (code, out) == (1, "")
    assert err.startswith("error: a ValueError ")
    assert "--debug" in err
    assert "hunter2" not in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("arguments", [("--debug", "run", "list"), ("run", "list", "--debug")])
def test_debug_shows_where_it_happened(
    monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    """With --debug, in front or behind, the exception itself goes on up."""
    from metastore.cli import cli

    _raising(monkeypatch, ValueError("text"))
    with pytest.raises(ValueError, match="text"):
        cli.main(list(arguments))


def test_files_that_cannot_be_written_are_named(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error of the operating system is its own text and the file, on one line."""
    _raising(monkeypatch, PermissionError(13, "Permission denied", "runs.db"))
    assert command("run", "list") == (1, "", "error: Permission denied: runs.db\n")


def test_interrupting_is_quiet(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C ends the command with exit code 130 and not a word."""
    _raising(monkeypatch, KeyboardInterrupt())
    assert command("run", "list") == (130, "", "")


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [(("rum", "list"), "'run'"), (("run", "lst"), "'list'"), (("flavour",), "'flavor'")],
)
def test_unknown_commands_are_answered_with_a_near_one(
    command: Command, arguments: tuple[str, ...], meant: str
) -> None:
    """An unknown command is wrong use, and the one that was probably meant is named."""
    code, out, err = command(*arguments)
    assert (code, out) == (2, "")
    assert f"Did you mean {meant}?" in err


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "show"),
        ("run", "list", "--limit", "-1"),
        ("artifact", "show", "x"),
        ("lineage", "1", "--max-hops", "0"),
        ("--nonsense",),
        ("run", "list", "--store", "runs.db"),
        ("run", "list", "--store", "memory:///path"),
    ],
)
def test_wrong_use_is_exit_code_2(command: Command, arguments: tuple[str, ...]) -> None:
    """What cannot be meant is refused with exit code 2, on stderr only."""
    code, out, err = command(*arguments)
    assert (code, out) == (2, "")
    assert err


def test_what_was_typed_is_escaped(command: Command) -> None:
    """Arguments, which may come from a script, are shown escaped as well."""
    assert "\x1b" not in command("run", "\x1b[2J").err
    assert "\x1b" not in command("run", "list", "--\x1b[2J").err


@pytest.mark.parametrize(
    "url",
    [
        "mysql://user:hunter2@host/db",
        "mysql://user:hunter2%40x@host/db",
        "mysql://user%3Ahunter2@host/db",
        "mysql://user:hunter/2@host/db",
        "user:hunter2@host",
    ],
)
@pytest.mark.parametrize("noun", [("run", "list"), ("demo",)])
def test_passwords_on_the_command_line_are_refused(
    command: Command, noun: tuple[str, ...], url: str
) -> None:
    """A --store URL with a password is wrong use, is not repeated, and the answer says why."""
    code, out, err = command(*noun, "--store", url)
    assert (code, out) == (2, "")
    assert "password" in err
    assert "METASTORE_STORE" in err
    assert "hunter" not in err


@pytest.mark.parametrize(
    "url",
    ["mysql://user@host/db", "mysql://host:3306/d@b", "sqlite:////data/a:b@c.db", "mysql://u:@h/d"],
)
def test_urls_without_a_password_are_not(
    command: Command, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    """A user, a port or an odd file name is no password."""
    use(monkeypatch, store_with())
    assert command("run", "list", "--store", url).code == 0


def test_a_password_in_the_environment_is_accepted(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """METASTORE_STORE may hold a password: other users cannot read a process's environment."""
    use(monkeypatch, store_with())
    monkeypatch.setenv("METASTORE_STORE", "mysql://user:hunter2@host/db")
    assert command("run", "list").code == 0


def test_python_m_metastore_is_the_command() -> None:
    """``python -m metastore`` does what ``metastore`` does, exit codes included."""
    done = subprocess.run(
        [sys.executable, "-m", "metastore", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("metastore ")
    failed = subprocess.run(
        [sys.executable, "-m", "metastore", "run", "list", "--store", "nowhere://"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert failed.returncode == 1
    assert failed.stderr.startswith("error: ")
    assert failed.stderr.count("\n") == 1


@pytest.mark.skipif(sys.platform == "win32", reason="there is no sh")
@pytest.mark.parametrize("arguments", ["flavor list", "--help", "run list --store memory://"])
@pytest.mark.parametrize("closed", [">&-", ">&- 2>&-", "2>&-"])
def test_closed_streams_are_no_crash(arguments: str, closed: str) -> None:
    """Without a stdout nothing is done, which is said where there is a stderr."""
    done = subprocess.run(
        ["sh", "-c", f'"$0" -m metastore {arguments} {closed}', sys.executable],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == (1 if ">&-" in closed.removeprefix("2>&-") else 0)
    assert done.stderr.count("\n") == (1 if closed == ">&-" else 0)
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no disk here that is full")
def test_a_full_disk_is_an_error_of_one_line() -> None:
    """Output that cannot be written is exit code 1 and one line, at Python's exit too."""
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "metastore", "flavor", "list"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert (done.returncode, done.stderr) == (1, "error: No space left on device\n")
