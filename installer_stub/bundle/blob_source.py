"""BlobSource: where the blobs of a bundle are. Who reads one asks for a digest, never for a place in a file.

Today every blob is stored verbatim in the artifact, so it is an extent of that file. A bundle that leaves out what an older one
brought, or packs blobs together, is another source behind the same words.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Protocol

from installer_stub.bundle.names import blob_name
from installer_stub.bundle.zip_format import Placed
from registry_snapshot.errors import BlobUnknown
from registry_snapshot.oci.digest import Digest
from registry_snapshot.store.base import BlobReader, Extent


class BlobSource(BlobReader, Protocol):
    """A BlobReader that knows all of its blobs."""

    def digests(self) -> tuple[Digest, ...]:
        """Return the digests of all blobs, sorted."""


class EntrySource(Protocol):
    """A file with entries that can be opened by name."""

    @property
    def path(self) -> Path:
        """Its path, for people."""

    def extent(self, name: str) -> Extent:
        """Return the entry ``name``, open. Raises BundleError."""


class StoredBlobs:
    """A BlobSource of blobs that are entries of an artifact, as they are."""

    def __init__(self, file: EntrySource, entries: Mapping[str, Placed], digests: Iterable[Digest]) -> None:
        self._file = file
        self._entries = entries
        self._digests = tuple(sorted(digests))

    def digests(self) -> tuple[Digest, ...]:
        """Return the digests of all blobs, sorted."""
        return self._digests

    def size(self, digest: Digest) -> int:
        """Return the blob's size in bytes. Raises BlobUnknown."""
        return self._entry(digest).entry.size

    def open(self, digest: Digest) -> Extent:
        """Return the blob as an extent of the artifact. Raises BlobUnknown, BundleError."""
        return self._file.extent(self._entry(digest).entry.name)

    def _entry(self, digest: Digest) -> Placed:
        try:
            return self._entries[blob_name(digest)]
        except KeyError:
            raise BlobUnknown(f"the blob {digest} is not in {self._file.path.name}") from None
