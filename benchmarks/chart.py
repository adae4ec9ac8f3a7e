"""Draw what was measured: ``python benchmarks/chart.py --help``.

From the JSON files that run.py and growth.py write: how many times as fast as ml-metadata, by
ground and work; how many steps a second several writers record; time against size.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

HERE = Path(__file__).parent
COLOURS = {
    "ours": "#1f6feb",
    "ours-delete": "#79b8ff",
    "ours-foreign": "#b3a2f2",
    "mlmd": "#d1495b",
    "mlmd-wal": "#edae49",
    "plain": "#8c959f",
    "plain-delete": "#c9d1d9",
}
LABELS = {
    "ours": "metastore",
    "ours-delete": "metastore, rollback journal",
    "ours-foreign": "metastore, file of ml-metadata",
    "mlmd": "ml-metadata",
    "mlmd-wal": "ml-metadata, write-ahead log",
    "plain": "plain code of the driver",
    "plain-delete": "plain code, rollback journal",
}
PEERS = ("mlmd", "mlmd-whole")


def ratio_of(work: Mapping[str, Any], candidate: str) -> tuple[float, float | None] | None:
    """How many times as fast as ml-metadata, and the target; None where that is not measured."""
    found = [
        (each["figure"], each["target"])
        for each in work["verdicts"]
        if each["candidate"] == candidate and each["against"] in PEERS
    ]
    told = [each for each in found if each[1] is not None]
    return next(iter(told or found), None)


def draw_ratios(grounds: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    """A panel a ground: bars of ratios, a mark at each target."""
    figure, panels = plt.subplots(
        1, len(grounds), figsize=(5.5 * len(grounds), 6), squeeze=False, layout="constrained"
    )
    for panel, (ground, works) in zip(panels[0], grounds.items(), strict=True):
        letters = sorted(letter for letter in works if not letter.startswith("W"))
        candidates = [
            each
            for each in ("ours", "ours-delete", "ours-foreign")
            if any(ratio_of(works[letter], each) for letter in letters)
        ]
        height = 0.8 / len(candidates)
        for number, candidate in enumerate(candidates):
            first = True
            for row, letter in enumerate(letters):
                found = ratio_of(works[letter], candidate)
                if found is None:
                    continue
                ratio, target = found
                at = row + (number - (len(candidates) - 1) / 2) * height
                panel.barh(
                    at,
                    ratio - 1,
                    height,
                    left=1,
                    color=COLOURS[candidate],
                    label=LABELS[candidate] if first else None,
                )
                first = False
                panel.text(
                    max(ratio, 1, target or 1) * 1.06, at, f"{ratio:.1f}", va="center", fontsize=7
                )
                if target is not None:
                    panel.plot([target], [at], marker="|", color="black", markersize=9)
        panel.axvline(1, color=COLOURS["mlmd"], linewidth=1)
        panel.set_xscale("log")
        panel.margins(x=0.12)
        _plain_numbers(panel.xaxis)
        panel.set_yticks(range(len(letters)), letters)
        panel.invert_yaxis()
        panel.set_title(ground)
        panel.set_xlabel("times as fast as ml-metadata (line); marks are targets")
        panel.legend(fontsize=7, loc="upper center", bbox_to_anchor=(0.5, -0.08), ncols=3)
    _save(figure, path)


def draw_writers(grounds: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    """A panel a ground: steps a second, by the number of writers."""
    figure, panels = plt.subplots(
        1, len(grounds), figsize=(5 * len(grounds), 4), squeeze=False, layout="constrained"
    )
    for panel, (ground, works) in zip(panels[0], grounds.items(), strict=True):
        counts = sorted(int(letter[1:]) for letter in works if letter.startswith("W"))
        for candidate in works[f"W{counts[0]}"]["milliseconds"]:
            rates = [
                1000 / statistics.median(works[f"W{count}"]["milliseconds"][candidate])
                for count in counts
            ]
            panel.plot(counts, rates, "o-", color=COLOURS[candidate], label=LABELS[candidate])
        panel.set_xticks(counts)
        panel.set_yscale("log")
        _plain_numbers(panel.yaxis)
        panel.set_title(f"{ground}: steps a second, all writers together")
        panel.set_xlabel("writers at once")
        panel.legend(fontsize=7)
    _save(figure, path)


def draw_growth(growth: Mapping[str, Any], lineage: Mapping[str, Any], path: Path) -> None:
    """A panel a work, and one a shape of graphs: milliseconds against size."""
    drawn = [
        *((letter, work, "artifacts stored") for letter, work in growth.items()),
        *((f"lineage, {shape}", work, "executions walked") for shape, work in lineage.items()),
    ]
    across = 4
    down = -(-len(drawn) // across)
    figure, panels = plt.subplots(
        down, across, figsize=(3.6 * across, 2.9 * down), squeeze=False, layout="constrained"
    )
    for panel in panels.flat[len(drawn) :]:
        panel.set_visible(False)
    for panel, (name, work, sizes) in zip(panels.flat, drawn, strict=False):
        for candidate, by_size in work["milliseconds"].items():
            panel.plot(
                [int(size) for size in by_size],
                [statistics.median(found) for found in by_size.values()],
                "o-",
                color=COLOURS[candidate],
                label=f"{LABELS[candidate]} (x {work['ratio'][candidate]:.2f})",
            )
        most = f", at most x {work['at most']:g}" if "at most" in work else ""
        panel.set_title(f"{name}{most}", fontsize=9)
        panel.set_xscale("log")
        panel.set_yscale("log")
        panel.margins(y=0.3)
        _plain_numbers(panel.yaxis)
        panel.set_xlabel(sizes, fontsize=8)
        panel.set_ylabel("milliseconds", fontsize=8)
        panel.legend(fontsize=6)
    _save(figure, path)


def _plain_numbers(axis: Any) -> None:
    """Label a logarithmic axis as people write numbers."""
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def _save(figure: Any, path: Path) -> None:
    # Without the date and the versions that it would hold, the same figures make the same file.
    figure.savefig(path, dpi=130, metadata={"Software": None})
    plt.close(figure)


def read(paths: Iterable[Path]) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """The works of all grounds, growth and lineage of several files; later ones go before."""
    grounds: dict[str, Any] = {}
    growth: dict[str, Any] = {}
    lineage: dict[str, Any] = {}
    for path in paths:
        content = json.loads(path.read_text())
        for ground, works in content.get("grounds", {}).items():
            grounds.setdefault(ground, {}).update(works)
        growth |= content.get("growth", {})
        lineage |= content.get("lineage", {})
    return grounds, growth, lineage


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw what the files hold."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("files", nargs="*", type=Path, help="default: benchmarks/results/*.json")
    parser.add_argument("--to", type=Path, default=HERE, help="a folder (default: benchmarks)")
    options = parser.parse_args(arguments)
    files = options.files or sorted((HERE / "results").glob("*.json"))
    grounds, growth, lineage = read(files)
    if grounds:
        draw_ratios(grounds, options.to / "ratios.png")
    written = {name: works for name, works in grounds.items() if any(w[0] == "W" for w in works)}
    if written:
        draw_writers(written, options.to / "writers.png")
    if growth or lineage:
        draw_growth(growth, lineage, options.to / "growth.png")


if __name__ == "__main__":
    main()
