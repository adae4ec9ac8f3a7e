"""What a stand-in API server refuses of objects: what the flavors' mistakes would be, and no more.

The texts are those of kube-apiserver 1.20.2, as far as they concern us.
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .resources import JSON, Where

__all__ = ["changes_refused", "contents_refused"]


def contents_refused(where: Where, made: JSON) -> str | None:
    """Why a new object is no good; a secret's text is turned into data on the way."""
    if where.kind.resource != "secrets":
        return None
    data = made.setdefault("data", {})
    for key, text in made.pop("stringData", {}).items():
        data[key] = base64.b64encode(text.encode()).decode()
    for text in data.values():
        try:
            base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            return "illegal base64 data at input byte 0"
    return None


def changes_refused(where: Where, old: JSON, new: JSON) -> tuple[str, str] | None:
    """The field that may not be changed so, and why; None where all is well."""
    before, after = old.get("spec") or {}, new.get("spec") or {}
    match where.kind.resource:
        case "secrets" if old.get("immutable") and new.get("data") != old.get("data"):
            return "data", "Forbidden: field is immutable when `immutable` is set"
        case "statefulsets" if _but(before, _FREE) != _but(after, _FREE):
            return (
                "spec",
                "Forbidden: updates to statefulset spec for fields other than 'replicas',"
                " 'template', and 'updateStrategy' are forbidden",
            )
        case "persistentvolumeclaims" if before != after:
            return _of_claim(old, before, after)
        case "services" if before.get("clusterIP") != after.get("clusterIP"):
            return "spec.clusterIP", "Invalid value: field is immutable"
    return None


_FREE = ("replicas", "template", "updateStrategy")


def _but(spec: JSON, names: tuple[str, ...]) -> JSON:
    return {key: value for key, value in spec.items() if key not in names}


def _of_claim(old: JSON, before: JSON, after: JSON) -> tuple[str, str] | None:
    bound = (old.get("status") or {}).get("phase") == "Bound"
    if not bound or _but(before, ("resources",)) != _but(after, ("resources",)):
        return (
            "spec",
            "Forbidden: spec is immutable after creation except resources.requests for bound"
            " claims",
        )
    if _bytes(after) < _bytes(before):
        return (
            "spec.resources.requests.storage",
            "Forbidden: field can not be less than previous value",
        )
    return None


def _bytes(spec: JSON) -> int:
    text: Any = spec["resources"]["requests"]["storage"]
    units = {"Ki": 1024, "Mi": 1024**2, "Gi": 1024**3, "Ti": 1024**4}
    return int(text[:-2]) * units[text[-2:]]
