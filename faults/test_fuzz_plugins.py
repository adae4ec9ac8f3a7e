"""Metadata and plugin modules of every sort: what is wrong with one of them harms no other."""

from __future__ import annotations

import importlib.metadata
import json
import random
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from core.tests.fabricated import good

import metastore
from metastore import FlavorError, MetastoreError
from metastore.plugins import _loader
from metastore.plugins._finder import find_flavors
from metastore.plugins._registry import FlavorRegistry, FlavorState

from .conftest import Figures
from .hostile.damage import Outcomes, cpu_limit, damaged_bytes, noise_bytes

Size = Callable[[int, int], int]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of installed distributions, of which one is good: the flavor ``fine``."""
    folder = tmp_path / "site"
    _write(folder, "fine", good("fine"))
    monkeypatch.syspath_prepend(str(folder))
    modules = set(sys.modules)
    yield folder
    for module in set(sys.modules) - modules:
        if module.startswith("plugin_"):
            del sys.modules[module]
    _loader._loaded.clear()
    _loader._plugins.clear()


def _write(folder: Path, name: str, source: str) -> Path:
    info = folder / f"metastore_flavor_{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: metastore-flavor-{name}\nVersion: 1.0\n"
    )
    (info / "entry_points.txt").write_text(f"[metastore.flavors]\n{name} = plugin_{name}\n")
    (info / "RECORD").write_text("")
    (folder / f"plugin_{name}.py").write_text(textwrap.dedent(source))
    return info


_FILES = {
    "entry_points.txt": b"[console_scripts]\nbad = b:main\n[metastore.flavors]\nbad = plugin_bad\n"
    b"# a comment\nother-bad = plugin_bad.sub:thing [extra]\n",
    "METADATA": b"Metadata-Version: 2.1\nName: metastore-flavor-bad\nVersion: 1.0\n\nA text\n",
    "direct_url.json": b'{"dir_info": {"editable": true}, "url": "file:///home/me/project"}',
}
_SPECIAL = (
    *(
        b"",
        b"[metastore.flavors]",
        b"[metastore.flavors]\n=\n",
        b"[metastore.flavors]\n= x\nbad =\n",
    ),
    *(b"[metastore.flavors]\nfine = plugin_bad\n", b"[metastore.flavors]\nsqlite = plugin_bad\n"),
    *(
        b"[metastore.flavors]\nmemory = plugin_bad\n",
        b"[metastore.flavors]\nbad = no_such_module\n",
    ),
    *(b"[metastore.flavors]\nbad = os:path.join\n", b"[metastore.flavors]\nbad = .relative\n"),
    *(b"[metastore.flavors]\nbad = ..\n", b"[metastore.flavors]\nbad = plugin_bad\0\n"),
    *(
        b"[metastore.flavors]\nbad = " + b"a." * 3000 + b"b\n",
        b"[metastore.flavors]\n" + b"x" * 99999,
    ),
    *(
        b"[metastore.flavors]\n\xff\xfe = plugin_bad\n",
        b"\xef\xbb\xbf[metastore.flavors]\nbad = p\n",
    ),
    *(
        b"[metastore.flavors]\r\nbad = plugin_bad\r\n",
        "[metastore.flavors]\nb\u0430d = p\n".encode(),
    ),
    *(
        b"[metastore.flavors]\nbad\x1b[2J = plugin_bad\n",
        b"[metastore.flavors]\n../../x = plugin_bad\n",
    ),
    *(b"[" * 100_000, b'{"a":' * 100_000, b"null", b"[]", b'{"dir_info": 3}', b'{"dir_info": {}}'),
    *(
        b'{"dir_info": {"editable": 1}, "url": 3}',
        b'{"dir_info": {"editable": 1}, "url": "http://["}',
    ),
    *(
        b"Name:\nVersion:\n",
        b"Name: \xff\n",
        b"Name: a\nName: b\n",
        b"Name: fine\nVersion: \x1b[31m\n",
    ),
)


def test_metadata(site: Path, size: Size, figures: Figures) -> None:
    """Whatever the metadata of one distribution hold: flavors are listed, without an error, the
    good ones among them work, and a bad one is an error of ours with a reason.
    """
    chance, outcomes = random.Random(1), Outcomes()
    info = _write(site, "bad", good("bad"))
    listed = 0
    for number in range(size(250, 10_000)):
        contents = dict(_FILES)
        for name in chance.sample(list(contents), chance.choice((1, 1, 2))):
            which = chance.randrange(8)
            contents[name] = (
                chance.choice(_SPECIAL)
                if which < 3
                else noise_bytes(chance)
                if which == 3
                else damaged_bytes(chance, contents[name], 2)
            )
        for name, content in contents.items():
            (info / name).write_bytes(content)

        def shown(contents: dict[str, bytes] = contents, number: int = number) -> str:
            return f"input {number} of seed 1: { {k: v[:300] for k, v in contents.items()} }"

        with cpu_limit(20, shown):
            found = find_flavors()
            assert {"sqlite", "memory", "mysql"} <= {each.name for each in found}, shown()
            registry = FlavorRegistry.discover()
            # Names may collide: then the one that is meant has to be said, and nothing else.
            for name in ("fine", "sqlite"):
                try:
                    assert registry.get(name).name == name, shown()
                except FlavorError as error:
                    assert "claim the flavor" in str(error), shown()
            for each in found:
                if each.distribution.startswith("metastore-flavor-bad") or each.name not in (
                    *("fine", "memory", "sqlite", "mysql", "kubeflow", "kubernetes"),
                ):
                    listed += 1
                    outcomes.of(partial(registry.get, each.name), shown)
            if number % 10 == 0:
                statuses = FlavorRegistry.discover().statuses()
                assert all(each.reason or each.flavor for each in statuses), shown()
        _loader._loaded.clear()
        _loader._plugins.clear()
    assert listed > 50
    figures(seed=1, listed=listed, **outcomes.figures())


_RAISES = {
    "SystemExit": "raise SystemExit(0)",
    "exit": "import sys; sys.exit('bye')",
    "BaseException": "raise BaseException('x')",
    "GeneratorExit": "raise GeneratorExit",
    "StopIteration": "raise StopIteration",
    "StopAsyncIteration": "raise StopAsyncIteration",
    "CancelledError": "import asyncio; raise asyncio.CancelledError",
    "RecursionError": "def f(): f()\nf()",
    "MemoryError": "raise MemoryError",
    "AssertionError": "assert False",
    "ImportError": "import no_such_module_at_all",
    "SyntaxError": "def (",
    "NUL": "\0",
    "own": "class E(BaseException): pass\nraise E",
    "no str": "class E(Exception):\n    def __str__(self): raise SystemExit\nraise E",
    "str of another kind": "class E(Exception):\n    def __str__(self): return 3\nraise E",
    "lines": "raise ValueError('\\n\\n\\x1b[2J')",
    "blank lines": "raise ValueError('\\n')",
    "half a character": "raise ValueError('\\ud800')",
    "long": "raise ValueError('x' * 10**6)",
    "group": "raise ExceptionGroup('g', [ValueError()])",
    "notes": "e = ValueError('x')\ne.__notes__ = [3]\nraise e",
    "cause of itself": "e = ValueError('x')\ne.__cause__ = e\nraise e",
    "FlavorError without hint": "from metastore import FlavorError\nraise FlavorError('no')",
    "warning as error": "import warnings\nwarnings.simplefilter('error')\nwarnings.warn('x')",
    "stdout taken": "import sys\nsys.stdout = None",
    "argv taken": "import sys\nsys.argv = []",
    "nothing": "",
    "a hook of another name": "from metastore import hookimpl\n@hookimpl\ndef metastore_x(): pass",
    "a hook with other arguments": (
        "from metastore import hookimpl\n@hookimpl\ndef metastore_flavor(x): pass"
    ),
    "a hook that is none": "from metastore import hookimpl\nmetastore_flavor = hookimpl(3)",
    "a flavor that is none": (
        "from metastore import hookimpl\n@hookimpl\ndef metastore_flavor(): return 3"
    ),
    "a hook that ends": (
        "from metastore import hookimpl\n@hookimpl\ndef metastore_flavor(): raise SystemExit(3)"
    ),
    "a module that is none": "import sys\nsys.modules[__name__] = 3",
    "a module without getattr": (
        "import sys\nclass M:\n    def __getattr__(self, n): raise SystemExit(n)\n"
        "sys.modules[__name__] = M()"
    ),
    "a property that raises": (
        "import sys\nclass M:\n    @property\n    def metastore_flavor(self): raise SystemExit\n"
        "sys.modules[__name__] = M()"
    ),
}


@pytest.mark.parametrize("source", _RAISES.values(), ids=_RAISES.keys())
def test_modules_that_raise(source: str, site: Path) -> None:
    """Whatever a plugin module does when it is imported or asked, its flavor alone is broken."""
    if "ExceptionGroup" in source and sys.version_info < (3, 11):
        pytest.skip("there are no exception groups")
    _write(site, "bad", source)
    stdout, argv = sys.stdout, sys.argv
    import warnings

    try:
        with warnings.catch_warnings(), cpu_limit(20, lambda: source):
            with pytest.raises(FlavorError) as raised:
                metastore.connect("bad://")
            assert "\n" not in str(raised.value)
            assert len(str(raised.value)) < 2000
            statuses = {each.name: each for each in FlavorRegistry.discover().statuses()}
    finally:
        sys.stdout, sys.argv = stdout, argv
    assert statuses["bad"].state is FlavorState.BROKEN
    assert statuses["bad"].reason
    assert statuses["fine"].state is FlavorState.OK
    metastore.connect("memory://").close()


def test_keyboard_interrupt(site: Path) -> None:
    """Ctrl-C while a flavor is opened is the user's; in a list of flavors a module's own is not."""
    _write(site, "bad", "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        metastore.connect("bad://")
    statuses = {each.name: each.state for each in FlavorRegistry.discover().statuses()}
    assert statuses["bad"] is FlavorState.BROKEN
    assert statuses["fine"] is FlavorState.OK


def test_the_command_among_hostile_plugins(site: Path) -> None:
    """With one of each installed, ``flavor list`` and ``--help`` list all, and exit with 0; their
    output has no line of theirs, and no control character.
    """
    for number, source in enumerate(_RAISES.values()):
        _write(site, f"bad{number}", source + "\nprint('I was here')")
    _write(
        site,
        "loud",
        "print('I was here')\nimport os\nos.write(2, b'')\n" + textwrap.dedent(good("loud")),
    )
    environment_path = str(site)
    for arguments in (["flavor", "list", "--json"], ["flavor", "list"], ["--help"]):
        done = subprocess.run(
            [sys.executable, "-m", "metastore", *arguments],
            capture_output=True,
            env={**_environment(), "PYTHONPATH": environment_path},
            check=False,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        assert b"I was here" not in done.stdout
        assert not any(each < 32 and each != 10 for each in done.stdout)
        if "--json" in arguments:
            states = {each["name"]: each["state"] for each in json.loads(done.stdout)}
            assert states["fine"] == states["sqlite"] == states["loud"] == "ok"
            assert len([name for name in states if name.startswith("bad")]) == len(_RAISES)


def _environment() -> dict[str, str]:
    import os

    return dict(os.environ)


def test_the_scan_is_importlibs(site: Path, size: Size, figures: Figures) -> None:
    """Where metadata are right but odd in form, our scan finds what importlib.metadata finds."""
    chance = random.Random(2)
    info = _write(site, "bad", good("bad"))
    compared = 0
    for _ in range(size(100, 5000)):
        lines = [
            chance.choice(("", "# c", "[console_scripts]", "x = y:z", " ", "[other]", "a=b"))
            for _ in range(chance.randint(0, 4))
        ]
        names = chance.sample(("bad", "b2", "b-3", "b4"), chance.randint(1, 3))
        gap = chance.choice((" ", "", "  ", "\t"))
        lines += ["[metastore.flavors]", *(f"{name}{gap}={gap}plugin_bad" for name in names)]
        lines += chance.choice(([], ["", "[z]", "q = r"]))
        ending = chance.choice(("\n", "\r\n"))
        (info / "entry_points.txt").write_bytes(ending.join(lines).encode())
        ours = {(f.name, f.value) for f in find_flavors() if f.distribution.endswith("-bad")}
        theirs = {
            (each.name, each.value)
            for each in importlib.metadata.distribution("metastore-flavor-bad").entry_points
            if each.group == "metastore.flavors"
        }
        assert ours == theirs, lines
        compared += 1
    figures(seed=2, compared=compared)


@pytest.mark.parametrize(
    "source",
    [
        "no.such.module.Class",
        "os.path",
        "os.path.join",
        "metastore.BaseMetadataStore",
        "a\ud800.B",
        "",
        ".",
        "/no/file.py:Class",
        "/etc/passwd:Class",
        "{folder}/exits.py:Class",
        "{folder}/odd.py:Class",
        "{folder}/abstract.py:Class",
        "{folder}/named.py:Class",
        "{folder}/nul.py:Class",
        "{folder}/folder.py:Class",
    ],
)
def test_sources_that_are_none(source: str, tmp_path: Path) -> None:
    """A registered class that is none, or whose module does harm, is an error of ours."""
    from metastore.plugins._sources import checked_source, load_source

    base = "from metastore import MemoryMetadataStore, BaseMetadataStore\n"
    (tmp_path / "exits.py").write_text("raise SystemExit(0)")
    (tmp_path / "odd.py").write_text("class E(Exception):\n    def __str__(self): 1/0\nraise E")
    (tmp_path / "abstract.py").write_text(base + "class Class(BaseMetadataStore): FLAVOR = 'a'")
    (tmp_path / "named.py").write_text(base + "class Class(MemoryMetadataStore): FLAVOR = '../x'")
    (tmp_path / "nul.py").write_bytes(b"\0")
    (tmp_path / "folder.py").mkdir()
    with pytest.raises(MetastoreError):
        load_source(checked_source(source.format(folder=tmp_path)))
