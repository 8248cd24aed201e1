"""Who in a cluster uses which image: read from what kubectl prints about pods, their owners and events. Pure.

Owners go by the names that stay (``installer_stub.kube.owners``), so that two builds of the same application give the same
reasons.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from installer_stub.bundle.reasons import Gone, Reason, Recorded
from installer_stub.kube.owners import KINDS, Object, by_uid, owner_name, steady
from registry_snapshot.errors import RegistryError
from registry_snapshot.oci.reference import Reference

__all__ = ["KINDS", "Object", "Usage", "recorded_name", "usage"]

_PULL = re.compile(r'^(?:Pulling image|Successfully pulled image|Container image) "(?P<image>[^"]+)"')
# What the API server appends to generateName: k8s.io/apimachinery, pkg/util/rand, which has no vowels.
_MADE_UP = re.compile(r"-[bcdfghjklmnpqrstvwxz2456789]{5}$")


@dataclass(slots=True)
class Usage:
    """Image → who uses it. ``unreadable`` are image names of pods that are no references."""

    reasons: dict[Reference, set[Reason]] = field(default_factory=dict)
    unreadable: list[str] = field(default_factory=list)

    def add(self, image: str, reason: Reason) -> None:
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
    known = by_uid(objects)
    pods = {item["metadata"]["name"] for item in objects if item.get("kind") == "Pod"}
    for item in objects:
        if item.get("kind") != "Pod":
            continue
        owner = owner_name(item, known)
        for container, image in _containers(item):
            found.add(image, Recorded(owner, container))
    for event in events:
        match = _PULL.match(str(event.get("message") or ""))
        about = event.get("involvedObject") or {}
        if match and about.get("kind") == "Pod" and about.get("name") not in pods:
            found.add(match["image"], Gone(str(about.get("namespace", "")), _MADE_UP.sub("-…", steady(str(about.get("name"))))))
    return found


def _containers(pod: Object) -> Iterable[tuple[str, str]]:
    spec = pod.get("spec") or {}
    for kind in ("initContainers", "containers", "ephemeralContainers"):
        for container in spec.get(kind) or []:
            yield str(container.get("name")), str(container.get("image") or "")
    for volume in spec.get("volumes") or []:
        if source := volume.get("image"):  # an image volume: kubelet pulls it as it pulls a container's
            yield f"volume {volume.get('name')}", str(source.get("reference") or "")
