"""Section 14 of the contract done wrong: plugin modules, configs and secrets."""

from __future__ import annotations

import logging
import subprocess
import sys
from typing import Any

from pydantic import ConfigDict, Field

from metastore.base import OpenMode
from metastore.batch import Batch, WrittenBatch
from metastore.errors import NotFoundError, OpenError
from metastore.model import AnyNode
from metastore.plugins._config import StoreURL, without_environment
from metastore.query import NodeQuery

from ._cellar import Cellar, CellarConfig, CellarStore
from ._mutant import Plugin, mutant

# The plugin module.


@mutant("test_my_entry_point_loads", flavor=Cellar)
class HasNoSummary(Plugin):
    """Describes itself with no word."""

    summary = " "


@mutant("test_my_entry_point_loads", flavor=Cellar)
class HasALongSummary(Plugin):
    """Describes itself in two lines."""

    summary = "A cellar\nwith shelves"


@mutant("test_the_descriptor_has_the_capabilities", flavor=Cellar)
class DescribesOtherCapabilities(Plugin):
    """Says in its descriptor that it filters, and in its class that it does not."""

    capabilities = "snapshot=True, native_filter=True"


@mutant("test_the_plugin_module_is_light", flavor=Cellar)
class ImportsItsStore(Plugin):
    """Imports its store, and with it the driver, to name the class."""

    before = "import tests.mutants._cellar"


class OtherCellarStore(CellarStore):
    """What the next mutant's descriptor names."""


@mutant("test_the_descriptor_names_the_classes", flavor=Cellar)
class NamesAnotherClass(Plugin):
    """Names a class that is not that of its stores."""

    store = "tests.mutants._flavor:OtherCellarStore"


@mutant("test_the_descriptor_names_the_classes", flavor=Cellar)
class NamesNoConfig(Plugin):
    """Names a class of settings that is none."""

    config = "tests.mutants._cellar:CellarStore"


# The config.


@mutant("test_settings_are_described", flavor=Cellar)
class HasAFieldWithoutDescription(CellarConfig):
    """Has a setting that says nothing of itself."""

    depth: int = 3


@mutant("test_unknown_settings_are_refused", flavor=Cellar)
class AllowsOthers(CellarConfig):
    """Keeps settings that it does not know."""

    model_config = ConfigDict(extra="allow")


@mutant("test_unknown_settings_are_refused", flavor=Cellar)
class IgnoresOthers(CellarConfig):
    """Passes over settings that it does not know."""

    model_config = ConfigDict(extra="ignore")


@mutant("test_configs_do_not_change", flavor=Cellar)
class Thaws(CellarConfig):
    """Can be changed when a store is open."""

    model_config = ConfigDict(frozen=False)


@mutant("test_unknown_options_of_a_url_are_refused", flavor=Cellar)
class IgnoresOptions(CellarConfig):
    """Takes from a URL's options those that it knows."""

    @classmethod
    def from_url(cls, url: StoreURL) -> Any:
        known = {key: text for key, text in url.options.items() if key in cls.model_fields}
        return super().from_url(url._replace(options=known))


@mutant("test_settings_come_from_the_environment", flavor=Cellar)
class IgnoresTheEnvironment(CellarConfig):
    """Makes itself of what it is given, and of nothing else."""

    @classmethod
    def checked(cls, flavor: str, fields: Any) -> Any:
        with without_environment():
            return super().checked(flavor, fields)


@mutant("test_settings_come_from_the_environment", flavor=Cellar)
class TakesNoTexts(CellarConfig):
    """Has a setting that is an integer, and that no text can give."""

    shelves: int = Field(3, description="How many shelves it has.", strict=True)


@mutant("test_reading_creates_nothing")
class MakesForReading(CellarStore):
    """Makes a new store where one is opened for reading."""

    @classmethod
    def makes(cls, mode: OpenMode, *, create: bool) -> bool:
        return create


@mutant("test_reading_creates_nothing")
class MakesWhatItMustNot(CellarStore):
    """Passes over create=False."""

    @classmethod
    def makes(cls, mode: OpenMode, *, create: bool) -> bool:
        return mode == "rw"


# Secrets.


@mutant("test_secrets_are_not_shown")
class ShowsItInItsRepr(CellarStore):
    """Shows the connection string, password included, as its text."""

    def __repr__(self) -> str:
        return f"<CellarStore cellar://keeper:{self._config.password.reveal()}@localhost>"


@mutant("test_secrets_are_not_shown")
class ShowsItInItsLocation(CellarStore):
    """Says where it is by the connection string, password included."""

    @property
    def location(self) -> str:
        return f"{super().location}?password={self._config.password.reveal()}"


@mutant("test_secrets_are_not_shown")
class LogsIt(CellarStore):
    """Logs what it sends to the backend, which is asked with the password."""

    def write(self, batch: Batch) -> WrittenBatch:
        logging.getLogger("cellar").debug("key=%s", self._config.password.reveal())
        return super().write(batch)


@mutant("test_secrets_are_not_shown")
class PrintsIt(CellarStore):
    """Prints where it connects to."""

    def write(self, batch: Batch) -> WrittenBatch:
        sys.stdout.write(f"cellar://keeper:{self._config.password.reveal()}@localhost\n")
        return super().write(batch)


@mutant("test_secrets_are_not_shown")
class StartsAClientWithIt(CellarStore):
    """Starts a client with the password among its arguments, where every user sees it."""

    _client: subprocess.Popen[bytes] | None = None

    def write(self, batch: Batch) -> WrittenBatch:
        if self._client is None and self._tables is not None and self._mode == "rw":
            # It waits for its input to end.
            command = ["sh", "-c", "echo; read x", "client", self._config.password.reveal()]
            pipe = subprocess.PIPE
            self._client = subprocess.Popen(command, stdin=pipe, stdout=pipe)
            assert self._client.stdout is not None
            # Just begun, its arguments may not be there to be seen yet.
            self._client.stdout.readline()
        return super().write(batch)

    def release(self) -> None:
        if self._client is not None:
            self._client.communicate()


@mutant("test_secrets_are_not_shown", flavor=Cellar)
class KeepsItsText(CellarConfig):
    """Keeps the password's text beside the secret, to have it at hand."""

    text: str = Field("", description="What it makes of the password.")

    def model_post_init(self, context: Any) -> None:
        # A pydantic model that is frozen is not frozen for itself.
        object.__setattr__(self, "text", self.password.reveal())


@mutant("test_errors_show_no_secret")
class SaysItInErrors(CellarStore):
    """Raises errors that say the connection string."""

    def write(self, batch: Batch) -> WrittenBatch:
        try:
            return super().write(batch)
        except NotFoundError as error:
            text = f"{error.message} (cellar://keeper:{self._config.password.reveal()}@localhost)"
            raise NotFoundError(text, offender=error.offender) from None


@mutant("test_errors_show_no_secret")
class SaysItInCauses(CellarStore):
    """Raises errors whose cause, the driver's, says the connection string."""

    def write(self, batch: Batch) -> WrittenBatch:
        try:
            return super().write(batch)
        except NotFoundError as error:
            raise error from KeyError(f"password={self._config.password.reveal()}")


@mutant("test_errors_show_no_secret")
class HasItInAVariable(CellarStore):
    """Has the password in a variable while others are called."""

    def write(self, batch: Batch) -> WrittenBatch:
        password = self._config.password.reveal()
        written = super().write(batch)
        assert password
        return written


@mutant("test_errors_show_no_secret")
class ReadsWithItInAVariable(CellarStore):
    """Has the headers of its requests, password included, in a variable while it reads."""

    def read_nodes(self, query: NodeQuery) -> list[AnyNode]:
        headers = {"Authorization": self._config.password.reveal()}
        found = super().read_nodes(query)
        assert headers
        return found


@mutant("test_a_wrong_secret_is_not_shown")
class WrongIsAPermissionError(CellarStore):
    """Lets out what its driver raises for a wrong password."""

    @classmethod
    def check(cls, config: Any, place: Any) -> None:
        if config.password != place.password:
            raise PermissionError("authentication failed")


@mutant("test_a_wrong_secret_is_not_shown")
class WrongIsNotFound(CellarStore):
    """Says of a wrong password that the server was not found."""

    @classmethod
    def check(cls, config: Any, place: Any) -> None:
        if config.password != place.password:
            raise NotFoundError("there is no such account")


@mutant("test_a_wrong_secret_is_not_shown")
class SaysTheWrongOne(CellarStore):
    """Says which password was wrong."""

    @classmethod
    def check(cls, config: Any, place: Any) -> None:
        if config.password != place.password:
            raise OpenError(f"the password {config.password.reveal()!r} is wrong")


@mutant("test_a_wrong_secret_is_not_shown")
class KeepsTheDriversError(CellarStore):
    """Keeps the driver's error as the cause, in whose text the password is."""

    @classmethod
    def check(cls, config: Any, place: Any) -> None:
        try:
            if config.password != place.password:
                raise PermissionError(f"user=keeper password={config.password.reveal()}")
        except PermissionError as error:
            raise OpenError("the password is wrong") from error


@mutant("test_a_wrong_secret_is_not_shown")
class HasTheWrongOneInAVariable(CellarStore):
    """Has the password in a variable of its own when it is refused."""

    @classmethod
    def check(cls, config: Any, place: Any) -> None:
        password: str = config.password.reveal()
        if password != place.password.reveal():
            raise OpenError("the password is wrong")
