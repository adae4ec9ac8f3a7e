"""docs/tutorial.md, followed to the letter: in an empty folder, without settings, in one shell.

The page says that the clone lies beside the reader's folder, in ``metastore``.  That is where a
copy of what it installs is put; nothing of the page is replaced.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from docs_tests.blocks import ROOT, Block, blocks_of
from docs_tests.session import GOES_ON, WrongBlockError, commands, compare

PAGE = ROOT / "docs" / "tutorial.md"
PATIENCE = 900.0
"""Seconds after which a command hangs; one of them installs."""
MARK = "--- that was it:"
"""Printed behind every command, with its exit code and the current folder."""


class Reader:
    """Somebody at a shell, who types what the page says."""

    def __init__(self, home: Path) -> None:
        self.folder = home
        """Where the last command left the shell."""
        self._shell = subprocess.Popen(
            ["/bin/bash", "--noprofile", "--norc"],
            cwd=home,
            env=_environment(home),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
        )

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        # It ends where there is nothing more to type.
        self._shell.communicate()

    def follow(self, blocks: Iterable[Block]) -> None:
        """Do what the blocks say, in their order; raises `WrongBlockError`."""
        printed = ""
        for block in blocks:
            if "file" in block.said:
                (self.folder / block.said["file"]).write_text(block.text, encoding="utf-8")
            elif "output" in block.said:
                compare(block.text, printed)
            else:
                assert block.language == "console", f"{block.where}: who reads types commands only"
                found = list(commands(block.text))
                for number, (offset, command, output) in enumerate(found):
                    fails = "expect" in block.said and number == len(found) - 1
                    try:
                        printed = self._type(command, output, fails=fails)
                    except WrongBlockError as error:
                        where = f"{block.page}:{block.line + offset}"
                        raise WrongBlockError(f"{where}: {command}\n{error}") from error
                if "expect" in block.said and block.said["expect"] not in printed:
                    raise WrongBlockError(f"{block.where}: it prints\n{printed}")

    def _type(self, command: str, output: str, *, fails: bool) -> str:
        goes_on = GOES_ON.match(f"{command} ")
        code, printed = self._do(_until_its_first_line(command) if goes_on else command)
        if (code != 0) is not fails:
            raise WrongBlockError(f"it exits with {code}; it printed\n{printed}")
        if output:
            compare(output, printed)
        if goes_on:
            _look_at(printed)
            code, rest = self._do('kill -INT "$server"; cat <&3; wait "$server"')
            if code or rest.strip():
                raise WrongBlockError(f"Ctrl-C ends it with {code}, and with\n{rest}")
        return printed

    def _do(self, command: str) -> tuple[int, str]:
        """Its exit code, and what it printed."""
        assert self._shell.stdin is not None
        assert self._shell.stdout is not None
        # Nobody types anything into the programs themselves.
        self._shell.stdin.write(f"{{ {command}\n}} </dev/null\n")
        self._shell.stdin.write(f"printf '\\n%s %d %s\\n' '{MARK}' \"$?\" \"$PWD\"\n")
        self._shell.stdin.flush()
        timer = threading.Timer(PATIENCE, self._shell.kill)
        timer.start()
        lines: list[str] = []
        try:
            for line in self._shell.stdout:
                if line.startswith(MARK):
                    code, _, folder = line.removeprefix(MARK).strip().partition(" ")
                    self.folder = Path(folder)
                    return int(code), "".join(lines).removesuffix("\n")
                lines.append(line)
        finally:
            timer.cancel()
        raise WrongBlockError(f"it ends the shell, or takes longer than {PATIENCE} s: {lines}")


def _environment(home: Path) -> dict[str, str]:
    """What a reader has who has nothing; and how this machine reaches a package registry."""
    asked = "import ensurepip, sys; sys.exit(sys.version_info < (3, 10))"
    system = subprocess.run(["/usr/bin/python3", "-c", asked], check=False, capture_output=True)
    path = "/usr/bin:/bin"
    if system.returncode != 0:
        path = f"{Path(sys.base_prefix) / 'bin'}:{path}"
    config = Path.home() / ".config" / "pip" / "pip.conf"
    return {
        "PATH": path,
        "HOME": str(home),
        **({"PIP_CONFIG_FILE": str(config)} if config.is_file() else {}),
        **{
            name: value
            for name, value in os.environ.items()
            if name.startswith("PIP_") or name.lower() in ("https_proxy", "no_proxy")
        },
    }


def _until_its_first_line(command: str) -> str:
    """For the shell: a program goes on behind it, in `$server`, and its output in descriptor 3."""
    return f'exec 3< <(exec {command} 2>&1); server=$!; IFS= read -r line <&3; echo "$line"'


def _look_at(printed: str) -> None:
    """Open the address, as a browser would; the page of runs has the best one."""
    address = re.search(r"http://\S+/", printed)
    if address is None:
        raise WrongBlockError(f"it names no address, and prints {printed!r}")
    with urllib.request.urlopen(f"{address[0]}runs", timeout=60) as answer:
        assert "rate-0.001" in answer.read().decode()


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    """One with an empty home."""
    with Reader(tmp_path) as found:
        yield found


def test_the_tutorial_can_be_followed(reader: Reader, tmp_path: Path) -> None:
    """Each command of the tutorial, typed in its order, prints what the page shows."""
    left_out = shutil.ignore_patterns("build", "*.egg-info", "__pycache__", "tests", "*_tests")
    for part in ("core", "plugins/sqlite"):
        shutil.copytree(ROOT / part, tmp_path / "metastore" / part, ignore=left_out)
    reader.follow(blocks_of(PAGE))
    names = {each.name for each in tmp_path.iterdir() if not each.name.startswith(".")}
    assert names == {"metastore", "sepsis"}


@pytest.mark.parametrize(
    ("block", "told"),
    [
        ("```console\n$ echo one\ntwo\n```\n", "prints\none"),
        ("```console\n$ false\n```\n", "exits with 1"),
        ("<!-- block: expect error -->\n```console\n$ true\n```\n", "exits with 0"),
        ("<!-- block: expect other -->\n```console\n$ echo one; false\n```\n", "prints\none"),
        (
            "```console\n$ echo one\n```\n\n<!-- block: output -->\n```text\ntwo\n```\n",
            "it prints\none",
        ),
        ("```console\n$ exit 3\n```\n", "ends the shell"),
    ],
)
def test_a_wrong_page_is_noticed(reader: Reader, tmp_path: Path, block: str, told: str) -> None:
    """A command that prints something else, or fails, or does not, is told."""
    page = tmp_path / "page.md"
    page.write_text(f"# A page\n\n{block}")
    with pytest.raises(WrongBlockError) as raised:
        reader.follow(blocks_of(page))
    assert told in str(raised.value)
