"""What a small cluster file holds, read out of its blob: the build reads its own with it, a site those of the artifact."""

from __future__ import annotations

from typing import Final

import zstandard

from installer_stub.bundle.model import FILE_ZSTD, ClusterFile
from installer_stub.errors import BundleError
from registry_snapshot.errors import ManifestInvalid
from registry_snapshot.oci.digest import Digest
from registry_snapshot.store.base import BlobReader
from registry_snapshot.store.bounded import read_blob

_FRAME: Final = 1024  # bytes at most that zstd adds
_REMEDY: Final = "copy the file again and compare its SHA-256 with the sender's; while it is built: build again"


def read_content(file: ClusterFile, blobs: BlobReader) -> bytes:
    """Return a small file's content whole: never more than the size that the file is listed with, which the caller has judged.

    Raises BundleError for a blob that is not that content, BlobUnknown, StoreError.
    """
    try:
        raw = read_blob(blobs, file.blob.digest, file.size + _FRAME)
        if file.blob.media_type == FILE_ZSTD:
            # Not decompress(): for a frame that tells its size it takes that much memory, whatever the most is said to be.
            raw = zstandard.ZstdDecompressor().stream_reader(raw).read(file.size + 1)
    except (zstandard.ZstdError, ManifestInvalid) as error:
        raise BundleError(f"{file.path} cannot be unpacked: {error}"[:300], _REMEDY) from None
    if Digest.of(raw, file.digest.algorithm) != file.digest:
        raise BundleError(f"{file.path} is altered", _REMEDY)
    return raw
