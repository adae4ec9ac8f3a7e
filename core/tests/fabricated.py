"""Distributions with a flavor, made in a temporary folder."""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from metastore import INTERFACE_VERSION
from metastore.plugins import _loader

__all__ = ["PLUGIN", "Install", "good", "install", "write_distribution"]

Install = Callable[..., Path]

PLUGIN = "plugin_metastore_flavor_demo"
GOOD = """
    from metastore import Flavor, hookimpl

    @hookimpl
    def metastore_flavor():
        return Flavor(
            name={name!r},
            summary="A test",
            config="metastore.plugins._memory_config:MemoryConfig",
            store="metastore.memory:MemoryMetadataStore",
            interface_version={version},
        )
"""


def good(name: str, version: int = INTERFACE_VERSION) -> str:
    """A plugin module that does as it should."""
    return GOOD.format(name=name, version=version)


def write_distribution(
    site: Path, distribution: str, name: str, module: str, version: str = "1.0"
) -> Path:
    """The metadata of a distribution, whose entry point `name` leads to a module."""
    info = site / f"{distribution.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Name: {distribution}\nVersion: {version}\n")
    (info / "entry_points.txt").write_text(f"[metastore.flavors]\n{name} = {module}\n")
    return info


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Fabricate a distribution with one flavor; returns the folder that it stands in."""

    def install(
        name: str,
        source: str | None = None,
        *,
        distribution: str | None = None,
        folder: str = "site",
        version: str = "1.0",
        editable: str | None = None,
    ) -> Path:
        distribution = distribution or f"metastore-flavor-{name}"
        module = "plugin_" + distribution.replace("-", "_")
        site = tmp_path / folder
        info = write_distribution(site, distribution, name, module, version)
        (site / f"{module}.py").write_text(
            textwrap.dedent(good(name) if source is None else source)
        )
        if editable is not None:
            (info / "direct_url.json").write_text(
                json.dumps({"url": Path(editable).as_uri(), "dir_info": {"editable": True}})
            )
            (site / f"{module}.py").unlink()
        if str(site) not in sys.path:
            monkeypatch.syspath_prepend(str(site))
        return site

    modules = set(sys.modules)
    yield install
    for module in set(sys.modules) - modules:
        if module.startswith("plugin_"):
            del sys.modules[module]
    _loader._loaded.clear()
    _loader._plugins.clear()
