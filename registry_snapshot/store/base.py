"""What a place that holds images can do. Interfaces of a few methods, owned by those who use them."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from registry_snapshot.oci.descriptor import Descriptor
from registry_snapshot.oci.digest import Digest
from registry_snapshot.oci.reference import Repository
from registry_snapshot.store.growth import GrowingExtent


@dataclass(slots=True)
class Extent:
    """An open file and the part of it that is one blob: ``size`` bytes from ``offset``. Close it, or use ``with``.

    It is what ``os.sendfile`` takes: serving from the middle of a multi-gigabyte file copies nothing.
    """

    fd: int
    offset: int
    size: int

    def read(self, length: int, at: int = 0) -> bytes:
        """Return ``length`` bytes from ``at`` bytes into the blob, fewer only where it, or the file under it, ends."""
        left = min(length, max(self.size - at, 0))
        data = os.pread(self.fd, left, self.offset + at)
        if len(data) == left or not data:
            return data
        whole = bytearray(data)  # one call gives at most 2 GiB - 4 KiB: pread(2)
        while len(whole) < left and (more := os.pread(self.fd, left - len(whole), self.offset + at + len(whole))):
            whole += more
        return bytes(whole)

    def close(self) -> None:
        """Close the file. May be called twice: by then the number may be another file's."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


class ExtentReader(io.RawIOBase):
    """An Extent as a readable stream that owns it."""

    def __init__(self, extent: Extent) -> None:
        super().__init__()
        self._extent = extent
        self._at = 0

    def readable(self) -> bool:
        """Tell that it reads."""
        return True

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override]
        """Fill ``buffer`` from where the last read ended; 0 at the end."""
        view = memoryview(buffer)
        length = min(len(view), self._extent.size - self._at)
        if length <= 0:
            return 0
        count = os.preadv(self._extent.fd, [view[:length]], self._extent.offset + self._at)
        self._at += count
        return count

    def close(self) -> None:
        """Close the extent's file too."""
        if not self.closed:
            self._extent.close()
        super().close()


class BlobReader(Protocol):
    """Blobs by digest. Manifests are blobs too."""

    def size(self, digest: Digest) -> int:
        """Return the blob's size in bytes. Raises BlobUnknown."""

    def open(self, digest: Digest) -> Extent:
        """Return the blob, open. Raises BlobUnknown, StoreError."""


class BlobSink(Protocol):
    """Where the bytes of one blob go on their way in. It may hold a beginning from before; ``commit`` judges the whole."""

    @property
    def size(self) -> int:
        """Bytes it holds so far."""

    def write(self, data: bytes) -> None:
        """Append ``data``. Raises StoreError."""

    def restart(self) -> None:
        """Forget everything, to begin again from the first byte. Raises StoreError."""

    def commit(self) -> Digest:
        """Keep the blob and return its digest. Raises DigestMismatch (``restart`` may follow) and keeps nothing, StoreError."""


class RegistryContent(Protocol):
    """What a RegistryApp serves: a recording that fills itself, or one or several artifacts."""

    def resolve(self, repository: Repository, tag: str, *, client: str, method: str) -> Descriptor:
        """Return what ``tag`` names. ``client`` and ``method`` say who asked and how. Raises ManifestUnknown, UpstreamError."""

    def manifest(self, repository: Repository, digest: Digest, *, client: str, method: str) -> tuple[str, bytes]:
        """Return a manifest's media type and exact bytes. Raises ManifestUnknown, UpstreamError."""

    def blob(self, repository: Repository, digest: Digest) -> Extent | GrowingExtent:
        """Return a blob of the repository, open; one that is still on its way as it grows. Raises BlobUnknown, UpstreamError.

        A manifest is no blob here, and raises BlobUnknown: a client that gets one from ``/blobs/`` stores it as
        ``application/octet-stream`` for ever (containerd#7390).
        """

    def tags(self, repository: Repository) -> tuple[str, ...]:
        """Return the repository's tags, sorted. Raises NameUnknown."""

    def referrers(self, repository: Repository, digest: Digest, *, client: str) -> tuple[Descriptor, ...]:
        """Return the manifests of the repository whose ``subject`` is ``digest``, with ``artifactType`` and annotations.

        None is an empty tuple, also for a repository or digest that is unknown: so does the specification ("Listing
        Referrers"), and clients take 404 for a registry without the API. Raises UpstreamError.
        """
