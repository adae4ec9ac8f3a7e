"""Phase two: a flavor that is needed is loaded, alone, whatever it does."""

from __future__ import annotations

import importlib
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from types import ModuleType

import pluggy

from metastore.errors import FlavorError, Offender
from metastore.plugins._finder import FoundFlavor
from metastore.plugins._flavor import INTERFACE_VERSION, Flavor
from metastore.plugins._hooks import plugin_manager
from metastore.plugins._told import told

__all__ = ["IncompatibleFlavorError", "broken", "load", "load_in_time", "load_module"]

_loaded: dict[FoundFlavor, Flavor] = {}
_plugins: dict[FoundFlavor, pluggy.PluginManager] = {}


class IncompatibleFlavorError(FlavorError):
    """The flavor was written for another version of the interface."""


def load(found: FoundFlavor) -> Flavor:
    """The descriptor of an installed flavor; only its own plugin module is imported, and once.

    Raises
    ------
    IncompatibleFlavorError
        It was written for another version of core.
    FlavorError
        It does not load, or contradicts its entry point.
    """
    flavor = _loaded.get(found)
    if flavor is None:
        flavor = _loaded[found] = _checked(found, load_module(found))
    return flavor


def load_in_time(found: FoundFlavor, seconds: float = 2.0) -> Flavor:
    """As `load`, for who only wants to look: gives up on what takes longer than that.

    The import goes on in its thread, which ends with the process at the latest.

    Raises
    ------
    FlavorError
        As for `load`; or it takes too long.
    """
    if found in _loaded:
        return _loaded[found]
    outcome: list[Flavor | BaseException] = []

    def run() -> None:
        try:
            outcome.append(load(found))
        except BaseException as error:  # noqa: BLE001 - raised below
            outcome.append(error)

    stdout = sys.stdout
    thread = threading.Thread(target=run, name=f"loads flavor {found.name}", daemon=True)
    thread.start()
    thread.join(seconds)
    # It may still be at work, and have turned stdout away.
    sys.stdout = stdout
    if not outcome:
        raise FlavorError(
            f"the flavor {found.name!r} of {found.distribution} {found.version} takes longer than "
            f"{seconds:g} seconds to load",
            hint="it may work all the same where it is used; tell its authors",
            offender=Offender("flavor", name=found.name),
        )
    if isinstance(outcome[0], KeyboardInterrupt):
        # Not the user's, which goes to the main thread.
        raise broken(found, f"KeyboardInterrupt, while loading {found.value}")
    if isinstance(outcome[0], BaseException):
        raise outcome[0]
    return outcome[0]


def load_module(found: FoundFlavor) -> pluggy.PluginManager:
    """A plugin manager with the plugin module of an installed flavor, and nothing else.

    Raises
    ------
    FlavorError
        The module does not load, or its hooks are none.
    """
    manager = _plugins.get(found)
    if manager is None:
        manager = plugin_manager()
        with _whatever_it_does(found):
            module: ModuleType = importlib.import_module(found.value.partition(":")[0])
            manager.register(module, name=found.name)
            manager.check_pending()
        _plugins[found] = manager
    return manager


def _checked(found: FoundFlavor, manager: pluggy.PluginManager) -> Flavor:
    with _whatever_it_does(found):
        descriptors = manager.hook.metastore_flavor()
    if len(descriptors) != 1 or not isinstance(descriptors[0], Flavor):
        raise broken(found, f"{found.value} returns no Flavor from metastore_flavor()")
    flavor: Flavor = descriptors[0]
    if flavor.name != found.name:
        raise broken(found, f"its entry point calls it {found.name!r}, its Flavor {flavor.name!r}")
    if flavor.interface_version != INTERFACE_VERSION:
        is_newer = flavor.interface_version > INTERFACE_VERSION
        raise IncompatibleFlavorError(
            f"the flavor {found.name!r} of {found.distribution} {found.version} is for interface "
            f"version {flavor.interface_version}, this core speaks {INTERFACE_VERSION}",
            hint=f"upgrade it: pip install --upgrade "
            f"{'metastore-core' if is_newer else found.distribution}",
            offender=Offender("flavor", name=found.name),
        )
    return flavor


@contextmanager
def _whatever_it_does(found: FoundFlavor) -> Iterator[None]:
    """Turn whatever a stranger's module raises into our error, and keep what it prints apart."""
    try:
        # What it prints must not get between what a command prints.
        with redirect_stdout(sys.stderr):
            yield
    except KeyboardInterrupt:
        raise
    except FlavorError as error:
        # It knows itself why it cannot be used here: a library that this platform lacks.
        raise FlavorError(
            f"the flavor {found.name!r} of {found.distribution} {found.version} cannot be used: "
            f"{error.message}",
            hint=error.hint,
            offender=Offender("flavor", name=found.name),
        ) from error
    except pluggy.PluginValidationError as error:
        raise broken(found, " ".join(str(error).split())) from error
    except ModuleNotFoundError as error:
        raise broken(found, _not_there(found, error)) from error
    # SystemExit included.
    except BaseException as error:
        raise broken(found, f"{told(error)}, while loading {found.value}") from error


def _not_there(found: FoundFlavor, error: ModuleNotFoundError) -> str:
    package = found.value.partition(":")[0].partition(".")[0]
    if (error.name or "").partition(".")[0] != package:
        return f"{error}, while loading {found.value}"
    if found.editable:
        return f"there is no {found.value} in {found.location}, where it was installed as editable"
    return f"it has no module {found.value}"


def broken(found: FoundFlavor, why: str) -> FlavorError:
    """That a flavor cannot be used, and how to be rid of it."""
    return FlavorError(
        f"the flavor {found.name!r} of {found.distribution} {found.version} is broken: {why}",
        hint=f"upgrade it, or be rid of it: pip uninstall {found.distribution}",
        offender=Offender("flavor", name=found.name),
    )
