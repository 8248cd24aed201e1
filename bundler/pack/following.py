"""The SHA-256 of a file while it is written: what is whole at its beginning is read back and hashed while the rest is copied.

What is hashed is what the file holds, not what was meant to be in it. A pass of its own afterwards took as long again as all of sealing.
"""

from __future__ import annotations

import errno
import hashlib
import os
import threading
from types import TracebackType
from typing import Final, Self

_PIECE: Final = 1024 * 1024  # bytes


class Following:
    """A thread that hashes an open file up to where it was said to be whole. Use it with ``with``."""

    def __init__(self, fd: int, stopped: threading.Event) -> None:
        """``stopped`` says that the file will not be used: it is read no further then."""
        self._fd = fd
        self._stopped = stopped
        self._hasher = hashlib.sha256()
        self._known = threading.Condition()
        self._whole = 0
        self._over = False
        self._error: OSError | None = None
        self._thread = threading.Thread(target=self._run, name="follow", daemon=True)

    def written(self, end: int) -> None:
        """Say that everything before the offset ``end`` is in the file."""
        with self._known:
            self._whole = end
            self._known.notify()

    def end(self, size: int) -> str:
        """Say that all ``size`` bytes are in the file; return their SHA-256 in hex once they are hashed. Raises OSError."""
        self.written(size)
        self._join()
        if self._error is not None:
            raise self._error
        return self._hasher.hexdigest()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is not None:
            self._stopped.set()
        self._join()

    def _join(self) -> None:
        with self._known:
            self._over = True
            self._known.notify()
        self._thread.join()

    def _run(self) -> None:
        at, buffer = 0, memoryview(bytearray(_PIECE))
        while (end := self._more_than(at)) > at:
            while at < end and not self._stopped.is_set():
                try:
                    count = os.preadv(self._fd, [buffer[: end - at]], at)
                except OSError as error:
                    self._error = error
                    return
                if count == 0:
                    self._error = OSError(errno.EIO, "the file is shorter than what was written to it")
                    return
                self._hasher.update(buffer[:count])
                at += count
            if self._stopped.is_set():
                return

    def _more_than(self, at: int) -> int:
        """Return up to where the file is whole, once that is more than ``at`` or no more will come."""
        with self._known:
            self._known.wait_for(lambda: self._whole > at or self._over)
            return self._whole
