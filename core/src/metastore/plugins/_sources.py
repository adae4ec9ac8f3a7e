"""Flavors that are in no distribution: a class in a module or in a file, or given in code."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import os
import re
import sys
from typing import TYPE_CHECKING, Any

from metastore.errors import FlavorError, InvalidError, Offender
from metastore.plugins._flavor import Flavor
from metastore.plugins._told import told

if TYPE_CHECKING:
    from metastore.base import BaseMetadataStore

__all__ = ["checked_source", "flavor_of_class", "load_source", "register_flavor", "registered_here"]

FLAVOR_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")

_here: dict[str, Flavor] = {}


def register_flavor(flavor: Flavor) -> None:
    """Make a flavor known to this process that no installed distribution provides.

    For applications that are frozen, and have lost what is known of distributions; it goes before
    an installed flavor of its name.

    Raises
    ------
    InvalidError
        It is no `Flavor`, or its name is none.
    """
    if not isinstance(flavor, Flavor):
        raise InvalidError(
            f"a {type(flavor).__name__} cannot be registered", hint="give a metastore.Flavor"
        )
    if not FLAVOR_NAME.fullmatch(flavor.name):
        raise _no_name(flavor.name)
    _here[flavor.name] = flavor


def registered_here() -> dict[str, Flavor]:
    """What `register_flavor` was given in this process, by name."""
    return _here


def checked_source(source: str) -> str:
    """A source as it is kept: ``package.module.Class``, or the absolute path ``file.py:Class``.

    Raises
    ------
    InvalidError
        It is neither.
    """
    path, colon, name = source.rpartition(":")
    if colon and path.endswith(".py") and name.isidentifier():
        return f"{os.path.abspath(path)}:{name}"
    if "." in source and all(map(str.isidentifier, source.split("."))):
        return source
    raise InvalidError(
        f"{source!r} names no class",
        hint="write package.module.Class or path/to/file.py:Class",
        offender=Offender("flavor", name=source),
    )


def load_source(source: str) -> type[BaseMetadataStore]:
    """The store class that a source names.

    Raises
    ------
    FlavorError
        It cannot be imported, is not there, or is no store class with a name.
    """
    from metastore.base import BaseMetadataStore

    offender = Offender("flavor", name=source)
    path, is_file, name = source.rpartition(":")
    if not is_file:
        path, _, name = source.rpartition(".")
    try:
        module = _of_file(path) if is_file else importlib.import_module(path)
    except KeyboardInterrupt:
        raise
    # A stranger's module may raise anything at all, SystemExit included.
    except BaseException as error:
        raise FlavorError(
            f"{path} cannot be imported ({told(error)})",
            hint="correct it; what is registered, 'metastore flavor unregister' forgets",
            offender=offender,
        ) from error
    found = getattr(module, name, None)
    if not (isinstance(found, type) and issubclass(found, BaseMetadataStore)):
        raise FlavorError(
            f"{path} has no class {name!r} that is a BaseMetadataStore",
            hint="name a class that derives from metastore.BaseMetadataStore",
            offender=offender,
        )
    if inspect.isabstract(found):
        missing = ", ".join(sorted(found.__abstractmethods__))
        raise FlavorError(
            f"{name} lacks methods that every flavor has: {missing}",
            hint="docs/writing-a-flavor.md says what each does",
            offender=offender,
        )
    flavor = getattr(found, "FLAVOR", None)
    if not isinstance(flavor, str) or not FLAVOR_NAME.fullmatch(flavor):
        raise _no_name(flavor)
    return found


def flavor_of_class(store_class: type[BaseMetadataStore]) -> Flavor:
    """The descriptor of a class that comes without one."""
    where = f"{store_class.__module__}:{store_class.__qualname__}"
    config: Any = store_class.CONFIG
    return Flavor(
        store_class.FLAVOR,
        (inspect.getdoc(store_class) or "").partition("\n")[0],
        config=f"{config.__module__}:{config.__qualname__}"
        if config
        else "metastore.plugins._config:FlavorConfig",
        store=where,
        capabilities=store_class.CAPABILITIES,
    )


def _of_file(path: str) -> Any:
    digest = hashlib.sha256(path.encode()).hexdigest()[:16]
    name = f"metastore_source_{digest}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None or not os.path.isfile(path):
        raise FileNotFoundError(f"there is no file {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _no_name(name: object) -> InvalidError:
    return InvalidError(
        f"{name!r} is no name of a flavor",
        hint="it is made of lower-case letters and digits, with single hyphens between them",
        offender=Offender("flavor", name=str(name)),
    )
