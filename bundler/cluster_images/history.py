"""Layer by layer: what each added below /cluster, which line made it, and which image it came from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bundler.cluster_images.contents import ImageContents, Origin, lines_of_layers, read_contents
from bundler.cluster_images.flatten import opened_layer
from bundler.cluster_images.layer_tree import is_whiteout, parts_of
from bundler.cluster_images.store import ClusterImage, ClusterImages
from bundler.errors import ClusterImageError
from bundler.files import ROOT
from registry_snapshot.errors import RegistryError
from registry_snapshot.oci.descriptor import Descriptor
from registry_snapshot.store.base import BlobReader


@dataclass(frozen=True, slots=True)
class Step:
    """One layer. ``files`` and ``size`` are what it put below /cluster, in bytes as on a host; ``hidden`` counts what it took away there.

    ``origin`` is the image that it came with, empty where nobody knows; ``base``: that one is not the image itself.
    """

    layer: Descriptor
    line: str
    origin: str
    base: bool
    files: int
    size: int
    hidden: int


def history(images: ClusterImages, image: ClusterImage, contents: ImageContents) -> tuple[Step, ...]:
    """Return every layer, the lowest first. Raises ClusterImageInvalid, StoreError."""
    lines, origins = lines_of_layers(contents.config), contents.origins or _guessed(images, image, contents)
    steps = []
    for number, layer in enumerate(contents.manifest.layers):
        origin = next((each for each in origins if number < each.layers), None)
        files, size, hidden = _added(contents, number, images.blobs)
        base = origin is not None and origin.layers < len(contents.manifest.layers)
        steps.append(Step(layer, lines[number], origin.name if origin is not None else "", base, files, size, hidden))
    return tuple(steps)


def _guessed(images: ClusterImages, image: ClusterImage, contents: ImageContents) -> Sequence[Origin]:
    """Return which images of the store it stands on, where nobody wrote it down: those whose layers it begins with."""
    own = contents.config.contents
    found: dict[int, str] = {}
    for other in images.all():
        try:
            each = next((each for each in read_contents(images.blobs, other.descriptor) if each.config.platform == contents.config.platform), None)
        except (ClusterImageError, RegistryError):
            continue
        if each is not None and 0 < len(each.config.contents) < len(own) and own[: len(each.config.contents)] == each.config.contents:
            found.setdefault(len(each.config.contents), other.name)
    below = [Origin(name, layers) for layers, name in sorted(found.items())]
    return [*below, Origin(image.name, len(own))] if below else []


def _added(contents: ImageContents, number: int, blobs: BlobReader) -> tuple[int, int, int]:
    files = size = hidden = 0
    with opened_layer(contents, number, blobs, check=True) as tar:
        for entry in tar:
            tar.members.clear()  # type: ignore[attr-defined] # it remembers every entry, and is never asked for one again
            parts = parts_of(entry.name)
            below = parts[:1] == (ROOT,) or parts == (f".wh.{ROOT}",)
            if below and is_whiteout(parts):
                hidden += 1
            elif below and not entry.isdir():
                files += 1
                size += entry.size if entry.isreg() else 0
    return files, size, hidden
