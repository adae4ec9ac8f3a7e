"""The settings of a store behind a metadata service."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from pydantic import Field, model_validator

from metastore import InvalidError, Offender
from metastore.kube import ClusterConfig

if TYPE_CHECKING:
    from typing_extensions import Self

    from metastore import StoreURL

__all__ = ["KubeflowConfig"]

_FORMS = "write kubeflow://host:port, or kubeflow:// for the service of a cluster"


class KubeflowConfig(ClusterConfig):
    """Where the metadata service is, and how it is talked to.

    With a `host` the connection is made as it stands.  Without one the service is that of Kubeflow
    Pipelines in a cluster: inside a pod it is found by the variables that Kubeflow Pipelines sets,
    or by its name; outside, or with a `context` or `kubeconfig`, a port is forwarded to it.  Its
    namespace is kubeflow by default, and `connect_timeout` is also the time in which the service
    must answer for the first time.
    """

    host: str | None = Field(
        default=None, min_length=1, description="The host; none for the service of a cluster."
    )
    port: int | None = Field(
        default=None, ge=1, le=65535, description="The port of gRPC; 8080 by default."
    )
    service: str = Field(
        default="metadata-grpc-service",
        min_length=1,
        description="In a cluster: the name of the service.",
    )
    namespace: str | None = Field(
        default=None,
        pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$",
        description="In a cluster: the namespace of Kubeflow Pipelines; kubeflow by default.",
    )
    tls: bool | None = Field(
        default=None,
        description="Whether the connection is encrypted; by default where a CA is given, or "
        "where METADATA_TLS_ENABLED says so in a pod.",
    )
    tls_ca: Path | None = Field(
        default=None, description="The file of the CA; the system's CAs where none is given."
    )
    tls_server_name: str | None = Field(
        default=None,
        min_length=1,
        description="The name that the certificate must have; by default the host, or through a "
        "forwarded port the service's name in the cluster.",
    )
    tls_cert: Path | None = Field(default=None, description="The file of a client certificate.")
    tls_key: Path | None = Field(default=None, description="The file of its key.")
    timeout: float = Field(
        default=120.0,
        gt=0,
        le=86400,
        allow_inf_nan=False,
        description="Seconds in which a call must be answered.",
    )
    retry_timeout: float = Field(
        default=120.0,
        ge=0,
        le=86400,
        allow_inf_nan=False,
        description="Seconds in which a call is tried again that cannot do harm twice.",
    )
    max_message_bytes: int = Field(
        default=100 * 1024 * 1024,
        ge=1024,
        le=2**31 - 1,
        description="The largest message in bytes, in either direction; the server has a limit of "
        "its own.",
    )

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.host is not None:
            for field in ("namespace", "context", "kubeconfig"):
                if getattr(self, field) is not None:
                    raise ValueError(f"{field} is of a cluster's service, and a host is given")
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("tls_cert and tls_key belong together")
        given = (self.tls_ca, self.tls_cert, self.tls_server_name)
        if self.tls is False and any(each is not None for each in given):
            raise ValueError("tls is false, and another tls setting asks for it")
        return self

    @property
    def wants_tls(self) -> bool:
        """Whether a setting asks for TLS."""
        given = (self.tls_ca, self.tls_cert, self.tls_server_name)
        return bool(self.tls) or any(each is not None for each in given)

    @classmethod
    def from_url(cls, url: StoreURL) -> Self:
        """``kubeflow://host:port``, or ``kubeflow://?namespace=kubeflow&context=name``."""
        if url.path not in ("", "/"):
            raise InvalidError(
                "something stands behind the host of the store's URL",
                hint=_FORMS,
                offender=Offender("store"),
            )
        if "@" in url.authority:
            # Not a word of it: it may be a password.
            raise InvalidError(
                "the store's URL holds a user, and a metadata service knows of none",
                hint=_FORMS,
                offender=Offender("store"),
            )
        given = _host_and_port(url.authority)
        twice = sorted(given.keys() & url.options.keys())
        if twice:
            raise InvalidError(
                f"the store's URL gives the {twice[0]} twice",
                hint=_FORMS,
                offender=Offender("store", property=twice[0]),
            )
        return cls.checked(url.scheme, {**url.options, **given})

    def location(self, flavor: str) -> str:
        """The store's URL, for people."""
        if self.host is not None:
            host = f"[{self.host}]" if ":" in self.host else quote(self.host, safe="")
            return f"{flavor}://{host}:{self.port or 8080}"
        told = {
            name: str(value)
            for name in ("namespace", "context", "service")
            if (value := getattr(self, name)) is not None
            and value != type(self).model_fields[name].default
        }
        return f"{flavor}://{f'?{urlencode(told)}' if told else ''}"


def _host_and_port(authority: str) -> dict[str, str]:
    host, bracket, behind = authority.partition("]")
    if bracket:
        host, port = host.removeprefix("["), behind.removeprefix(":")
    else:
        host, _, port = authority.partition(":")
    return {name: text for name, text in (("host", host), ("port", port)) if text}
