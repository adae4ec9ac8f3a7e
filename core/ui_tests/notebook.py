"""Execute a notebook that shows all that a store gives, and look at it in a browser.

Usage, in core/: ``python -m ui_tests.notebook [FOLDER]``; it writes ``notebook.html`` there, and
pictures of it, light and dark, wide and narrow, and says what is wrong with it; the exit status is
1 where anything is.  It wants nbconvert and ipykernel.
"""

from __future__ import annotations

import importlib
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import metastore

from .crawl import looked_at
from .generated import fill
from .shown import Watched, browsing

__all__ = ["CELLS", "rendered"]

CELLS = (
    "import metastore\nstore = metastore.connect({url!r}, mode='r')\nstore",
    "store.pipelines()",
    "store.runs(newest_first=True)",
    "run = store.runs(newest_first=True)[0]\nrun",
    "run.graph",
    "run.steps",
    "run.steps[0]",
    "store.artifacts(type='Model')",
    "model = store.artifacts(type='Model')[-1]\nmodel",
    "model.lineage(upstream=True, max_hops=6)",
    "from IPython.display import SVG\nSVG(model.lineage(upstream=True).picture())",
    "store.executions()",
    "store.contexts()[0]",
)
"""Each shows something."""
_ONLY_OUTPUTS = """() => document.querySelectorAll(
  ".jp-InputArea, .jp-InputPrompt, .jp-OutputPrompt").forEach((each) => each.remove())"""


def rendered(folder: Path, theme: str) -> Path:
    """The notebook, executed, as HTML in nbconvert's light or dark theme."""
    format: Any = importlib.import_module("nbformat.v4")
    converting: Any = importlib.import_module("nbconvert")
    running: Any = importlib.import_module("nbconvert.preprocessors")
    url = f"sqlite:///{folder / 'store.db'}"
    if not (folder / "store.db").exists():
        with metastore.connect(url) as store:
            fill(store, 40)
    cells = [format.new_code_cell(each.replace("{url!r}", repr(url))) for each in CELLS]
    notebook = format.new_notebook(cells=cells)
    running.ExecutePreprocessor(timeout=120, kernel_name="python3").preprocess(notebook, {})
    html, _ = converting.HTMLExporter(theme=theme).from_notebook_node(notebook)
    path = folder / f"notebook-{theme}.html"
    path.write_text(html, "utf-8")
    return path


def main(arguments: Sequence[str]) -> int:
    """Execute, look, print what is wrong."""
    faults = 0
    with tempfile.TemporaryDirectory() as temporary, browsing() as browser:
        folder = Path(arguments[0]).resolve() if arguments else Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for theme in ("light", "dark"):
            page = rendered(folder, theme)
            for width in (1280, 390):
                watched = Watched(
                    browser,
                    "file://",
                    viewport={"width": width, "height": 800},
                    color_scheme=theme,
                    # The template of nbconvert brings scripts from elsewhere, for formulas.
                    java_script_enabled=False,
                    offline=True,
                )
                tab = watched.open(str(page))
                outputs = tab.locator(".jp-RenderedHTMLCommon, .jp-RenderedSVG, .jp-OutputArea")
                assert outputs.count() >= len(CELLS)
                tab.screenshot(path=folder / f"notebook-{theme}-{width}.png", full_page=True)
                # Code and its colours, headings and widths are the template's.
                tab.evaluate(_ONLY_OUTPUTS)
                found = [each for each in looked_at(tab) if each.startswith("faint")]
                faults += len(found)
                for each in found:
                    sys.stdout.write(f"{theme} {width}: {each}\n")
                watched.close()
    sys.stdout.write(f"{len(CELLS)} cells, {faults} faults\n")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
