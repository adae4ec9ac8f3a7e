"""Check a release of one of our distributions, and build the files that are published.

Usage: release.py check TAG FOLDER
       release.py check --unreleased FOLDER

FOLDER is empty or not there yet. Afterwards it has what is to be published, and nothing else.
`--unreleased` asks whether every distribution could be released from this commit with the version
that it has; FOLDER has a folder for each then.

A release is refused unless
- its tag is NAME-vVERSION, of a distribution that is here; VERSION is a final release or a
  pre-release of PEP 440, and that of its pyproject.toml;
- its CHANGELOG.md begins with the section Unreleased, which is empty, and that of the version,
  which has a date and entries (with `--unreleased`: begins with the section Unreleased);
- a flavor's plugin module states the interface version of core, as a number, and the flavor depends
  on the versions of metastore-core that speak it;
- sdist and wheel can be built, and neither twine nor check-wheel-contents finds fault with them;
- the wheel, installed in a new virtual environment, beside core's if it is a flavor's, is listed by
  `metastore flavor list`, and `metastore flavor check` finds nothing wrong.

Ends with status 0, or with 1 and a line that says what is wrong.
"""

from __future__ import annotations

import ast
import hashlib
import re
import sys
import tempfile
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from _building import (
    CORE,
    HAS_MLMD,
    KUBEFLOW,
    KUBERNETES,
    MYSQL,
    ROOT,
    SQLITE,
    CheckError,
    Distribution,
    build,
    copy,
    expect_flavors,
    new_environment,
    only,
    run,
    say,
    use,
)

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

DISTRIBUTIONS = {
    "core": CORE,
    "sqlite": SQLITE,
    "mysql": MYSQL,
    "kubeflow": KUBEFLOW,
    "kubernetes": KUBERNETES,
}
"""What is released, by what its tags begin with."""

BASES = {"kubernetes": ("core", "mysql")}
"""What of ours a distribution builds on, where that is more than core."""

PATTERNS = [f"{name}-v*" for name in DISTRIBUTIONS]
"""The tags that release something; .github/workflows/publish.yml is started by the same."""


class Release(NamedTuple):
    """A distribution whose sources say that it can be released."""

    name: str
    version: str

    @property
    def which(self) -> Distribution:
        """The distribution."""
        return DISTRIBUTIONS[self.name]

    def __str__(self) -> str:
        """Its name and version, for lines of output."""
        return f"{self.name} {self.version}"


def main(arguments: list[str], root: Path = ROOT) -> int:
    """Check a release, or all that there could be; return the exit status."""
    try:
        match arguments:
            case ["check", "--unreleased", folder]:
                names = [name for name in DISTRIBUTIONS if manifest(root, name).is_file()]
                check(root, [unreleased(root, name) for name in names], Path(folder), apart=True)
            case ["check", tag, folder]:
                check(root, [tagged(root, tag)], Path(folder), apart=False)
            case _:
                print("usage: release.py check TAG|--unreleased FOLDER", file=sys.stderr)
                return 2
    except CheckError as error:
        print(f"release: {error}", file=sys.stderr)
        return 1
    return 0


def tagged(root: Path, tag: str) -> Release:
    """The release that a tag names, as the sources state it."""
    name, separator, version = tag.partition("-v")
    if not separator or name not in DISTRIBUTIONS:
        raise CheckError(f"the tag {tag!r} releases nothing: tags are {', '.join(PATTERNS)}")
    path = manifest(root, name)
    if not path.is_file():
        raise CheckError(f"there is nothing to release as {name!r}: no {at(root, path)}")
    check_version(version)
    stated = project(path).get("version")
    if stated != version:
        raise CheckError(f"the tag {tag!r} is not of the version {stated} of {at(root, path)}")
    check_changelog(root, name, version)
    check_interface(root, name)
    if DISTRIBUTIONS[name] == KUBEFLOW and not HAS_MLMD:
        raise CheckError(
            "kubeflow is released where ml-metadata has wheels, on Linux x86_64 with Python 3.11 or"
            " older: nowhere else can the flavor be checked"
        )
    say(f"{name} {version}: tag, version, changelog and dependencies agree")
    return Release(name, version)


def unreleased(root: Path, name: str) -> Release:
    """The release that could be made now: its changes are those under Unreleased."""
    version = str(project(manifest(root, name)).get("version"))
    check_version(version)
    check_changelog(root, name, None)
    check_interface(root, name)
    say(f"{name} {version}: version, changelog and dependencies agree")
    return Release(name, version)


def check_version(version: str) -> None:
    """A version is one that people are offered, and written as it is in the names of files."""
    try:
        parsed = Version(version)
        is_well = str(parsed) == version and not (
            parsed.is_devrelease or parsed.is_postrelease or parsed.local or parsed.epoch
        )
    except InvalidVersion:
        is_well = False
    if not is_well:
        raise CheckError(
            f"{version!r} is neither a final release nor a pre-release of PEP 440:"
            " write 1.2.3, or 1.2.3a1, 1.2.3b1, 1.2.3rc1 for what comes before it"
        )


class Section(NamedTuple):
    """One section of a changelog."""

    title: str
    date: str | None
    has_entries: bool


def sections(text: str) -> list[Section]:
    """The sections of a changelog, in its order."""
    heads = list(re.finditer(r"^## \[(.+?)\](?: - (.*?))?\s*$", text, re.MULTILINE))
    ends = [*(head.start() for head in heads[1:]), len(text)]
    return [
        Section(head[1], head[2], "\n- " in text[head.end() : end])
        for head, end in zip(heads, ends, strict=True)
    ]


def check_changelog(root: Path, name: str, version: str | None) -> None:
    """The changelog says of a version when and what, and leaves nothing for later; of none, it has
    the place for what is to come.
    """
    path = root / DISTRIBUTIONS[name].folder / "CHANGELOG.md"
    where = at(root, path)
    if not path.is_file():
        raise CheckError(f"there is no {where}")
    found = sections(path.read_text(encoding="utf-8"))
    titles = [section.title for section in found]
    if version is not None and version not in titles:
        raise CheckError(
            f"{where} has no section [{version}]: move what stands under [Unreleased] to it"
        )
    first = ["Unreleased"] if version is None else ["Unreleased", version]
    if titles[: len(first)] != first:
        raise CheckError(f"{where} does not begin with the sections {first}, in this order")
    if version is None:
        return
    kept, told = found[:2]
    if kept.has_entries:
        raise CheckError(f"{where} has entries under [Unreleased]: move them to [{version}]")
    if not told.has_entries:
        raise CheckError(f"{where} says nothing of {version}")
    try:
        date.fromisoformat(told.date or "")
    except ValueError:
        raise CheckError(
            f"{where} does not say when {version} is released: write ## [{version}] - YYYY-MM-DD"
        ) from None


def check_interface(root: Path, name: str) -> None:
    """A flavor states the interface version of core, and depends on the versions that speak it."""
    if DISTRIBUTIONS[name] == CORE:
        return
    told = project(manifest(root, name))
    module = told.get("entry-points", {}).get("metastore.flavors", {}).get(name)
    where = at(root, manifest(root, name))
    if module is None:
        raise CheckError(f"{where} has no entry point {name!r} in the group metastore.flavors")
    path = root / DISTRIBUTIONS[name].folder / "src" / f"{module.replace('.', '/')}.py"
    stated = stated_interface(path)
    if stated is None:
        raise CheckError(
            f"{at(root, path)} does not state its interface_version as a number: it would be that"
            " of whatever core is installed"
        )
    check_version(str(project(manifest(root, "core")).get("version")))
    core = Version(project(manifest(root, "core"))["version"])
    spoken = core_interface(root)
    if stated != spoken:
        raise CheckError(
            f"{at(root, path)} states interface version {stated}, and metastore-core {core} speaks"
            f" {spoken}"
        )
    found = [
        each
        for each in map(Requirement, told.get("dependencies", []))
        if canonicalize_name(each.name) == "metastore-core"
    ]
    if len(found) != 1 or not is_pinned(found[0], core):
        first, end = series(core)
        # A pre-release comes before what it is the pre-release of: `>=0.2` leaves 0.2.0rc1 out.
        first = first if Version(first) <= core else str(core)
        raise CheckError(
            f"{where} depends on {' and '.join(map(str, found)) or 'no metastore-core'}, and"
            f" interface version {spoken} is spoken by metastore-core>={first},<{end}"
        )


def stated_interface(path: Path) -> int | None:
    """The interface version that a plugin module writes down, or none.

    Read, not asked for: a descriptor does not tell what was written from what was left out.
    """
    stated = {
        next((each.value for each in node.keywords if each.arg == "interface_version"), None)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == "Flavor"
    }
    match list(stated):
        case [ast.Constant(value=int(number))]:
            return number
        case _:
            return None


def core_interface(root: Path) -> int:
    """The interface version that core speaks."""
    path = root / CORE.folder / "src" / "metastore" / "plugins" / "_flavor.py"
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        match node:
            case ast.Assign(
                targets=[ast.Name(id="INTERFACE_VERSION")], value=ast.Constant(value=int(number))
            ):
                return number
    raise CheckError(f"{at(root, path)} has no INTERFACE_VERSION")


def series(core: Version) -> tuple[str, str]:
    """The versions of core that are sure to speak one interface: the first, and the first after
    them; docs/plugins.md, "Compatibility".
    """
    if core.major:
        return f"{core.major}", f"{core.major + 1}"
    return f"0.{core.minor}", f"0.{core.minor + 1}"


def is_pinned(requirement: Requirement, core: Version) -> bool:
    """Whether a flavor asks for this core, and for no version that may speak another interface."""
    bounds = sorted((each.operator, each.version) for each in requirement.specifier)
    if requirement.marker or requirement.url or [bound[0] for bound in bounds] != ["<", ">="]:
        return False
    end, first = (Version(bound[1]) for bound in bounds)
    return series(first) == series(core) and first <= core and end == Version(series(core)[1])


def check(root: Path, releases: list[Release], folder: Path, *, apart: bool) -> None:
    """Build and try releases, and say which files are to be published."""
    if folder.is_dir() and any(folder.iterdir()):
        raise CheckError(f"{folder} is not empty: what is in it would be published too")
    with tempfile.TemporaryDirectory() as scratch:
        wheels: dict[str, Path] = {}
        for release in releases:
            out = folder / release.name if apart else folder
            say(f"{release}: build the sdist, and the wheel from it")
            build(copy(release.which, Path(scratch, release.name, "source"), root), out)
            files = [only(out, "*.tar.gz"), only(out, "*.whl")]
            check_files(release, files)
            wheels[release.name] = files[1]
            for name in BASES.get(release.name, ("core",)):
                if name not in wheels:
                    say(f"{release}: build {name}, to try it with")
                    source = copy(DISTRIBUTIONS[name], Path(scratch, "base", name), root)
                    build(source, Path(scratch, "wheels", name))
                    wheels[name] = only(Path(scratch, "wheels", name), "*.whl")
            check_use(release, wheels, Path(scratch, release.name))
            for file in files:
                digest = hashlib.sha256(file.read_bytes()).hexdigest()
                say(f"{release}: to be published: {file.name} sha256:{digest}")


def check_files(release: Release, files: list[Path]) -> None:
    """Let the judges of sdists and wheels look at what was built."""
    paths = [str(file) for file in files]
    say(f"{release}: twine check --strict")
    run([sys.executable, "-m", "twine", "check", "--strict", *paths])
    say(f"{release}: check-wheel-contents")
    run([sys.executable, "-m", "check_wheel_contents", paths[1]])


def check_use(release: Release, wheels: dict[str, Path], folder: Path) -> None:
    """Install it and what it builds on in a new environment, and let the command look at it."""
    flavor = "memory" if release.which == CORE else release.name
    names = {release.name, *BASES.get(release.name, ("core",))}
    paths = sorted(str(wheels[name]) for name in names)
    say(f"{release}: install {' and '.join(Path(path).name for path in paths)}")
    python, metastore, home = new_environment(folder)
    run([python, "-m", "pip", "install", "-q", *paths])
    run([python, "-m", "pip", "check"])
    if release.which == KUBEFLOW and not HAS_MLMD:
        say(f"{release}: not tried any further: ml-metadata has no wheel for this machine")
        return
    listed = use([metastore, "flavor", "list", "--json"], home)
    expect_flavors(listed, {"memory", *names} - {"core"})
    use([metastore, "flavor", "check", flavor], home)


def manifest(root: Path, name: str) -> Path:
    """Where the pyproject.toml of a distribution is, if there is one."""
    return root / DISTRIBUTIONS[name].folder / "pyproject.toml"


def project(path: Path) -> dict[str, Any]:
    """The table `project` of a pyproject.toml."""
    told: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))["project"]
    return told


def at(root: Path, path: Path) -> str:
    """A path as people write it."""
    return path.relative_to(root).as_posix()


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
