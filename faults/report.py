"""Put the last results of the harnesses into docs/reliability.md: ``python -m faults.report``."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

RESULTS = Path(__file__).parent / "results"
PAGE = Path(__file__).parents[1] / "docs" / "reliability.md"
_BEGIN, _END = "<!-- results: python -m faults.report -->\n", "<!-- end of results -->\n"


class Promise(NamedTuple):
    """What is promised, and the harness that tries to break it."""

    text: str
    test: str
    figures: tuple[str, ...]
    """Which of its figures are quoted, in this order; those of several cases are added up."""
    each: bool = False
    """Whether cases are quoted one by one, because adding them up says nothing."""


_LOAD = (
    "processes",
    "seconds",
    "errors",
    "batches acknowledged, and there",
    "write p50, ms",
    "write p99, ms",
    "write worst, ms",
    "reads",
    "read worst, ms",
    "memory, MiB a process, after warm-up",
    "memory, MiB a process, at the end",
    "files, after warm-up",
    "files, at the end",
    "write-ahead log at most, MiB",
)
_KILLS = (
    "kills",
    "inside an open transaction",
    "while COMMIT was under way",
    "batches acknowledged",
    "lost, doubled or partial batches",
    "checks of the whole store",
)
_ANY = ("inputs", "right", "refused")

PROMISES = {
    "Killed processes": (
        Promise(
            "What is acknowledged in a file is there once and whole, whoever is killed when",
            "test_kills_of_writers_of_a_file",
            _KILLS,
            each=True,
        ),
        Promise(
            "So with MariaDB, whose clients are killed",
            "test_kills_of_writers_to_a_server",
            _KILLS,
        ),
        Promise(
            "And when the MariaDB server itself is killed, under three writers",
            "test_kills_of_the_server",
            (
                "kills of the server",
                "writers inside an open transaction then",
                "batches acknowledged",
                "lost, doubled or partial batches",
                "errors of writers",
            ),
        ),
        Promise(
            "A store that is being made is there whole or not at all; the next to open it makes it",
            "test_kills_while_a_file_is_made",
            ("kills", "left no store", "left a whole store"),
        ),
        Promise(
            "So in a MariaDB database",
            "test_kills_while_a_database_is_made",
            ("kills", "left no store", "left a whole store"),
        ),
        Promise(
            "An upgrade is done or not; the next one ends it",
            "test_kills_while_a_file_is_upgraded",
            ("kills", "left schema 6", "left schema 10"),
        ),
        Promise(
            "A copy that is begun again comes to what one copy comes to",
            "test_kills_of_copies",
            ("kills", "left it half done"),
        ),
        Promise("So does pruning", "test_kills_of_prunes", ("kills", "left it half done")),
        Promise(
            "Giving room back loses nothing",
            "test_kills_while_room_is_given_back",
            ("kills", "left a log or a journal"),
        ),
        Promise(
            "The file of an export is that of before or the new one, whole",
            "test_kills_of_exports",
            ("kills", "left the file of before"),
        ),
        Promise(
            "So are your settings",
            "test_kills_while_settings_are_written",
            ("kills", "left a new file beside it"),
        ),
    ),
    "Lost power, full and failing disks": (
        Promise(
            "What was acknowledged survives a loss of power at any moment, on an SQLite file",
            "test_power_loss",
            ("images", "with a journal", "with a write-ahead log", "calls", "syncs", "batches"),
            each=True,
        ),
        Promise(
            "So does an upgrade",
            "test_power_loss_while_a_file_is_upgraded",
            ("images", "calls", "of schema 10"),
            each=True,
        ),
        Promise(
            "So do settings",
            "test_settings_that_are_interrupted",
            ("calls", "images", "with the new file"),
        ),
        Promise(
            "So do exports",
            "test_an_export_that_is_interrupted",
            ("calls", "images", "with the new file"),
        ),
        Promise(
            "A full disk refuses a batch with `StorageError`, and harms nothing",
            "test_writes_to_a_full_disk",
            ("full disks", "batches that were told to have failed", "batches acknowledged"),
        ),
        Promise(
            "So it does while stores are made, copied, pruned, shrunk",
            "test_work_on_a_full_disk",
            (
                "make",
                "make: told as StorageError",
                "copy",
                "copy: told as StorageError",
                "prune",
                "prune: told as StorageError",
                "shrink",
                "shrink: told as StorageError",
            ),
        ),
        Promise(
            "An export to a full disk leaves no half file",
            "test_export_to_a_full_disk",
            ("export", "export: told as StorageError"),
        ),
        Promise(
            "Settings on a full disk stay as they were",
            "test_settings_on_a_full_disk",
            ("register", "register: told as StorageError"),
        ),
        Promise(
            "Where a call to the disk fails, the batch is not there, or nobody knows, as is told",
            "test_calls_that_fail",
            (
                "failures",
                "told as StorageError",
                "told as OutcomeUnknownError",
                "told as OpenError",
                "failing calls that did no harm",
            ),
        ),
    ),
    "Load": (
        Promise(
            "Sixteen processes on one SQLite file meet no error, and nothing grows",
            "test_load_of_a_file",
            _LOAD,
            each=True,
        ),
        Promise("So on one MariaDB server", "test_load_of_a_server", _LOAD, each=True),
    ),
    "Threads and forks": (
        Promise("Threads share a store", "test_threads_share", ("threads", "batches", "updates")),
        Promise(
            "A store is used on both sides of a fork, or says that it cannot",
            "test_forks",
            ("batches", "wrote", "ForkError"),
        ),
        Promise("So in pools of processes", "test_pools", ("workers", "batches", "wrote")),
        Promise(
            "A store that is closed in use ends calls with `ClosedError`, or lets them complete",
            "test_closed_in_use",
            ("batches", "ClosedError"),
        ),
    ),
    "Hostile input": (
        Promise("Any text is a filter or `FilterError`", "test_filter_texts", _ANY),
        Promise("So beyond all limits", "test_filters_beyond_limits", _ANY),
        Promise(
            "SQLite finds by a filter what Python finds",
            "test_filters_sqlite",
            ("filters", "found some", "found none", "refused"),
        ),
        Promise(
            "So does MariaDB",
            "test_filters_mariadb",
            ("filters", "found some", "found none", "refused"),
        ),
        Promise("A URL of a store is one, or is refused", "test_urls", _ANY),
        Promise("URLs come back from their parts", "test_parts_of_urls", ("urls",)),
        Promise("Settings in the environment too", "test_settings_from_the_environment", _ANY),
        Promise("So are config files", "test_config_files", ("reads", "changes")),
        Promise("And `metastore.toml` of a folder", "test_project_files", _ANY),
        Promise(
            "A damaged export is refused before anything is written, or imported whole",
            "test_exports",
            ("reads", "copies"),
        ),
        Promise("So is a packed one", "test_compressed_exports", _ANY),
        Promise("A broken plugin breaks nothing but itself", "test_metadata", _ANY),
        Promise(
            "`metastore serve` answers anything with OK or the caller's error",
            "test_served_sqlite",
            ("calls", "rpcs", "OK"),
        ),
        Promise("So it does from MariaDB", "test_served_mariadb", ("calls", "rpcs", "OK")),
        Promise(
            "Text of every class of Unicode comes back, from every flavor",
            "test_texts",
            ("classes", "came back"),
            each=True,
        ),
        Promise(
            "So does it from the command, which lets none control a terminal",
            "test_the_command_gives_texts_back",
            ("texts", "outputs"),
        ),
        Promise("SQL in a text is text, on SQLite", "test_injection_sqlite", ("strings", "asked")),
        Promise("On MariaDB", "test_injection_mariadb", ("strings", "asked")),
        Promise("Through `metastore serve`", "test_injection_kubeflow", ("strings", "asked")),
    ),
    "Secrets and rights": (
        Promise("No error of a URL shows its password", "test_no_error_shows_a_password", _ANY),
        Promise(
            "No failure in Python shows a secret, nor does a variable of our frames",
            "test_no_failure_in_python_shows_a_secret",
            ("places", "failures"),
        ),
        Promise(
            "No failing command shows one",
            "test_no_failing_command_shows_a_secret",
            ("stores", "commands"),
        ),
        Promise(
            "Names of temporary files cannot be foreseen", "test_temporary_names", ("temporary",)
        ),
        Promise(
            "Registering a class runs nothing but that class",
            "test_register_runs_what_it_was_given",
            ("neighbours", "commands"),
        ),
    ),
}
"""In the order of the page."""


def results_of(test: str) -> dict[str, dict[str, Any]]:
    """The figures of a harness, by case; the case of one without cases is empty."""
    found = {}
    for path in sorted(RESULTS.glob("*.json")):
        name, _, case = path.stem.partition("[")
        if name == test:
            found[case.rstrip("]")] = json.loads(path.read_text())["figures"]
    return found


def _sum(left: Any, right: Any) -> Any:
    """Figures added up; those of a sort, by name, each with its own."""
    if isinstance(left, dict):
        return {name: _sum(left.get(name, 0), right.get(name, 0)) for name in {**left, **right}}
    return left + right


def _figure(figure: Any) -> str:
    if isinstance(figure, dict):
        return ", ".join(f"{name} {_figure(each)}" for name, each in figure.items()) or "none"
    return f"{figure:,}"


def _said(figures: dict[str, Any], wanted: Iterable[str]) -> str:
    return "; ".join(f"{name}: {_figure(figures[name])}" for name in wanted if name in figures)


def _last(promise: Promise) -> str:
    found = results_of(promise.test)
    if not found:
        return "not run in full yet"
    if promise.each:
        return "<br>".join(
            (f"`{case}`: " if case else "") + _said(figures, promise.figures)
            for case, figures in found.items()
        )
    together: dict[str, Any] = {}
    for figures in found.values():
        for name in promise.figures:
            if name in figures:
                together[name] = (
                    _sum(together[name], figures[name]) if name in together else figures[name]
                )
    return _said(together, promise.figures)


def rendered() -> str:
    """The tables of the page."""
    parts = []
    for title, promises in PROMISES.items():
        rows = [f"| {each.text} | `-k {each.test}` | {_last(each)} |" for each in promises]
        head = "| promise | harness | last figures |\n|---|---|---|\n"
        parts.append(f"### {title}\n\n{head}" + "\n".join(rows) + "\n")
    return "\n".join(parts)


def page_with(tables: str) -> str:
    """The page with these tables."""
    text = PAGE.read_text()
    before, _, rest = text.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    return f"{before}{_BEGIN}\n{tables}\n{_END}{after}"


if __name__ == "__main__":
    PAGE.write_text(page_with(rendered()))
