"""The settings of a store on a MySQL that stands in a cluster."""

from __future__ import annotations

import json
import re
from collections.abc import Hashable
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote, urlencode

from pydantic import Field, field_validator, model_validator

from metastore import InvalidError, Offender, Secret
from metastore.kube import ClusterConfig
from metastore.sql import EngineConfig
from metastore_flavor_mysql import MySQLConfig

if TYPE_CHECKING:
    from sqlalchemy import URL
    from typing_extensions import Self

    from metastore import StoreURL

__all__ = ["PORT", "KubernetesConfig", "quantity"]

PORT = 3306
_FORMS = "write kubernetes://namespace/name?context=NAME, or kubernetes:///name"
_QUANTITY = r"^[0-9]+(\.[0-9]+)?([KMGTPE]i|[kMGTPEmun])?$"
_LABEL_KEY = r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$"
_TOLERATION = ("key", "operator", "value", "effect", "tolerationSeconds")
_OWN = "app.kubernetes.io/"


class KubernetesConfig(ClusterConfig, EngineConfig):
    """Which database in which cluster is meant, and how it is brought up there.

    What concerns its making is read by `provision`; whoever only uses the store needs namespace,
    name and, where it is not the current one, the context.
    """

    name: str = Field(
        default="metastore",
        # A service's name (RFC 1035), short enough for the label of a StatefulSet's revision.
        pattern=r"^[a-z]([-a-z0-9]{0,50}[a-z0-9])?$",
        description="The name of the service in the cluster, and of all that is made for it.",
    )
    server: Literal["mysql", "mariadb"] = Field(
        default="mysql", description="Which server is brought up; it cannot change later."
    )
    image: str | None = Field(
        default=None,
        min_length=1,
        pattern=r"^[a-zA-Z0-9][-a-zA-Z0-9._:/@]*$",
        description="Its image: one of the official images, or made like these; by default a "
        "pinned release of MySQL 8.4 or MariaDB 11.4.",
    )
    storage_size: str = Field(
        default="10Gi",
        pattern=_QUANTITY,
        description="The size of its volume; it can grow later where the storage class can.",
    )
    storage_class: str | None = Field(
        default=None,
        min_length=1,
        description="The storage class of the volume; the cluster's default where none is given.",
    )
    cpu_request: str = Field(default="100m", pattern=_QUANTITY, description="CPU it is promised.")
    cpu_limit: str | None = Field(
        default=None, pattern=_QUANTITY, description="CPU it has at most; none by default."
    )
    memory_request: str = Field(
        default="512Mi", pattern=_QUANTITY, description="Memory it is promised."
    )
    memory_limit: str = Field(
        default="1Gi", pattern=_QUANTITY, description="Memory it has at most."
    )
    node_selector: dict[str, str] = Field(
        default={}, description="Labels that its node must have, as a JSON object."
    )
    tolerations: tuple[dict[str, str | int], ...] = Field(
        default=(),
        description="Taints that it tolerates, each a JSON object with key, operator, value, "
        "effect and tolerationSeconds, as Kubernetes has them.",
    )
    labels: dict[str, str] = Field(
        default={}, description="More labels of all that is made, as a JSON object."
    )
    network_policy: bool = Field(
        default=True,
        description="Whether only pods with the label NAME-client=true may connect, where the "
        "cluster enforces policies.",
    )
    fixed_user: bool = Field(
        default=True,
        description="Whether it runs as user 999, as the images expect; OpenShift chooses a user "
        "itself, and wants false.",
    )
    start_timeout: float = Field(
        default=600.0,
        gt=0,
        le=86400,
        allow_inf_nan=False,
        description="Seconds that bringing it up waits until it is ready.",
    )
    connection: Literal["auto", "service", "forward"] = Field(
        default="auto",
        description="How it is reached: by the service's name (service), through a forwarded port "
        "(forward), or by the name inside the cluster and the port outside (auto).",
    )
    database: str = Field(
        default="metastore",
        pattern=r"^[A-Za-z0-9_]{1,64}$",
        description="The database on the server.",
    )
    user: str | None = Field(
        default=None,
        min_length=1,
        description="Who logs in, if not the user of the secret that was made with the service.",
    )
    password: Secret | None = Field(default=None, description="With which password then.")
    text: Literal["auto", "utf8", "mlmd"] = Field(
        default="auto", description=MySQLConfig.model_fields["text"].description
    )
    pool_size: int = Field(
        default=10, ge=1, le=1000, description=MySQLConfig.model_fields["pool_size"].description
    )
    timeout: float = Field(
        default=600.0,
        gt=0,
        le=86400,
        allow_inf_nan=False,
        description=MySQLConfig.model_fields["timeout"].description,
    )

    @field_validator("tolerations", mode="before")
    @classmethod
    def _read_tolerations(cls, given: Any) -> Any:
        """The command hands over texts, one for each time that the option is given."""
        items = [given] if isinstance(given, dict) else given
        if not isinstance(items, list | tuple):
            return items
        try:
            return tuple(json.loads(each) if isinstance(each, str) else each for each in items)
        except (ValueError, RecursionError):
            raise ValueError("a toleration is a JSON object") from None

    @model_validator(mode="after")
    def _agree(self) -> Self:
        unknown = {key for each in self.tolerations for key in each} - {*_TOLERATION}
        if unknown:
            raise ValueError(f"a toleration has {', '.join(_TOLERATION)}, and nothing else")
        for field in ("labels", "node_selector"):
            if not all(re.match(_LABEL_KEY, key) for key in getattr(self, field)):
                raise ValueError(f"a key of {field} is no label")
        if any(key.startswith(_OWN) or key == f"{self.name}-client" for key in self.labels):
            raise ValueError(f"labels {_OWN}... and {self.name}-client are set already")
        if (self.user is None) != (self.password is None):
            raise ValueError("user and password belong together")
        if not quantity(self.storage_size):
            raise ValueError("storage_size is nothing")
        return self

    @classmethod
    def from_url(cls, url: StoreURL) -> Self:
        """``kubernetes://namespace/name?context=name``; both may be left out."""
        if "@" in url.authority:
            # Not a word of it: it may be a password.
            raise InvalidError(
                "the store's URL holds a user, where a namespace would be",
                hint=_FORMS,
                offender=Offender("store"),
            )
        name = url.path.strip("/")
        given = {"namespace": url.authority, "name": name}
        given = {key: text for key, text in given.items() if text}
        twice = sorted(given.keys() & url.options.keys())
        if twice or "/" in name:
            raise InvalidError(
                f"the store's URL gives the {twice[0]} twice"
                if twice
                else "the store's URL has more than namespace and name",
                hint=_FORMS,
                offender=Offender("store", property=twice[0] if twice else "name"),
            )
        return cls.checked(url.scheme, {**url.options, **given})

    @property
    def secret_name(self) -> str:
        """The secret with its passwords."""
        return self.name

    @property
    def claim_name(self) -> str:
        """The claim of its volume."""
        return f"data-{self.name}-0"

    @property
    def pod_name(self) -> str:
        """Its one pod."""
        return f"{self.name}-0"

    def mysql(self, host: str, user: str, password: Secret, *, tls: bool | None) -> MySQLConfig:
        """The settings of the store behind the service."""
        return MySQLConfig(
            host=host,
            port=PORT,
            user=user,
            password=password,
            database=self.database,
            tls=tls,
            text=self.text,
            pool_size=self.pool_size,
            connect_timeout=self.connect_timeout,
            timeout=self.timeout,
            busy_timeout=self.busy_timeout,
        )

    def url(self) -> URL:
        """The service inside the cluster, without who logs in."""
        from sqlalchemy import URL

        host = f"{self.name}.{self.namespace or 'default'}.svc"
        return URL.create(MySQLConfig.DRIVER, host=host, port=PORT, database=self.database)

    def location(self, flavor: str) -> str:
        """The store's URL, for people."""
        told = {
            field: str(value)
            for field in ("context", "database")
            if (value := getattr(self, field)) != type(self).model_fields[field].default
        }
        options = f"?{urlencode(told, quote_via=quote)}" if told else ""
        return f"{flavor}://{self.namespace or ''}/{self.name}{options}"

    def identity(self) -> Hashable:
        """None: only the cluster knows."""
        return None


_UNITS: dict[str, float] = {
    **{unit: 1000 ** (at + 1) for at, unit in enumerate("kMGTPE")},
    **{f"{unit}i": 1024 ** (at + 1) for at, unit in enumerate("KMGTPE")},
    "m": 1e-3,
    "u": 1e-6,
    "n": 1e-9,
    "": 1,
}


def quantity(text: str) -> float:
    """What Kubernetes means by a quantity such as ``10Gi`` or ``100m``."""
    digits = text.rstrip("KMGTPEikmun")
    return float(digits) * _UNITS[text[len(digits) :]]
