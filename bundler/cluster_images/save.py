"""A cluster image as one file: an OCI image layout in a tar, with docker's own ``manifest.json`` beside it, so that any docker loads it.

The same image under the same name is the same bytes: nothing of the day, the user or the machine is in it.

Source: OCI image-spec image-layout.md; Docker Image Specification v1.2.
"""

from __future__ import annotations

import json
import os
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from bundler.cluster_images.contents import ImageContents, read_contents
from bundler.cluster_images.store import ClusterImage, ClusterImages
from bundler.errors import ClusterImageIncomplete, ClusterImageInvalid
from registry_snapshot.oci.descriptor import Descriptor
from registry_snapshot.oci.reference import Reference
from registry_snapshot.store.base import ExtentReader
from registry_snapshot.store.durable import sync_directory
from registry_snapshot.store.layout_index import OCI_LAYOUT, layout_index

INDEX: Final = "index.json"
LAYOUT: Final = "oci-layout"
DOCKERS: Final = "manifest.json"
_BLOCK: Final = 512
_PIECE: Final = 1 << 20
_MODE: Final = 0o644


def save(images: ClusterImages, image: ClusterImage, target: Path) -> int:
    """Write an image to ``target``, which is replaced as a whole, and return its size. Every byte is hashed on its way.

    Raises ClusterImageIncomplete for what is missing or damaged, StoreError, OSError.
    """
    descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    part = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as out:
            for piece in archive(images, image):
                out.write(piece)
            size = out.tell()
            out.flush()
            os.fsync(out.fileno())
        part.chmod(_MODE & ~_umask())
        part.rename(target)
        sync_directory(target.parent)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    return size


def archive(images: ClusterImages, image: ClusterImage) -> Iterator[bytes]:
    """Yield the archive. Raises as ``save`` does."""
    parts = images.parts(image)
    yield from _small(LAYOUT, OCI_LAYOUT)
    yield from _small(INDEX, layout_index([(image.reference, image.descriptor)]))
    with suppress(ClusterImageInvalid):  # of another kind than docker knows
        if found := read_contents(images.blobs, image.descriptor):
            yield from _small(DOCKERS, _manifest_json(found[0], image.reference))
    for part in sorted(parts, key=lambda each: str(each.digest)):
        yield from _blob(images, image, part)
    yield b"\0" * (2 * _BLOCK)


def blob_name(part: Descriptor) -> str:
    """Return where a blob stands in a layout."""
    return f"blobs/{part.digest.algorithm}/{part.digest.encoded}"


def _manifest_json(contents: ImageContents, reference: Reference) -> bytes:
    """Return docker's index of the first platform's image: it can be told no more than one under a name."""
    manifest = contents.manifest
    tags = [str(reference)] if reference.digest is None else None
    value = [{"Config": blob_name(manifest.config), "RepoTags": tags, "Layers": [blob_name(layer) for layer in manifest.layers]}]
    return json.dumps(value).encode()


def _blob(images: ClusterImages, image: ClusterImage, part: Descriptor) -> Iterator[bytes]:
    hasher = part.digest.hasher()
    yield _header(blob_name(part), part.size)
    with ExtentReader(images.blobs.open(part.digest)) as reader:
        while piece := reader.read(_PIECE):
            hasher.update(piece)
            yield piece
    if hasher.hexdigest() != part.digest.encoded:
        hint = f"look at the disk (dmesg), remove {images.blobs.path(part.digest)}, and bring the image anew"
        raise ClusterImageIncomplete(f"the blob {part.digest} of {image.name} is damaged on this disk", hint)
    yield b"\0" * (-part.size % _BLOCK)


def _small(name: str, data: bytes) -> Iterator[bytes]:
    yield _header(name, len(data))
    yield data + b"\0" * (-len(data) % _BLOCK)


def _header(name: str, size: int) -> bytes:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = size, _MODE
    return entry.tobuf(tarfile.GNU_FORMAT)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
