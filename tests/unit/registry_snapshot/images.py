"""Small images, made in a real store: what upstreams in these tests offer."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

from registry_snapshot.oci import media_types
from registry_snapshot.oci.descriptor import Descriptor, Platform
from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.manifest import descriptor_of
from registry_snapshot.store.disk import DiskBlobStore

AMD64 = Platform("linux", "amd64")
ARM64 = Platform("linux", "arm64")


def noise(name: str, size: int) -> bytes:
    """Return ``size`` bytes that are the same for the same name and look like nothing else."""
    return hashlib.shake_128(name.encode()).digest(size)


@dataclass(frozen=True)
class Image:
    """One image for one platform and what it consists of."""

    descriptor: Descriptor
    config: Descriptor
    layers: tuple[Descriptor, ...]


def put(blobs: DiskBlobStore, media_type: str, data: bytes) -> Descriptor:
    return Descriptor(media_type, blobs.put(data), len(data))


def put_json(blobs: DiskBlobStore, media_type: str, value: object) -> Descriptor:
    raw = json.dumps(value).encode()
    blobs.put(raw)
    return descriptor_of(raw, media_type)


def make_image(
    blobs: DiskBlobStore,
    name: str,
    platform: Platform = AMD64,
    layer_sizes: tuple[int, ...] = (3000, 0),
    *,
    docker: bool = False,
) -> Image:
    """Make an image; its content follows from ``name``. A layer of 0 bytes is among them: registries do hold those."""
    manifest_type = media_types.DOCKER_MANIFEST if docker else media_types.OCI_MANIFEST
    config_type = media_types.DOCKER_CONFIG if docker else media_types.OCI_CONFIG
    config = put_json(blobs, config_type, {"os": platform.os, "architecture": platform.architecture, "name": name})
    layers = tuple(
        put(blobs, media_types.OCI_LAYER_GZIP, noise(f"{name} {platform} {number}", size))
        for number, size in enumerate(layer_sizes)
    )
    value = {
        "schemaVersion": 2,
        "mediaType": manifest_type,
        "config": config.to_json(),
        "layers": [layer.to_json() for layer in layers],
    }
    return Image(put_json(blobs, manifest_type, value), config, layers)


def make_index(blobs: DiskBlobStore, children: dict[Platform, Image], *, with_type: bool = True) -> Descriptor:
    """Make an OCI index. ``with_type=False`` leaves out mediaType, as the specification allows."""
    manifests = [
        Descriptor(i.descriptor.media_type, i.descriptor.digest, i.descriptor.size, platform).to_json()
        for platform, i in children.items()
    ]
    value: dict[str, object] = {"schemaVersion": 2, "manifests": manifests}
    if with_type:
        value["mediaType"] = media_types.OCI_INDEX
    raw = json.dumps(value).encode()
    blobs.put(raw)
    return descriptor_of(raw, media_types.OCI_INDEX)


def absent_digest() -> Digest:
    return Digest.of(b"nobody has this")
