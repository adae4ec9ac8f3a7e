"""Named stores: what the user's config file keeps of them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from metastore.config._file import ConfigFile, section, table_of
from metastore.display import harmless
from metastore.errors import AlreadyExistsError, InvalidError, NotFoundError, Offender
from metastore.plugins._config import FlavorConfig
from metastore.plugins._secret import Secret

__all__ = ["NamedStore", "Stores", "checked_name"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


@dataclass(frozen=True)
class NamedStore:
    """A store as it is registered."""

    name: str
    flavor: str
    fields: Mapping[str, Any]
    """Of the flavor's config, as the file has them: of secrets the references."""

    def config(self, config_class: type[FlavorConfig]) -> FlavorConfig:
        """The config, with what is not registered from the environment or by default.

        Raises
        ------
        InvalidError
            A field is wrong; a secret is no reference.
        """
        fields = dict(self.fields)
        for setting in config_class.settings(self.flavor):
            if setting.is_secret and setting.name in fields:
                fields[setting.name] = self._secret(setting.name, fields[setting.name])
        try:
            return config_class.checked(self.flavor, fields)
        except InvalidError as error:
            of_environment = error.hint and error.hint.startswith("correct the variable")
            raise InvalidError(
                f"store {self.name!r}: {error.message}",
                hint=error.hint
                if of_environment
                else f"correct it: 'metastore store update {self.name} ...'",
                offender=Offender("store", name=self.name),
            ) from error

    def _secret(self, field: str, reference: Any) -> Secret:
        try:
            return Secret.of_reference(reference)
        except (InvalidError, TypeError):
            raise InvalidError(
                f"{field!r} of store {self.name!r} is a secret, and must be a reference",
                hint="write env:NAME, file:/path or keyring:service/user into the config file",
                offender=Offender("store", name=self.name, property=field),
            ) from None


class Stores:
    """The named stores of one config file.

    Every method raises `InvalidError` or `StorageError` where the file cannot be used; see
    `ConfigFile`.
    """

    def __init__(self, file: ConfigFile) -> None:
        self.file = file

    @classmethod
    def of_user(cls) -> Stores:
        """Those of the user's config file."""
        return cls(ConfigFile.of_user())

    def all(self) -> list[NamedStore]:
        """Every store, by name."""
        tables = table_of(self.file.read(), self.file.path, "stores")
        return [self._named(name, tables[name]) for name in sorted(tables)]

    def get(self, name: str) -> NamedStore:
        """The store of that name; raises `NotFoundError`."""
        tables = table_of(self.file.read(), self.file.path, "stores")
        if name not in tables:
            raise self._not_found(name, tables)
        return self._named(str(name), tables[name])

    @property
    def active(self) -> str | None:
        """What `metastore store use` named: the store that is meant where none is."""
        found = self.file.read().get("active")
        if found is None:
            return None
        if not isinstance(found, str) or not found:
            raise InvalidError(
                f"'active' in {self.file.path} is no name of a store",
                hint="correct it by hand, or with 'metastore store use NAME'",
                offender=Offender("configuration", name=str(self.file.path)),
            )
        return found

    def register(self, store: NamedStore, typed: Iterable[str] = ()) -> None:
        """Add a store; raises `AlreadyExistsError`.  `typed`: references that are its own."""
        checked_name(store.name)
        with self.file.changed() as document:
            _note_typed(document, typed)
            stores = section(document, "stores")
            if store.name in stores:
                raise self._taken(store.name)
            stores[store.name] = _table(store)

    def update(
        self,
        name: str,
        fields: Mapping[str, Any],
        unset: set[str] | None = None,
        typed: Iterable[str] = (),
    ) -> None:
        """Set fields of a store, and remove others; raises `NotFoundError`."""
        with self.file.changed() as document:
            table = self._table_of(document, name)
            _note_typed(document, typed)
            for field in unset or ():
                table.pop(field, None)
            for field, value in fields.items():
                table[field] = _plain(value)

    def rename(self, name: str, new: str) -> None:
        """Give a store another name; raises `NotFoundError`, `AlreadyExistsError`."""
        checked_name(new)
        with self.file.changed() as document:
            table = self._table_of(document, name)
            stores = section(document, "stores")
            if new in stores:
                raise self._taken(new)
            stores[new] = table
            del stores[name]
            if document.get("active") == name:
                document["active"] = new

    def remove(self, name: str) -> None:
        """Forget a store, whose data stay as they are; raises `NotFoundError`."""
        with self.file.changed() as document:
            self._table_of(document, name)
            del section(document, "stores")[name]
            if document.get("active") == name:
                del document["active"]

    def use(self, name: str | None) -> None:
        """Make a store the one that is meant where none is named; None: none of them."""
        with self.file.changed() as document:
            if name is not None:
                self._table_of(document, name)
                document["active"] = name
            else:
                document.pop("active", None)

    def forget_typed(self) -> list[str]:
        """Strike out the references that were typed for this file's stores, and that none uses any
        more; these references.
        """
        if _TYPED not in self.file.read():
            return []
        with self.file.changed() as document:
            # Under the lock: another process may be at the same, or have begun to use one.
            tables = section(document, "stores").values()
            used = [
                value for table in tables if isinstance(table, Mapping) for value in table.values()
            ]
            typed = _typed_of(document)
            unused = [each for each in typed if each not in used]
            document.pop(_TYPED, None)
            _note_typed(document, [each for each in typed if each in used])
        return unused

    def _named(self, name: str, table: Any) -> NamedStore:
        flavor = table.get("flavor") if isinstance(table, Mapping) else None
        if not isinstance(flavor, str):
            raise InvalidError(
                f"store {name!r} in {self.file.path} has no flavor",
                hint=f'write flavor = "..." below [stores.{name}]',
                offender=Offender("store", name=name),
            )
        fields = {key: value for key, value in table.items() if key != "flavor"}
        return NamedStore(name, flavor, fields)

    def _table_of(self, document: MutableMapping[str, Any], name: str) -> MutableMapping[str, Any]:
        stores = section(document, "stores")
        if name not in stores:
            raise self._not_found(name, stores)
        table: MutableMapping[str, Any] = stores[name]
        self._named(name, table)
        return table

    def _not_found(self, name: str, known: Mapping[str, Any]) -> NotFoundError:
        near = difflib.get_close_matches(name, known, n=1)
        names = f"there are {', '.join(sorted(known))}" if known else "none is registered"
        return NotFoundError(
            f"no store is called {harmless(name)}",
            hint=f"did you mean {near[0]}?"
            if near
            else f"{names}; 'metastore store register' adds",
            offender=Offender("store", name=harmless(name)),
        )

    @staticmethod
    def _taken(name: str) -> AlreadyExistsError:
        return AlreadyExistsError(
            f"there is a store {name!r} already",
            hint=f"take another name, or change it with 'metastore store update {name}'",
            offender=Offender("store", name=name),
        )


_TYPED = "typed_secrets"
"""The references of secrets that were typed for stores of this file, and are its to delete."""


def _typed_of(document: Mapping[str, Any]) -> list[str]:
    known = document.get(_TYPED, [])
    return [str(each) for each in known] if isinstance(known, list) else []


def _note_typed(document: MutableMapping[str, Any], references: Iterable[str]) -> None:
    every = [*_typed_of(document), *references]
    if every:
        document[_TYPED] = every


def checked_name(name: str) -> str:
    """The name of a store, if it is one; raises `InvalidError`."""
    if not _NAME.fullmatch(name):
        raise InvalidError(
            f"{harmless(name)} is no name of a store",
            hint="use letters, digits, - and _, at most 64, and a letter or digit first",
            offender=Offender("store", name=harmless(name)),
        )
    return name


def _table(store: NamedStore) -> MutableMapping[str, Any]:
    import tomlkit

    table = tomlkit.table()
    table["flavor"] = store.flavor
    for field, value in store.fields.items():
        table[field] = _plain(value)
    return table


def _plain(value: Any) -> Any:
    """A value as TOML has it; of a secret its reference."""
    if isinstance(value, Secret):
        if value.reference is None:
            raise InvalidError(
                "a secret is never written into the config file",
                hint="give a reference: env:NAME, file:/path or keyring:service/user",
            )
        return value.reference
    if isinstance(value, PurePath):
        return str(value)
    if value is None:
        raise InvalidError("a setting without a value cannot be kept", hint="leave it out")
    if isinstance(value, tuple | list | set | frozenset):
        return [_plain(each) for each in value]
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    return value
