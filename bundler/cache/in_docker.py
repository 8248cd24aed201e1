"""What builds of ours have left in docker: images under our own name, those without a name that carry our labels."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any, Final

from bundler.cluster.host_image import host_tag
from bundler.engine import NAMELESS, Engine, docker_errors
from bundler.kubefile.dockerfile import LABEL_PREFIX
from installer_stub.bundle.names import INTERNAL_REGISTRY

IMAGE: Final = f"{INTERNAL_REGISTRY}/image/"
_BASE: Final = f"{INTERNAL_REGISTRY}/base/"


@dataclass(frozen=True, slots=True)
class DockerImage:
    """An image of ours. ``name`` is a tag, or its ID where it has none. ``size`` in bytes, with the layers that others share."""

    name: str
    id: str
    size: int
    created: float
    layers: tuple[str, ...]
    holders: tuple[str, ...] = ()


def images(engine: Engine, titles: Collection[str]) -> list[DockerImage]:
    """Return every image of ours; those of builds with one of ``titles``, their bases and the host's image are held. Raises DockerError."""
    found = list(_images(engine))
    roots = [image for image in found if image.name.removeprefix(IMAGE) in titles]
    held = []
    for image in found:
        holders = tuple(root.name.removeprefix(IMAGE) for root in roots if root is image or _is_base(image, root))
        if image.name == host_tag():
            holders = ("the temporary host",)
        held.append(DockerImage(image.name, image.id, image.size, image.created, image.layers, holders))
    return held


def remove_image(engine: Engine, name: str) -> bool:
    """Take a name or an ID away, and the image with its last name; tell whether docker did. A container of somebody may hold it."""
    import docker.errors
    import requests

    try:
        engine.client.api.remove_image(name, noprune=False)
    except (docker.errors.DockerException, requests.RequestException):
        return False
    return True


def is_below(layers: tuple[str, ...], root: tuple[str, ...]) -> bool:
    """Tell whether an image of ``layers`` is what one with the layers of ``root`` was built on, or that one itself."""
    return bool(layers) and root[: len(layers)] == layers


def _is_base(image: DockerImage, root: DockerImage) -> bool:
    return image.name.startswith(_BASE) and is_below(image.layers, root.layers)


def _images(engine: Engine) -> Iterator[DockerImage]:
    api = engine.client.api
    with docker_errors("docker cannot list images"):
        listed: list[dict[str, Any]] = api.images(all=False)
        for value in listed:
            tags = [tag for tag in value.get("RepoTags") or () if tag.startswith(f"{INTERNAL_REGISTRY}/")]
            nameless = not [tag for tag in value.get("RepoTags") or () if tag != NAMELESS]
            ours = any(name.startswith(LABEL_PREFIX) for name in value.get("Labels") or {})
            for name in tags or ([value["Id"]] if nameless and ours else []):
                layers = tuple((api.inspect_image(value["Id"]).get("RootFS") or {}).get("Layers") or ())  # type: ignore[no-untyped-call]
                yield DockerImage(name, value["Id"], int(value.get("Size") or 0), float(value.get("Created") or time.time()), layers)
