"""What layers take once they are unpacked: measured, not estimated, because a site's free space is decided by it.

gzip's own length field counts modulo 4 GiB and covers one member only, so the layer is decompressed and its bytes are
counted: 300 MB/s of output, once in a layer's life; the figure is kept in the cache.
"""

from __future__ import annotations

from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from bundler.unpacked import is_compressed, unpacked
from installer_stub.phases.reporter import Reporter
from registry_snapshot.oci.descriptor import Descriptor
from registry_snapshot.store.base import BlobReader
from registry_snapshot.store.bounded import read_file
from registry_snapshot.store.disk import write_file

_WORKERS: Final = 2
_FIGURE: Final = 32  # bytes


def unpacked_size(layers: Collection[Descriptor], blobs: BlobReader, memory: Path, reporter: Reporter) -> int:
    """Return how many bytes of tar the layers hold, each counted once. ``memory`` is a directory for the figures.

    Raises RegistryError for a layer that cannot be decompressed: no runtime could unpack it either.
    """
    memory.mkdir(parents=True, exist_ok=True)

    def one(layer: Descriptor) -> int:
        kept = memory / layer.digest.encoded
        try:
            return int(read_file(kept, _FIGURE))
        except (FileNotFoundError, ValueError):
            size = _measure(layer, blobs)
        write_file(kept, str(size).encode())
        reporter.moved("measuring layers", layer.size, total)
        return size

    unique = {layer.digest: layer for layer in layers}
    total = sum(layer.size for layer in unique.values() if not (memory / layer.digest.encoded).exists())
    with ThreadPoolExecutor(_WORKERS) as pool:
        return sum(pool.map(one, unique.values()))


def is_layer(descriptor: Descriptor) -> bool:
    """Tell whether a blob is a file system layer, of OCI's or docker's kind."""
    return ".image.layer." in descriptor.media_type or ".image.rootfs." in descriptor.media_type


def _measure(layer: Descriptor, blobs: BlobReader) -> int:
    return sum(map(len, unpacked(layer, blobs))) if is_compressed(layer) else layer.size
