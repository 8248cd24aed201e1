"""TLS to an engine (``tcp://docker:2376``) as a plain socket whose two directions end apart.

A command's input ends while its output goes on. Over TLS that is close_notify one way (RFC 8446, section 6.1), which ssl.SSLSocket
cannot say: its ``shutdown`` gives TLS up, and what comes then is read as ciphertext. Nor may one thread read from it while another
writes. So TLS is done in memory, under a lock, between a socket to the engine and one end of a socket pair; docker's client and
everything above it has the other end.
"""

from __future__ import annotations

import select
import socket
import ssl
import threading
from contextlib import suppress
from typing import Final

_CONNECT: Final = 20.0  # seconds
_CHUNK: Final = 256 * 1024
_LOOK: Final = 1000  # milliseconds between two looks at whether anybody still listens


def tunnel(address: tuple[str, int], context: ssl.SSLContext) -> socket.socket:
    """Return a plain socket to what speaks TLS at ``address``; closing it, or half of it, does so there. Raises OSError."""
    outer = socket.create_connection(address, _CONNECT)
    try:
        outer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        made = _Tunnel(outer, context, address[0])
        made.shake_hands()
    except BaseException:
        outer.close()
        raise
    outer.settimeout(None)
    return made.open()


class _Tunnel:
    def __init__(self, outer: socket.socket, context: ssl.SSLContext, name: str) -> None:
        self._outer = outer
        self._coming, self._going = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._coming, self._going, server_hostname=name)
        self._lock = threading.Lock()  # of TLS; never held while anything waits for the engine
        self._sending = threading.Lock()  # the order in which records leave
        self._ended = threading.Event()

    def shake_hands(self) -> None:
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self._flush()
                data = self._outer.recv(_CHUNK)
                if not data:
                    raise ConnectionResetError(104, "the engine hung up in the middle of the TLS handshake") from None
                self._coming.write(data)
            else:
                return self._flush()

    def open(self) -> socket.socket:
        ours, inner = socket.socketpair()
        threading.Thread(target=self._carry, args=(inner,), name="engine-tls", daemon=True).start()
        return ours

    def _carry(self, inner: socket.socket) -> None:
        with self._outer, inner:
            asks = threading.Thread(target=self._up, args=(inner,), name="engine-tls-up", daemon=True)
            asks.start()
            self._down(inner)
            self._ended.set()
            with suppress(OSError):
                inner.shutdown(socket.SHUT_WR)
            asks.join()

    def _down(self, inner: socket.socket) -> None:
        with suppress(OSError):  # ssl.SSLError is one
            while data := self._outer.recv(_CHUNK):
                with self._lock:
                    self._coming.write(data)
                    plain, over = self._read()
                self._flush(wait=False)  # an answer to a new key
                inner.sendall(plain)
                if over:
                    return

    def _up(self, inner: socket.socket) -> None:
        with suppress(OSError):
            while data := inner.recv(_CHUNK):
                with self._lock:
                    self._tls.write(data)
                self._flush()
            with self._lock, suppress(ssl.SSLWantReadError):
                self._tls.unwrap()  # reads too, and would take data for a mistake: what has come was read under this lock
            self._flush()
        self._wait_for_the_reader(inner)

    def _wait_for_the_reader(self, inner: socket.socket) -> None:
        """Go on carrying what the engine says until nobody is there to hear it. poll(2): POLLHUP is both directions closed."""
        poll = select.poll()
        poll.register(inner, 0)
        while not self._ended.is_set() and not poll.poll(_LOOK):
            pass
        with suppress(OSError):
            self._outer.shutdown(socket.SHUT_RDWR)

    def _read(self) -> tuple[bytes, bool]:
        """Return all that can be deciphered, and whether the engine has said that it is all."""
        pieces: list[bytes] = []
        try:
            while piece := self._tls.read(_CHUNK):
                pieces.append(piece)
        except ssl.SSLWantReadError:
            return b"".join(pieces), False
        except ssl.SSLZeroReturnError:
            pass
        return b"".join(pieces), True

    def _flush(self, *, wait: bool = True) -> None:
        """Send what is ready. Without ``wait`` leave it to the thread that is sending: that looks again when it is done."""
        while self._going.pending and self._sending.acquire(blocking=wait):
            try:
                with self._lock:
                    data = self._going.read()
                self._outer.sendall(data)
            finally:
                self._sending.release()
