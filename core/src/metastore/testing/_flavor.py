"""Section 14 of the contract: the entry point, the descriptor, the config, and secrets."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from pydantic import ValidationError

from metastore.base import BaseMetadataStore
from metastore.batch import Batch
from metastore.errors import ClosedError, InvalidError, MetastoreError, NotFoundError, OpenError
from metastore.plugins._classes import config_class, store_class
from metastore.plugins._config import FlavorConfig, Setting, StoreURL
from metastore.plugins._flavor import Flavor
from metastore.plugins._registry import FlavorRegistry
from metastore.plugins._secret import Secret
from metastore.testing._base import (
    ARTIFACT,
    ContractBase,
    MakeStore,
    Reopen,
    ids,
    prepare,
    put,
    whole_text,
)
from metastore.testing._opens import Opens

_CANARY = "canary-8c5d1f0a-never-to-be-seen"


class PluginContract(ContractBase):
    """The flavor is found by its entry point, and describes itself truly."""

    @pytest.fixture
    def flavor(self, store: BaseMetadataStore) -> Flavor:
        """The descriptor of the flavor under test, found as users find it."""
        return FlavorRegistry.discover().get(store.FLAVOR)

    def test_my_entry_point_loads(self, flavor: Flavor, store: BaseMetadataStore) -> None:
        """The entry point loads, and its descriptor has the flavor's name and a summary. [14.1]

        On failure: install the distribution (``pip install -e .``), and install it anew when
        pyproject.toml changed.  ``metastore flavor list`` says what is wrong with it; the entry
        point of the group ``metastore.flavors``, `Flavor.name` and `FLAVOR` are one name.
        """
        assert flavor.name == type(store).FLAVOR
        assert flavor.summary.strip() == flavor.summary != ""
        assert "\n" not in flavor.summary

    def test_the_descriptor_names_the_classes(
        self, flavor: Flavor, store: BaseMetadataStore
    ) -> None:
        """The descriptor leads to this store class and to a config class. [14.1]

        On failure: `Flavor.store` and `Flavor.config` are texts "package.module:Class"; the store
        class must be the one whose stores `make_store` gives.
        """
        assert isinstance(store, store_class(flavor))
        assert issubclass(config_class(flavor), FlavorConfig)

    def test_the_descriptor_has_the_capabilities(
        self, flavor: Flavor, store: BaseMetadataStore
    ) -> None:
        """Descriptor and class declare the same capabilities. [11.1, 14.1]

        On failure: `Flavor.capabilities` is what tools ask without importing the store; write in
        both the same `Capabilities(...)`.
        """
        assert flavor.capabilities == store_class(flavor).CAPABILITIES

    def test_the_plugin_module_is_light(self, flavor: Flavor) -> None:
        """To describe the flavor, neither its store nor its config is imported. [14.2]

        On failure: the plugin module is imported for ``metastore flavor list`` and ``--help``.
        Name the classes as text; import drivers where they are used, and nothing of them in the
        package's ``__init__.py``.
        """
        heavy = {flavor.store.partition(":")[0], flavor.config.partition(":")[0]}
        code = (
            "import json, sys\n"
            "from metastore.plugins._registry import FlavorRegistry\n"
            f"FlavorRegistry.discover().get({flavor.name!r})\n"
            "print(json.dumps(sorted(sys.modules)))"
        )
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert heavy & {*json.loads(done.stdout)} == set()


class ConfigContract(ContractBase):
    """Settings are typed, checked and described; a store is made only where it may be."""

    @pytest.fixture
    def config(self, store: BaseMetadataStore, opens: Opens) -> FlavorConfig:
        """What the store was opened with."""
        config = opens.config_of(store)
        if not isinstance(config, FlavorConfig):
            pytest.skip(f"{type(store).__name__} is opened without a FlavorConfig")
        return config

    @pytest.fixture
    def settings(self, config: FlavorConfig, store: BaseMetadataStore) -> list[Setting]:
        """Its fields."""
        return config.settings(store.FLAVOR)

    def test_settings_are_described(self, settings: list[Setting]) -> None:
        """Each setting says in a sentence what it is for. [14.3]

        On failure: give the field ``Field(description=...)``: it is the help of its option and its
        line in ``metastore flavor show``.
        """
        assert [each.name for each in settings if not each.description.strip()] == []

    def test_unknown_settings_are_refused(
        self, config: FlavorConfig, store: BaseMetadataStore
    ) -> None:
        """A setting that the flavor does not have is InvalidError, which names it. [14.3]

        On failure: keep ``model_config`` of `FlavorConfig`: do not set ``extra="allow"``.
        """
        with pytest.raises(InvalidError, match="no_such_setting"):
            type(config).checked(store.FLAVOR, {"no_such_setting": "1"})

    def test_unknown_options_of_a_url_are_refused(
        self,
        config: FlavorConfig,
        settings: list[Setting],
        store: BaseMetadataStore,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """An option of a URL that the flavor does not know is InvalidError. [14.4]

        On failure: `from_url` hands all of ``url.options`` to `checked`, which knows the fields.
        """
        # No location has them, and without them a config may be refused for that alone.
        for each in settings:
            if isinstance(secret := getattr(config, each.name), Secret):
                monkeypatch.setenv(each.variable, secret.reveal())
        parsed = StoreURL.parse(store.location)
        url = parsed._replace(options={**parsed.options, "no_such_option": "1"})
        with pytest.raises(InvalidError):
            type(config).from_url(url)

    def test_configs_do_not_change(self, config: FlavorConfig, settings: list[Setting]) -> None:
        """A config is frozen. [14.3]

        On failure: keep ``frozen=True`` of `FlavorConfig`; a store that learns something about its
        backend keeps that for itself.
        """
        for each in settings:
            with pytest.raises(ValidationError):
                setattr(config, each.name, None)

    def test_settings_come_from_the_environment(
        self,
        config: FlavorConfig,
        settings: list[Setting],
        store: BaseMetadataStore,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """Each setting can be given as text by METASTORE_<FLAVOR>__<FIELD>. [14.3]

        On failure: a field's type must be made from text (a number, a path, a list as JSON); do
        not override `checked` without calling it.
        """
        others: dict[str, object] = {}
        for each in settings:
            value = getattr(config, each.name)
            if each.is_secret and isinstance(value, Secret):
                monkeypatch.setenv(each.variable, value.reveal())
            elif type(value) in (str, int, float) or isinstance(value, Path):
                monkeypatch.setenv(each.variable, str(value))
            else:
                others[each.name] = value
        found = type(config).checked(store.FLAVOR, others)
        assert _revealed(found) == _revealed(config)

    def test_reading_creates_nothing(
        self, make_store: MakeStore, opens: Opens, open_again: Reopen
    ) -> None:
        """Where there is no store, mode "r" and create=False are OpenError and make none. [10.1]

        On failure: `open` must look whether the store is there before it connects in a way that
        makes one (a file, a database, tables), and raise `StoreNotFoundError`.
        """
        cls, config = opens.unopened(make_store)
        for how in ({"mode": "r"}, {"mode": "r", "create": False}, {"create": False}):
            with pytest.raises(OpenError):
                cls.open(config, **how).close()
        store = cls.open(config)
        try:
            prepare(store)
        finally:
            store.close()
        again = cls.open(config, mode="r", create=False)
        try:
            assert ids(again, ARTIFACT) == []
        finally:
            again.close()


def _revealed(config: FlavorConfig) -> dict[str, object]:
    values = {name: getattr(config, name) for name in type(config).model_fields}
    return {
        name: value.reveal() if isinstance(value, Secret) else value
        for name, value in values.items()
    }


def _secrets(config: object) -> dict[str, Secret]:
    if not isinstance(config, FlavorConfig):
        return {}
    values = {name: getattr(config, name) for name in type(config).model_fields}
    return {name: value for name, value in values.items() if isinstance(value, Secret)}


class SecretContract(ContractBase):
    """No secret of the config is seen anywhere."""

    @pytest.fixture
    def canary(self, store: BaseMetadataStore, opens: Opens) -> str:
        """The secret that the store was opened with; skips where there is none to look for."""
        secrets = _secrets(opens.config_of(store))
        if not secrets:
            pytest.skip("the stores of make_store are opened without a secret")
        text = next(iter(secrets.values())).reveal()
        if len(text) < 8:
            pytest.skip("the secret of make_store's stores is too short to be looked for: give 8")
        return text

    def test_secrets_are_not_shown(
        self,
        store: BaseMetadataStore,
        opens: Opens,
        canary: str,
        caplog: pytest.LogCaptureFixture,
        capfd: pytest.CaptureFixture[str],
    ) -> None:
        """A store and its config show no secret: not as text, not pickled as JSON. [9.5, 14.5]

        On failure: keep the `Secret`, or what it is needed for, not its text; a field of the config
        that holds a password has the type `metastore.Secret`; `location` has no password in it.
        """
        config = opens.config_of(store)
        with caplog.at_level(logging.DEBUG):
            prepare(store)
            put(store, ARTIFACT)
        shown = [repr(store), str(store), store.location, repr(config), str(config)]
        shown += [config.model_dump_json(), repr(config.model_dump()), f"{vars(config)}"]
        shown += [caplog.text, *capfd.readouterr(), *_command_lines()]
        assert [text for text in shown if canary in text] == []

    def test_errors_show_no_secret(
        self, store: BaseMetadataStore, opens: Opens, canary: str
    ) -> None:
        """No error of a store shows a secret, with its causes and local variables. [9.5, 14.5]

        On failure: do not keep the text of a secret in a variable that lives while others are
        called; chain the driver's error only where its text has no connection string.
        """
        batch = Batch()
        batch.artifact("not there")
        with pytest.raises(NotFoundError) as refused:
            store.write(batch)
        store.close()
        with pytest.raises(ClosedError) as closed:
            ids(store, ARTIFACT)
        for raised in (refused, closed):
            assert canary not in _whole_traceback(raised.value, type(store))

    @pytest.mark.parametrize("odd", ["", "\nof two lines", " für Ümläute"], ids=ascii)
    def test_a_wrong_secret_is_not_shown(
        self, store: BaseMetadataStore, opens: Opens, canary: str, odd: str
    ) -> None:
        """A store that cannot be opened for its secret says so without it, by OpenError. [14.5]

        On failure: some clients raise errors of Python's own for a secret that they cannot send.
        Turn what the driver raises on a refused password into `OpenError`, outside of
        the ``except`` block or ``from None`` where its text or its variables hold the password.
        """
        config = opens.config_of(store)
        wrong = {name: Secret(_CANARY + odd) for name in _secrets(config)}
        cls, asked = type(store), config.model_copy(update=wrong)
        try:
            opened = cls.open(asked, mode="r", create=False)
        except MetastoreError as error:
            refused, shown = type(error), _whole_traceback(error, cls)
        else:
            # The backend does not ask for it now.
            refused, shown = OpenError, repr(opened) + opened.location
            opened.close()
        assert issubclass(refused, OpenError | InvalidError)
        assert _CANARY not in shown


def _command_lines() -> Iterator[str]:
    """The command lines of all processes that can be seen; they are public."""
    for each in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            yield each.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            # It has ended, or belongs to somebody else.
            continue


def _whole_traceback(error: BaseException, cls: type[Any]) -> str:
    """All that could be read of an error, the variables of the flavor's and core's code included.

    Not those of a driver: a function that gets the password has it in a variable.
    """
    packages = {cls.__module__.partition(".")[0], "metastore"}
    texts = [whole_text(error)]
    seen: BaseException | None = error
    while seen is not None:
        for frame, _ in traceback.walk_tb(seen.__traceback__):
            if _package(frame) in packages and "testing" not in frame.f_globals["__name__"]:
                texts += [repr(value) for value in frame.f_locals.values()]
        seen = seen.__cause__ or (None if seen.__suppress_context__ else seen.__context__)
    return "\n".join(texts)


def _package(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]
