"""tools/release.py: what it refuses, and in which words."""

from __future__ import annotations

from pathlib import Path

import pytest

import release

from .repository import make


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What would be built, if it were for the sources; nothing is."""
    asked: list[str] = []
    monkeypatch.setattr(
        release, "check", lambda root, releases, *_, **__: asked.extend(map(str, releases))
    )
    return asked


@pytest.fixture
def refused(built: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Ask for a release that is refused before anything is built; return the sentence."""

    def ask(tag: str, root: Path) -> str:
        assert release.main(["check", tag, str(tmp_path / "dist")], root) == 1
        assert built == []
        sentence = capsys.readouterr().err
        assert sentence.startswith("release: ")
        assert sentence.count("\n") == 1
        return sentence

    return ask


def edit(path: Path, old: str, new: str) -> None:
    """Put one text in the place of another one, which must be there."""
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")


@pytest.mark.parametrize("tag", ["core-v0.1.3", "sqlite-v0.1.0"])
def test_what_agrees_is_built(tag: str, built: list[str], tmp_path: Path) -> None:
    """Where tag and sources agree, the distribution of the tag is built, and no other one."""
    assert release.main(["check", tag, str(tmp_path / "dist")], make(tmp_path)) == 0
    assert built == [tag.replace("-v", " ")]


def test_arguments_are_checked(built: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """A wrong command line ends with status 2, and the right one in words."""
    assert release.main(["check", "core-v0.1.3"]) == 2
    assert "release.py check TAG" in capsys.readouterr().err


@pytest.mark.parametrize(
    "tag", ["v0.1.3", "core-0.1.3", "core", "oracle-v0.1.0", "Core-v0.1.3", ""]
)
def test_a_tag_of_no_pattern_is_refused(tag: str, refused, tmp_path: Path) -> None:
    """The sentence has the tag and all of the patterns."""
    sentence = refused(tag, make(tmp_path))
    assert repr(tag) in sentence
    assert "core-v*, sqlite-v*, mysql-v*, kubeflow-v*, kubernetes-v*" in sentence


def test_a_distribution_that_is_not_there_is_refused(refused, tmp_path: Path) -> None:
    """The sentence says where it would be."""
    assert "no plugins/mysql/pyproject.toml" in refused("mysql-v0.1.0", make(tmp_path))


@pytest.mark.parametrize(
    "version",
    ["0.1.3.dev1", "0.1.3.post1", "0.1.3+here", "1!0.1.3", "0.1.3-rc1", "v0.1.3", "x", ""],
)
def test_a_version_that_nobody_is_offered_is_refused(version: str, refused, tmp_path: Path) -> None:
    """Even where tag and pyproject.toml agree on it; the sentence has versions that are well."""
    sentence = refused(f"core-v{version}", make(tmp_path, version=version))
    assert f"{version!r} is neither a final release nor a pre-release" in sentence


@pytest.mark.parametrize("version", ["1.2", "0.1.3", "0.1.3a1", "0.1.3b2", "0.1.3rc1"])
def test_final_releases_and_prereleases_are_built(
    version: str, built: list[str], tmp_path: Path
) -> None:
    """They are what people are offered."""
    arguments = ["check", f"core-v{version}", str(tmp_path / "dist")]
    assert release.main(arguments, make(tmp_path, version=version)) == 0
    assert built == [f"core {version}"]


def test_a_tag_of_another_version_is_refused(refused, tmp_path: Path) -> None:
    """The sentence has both versions, and where the other one stands."""
    sentence = refused("core-v0.1.4", make(tmp_path))
    assert "'core-v0.1.4' is not of the version 0.1.3 of core/pyproject.toml" in sentence


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("## [0.1.3] - 2026-11-30", "## [0.1.2] - 2026-11-30", "has no section [0.1.3]"),
        ("## [0.1.3] - 2026-11-30", "## 0.1.3 - 2026-11-30", "has no section [0.1.3]"),
        ("- 2026-11-30", "- unreleased", "does not say when 0.1.3 is released"),
        (" - 2026-11-30", "", "does not say when 0.1.3 is released"),
        ("2026-11-30", "2026-11-31", "does not say when 0.1.3 is released"),
        ("- Something.", "Nothing", "says nothing of 0.1.3"),
        ("## [Unreleased]\n", "", "does not begin with the sections ['Unreleased', '0.1.3']"),
        ("## [0.1.3]", "## [0.1.4] - x\n\n- A\n\n## [0.1.3]", "does not begin with the sections"),
        ("[Unreleased]\n", "[Unreleased]\n\n- More.\n", "has entries under [Unreleased]"),
    ],
)
def test_a_changelog_that_does_not_tell_of_it_is_refused(
    old: str, new: str, says: str, refused, tmp_path: Path
) -> None:
    """Its newest section is that of the version, with a date and entries; Unreleased is empty."""
    root = make(tmp_path)
    edit(root / "core/CHANGELOG.md", old, new)
    assert f"core/CHANGELOG.md {says}" in refused("core-v0.1.3", root)


def test_without_a_changelog_there_is_no_release(refused, tmp_path: Path) -> None:
    """The sentence says which file is missing."""
    root = make(tmp_path)
    (root / "core/CHANGELOG.md").unlink()
    assert "there is no core/CHANGELOG.md" in refused("core-v0.1.3", root)


@pytest.mark.parametrize(
    "plugin",
    [
        "    return Flavor(name='sqlite')\n",
        "    return Flavor(name='sqlite', interface_version=INTERFACE_VERSION)\n",
        "    return Flavor(interface_version=1) if posix else metastore.Flavor()\n",
        "    return describe()\n",
    ],
)
def test_an_interface_version_that_is_not_stated_is_refused(
    plugin: str, refused, tmp_path: Path
) -> None:
    """Nor is one that is whatever core is installed."""
    sentence = refused("sqlite-v0.1.0", make(tmp_path, plugin=plugin))
    assert "metastore_flavor_sqlite/plugin.py does not state its interface_version" in sentence


def test_another_interface_version_than_cores_is_refused(refused, tmp_path: Path) -> None:
    """The sentence has both."""
    plugin = "    return Flavor(name='sqlite', interface_version=2)\n"
    sentence = refused("sqlite-v0.1.0", make(tmp_path, plugin=plugin))
    assert "states interface version 2, and metastore-core 0.1.3 speaks 1" in sentence


def test_a_flavor_without_its_entry_point_is_refused(refused, tmp_path: Path) -> None:
    """Nobody would find it."""
    root = make(tmp_path)
    edit(root / "plugins/sqlite/pyproject.toml", "\nsqlite =", "\nlight =")
    assert "no entry point 'sqlite' in the group metastore.flavors" in refused(
        "sqlite-v0.1.0", root
    )


def test_a_core_without_interface_version_is_refused(refused, tmp_path: Path) -> None:
    """There is nothing to compare with."""
    root = make(tmp_path)
    edit(root / "core/src/metastore/plugins/_flavor.py", "INTERFACE_VERSION", "VERSION")
    assert "_flavor.py has no INTERFACE_VERSION" in refused("sqlite-v0.1.0", root)


@pytest.mark.parametrize(
    ("core", "dependency", "wanted"),
    [
        ("0.1.3", "metastore-core", ">=0.1,<0.2"),
        ("0.1.3", "metastore-core>=0.1", ">=0.1,<0.2"),
        ("0.1.3", "metastore-core<0.2", ">=0.1,<0.2"),
        ("0.1.3", "metastore-core>=0.1,<0.3", ">=0.1,<0.2"),
        ("0.1.3", "metastore-core>=0.1,<0.1.9", ">=0.1,<0.2"),
        ("0.1.3", "metastore-core>=0.1,<=0.2", ">=0.1,<0.2"),
        ("0.1.3", "metastore-core>=0.1,<0.2,!=0.1.2", ">=0.1,<0.2"),
        ("0.1.3", "metastore-core>=0.1.4,<0.2", ">=0.1,<0.2"),
        ("0.1.3", "metastore-core==0.1.3", ">=0.1,<0.2"),
        ("0.1.3", "metastore-core==0.1.*", ">=0.1,<0.2"),
        ("0.1.3", "metastore-core>=0.1,<0.2,<0.1.5", ">=0.1,<0.2"),
        ("0.1.3", "metastore-core>=0.1,<0.2; python_version > '3'", ">=0.1,<0.2"),
        ("0.1.3", "metastore-core @ file:///core.whl", ">=0.1,<0.2"),
        ("0.1.3", "metastore", ">=0.1,<0.2"),
        ("0.1.3", 'metastore-core>=0.1,<0.2", "metastore_core[sql]>=0.1', ">=0.1,<0.2"),
        ("0.2.0", "metastore-core>=0.1,<0.2", ">=0.2,<0.3"),
        ("0.2.0", "metastore-core>=0.1,<0.3", ">=0.2,<0.3"),
        ("0.2.0rc1", "metastore-core>=0.2,<0.3", ">=0.2.0rc1,<0.3"),
        ("1.4.0", "metastore-core>=1.4,<1.5", ">=1,<2"),
        ("1.4.0", "metastore-core>=0.9,<2", ">=1,<2"),
    ],
)
def test_a_core_that_may_speak_another_interface_is_refused(
    core: str, dependency: str, wanted: str, refused, tmp_path: Path
) -> None:
    """The sentence says what the flavor depends on, and what it has to depend on."""
    sentence = refused("sqlite-v0.1.0", make(tmp_path, version=core, dependency=dependency))
    assert "plugins/sqlite/pyproject.toml depends on" in sentence
    assert f"is spoken by metastore-core{wanted}\n" in sentence


@pytest.mark.parametrize(
    ("core", "dependency"),
    [
        ("0.1.3", "metastore-core[sql]>=0.1,<0.2"),
        ("0.1.3", "Metastore_Core >=0.1.2, <0.2.0"),
        ("0.2.0rc1", "metastore-core>=0.2.0rc1,<0.3"),
        ("0.10.0", "metastore-core>=0.10,<0.11"),
        ("1.4.0", "metastore-core>=1.2,<2"),
    ],
)
def test_all_versions_that_speak_the_interface_may_be_asked_for(
    core: str, dependency: str, built: list[str], tmp_path: Path
) -> None:
    """From the first one on, or from one that has what the flavor needs."""
    root = make(tmp_path, version=core, dependency=dependency)
    assert release.main(["check", "sqlite-v0.1.0", str(tmp_path / "dist")], root) == 0
    assert built == ["sqlite 0.1.0"]


def test_kubeflow_is_not_released_untried(
    refused, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where ml-metadata has no wheels, nobody can see whether the flavor works."""
    root = make(tmp_path)
    (root / "plugins/sqlite").rename(root / "plugins/kubeflow")
    edit(root / "plugins/kubeflow/pyproject.toml", "\nsqlite =", "\nkubeflow =")
    monkeypatch.setattr(release, "HAS_MLMD", False)
    assert "where ml-metadata has wheels" in refused("kubeflow-v0.1.0", root)


def test_unreleased_changes_stand_for_the_version(built: list[str], tmp_path: Path) -> None:
    """Between releases there is no section of the next one; the rest must hold all the same."""
    root = make(tmp_path)
    edit(root / "core/CHANGELOG.md", "## [0.1.3] - 2026-11-30\n", "")
    assert release.main(["check", "--unreleased", str(tmp_path / "dist")], root) == 0
    assert built == ["core 0.1.3", "sqlite 0.1.0"]


@pytest.mark.parametrize(
    ("path", "old", "new"),
    [
        ("core/CHANGELOG.md", "[Unreleased]", "[Coming]"),
        ("core/pyproject.toml", 'version = "0.1.3"', 'version = "0.1.3.dev0"'),
        ("plugins/sqlite/pyproject.toml", "<0.2", "<0.3"),
    ],
)
def test_unreleased_changes_are_refused_for_the_same_reasons(
    path: str, old: str, new: str, refused, tmp_path: Path
) -> None:
    """What would be in the way of the next release is seen before it."""
    root = make(tmp_path)
    edit(root / path, old, new)
    refused("--unreleased", root)


def test_a_folder_with_other_files_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """They would be published too."""
    (tmp_path / "dist").mkdir()
    (tmp_path / "dist" / "metastore_core-0.1.2.tar.gz").touch()
    assert release.main(["check", "core-v0.1.3", str(tmp_path / "dist")], make(tmp_path)) == 1
    assert "is not empty: what is in it would be published too" in capsys.readouterr().err


@pytest.mark.slow
def test_what_is_published_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The folder has the sdist and the wheel of the flavor alone, and the last lines name them."""
    dist = tmp_path / "dist"
    assert release.main(["check", "sqlite-v0.1.0", str(dist)], make(tmp_path)) == 0
    names = [f"metastore_flavor_sqlite-0.1.0{end}" for end in (".tar.gz", "-py3-none-any.whl")]
    assert {path.name for path in dist.iterdir()} == set(names)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" sha256:")[0] for line in lines[-2:]] == [
        f"sqlite 0.1.0: to be published: {name}" for name in names
    ]
    assert "$ metastore flavor check sqlite" in lines


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "old", "new", "says"),
    [
        ("core/pyproject.toml", 'readme = "README.md"\n', "", "-m twine check --strict"),
        ("core/pyproject.toml", 'where = ["src"]', 'where = ["."]', "-m check_wheel_contents"),
        ("core/src/metastore/__init__.py", '"ok"}', '"broken"}', "says {'memory': 'broken'}"),
        ("core/src/metastore/__init__.py", 'print("ok")', "sys.exit(3)", "flavor check memory"),
    ],
)
def test_what_the_judges_refuse_is_refused(
    path: str, old: str, new: str, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The line says which judge it was."""
    root = make(tmp_path)
    edit(root / path, old, new)
    assert release.main(["check", "core-v0.1.3", str(tmp_path / "dist")], root) == 1
    said = capsys.readouterr()
    assert says in said.err.splitlines()[0]
    assert "to be published" not in said.out
