"""Generate flavors from cookiecutter-flavor, and check what their authors and users get.

Usage: check_template.py FOLDER, an empty folder for what is generated and built.

- Answers that cannot become a flavor are refused with a sentence, and leave nothing behind.
- Each kind with default answers, and with others, is built, installed into a new environment
  beside the built wheel of core, listed as ok, checked, and records the demo; its own tox (the kit,
  lint, types, what is packaged) passes.
- With every other set of answers it is generated, built, installed and listed as ok.
- What an author must write, in lines, is within its limits.
- docs/writing-a-flavor.md, typed off in an empty folder, gives a flavor that passes the kit.

Ends with status 0, or with 1 and a line that says what is wrong.
"""

from __future__ import annotations

import ast
import io
import itertools
import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import tokenize
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from _building import (
    CORE,
    ROOT,
    CheckError,
    Environment,
    build,
    copy,
    new_environment,
    only,
    run,
    say,
)

TEMPLATE = ROOT / "cookiecutter-flavor"
CHOICES = json.loads((TEMPLATE / "cookiecutter.json").read_text(encoding="utf-8"))

MOST_LINES = {"plain": 150, "sql": 40}
"""By kind: the lines that a flavor's author may have to write."""

REFUSED = {
    "sqlite": "a flavor already",
    "metastore-flavor-x": "give the name alone",
    "My Flavor": "lower-case letters",
    "class": "a word of Python's own",
    "json": "standard library",
    "": "none was given",
    "../elsewhere": "lower-case letters",
    "x--y": "lower-case letters",
    "a-name-of-a-flavor-that-is-too-long": "longer than",
}
"""Names, and what the refusal says."""


class Answers(NamedTuple):
    """What an author answers."""

    name: str
    kind: str
    licence: str = "Apache-2.0"
    python_minimum: str = "3.10"
    ci: str = "GitHub Actions"
    summary: str | None = None
    author: str = "Your name"

    @property
    def words(self) -> list[str]:
        """As arguments of cookiecutter."""
        return [f"{key}={value}" for key, value in self._asdict().items() if value is not None]

    @property
    def package(self) -> str:
        """The name of the package."""
        return f"metastore_flavor_{self.name.replace('-', '_')}"

    @property
    def choices(self) -> tuple[str, str, str, str]:
        """Those of the answers that are chosen from a list."""
        return self.kind, self.licence, self.python_minimum, self.ci


WHOLE = [
    Answers("my-store", "plain"),
    Answers("my-store", "sql"),
    Answers("my-store", "remote"),
    # Of the other choices each two occur together; the names are the shortest and the longest.
    Answers(
        "x", "plain", "MIT", "3.11", "none", 'Rows "in" C:\\files, für alle', 'Å. "Nobody" \\ Co'
    ),
    Answers("the-flavor-of-our-house1", "sql", "BSD-3-Clause", "3.11", author="The house: of all"),
    Answers("json-lines", "remote", "MIT", "3.10", "none", "It's <angled> & {curly} # all along"),
]
"""Sets of answers of which everything is checked."""


def main(arguments: list[str]) -> int:
    """Check the template in the folder given; return the exit status."""
    if len(arguments) != 1:
        print("usage: check_template.py FOLDER", file=sys.stderr)
        return 2
    folder = Path(arguments[0]).resolve()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        wheels = folder / "wheels"
        build(copy(CORE, folder / "core"), wheels)
        # What pip needs to find core, which may not be published yet; and where tests keep files.
        os.environ["PIP_FIND_LINKS"] = str(wheels)
        if os.access("/dev/shm", os.W_OK):
            os.environ["PYTEST_DEBUG_TEMPROOT"] = "/dev/shm"
        check_refusals(folder / "refused")
        in_parallel(
            [
                lambda: check_page(folder / "page"),
                *(
                    lambda number=number, answers=answers: check_whole(
                        answers, folder / f"whole-{number}"
                    )
                    for number, answers in enumerate(WHOLE)
                ),
                lambda: check_others(folder / "others"),
            ]
        )
    except CheckError as error:
        print(f"template: {error}", file=sys.stderr)
        return 1
    print("template: all is well")
    return 0


def in_parallel(checks: list[Callable[[], None]]) -> None:
    """Do two at a time, so that one computes while the other waits; the first error is raised."""
    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(check) for check in checks]:
            try:
                done.result()
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise


# Generating.


def generate(answers: Answers, folder: Path) -> Path:
    """The project that the template makes of these answers."""
    folder.mkdir(parents=True, exist_ok=True)
    run(cookiecutter(folder, answers.words))
    project = folder / f"metastore-flavor-{answers.name}"
    has_workflows = (project / ".github").is_dir()
    if has_workflows != (answers.ci == "GitHub Actions"):
        raise CheckError(f"{answers}: workflows are there, or missing, against the answer")
    left = [path for path in project.rglob("*") if path.is_file() and is_unrendered(path)]
    if left:
        raise CheckError(f"{answers}: not rendered in {left}")
    return project


def is_unrendered(path: Path) -> bool:
    """Whether something of the template was left in a file."""
    text = path.read_text(encoding="utf-8")
    return "cookiecutter." in text or "{%" in text


def cookiecutter(folder: Path, words: list[str]) -> list[str]:
    """The command that generates a flavor into a folder."""
    where = ["--output-dir", str(folder), str(TEMPLATE)]
    return [sys.executable, "-m", "cookiecutter", "--no-input", *where, *words]


def check_refusals(folder: Path) -> None:
    """See bad answers refused, each with its sentence."""
    folder.mkdir()
    bad = [([f"name={name}"], sentence) for name, sentence in REFUSED.items()]
    bad += [(["summary= "], "summary is empty"), (["author=a\nb"], "control character")]
    bad += [([f"summary={'a' * 81}"], "longer than 80")]
    for words, sentence in bad:
        done = subprocess.run(
            cookiecutter(folder, words), capture_output=True, encoding="utf-8", check=False
        )
        if done.returncode == 0 or sentence not in done.stdout + done.stderr:
            raise CheckError(f"{words} is not refused with {sentence!r}: {done.stderr}")
        if list(folder.iterdir()):
            raise CheckError(f"{words} leaves something behind: {list(folder.iterdir())}")
    say(f"{len(bad)} bad answers are refused")


# One flavor, and everything about it.


def check_whole(answers: Answers, folder: Path) -> None:
    """Check all that an author and a user do with what was generated."""
    project = generate(answers, folder)
    lines = lines_to_write(project / "src" / answers.package)
    if lines > MOST_LINES.get(answers.kind, lines):
        raise CheckError(f"{answers}: an author writes {lines} lines")
    build(project, folder / "dist")
    wheel = only(folder / "dist", "*.whl")
    environment = new_environment(folder)
    run([environment.python, "-m", "pip", "install", "-q", str(wheel)])
    run([environment.python, "-m", "pip", "check"])
    expect_ok(environment, {answers.name, "memory"})
    use(environment, "flavor", "check", answers.name)
    try_demo(answers, environment)
    # Its own CI, as far as it can run here; a venv may be active.
    run([sys.executable, "-m", "tox", "run"], cwd=project, env=outside())
    say(f"{answers.choices}: {lines} lines, its demo and its own tox pass")


def try_demo(answers: Answers, environment: Environment) -> None:
    """Record the demo under the flavor's URL, and read it."""
    name = answers.name
    if answers.kind != "remote":
        record(environment, f"{name}:///runs.store")
        return
    port = free_port()
    token = {f"METASTORE_{name.upper().replace('-', '_')}__TOKEN": "a long enough token"}
    options = ["--host", "127.0.0.1", "--port", str(port), "--folder", "data"]
    use(environment, "store", "register", "team", "--flavor", name, *options, **token)
    try:
        use(environment, "store", "up", "team", **token)
        record(environment, f"{name}://127.0.0.1:{port}/demo", **token)
    finally:
        use(environment, "store", "down", "team", **token)


def record(environment: Environment, url: str, **variables: str) -> None:
    """Record the demo, and see its runs listed by another process."""
    use(environment, "demo", "--store", url, **variables)
    listed = json.loads(use(environment, "run", "list", "--json", "--store", url, **variables))
    if len(listed) != 2:
        raise CheckError(f"{url} has {len(listed)} runs after the demo, not 2")


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def lines_to_write(package: Path) -> int:
    """How many lines of a package are neither blank, nor comments, nor docstrings."""
    return sum(len(lines_of(path.read_text("utf-8"))) for path in package.rglob("*.py"))


def lines_of(source: str) -> set[int]:
    """The numbers of those lines of a module."""
    said_nothing = {
        tokenize.COMMENT,
        tokenize.NL,
        tokenize.NEWLINE,
        tokenize.INDENT,
        tokenize.DEDENT,
        tokenize.ENCODING,
        tokenize.ENDMARKER,
    }
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in said_nothing:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            # A docstring, of whatever it stands behind.
            lines.difference_update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return lines


# All other sets of answers.


def check_others(folder: Path) -> None:
    """Generate, build and install a flavor of each other set of answers, and list them all."""
    done = {answers.choices for answers in WHOLE}
    lists = [CHOICES[key] for key in ("kind", "licence", "python_minimum", "ci")]
    sets = [each for each in itertools.product(*lists) if each not in done]
    wheels = []
    for number, choices in enumerate(sets):
        answers = Answers(f"other-{number}", *choices)
        project = generate(answers, folder / "projects")
        # What builds it is here already: an environment for each would take most of the time.
        build(project, folder / "dist", "--no-isolation")
        wheels.append(only(folder / "dist", f"{answers.package}-*.whl"))
    environment = new_environment(folder)
    pip = [environment.python, "-m", "pip", "install", "-q"]
    run([*pip, "metastore-core[sql]", "urllib3"])
    # Some are for newer Pythons than this one may be: refused, unless one insists.
    newer = [wheel for wheel, each in zip(wheels, sets, strict=True) if is_newer(each[2])]
    for wheel in newer:
        if (
            subprocess.run([*pip, "--no-deps", wheel], capture_output=True, check=False).returncode
            == 0
        ):
            raise CheckError(f"{wheel.name} is installed on a Python that is too old for it")
    run([*pip, "--no-deps", "--ignore-requires-python", *map(str, wheels)])
    expect_ok(environment, {"memory", *(f"other-{number}" for number in range(len(sets)))})
    say(f"{len(sets)} other sets of answers: built, installed, and listed as ok")


def is_newer(python: str) -> bool:
    """Whether a version of Python is newer than the one that runs this."""
    return tuple(map(int, python.split("."))) > sys.version_info[:2]


# The page.


def check_page(folder: Path) -> None:
    """Type off docs/writing-a-flavor.md, and do what it says to do then."""
    page = (ROOT / "docs" / "writing-a-flavor.md").read_text(encoding="utf-8")
    project = folder / "project"
    for name, text in re.findall(r"```\w+ file=(\S+)\n(.*?)```", page, re.DOTALL):
        path = project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    environment = new_environment(folder)
    section = page[page.index("## 7. Look at it as a user does") :]
    block = re.search(r"```console\n(.*?)```", section, re.DOTALL)
    commands = re.findall(r"^\$ (.*)$", block[1] if block else "", re.MULTILINE)
    if len(commands) < 5:
        raise CheckError("docs/writing-a-flavor.md says too little about what to do in the end")
    for command in commands:
        program, *words = shlex.split(command)
        program = str(Path(environment.python).with_name(program))
        run([program, *words], cwd=project, env=outside(HOME=str(environment.home)))
    say(f"docs/writing-a-flavor.md: {len(commands)} commands after typing it off, all pass")


# Using.


def outside(**variables: str) -> dict[str, str]:
    """The environment of somebody who has no settings of metastore and no Python active."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("METASTORE_", "PYTHON", "TOX_", "VIRTUAL_ENV", "XDG_"))
    }
    return kept | variables


def use(environment: Environment, *words: str, **variables: str) -> str:
    """Run the command as a user, in a home of their own; return what it printed."""
    variables["HOME"] = str(environment.home)
    return run([environment.metastore, *words], cwd=environment.home, env=outside(**variables))


def expect_ok(environment: Environment, names: set[str]) -> None:
    """Check that these flavors are listed, all of them ok, and no others."""
    rows = json.loads(use(environment, "flavor", "list", "--json"))
    states = {row["name"]: row["state"] for row in rows}
    if states != dict.fromkeys(names, "ok"):
        raise CheckError(f"`metastore flavor list` says {states}, not {sorted(names)}, all ok")


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
