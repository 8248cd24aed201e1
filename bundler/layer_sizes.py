"""What layers take once they are unpacked: measured, not estimated, because a site's free space is decided by it.

gzip's own length field counts modulo 4 GiB and covers one member only, so the layer is decompressed and its bytes are
counted: 300 MB/s of output, once in a layer's life; the figure is kept in the cache.
"""

from __future__ import annotations

import zlib
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO, Final, cast

import zstandard

from installer_stub.phases.base import Reporter
from registry_snapshot.errors import RegistryError
from registry_snapshot.oci.descriptor import Descriptor
from registry_snapshot.store.base import BlobReader, ExtentReader
from registry_snapshot.store.bounded import read_file
from registry_snapshot.store.disk import write_file

_CHUNK: Final = 1 << 20
_WORKERS: Final = 2
# A layer may unpack to so much, whatever its size, or to so many times its size: file systems of nothing but zeros stay
# below that, and whoever means harm reaches 32 000 with zstd.
_ENOUGH: Final = 64 << 30
_RATIO: Final = 100
_FIGURE: Final = 32  # bytes
_GZIP: Final = zlib.MAX_WBITS | 16


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
    most = max(_ENOUGH, layer.size * _RATIO)
    try:
        if layer.media_type.endswith("gzip"):
            return _counted(_gunzipped(_pieces(layer, blobs)), most)
        if layer.media_type.endswith("zstd"):
            return _counted(_unzstd(layer, blobs), most)
    except (zlib.error, zstandard.ZstdError) as error:
        raise RegistryError(f"the layer {layer.digest} cannot be decompressed: {error}", "build that image again") from None
    return layer.size


def _counted(sizes: Iterator[int], most: int) -> int:
    total = 0
    for size in sizes:
        total += size
        if total > most:
            raise RegistryError(f"a layer unpacks to more than {most} bytes, many times its size", "it would fill every host: build that image again")
    return total


def _unzstd(layer: Descriptor, blobs: BlobReader) -> Iterator[int]:
    """Yield the sizes of what comes out of one frame after another, in pieces: a mebibyte may hold 32 GB."""
    buffer = bytearray(_CHUNK)
    with ExtentReader(blobs.open(layer.digest)) as raw:
        stream = zstandard.ZstdDecompressor().stream_reader(cast("BinaryIO", raw), read_across_frames=True)
        while count := stream.readinto(buffer):
            yield count


def _gunzipped(pieces: Iterator[bytes]) -> Iterator[int]:
    """Yield the sizes of what comes out of one gzip member after another (RFC 1952, 2.2)."""
    decompressor = zlib.decompressobj(_GZIP)
    for piece in pieces:
        data = piece
        while data:
            out = decompressor.decompress(data, _CHUNK)
            yield len(out)
            data = decompressor.unconsumed_tail
            if decompressor.eof:
                data = decompressor.unused_data
                if not data.strip(b"\0"):  # padding after the last member
                    break
                decompressor = zlib.decompressobj(_GZIP)
    yield len(decompressor.flush())


def _pieces(layer: Descriptor, blobs: BlobReader) -> Iterator[bytes]:
    with blobs.open(layer.digest) as extent:
        for at in range(0, extent.size, _CHUNK):
            yield extent.read(_CHUNK, at)
