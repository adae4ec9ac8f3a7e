"""The same objects as YAML files, for tools that keep them in git."""

from __future__ import annotations

from typing import Any

from metastore_flavor_kubernetes._manifest import (
    CLAIM,
    SECRET,
    USER,
    Kind,
    applied_of,
    claim,
    labels_of,
    object_of,
    secret,
)
from metastore_flavor_kubernetes.config import KubernetesConfig

__all__ = ["files_of"]

_PLACEHOLDER = "<made by 'metastore store up', or by you; never kept in git>"
_OF_SECRET = """\
# The passwords are not here. As it stands this is refused: the placeholders are no base64. Either
# 'metastore store up' makes the secret, once, or you do, and leave this file out:
#   kubectl create secret generic {name}{namespace} --from-literal=username={user} \\
#     --from-file=password=<(openssl rand -hex 24 | tr -d '\\n') \\
#     --from-file=root-password=<(openssl rand -hex 24 | tr -d '\\n')
#   kubectl label secret {name}{namespace} {labels}
# What is changed in it later is not changed in the database.
"""


def files_of(config: KubernetesConfig) -> dict[str, str]:
    """A file for each object, in the order in which they are to be applied."""
    # What the client of Kubernetes brings; it takes its time.
    import yaml

    namespace = config.namespace
    passwords = dict.fromkeys(("username", "password", "root-password"), _PLACEHOLDER)
    objects: dict[Kind, dict[str, Any]] = {
        SECRET: secret(config, namespace, passwords),
        CLAIM: claim(
            config, namespace, size=config.storage_size, storage_class=config.storage_class
        ),
        **{kind: object_of(kind, config, namespace) for kind in applied_of(config)},
    }
    return {
        f"{kind.kind.lower()}.yaml": (_about_secret(config) if kind is SECRET else "")
        + yaml.safe_dump(each, sort_keys=False, allow_unicode=True)
        for kind, each in objects.items()
    }


def _about_secret(config: KubernetesConfig) -> str:
    return _OF_SECRET.format(
        name=config.secret_name,
        namespace=f" --namespace={config.namespace}" if config.namespace else "",
        user=USER,
        labels=" ".join(f"{key}={value}" for key, value in labels_of(config).items()),
    )
