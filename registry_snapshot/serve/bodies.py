"""Outgoing: an answer on its way to one client, in steps that never wait.

Cleartext files go out by ``sendfile``; through TLS, where the kernel cannot copy for us, in large pieces from one buffer a
thread. A blob that is still growing is read as it comes. Whatever ends too early raises CutShortError: the connection must
be closed then, so that the client counts fewer bytes than it was told, and never sees a short ``200`` (containerd#9552).
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

from registry_snapshot.serve.messages import ExtentSlice, GrowingSlice
from registry_snapshot.serve.transport import PIECE_BYTES, Transport
from registry_snapshot.store.growth import GrowthEndedError

SENDFILE_BYTES = 4 * 1024 * 1024  # per call: large enough to cost nothing, small enough to notice a client that is slow
TURN_BYTES = 4 * 1024 * 1024  # through TLS, before others have their turn
SMALL_BYTES = 64 * 1024  # bodies that are read at once and leave in one packet with their head
PACE_BYTES = 16 * 1024  # at least so many in the time that a client may take none: as record/pace.py wants it of upstreams
_NEWS_SECONDS = 5.0  # how often one who waits for a growing blob looks whether its client is still there


class CutShortError(Exception):
    """A body could not be sent whole. The connection must be closed, so that the client sees it."""


class _Buffer(threading.local):
    """A thread's own piece of memory for copying."""

    def __init__(self) -> None:
        self.view = memoryview(bytearray(PIECE_BYTES))


_buffer = _Buffer()


class Outgoing:
    """``head``, and after it ``body``, on their way to one client. Owns the body; close it.

    ``moved`` hears of the bytes that the transport took.
    """

    def __init__(self, head: bytes, body: bytes | ExtentSlice | GrowingSlice | None, moved: Callable[[int], None]) -> None:
        whole = head + body if isinstance(body, bytes) else head
        self._ready = memoryview(whole)
        self._body = None if isinstance(body, bytes) else body
        self._at = self._body.start if self._body else 0
        self._end = self._body.start + self._body.size if self._body else 0
        self._reads = False
        """Whether what is ready was read from the body, and ``_at`` counts it when it is sent."""
        self._is_borrowed = False
        """Whether what is ready stands in this thread's buffer."""
        self._moved = moved
        self._sent = self._paced_sent = 0
        self._paced_since: float | None = None

    def drips(self, seconds: float) -> bool:
        """Tell whether the client has taken fewer than PACE_BYTES in ``seconds``. To be asked each time it has to be waited for.

        One byte a minute would keep a file open for ever. Who takes all that a growing blob has is not slow.
        """
        now = time.monotonic()
        if self._paced_since is None or self._sent - self._paced_sent >= PACE_BYTES or isinstance(self._body, GrowingSlice):
            self._paced_sent, self._paced_since = self._sent, now
        return now - self._paced_since > seconds

    @property
    def is_gathered(self) -> bool:
        """Tell that all that is left is in memory, so that sending it waits for nothing but the client."""
        return self._body is None

    def gather(self, *, may_wait: bool) -> bool:
        """Take a small body into memory, so that it leaves together with its head; False if it stays in its file.

        Unless it ``may_wait`` for the disk, that is done only if the kernel has the bytes in memory.
        """
        body = self._body
        if body is None:
            return True
        if not isinstance(body, ExtentSlice) or body.size > SMALL_BYTES:
            return False
        start, place = len(self._ready), body.extent.offset + body.start
        view = _buffer.view[start : start + body.size]
        try:
            count = os.preadv(body.extent.fd, [view], place, 0 if may_wait else os.RWF_NOWAIT) if body.size else 0
        except (OSError, NotImplementedError):  # not in memory, or a file system or libc (preadv2: glibc 2.26) that cannot tell
            return False
        if count < body.size:  # some of it is not in memory, or it ends too early: who sends it finds out
            return False
        _buffer.view[:start] = self._ready
        self._ready, self._is_borrowed = _buffer.view[: start + body.size], True
        self._at = self._end
        self.close()
        return True

    def send(self, transport: Transport, patience: float = 0) -> bool:
        """Send until all is sent, True, or until the client takes little, False. Raises CutShortError, OSError.

        With ``patience`` this thread waits for the client for so many seconds; who is slower gets no thread of its own.
        """
        patience = 0 if self.is_gathered else patience
        try:
            while True:
                with self._turn(transport, patience), contextlib.suppress(BlockingIOError):
                    if (is_all := self._send(transport, patience)) is not None:
                        return is_all
                    continue
                began = time.monotonic()
                if patience <= 0 or not transport.wait(patience):
                    return False
                patience -= time.monotonic() - began
        finally:
            # Who goes on from here may be another thread. What is in the file is read again.
            if self._reads or self._is_borrowed:
                self._ready, self._is_borrowed = memoryview(b"" if self._reads else bytes(self._ready)), False

    def close(self) -> None:
        """Let go of the body's file. May be called twice."""
        body, self._body = self._body, None
        if body is not None:
            body.close()

    def _turn(self, transport: Transport, patience: float) -> AbstractContextManager[None]:
        if self.is_gathered:
            return nullcontext()
        # Who waits for a blob to grow must not wait in a turn.
        return transport.patient(patience) if isinstance(self._body, GrowingSlice) else transport.turn(patience)

    def _send(self, transport: Transport, patience: float) -> bool | None:
        """Return True when all is sent, False for a client that is slow, None when it is time for others."""
        over = self._at + TURN_BYTES
        while self._ready or self._at < self._end:
            if not self._ready and isinstance(self._body, GrowingSlice):
                self._ready = memoryview(self._news(transport, self._body))
            began = time.monotonic() if patience else 0.0
            if self._ready:
                self._push(transport)
            elif isinstance(self._body, ExtentSlice):
                self._push_file(transport, self._body)
            if patience and time.monotonic() - began >= patience and (self._ready or self._at < self._end):
                return False
            if self._at >= over and not self._ready and transport.others_wait():
                return None
        transport.flush()
        return True

    def _push(self, transport: Transport) -> None:
        count = transport.push(self._ready, more=not self._reads and self._at < self._end)  # a head leaves with its body
        self._ready = self._ready[count:]
        self._at += count if self._reads else 0
        self._sent += count
        self._moved(count)

    def _push_file(self, transport: Transport, body: ExtentSlice) -> None:
        place, left = body.extent.offset + self._at, self._end - self._at
        count = transport.push_file(body.extent.fd, place, min(SENDFILE_BYTES, left))
        if count is None:
            self._reads = True
            filled = os.preadv(body.extent.fd, [_buffer.view[: min(transport.piece(), left)]], place)
            self._ready = _buffer.view[:filled]
            count = 0
        else:
            filled = count
        if filled == 0:
            raise CutShortError(f"{left} bytes are missing at the end of the file")
        self._at += count
        self._sent += count
        self._moved(count)

    def _news(self, transport: Transport, body: GrowingSlice) -> bytes:
        """Return the next bytes of a growing blob, empty if none came in a while."""
        self._reads = True
        try:
            there = min(body.extent.available(self._at, _NEWS_SECONDS), self._end)
            if there <= self._at:
                if transport.is_gone():  # nobody needs to wait for this blob any more
                    raise ConnectionResetError("the client went away while its blob was on its way")
                return b""
            data = body.extent.read(min(transport.piece(), there - self._at), self._at)
        except GrowthEndedError as error:
            raise CutShortError(str(error)) from None
        if not data:
            raise CutShortError("the file is shorter than what was written to it")
        return data
