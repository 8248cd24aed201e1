"""An artifact without what is known to be damaged in it: whoever asks this registry for that is sent on to the next master's."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from installer_stub.bundle.content import Sealed
from registry_snapshot.errors import BlobUnknown
from registry_snapshot.oci.descriptor import Descriptor
from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.reference import Reference
from registry_snapshot.store.base import BlobReader, Extent


@dataclass(frozen=True, slots=True)
class Sound:
    """Implements Sealed over ``sealed``, and BlobReader over its blobs without ``damaged``.

    containerd asks the next host of hosts.toml after a 404; after bytes that do not match their digest it gives up.
    """

    sealed: Sealed
    damaged: Collection[Digest]

    @property
    def roots(self) -> Sequence[tuple[Reference, Descriptor]]:
        """Every name: what an image's damaged part leads to is still there."""
        return self.sealed.roots

    @property
    def blobs(self) -> BlobReader:
        """The blobs that are whole."""
        return self

    def size(self, digest: Digest) -> int:
        """Return the blob's size in bytes. Raises BlobUnknown."""
        self._require(digest)
        return self.sealed.blobs.size(digest)

    def open(self, digest: Digest) -> Extent:
        """Return the blob, open. Raises BlobUnknown."""
        self._require(digest)
        return self.sealed.blobs.open(digest)

    def _require(self, digest: Digest) -> None:
        if digest in self.damaged:
            raise BlobUnknown(f"the blob {digest} is damaged on this disk", "run install again with the same file: it is copied again")
