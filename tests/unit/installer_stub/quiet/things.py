"""Objects as the API gives them, and looks made of them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from installer_stub.quiet.history import Glimpse
from installer_stub.quiet.look import Look

BEGAN = datetime(2026, 11, 26, 12, 0, 0, tzinfo=UTC).timestamp()  # all times are seconds after it


def stamp(after: float) -> str:
    return datetime.fromtimestamp(BEGAN + after, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def thing(kind: str, name: str = "x", namespace: str = "shop", *, at: float | None = 0.0, api: str = "v1", **more: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace, "uid": f"{kind}/{namespace}/{name}", "resourceVersion": "1", **more.pop("metadata", {})}
    if at is not None:
        metadata["creationTimestamp"] = stamp(min(at, 0.0))
        metadata.setdefault("managedFields", [{"time": stamp(at), "subresource": ""}])
    return {"apiVersion": api, "kind": kind, "metadata": metadata, **more}


def deployment(name: str = "web", available: int = 1, **more: Any) -> dict[str, Any]:
    status = {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "availableReplicas": available}
    return thing("Deployment", name, api="apps/v1", metadata={"generation": 1}, spec={"replicas": 1}, status=status, **more)


def pod(name: str = "web-1", *, owner: dict[str, Any] | None = None, ready: float | None = 0.0, phase: str = "Running", **status: Any) -> dict[str, Any]:
    owners = [] if owner is None else [{"kind": owner["kind"], "name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"], "controller": True}]
    condition = {"type": "Ready", "status": "False"} if ready is None else {"type": "Ready", "status": "True", "lastTransitionTime": stamp(ready)}
    return thing("Pod", name, metadata={"ownerReferences": owners}, spec={}, status={"phase": phase, "startTime": stamp(0), "conditions": [condition], **status})


def crashing(
    name: str = "web-1",
    *,
    owner: dict[str, Any] | None = None,
    restarts: int = 3,
    ran: float = 60.0,
    lasted: float = 1.0,
    status: int = 1,
    reason: str = "Error",
    sandbox: float | None = 0.0,
) -> dict[str, Any]:
    """A pod whose container ran from ``ran`` for ``lasted`` and ended, in a sandbox that is there since ``sandbox`` (None: not there)."""
    last = {"terminated": {"exitCode": status, "reason": reason, "startedAt": stamp(ran), "finishedAt": stamp(ran + lasted)}}
    said = {"name": "main", "restartCount": restarts, "ready": False, "lastState": last, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}
    crashed = pod(name, owner=owner, ready=None, containerStatuses=[said])
    there = {"status": "False"} if sandbox is None else {"status": "True", "lastTransitionTime": stamp(sandbox)}
    crashed["status"]["conditions"].append({"type": "PodReadyToStartContainers", **there})
    return crashed


def lease(name: str = "leader", *, renewed: float = 0.0, lasts: int = 15, holder: str = "operator-1", **more: Any) -> dict[str, Any]:
    spec = {"holderIdentity": holder, "leaseDurationSeconds": lasts, "renewTime": stamp(renewed)}
    return thing("Lease", name, api="coordination.k8s.io/v1", spec=spec, **more)


def custom(conditions: list[dict[str, Any]] | None = None, *, generation: int = 2, **status: Any) -> dict[str, Any]:
    said = {**status, **({"conditions": conditions} if conditions is not None else {})}
    return thing("Database", "main", api="db.example.org/v1", metadata={"generation": generation}, status=said)


def glimpse(name: str, event: str = "e1", namespace: str = "shop") -> Glimpse:
    return Glimpse(event, namespace, name)


def seen(*objects: dict[str, Any], at: float, glimpses: tuple[Glimpse, ...] = (), doubt: str = "") -> Look:
    return Look(BEGAN + at, objects, glimpses, doubt)
