"""Phase two: a flavor that is needed is loaded, alone, whatever it does."""

from __future__ import annotations

import difflib
import importlib
from typing import Any

from metastore.errors import FlavorError, FlavorNotFoundError, Offender
from metastore.plugins._finder import FoundFlavor, find_flavors
from metastore.plugins._flavor import INTERFACE_VERSION, Flavor
from metastore.plugins._hooks import plugin_manager

__all__ = ["load_flavor"]

_loaded: dict[FoundFlavor, Flavor] = {}


def load_flavor(name: str) -> Flavor:
    """The descriptor of an installed flavor; only its own plugin module is imported.

    Raises
    ------
    FlavorNotFoundError
        No installed distribution provides it.
    FlavorError
        It does not load, was written for another version of core, or two distributions claim the
        name.
    """
    flavors = find_flavors()
    claims = [each for each in flavors if each.name == name]
    if not claims:
        raise _not_found(name, flavors)
    if len(claims) > 1:
        owners = " and ".join(each.distribution for each in claims)
        raise FlavorError(
            f"two distributions claim the flavor {name!r}: {owners}",
            hint=f"uninstall one of them (pip uninstall {claims[-1].distribution})",
            offender=Offender("flavor", name=name),
        )
    found = claims[0]
    if found not in _loaded:
        _loaded[found] = _load(found)
    return _loaded[found]


def _load(found: FoundFlavor) -> Flavor:
    manager = plugin_manager()
    try:
        plugin: Any = importlib.import_module(found.value)
        manager.register(plugin, name=found.name)
        manager.check_pending()
        descriptors = manager.hook.metastore_flavor()
    # A stranger's module may raise anything at all, SystemExit included.
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise _broken(found, f"{type(error).__name__} while loading {found.value}") from error
    if len(descriptors) != 1 or not isinstance(descriptors[0], Flavor):
        raise _broken(found, f"{found.value} returns no Flavor from metastore_flavor()")
    flavor: Flavor = descriptors[0]
    if flavor.name != found.name:
        raise _broken(found, f"its descriptor calls it {flavor.name!r}")
    if flavor.interface_version != INTERFACE_VERSION:
        side = (
            "metastore-core"
            if flavor.interface_version > INTERFACE_VERSION
            else (found.distribution)
        )
        raise FlavorError(
            f"the flavor {found.name!r} of {found.distribution} {found.version} is for interface "
            f"version {flavor.interface_version}, this core speaks {INTERFACE_VERSION}",
            hint=f"upgrade {side}",
            offender=Offender("flavor", name=found.name),
        )
    return flavor


def _broken(found: FoundFlavor, why: str) -> FlavorError:
    return FlavorError(
        f"the flavor {found.name!r} of {found.distribution} {found.version} is broken: {why}",
        hint=f"upgrade it, or be rid of it: pip uninstall {found.distribution}",
        offender=Offender("flavor", name=found.name),
    )


def _not_found(name: str, flavors: list[FoundFlavor]) -> FlavorNotFoundError:
    names = sorted({each.name for each in flavors})
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"pip install metastore-flavor-{name}, if there is one"
    driver = name.partition("+")[0]
    if driver != name:
        hint = f"write {driver}://..., without the driver"
    elif near:
        hint = f"did you mean {near[0]}://...?"
    installed = ", ".join(names) or "none"
    return FlavorNotFoundError(
        f"the flavor {name!r} is not installed (installed: {installed})",
        hint=hint,
        offender=Offender("flavor", name=name),
    )
