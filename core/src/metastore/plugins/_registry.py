"""Which flavors there are, and what state each is in."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from metastore.display import harmless
from metastore.errors import FlavorError, FlavorNotFoundError, InvalidError, Offender
from metastore.plugins._finder import FoundFlavor, find_flavors, normalized
from metastore.plugins._flavor import Flavor
from metastore.plugins._loader import IncompatibleFlavorError, load, load_in_time
from metastore.plugins._sources import flavor_of_class, load_source, registered_here

__all__ = ["FlavorRegistry", "FlavorState", "FlavorStatus"]

FLAVORS_VARIABLE = "METASTORE_FLAVORS"


class FlavorState(Enum):
    """Whether a flavor can be used."""

    OK = "ok"
    REGISTERED = "registered"
    """By its source, for this user, or in code; it can be used."""
    INCOMPATIBLE = "incompatible"
    """It was written for another version of the interface."""
    CONFLICT = "conflict"
    """Several distributions claim its name, and the user has not said which one is meant."""
    BROKEN = "broken"
    """It does not load."""
    DISABLED = "disabled"
    """`METASTORE_FLAVORS` leaves it out, or the user prefers another distribution's."""


@dataclass(frozen=True)
class FlavorStatus:
    """A flavor, and what state it is in."""

    name: str
    state: FlavorState
    found: FoundFlavor | None
    """Its entry point; None for one that was registered."""
    source: str | None
    """Where its class is, for one that was registered by its source."""
    flavor: Flavor | None
    """Its descriptor, where it was loaded and is usable."""
    reason: str | None = None
    """Why it cannot be used, and what to do."""


class FlavorRegistry:
    """The flavors of this process.

    Parameters
    ----------
    found:
        What is installed.
    sources:
        By name, the classes that the user has registered.
    preferred:
        By name, the distribution that is meant where several claim it.
    allowed:
        The names that may be loaded; None for all.
    """

    def __init__(
        self,
        found: Sequence[FoundFlavor],
        *,
        sources: Mapping[str, str] | None = None,
        preferred: Mapping[str, str] | None = None,
        allowed: frozenset[str] | None = None,
    ) -> None:
        self.found = list(found)
        self.sources = dict(sources or {})
        self.preferred = dict(preferred or {})
        self.allowed = allowed

    @classmethod
    def discover(
        cls,
        *,
        sources: Mapping[str, str] | None = None,
        preferred: Mapping[str, str] | None = None,
    ) -> FlavorRegistry:
        """What is installed, within what the environment variable `METASTORE_FLAVORS` allows."""
        text = os.environ.get(FLAVORS_VARIABLE)
        allowed = None if text is None else frozenset(map(str.strip, text.split(","))) - {""}
        return cls(find_flavors(), sources=sources, preferred=preferred, allowed=allowed)

    @property
    def names(self) -> list[str]:
        """All names, sorted."""
        return sorted({*(each.name for each in self.found), *self.sources, *registered_here()})

    def get(self, name: str) -> Flavor:
        """The flavor of that name; nothing of any other one is imported.

        Raises
        ------
        FlavorNotFoundError
            There is none.
        FlavorError
            It cannot be used; the error says why, and what to do.
        """
        if name not in self.names:
            raise self._not_found(name)
        if self.allowed is not None and name not in self.allowed:
            raise FlavorError(
                f"{FLAVORS_VARIABLE} leaves the flavor {name!r} out",
                hint=f"add it: {FLAVORS_VARIABLE}={','.join(sorted({*self.allowed, name}))}",
                offender=Offender("flavor", name=name),
            )
        if name in registered_here():
            return registered_here()[name]
        found, source = self._candidates(name)
        if len(found) + (source is not None) > 1:
            raise self._conflict(name)
        if found:
            return load(found[0])
        if source is not None:
            return _load_source(name, source)
        raise self._not_found(name)

    def is_unique(self, name: str) -> bool:
        """Whether one flavor alone has that name, so that no setting is needed to tell."""
        here = name in registered_here()
        return here or sum(each.name == name for each in self.found) + (name in self.sources) == 1

    def plugins(self) -> list[FoundFlavor]:
        """The entry points whose plugin modules may be loaded for hooks, without conflicts."""
        names = dict.fromkeys(each.name for each in self.found)
        candidates = [self._candidates(name) for name in names if self._is_allowed(name)]
        return [found[0] for found, source in candidates if len(found) == 1 and source is None]

    def knowing_secrets(self, scheme: str) -> FoundFlavor | None:
        """The first flavor that declares the scheme; those that do not load are passed over."""
        for each in self.plugins():
            try:
                if scheme in load(each).secret_schemes:
                    return each
            except FlavorError:
                continue
        return None

    def statuses(self) -> list[FlavorStatus]:
        """Every flavor, loaded where that is needed to know its state."""
        statuses = [
            *(self._of_code(flavor) for flavor in registered_here().values()),
            *(self._of_source(name, source) for name, source in self.sources.items()),
            *(self._of_found(each) for each in self.found),
        ]
        return sorted(statuses, key=lambda each: (each.name, str(each.found), str(each.source)))

    def _is_allowed(self, name: str) -> bool:
        return self.allowed is None or name in self.allowed

    def _candidates(self, name: str) -> tuple[list[FoundFlavor], str | None]:
        """The entry points and the source of a name; where one is preferred, that one alone."""
        found = [each for each in self.found if each.name == name]
        source = self.sources.get(name)
        wanted = self.preferred.get(name)
        if wanted is None:
            return found, source
        if wanted == SOURCE:
            return [], source
        return [each for each in found if normalized(each.distribution) == normalized(wanted)], None

    def _of_code(self, flavor: Flavor) -> FlavorStatus:
        return FlavorStatus(flavor.name, FlavorState.REGISTERED, None, "in code", flavor)

    def _of_source(self, name: str, source: str) -> FlavorStatus:
        state, reason = self._state_unloaded(name, source)
        flavor = None
        if state is FlavorState.OK:
            state = FlavorState.REGISTERED
            try:
                flavor = _load_source(name, source)
            except FlavorError as error:
                state, reason = FlavorState.BROKEN, str(error)
        return FlavorStatus(name, state, None, source, flavor, reason)

    def _of_found(self, found: FoundFlavor) -> FlavorStatus:
        state, reason = self._state_unloaded(found.name, found)
        flavor = None
        if state is FlavorState.OK:
            try:
                flavor = load_in_time(found)
            except IncompatibleFlavorError as error:
                state, reason = FlavorState.INCOMPATIBLE, str(error)
            except FlavorError as error:
                state, reason = FlavorState.BROKEN, str(error)
        return FlavorStatus(found.name, state, found, None, flavor, reason)

    def _state_unloaded(
        self, name: str, which: FoundFlavor | str
    ) -> tuple[FlavorState, str | None]:
        """What is known without loading: whether something else stands in the way."""
        if not self._is_allowed(name):
            return FlavorState.DISABLED, f"{FLAVORS_VARIABLE} leaves it out"
        if name in registered_here():
            return FlavorState.DISABLED, "one of this name was registered in code"
        found, source = self._candidates(name)
        if len(found) + (source is not None) > 1:
            return FlavorState.CONFLICT, str(self._conflict(name))
        if which not in found and which != source:
            return FlavorState.DISABLED, f"{self.preferred[name]!r} is preferred for {name!r}"
        return FlavorState.OK, None

    def _conflict(self, name: str) -> FlavorError:
        found, source = self._candidates(name)
        owners = [f"{each.distribution} ({each.location})" for each in found]
        if source is not None:
            owners.append(f"the registered {source}")
        hint = (
            f"say which one is meant: 'metastore flavor prefer {name} DISTRIBUTION'; or uninstall "
            "the other"
        )
        return FlavorError(
            f"{len(owners)} claim the flavor {name!r}, so none of them is used: "
            f"{' and '.join(owners)}",
            hint=hint,
            offender=Offender("flavor", name=name),
        )

    def _not_found(self, name: str) -> FlavorNotFoundError:
        near = difflib.get_close_matches(name, self.names, n=1)
        driver = name.partition("+")[0]
        wanted = self.preferred.get(name)
        if wanted is not None and any(each.name == name for each in self.found):
            hint = f"{wanted!r} is preferred for it and gone: 'metastore flavor prefer {name} ...'"
        elif driver != name:
            hint = f"write {driver}://..., without the driver"
        elif near:
            hint = f"did you mean {near[0]}://...?"
        else:
            wanted = (
                f"metastore-flavor-{name}" if harmless(name) == repr(str(name)) else "its flavor"
            )
            hint = f"pip install {wanted}, if there is one"
        return FlavorNotFoundError(
            f"the flavor {harmless(name)} is not installed "
            f"(installed: {', '.join(self.names) or 'none'})",
            hint=hint,
            offender=Offender("flavor", name=harmless(name).strip("'")),
        )


SOURCE = "source"
"""What stands for a registered class where a distribution would be preferred."""


def _load_source(name: str, source: str) -> Flavor:
    try:
        found = load_source(source)
    except InvalidError as error:
        raise FlavorError(error.message, hint=error.hint, offender=error.offender) from error
    if name != found.FLAVOR:
        raise FlavorError(
            f"{source} is registered as {name!r}, and calls itself {found.FLAVOR!r}",
            hint=f"'metastore flavor unregister {name}', and register it anew",
            offender=Offender("flavor", name=name),
        )
    return flavor_of_class(found)
