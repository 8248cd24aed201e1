"""Pace: a peer that sends too slowly is as good as one that is silent, and a head has an end.

A socket's timeout begins anew with every byte, so one byte a minute would keep a connection for ever; http.client reads
interim answers (``100 Continue``) for as long as they come. Both stop here, at the one place every byte passes.
"""

from __future__ import annotations

import http.client
import io
import select
import socket
import ssl
import time
from typing import Any

PACE_BYTES = 16 * 1024  # at least so many within one read timeout of waiting: 273 bytes a second at 60 s, less than any modem
HEAD_BYTES = 512 * 1024  # of status line and headers; registries send under 4 KiB
_SECONDS = 60.0


class _PacedStream(io.RawIOBase):
    """The bytes of one answer. Only time spent waiting counts: a slow disk of ours is not the peer's fault."""

    def __init__(self, raw: io.RawIOBase, sock: socket.socket) -> None:
        super().__init__()
        self._raw = raw
        self._seconds = sock.gettimeout() or _SECONDS
        self._waited = 0.0
        self._came = 0
        self._head_left: int | None = HEAD_BYTES
        self._failure: OSError | None = None
        self._tls = sock if isinstance(sock, ssl.SSLSocket) else None
        self._poll = select.poll()
        self._poll.register(sock, select.POLLIN)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int | None:
        began = time.monotonic()
        count = self._receive(memoryview(buffer))
        self._waited += time.monotonic() - began
        self._came += count
        if self._head_left is not None and self._came > self._head_left:
            raise ConnectionAbortedError("the head of the answer has no end")
        if self._came >= PACE_BYTES:
            self._rest()
        elif count and self._waited > self._seconds:
            raise TimeoutError(f"fewer than {PACE_BYTES} bytes in {self._seconds:.0f} seconds")
        return count

    def _receive(self, view: memoryview) -> int:
        """Wait for bytes, and take all that are there. TLS gives them out in records of 16 KiB, each at the cost of a chunk."""
        if self._failure is not None:
            raise self._failure
        count = int(self._raw.readinto(view))
        while self._tls is not None and 0 < count < len(view) and (self._tls.pending() or self._poll.poll(0)):
            try:
                more = int(self._raw.readinto(view[count:]))
            except OSError as error:
                self._failure = error  # what came before it is good
                break
            if not more:
                break
            count += more
        return count

    def head_is_whole(self) -> None:
        """Tell that what follows is the body."""
        self._head_left = None
        self._rest()

    def close(self) -> None:
        if not self.closed:
            self._raw.close()
        super().close()

    def _rest(self) -> None:
        """Begin a new measure; of a head the whole is counted."""
        if self._head_left is None:
            self._came, self._waited = 0, 0.0


class PacedResponse(http.client.HTTPResponse):
    """An answer whose bytes must come at a minimum pace."""

    def __init__(self, sock: socket.socket, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        self._stream = _PacedStream(self.fp.detach(), sock)
        self.fp = io.BufferedReader(self._stream)

    def begin(self) -> None:
        """Read the head. Raises what http.client raises, TimeoutError, OSError."""
        super().begin()
        self._stream.head_is_whole()
