"""The classes that a flavor's descriptor names, imported when they are needed."""

from __future__ import annotations

import importlib
import inspect
from typing import Any

from metastore.base import BaseMetadataStore
from metastore.errors import FlavorError, Offender
from metastore.plugins._config import FlavorConfig
from metastore.plugins._flavor import Flavor

__all__ = ["config_class", "store_class"]


def config_class(flavor: Flavor) -> type[FlavorConfig]:
    """Import the config class of a flavor.

    Raises
    ------
    FlavorError
        It cannot be imported, or is none.
    """
    found: type[FlavorConfig] = _load(flavor, flavor.config, FlavorConfig)
    if "flavor" in found.model_fields:
        raise _broken(flavor, f"{flavor.config} has a field 'flavor', which says something else")
    return found


def store_class(flavor: Flavor) -> type[BaseMetadataStore]:
    """Import the store class of a flavor, and with it the driver.

    Raises
    ------
    FlavorError
        It cannot be imported, is no store class, or contradicts the descriptor.
    """
    found: type[BaseMetadataStore] = _load(flavor, flavor.store, BaseMetadataStore)
    if getattr(found, "FLAVOR", None) != flavor.name:
        raise _broken(flavor, f"{flavor.store} has another FLAVOR than {flavor.name!r}")
    if inspect.isabstract(found):
        missing = ", ".join(sorted(found.__abstractmethods__))
        raise _broken(flavor, f"{flavor.store} lacks methods: {missing}")
    return found


def _load(flavor: Flavor, where: str, base: type[Any]) -> Any:
    module, _, name = where.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except KeyboardInterrupt:
        raise
    # A stranger's module may raise anything at all when it is imported.
    except BaseException as error:
        said = f"{type(error).__name__}: {error}".splitlines()[0][:200]
        raise _broken(flavor, f"{where} cannot be imported ({said})") from error
    if not (isinstance(found, type) and issubclass(found, base)):
        raise _broken(flavor, f"{where} is no {base.__name__}")
    return found


def _broken(flavor: Flavor, why: str) -> FlavorError:
    return FlavorError(
        f"the flavor {flavor.name!r} is broken: {why}",
        hint="upgrade or uninstall it; 'metastore flavor list' says of which distribution it is",
        offender=Offender("flavor", name=flavor.name),
    )
