"""Scope: what of a cluster a run answers for. The rest is reported: a site's own failed Job must not keep a repair from ending.

What is the bundle's is known from its lock, where the build wrote down who used which image. The air gap does not tell: a
debug pod of the operator runs an image of the bundle too, because there is no other.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from installer_stub.bundle.model import ImageLock
from installer_stub.bundle.reasons import Gone, Recorded, Scanned, namespace_of
from installer_stub.kube.owners import by_uid, owner_name
from installer_stub.kube.pods import condition_of, pod_reason, pods_of
from installer_stub.kube.workloads import Unready, node_reason

Object = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Ownership:
    """What the lock says is the bundle's. Without any name (an older bundle) everything is."""

    owners: frozenset[str]
    namespaces: frozenset[str]

    @classmethod
    def of(cls, lock: ImageLock) -> Ownership:
        """Return what the reasons of a lock name."""
        reasons = [reason for image in lock.images for reason in image.reasons]
        named = [reason.owner for reason in reasons if isinstance(reason, Recorded)]
        named += [reason.object for reason in reasons if isinstance(reason, Scanned)]  # what ran zero times is the bundle's too
        users = {name: namespace for name in named if (namespace := namespace_of(name))}
        return cls(frozenset(users), frozenset(users.values()) | {reason.namespace for reason in reasons if isinstance(reason, Gone)})

    def owns(self, item: Object, known: Mapping[object, Object]) -> bool:
        """Tell whether a thing is the bundle's: named in the lock, or looked after by something in a namespace that is.

        Operators make up names at every site, so there the namespace has to do. A Pod or Job that nobody looks after was
        made by hand, unless the lock names it. ``known`` are objects by uid, for the walk to the topmost owner.
        """
        if not self.owners or owner_name(item, known) in self.owners:
            return True
        if item["metadata"].get("namespace") not in self.namespaces:
            return False
        return item.get("kind") not in {"Pod", "Job"} or bool(item["metadata"].get("ownerReferences"))

    def lives_in(self, namespace: str) -> bool:
        """Tell whether the bundle has something in a namespace; without any name in the lock, all are its own."""
        return not self.owners or namespace in self.namespaces


EVERYTHING: Final = Ownership(frozenset(), frozenset())


@dataclass(frozen=True, slots=True)
class Scope:
    """What a run answers for. ``nodes``: names of those that have to be ready; None: all."""

    ownership: Ownership = EVERYTHING
    nodes: frozenset[str] | None = None

    def split(self, found: Sequence[Unready], objects: Sequence[Object]) -> tuple[tuple[Unready, ...], tuple[Unready, ...]]:
        """Return what has to become ready, and what is only reported. ``objects`` are those that ``found`` is about."""
        known = by_uid(objects)
        items = {(str(item.get("kind")), str(item["metadata"].get("namespace", "")), str(item["metadata"]["name"])): item for item in objects}
        away = self.away(objects)
        ours: list[Unready] = []
        reported: list[Unready] = []
        for each in found:
            item = items.get((each.kind, each.namespace, each.name))
            (ours if item is None or self._answers_for(item, known, objects, away) else reported).append(each)
        return tuple(ours), tuple(reported)

    def away(self, objects: Iterable[Object]) -> frozenset[str]:
        """Return the nodes that are not ready and not this run's."""
        nodes = [item for item in objects if item.get("kind") == "Node"]
        return frozenset(name for node in nodes if node_reason(node) and not self._has_node(name := str(node["metadata"]["name"])))

    def _has_node(self, name: str) -> bool:
        return self.nodes is None or name in self.nodes

    def _answers_for(self, item: Object, known: Mapping[object, Object], objects: Sequence[Object], away: Container[str]) -> bool:
        if item.get("kind") == "Node":
            return self._has_node(str(item["metadata"]["name"]))
        return self.ownership.owns(item, known) and not _waits_for(item, objects, away)


def _waits_for(item: Object, objects: Sequence[Object], away: Container[str]) -> bool:
    """Tell whether nothing but hosts that are away keeps a thing from being ready.

    Either its pods are there, or they find no place: their volume, or the room for them, may be there too.
    """
    waiting = [pod for pod in pods_of(item, objects) if pod_reason(pod)]
    return bool(away) and bool(waiting) and all(_is_away(pod, away) for pod in waiting)


def _is_away(pod: Object, away: Container[str]) -> bool:
    node = (pod.get("spec") or {}).get("nodeName")
    if node:
        return str(node) in away
    scheduled = condition_of(pod, "PodScheduled")
    return scheduled is not None and scheduled.get("status") == "False"
