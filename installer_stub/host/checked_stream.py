"""A source of an upload whose bytes are known beforehand: what is sent is what was verified, or nothing arrives whole."""

from __future__ import annotations

import hashlib
import io
from typing import BinaryIO

from installer_stub.errors import BundleError


class CheckedStream(io.RawIOBase):
    """``source``, read from its beginning, which must be ``size`` bytes with the SHA-256 ``sha256`` in hex. Owns it.

    The last bytes are only given out if all of them are right, so a receiver that counts never has the whole of another
    file: reading them raises BundleError, which names ``what``. Beginning again is the only seeking there is.
    """

    def __init__(self, source: BinaryIO, *, size: int, sha256: str, what: str) -> None:
        super().__init__()
        self._source = source
        self._size = size
        self._sha256 = sha256
        self._what = what
        self._hasher = hashlib.sha256()
        self._done = 0

    @property
    def name(self) -> str:
        """What it is called in errors."""
        return self._what

    def readable(self) -> bool:
        """Say so."""
        return True

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override]
        """Read some bytes. Raises BundleError for those that are not the verified ones."""
        view = memoryview(buffer).cast("B")
        try:
            data = self._source.read(min(len(view), self._size - self._done))
        except OSError as error:
            reason = error.strerror or "it cannot be read"
            raise BundleError(
                f"{self._what} cannot be read at byte {self._done}: {reason}",
                "see that the stick is still plugged in (dmesg), then run the same command again: it goes on from there",
            ) from None
        self._hasher.update(data)
        self._done += len(data)
        if data and self._done == self._size and self._hasher.hexdigest() != self._sha256:
            raise BundleError(
                f"{self._what} is not what was verified: it was changed meanwhile, or its disk answers differently each time",
                "copy the file to another disk, verify it there, and run again",
            )
        view[: len(data)] = data
        return len(data)

    def seekable(self) -> bool:
        """Say so, within limits: see ``seek``."""
        return True

    def tell(self) -> int:
        """Return how many bytes were read."""
        return self._done

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Begin again: offset 0 only. Raises OSError."""
        if (offset, whence) != (0, io.SEEK_SET):
            raise io.UnsupportedOperation("only the beginning can be sought")
        self._source.seek(0)
        self._hasher, self._done = hashlib.sha256(), 0
        return 0

    def close(self) -> None:
        """Close the source too."""
        if not self.closed:
            self._source.close()
        super().close()
