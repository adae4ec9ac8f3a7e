"""A page that is read from top to bottom: what its blocks have done, and how the next is run."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import traceback
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

from docs_tests.blocks import Block
from docs_tests.looking import look_at_command
from metastore import Filter, MemoryMetadataStore, NodeKind, NodeQuery, Store

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["Session", "WrongBlockError"]

PATIENCE = 300.0
"""Seconds after which a command hangs."""
GOES_ON = re.compile(r"(metastore (ui|serve)|kubectl port-forward) (?!--help)")
"""Commands that end with the page."""
PROGRESS = re.compile(r"^[a-z ]+: [\d,]+ of [\d,]+ \w+\n", re.MULTILINE)
"""How far a long command is."""


class WrongBlockError(Exception):
    """A block does not do what the page says."""


class Session:
    """The page's folder, and what has happened in it."""

    def __init__(self, folder: Path, set: Callable[[str, str], None]) -> None:
        self.folder = folder
        self.set = set
        """Sets a variable of the environment."""
        self.programs = folder.with_name("programs")
        """A folder for programs that are there for this page only."""
        self.programs.mkdir()
        self.names: dict[str, Any] = {"__name__": "__main__"}
        """The namespace of the page's Python."""
        self.text = ""
        """All of the page, once what its readers replace is replaced."""
        self.has: dict[str, Any] = {}
        """What it needs, by name: for tests, not for the page's Python."""
        self.replaced: dict[str, str] = {}
        """What readers write differently, and what stands there in this test."""
        self.printed = ""
        """By the last block."""
        self._exported = folder.with_name("exported")
        """What the page's shell hands on from command to command."""
        self._exported.touch()
        self._running: list[subprocess.Popen[str]] = []
        self._modules: list[str] = []
        here = Path(__file__)
        self.program("kubectl", f'exec {sys.executable} {here.with_name("kubectl.py")} "$@"')

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._running:
            process.terminate()
            process.communicate(timeout=PATIENCE)
        for value in self.names.values():
            if isinstance(value, Store):
                value.close()
        for name in self._modules:
            del sys.modules[name]

    def run(self, block: Block) -> None:
        """Do what the block says, or raise `WrongBlockError`, which says where."""
        try:
            self._run(block)
        except Exception as error:
            frames = traceback.extract_tb(error.__traceback__)
            lines = [each.lineno for each in frames if each.filename == str(block.page)]
            where = f"{block.page}:{lines[-1]}" if lines else block.where
            kind = "" if isinstance(error, WrongBlockError) else f"{type(error).__name__}: "
            raise WrongBlockError(f"{where}: {kind}{error}") from error

    def _run(self, block: Block) -> None:
        text = self.in_this_test(block.text)
        how = HOW.get(block.language)
        if how is None:
            raise WrongBlockError(f"no test knows what to do with {block.info or 'no language'!r}")
        if "file" in block.said:
            path = self.folder / block.said["file"]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        if "output" in block.said:
            compare(text, self.printed)
        elif "expect" in block.said and block.language == "python":
            self._expect(block, text)
        else:
            with self._elsewhere() if "elsewhere" in block.said else contextlib.nullcontext():
                how(self, block, text)

    def in_this_test(self, text: str) -> str:
        """A text of the page with what readers replace replaced."""
        for old, new in self.replaced.items():
            text = text.replace(old, new)
        return text

    def program(self, name: str, text: str) -> None:
        """A program for this page's commands: a script for bash."""
        path = self.programs / name
        path.write_text(f"#!/bin/bash\n{text}\n")
        path.chmod(0o755)

    def module(self, module: types.ModuleType) -> None:
        """A module that the page's Python can import, and nobody after it."""
        sys.modules[module.__name__] = module
        self._modules.append(module.__name__)

    @contextlib.contextmanager
    def _elsewhere(self) -> Iterator[None]:
        """As somebody with other settings."""
        settings, exported = os.environ["METASTORE_CONFIG"], self._exported
        other = Path(tempfile.mkdtemp(dir=self.folder.parent))
        self.set("METASTORE_CONFIG", str(other / "config.toml"))
        self._exported = other / "exported"
        self._exported.touch()
        try:
            yield
        finally:
            self.set("METASTORE_CONFIG", settings)
            self._exported = exported

    # How each language is run.

    def python(self, block: Block, text: str) -> None:
        """Run it in the page's namespace; a traceback names page and line."""
        code = compile("\n" * (block.line - 1) + textwrap.dedent(text), str(block.page), "exec")
        if "example" in block.said:
            return
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(code, self.names)  # noqa: S102 - our own page
        self.printed = printed.getvalue()

    def _expect(self, block: Block, text: str) -> None:
        wanted = block.said["expect"]
        try:
            self.python(block, text)
        except Exception as error:
            if wanted not in {each.__name__ for each in type(error).__mro__}:
                raise
            self.printed = f"{type(error).__name__}: {error}\n"
        else:
            raise WrongBlockError(f"it raises no {wanted}")

    def console(self, block: Block, text: str) -> None:
        """Run its commands, and compare what they print with what follows them."""
        found = list(commands(text))
        self.printed = ""
        for number, (offset, command, output) in enumerate(found):
            try:
                if "example" in block.said:
                    look_at_command(command)
                elif GOES_ON.match(command):
                    self._start(command, output)
                else:
                    fails = "expect" in block.said and number == len(found) - 1
                    self._do(command, output, fails=fails)
            except WrongBlockError as error:
                raise WrongBlockError(f"line {block.line + offset}: {command}\n{error}") from error

    def _do(self, command: str, output: str, *, fails: bool) -> None:
        done = self._bash(command)
        try:
            printed, _ = done.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            # With all that it started.
            os.killpg(done.pid, signal.SIGKILL)
            printed, _ = done.communicate()
            raise WrongBlockError(f"it does not end; until now it printed\n{printed}") from None
        if (done.returncode != 0) is not fails:
            raise WrongBlockError(f"it exits with {done.returncode}; it printed\n{printed}")
        if "does not provide the extra" in printed:
            # Of which pip only warns.
            raise WrongBlockError(printed)
        # On a terminal it is a bar, which goes.
        printed = PROGRESS.sub("", printed)
        self.printed += printed
        if output:
            compare(output, printed)

    def _start(self, command: str, output: str) -> None:
        # What is wrong is said elsewhere: then there is no line.
        errors = self.folder.with_name("errors")
        process = self._bash(f"exec {command} 2>{shlex.quote(str(errors))}")
        self._running.append(process)
        timer = threading.Timer(PATIENCE, process.kill)
        timer.start()
        assert process.stdout is not None
        # One line at least: then it has begun.
        lines = max(1, len(output.splitlines()))
        printed = "".join(process.stdout.readline() for _ in range(lines))
        timer.cancel()
        if not printed:
            raise WrongBlockError(f"it does not go on; it printed\n{errors.read_text()}")
        if output:
            compare(output, printed)

    def _bash(self, command: str) -> subprocess.Popen[str]:
        exported = shlex.quote(str(self._exported))
        keep = f"export -p > {exported}; printf 'cd %q\\n' \"$PWD\" >> {exported}"
        return subprocess.Popen(
            ["bash", "-e", "-c", f"source {exported}\ntrap {shlex.quote(keep)} EXIT\n{command}\n"],
            cwd=self.folder,
            env=os.environ | {"PATH": f"{self.programs}:{os.environ['PATH']}"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def sql(self, _: Block, text: str) -> None:
        """Run its statements as the administrator of the page's MariaDB."""
        if "mariadb" not in self.has:
            raise WrongBlockError("above the first such block the page must say: needs mariadb")
        self.has["mariadb"].script(text)

    def toml(self, _: Block, text: str) -> None:
        """Read it."""
        tomllib.loads(text)

    def yaml(self, _: Block, text: str) -> None:
        """Read it."""
        for document in yaml.safe_load_all(text):
            if not isinstance(document, (dict, list)):
                raise WrongBlockError(f"it holds {document!r}")

    def json(self, _: Block, text: str) -> None:
        """Read it: one document, or one a line."""
        try:
            json.loads(text)
        except ValueError:
            for line in text.splitlines():
                json.loads(line)

    def filter(self, block: Block, text: str) -> None:
        """Ask a store of that kind for each."""
        kind = NodeKind[block.info.split()[1].upper()]
        store = MemoryMetadataStore.open()
        for line in text.splitlines():
            store.find_nodes(NodeQuery(kind, filter=Filter.parse(kind, line)))

    def shown(self, block: Block, _: str) -> None:
        """What is neither run nor read is output, or an example, and says which."""
        if "example" not in block.said and block.language != "fields":
            raise WrongBlockError("say above it whether it is an output or an example")


HOW: dict[str, Callable[[Session, Block, str], None]] = {
    "python": Session.python,
    "console": Session.console,
    "bash": Session.console,
    "sql": Session.sql,
    "toml": Session.toml,
    "yaml": Session.yaml,
    "json": Session.json,
    "filter": Session.filter,
    "fields": Session.shown,
    "text": Session.shown,
    "mermaid": Session.shown,
}


def commands(text: str) -> Iterator[tuple[int, str, str]]:
    """Of a console block: each command's line in it, from 0, the command, and its output."""
    lines = text.splitlines()
    with_prompt = any(line.startswith("$ ") for line in lines)
    number = 0
    while number < len(lines):
        begin = number
        command = lines[number].removeprefix("$ ")
        number += 1
        while not _is_whole(command) and number < len(lines):
            command += "\n" + lines[number].removeprefix("> ")
            number += 1
        output = []
        while with_prompt and number < len(lines) and not lines[number].startswith("$ "):
            output.append(lines[number])
            number += 1
        if command.strip():
            yield begin, command, "\n".join(output)


def _is_whole(command: str) -> bool:
    here = re.search(r"<<-?\s*['\"]?(\w+)", command)
    if here is not None:
        return command.splitlines()[-1].strip() == here[1]
    if command.endswith("\\"):
        return False
    asked = subprocess.run(["bash", "-n", "-c", command], capture_output=True, check=False)
    return asked.returncode == 0


def compare(wanted: str, printed: str) -> None:
    """Raise where what was printed is not what the page shows."""
    wanted, printed = _trimmed(wanted), _trimmed(printed)
    pattern = ".*".join(re.escape(part) for part in wanted.split("..."))
    if re.fullmatch(pattern, printed, re.DOTALL) is None:
        raise WrongBlockError(f"the page shows\n{wanted}\nand it prints\n{printed}")


def _trimmed(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.strip("\n").splitlines()).rstrip()
