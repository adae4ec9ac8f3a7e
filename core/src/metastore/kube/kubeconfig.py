"""Reading a kubeconfig: which context is meant, and as whom; and what is said of a broken one."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from metastore.errors import InvalidError, MetastoreError, Offender, OpenError
from metastore.kube.failures import one_line

if TYPE_CHECKING:
    from metastore.kube.config import ClusterConfig

__all__ = ["Found", "read"]


UTC = timezone.utc


class Found(NamedTuple):
    """What a configuration says."""

    configuration: Any
    """The client's own, with credentials."""
    namespace: str
    context: str | None
    """None in a pod."""
    expires: datetime | None = None
    """When the credentials do, where we are to see to that."""


def read(config: ClusterConfig) -> Found:
    """Read the kubeconfig that is meant, and run its program for credentials, if it has one.

    Raises
    ------
    OpenError
        It is not there or broken, or the program gives no credentials.
    InvalidError
        It has no such context.
    """
    from kubernetes.client import Configuration
    from kubernetes.config.kube_config import KubeConfigLoader

    paths = _paths(config)
    shown = os.pathsep.join(map(str, paths))
    # Not what its class would give, which is a copy of a default that others may have set.
    configuration = type.__call__(Configuration)
    with _told(shown):
        merged, save = _read(paths, shown)
        name = _context_name(merged, config, shown)
        expires = _use_program(merged, name, shown)
        # A base path of None: relative paths are those of the file they stand in.
        loader = KubeConfigLoader(
            merged, active_context=name, config_base_path=None, config_persister=save
        )
        loader.load_and_set(configuration)
        about = _named(merged, "clusters", _named(merged, "contexts", name)["cluster"])
        if about.get("proxy-url"):
            # Client 35 takes no notice of it.
            configuration.proxy = about["proxy-url"]
        # Asked for what it may raise.
        _ = urlsplit(configuration.host).port
        namespace = config.namespace or _named(merged, "contexts", name).get("namespace")
    return Found(configuration, str(namespace or "default"), name, expires)


def _paths(config: ClusterConfig) -> list[Path]:
    """The files that are there; all that are named are merged, as kubectl does it."""
    if config.kubeconfig is not None:
        named = [config.kubeconfig]
    else:
        text = os.environ.get("KUBECONFIG") or os.path.join("~", ".kube", "config")
        named = [Path(each) for each in text.split(os.pathsep) if each]
    named = [each.expanduser() for each in named]
    found = [each for each in named if each.exists()]
    if found:
        return found
    inside = " and this pod has no service account's token" * bool(
        os.environ.get("KUBERNETES_SERVICE_HOST")
    )
    raise OpenError(
        f"there is no kubeconfig {os.pathsep.join(map(str, named))}{inside}",
        hint="name one by the setting kubeconfig or the variable KUBECONFIG"
        + ("; or mount a service account's token (automountServiceAccountToken)" * bool(inside)),
    )


@contextmanager
def _told(shown: str) -> Iterator[None]:
    """Whatever a broken kubeconfig makes the client and its parser raise, as an error of ours.

    Never their words, and not as a cause: they quote the file, tokens included.
    """
    import yaml
    from kubernetes.config import ConfigException

    try:
        yield
    except MetastoreError:
        raise
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = "" if mark is None else f" at line {mark.line + 1}"
        raise OpenError(
            f"the kubeconfig {shown} is no YAML{line}", hint="mend it, or name another one"
        ) from None
    except OSError as error:
        raise OpenError(
            f"the kubeconfig {shown}, or a file that it names, cannot be read: {error.strerror}",
            hint="check the path and who may read it",
        ) from None
    except ConfigException as error:
        text = str(error)
        why = f": {text}" if text.startswith("File does not exist: ") else ""
        raise OpenError(
            f"the kubeconfig {shown} cannot be used{why}", hint="compare with kubectl config view"
        ) from None
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        raise OpenError(
            f"the kubeconfig {shown} is not made as one", hint="compare with kubectl config view"
        ) from None


def _read(paths: list[Path], shown: str) -> tuple[Any, Any]:
    """The files as one mapping, and what keeps a token that was renewed."""
    from kubernetes.config.kube_config import KubeConfigMerger

    merger = KubeConfigMerger(os.pathsep.join(map(str, paths)))
    if not hasattr(merger.config, "value"):
        raise OpenError(f"the kubeconfig {shown} is empty", hint="name another one")
    return merger.config, merger.save_changes


def _named(merged: Any, kind: str, name: object) -> Any:
    """What a kubeconfig has under a name, as a plain mapping; None where there is nothing."""
    for each in merged.value.get(kind) or []:
        each = getattr(each, "value", each)
        if each.get("name") == name:
            return each.get(kind[:-1]) or {}
    return None


def _context_name(merged: Any, config: ClusterConfig, shown: str) -> str:
    """The context that is meant, if it, its cluster and its user are there."""
    contexts = sorted(
        str(getattr(each, "value", each)["name"]) for each in merged.value.get("contexts") or []
    )
    known = f"contexts in it: {', '.join(contexts) or 'none'}"
    name = config.context or merged.value.get("current-context")
    if not name:
        raise OpenError(f"the kubeconfig {shown} has no current context", hint=f"name one: {known}")
    about = _named(merged, "contexts", name)
    if about is None:
        raise InvalidError(
            f"the kubeconfig {shown} has no context {name!r}",
            hint=known,
            offender=Offender("context", name=str(name), property="context"),
        )
    for kind in ("cluster", "user"):
        wanted = about.get(kind)
        if (kind == "cluster" or wanted) and _named(merged, f"{kind}s", wanted) is None:
            raise OpenError(
                f"the context {name!r} of the kubeconfig {shown} names a {kind} {wanted!r} that is"
                " not in it",
                hint="compare with kubectl config view",
            )
    if not (_named(merged, "clusters", about["cluster"]) or {}).get("server"):
        raise OpenError(
            f"the cluster {about['cluster']!r} of the kubeconfig {shown} has no server",
            hint="compare with kubectl config view",
        )
    return str(name)


def _use_program(merged: Any, name: str, shown: str) -> datetime | None:
    """Put what a program for credentials gives in their place; when that expires.

    The client would run it, too, but goes on as nobody when it fails, and tells the log.
    """
    from kubernetes.config import ConfigException
    from kubernetes.config.dateutil import parse_rfc3339
    from kubernetes.config.exec_provider import ExecProvider
    from kubernetes.config.kube_config import ConfigNode

    context = _named(merged, "contexts", name)
    user = _named(merged, "users", context.get("user")) or {}
    # The client's own order: a token comes first.
    if not user.get("exec") or any(user.get(e) for e in ("token", "tokenFile", "auth-provider")):
        return None
    folder = os.path.dirname(os.path.abspath(_file_of(merged, context.get("user"))))
    cluster = ConfigNode("cluster", _named(merged, "clusters", context["cluster"]))
    command = os.path.basename(str(user["exec"].get("command")))
    try:
        given = ExecProvider(ConfigNode("exec", user["exec"]), folder, cluster).run()
        why = "" if given.get("token") or given.get("clientKeyData") else "no token in its answer"
    except ConfigException as error:
        given, why = {}, one_line(str(error))
    except OSError as error:
        given, why = {}, error.strerror or type(error).__name__
    if why:
        raise OpenError(
            f"the program {command!r}, which the kubeconfig {shown} names for the credentials of"
            f" the context {name!r}, gave none: {why}",
            hint="run kubectl with this context, and log in as it asks",
        )
    if given.get("token"):
        user["token"] = given["token"]
    for theirs, ours in (
        ("clientCertificateData", "client-certificate-data"),
        ("clientKeyData", "client-key-data"),
    ):
        if given.get(theirs):
            user[ours] = base64.b64encode(given[theirs].encode()).decode()
    expires = given.get("expirationTimestamp")
    return None if not expires else datetime.fromtimestamp(parse_rfc3339(expires).timestamp(), UTC)


def _file_of(merged: Any, user: object) -> str:
    """The file that a user stands in: its program is started from there."""
    for each in merged.value["users"]:
        if getattr(each, "value", each).get("name") == user:
            return str(getattr(each, "path", None) or merged.path)
    return str(merged.path)
