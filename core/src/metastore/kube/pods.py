"""Which pods stand behind a service, and why one of them is not ready: plain functions on JSON."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from metastore.errors import InvalidError, MetastoreError, Offender, OpenError, StorageError
from metastore.kube.failures import one_line

__all__ = ["is_ready", "no_ready_pod", "pod_port", "selector_of", "target_port", "why_not_ready"]

JSON = dict[str, Any]


def selector_of(service: JSON, namespace: str) -> str:
    """The selector of a service's pods, as a query writes it."""
    name = service["metadata"]["name"]
    selector = service.get("spec", {}).get("selector")
    if not selector:
        raise OpenError(
            f"the service {name!r} in namespace {namespace!r} has no selector, and so no pods",
            hint="a port-forward needs a pod: name another service",
            offender=Offender("service", name=name),
        )
    return ",".join(f"{key}={value}" for key, value in sorted(selector.items()))


def is_ready(pod: JSON) -> bool:
    """Whether it answers and will go on to."""
    conditions = pod.get("status", {}).get("conditions") or []
    return "deletionTimestamp" not in pod["metadata"] and any(
        each["type"] == "Ready" and each["status"] == "True" for each in conditions
    )


def why_not_ready(pod: JSON) -> str:
    """In the cluster's own words: ``ImagePullBackOff``, ``Unschedulable`` ..."""
    status = pod.get("status", {})
    if "deletionTimestamp" in pod["metadata"]:
        return "Terminating"
    containers = [
        *(status.get("initContainerStatuses") or []),
        *(status.get("containerStatuses") or []),
    ]
    for kind in ("waiting", "terminated"):
        for each in containers:
            state = (each.get("state") or {}).get(kind) or {}
            # An init container that ended well is no reason.
            if state.get("reason") and state.get("exitCode") != 0:
                return f"{state['reason']} of container {each['name']}"
    for each in status.get("conditions") or []:
        if each["type"] == "PodScheduled" and each["status"] != "True" and each.get("reason"):
            said = one_line(each.get("message") or "")
            return f"{each['reason']}: {said}" if said else str(each["reason"])
    if status.get("reason"):
        return str(status["reason"])
    if status.get("phase") != "Running":
        return str(status.get("phase") or "Unknown")
    return "its readiness probe fails, or has not succeeded yet"


def no_ready_pod(pods: Iterable[JSON], whose: str, namespace: str) -> MetastoreError:
    """The error for when none of them is ready; there may be none at all."""
    pods = list(pods)
    place = f"{whose} in namespace {namespace!r}"
    if not pods:
        return StorageError(
            f"there is no pod of {place}",
            hint="is it scaled to zero? kubectl get deployments,statefulsets,events"
            f" -n {namespace} says more",
        )
    reasons = "; ".join(f"{each['metadata']['name']}: {why_not_ready(each)}" for each in pods[:3])
    more = f"; and {len(pods) - 3} more" if len(pods) > 3 else ""
    return StorageError(
        f"no pod of {place} is ready ({reasons}{more})",
        hint=f"kubectl describe pod {pods[0]['metadata']['name']} -n {namespace} says more",
    )


def target_port(service: JSON, port: int | str, namespace: str) -> int | str:
    """Where a port of a service, by number or name, leads: a pod's port, by number or name."""
    ports = service.get("spec", {}).get("ports") or []
    for each in ports:
        if port in (each["port"], each.get("name")):
            target = each.get("targetPort")
            # 0 and the empty text stand for "none given".
            return target if isinstance(target, (int, str)) and target else int(each["port"])
    name = service["metadata"]["name"]
    known = ", ".join(
        f"{each['port']} ({each['name']})" if each.get("name") else str(each["port"])
        for each in ports
    )
    raise InvalidError(
        f"the service {name!r} in namespace {namespace!r} has no port {port!r}",
        hint=f"ports of it: {known or 'none'}",
        offender=Offender("service", name=name, property="port"),
    )


def pod_port(pod: JSON, port: int | str) -> int:
    """A port of a pod, by number or by the name that a container gives it."""
    if isinstance(port, int):
        return port
    spec = pod["spec"]
    known = [
        each
        # A sidecar is an init container that goes on running.
        for container in [*spec["containers"], *(spec.get("initContainers") or [])]
        for each in container.get("ports") or []
    ]
    for each in known:
        if each.get("name") == port:
            return int(each["containerPort"])
    name = pod["metadata"]["name"]
    names = ", ".join(str(each["name"]) for each in known if each.get("name"))
    raise InvalidError(
        f"no container of the pod {name!r} has a port called {port!r}",
        hint=f"ports with a name: {names or 'none'}",
        offender=Offender("pod", name=name, property="port"),
    )
