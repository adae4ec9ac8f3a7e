"""What the user's config file says of flavors: which are registered, and which are preferred."""

from __future__ import annotations

from metastore.config._file import ConfigFile, section, table_of
from metastore.errors import InvalidError, NotFoundError, Offender
from metastore.plugins._registry import SOURCE, FlavorRegistry

__all__ = ["FlavorSettings", "registry_of"]


def registry_of(file: ConfigFile) -> FlavorRegistry:
    """The flavors that are installed, with what the user's config file says of flavors."""
    content = file.read()
    tables = [table_of(content, file.path, "flavors", key) for key in ("registered", "preferred")]
    for name, value in (pair for table in tables for pair in table.items()):
        if not isinstance(value, str):
            raise InvalidError(
                f"what {file.path} says of the flavor {name!r} is no text",
                hint="correct it by hand; nothing was changed",
                offender=Offender("configuration", name=str(file.path)),
            )
    return FlavorRegistry.discover(sources=tables[0], preferred=tables[1])


class FlavorSettings:
    """What a config file says of flavors."""

    def __init__(self, file: ConfigFile) -> None:
        self.file = file

    def register(self, name: str, source: str) -> None:
        """Keep the source of a flavor; another one of that name is replaced."""
        self._set("registered", name, source)

    def unregister(self, name: str) -> None:
        """Forget it; raises `NotFoundError`."""
        with self.file.changed() as document:
            flavors = section(document, "flavors")
            registered = section(flavors, "registered")
            if name not in registered:
                raise NotFoundError(
                    f"no flavor {name!r} is registered by its source",
                    hint="'metastore flavor list' shows which are",
                    offender=Offender("flavor", name=name),
                )
            del registered[name]
            if section(flavors, "preferred").get(name) == SOURCE:
                del flavors["preferred"][name]

    def prefer(self, name: str, owner: str | None) -> None:
        """Say whose flavor is meant where several claim the name; None: nobody's."""
        if owner is not None:
            self._set("preferred", name, owner)
            return
        with self.file.changed() as document:
            section(section(document, "flavors"), "preferred").pop(name, None)

    def _set(self, table: str, name: str, value: str) -> None:
        with self.file.changed() as document:
            section(section(document, "flavors"), table)[name] = value
