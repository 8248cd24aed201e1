"""Who in a cluster uses which image: read from what kubectl prints about pods, their owners and events. Pure.

Names that a controller made up are left out (a Deployment stands for its pods), so that two builds of the same
application give the same reasons.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from registry_snapshot.errors import RegistryError
from registry_snapshot.oci.reference import Reference

Object = Mapping[str, Any]
KINDS = "pods,replicasets.apps,jobs.batch"

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_PULL = re.compile(r'^(?:Pulling image|Successfully pulled image|Container image) "(?P<image>[^"]+)"')
_MADE_UP = "…"


@dataclass(slots=True)
class Usage:
    """Image → who uses it, in words. ``unreadable`` are image names of pods that are no references."""

    reasons: dict[Reference, set[str]] = field(default_factory=dict)
    unreadable: list[str] = field(default_factory=list)

    def add(self, image: str, reason: str) -> None:
        """Note one use; a tag beside a digest is dropped, as the recorder does: clients never send it."""
        try:
            self.reasons.setdefault(recorded_name(image), set()).add(reason)
        except RegistryError:
            self.unreadable.append(image)


def recorded_name(image: str) -> Reference:
    """Return the name under which a pull of ``image`` is recorded. Raises ReferenceInvalid, DigestInvalid."""
    reference = Reference.parse(image)
    return reference if reference.digest is None else Reference(reference.repository, None, reference.digest)


def usage(objects: Sequence[Object], events: Iterable[Object]) -> Usage:
    """Return the images of every pod there is, and of those that are gone but left an event."""
    found = Usage()
    by_uid = {item["metadata"].get("uid"): item for item in objects}
    pods = {item["metadata"]["name"] for item in objects if item.get("kind") == "Pod"}
    for item in objects:
        if item.get("kind") != "Pod":
            continue
        owner = _owner(item, by_uid)
        for container, image in _containers(item):
            found.add(image, f"{owner}, container {container}")
    for event in events:
        match = _PULL.match(str(event.get("message") or ""))
        about = event.get("involvedObject") or {}
        if match and about.get("kind") == "Pod" and about.get("name") not in pods:
            found.add(match["image"], f"a pod that is gone, {about.get('namespace', '')}/{_steady(str(about.get('name')))}")
    return found


def _containers(pod: Object) -> Iterable[tuple[str, str]]:
    spec = pod.get("spec") or {}
    for kind in ("initContainers", "containers", "ephemeralContainers"):
        for container in spec.get(kind) or []:
            yield str(container.get("name")), str(container.get("image") or "")


def _owner(item: Object, by_uid: Mapping[object, Object]) -> str:
    """Return the topmost owner that says something: ``Deployment shop/api``; a static pod's is its node's."""
    at, kind, name = item, str(item.get("kind")), str(item["metadata"]["name"])
    for _ in range(4):  # Pod, ReplicaSet, Deployment; Pod, Job, CronJob
        owners = at["metadata"].get("ownerReferences") or []
        if not owners:
            break
        if owners[0].get("kind") == "Node":
            kind, name = "static pod", name.removesuffix(f"-{owners[0].get('name')}")
            break
        kind, name = str(owners[0].get("kind")), str(owners[0].get("name"))
        following = by_uid.get(owners[0].get("uid"))
        if following is None:
            break
        at = following
    return f"{kind} {item['metadata'].get('namespace', '')}/{_steady(name)}"


def _steady(name: str) -> str:
    return _UUID.sub(_MADE_UP, name)
