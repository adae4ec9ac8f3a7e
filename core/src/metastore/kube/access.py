"""How a cluster is reached, and as whom: read from a kubeconfig or from the pod we run in."""

from __future__ import annotations

import importlib
import logging
import os
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from metastore.errors import FlavorError, InvalidError, MetastoreError, Offender, OpenError
from metastore.kube.failures import one_line
from metastore.kube.forks import connecting

if TYPE_CHECKING:
    from metastore.kube.config import ClusterConfig

__all__ = ["Access", "load"]

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where a pod finds token, certificate and namespace."""


class Access:
    """One reading of the configuration; another one is made when this one fails."""

    def __init__(self, configuration: Any, namespace: str, context: str | None) -> None:
        from kubernetes.client import ApiClient

        # Ours to decide: the client would try three times more, each with the whole timeout.
        configuration.retries = False
        self.configuration = configuration
        self.namespace = namespace
        self.context = context
        self.pid = os.getpid()
        parts = urlsplit(configuration.host)
        # Without user and password, which may stand in front of the host.
        self.server = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
        self._lock = threading.Lock()
        with connecting():
            self.rest: Any = ApiClient(configuration).rest_client
            self.tls = self._new_tls() if parts.scheme == "https" else None
        """Whom we trust, and our certificate, for connections that the client does not make."""

    def headers(self) -> dict[str, str]:
        """Who asks; a token that the client knows to have expired is replaced first."""
        # The client's own refreshing is not made for several threads.
        with self._lock, _heard():
            found = self.configuration.auth_settings()
        value = next((each["value"] for each in found.values() if each.get("value")), None)
        return {"User-Agent": "metastore", **({"Authorization": value.strip()} if value else {})}

    def _new_tls(self) -> ssl.SSLContext:
        # Made at once, not when it is needed: so a bad certificate is an error of the opening.
        given = self.configuration
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        tls.check_hostname = given.verify_ssl and given.assert_hostname is not False
        tls.verify_mode = ssl.CERT_REQUIRED if given.verify_ssl else ssl.CERT_NONE
        data = getattr(given, "ca_cert_data", None)
        try:
            if given.ssl_ca_cert or data:
                tls.load_verify_locations(given.ssl_ca_cert, cadata=data)
            else:
                tls.load_default_certs()
            if given.cert_file:
                tls.load_cert_chain(given.cert_file, given.key_file)
        except (OSError, ValueError):
            raise OpenError(
                "a certificate or key of the kubeconfig cannot be read",
                hint="check certificate-authority, client-certificate and client-key",
            ) from None
        return tls


def load(config: ClusterConfig) -> Access:
    """Read the configuration that is meant.

    Raises
    ------
    OpenError
        There is none, or it is broken.
    InvalidError
        It has no such context.
    FlavorError
        The extra is not installed.
    """
    try:
        importlib.import_module("kubernetes.client")
        importlib.import_module("websocket")
    except ImportError as error:
        raise FlavorError(
            f"a store in a cluster needs a package that is not here: {error.name}",
            hint="pip install 'metastore-core[kube]'",
        ) from error
    explicit = config.kubeconfig or config.context or os.environ.get("KUBECONFIG")
    if not explicit and is_in_cluster():
        return _of_service_account(config)
    return _of_kubeconfig(config)


def is_in_cluster() -> bool:
    """Whether this process runs in a pod that has a service account's token."""
    return bool(os.environ.get("KUBERNETES_SERVICE_HOST")) and (SERVICE_ACCOUNT / "token").exists()


def _of_service_account(config: ClusterConfig) -> Access:
    from kubernetes.client import Configuration
    from kubernetes.config import ConfigException
    from kubernetes.config.incluster_config import InClusterConfigLoader

    configuration = type.__call__(Configuration)
    try:
        InClusterConfigLoader(
            token_filename=str(SERVICE_ACCOUNT / "token"),
            cert_filename=str(SERVICE_ACCOUNT / "ca.crt"),
            environ=os.environ,
        ).load_and_set(configuration)
    except (ConfigException, OSError, ValueError) as error:
        # The client's texts about a service account quote nothing of it.
        raise OpenError(
            f"the service account of this pod cannot be used: {one_line(str(error))}",
            hint=f"check KUBERNETES_SERVICE_HOST, KUBERNETES_SERVICE_PORT and {SERVICE_ACCOUNT}",
        ) from error
    namespace = config.namespace
    if namespace is None:
        try:
            namespace = (SERVICE_ACCOUNT / "namespace").read_text().strip()
        except OSError:
            namespace = "default"
    return Access(configuration, namespace, None)


def _of_kubeconfig(config: ClusterConfig) -> Access:
    from kubernetes.client import Configuration

    paths = _paths(config)
    shown = os.pathsep.join(map(str, paths))
    with _told(shown):
        merged, save = _read(paths, shown)
        name = _context_name(merged, config, shown)
    configuration = type.__call__(Configuration)
    with _told(shown), _heard() as heard:
        loader = _loader(merged, name, save)
        loader.load_and_set(configuration)
        about = loader.current_context["context"]
        user = _named(merged, "users", about.get("user")) or {}
    # The client says this to the log and goes on as nobody.
    if "exec" in user and not (configuration.api_key or configuration.cert_file):
        command = str(user["exec"].get("command", "")).rpartition(os.sep)[2]
        raise OpenError(
            f"the program {command!r}, which the kubeconfig {shown} names for the credentials of"
            f" the context {name!r}, gave none" + (f": {one_line(heard[-1])}" if heard else ""),
            hint="run kubectl with this context, and log in as it asks",
        )
    namespace = config.namespace or about.get("namespace") or "default"
    with _told(shown):
        return Access(configuration, str(namespace), name)


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


def _loader(merged: Any, name: str, save: Any) -> Any:
    from kubernetes.config.kube_config import KubeConfigLoader

    # A base path of None: relative paths are those of the file they stand in.
    return KubeConfigLoader(
        merged, active_context=name, config_base_path=None, config_persister=save
    )


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


class _Listener(logging.Handler):
    """Keeps what this thread says."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[str] = []
        self.thread = threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread == self.thread and record.levelno >= logging.ERROR:
            self.heard.append(record.getMessage())


@contextmanager
def _heard() -> Iterator[list[str]]:
    """What the client logs of a failed program for credentials, to be part of our error.

    It uses the root logger's function, which prints to stderr, and changes the logging of the whole
    process, where nobody listens yet.
    """
    listener = _Listener()
    root = logging.getLogger()
    root.addHandler(listener)
    try:
        yield listener.heard
    finally:
        root.removeHandler(listener)
