"""``metastore store``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from metastore.cli._errors import WrongUse, hinted
from metastore.cli._lazy import SuggestingGroup
from metastore.cli._options import debug_option, without_password
from metastore.cli._settings import CommandWithSettings, checked_settings, given_settings
from metastore.errors import CapabilityError, InvalidError, MetastoreError

if TYPE_CHECKING:
    from metastore.config._stores import NamedStore, Stores
    from metastore.config._target import Target
    from metastore.plugins._config import FlavorConfig

__all__ = ["store"]

_json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON, with all there is."
)
_LISTS = "'metastore store list' lists them"


@click.group(cls=SuggestingGroup)
def store() -> None:
    """Named stores: registered for this user, and used by their names."""


def _stores() -> Stores:
    from metastore.config._stores import Stores

    return Stores.of_user()


def _value_after(args: list[str], option: str) -> str | None:
    for at, each in enumerate(args):
        if each == option and at + 1 < len(args):
            return args[at + 1]
        if each.startswith(f"{option}="):
            return each.partition("=")[2]
    return None


def _flavor_of_new(args: list[str]) -> str | None:
    url = _value_after(args, "--url")
    return _value_after(args, "--flavor") or (url.partition("://")[0] if url else None)


def _flavor_of_known(args: list[str]) -> str | None:
    stores = _stores()
    names = {each.name: each.flavor for each in stores.all()}
    known = next((names[each] for each in args if each in names), None)
    if known is None and args and not args[0].startswith("-"):
        return stores.get(args[0]).flavor
    return known


class _Register(CommandWithSettings):
    flavor_of = staticmethod(_flavor_of_new)


class _Update(CommandWithSettings):
    flavor_of = staticmethod(_flavor_of_known)


@store.command("register", cls=_Register)
@click.argument("name")
@click.option("--flavor", metavar="NAME", help="Its flavor; with --help, shows its settings too.")
@click.option(
    "--url", metavar="URL", callback=without_password, help="Its URL, instead of settings."
)
@click.option("--use", "in_use", is_flag=True, help="Make it the one that is meant by default.")
@debug_option(hidden=True)
def register(name: str, flavor: str | None, url: str | None, in_use: bool, **options: Any) -> None:
    """Register a store under a name; nothing is created or opened.

    Besides these it has an option for each setting of the flavor: see
    'metastore store register --flavor NAME --help'.
    """
    from metastore.cli._output import line
    from metastore.config._stores import NamedStore, checked_name

    checked_name(name)
    given = given_settings(options)
    if (flavor is None) == (url is None):
        raise click.UsageError("Give --flavor and its settings, or --url.")
    if url is not None and given:
        raise click.UsageError("Give settings or --url, not both.")
    stores = _stores()
    if any(each.name == name for each in stores.all()):
        # Before anything is asked.
        stores.register(NamedStore(name, "", {}))
    typed: list[str] = []
    if url is None:
        assert flavor is not None
        fields, typed = _fields(name, flavor, given, stores)
    else:
        flavor, fields = _of_url(url)
    with _forgotten_on_error(stores, typed):
        stores.register(NamedStore(name, flavor, fields), typed)
    if in_use:
        stores.use(name)
    line(f"store {name} is registered in {stores.file.path}")


@store.command("list")
@_json_option
@debug_option(hidden=True)
def list_(as_json: bool) -> None:
    """List the named stores; an asterisk marks the one that 'metastore store use' named.

    JSON fields: name, flavor, is_active, settings (of secrets the references).
    """
    from metastore.cli import _json
    from metastore.cli._output import Column, remark, table

    stores = _stores()
    active = stores.active
    every = stores.all()
    if as_json:
        _json.write_list(_as_json(each, active) for each in every)
        return
    count = table(
        [Column("NAME"), Column("FLAVOR"), Column("SETTINGS", shrinks=8)],
        (
            [
                f"{each.name}{' *' if each.name == active else ''}",
                each.flavor,
                [f"{key}={value}" for key, value in _shown(each).items()],
            ]
            for each in every
        ),
    )
    if not count:
        remark(f"no stores are registered in {stores.file.path}")


@store.command("show")
@click.argument("name")
@_json_option
@debug_option(hidden=True)
def show(name: str, as_json: bool) -> None:
    """Show the settings of a named store; of secrets where they are kept, never what they are.

    JSON fields: those of 'metastore store list'.
    """
    from metastore.cli import _json
    from metastore.cli._output import fields, line

    stores = _stores()
    with hinted(_LISTS):
        found = stores.get(name)
    if as_json:
        _json.write_object(_as_json(found, stores.active))
        return
    line(f"store {name}", style="bold")
    fields(
        [
            ("flavor", found.flavor),
            ("in use", "yes" if stores.active == name else None),
            *((key, str(value)) for key, value in _shown(found).items()),
        ]
    )


@store.command("update", cls=_Update)
@click.argument("name")
@click.option("--unset", multiple=True, metavar="SETTING", help="Forget a setting.")
@debug_option(hidden=True)
def update(name: str, unset: tuple[str, ...], **options: Any) -> None:
    """Change settings of a named store; it has an option for each setting of its flavor."""
    from metastore.cli._output import line

    stores = _stores()
    with hinted(_LISTS):
        found = stores.get(name)
    forgotten = {each.replace("-", "_") for each in unset}
    unknown = forgotten - found.fields.keys()
    if unknown:
        raise WrongUse(
            f"store {name!r} has no setting {min(unknown)!r}; "
            f"it has {', '.join(found.fields) or 'none'}"
        )
    kept = {key: value for key, value in found.fields.items() if key not in forgotten}
    given = given_settings(options)
    if not given and not forgotten:
        raise click.UsageError(f"Say what to change; 'metastore store update {name} --help'.")
    # All of them, so that what no longer fits together is refused.
    checked, typed = _fields(name, found.flavor, {**kept, **given}, stores)
    with _forgotten_on_error(stores, typed):
        stores.update(name, {key: checked[key] for key in given}, forgotten, typed)
    _forget_unused(stores)
    line(f"store {name} is changed")


@store.command("rename")
@click.argument("name")
@click.argument("new")
@debug_option(hidden=True)
def rename(name: str, new: str) -> None:
    """Give a named store another name."""
    from metastore.cli._output import line

    with hinted(_LISTS):
        _stores().rename(name, new)
    line(f"store {name} is called {new} now")


@store.command("remove")
@click.argument("name")
@debug_option(hidden=True)
def remove(name: str) -> None:
    """Forget a named store, and secrets that were typed for it; its data stay as they are."""
    from metastore.cli._output import line

    stores = _stores()
    with hinted(_LISTS):
        stores.remove(name)
    gone = _forget_unused(stores)
    also = ", and what was typed for it is deleted" if gone else ""
    line(f"store {name} is no longer registered; its data stay{also}")


@store.command("use")
@click.argument("name", required=False)
@click.option("--none", "nothing", is_flag=True, help="None of them any more.")
@debug_option(hidden=True)
def use(name: str | None, nothing: bool) -> None:
    """Make a named store the one that is meant where none is named."""
    from metastore.cli._output import line

    if (name is None) != nothing:
        raise click.UsageError("Name a store, or give --none.")
    with hinted(_LISTS):
        _stores().use(name)
    line(f"store {name} is in use" if name else "no named store is in use")


@store.command("status")
@click.argument("which", required=False, metavar="[NAME|URL]", callback=without_password)
@_json_option
@debug_option(hidden=True)
def status(which: str | None, as_json: bool) -> None:
    """Say which store is meant, and whether it answers; exit code 1 where it does not.

    JSON fields: flavor, said_by (what named the store), location, answers, problem (null where it
    answers), provisioned and running (its service, true where it needs none), service (what there
    is of that, and what differs from the settings; empty where the flavor says nothing).
    """
    from metastore.cli import _json
    from metastore.cli._output import fields, line
    from metastore.config._connect import open_target
    from metastore.plugins._classes import store_class

    target = _target(which)
    served = store_class(target.flavor)
    location: str | None = None
    problem: str | None = None
    provisioned = running = False
    parts: list[tuple[str, str]] = []
    try:
        if target.flavor.capabilities.provision:
            parts += served.describe_service(target.config)
        provisioned = served.is_provisioned(target.config)
        running = provisioned and served.is_running(target.config)
        with _closing(open_target(target, mode="r")) as opened:
            location = opened.location
    except MetastoreError as error:
        problem = str(error)
    if as_json:
        _json.write_object(
            {
                "flavor": target.flavor.name,
                "said_by": target.said_by,
                "location": location,
                "answers": problem is None,
                "problem": problem,
                "provisioned": provisioned,
                "running": running,
                "service": dict(parts),
            }
        )
    else:
        service = "running" if running else "down" if provisioned else "not there"
        line(f"store {location or ''}".rstrip(), style="bold")
        fields(
            [
                ("name", which if which and "://" not in which else None),
                ("flavor", target.flavor.name),
                ("named by", None if which else target.said_by),
                ("location", location),
                ("service", service if target.flavor.capabilities.provision else None),
                *parts,
                ("answers", "no" if problem else "yes"),
                ("problem", problem),
            ]
        )
    if problem is not None:
        raise click.exceptions.Exit(1)


@store.command("up")
@click.argument("which", required=False, metavar="[NAME|URL]", callback=without_password)
@click.option("--dry-run", is_flag=True, help="Print what would be made, and make nothing.")
@click.option(
    "--output",
    metavar="FILE|DIR",
    help="Write what would be made, for other tools to make it: into a file, or into a folder "
    "(one that is there, or a name with / at its end); make nothing.",
)
@debug_option(hidden=True)
def up(which: str | None, dry_run: bool, output: str | None) -> None:
    """Bring the service of a store up, where its flavor can; harmless where it is up."""
    from metastore.cli import _service
    from metastore.cli._output import line

    if dry_run and output is not None:
        raise click.UsageError("Give --dry-run, which prints, or --output, which writes, not both.")
    target = _target(which)
    served = _provisioning(target)
    if dry_run:
        _service.print_manifest(served.manifest(target.config))
    elif output is not None:
        for path in _service.write_manifest(served.manifest(target.config), output):
            line(f"{path} is written")
    else:
        with _service.progress():
            served.provision(target.config)
        line("the store's service is up")


@store.command("down")
@click.argument("which", required=False, metavar="[NAME|URL]", callback=without_password)
@click.option("--delete-data", is_flag=True, help="Delete the data too; asks first.")
@debug_option(hidden=True)
def down(which: str | None, delete_data: bool) -> None:
    """Take the service of a store down, where its flavor can; its data stay."""
    from metastore.cli import _service
    from metastore.cli._output import line

    target = _target(which)
    served = _provisioning(target)
    if delete_data:
        click.confirm("Delete all data of this store, which cannot be undone?", abort=True)
    with _service.progress():
        served.deprovision(target.config, delete_data=delete_data)
    line(f"the store's service is down; its data {'are deleted' if delete_data else 'stay'}")


def _target(which: str | None) -> Target:
    from metastore.config._target import target_of

    with hinted(f"{_LISTS}; or give a URL"):
        return target_of(which)


def _provisioning(target: Target) -> Any:
    from metastore.plugins._classes import store_class

    if not target.flavor.capabilities.provision:
        raise CapabilityError(
            f"stores of the flavor {target.flavor.name!r} have no service to bring up or down",
            hint="they are there when they are used",
        )
    return store_class(target.flavor)


def _closing(opened: Any) -> Any:
    from contextlib import closing

    return closing(opened)


def _as_json(store: NamedStore, active: str | None) -> dict[str, Any]:
    return {
        "name": store.name,
        "flavor": store.flavor,
        "is_active": store.name == active,
        "settings": _shown(store),
    }


def _config_class(flavor: str) -> type[FlavorConfig]:
    from metastore.config._flavors import registry_of
    from metastore.plugins._classes import config_class

    return config_class(registry_of(_stores().file).get(flavor))


def _shown(store: NamedStore) -> dict[str, Any]:
    """The settings, but for what somebody has written where a reference belongs."""
    from metastore.plugins._secret import Secret

    try:
        settings = _config_class(store.flavor).settings(store.flavor)
        plain = {each.name for each in settings if not each.is_secret}
    except MetastoreError:
        # Which of them are secret, only the flavor would know.
        plain = set()
    shown = dict(store.fields)
    # What is no setting may be a secret that was misspelt.
    for name in shown.keys() - plain:
        try:
            Secret.of_reference(shown[name])
        except InvalidError:
            shown[name] = "(not shown)"
    return shown


def _fields(
    name: str, flavor: str, given: dict[str, Any], stores: Stores
) -> tuple[dict[str, Any], list[str]]:
    """The settings as they are kept, and the references of those that were typed.

    What is to be typed is asked for when all else is right.
    """
    from metastore.cli._output import remark
    from metastore.config._kept import keep_secret
    from metastore.plugins._secret import Secret

    found = _config_class(flavor)
    secrets = [each.name for each in found.settings(flavor) if each.is_secret]
    wanted = [each for each in secrets if given.get(each) == "prompt"]
    placeholder = Secret.of_reference("env:x")
    fields = checked_settings(found, flavor, {**given, **dict.fromkeys(wanted, placeholder)})
    typed = [click.prompt(each.replace("_", " "), hide_input=True, err=True) for each in wanted]
    references: list[str] = []
    with _forgotten_on_error(stores, references):
        for each, text in zip(wanted, typed, strict=True):
            references.append(keep_secret(stores.file.folder, name, each, text))
            fields[each] = Secret.of_reference(references[-1])
            remark(f"{each} is kept under {references[-1]}")
    return fields, references


@contextmanager
def _forgotten_on_error(stores: Stores, references: list[str]) -> Iterator[None]:
    """Secrets that were typed for what then fails do not stay behind."""
    from metastore.config._kept import forget_secret

    try:
        yield
    except BaseException:
        for each in references:
            forget_secret(stores.file.folder, each)
        raise


def _forget_unused(stores: Stores) -> int:
    """Delete secrets that were typed here, and that no store uses any more; how many."""
    from metastore.config._kept import forget_secret

    return sum(forget_secret(stores.file.folder, each) for each in stores.forget_typed())


def _of_url(url: str) -> tuple[str, dict[str, Any]]:
    from metastore.plugins._config import StoreURL, without_environment
    from metastore.plugins._secret import Secret

    parsed = StoreURL.parse(url)
    found = _config_class(parsed.scheme)
    with without_environment():
        config = found.from_url(parsed)
    fields = {name: getattr(config, name) for name in config.model_fields_set}
    for name, value in fields.items():
        if isinstance(value, Secret) and value.reference is None:
            raise WrongUse(
                f"the URL holds the secret {name}, which is never written down; give a reference, "
                f"such as ...?{name}=env:NAME"
            )
    kept = {name: value for name, value in fields.items() if value is not None}
    return parsed.scheme, checked_settings(found, parsed.scheme, kept)
