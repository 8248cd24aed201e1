"""Acceptance: does every container run an image that was sealed? Pure, over pods as kubectl prints them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from installer_stub.bundle.model import ImageLock
from installer_stub.errors import NotAccepted
from installer_stub.kube.owners import by_uid
from installer_stub.kube.pods import container_statuses
from installer_stub.kube.scope import EVERYTHING, Ownership
from registry_snapshot.errors import DigestInvalid, ReferenceInvalid
from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.reference import Reference, Repository

Object = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RunningImage:
    """One container and the image that the runtime says it runs."""

    namespace: str
    pod: str
    container: str
    image: str  # as the runtime names it
    digest: Digest | None  # None: the runtime gave none that we can read
    repositories: frozenset[Repository]  # every name it goes by

    def __str__(self) -> str:
        return f"pod {self.namespace}/{self.pod}, container {self.container}: {self.image}, {self.digest or 'no digest'}"


@dataclass(frozen=True, slots=True)
class Accepted:
    """Figures for the summary."""

    pods: int
    containers: int
    images: int  # different ones, by digest
    others: tuple[RunningImage, ...] = ()  # of pods that are not the bundle's, and of images that are not either


def _digest_and_name(image_id: str) -> tuple[Digest | None, str]:
    """Split an imageID: ``registry/path@sha256:…``, bare ``sha256:…``, either behind ``docker-pullable://``."""
    text = image_id.rpartition("://")[2]
    name, _, digest = text.rpartition("@")
    try:
        return Digest.parse(digest), name
    except DigestInvalid:
        return None, name or text


def _repository(text: str) -> Repository | None:
    if not text or text.startswith("sha256:"):
        return None
    try:
        return Reference.parse(text).repository
    except (ReferenceInvalid, DigestInvalid):
        return None


def running_images(pods: Iterable[Object]) -> tuple[RunningImage, ...]:
    """Return every container that has an image: those that wait have none yet, those that ended ran one."""
    found = []
    for pod in pods:
        spec = pod.get("spec") or {}
        asked = {
            str(container.get("name")): str(container.get("image") or "")
            for field in ("initContainers", "containers", "ephemeralContainers")
            for container in spec.get(field) or []
        }
        for status in container_statuses(pod):
            image_id = str(status.get("imageID") or "")
            if not image_id:
                continue
            digest, name = _digest_and_name(image_id)
            container = str(status.get("name"))
            names = (name, str(status.get("image") or ""), asked.get(container, ""))
            repositories = frozenset(each for each in map(_repository, names) if each is not None)
            found.append(
                RunningImage(
                    str(pod["metadata"].get("namespace", "")),
                    str(pod["metadata"]["name"]),
                    container,
                    asked.get(container) or image_id,
                    digest,
                    repositories,
                ),
            )
    return tuple(found)


def accept(objects: Iterable[Object], lock: ImageLock, ownership: Ownership = EVERYTHING) -> Accepted:
    """Return the figures if every container's image is one of ``lock``'s, same repository and same digest.

    ``objects`` are pods, with the ReplicaSets and Jobs that tell whose they are. The runtime may name an image by any
    repository that has the same content, so any of the container's names may fit. Containers of pods that ``ownership``
    does not own are not counted; those of other images are returned. Raises NotAccepted, naming every pod, container, image
    and digest that is not from the bundle.
    """
    items = tuple(objects)
    known_owners = by_uid(items)
    pods = [item for item in items if item.get("kind", "Pod") == "Pod"]
    ours = [pod for pod in pods if ownership.owns(pod, known_owners)]
    images = running_images(ours)
    strange = _strange(images, lock)
    if strange:
        lines = "\n".join(f"  - {each}" for each in strange)
        raise NotAccepted(
            f"{len(strange)} containers run an image that is not in the bundle:\n{lines}",
            "find out who started them (kubectl describe pod); what the application needs belongs in its Kubefile",
        )
    return Accepted(
        pods=len({(each.namespace, each.pod) for each in images}),
        containers=len(images),
        images=len({each.digest for each in images}),
        others=_strange(running_images(pod for pod in pods if pod not in ours), lock),
    )


def _strange(images: Iterable[RunningImage], lock: ImageLock) -> tuple[RunningImage, ...]:
    known: dict[Repository, set[Digest]] = {}
    for image in lock.images:
        known.setdefault(image.reference.repository, set()).update((*image.digests, image.descriptor.digest))
    return tuple(
        each
        for each in images
        if each.digest is None or not any(each.digest in known.get(name, set()) for name in each.repositories)
    )
