"""Is a stored blob still what its name says? Every byte is read and hashed."""

from __future__ import annotations

from registry_snapshot.errors import DigestMismatch
from registry_snapshot.oci.digest import Digest
from registry_snapshot.store.base import BlobReader, ExtentReader

_PIECE = 1024 * 1024


def verify_blob(blobs: BlobReader, digest: Digest) -> int:
    """Return the blob's size in bytes if it hashes to ``digest``. Raises DigestMismatch, BlobUnknown, StoreError."""
    hasher = digest.hasher()
    buffer = bytearray(_PIECE)
    size = 0
    with ExtentReader(blobs.open(digest)) as stream:
        while count := stream.readinto(buffer):
            hasher.update(memoryview(buffer)[:count])
            size += count
    if hasher.hexdigest() != digest.encoded:
        raise DigestMismatch(
            f"{size} bytes that should be {digest} are {digest.algorithm}:{hasher.hexdigest()}",
            "the file was altered or its disk is failing: remove the blob, look at the disk (dmesg), and fetch it again",
        )
    return size
