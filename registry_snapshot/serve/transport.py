"""Transports: bytes to and from one client, in clear or through TLS, never waiting unless told to.

TLS is done in memory (``ssl.SSLObject``), not by ``ssl.SSLSocket``: that one gives the kernel a record of 16 KiB at a time,
30 000 calls for 500 MB. Encrypting a larger piece first and sending it in one call costs a tenth to a quarter less CPU
(docs/adr/0008).
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from registry_snapshot.serve.turns import Turns

PIECE_BYTES = 256 * 1024  # of a large body, per call
_RECORD_BYTES = 16 * 1024  # of everything else through TLS: what one record holds
_RECEIVE_BYTES = 16 * 1024
_GENEROUS_MOST = 64  # connections with buffers of PIECE_BYTES, which OpenSSL does not give back before they close
# Encrypting is work for a processor. More at a time than there are processors only push each other out of their caches:
# with 8 to 32 clients that was 5 to 18 % of the CPU time (docs/adr/0008).
_encrypting = Turns(os.cpu_count() or 1)


class Transport:
    """In clear. Owns the socket."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._sock = sock
        self.fd = sock.fileno()

    def shake_hands(self) -> int:
        """Go on with the handshake. Return 0 when it is done, else the epoll event it waits for. Raises OSError."""
        return 0

    def receive(self) -> bytes:
        """Return bytes, none at the client's end. Raises BlockingIOError, OSError."""
        return self._sock.recv(_RECEIVE_BYTES)

    def has_received(self) -> bool:
        """Tell whether there are bytes that the kernel does not tell of any more."""
        return False

    def push(self, data: memoryview, *, more: bool = False) -> int:
        """Return how much of ``data`` was taken; ``more`` follows at once. Raises BlockingIOError, OSError."""
        return self._sock.send(data, socket.MSG_MORE if more else 0)

    def push_file(self, fd: int, offset: int, length: int) -> int | None:
        """Return how much of a file was taken, 0 at its end; None if this transport needs it read. Raises as ``push``."""
        return os.sendfile(self.fd, fd, offset, length)

    def piece(self) -> int:
        """Return how much of a large body to push at once."""
        return PIECE_BYTES

    def flush(self) -> None:
        """Get rid of what was taken and not sent yet. Raises BlockingIOError, OSError."""

    @contextmanager
    def patient(self, seconds: float) -> Iterator[None]:
        """Let every call that sends wait so long in the kernel, which wakes us once for megabytes; 0 changes nothing."""
        if not seconds:
            yield
            return
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", int(seconds), int(seconds % 1 * 1e6)))
        os.set_blocking(self.fd, True)
        try:
            yield
        finally:
            if self._sock.fileno() >= 0:
                os.set_blocking(self.fd, False)

    def turn(self, seconds: float) -> AbstractContextManager[None]:
        """Begin to send much. In clear, calls wait as in ``patient``: the kernel does the work."""
        return self.patient(seconds)

    def others_wait(self) -> bool:
        """Tell whether others wait for this one's turn to end."""
        return False

    def wait(self, seconds: float) -> bool:
        """Wait outside of a turn until more can be sent; tell whether it can."""
        del seconds
        return False

    def is_gone(self) -> bool:
        """Tell whether the client has closed."""
        poll = select.poll()
        poll.register(self.fd, select.POLLRDHUP)
        return bool(poll.poll(0))

    def end(self) -> None:
        """Say that nothing more comes; what the client still sends can be discarded."""
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_WR)

    def discard(self) -> int:
        """Throw away what came, and return how much it was; 0 at the client's end. Raises BlockingIOError, OSError."""
        return len(self._sock.recv(_RECEIVE_BYTES))

    def cut(self) -> None:
        """End it for whoever uses it in another thread: their next call fails."""
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the socket. May be called twice."""
        self._sock.close()


class TlsTransport(Transport):
    """Through TLS."""

    _generous = threading.BoundedSemaphore(_GENEROUS_MOST)

    def __init__(self, sock: socket.socket, context: ssl.SSLContext) -> None:
        super().__init__(sock)
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._sealed = memoryview(b"")
        self._is_generous = False

    def shake_hands(self) -> int:
        """Go on with the handshake. Return 0 when it is done, else the epoll event it waits for. Raises OSError."""
        while True:
            try:
                self._tls.do_handshake()
                is_done = True
            except ssl.SSLWantReadError:
                is_done = False
            except ssl.SSLError:
                with contextlib.suppress(OSError):
                    self.flush()  # the alert that says why
                raise
            try:
                self.flush()
            except BlockingIOError:
                return select.EPOLLOUT
            if is_done:
                return 0
            try:
                self._feed()
            except BlockingIOError:
                return select.EPOLLIN
            except EOFError:
                raise ConnectionResetError("the client closed during the handshake") from None

    def receive(self) -> bytes:
        """Return bytes, none at the client's end. Raises BlockingIOError, OSError."""
        while True:
            try:
                return self._tls.read(_RECEIVE_BYTES)
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLZeroReturnError:
                return b""
            try:
                self._feed()
            except EOFError:
                return b""

    def has_received(self) -> bool:
        """Tell whether there are bytes that the kernel does not tell of any more."""
        return self._incoming.pending > 0 or self._tls.pending() > 0

    def push(self, data: memoryview, *, more: bool = False) -> int:
        """Return how much of ``data`` was taken: nothing, or a piece that ``flush`` may have to send yet."""
        del more
        self.flush()
        count = self._tls.write(data[: PIECE_BYTES if self._is_generous else _RECORD_BYTES])
        with contextlib.suppress(BlockingIOError):
            self.flush()
        return count

    def push_file(self, fd: int, offset: int, length: int) -> int | None:
        """Return None: the kernel cannot encrypt for us."""
        del fd, offset, length
        return None

    def piece(self) -> int:
        """Return how much of a large body to push at once: much, as long as not too many others do."""
        if not self._is_generous:
            self._is_generous = self._generous.acquire(blocking=False)
        return PIECE_BYTES if self._is_generous else _RECORD_BYTES

    def turn(self, seconds: float) -> AbstractContextManager[None]:
        """Begin to send much, when it is this one's turn. Nothing waits in it: whoever is to wait leaves it first."""
        del seconds
        return _encrypting

    def others_wait(self) -> bool:
        """Tell whether others wait for this one's turn to end."""
        return _encrypting.others_wait

    def wait(self, seconds: float) -> bool:
        """Wait outside of a turn until more can be sent; tell whether it can."""
        poll = select.poll()
        poll.register(self.fd, select.POLLOUT)
        return bool(poll.poll(seconds * 1000))

    def flush(self) -> None:
        """Get rid of what was taken and not sent yet. Raises BlockingIOError, OSError."""
        while True:
            while self._sealed:
                self._sealed = self._sealed[self._sock.send(self._sealed) :]
            if not self._outgoing.pending:
                return
            self._sealed = memoryview(self._outgoing.read())

    def end(self) -> None:
        """Say that nothing more comes (close_notify: RFC 8446, 6.1); what the client still sends can be discarded."""
        with contextlib.suppress(OSError, ValueError):
            self._tls.unwrap()
        with contextlib.suppress(OSError):
            self.flush()
        super().end()

    def close(self) -> None:
        """Close the socket. May be called twice."""
        super().close()
        self._sealed = memoryview(b"")
        if self._is_generous:
            self._is_generous = False
            self._generous.release()

    def _feed(self) -> None:
        data = self._sock.recv(_RECEIVE_BYTES)
        if not data:
            raise EOFError
        self._incoming.write(data)
