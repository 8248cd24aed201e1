"""What is not ready in a cluster, and why: pure functions over what ``kubectl get -o json`` prints.

``unready(objects, events)`` is the whole of it. A thing that can never become ready has ``failed`` set: waiting for it
would only hide the reason.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from installer_stub.kube.pods import cannot_pull, latest_warning, pod_reason, pods_of, ready_condition

Object = Mapping[str, Any]
# One request for all of them: one look at one moment.
KINDS: Final = (
    "nodes,deployments,statefulsets,daemonsets,replicasets,jobs,pods,persistentvolumeclaims,storageclasses"
)
# Pods of these are judged through their owner.
_CONTROLLERS: Final = frozenset({"ReplicaSet", "StatefulSet", "DaemonSet", "Job", "ReplicationController"})
# containerd's words in a pod's event, and those of the API server's admission in its controller's.
_NO_RUNTIME: Final = re.compile(r'no runtime for "[^"]*" is configured|RuntimeClass "[^"]*" not found')


@dataclass(frozen=True, slots=True)
class Unready:
    """One thing that is not ready. ``pod`` is the one to look at, ``event`` the last warning about it."""

    kind: str
    namespace: str
    name: str
    reason: str
    pod: str = ""
    event: str = ""
    failed: bool = False

    def __str__(self) -> str:
        where = f"{self.namespace}/{self.name}" if self.namespace else self.name
        pod = f"; pod {self.pod}" if self.pod and self.pod != self.name else ""
        event = f"; last event: {self.event}" if self.event else ""
        return f"{self.kind} {where}: {self.reason}{pod}{event}"

    @property
    def remedy(self) -> str:
        """What to look at, or to do where the event says it all."""
        if _NO_RUNTIME.search(self.event):
            return "its runtime class is for no host here: let a DaemonSet of the application bring the handler, or take runtimeClassName out"
        if self.pod:
            return f"kubectl -n {self.namespace} describe pod {self.pod}; kubectl -n {self.namespace} logs {self.pod}"
        scope = f"-n {self.namespace} " if self.namespace else ""
        return f"kubectl {scope}describe {self.kind.lower()} {self.name}"


def _spec(item: Object) -> Object:
    return item.get("spec") or {}


def _status(item: Object) -> Object:
    return item.get("status") or {}


def _name(item: Object) -> str:
    return str(item["metadata"]["name"])


def _namespace(item: Object) -> str:
    return str(item["metadata"].get("namespace", ""))


def _controller(item: Object) -> Object | None:
    owners = item["metadata"].get("ownerReferences") or []
    return next((owner for owner in owners if owner.get("controller")), owners[0] if owners else None)


def _count(status: Object, field: str) -> int:
    return int(status.get(field) or 0)  # the API leaves zeros out


def _unseen(item: Object) -> bool:
    """Tell whether the controller has not yet looked at the newest spec: then its status is about another one."""
    return _count(_status(item), "observedGeneration") < int(item["metadata"].get("generation") or 0)


def deployment_reason(item: Object) -> str:
    """Return why a Deployment is not ready, or an empty text."""
    spec, status = _spec(item), _status(item)
    wanted = int(spec.get("replicas", 1))
    if _unseen(item):
        return "its controller has not seen it yet"
    for condition in status.get("conditions") or []:
        if condition.get("reason") == "ProgressDeadlineExceeded":
            return "no progress within its deadline"
    updated, available = _count(status, "updatedReplicas"), _count(status, "availableReplicas")
    if updated < wanted:
        return f"{updated} of {wanted} pods made"
    if _count(status, "replicas") > updated:
        return f"{_count(status, 'replicas') - updated} old pods still to end"
    return f"{available} of {wanted} pods ready" if available < wanted else ""


def stateful_set_reason(item: Object) -> str:
    """Return why a StatefulSet is not ready, or an empty text."""
    spec, status = _spec(item), _status(item)
    wanted = int(spec.get("replicas", 1))
    if _unseen(item):
        return "its controller has not seen it yet"
    ready = _count(status, "readyReplicas")
    if ready < wanted:
        return f"{ready} of {wanted} pods ready"
    strategy = spec.get("updateStrategy") or {}
    if strategy.get("type", "RollingUpdate") != "RollingUpdate":
        return ""
    partition = int((strategy.get("rollingUpdate") or {}).get("partition") or 0)
    due = max(wanted - partition, 0)
    updated = _count(status, "updatedReplicas")
    if status.get("updateRevision") == status.get("currentRevision"):
        return ""
    return f"{updated} of {due} pods updated" if updated < due else ""


def daemon_set_reason(item: Object) -> str:
    """Return why a DaemonSet is not ready, or an empty text."""
    spec, status = _spec(item), _status(item)
    if _unseen(item):
        return "its controller has not seen it yet"
    wanted = _count(status, "desiredNumberScheduled")
    rolling = (spec.get("updateStrategy") or {}).get("type", "RollingUpdate") == "RollingUpdate"
    updated = _count(status, "updatedNumberScheduled")
    if rolling and updated < wanted:
        return f"{updated} of {wanted} pods updated"
    ready = min(_count(status, "numberReady"), _count(status, "numberAvailable"))
    return f"{ready} of {wanted} pods ready" if ready < wanted else ""


def replica_set_reason(item: Object) -> str:
    """Return why a ReplicaSet that no Deployment owns is not ready, or an empty text."""
    if _controller(item) is not None:
        return ""
    wanted, ready = int(_spec(item).get("replicas", 1)), _count(_status(item), "readyReplicas")
    if _unseen(item):
        return "its controller has not seen it yet"
    return f"{ready} of {wanted} pods ready" if ready < wanted else ""


def job_reason(item: Object) -> tuple[str, bool]:
    """Return why a Job is not complete, and whether it has failed for good. A CronJob's jobs come and go: not counted."""
    owner = _controller(item)
    if (owner is not None and owner.get("kind") == "CronJob") or _spec(item).get("suspend"):
        return "", False
    conditions = {str(each.get("type")): each for each in _status(item).get("conditions") or [] if each.get("status") == "True"}
    if "Complete" in conditions:
        return "", False
    if "Failed" in conditions:
        failed = conditions["Failed"]
        return f"failed: {failed.get('reason', '')} {failed.get('message', '')}".rstrip(), True
    return f"{_count(_status(item), 'succeeded')} of {int(_spec(item).get('completions') or 1)} completions", False


def node_reason(item: Object) -> str:
    """Return why a node is not ready, or an empty text."""
    condition = ready_condition(item)
    if condition is None:
        return "has not reported yet"
    return "" if condition.get("status") == "True" else str(condition.get("message") or condition.get("reason") or "not ready")


def bare_pod_reason(pod: Object) -> str:
    """Return why a pod that no controller looks after is not ready, or an empty text. One that has ended stays as it is."""
    owner = _controller(pod)
    if owner is not None and owner.get("kind") in _CONTROLLERS:
        return ""
    phase = _status(pod).get("phase")
    if phase == "Succeeded" or has_failed(pod):
        return ""
    if phase == "Failed":
        return pod_reason(pod) or "failed"  # whose owner makes it anew
    if pod["metadata"].get("deletionTimestamp"):
        return "is being deleted"
    condition = ready_condition(pod)
    ready = condition is not None and condition.get("status") == "True"
    return "" if ready else pod_reason(pod) or "not ready"


def has_failed(pod: Object) -> bool:
    """Tell whether a pod has failed that belongs to nobody: a test's, a command's. Nothing will change it, and nothing waits for it."""
    return pod.get("kind") == "Pod" and _status(pod).get("phase") == "Failed" and _controller(pod) is None


def failed_pods(objects: Iterable[Object]) -> tuple[Unready, ...]:
    """Return the pods that have failed and belong to nobody, to be told."""
    return tuple(Unready("Pod", _namespace(pod), _name(pod), pod_reason(pod) or "failed", _name(pod)) for pod in objects if has_failed(pod))


def claim_reason(claim: Object, pods: Sequence[Object], classes: Iterable[Object]) -> tuple[str, bool]:
    """Return why a PersistentVolumeClaim is not bound, and whether its volume is lost."""
    phase = _status(claim).get("phase")
    if phase == "Bound":
        return "", False
    if phase == "Lost":
        return "its volume is lost", True
    class_name = _spec(claim).get("storageClassName")
    found = next((each for each in classes if _name(each) == class_name), None)
    used = any(
        (volume.get("persistentVolumeClaim") or {}).get("claimName") == _name(claim)
        for pod in pods
        if _namespace(pod) == _namespace(claim)
        for volume in _spec(pod).get("volumes") or []
    )
    if found is not None and found.get("volumeBindingMode") == "WaitForFirstConsumer" and not used:
        return "", False  # pending is its right state until a pod wants it
    missing = f"storage class {class_name} does not exist" if class_name and found is None else "no volume is bound"
    return missing, False


_SIMPLE: Final[Mapping[str, Callable[[Object], str]]] = {
    "Deployment": deployment_reason,
    "StatefulSet": stateful_set_reason,
    "DaemonSet": daemon_set_reason,
    "ReplicaSet": replica_set_reason,
    "Node": node_reason,
    "Pod": bare_pod_reason,
}


def unready(objects: Iterable[Object], events: Iterable[Object] = ()) -> tuple[Unready, ...]:
    """Return everything in ``objects`` (items of all KINDS) that is not ready; nothing means the cluster is."""
    items, warnings = tuple(objects), tuple(events)
    pods = [item for item in items if item.get("kind") == "Pod"]
    classes = [item for item in items if item.get("kind") == "StorageClass"]
    found: list[Unready] = []
    for item in items:
        kind = str(item.get("kind"))
        reason, failed = "", False
        if kind in _SIMPLE:
            reason = _SIMPLE[kind](item)
        elif kind == "Job":
            reason, failed = job_reason(item)
        elif kind == "PersistentVolumeClaim":
            reason, failed = claim_reason(item, pods, classes)
        if reason:
            found.append(_explained(item, reason, failed, items, warnings))
    return tuple(found)


def _explained(item: Object, reason: str, failed: bool, items: Sequence[Object], warnings: Sequence[Object]) -> Unready:  # noqa: FBT001
    """Say which pod is behind it, what its containers wait for, and what the cluster last warned about."""
    kind, namespace, name = str(item["kind"]), _namespace(item), _name(item)
    waiting = [pod for pod in pods_of(item, items) if pod_reason(pod)]
    worst = next((pod for pod in waiting if cannot_pull(pod)), waiting[0] if waiting else None)
    pod = "" if worst is None else _name(worst)
    event = latest_warning(warnings, "Pod", namespace, pod) if pod else ""
    event = event or latest_warning(warnings, kind, namespace, name)
    if worst is not None and kind != "Pod":
        reason = f"{reason}: {pod_reason(worst)}"
    failed = failed or (worst is not None and cannot_pull(worst))
    return Unready(kind, namespace, name, reason, pod, event, failed)
