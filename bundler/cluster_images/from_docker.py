"""An image of docker's, taken into the store: its config as it is, so that its ID stays what docker says, its layers compressed once ever.

An engine that keeps images in containerd (docker 29 unless it is told otherwise) calls an image by the digest of what it made around the
config. So the store remembers that for a name.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import IO, cast

from bundler.cluster_images.contents import ORIGINS, Origin, manifest_of, origins_text
from bundler.cluster_images.docker_archive import SavedImage, read_docker_archive
from bundler.cluster_images.layers import LayerMemory
from bundler.cluster_images.store import ClusterImages
from bundler.engine import Engine, ImageInfo
from bundler.errors import ClusterImageIncomplete, DockerError
from bundler.files import Pieces
from installer_stub.phases.reporter import Reporter
from registry_snapshot.errors import RegistryError
from registry_snapshot.oci.descriptor import Descriptor
from registry_snapshot.oci.manifest import Manifest, descriptor_of
from registry_snapshot.oci.media_types import OCI_CONFIG, OCI_MANIFEST
from registry_snapshot.store.closure import read_manifest
from registry_snapshot.store.disk import DiskBlobStore


def import_image(engine: Engine, images: ClusterImages, image: ImageInfo, origins: Sequence[Origin], reporter: Reporter) -> Descriptor:
    """Return the manifest of an image of docker's, everything that it needs in the store's blobs.

    One that the store has under any name is not asked for again. ``origins`` say which image which layers came from. The caller holds the cache
    (``in_use``) and gives it a name. Raises DockerError, ArchiveInvalid, StoreError.
    """
    if (known := imported(images, image.id)) is not None:
        return known
    with engine.save(image.id) as archive:
        saved = read_docker_archive(cast("IO[bytes]", Pieces(archive)), images.blobs, LayerMemory(images.cache, images.blobs), reporter, "docker's archive")
        _drain(archive)
    if len(saved) != 1:
        raise DockerError(f"docker saved {len(saved)} images where {image.id} was asked for", "build again")
    return keep(images.blobs, saved[0], origins)


def imported(images: ClusterImages, identity: str) -> Descriptor | None:
    """Return the manifest of the image that docker calls ``identity``, if a name of the store leads to it and it is whole. Raises StoreError."""
    for image in images.all():
        try:
            parsed = read_manifest(images.blobs, image.descriptor)
            if isinstance(parsed, Manifest) and identity in {str(parsed.config.digest), *image.docker}:
                images.parts(image)
                return image.descriptor
        except (ClusterImageIncomplete, RegistryError):
            continue
    return None


def keep(blobs: DiskBlobStore, saved: SavedImage, origins: Sequence[Origin] = ()) -> Descriptor:
    """Return the manifest of an image of an archive, stored. Raises StoreError."""
    config = Descriptor(OCI_CONFIG, blobs.put(saved.raw_config), len(saved.raw_config))
    raw = manifest_of(config, saved.layers, {ORIGINS: origins_text(origins)} if origins else {})
    blobs.put(raw)
    return descriptor_of(raw, OCI_MANIFEST)


def _drain(archive: Iterator[bytes]) -> None:
    """Read what follows the end of the tar, so that the connection can be used again."""
    for _ in archive:
        pass
