"""What is wrong in a page is found: a block of each sort, as it should be and broken once."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from docs_tests.blocks import blocks_of, pages
from docs_tests.resources import Resources
from docs_tests.session import Session, WrongBlockError, commands
from docs_tests.test_blocks import run_page

PYTHON = '```python\nprint("a", 1)\n```\n'
REGISTER = (
    "```console\n$ metastore store register me --url memory:// --use\n```\n"
    "<!-- block: elsewhere -->\n```console\n$ metastore store list --json\n[]\n```\n"
)

CASES = {
    "python that raises": (
        PYTHON,
        "```python\n\nprint(1 / 0)\n```",
        "page.md:3: ZeroDivisionError",
    ),
    "python of one page": (
        "```python\na = 1\n```\n\n- In a list:\n\n  ```python\n  assert a == 1\n  ```",
        "```python\na = 1\n```\n\n```python\nassert a == 2\n```",
        "page.md:6: AssertionError",
    ),
    "an error": (
        "<!-- block: expect LookupError -->\n```python\n{}[1]\n```",
        "<!-- block: expect LookupError -->\n```python\n{}\n```",
        "page.md:3: it raises no LookupError",
    ),
    "another error": (
        "<!-- block: expect ZeroDivisionError -->\n```python\n1 / 0\n```",
        "<!-- block: expect ZeroDivisionError -->\n```python\n{}[1]\n```",
        "page.md:3: KeyError",
    ),
    "a fragment": (
        "<!-- block: example -->\n```python\nstore.runs()\n```",
        "<!-- block: example -->\n```python\nstore.runs(\n```",
        "SyntaxError",
    ),
    "output of Python": (
        PYTHON + "<!-- block: output -->\n```text\na ...\n```",
        PYTHON + "<!-- block: output -->\n```text\nb ...\n```",
        "page.md:6: the page shows\nb ...",
    ),
    "a command": (
        "```console\n$ true\n$ false || true\n```",
        "```console\n$ true\n$ false\n```",
        "page.md:2: line 3: false\nit exits with 1",
    ),
    "a command without a prompt": (
        "```console\necho a\n```",
        "```bash\nfalse\necho a\n```",
        "line 2: false",
    ),
    "a command that fails": (
        "<!-- block: expect Error -->\n```console\n$ metastore run list --store nothing\n"
        "error: no store is called 'nothing'...\n```",
        "<!-- block: expect Error -->\n```console\n$ true\n```",
        "it exits with 0",
    ),
    "output of a command": (
        "```console\n$ printf 'a\\nb\\nc\\n'\na\n...\nc\n```",
        "```console\n$ printf 'a\\nb\\nc\\n'\na\nc\n```",
        "the page shows\na\nc\nand it prints\na\nb\nc",
    ),
    "a variable": (
        "```console\n$ export A=1\n$ mkdir b\n$ cd b\n$ echo $A ${PWD##*/}\n1 b\n```",
        "```console\n$ B=1\n$ echo $B\n1\n```",
        "the page shows\n1",
    ),
    "somebody else": (
        REGISTER,
        "```console\n$ metastore store list --json\n[]\n```",
        "the page shows\n[]",
    ),
    "a server": (
        "```console\n$ metastore ui memory:// --port 0\nmemory:// is at http://...\n```",
        "```console\n$ metastore ui nothing --port 0\n```",
        "it does not go on",
    ),
    "an option": (
        "<!-- block: example -->\n```console\n$ metastore run list --limit 3 --store x | head\n```",
        "<!-- block: example -->\n```console\n$ metastore run list --limt 3 --store x | head\n```",
        "--limt",
    ),
    "the type of an option": (
        "<!-- block: example -->\n```console\n0 3 * * *  metastore run list --limit 3\n```",
        "<!-- block: example -->\n```console\n0 3 * * *  metastore run list --limit many\n```",
        "many",
    ),
    "a URL": (
        "<!-- block: example -->\n```console\n$ metastore run list --store sqlite:///x.db\n```",
        "<!-- block: example -->\n```console\n$ metastore run list --store sqlit:///x.db\n```",
        "no flavor here is called 'sqlit'",
    ),
    "an option of a URL": (
        "<!-- block: example -->\n```console\n$ metastore ui 'mysql://me@h/d?timeout=3'\n```",
        "<!-- block: example -->\n```console\n$ metastore ui 'mysql://me@h/d?timeuot=3'\n```",
        "timeuot",
    ),
    "a distribution": (
        "```console\n$ pip install 'metastore-core[ui]' metastore-flavor-sqlite\n```",
        "```console\n$ pip install metastore-flavour-sqlite\n```",
        "metastore-flavour-sqlite",
    ),
    "an extra": (
        "```console\n$ pip install 'metastore-core[kube]'\n```",
        "```console\n$ pip install 'metastore-core[cube]'\n```",
        "does not provide the extra 'cube'",
    ),
    "a file": (
        "<!-- block: file a/b.toml -->\n```toml\na = 1\n```\n```bash\n$ cat a/b.toml\na = 1\n```",
        "<!-- block: file b.toml -->\n```toml\na =\n```",
        "TOMLDecodeError",
    ),
    "JSON": ('```json\n{"a": 1}\n{"a": 2}\n```', "```json\n{a: 1}\n```", "JSONDecodeError"),
    "YAML": ("```yaml\na: [1]\n```", "```yaml\na: [1\n```", "ParserError"),
    "a filter": (
        "```filter artifact\nname = 'x'\n```",
        "```filter artifact\nnme = 'x'\n```",
        "no field 'nme'",
    ),
    "SQL": (
        "<!-- block: needs mariadb -->\n```sql\nCREATE DATABASE IF NOT EXISTS own;\nSELECT 1;\n```",
        "<!-- block: needs mariadb -->\n```sql\nSELECT 1;\nSELCT 2;\n```",
        "SELCT 2",
    ),
    "the real stores": (
        "<!-- block: needs stores -->\n```console\n$ ls sepsis.sqlite\n```",
        "<!-- block: needs stores -->\n```console\n$ ls nothing.sqlite\n```",
        "nothing.sqlite",
    ),
    "text": (
        "<!-- block: example -->\n```text\nanything\n```",
        "```text\nanything\n```",
        "an output or an example",
    ),
    "no language": (PYTHON, "```\nanything\n```", "'no language'"),
    "a comment": (
        "<!-- block: example -->\n```text\n```",
        "<!-- block: example -->\n\n```python\n```",
        "of 1 comments about blocks, 0 stand above one",
    ),
    "a word of a comment": (
        "<!-- of another sort -->\n```python\n```",
        "<!-- block: exmaple -->\n```python\n```",
        "cannot be 'exmaple'",
    ),
}
"""By what is tried: a page that is right, one that is wrong, and a part of what is said of that."""


@pytest.mark.parametrize(("right", "wrong", "said"), CASES.values(), ids=CASES)
def test_what_is_wrong_is_found(
    right: str, wrong: str, said: str, session: Session, resources: Resources
) -> None:
    """A page that is right passes; where it is broken, it fails, and is told where and why."""
    page = session.folder.with_name("page.md")
    page.write_text(right)
    run_page(page, session, resources)
    page.write_text(wrong)
    with pytest.raises((WrongBlockError, AssertionError), match=re.escape(said)):
        run_page(page, session, resources)


def test_a_page_is_not_the_next_one(session: Session, resources: Resources) -> None:
    """What one test had is gone in the next: there is no file and no registered store."""
    page = session.folder.with_name("page.md")
    page.write_text("```console\n$ ls -A\n\n$ metastore store list --json\n[]\n```")
    run_page(page, session, resources)
    assert list(session.folder.iterdir()) == []


def test_commands_of_several_lines() -> None:
    """A command goes on behind a backslash, within quotes, and to the end of a here-document."""
    text = "$ a \\\n  b\nout\n$ c 'd\ne'\n$ f <<'SQL'\n$ g\nSQL\n"
    assert list(commands(text)) == [
        (0, "a \\\n  b", "out"),
        (3, "c 'd\ne'", ""),
        (5, "f <<'SQL'\n$ g\nSQL", ""),
    ]


def test_every_folder_is_looked_into(tmp_path: Path) -> None:
    """A page is found in any folder of docs/, and a README beside its distribution."""
    for name in ("docs/a.md", "docs/b/c.md", "plugins/x/README.md", "docs/tutorial.md", "x.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(PYTHON)
    found = pages(tmp_path)
    assert [str(each.relative_to(tmp_path)) for each in found] == [
        *("docs/a.md", "docs/b/c.md", "plugins/x/README.md")
    ]
    assert [len(blocks_of(each)) for each in found] == [1, 1, 1]
