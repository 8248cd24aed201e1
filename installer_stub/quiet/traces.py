"""Trace: what is compared of an object from one look to the next. Pure.

Whatever only says "I am still here" is no change: a lease's renewTime, a node's heartbeat, the leader annotation of older
elections, times in a status. What a CronJob makes comes and goes by the clock and is none either, nor what kubelet notes of a
pod's resources: it is the spec's echo, and comes a minute after everything else, with its next look at the pod.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from installer_stub.quiet.times import STAMP, seconds

Object = Mapping[str, Any]
LEADER: Final = "control-plane.alpha.kubernetes.io/leader"
_ECHO: Final = frozenset({"resources", "allocatedResources"})  # of a pod's status and its containers' (KEP 1287, KEP 2837)
# Their status says again and again the same, with other numbers; what they want of others shows in those.
_MEASURING: Final = frozenset({"HorizontalPodAutoscaler", "CronJob", "ResourceQuota", "CertificateSigningRequest"})


@dataclass(frozen=True, slots=True)
class Trace:
    """One object at one look. Times in seconds since the epoch."""

    kind: str
    namespace: str
    name: str
    generation: int
    state: str  # a hash of whatever else is a change when it changes
    written: float | None  # when it changed last, as the API wrote it down; None: it did not

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


def traces(objects: Iterable[Object]) -> dict[str, Trace]:
    """Return what to compare, by uid. What has none, as measurements that an API makes up, is not kept anywhere: it cannot change."""
    items = [item for item in objects if item["metadata"].get("uid")]
    ticking = _ticking(items)
    return {str(item["metadata"]["uid"]): _trace(item) for item in items if item["metadata"]["uid"] not in ticking}


def _trace(item: Object) -> Trace:
    metadata = item["metadata"]
    return Trace(
        str(item.get("kind")),
        str(metadata.get("namespace") or ""),
        str(metadata["name"]),
        int(metadata.get("generation") or 0),
        _hash(_state(item)),
        _written(item),
    )


def _ticking(items: Iterable[Object]) -> frozenset[object]:
    """Return the uids of what CronJobs have made, down to the pods."""
    owned: dict[object, list[object]] = {}
    ticking: list[object] = []
    for item in items:
        for owner in item["metadata"].get("ownerReferences") or []:
            owned.setdefault(owner.get("uid"), []).append(item["metadata"]["uid"])
            if owner.get("kind") == "CronJob":
                ticking.append(item["metadata"]["uid"])
    for uid in ticking:  # grows while it is walked: Jobs, then their pods
        ticking += [each for each in owned.get(uid, []) if each not in ticking]
    return frozenset(ticking)


def _state(item: Object) -> object:
    kind, metadata = item.get("kind"), item["metadata"]
    leaving = bool(metadata.get("deletionTimestamp"))
    if kind == "Lease":
        return (item.get("spec") or {}).get("holderIdentity")
    if kind == "Node":
        conditions = [(each.get("type"), each.get("status")) for each in (item.get("status") or {}).get("conditions") or []]
        return [item.get("spec"), metadata.get("labels"), conditions, leaving]
    if (leader := election(item)) is not None:
        return leader.get("holderIdentity")
    if kind in _MEASURING:
        return leaving
    if metadata.get("generation") or kind == "Pod":
        status = item.get("status")
        return [_without_times(_without_echo(status) if kind == "Pod" else status), leaving]
    return metadata.get("resourceVersion")


def election(item: Object) -> Object | None:
    """Return what an older leader election wrote into an annotation of ``item``, or None where there is none."""
    text = (item["metadata"].get("annotations") or {}).get(LEADER)
    if not text:
        return None
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _written(item: Object) -> float | None:
    """Return when it changed last: the API notes the time of every write that sets a field, by who wrote it.

    Of what nobody has ever set a field there is no note, as of most ServiceAccounts: it is as it was made.
    """
    metadata = item["metadata"]
    created = seconds(metadata.get("creationTimestamp"))
    if item.get("kind") == "Lease" or item.get("kind") in _MEASURING or election(item) is not None:
        return created
    notes = [each for each in metadata.get("managedFields") or [] if not (item.get("kind") == "Node" and each.get("subresource") == "status")]
    times = [time for each in notes if (time := seconds(each.get("time"))) is not None]
    return max([*times, *([created] if created is not None else [])], default=None)


def _without_echo(status: object) -> object:
    """Return a pod's status without what kubelet repeats of its spec, here and in its containers' statuses."""
    if isinstance(status, list):
        return [_without_echo(each) for each in status]
    if not isinstance(status, Mapping):
        return status
    return {name: _without_echo(each) if isinstance(each, list) else each for name, each in status.items() if name not in _ECHO}


def _without_times(value: object) -> object:
    """Return a status without times."""
    if isinstance(value, Mapping):
        return {name: _without_times(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_without_times(each) for each in value]
    return None if isinstance(value, str) and STAMP.fullmatch(value) else value


def _hash(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:16]
