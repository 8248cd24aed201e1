"""Which layer a content is, so that what is known is neither compressed again nor, where a registry has it, sent again.

::

    CACHE/layers/HEX.json           the layer of the content with that digest (the diffID): seen with our own eyes
    CACHE/layers/HEX.claimed.json   an image says so: its blob is unpacked and hashed before anybody believes it

An image's config may name any content beside any layer. Believed unseen, one pulled image could put its own layer in the place of a
base's in every later build.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

from bundler.cluster_images.contents import CONFIGS, parse_config
from bundler.errors import ClusterImageInvalid
from bundler.unpacked import is_compressed, unpacked
from registry_snapshot.errors import BlobUnknown, ManifestInvalid, RegistryError
from registry_snapshot.oci.descriptor import Descriptor
from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.manifest import Manifest
from registry_snapshot.oci.media_types import OCI_LAYER, OCI_LAYER_GZIP, OCI_LAYER_ZSTD
from registry_snapshot.store.bounded import MAX_CONFIG_BYTES, read_blob, read_file
from registry_snapshot.store.disk import DiskBlobStore, write_file
from registry_snapshot.store.durable import make_directory

LAYERS: Final = "layers"
_MOST: Final = 1 << 14  # bytes of one file
# The same bytes in the words of the OCI: a manifest of its kind names no layers of docker's.
_OCI: Final = {
    "application/vnd.docker.image.rootfs.diff.tar": OCI_LAYER,
    "application/vnd.docker.image.rootfs.diff.tar.gzip": OCI_LAYER_GZIP,
    "application/vnd.docker.image.rootfs.diff.tar.zstd": OCI_LAYER_ZSTD,
}


class LayerMemory:
    """The memory of a cache. Safe for several processes: a file is replaced as a whole, and may be lost at any time."""

    def __init__(self, cache: Path, blobs: DiskBlobStore) -> None:
        self._blobs = blobs
        self._directory = cache / LAYERS

    def known(self, content: Digest) -> Descriptor | None:
        """Return the layer that unpacks to ``content``, if it is still there. What an image claims is looked at now. Raises StoreError."""
        claim = self._path(content, ".claimed")
        if (claimed := self._read(claim)) is not None:
            claim.unlink(missing_ok=True)
            if claimed.digest in self._blobs and content_of(claimed, self._blobs) == content:
                self.remember(content, claimed)
        found = self._read(path := self._path(content))
        if found is not None:
            with suppress(OSError):
                os.utime(path)  # it was used: a prune goes by that
        return found

    def remember(self, content: Digest, layer: Descriptor) -> None:
        """Write down what was seen. Raises StoreError, OSError."""
        self._write(self._path(content), layer)

    def claim(self, content: Digest, layer: Descriptor) -> None:
        """Write down what an image says of its layer, to be believed once it was seen. Raises StoreError, OSError."""
        known = self._read(self._path(content))
        if is_compressed(layer) and (known is None or known.digest != layer.digest):
            self._write(self._path(content, ".claimed"), layer)

    def _path(self, content: Digest, kind: str = "") -> Path:
        return self._directory / f"{content.encoded}{kind}.json"

    def _write(self, path: Path, layer: Descriptor) -> None:
        make_directory(self._directory)
        plain = Descriptor(_OCI.get(layer.media_type, layer.media_type), layer.digest, layer.size)
        write_file(path, json.dumps(plain.to_json()).encode())

    def _read(self, path: Path) -> Descriptor | None:
        try:
            layer = Descriptor.from_json(json.loads(read_file(path, _MOST)))
            return layer if self._blobs.size(layer.digest) == layer.size else None
        except (OSError, ValueError, RecursionError, RegistryError):  # never, torn, or its blob is gone: it is made again
            return None


def claim_layers(cache: Path, blobs: DiskBlobStore, manifests: Iterable[Manifest]) -> None:
    """Remember which layers images of ``blobs`` say they have: what docker is asked for later is not compressed again, nor sent where it came from.

    Of one whose config nobody can read nothing is remembered. Raises StoreError, OSError.
    """
    memory = LayerMemory(cache, blobs)
    for manifest in manifests:
        with suppress(ClusterImageInvalid, ManifestInvalid, BlobUnknown):
            if manifest.config.media_type in CONFIGS:
                contents = parse_config(read_blob(blobs, manifest.config.digest, MAX_CONFIG_BYTES), str(manifest.config.digest)).contents
                for content, layer in zip(contents, manifest.layers if len(contents) == len(manifest.layers) else (), strict=False):
                    memory.claim(content, layer)


def content_of(layer: Descriptor, blobs: DiskBlobStore) -> Digest | None:
    """Return the digest of what a layer unpacks to, None for one that cannot be unpacked."""
    hasher = Digest("sha256", "").hasher()
    try:
        for piece in unpacked(layer, blobs):
            hasher.update(piece)
    except RegistryError:
        return None
    return Digest("sha256", hasher.hexdigest())
