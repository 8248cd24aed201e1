"""The cluster files of an image from its layers alone, and what was recorded of an image that has them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import zstandard

from bundler.cluster_images.contents import ImageContents, read_contents
from bundler.cluster_images.flatten import flatten
from bundler.cluster_images.store import ClusterImage
from bundler.errors import BuildFailed
from bundler.file_store import LEVEL, FileStore
from bundler.files import collect
from bundler.seal import recording_of
from bundler.steps import recorded, sealable
from bundler.steps.recorded import Recorded
from bundler.steps.sealable import Sealable
from bundler.steps.shelf import Shelf, key_of
from installer_stub.bundle.cluster_files import EMPTY, cluster_manifest
from installer_stub.phases.reporter import Reporter
from registry_snapshot.errors import RegistryError
from registry_snapshot.oci.descriptor import Descriptor, Platform
from registry_snapshot.oci.manifest import descriptor_of
from registry_snapshot.oci.media_types import OCI_MANIFEST
from registry_snapshot.store.disk import DiskBlobStore

STEP: Final = "files"
COMPRESSOR: Final = f"zstandard {zstandard.__version__}, level {LEVEL}"  # the bytes of cluster files depend on both


def cluster_of(image: ImageContents, cache: Path, reporter: Reporter) -> Descriptor:
    """Return the manifest of the cluster files of an image: from its layers, and then in the cache with all that it lists.

    Raises BuildFailed for an image without ``/cluster``, ClusterImageInvalid, RegistryError, OSError.
    """
    blobs, shelf = DiskBlobStore(cache / "store"), Shelf(cache, STEP)
    key = key_of({"image": image.descriptor.digest, "compressor": COMPRESSOR})
    known = _descriptor(shelf.get(key))
    if known is not None and recorded.has_all([known], blobs, (image.config.platform,)):
        return known
    reporter.step("reading the cluster files out of the image's layers")
    manifest = cluster_manifest(collect(flatten(image, blobs), FileStore(blobs, cache / "compressed"), reporter).files)
    blobs.put(EMPTY)
    blobs.put(manifest)
    made = descriptor_of(manifest, OCI_MANIFEST)
    shelf.put(key, json.dumps(made.to_json()).encode())
    return made


def recording_for(image: ClusterImage, cache: Path, reporter: Reporter) -> tuple[Sealable, Recorded] | None:
    """Return what was recorded last of an image, under its own name before others; None where nothing was, or it is no longer whole.

    Raises ClusterImageInvalid, RegistryError, OSError.
    """
    every = sealable.kept(cache)
    if not every:
        return None
    blobs = DiskBlobStore(cache / "store")
    found: list[Sealable] = []
    for each in read_contents(blobs, image.descriptor):
        try:
            cluster = cluster_of(each, cache, reporter)
        except BuildFailed:  # an image like any other, with nothing to install
            continue
        found += [kept for kept in every if kept.info.cluster.digest == cluster.digest and _is_for(kept, each.config.platform)]
    for kept in sorted(found, key=lambda each: each.info.title != image.name):
        result = recording_of(cache, kept)
        if result is not None and recorded.is_whole(result, blobs, tuple(map(Platform.parse, kept.info.platforms))):
            return kept, result
    return None


def _is_for(kept: Sealable, platform: Platform) -> bool:
    return any(platform.satisfies(Platform.parse(text)) for text in kept.info.platforms)


def _descriptor(raw: bytes | None) -> Descriptor | None:
    try:
        return Descriptor.from_json(json.loads(raw)) if raw is not None else None
    except (ValueError, RegistryError):
        return None
