"""The schema of a bundle, read out of its cluster files."""

from __future__ import annotations

from collections.abc import Iterable

import zstandard

from installer_stub.bundle.model import FILE_ZSTD, ClusterFile
from installer_stub.clusterfile.document import MOST_BYTES
from installer_stub.errors import BundleError
from installer_stub.values.schema import FILE, NO_VALUES, Schema, parse_schema
from registry_snapshot.oci.digest import Digest
from registry_snapshot.store.base import BlobReader


def schema_of(files: Iterable[ClusterFile], blobs: BlobReader) -> Schema:
    """Return what the cluster files declare; NO_VALUES for a bundle that lets a site set nothing. Raises UsageError, BundleError."""
    file = next((each for each in files if each.path == FILE), None)
    if file is None:
        return NO_VALUES
    if file.size > MOST_BYTES:
        raise BundleError(f"{FILE} is {file.size} bytes long; {MOST_BYTES} is the most", "declare fewer values")
    with blobs.open(file.blob.digest) as extent:
        raw = extent.read(min(extent.size, 2 * MOST_BYTES))
    if file.blob.media_type == FILE_ZSTD:
        try:
            # Not decompress(): for a frame that tells its size it takes that much memory, whatever the most is said to be.
            raw = zstandard.ZstdDecompressor().stream_reader(raw).read(MOST_BYTES + 1)
        except zstandard.ZstdError:
            raise BundleError(f"{FILE} cannot be unpacked", "copy the file again and compare its SHA-256 with the sender's") from None
    if Digest.of(raw) != file.digest:
        raise BundleError(f"{FILE} is altered", "copy the file again and compare its SHA-256 with the sender's")
    return parse_schema(raw)
