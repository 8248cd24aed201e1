"""What a compressed layer unpacks to, in pieces and up to a bound: a mebibyte of zstd may hold 32 GB."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import BinaryIO, Final, cast

from registry_snapshot.errors import RegistryError
from registry_snapshot.oci.descriptor import Descriptor
from registry_snapshot.store.base import BlobReader, ExtentReader

_CHUNK: Final = 1 << 20
# A layer may unpack to so much, whatever its size, or to so many times its size: file systems of nothing but zeros stay
# below that, and whoever means harm reaches 32 000 with zstd.
ENOUGH: Final = 64 << 30
_RATIO: Final = 100
_GZIP: Final = zlib.MAX_WBITS | 16


def unpacked(layer: Descriptor, blobs: BlobReader) -> Iterator[bytes]:
    """Yield a layer's tar: of gzip, of zstd, or as it is, as its media type says.

    Raises RegistryError for one that cannot be decompressed, no runtime could either, and for one that unpacks to many times its size.
    """
    import zstandard  # whoever only asks whether a layer is compressed needs none of it

    most, total = max(ENOUGH, layer.size * _RATIO), 0
    try:
        for piece in _pieces(layer, blobs):
            total += len(piece)
            if total > most:
                raise RegistryError(f"a layer unpacks to more than {most} bytes, many times its size", "it would fill every host: build that image again")
            yield piece
    except (zlib.error, zstandard.ZstdError) as error:
        raise RegistryError(f"the layer {layer.digest} cannot be decompressed: {error}", "build that image again") from None


def is_compressed(layer: Descriptor) -> bool:
    """Tell whether a layer has to be decompressed."""
    return layer.media_type.endswith(("gzip", "zstd"))


def _pieces(layer: Descriptor, blobs: BlobReader) -> Iterator[bytes]:
    with ExtentReader(blobs.open(layer.digest)) as raw:
        if layer.media_type.endswith("gzip"):
            yield from _gunzipped(raw)
        elif layer.media_type.endswith("zstd"):
            import zstandard

            # One frame after another.
            stream = zstandard.ZstdDecompressor().stream_reader(cast("BinaryIO", raw), read_across_frames=True)
            while piece := stream.read(_CHUNK):
                yield piece
        else:
            while piece := raw.read(_CHUNK):
                yield piece


def _gunzipped(raw: ExtentReader) -> Iterator[bytes]:
    """Yield what comes out of one gzip member after another (RFC 1952, 2.2)."""
    decompressor = zlib.decompressobj(_GZIP)
    while piece := raw.read(_CHUNK):
        data = piece
        while data:
            if decompressor.eof:
                data = data.lstrip(b"\0")  # padding after the last member
                if not data:
                    break
                decompressor = zlib.decompressobj(_GZIP)
            yield decompressor.decompress(data, _CHUNK)
            data = decompressor.unused_data if decompressor.eof else decompressor.unconsumed_tail
    while out := decompressor.decompress(decompressor.unconsumed_tail, _CHUNK):
        yield out
    if not decompressor.eof:
        raise zlib.error("its end is missing")
