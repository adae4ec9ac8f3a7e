"""The blocks of a page, and what is said of them.

What readers do not see says how a block is run: a comment directly above it,
``<!-- block: ... -->``, with one of these, or several between semicolons.

``skip, because WHY``
    It cannot run on a test machine.  `docs_tests.pages.SKIPPED` has the list, which is short.
``needs NAME``
    What must be there (`docs_tests.resources`): ``mariadb``, ``kubeflow``, ``kubernetes``,
    ``stores``.  It is there for the whole page.
``file NAME``
    The block is a file of that name, in the page's folder.
``expect ERROR``
    It raises an error of that name; of commands: the last one exits with another code than 0.
``elsewhere``
    Its commands are given by somebody else, or on another machine: no store is registered there.
``output``
    It is what the block before it printed.
``example``
    It is a fragment, and only looked at: Python is compiled, TOML, YAML and JSON are read, the
    options and arguments of `metastore` commands are what the command takes, and the URLs of stores
    are ones.

Without such a comment:

- ``python`` blocks of one page run in their order, in one namespace.
- ``console`` (or ``bash``) blocks are commands, which must exit with 0.  Where a line begins with
  ``$ ``, the lines after it, if there are any, are what the command prints.  ``metastore ui``,
  ``metastore serve`` and ``kubectl port-forward`` run until the page ends.
- ``sql`` blocks are run by the administrator of a MariaDB server.
- ``toml``, ``yaml`` and ``json`` blocks can be read.
- ``filter KIND`` blocks are filters, one a line.
- ``text`` and ``mermaid`` blocks must be ``output`` or ``example``.
- ``fields`` blocks are held to what the command prints by core/tests/cli/test_json.py.

All blocks of a page have one new folder as the current one, and nobody's settings or home.  In what
is printed ``...`` stands for any text, of several lines, too; blanks at the ends of lines do not
count.  What readers replace by their own (hosts, users, names of runs) is replaced by what is there
in the test: `docs_tests.pages` and `docs_tests.resources` have the tables.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

__all__ = ["ROOT", "Block", "blocks_of", "pages"]

ROOT = Path(__file__).parents[1]
READMES = [
    *("README.md", "SECURITY.md", "core/README.md", "plugins/*/README.md"),
    *("benchmarks/README.md", "faults/README.md", "cookiecutter-flavor/README.md"),
]
ELSEWHERE = {
    "docs/tutorial.md": "followed literally, in an empty environment, by a script of its own",
    "docs/writing-a-flavor.md": "typed off by tools/check_template.py and core/tests",
}
"""Pages whose blocks something else runs."""

_SAID = re.compile(r"<!-- block: (.*?) -->")
_WORDS = ("skip", "needs", "file", "expect", "elsewhere", "output", "example")


@dataclass(frozen=True)
class Block:
    """A block of code."""

    page: Path
    line: int
    """Of its first line of code in the page, from 1."""
    info: str
    """What stands behind the fence: the language and more."""
    text: str
    said: dict[str, str]
    """What the comment above it says: the word, and what follows it."""

    @property
    def language(self) -> str:
        """The first word behind the fence; empty where there is none."""
        return self.info.partition(" ")[0]

    @property
    def where(self) -> str:
        """Page and line."""
        return f"{self.page}:{self.line}"


def pages(root: Path = ROOT) -> list[Path]:
    """All pages whose blocks are run here."""
    found = [*root.glob("docs/**/*.md"), *(each for name in READMES for each in root.glob(name))]
    return sorted(each for each in found if str(each.relative_to(root)) not in ELSEWHERE)


def blocks_of(page: Path) -> list[Block]:
    """The blocks of a page in their order; a comment that belongs to none is an error."""
    found = []
    text = page.read_text(encoding="utf-8")
    said, ended = "", -1
    for token in MarkdownIt().parse(text):
        if token.map is None:
            continue
        if token.type == "html_block":
            said, ended = token.content, token.map[1]
        elif token.type in ("fence", "code_block"):
            line = token.map[0] + (2 if token.type == "fence" else 1)
            above = said if ended == token.map[0] else ""
            found.append(Block(page, line, token.info.strip(), token.content, _said(page, above)))
    # Those that a page speaks of do not begin a line.
    told = len(re.findall(rf"^\s*{_SAID.pattern}", text, re.MULTILINE))
    belong = sum(bool(each.said) for each in found)
    assert told == belong, f"{page}: of {told} comments about blocks, {belong} stand above one"
    return found


def _said(page: Path, comment: str) -> dict[str, str]:
    words = {}
    for part in ";".join(_SAID.findall(comment)).split(";"):
        word, _, rest = part.strip().replace("skip,", "skip").partition(" ")
        if word:
            assert word in _WORDS, f"{page}: a block cannot be {word!r}; it may be {_WORDS}"
            words[word] = rest
    return words
