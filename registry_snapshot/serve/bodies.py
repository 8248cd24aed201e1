"""Outgoing: an answer on its way to one client, in steps that never wait.

Cleartext files go out by ``sendfile``; through TLS, where the kernel cannot copy for us, in large pieces from one buffer a
thread. A blob that is still growing is read as it comes. Whatever ends too early raises CutShortError: the connection must
be closed then, so that the client counts fewer bytes than it was told, and never sees a short ``200`` (containerd#9552).
"""

from __future__ import annotations

import os
import select
import socket
import ssl
import threading
from collections.abc import Callable

from registry_snapshot.serve.messages import ExtentSlice, GrowingSlice
from registry_snapshot.store.growth import GrowthEndedError

SENDFILE_BYTES = 8 * 1024 * 1024  # per call: large enough to cost nothing, small enough to notice stop()
COPY_BYTES = 256 * 1024  # per read where we copy: measured, docs/adr/0008
SMALL_BYTES = 64 * 1024  # bodies that are read at once and leave in one packet with their head
_NEWS_SECONDS = 5.0  # how often one who waits for a growing blob looks whether its client is still there


class CutShortError(Exception):
    """A body could not be sent whole. The connection must be closed, so that the client sees it."""


class _Buffer(threading.local):
    """A thread's own piece of memory for copying."""

    def __init__(self) -> None:
        self.view = memoryview(bytearray(COPY_BYTES))


_buffer = _Buffer()


class Outgoing:
    """``head``, and after it ``body``, to be sent on ``sock``, which does not block. Owns the body; close it.

    ``moved`` hears of the bytes that the socket took.
    """

    def __init__(self, head: bytes, body: bytes | ExtentSlice | GrowingSlice | None, moved: Callable[[int], None]) -> None:
        whole = head + body if isinstance(body, bytes) else head
        self._ready = memoryview(whole)
        self._body = None if isinstance(body, bytes) else body
        self._at = body.start if isinstance(body, (ExtentSlice, GrowingSlice)) else 0
        self._moved = moved

    @property
    def is_gathered(self) -> bool:
        """Tell that all that is left is in memory, so that sending it waits for nothing but the client."""
        return self._body is None

    def gather(self) -> bool:
        """Take a small body into memory if the kernel has it there; False if reading it would wait for the disk."""
        body = self._body
        if body is None:
            return True
        if not isinstance(body, ExtentSlice) or body.size > SMALL_BYTES:
            return False
        start, place = len(self._ready), body.extent.offset + body.start
        view = _buffer.view[start : start + body.size]
        try:
            count = os.preadv(body.extent.fd, [view], place, os.RWF_NOWAIT) if body.size else 0
        except OSError:  # not in memory, or a file system that cannot tell
            return False
        if count < body.size:
            return False
        _buffer.view[:start] = self._ready
        self._ready = _buffer.view[: start + body.size]
        self.close()
        return True

    def send(self, sock: socket.socket) -> bool:
        """Send what the socket takes now; tell whether all is sent. Raises CutShortError, OSError."""
        try:
            if self._body is None:
                self._send_ready(sock)
            elif isinstance(self._body, GrowingSlice):
                self._follow(sock, self._body)
            elif isinstance(sock, ssl.SSLSocket):
                self._copy(sock, self._body)
            else:
                self._sendfile(sock, self._body)
        except (BlockingIOError, ssl.SSLWantWriteError):
            # The buffer is this thread's; who goes on from here may be another one.
            if self._body is None:
                self._ready = memoryview(bytes(self._ready))
            return False
        return True

    def close(self) -> None:
        """Let go of the body's file. May be called twice."""
        body, self._body = self._body, None
        if body is not None:
            body.close()

    def _send_ready(self, sock: socket.socket, flags: int = 0) -> None:
        while self._ready:
            # SSLSocket.send takes no flags
            count = sock.send(self._ready, flags) if flags else sock.send(self._ready)
            self._ready = self._ready[count:]
            self._moved(count)

    def _sendfile(self, sock: socket.socket, body: ExtentSlice) -> None:
        end = body.start + body.size
        self._send_ready(sock, socket.MSG_MORE if body.size else 0)
        while self._at < end:
            place = body.extent.offset + self._at
            count = os.sendfile(sock.fileno(), body.extent.fd, place, min(SENDFILE_BYTES, end - self._at))
            if count == 0:
                raise CutShortError(f"{end - self._at} bytes are missing at the end of the file")
            self._at += count
            self._moved(count)

    def _copy(self, sock: socket.socket, body: ExtentSlice) -> None:
        self._send_ready(sock)
        end, view = body.start + body.size, _buffer.view
        while self._at < end:
            length = min(COPY_BYTES, end - self._at)
            filled = os.preadv(body.extent.fd, [view[:length]], body.extent.offset + self._at)
            if filled == 0:
                raise CutShortError(f"{end - self._at} bytes are missing at the end of the file")
            self._send_piece(sock, view[:filled])

    def _send_piece(self, sock: socket.socket, piece: memoryview) -> None:
        """Send a piece of the body. After a socket that was full, TLS wants the same bytes again: they are read again."""
        while piece:
            count = sock.send(piece)
            piece = piece[count:]
            self._at += count
            self._moved(count)

    def _follow(self, sock: socket.socket, body: GrowingSlice) -> None:
        self._send_ready(sock)
        end = body.start + body.size
        try:
            while self._at < end:
                there = min(body.extent.available(self._at, _NEWS_SECONDS), end)
                if there <= self._at:
                    _refuse_gone(sock)
                    continue
                data = body.extent.read(min(COPY_BYTES, there - self._at), self._at)
                if not data:
                    raise CutShortError("the file is shorter than what was written to it")
                self._send_piece(sock, memoryview(data))
        except GrowthEndedError as error:
            raise CutShortError(str(error)) from None


def _refuse_gone(sock: socket.socket) -> None:
    """Raise ConnectionResetError if the client has gone: nobody needs to wait for its blob any more."""
    poll = select.poll()
    poll.register(sock, select.POLLRDHUP)
    if poll.poll(0):
        raise ConnectionResetError("the client went away while its blob was on its way")
