"""Leases: who leads, and whether it is alive. Pure.

client-go's election: a holder renews its lease; who wants it waits until leaseDurationSeconds have passed since the last renewal.
So an operator may begin its work that long after everything looks ready.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from installer_stub.kube.workloads import Unready
from installer_stub.quiet.times import seconds
from installer_stub.quiet.traces import election

Object = Mapping[str, Any]
_IDENTITY: Final = "apiserver.kubernetes.io/identity"  # an API server's own mark, an hour long: nobody waits for it
_NODES: Final = "kube-node-lease"  # kubelets' heartbeats
# What these have still to do shows in what is unready: a pod that is not scheduled, a replica that is not made. So while they lead nobody waits
# for the end of their lease; one that has lost its leader is waited for as any other.
_SHOWN: Final = frozenset({("kube-system", "kube-scheduler"), ("kube-system", "kube-controller-manager")})
SKEW: Final = 2.0  # seconds between the clocks of two hosts, and of the holder's own delay
LONGEST: Final = 120.0  # a lease that lasts longer is not waited out
# So long somebody may take over a lease that nobody renews; after that it is what is left of something.
TAKE_OVER: Final = 60.0


@dataclass(frozen=True, slots=True)
class Leader:
    """One election. Times in seconds; ``renewed`` since the epoch, None: it says none."""

    namespace: str
    name: str
    holder: str
    duration: float
    renewed: float | None

    def overdue(self, now: float) -> float | None:
        """Return for how long nobody has held it, or None while somebody does."""
        if self.renewed is None:
            return None if self.holder else float("inf")
        late = now - self.renewed - (self.duration if self.holder else 0.0)
        return late if not self.holder or late > SKEW else None


def leaders(objects: Iterable[Object]) -> tuple[Leader, ...]:
    """Return every election: Leases, and the annotations that were in use before there were any."""
    found = []
    for item in objects:
        metadata = item["metadata"]
        namespace, name = str(metadata.get("namespace") or ""), str(metadata["name"])
        if item.get("kind") == "Lease":
            if namespace == _NODES or _IDENTITY in (metadata.get("labels") or {}):
                continue
            said: Object = item.get("spec") or {}
        else:
            said = election(item) or {}
        if said:
            moment = said.get("renewTime") or said.get("acquireTime") or metadata.get("creationTimestamp")
            found.append(Leader(namespace, name, str(said.get("holderIdentity") or ""), _duration(said), seconds(moment)))
    return tuple(found)


def longest(found: Iterable[Leader], now: float) -> float:
    """Return how long the longest lease with a living holder lasts, LONGEST at most."""
    awaited = (each.duration for each in found if each.overdue(now) is None and (each.namespace, each.name) not in _SHOWN)
    return min(LONGEST, max(awaited, default=0.0))


def headless(found: Iterable[Leader], now: float) -> tuple[Unready, ...]:
    """Return the leases that somebody is about to take: nobody renews them, and not for long yet."""
    unready = []
    for each in found:
        late = each.overdue(now)
        if late is not None and late < TAKE_OVER:
            whose = f"its holder {each.holder} has not renewed it in time" if each.holder else "its holder has given it back"
            unready.append(Unready("Lease", each.namespace, each.name, f"{whose}; somebody may take it"))
    return tuple(unready)


def _duration(said: Object) -> float:
    try:
        return max(0.0, float(said.get("leaseDurationSeconds") or 0))
    except (TypeError, ValueError):
        return 0.0
