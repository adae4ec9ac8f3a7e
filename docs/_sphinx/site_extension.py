"""What the site has more than the Markdown files: their order, and what is made when it is built.

A comment in a page, which the forge does not show, asks for it:

``<!-- site: pages NAME ... -->``   pages below this one
``<!-- site: api NAME ... -->``     entries of the reference, from the docstrings
``<!-- site: errors -->``           the tree of errors
``<!-- site: command -->``          the command, from itself
``<!-- site: changelogs -->``       what changed, of every distribution
``<!-- site: speed FILE -->``       the figures of a file in benchmarks/results
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from docutils import nodes
from pygments.lexers.special import TextLexer
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

from site_changelogs import changelogs
from site_command import command
from site_nav import NAV
from site_reference import entries, errors, home_of
from site_speed import speed

__all__ = ["setup"]

ROOT = Path(__file__).parents[2]

COMMENT = re.compile(r"^<!-- site: (\w+)(.*?)-->$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?<=\]\()([\w./-]+)(?=[)#])")


def toctree(pages: list[str], caption: str = "") -> str:
    """A list of pages, which only the margin shows."""
    lines = ["```{toctree}", ":hidden:"]
    if caption:
        lines.append(f":caption: {caption}")
    return "\n".join([*lines, "", *pages, "```"])


MADE: dict[str, Callable[[list[str]], str]] = {
    "pages": toctree,
    "api": entries,
    "errors": lambda _: errors(),
    "command": lambda _: command(),
    "changelogs": lambda _: changelogs(ROOT),
    "speed": lambda files: "\n\n".join(speed(ROOT, file) for file in files),
}


def fill(app: Sphinx, page: str, source: list[str]) -> None:
    """Put in what a page asks for; on the first page, the order of all."""

    def made(found: re.Match[str]) -> str:
        what, arguments = found.groups()
        if what not in MADE:
            raise ExtensionError(f"{page}: nothing is called {what!r}")
        return MADE[what](arguments.split())

    text = COMMENT.sub(made, source[0])
    folder = (ROOT / page).parent
    text = LINK.sub(lambda found: _target(found[1], folder), text)
    if page == app.config.root_doc:
        for caption, pages in NAV.items():
            text += "\n\n" + toctree([f"/{each}" for each in pages], caption)
    source[0] = text


def _target(path: str, folder: Path) -> str:
    """What a link leads to on the site: of a folder its README, of our README the first page."""
    if (folder / path).is_dir():
        path = path.rstrip("/") + "/README.md"
    if (folder / path).resolve() == ROOT / "README.md":
        path = path.removesuffix("README.md") + "docs/index.md"
    return path


def find(_: Sphinx, env: Any, node: Any, shown: nodes.Node) -> nodes.Node | None:
    """The entry of a name that is written otherwise than where it is listed.

    A name is listed where users import it from; annotations have it from where it is defined, and
    prose by its last part.
    """
    if node.get("refdomain") != "py":
        return None
    known = env.domains["py"].objects
    name = home_of(node["reftarget"], known)
    if name is None:
        return None
    entry = known[name]
    made = nodes.reference("", "", internal=True)
    made["refuri"] = env.app.builder.get_relative_uri(node["refdoc"], entry.docname)
    made["refuri"] += f"#{entry.node_id}"
    made["reftitle"] = name
    made += shown
    return made


def leave_out(
    _: Sphinx, kind: str, name: str, thing: object, skipped: bool, options: object
) -> bool | None:
    """Of the conformance kit, the cases: the page about it says how they are named."""
    del kind, thing, options
    return True if name.startswith("test_") else skipped or None


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    # Blocks that nobody else knows how to colour; the forge draws the last of these, the site shows
    # its text, as what draws it would be fetched.
    for name in ("fields", "filter", "mermaid"):
        app.add_lexer(name, TextLexer)
    app.connect("source-read", fill)
    app.connect("missing-reference", find)
    app.connect("autodoc-skip-member", leave_out)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
