"""Crash loops: which of them nothing will end. Pure.

An application that begins before its database crashes a few times and is right to: kubelet starts it again. What is final is a
container that crashed again although everything else was there already. A host that goes down ends its containers too, and
kubelet counts those restarts as well: only ends in the pod's present sandbox are the container's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from installer_stub.kube.pods import condition_of, container_statuses, ready_condition
from installer_stub.quiet.times import seconds

Object = Mapping[str, Any]
RESTARTS: Final = 3  # kubelet waits 10, 20, 40 s between them
GRACE: Final = 120.0  # seconds after which fewer are enough
MOST: Final = 300.0  # seconds: kubelet's longest wait; past it, whatever else waits will not help
LONG: Final = 600.0  # seconds: what ran for so long is no loop, and kubelet starts it again at once (its backoff lapses after twice the longest wait)
_LOST: Final = frozenset({"Unknown", "ContainerStatusUnknown"})  # ends that the runtime or kubelet made up: nobody saw one
_REACHED: Final = 5.0  # seconds until a service that is ready is known on every host


@dataclass(frozen=True, slots=True)
class Crash:
    """A container that nothing will keep from crashing."""

    namespace: str
    pod: str
    container: str
    restarts: int
    status: int

    def __str__(self) -> str:
        return f"container {self.container} crashed {self.restarts + 1} times, with status {self.status} at last, and nothing it could wait for is missing"


def final_crashes(objects: Iterable[Object], now: float, *, coming: bool) -> tuple[Crash, ...]:
    """Return the containers whose crashes are final. ``coming``: something else is on its way that may be what they miss."""
    items = tuple(objects)
    pods = [item for item in items if item.get("kind") == "Pod"]
    looping = [pod for pod in pods if any(_loops(pod, now))]
    others = [pod for pod in pods if pod not in looping]
    settled = max((since for pod in others if (since := _ready_since(pod)) is not None), default=0.0)
    works = any(item.get("kind") == "Job" and (item.get("status") or {}).get("active") for item in items)
    found = []
    for pod in looping:
        age = now - (_begun(pod) or now)
        for status in _loops(pod, now):
            ended = _last_end(status)
            after = (seconds(ended.get("startedAt")) or 0.0) >= settled + _REACHED
            if (after and not coming) or (age >= MOST and not works):
                metadata = pod["metadata"]
                found.append(
                    Crash(str(metadata.get("namespace", "")), str(metadata["name"]), str(status.get("name")), int(status.get("restartCount") or 0), int(ended.get("exitCode") or 0))
                )
    return tuple(found)


def _loops(pod: Object, now: float) -> Iterator[Object]:
    """Return the containers that are in a loop. A Job counts its own failures, and ends by itself."""
    begun = _begun(pod)
    if begun is None or any(owner.get("kind") == "Job" for owner in pod["metadata"].get("ownerReferences") or []):
        return
    for status in container_statuses(pod):
        restarts = int(status.get("restartCount") or 0)
        # A sandbox that came much later than the pod may be its second, and the count then has the host's restarts: only time tells.
        counted = restarts >= RESTARTS and begun - (_started(pod) or begun) < GRACE
        if (counted or (restarts > 0 and now - begun >= GRACE)) and _is_down(status) and _is_own(_last_end(status), begun):
            yield status


def _is_down(status: Object) -> bool:
    """Tell whether a container has crashed and waits for its next start: kubelets say so by the wait, or (v1.36) leave the end as its state."""
    state = status.get("state") or {}
    ended = state.get("terminated") or {}
    return (state.get("waiting") or {}).get("reason") == "CrashLoopBackOff" or bool(ended.get("exitCode"))


def _is_own(ended: Object, begun: float) -> bool:
    """Tell whether an end was a container's own, soon after its start: not that of its host, nor of its sandbox."""
    started, finished = seconds(ended.get("startedAt")), seconds(ended.get("finishedAt"))
    if ended.get("reason") in _LOST or started is None or started < begun:
        return False
    return finished is None or finished - started < LONG


def _last_end(status: Object) -> Object:
    return (status.get("state") or {}).get("terminated") or (status.get("lastState") or {}).get("terminated") or {}


def crashing_pods(objects: Iterable[Object], now: float) -> frozenset[tuple[str, str]]:
    """Return namespace and name of every pod in which a container is in a loop, final or not."""
    pods = (item for item in objects if item.get("kind") == "Pod")
    return frozenset((str(pod["metadata"].get("namespace", "")), str(pod["metadata"]["name"])) for pod in pods if any(_loops(pod, now)))


def _started(pod: Object) -> float | None:
    return seconds((pod.get("status") or {}).get("startTime"))


def _begun(pod: Object) -> float | None:
    """Return since when the pod's present sandbox is there, or None where it has none: its containers are about to be made.

    https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-ready-to-start-containers; without the condition, the pod's start.
    """
    condition = condition_of(pod, "PodReadyToStartContainers")
    if condition is None:
        return _started(pod)
    return seconds(condition.get("lastTransitionTime")) if condition.get("status") == "True" else None


def _ready_since(pod: Object) -> float | None:
    condition = ready_condition(pod)
    return seconds(condition.get("lastTransitionTime")) if condition is not None and condition.get("status") == "True" else None


def crash_of(crashes: Sequence[Crash], pods: Iterable[Object]) -> Crash | None:
    """Return the first crash in one of ``pods``."""
    names = {(str(pod["metadata"].get("namespace", "")), str(pod["metadata"]["name"])) for pod in pods}
    return next((each for each in crashes if (each.namespace, each.pod) in names), None)
