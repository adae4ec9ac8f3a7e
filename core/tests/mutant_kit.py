"""The kit, run on one mutant after another in a process of its own.

`python -m tests.mutant_kit` collects the tests of the kit once.  For every line that it reads, the
JSON of a mutant's name and of names of cases, or null for all, it runs these on the mutant.  It
answers a line of JSON a case: its name, its outcome and what went wrong; in the end null.
`kit_process.Kit` is the other side.

A process of its own, because a pytest inside a pytest would share its capture, its warnings and its
plugins, and because a mutant may hang.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any

import pytest
from hypothesis import Phase, settings

# Before the kit is imported, whose own settings begin with these.  To shrink what a mutant does
# wrong would take most of the time, and nobody would read it.
settings.register_profile(
    "mutants", phases=[Phase.explicit, Phase.generate], report_multiple_bugs=False
)
settings.load_profile("mutants")

from _pytest.runner import runtestprotocol  # noqa: E402 - after the lines above

from metastore.testing import StoreContract, _forks  # noqa: E402
from metastore.testing._base import MakeStore, Reopen  # noqa: E402
from metastore.testing._opens import Opens  # noqa: E402

from .fabricated import write_distribution  # noqa: E402
from .kit_process import Case  # noqa: E402
from .mutants import UNMUTATED, Flavor, Mutant, mutant_named  # noqa: E402

UNWANTED = (
    *("cacheprovider", "doctest", "faulthandler", "subtests"),
    *("threadexception", "unraisableexception", "warnings", "xdist"),
)
"""Plugins of pytest that would do something around each of the many calls."""

FORK_SECONDS = 10
"""For a forked child that hangs: long enough for one that does not, on a busy machine."""


class TestMutant(StoreContract):
    """The whole contract, on the mutant that is to be run."""

    @pytest.fixture
    def of_mutant(self, request: pytest.FixtureRequest) -> Iterator[Flavor]:
        """The mutant's stores of one test."""
        loop: Any = request.config.pluginmanager.get_plugin("mutants")
        flavor = loop.mutant.flavor(loop.mutant)
        yield flavor
        flavor.end()

    @pytest.fixture
    def make_store(self, of_mutant: Flavor) -> MakeStore:
        """A new store a call."""
        return of_mutant.make

    @pytest.fixture
    def reopen(self, of_mutant: Flavor, opens: Opens) -> Reopen:
        """Another store over the same data, as the flavor opens it, or else as the kit does."""
        reopen: Reopen | None = of_mutant.reopen
        return reopen or opens.again


class _Loop:
    """In place of pytest's own loop: tests are run as often as it is asked for."""

    def __init__(self, questions: IO[str], answers: IO[str]) -> None:
        self._questions = questions
        self._answers = answers
        self.mutant: Mutant = UNMUTATED

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Run the tests on each mutant that is named."""
        for line in self._questions:
            name, cases = json.loads(line)
            self.mutant = mutant_named(name)
            items = [item for item in session.items if cases is None or item.name in cases]
            with _installed(self.mutant):
                for item, following in zip(items, [*items[1:], None], strict=True):
                    reports = runtestprotocol(item, log=False, nextitem=following)
                    self._answer([item.name, *_case(reports)])
            self._answer(None)
        return True

    def _answer(self, answer: list[str] | None) -> None:
        self._answers.write(json.dumps(answer) + "\n")
        self._answers.flush()


@contextmanager
def _installed(mutant: Mutant) -> Iterator[None]:
    """Its plugin module is found by its entry point, from a folder of its own."""
    plugin = mutant.plugin or mutant.flavor.plugin
    if plugin is None:
        yield
        return
    with TemporaryDirectory() as folder:
        module = f"plugin_of_{mutant.name.replace('-', '_')}"
        write_distribution(Path(folder), "metastore-flavor-cellar", "cellar", module)
        (Path(folder) / f"{module}.py").write_text(plugin.source())
        sys.path.insert(0, folder)
        try:
            yield
        finally:
            sys.path.remove(folder)
            sys.modules.pop(module, None)


def _case(reports: list[pytest.TestReport]) -> Case:
    for report in reports:
        if report.failed:
            return Case("failed" if report.when == "call" else "error", report.longreprtext[-500:])
    return Case("skipped" if any(report.skipped for report in reports) else "passed", "")


def main() -> int:
    """Run what is named by the lines of standard input."""
    # Whatever else is printed must not get among the answers.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    _forks._SECONDS = FORK_SECONDS
    loop = _Loop(sys.stdin, answers)
    unwanted = [option for plugin in UNWANTED for option in ("-p", f"no:{plugin}")]
    # No file of settings: none of its warnings, time limits and reports is wanted either.
    options = ["-c", os.devnull, "--import-mode=importlib", "--assert=plain", "--tb=no"]
    # Fixtures that read what is printed work all the same.
    options += ["--capture=no"]
    plugin: Any = ("mutants", loop)
    return int(pytest.main([__file__, *options, *unwanted], plugins=[_Named(*plugin)]))


class _Named:
    """Registers a plugin under a name, by which the tests find it."""

    def __init__(self, name: str, plugin: object) -> None:
        self._name, self._plugin = name, plugin

    def pytest_configure(self, config: pytest.Config) -> None:
        """Register it."""
        config.pluginmanager.register(self._plugin, self._name)


if __name__ == "__main__":
    sys.exit(main())
