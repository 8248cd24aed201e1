"""Pieces: the bytes of a blob on their way out, hashed in order. The last piece goes out only if the whole is what its name says."""

from __future__ import annotations

from collections.abc import Iterator

from registry_snapshot.errors import DigestMismatch
from registry_snapshot.oci.digest import Digest
from registry_snapshot.record.download import Progress
from registry_snapshot.record.transport import CHUNK_BYTES
from registry_snapshot.store.base import Extent


class Pieces:
    """An open blob. ``progress`` hears of every byte once: of those that go out again, as a negative number before. Not safe for threads."""

    def __init__(self, extent: Extent, digest: Digest, progress: Progress) -> None:
        self.size = extent.size
        self.sent = 0  # bytes that really went out, those that went twice counted twice
        self._extent = extent
        self._digest = digest
        self._progress = progress
        self._told = 0
        self._hashed = 0
        self._hasher = digest.hasher()

    def between(self, start: int, end: int) -> Iterator[bytes]:
        """Yield the bytes from ``start`` up to ``end``. Raises DigestMismatch before the last of all if the disk has other bytes."""
        self.rewind(start)
        self._hash_up_to(start)
        while self._hashed < end:
            piece = self._next(end)
            yield piece
            self.sent += len(piece)
            self._told += len(piece)
            self._progress(len(piece))

    def rewind(self, start: int) -> None:
        """Tell that the registry has ``start`` bytes."""
        if start != self._told:
            self._progress(start - self._told)
            self._told = start

    def _hash_up_to(self, start: int) -> None:
        if self._hashed > start:
            self._hashed, self._hasher = 0, self._digest.hasher()
        while self._hashed < start:
            self._next(start)

    def _next(self, end: int) -> bytes:
        piece = self._extent.read(min(CHUNK_BYTES, end - self._hashed), self._hashed)
        self._hasher.update(piece)
        self._hashed += len(piece)
        is_whole = self._hashed == self.size
        if not piece or (is_whole and self._hasher.hexdigest() != self._digest.encoded):
            raise DigestMismatch(f"the blob {self._digest} on this disk is no longer what its name says; it was not pushed", "fetch or build it again")
        return piece
