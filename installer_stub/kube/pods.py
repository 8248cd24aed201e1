"""Pods as kubectl prints them: whose they are, and what they wait for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

Object = Mapping[str, Any]
_STATUSES = ("initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses")
# While one of these is the reason nothing is wrong yet.
_STARTING = frozenset({"ContainerCreating", "PodInitializing"})
_PULLING = frozenset({"ErrImagePull", "ImagePullBackOff"})
_NEVER = frozenset({"InvalidImageName", "ErrImageNeverPull"})  # kubelet does not even ask a registry


def container_statuses(pod: Object) -> Iterator[Object]:
    """Yield every container's status: init, ordinary and ephemeral."""
    status = pod.get("status") or {}
    for field in _STATUSES:
        yield from status.get(field) or []


def ready_condition(item: Object) -> Object | None:
    """Return the condition of type Ready, of a pod or a node."""
    return condition_of(item, "Ready")


def condition_of(item: Object, kind: str) -> Object | None:
    """Return the condition of type ``kind``."""
    conditions = (item.get("status") or {}).get("conditions") or []
    return next((condition for condition in conditions if condition.get("type") == kind), None)


def _owned_by(item: Object, uid: object) -> bool:
    return any(owner.get("uid") == uid for owner in item["metadata"].get("ownerReferences") or [])


def pods_of(owner: Object, items: Sequence[Object]) -> list[Object]:
    """Return the pods that belong to ``owner``, directly or through its ReplicaSets; a pod belongs to itself."""
    if owner.get("kind") == "Pod":
        return [owner]
    uid = owner["metadata"].get("uid")
    if uid is None:
        return []
    between = [item["metadata"].get("uid") for item in items if item.get("kind") == "ReplicaSet" and _owned_by(item, uid)]
    return [
        item
        for item in items
        if item.get("kind") == "Pod" and any(_owned_by(item, each) for each in (uid, *between) if each is not None)
    ]


def _container_reason(status: Object) -> str:
    state = status.get("state") or {}
    waiting = state.get("waiting") or {}
    if waiting and waiting.get("reason") not in _STARTING:
        message = " ".join(str(waiting.get("message") or "").split())[:300]
        return f"container {status.get('name')} waits: {waiting.get('reason', '')}{f' ({message})' if message else ''}"
    ended = state.get("terminated") or {}
    if ended and int(ended.get("exitCode") or 0) != 0:
        return f"container {status.get('name')} ended with {ended.get('exitCode')} ({ended.get('reason', '')})"
    return ""


def pod_reason(pod: Object) -> str:
    """Return what keeps a pod from being ready, or an empty text when it is, or has done its work."""
    status = pod.get("status") or {}
    if status.get("phase") == "Succeeded":
        return ""
    condition = ready_condition(pod)
    if condition is not None and condition.get("status") == "True":
        return ""
    for each in container_statuses(pod):
        reason = _container_reason(each)
        if reason:
            return reason
    scheduled = condition_of(pod, "PodScheduled")
    if scheduled is not None and scheduled.get("status") == "False":
        return f"not scheduled: {scheduled.get('message') or scheduled.get('reason')}"
    for each in container_statuses(pod):
        if (each.get("state") or {}).get("running") and not each.get("ready"):
            return f"container {each.get('name')} runs but is not ready"
    phase = status.get("phase", "Unknown")
    return "its containers are being made" if phase == "Pending" and status.get("conditions") else f"phase {phase}"


def cannot_pull(pod: Object) -> bool:
    """Tell whether a container waits for an image that is not there: no registry of the site has it, so none ever will."""
    return any(map(_is_lacking, container_statuses(pod)))


def lacking_images(pod: Object) -> tuple[str, ...]:
    """Return the images that ``cannot_pull`` is about, as the pod names them."""
    names = {str(status.get("name")) for status in container_statuses(pod) if _is_lacking(status)}
    spec = pod.get("spec") or {}
    containers = [each for field in ("initContainers", "containers", "ephemeralContainers") for each in spec.get(field) or []]
    return tuple(str(each.get("image")) for each in containers if str(each.get("name")) in names)


def _is_lacking(status: Object) -> bool:
    waiting = (status.get("state") or {}).get("waiting") or {}
    if waiting.get("reason") in _NEVER:
        return True
    return waiting.get("reason") in _PULLING and "code = NotFound" in str(waiting.get("message") or "")


def latest_warning(events: Iterable[Object], kind: str, namespace: str, name: str) -> str:
    """Return the last warning about one object: ``Reason: message``, or an empty text."""
    about = [
        event
        for event in events
        if event.get("type") == "Warning"
        and (event.get("involvedObject") or {}).get("kind") == kind
        and (event.get("involvedObject") or {}).get("name") == name
        and (event.get("involvedObject") or {}).get("namespace", "") == namespace
    ]
    if not about:
        return ""
    last = max(about, key=_when)
    return f"{last.get('reason', '')}: {' '.join(str(last.get('message') or '').split())[:400]}"


def _when(event: Object) -> str:
    # RFC 3339 in UTC sorts as text. Newer recorders fill eventTime, older ones lastTimestamp.
    series = event.get("series") or {}
    created = event["metadata"].get("creationTimestamp") if "metadata" in event else ""
    return str(series.get("lastObservedTime") or event.get("lastTimestamp") or event.get("eventTime") or created or "")
