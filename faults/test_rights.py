"""Files are for whom they should be, under names that nobody can have taken; nothing else runs."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest

import metastore
from metastore import MetastoreError
from metastore.config._kept import keep_secret
from metastore.config._stores import NamedStore, Stores

from .conftest import Figures

_SOURCES = Path(__file__).parents[1]

_UNDER = """
import json, os, sys
os.umask(int(sys.argv[1], 8))
opened = []

def watch(event, arguments):
    if event == "open" and isinstance(arguments[0], (str, bytes)):
        path, mode, flags = arguments
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            opened.append([os.fsdecode(path), flags])

sys.addaudithook(watch)
import metastore
from pathlib import Path
from metastore import transfer
from metastore.cli import cli
from metastore.config._kept import keep_secret
folder = Path(sys.argv[2])
config = Path(os.environ["METASTORE_CONFIG"])
sys.modules["keyring"] = None

def command(*arguments):
    try:
        cli.main(list(arguments), prog_name="metastore")
    except SystemExit as ended:
        assert not ended.code, (arguments, ended.code)

command("store", "register", "prod", "--flavor", "sqlite", "--path", str(folder / "runs.db"))
keep_secret(config.parent, "prod", "password", "x")
with metastore.connect("prod") as store:
    with store.run("p") as run, run.step("s") as step:
        step.output("o", type="T", uri="u")
command("export", "prod", str(folder / "all.jsonl"))
command("export", "prod", str(folder / "all.jsonl.gz"))
command("copy", "prod", f"sqlite:///{folder}/copy.db", "--map", str(folder / "ids.csv"))
command("import", str(folder / "all.jsonl"), f"sqlite:///{folder}/imported.db")
command("store", "use", "prod")
with open(sys.argv[3], "w") as file:
    json.dump(opened, file)
"""


def _under(umask: int, folder: Path) -> list[tuple[str, int]]:
    folder.mkdir()
    answer = folder.with_suffix(".json")
    done = subprocess.run(
        [sys.executable, "-c", _UNDER, f"{umask:o}", str(folder), str(answer)],
        capture_output=True,
        text=True,
        env={
            **os.environ,
            "METASTORE_CONFIG": str(folder / "config" / "config.toml"),
            "XDG_STATE_HOME": str(folder / "state"),
        },
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return [(path, flags) for path, flags in json.loads(answer.read_text())]


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("umask", [0o000, 0o027, 0o077])
def test_rights(umask: int, tmp_path: Path) -> None:
    """Config, secrets, exports, journals and locks are this user's alone whatever the umask; a
    store's files have the rights that the umask leaves, those of its log included.
    """
    folder = tmp_path / "under"
    _under(umask, folder)
    private = [
        *folder.glob("config/config.toml"),
        *folder.glob("config/secrets/*"),
        *folder.glob("all.jsonl*"),
        *folder.glob("state/metastore/copies/*"),
    ]
    assert len(private) >= 6
    for each in (*private, *folder.rglob("*.lock")):
        assert _mode(each) == 0o600, each
    for each in (folder / "config", folder / "config" / "secrets"):
        assert _mode(each) == 0o700, each
    for each in (*folder.glob("*.db*"),):
        assert _mode(each) == 0o644 & ~umask, each
    assert _mode(folder / "ids.csv") == 0o666 & ~umask


def test_temporary_names(tmp_path: Path, figures: Figures) -> None:
    """Whatever is written beside its target first is made anew (O_EXCL), under a name that is
    another one each time; nothing is left of it.
    """
    folders = [tmp_path / "one", tmp_path / "two"]
    opened = [_under(0o022, folder) for folder in folders]
    made: list[set[str]] = []
    for folder, each in zip(folders, opened, strict=True):
        mine = set()
        for path, flags in each:
            if not path.startswith(str(folder)) or not flags & os.O_CREAT:
                continue
            name = path.removeprefix(str(folder))
            if os.path.exists(path):
                continue
            # It is gone: it was a temporary one.
            assert flags & os.O_EXCL, path
            mine.add(name)
        made.append(mine)
    assert len(made[0]) >= 5
    assert made[0] & made[1] == set()
    for folder in folders:
        left = [each.name for each in folder.rglob("*") if re.search(r"\.(new|part)\b", each.name)]
        assert left == []
    figures(temporary=len(made[0]))


def test_no_predictable_names_in_the_sources() -> None:
    """No module makes a file of a name that others can foresee: `mktemp`, ``/tmp``, process ids."""
    found = []
    for path in [*_SOURCES.glob("core/src/**/*.py"), *_SOURCES.glob("plugins/*/src/**/*.py")]:
        text = path.read_text(encoding="utf-8")
        for pattern in (r"\bmktemp\(", r"['\"]/tmp/", r"with_name\([^)]*getpid", r"gettempdir\("):
            found += [f"{path}: {each}" for each in re.findall(pattern, text)]
    assert found == []


def test_links_in_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Links that somebody put where our files come lead nobody's writing elsewhere: the file that
    they lead to is as it was.
    """
    monkeypatch.setitem(sys.modules, "keyring", None)
    victim = tmp_path / "victim"
    victim.write_text("precious")
    victim.chmod(0o644)
    config = Path(os.environ["METASTORE_CONFIG"])
    config.parent.mkdir(parents=True)

    def untouched() -> None:
        assert victim.read_text() == "precious"
        assert _mode(victim) == 0o644

    # A lock that is a link.
    lock = config.with_name(f"{config.name}.lock")
    lock.symlink_to(victim)
    try:
        Stores.of_user().register(NamedStore("a", "sqlite", {"path": "/x"}))
    except MetastoreError:
        pass
    untouched()
    lock.unlink()
    # Names that were foreseen once.
    for name in (f".{config.name}.{os.getpid()}.new", f".{config.name}.new"):
        (config.parent / name).symlink_to(victim)
    Stores.of_user().register(NamedStore("b", "sqlite", {"path": "/x"}))
    untouched()
    # The folder of secrets is a link: it is the user's own, and what is in it is private.
    reference = keep_secret(config.parent, "s", "password", "x")
    assert _mode(Path(reference.removeprefix("file:"))) == 0o600
    # An export over a link replaces the link.
    from metastore import MemoryMetadataStore, transfer

    target = tmp_path / "export.jsonl"
    target.symlink_to(victim)
    with transfer.written_text(target) as file:
        transfer.export(MemoryMetadataStore.open(), file)
    untouched()
    assert not target.is_symlink()
    # And over no file at all.
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(MetastoreError), transfer.written_text(pipe) as file:
        file.write("x")
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_secrets_in_open_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file with a secret is private also where its folder was there before, open to all."""
    monkeypatch.setitem(sys.modules, "keyring", None)
    folder = tmp_path / "open"
    (folder / "secrets").mkdir(parents=True)
    for each in (folder, folder / "secrets"):
        each.chmod(0o777)
    before = os.umask(0)
    try:
        reference = keep_secret(folder, "s", "password", "x")
    finally:
        os.umask(before)
    path = Path(reference.removeprefix("file:"))
    assert _mode(path) == 0o600
    assert [each.name for each in path.parent.iterdir()] == [path.name]


_NEIGHBOURS = (
    *("json.py", "click.py", "metastore.py", "pluggy.py", "tomllib.py", "os.py", "conftest.py"),
    *("setup.py", "sitecustomize.py", "usercustomize.py", "__init__.py", "__main__.py", "other.py"),
)


def test_register_runs_what_it_was_given(tmp_path: Path, figures: Figures) -> None:
    """``flavor register FILE:CLASS`` runs that file and no other that lies beside it: neither
    modules of known names, nor set-up code, nor hooks of the interpreter; nor do later commands.
    """
    folder, marks = tmp_path / "project", tmp_path / "marks"
    folder.mkdir()
    marks.mkdir()

    def marking(name: str, more: str = "") -> str:
        return f"open({str(marks / name)!r}, 'a').write('x')\n{more}"

    for name in _NEIGHBOURS:
        (folder / name).write_text(marking(name))
    (folder / "pyproject.toml").write_text(
        "[build-system]\nrequires = []\nbuild-backend = 'setup'\n"
    )
    (folder / "metastore.toml").write_text("store = 'memory://'\n")
    (folder / "evil.pth").write_text(f"import os; {marking('pth')}")
    store = (
        "from metastore import MemoryMetadataStore\n"
        "class MyStore(MemoryMetadataStore):\n    FLAVOR = 'mine'\n"
    )
    (folder / "mine.py").write_text(marking("mine", store))
    program = Path(sys.executable).with_name("metastore")
    # As it is installed; and with -P, which Python 3.11 has, as a module.
    starts = [[str(program)]] + (
        [[sys.executable, "-P", "-m", "metastore"]] * (sys.version_info >= (3, 11))
    )
    for start in starts:
        for arguments in (
            ["flavor", "register", "mine.py:MyStore"],
            ["flavor", "list"],
            ["flavor", "check", "mine"],
            ["run", "list", "--store", "mine://"],
            ["flavor", "unregister", "mine"],
        ):
            done = subprocess.run(
                [*start, *arguments], cwd=folder, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stderr
            assert {each.name for each in marks.iterdir()} == {"mine"}, arguments
    figures(neighbours=len(_NEIGHBOURS) + 1, commands=5 * len(starts))


def test_reading_makes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands that read, and fail to, make neither a config file, nor a folder, nor a store."""
    monkeypatch.chdir(tmp_path)
    for store in ("sqlite:///x/y.db", "sqlite:///y.db", "nobody", "memory://"):
        try:
            metastore.connect(store, mode="r").close()
        except MetastoreError:
            pass
    assert list(tmp_path.rglob("*")) == []
