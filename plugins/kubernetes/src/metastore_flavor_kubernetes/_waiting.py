"""Until the one pod is ready; and meanwhile, why it is not, in the cluster's own words."""

from __future__ import annotations

import logging
import time
from typing import Any

from metastore import BusyError, MetastoreError, Offender, StorageError
from metastore.kube.failures import UnreachableError, one_line
from metastore.kube.pods import is_ready, why_not_ready
from metastore_flavor_kubernetes._manifest import CLAIM, JSON, STATEFUL_SET, selector_of
from metastore_flavor_kubernetes._objects import Objects

__all__ = ["wait_until_ready", "why_not"]

_log = logging.getLogger("metastore.service")
_SHORTEST, _LONGEST = 0.1, 2.0
"""Seconds between two looks, first and later."""
_HOPELESS = ("InvalidImageName", "ErrImageNeverPull")
"""Reasons that no waiting takes away."""


def wait_until_ready(objects: Objects) -> None:
    """Return when the pod is ready, of the newest revision.

    Raises
    ------
    StorageError
        It is not within `KubernetesConfig.start_timeout` seconds; the message has the reason.
    """
    deadline = time.monotonic() + objects.config.start_timeout
    pause, last = _SHORTEST, ""
    while True:
        why: str | None
        try:
            why = why_not(objects)
        except (BusyError, UnreachableError) as error:
            # What is made goes on to start while nobody can look.
            why = error.message
        if why is None:
            return
        is_hopeless = any(why.startswith(each) for each in _HOPELESS)
        if is_hopeless or time.monotonic() + pause > deadline:
            raise _not_ready(objects, why, is_hopeless=is_hopeless)
        if why != last:
            _log.info("waiting for pod %s: %s", objects.config.pod_name, why)
            last = why
        time.sleep(pause)
        pause = min(1.5 * pause, _LONGEST)


def _not_ready(objects: Objects, why: str, *, is_hopeless: bool) -> MetastoreError:
    config, namespace = objects.config, objects.namespace
    time_given = "" if is_hopeless else f" after {config.start_timeout:g} s"
    return StorageError(
        f"the pod {config.pod_name!r} in namespace {namespace!r} is not ready{time_given}: {why}",
        hint=_hint_of(why, objects),
        offender=Offender("pod", name=config.pod_name),
    )


def _hint_of(why: str, objects: Objects) -> str:
    config, namespace = objects.config, objects.namespace
    lower = why.lower()
    if "image" in lower:
        return "check the setting image, and whether the nodes reach its registry"
    if "quota" in lower:
        return "ask for less (memory_request, cpu_request, storage_size), or have the quota raised"
    if "insufficient" in lower or "node(s)" in lower or "unschedulable" in lower:
        return "check memory_request, cpu_request, node_selector, tolerations and storage_class"
    if "crashloop" in lower or "error of container" in lower or "exit code" in lower:
        return f"kubectl logs {config.pod_name} -n {namespace} --previous says why it ended"
    return (
        f"kubectl describe pod {config.pod_name} -n {namespace} says more; what is made stays, and"
        " 'metastore store up' goes on from there"
    )


def _find_pod(objects: Objects) -> JSON | None:
    """The pod; None where there is none."""
    selector = ",".join(f"{key}={value}" for key, value in selector_of(objects.config).items())
    path = f"/api/v1/namespaces/{objects.namespace}/pods"
    found = objects.cluster.request("GET", path, query={"labelSelector": selector})["items"]
    name = objects.config.pod_name
    return next((each for each in found if each["metadata"]["name"] == name), None)


def why_not(objects: Objects) -> str | None:
    """Why the pod is not ready; None where it is."""
    owner = objects.read(STATEFUL_SET)
    if owner is None:
        return "the stateful set is gone"
    status = owner.get("status") or {}
    pod = _find_pod(objects)
    if pod is None:
        return _of_event(objects, owner) or "it is not made yet"
    if status.get("observedGeneration", 0) < owner["metadata"].get("generation", 0):
        return "the cluster has not taken notice of the change yet"
    revision = pod["metadata"].get("labels", {}).get("controller-revision-hash")
    if revision and status.get("updateRevision", revision) != revision:
        return "it is about to be replaced by one of the new settings"
    if is_ready(pod):
        return None
    reasons: list[str | None] = [why_not_ready(pod), _of_last_end(pod), _of_event(objects, pod)]
    if (pod.get("status") or {}).get("phase") == "Pending":
        claim = objects.read(CLAIM)
        reasons.append(None if claim is None else _of_event(objects, claim))
    return "; ".join(dict.fromkeys(filter(None, reasons)))


def _of_last_end(pod: JSON) -> str | None:
    """How its container ended the last time."""
    for each in (pod.get("status") or {}).get("containerStatuses") or []:
        ended = (each.get("lastState") or {}).get("terminated")
        if ended:
            reason = ended.get("reason") or "Error"
            return f"it ended with exit code {ended.get('exitCode')} ({reason})"
    return None


def _of_event(objects: Objects, about: JSON) -> str | None:
    """The newest warning about an object."""
    query = {"fieldSelector": f"involvedObject.name={about['metadata']['name']}"}
    path = f"/api/v1/namespaces/{objects.namespace}/events"
    try:
        events = objects.cluster.request("GET", path, query=query)["items"]
    except MetastoreError:
        # They are for the message alone; without the right to see them it has less to say.
        return None
    uid = about["metadata"].get("uid")
    warnings = [
        each
        for each in events
        # Those of a former one of the same name are over.
        if each.get("type") == "Warning" and each["involvedObject"].get("uid") in (None, uid)
    ]
    if not warnings:
        return None
    newest = max(warnings, key=_time_of)
    return one_line(f"{newest.get('reason', 'Warning')}: {newest.get('message', '')}")


def _time_of(event: dict[str, Any]) -> str:
    times = (event.get(key) for key in ("eventTime", "lastTimestamp", "firstTimestamp"))
    # Of one form, so that the later one is the greater text.
    return str(next(filter(None, times), event["metadata"].get("creationTimestamp", "")))
