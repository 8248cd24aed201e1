"""Growth: a blob that is still being written, and those who read it meanwhile.

A client that asks for a blob which is on its way from an upstream reads the growing file instead of waiting for all of
it. What it must never get is a body that looks complete and is wrong, so the last byte is held back until the whole was
verified: a client that follows a transfer which fails sees its connection end early, and no digest to trust.

Why: containerd does not repeat a blob that a mirror answered with a short ``200`` (containerd#9552).
"""

from __future__ import annotations

import os
import threading
from types import TracebackType
from typing import Self

from registry_snapshot.errors import RegistryError


class GrowthEndedError(Exception):
    """The blob will not come, or begins again from its first byte. What was sent of it is worth nothing more."""


class Growth:
    """A blob of ``size`` bytes on its way into the file ``fd`` (which the writer owns). Safe for threads.

    The writer says ``grew`` after each write, and at last ``finish`` (verified) or ``fail``. ``restart`` tells that the
    file begins anew: who has read something of it must stop, who has not goes on.
    """

    def __init__(self, fd: int, size: int) -> None:
        self.size = size
        self._fd = os.dup(fd)
        self._written = 0
        self._whole = False
        self._error: RegistryError | None = None
        self._generation = 0
        self._changed = threading.Condition()

    def grew(self, written: int) -> None:
        """Tell that the first ``written`` bytes are in the file."""
        with self._changed:
            self._written = written
            self._changed.notify_all()

    def restart(self) -> None:
        """Tell that the file will be emptied and written again. Say it before the bytes go."""
        with self._changed:
            self._written = 0
            self._generation += 1
            self._changed.notify_all()

    def finish(self) -> None:
        """Tell that all bytes are in the file and are what they should be."""
        with self._changed:
            self._whole = True
            self._written = self.size
            self._changed.notify_all()

    def fail(self, error: RegistryError) -> None:
        """Tell that the blob will not come. After ``finish`` it changes nothing: the bytes are right."""
        with self._changed:
            if not self._whole:
                self._error = error
            self._changed.notify_all()

    def follow(self) -> GrowingExtent:
        """Return a reader of its own for one client. Raises the error if the blob has failed already."""
        with self._changed:
            if self._error is not None:
                raise self._error
            if self._fd < 0:
                raise GrowthEndedError("the transfer has ended")
            return GrowingExtent(self, os.dup(self._fd), self._generation)

    def available(self, at: int, generation: int, seconds: float) -> int:
        """Wait until more than ``at`` bytes may be read, and return how many; ``at`` if ``seconds`` passed without news.

        Before the whole is verified that is one byte less than there will be. Raises GrowthEndedError.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._readable(at, generation) > at, seconds)
            return max(self._readable(at, generation), at)

    def is_still(self, generation: int) -> bool:
        """Tell whether the file was not begun anew since ``generation``, so that what was read of it belongs together."""
        with self._changed:
            return generation == self._generation

    @property
    def generation(self) -> int:
        """How many times the file was begun anew."""
        with self._changed:
            return self._generation

    def close(self) -> None:
        """Let go of the writer's side; readers keep theirs."""
        with self._changed:
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1

    def _readable(self, at: int, generation: int) -> int:
        if self._error is not None:
            raise GrowthEndedError(self._error.problem)
        if generation != self._generation and at > 0:
            raise GrowthEndedError("the transfer began again")
        return self._written if self._whole else min(self._written, self.size - 1)


class GrowingExtent:
    """One client's view of a Growth: an open file of ``size`` bytes of which some are still missing. Close it."""

    def __init__(self, growth: Growth, fd: int, generation: int) -> None:
        self.fd = fd
        self.offset = 0
        self.size = growth.size
        self._growth = growth
        self._generation = generation

    def available(self, at: int, seconds: float) -> int:
        """Return how many bytes from the start may be read now; waits up to ``seconds`` for more than ``at``.

        Returns ``at`` if none came in that time. Raises GrowthEndedError.
        """
        if at == 0:  # nothing was read yet: bytes of a second beginning are as good as those of the first
            self._generation = self._growth.generation
        return self._growth.available(at, self._generation, seconds)

    def read(self, length: int, at: int) -> bytes:
        """Return up to ``length`` of the bytes that ``available`` told of, from ``at`` on. Raises GrowthEndedError.

        Bytes of a transfer that began again meanwhile are not given out: they do not belong to those before them.
        """
        data = os.pread(self.fd, length, self.offset + at)
        if not self._growth.is_still(self._generation):
            raise GrowthEndedError("the transfer began again")
        return data

    def close(self) -> None:
        """Close the file. May be called twice."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
