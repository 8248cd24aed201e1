"""Connection: one client's socket, what came of its next request, and what is left of its last answer. Never waits."""

from __future__ import annotations

import time
from collections.abc import Callable
from enum import Enum, auto

from registry_snapshot.serve.bodies import Outgoing
from registry_snapshot.serve.messages import Response
from registry_snapshot.serve.transport import Transport
from registry_snapshot.serve.wire import Head, head_end, parse_head, render_head

_DRAIN_BYTES = 4 * 1024 * 1024  # of a request's body that are thrown away so that the client gets to read our answer


class Wait(Enum):
    """What a connection that no thread works on is waiting for."""

    HANDSHAKE = auto()
    IDLE = auto()  # for the first byte of a request
    HEAD = auto()  # for the rest of a request's head
    TAKE = auto()  # for the client to take more of an answer
    DRAIN = auto()  # for the client to read our last answer and close


class Connection:
    """Belongs to one thread at a time: the loop while it waits, else the one that moves it on."""

    __slots__ = ("_buffer", "_drained", "_head_bytes", "_seen", "armed", "came", "client", "closing", "drains", "fd", "origin", "outgoing", "shakes", "transport", "wait")

    def __init__(self, transport: Transport, client: str, origin: str = "") -> None:
        self.transport = transport
        self.fd = transport.fd
        self.came = time.monotonic()
        self.client = client
        self.origin = origin or client
        """What its client's connections are counted by."""
        self.wait: Wait | None = None
        self.armed = 0
        """What epoll was told to look for."""
        self.shakes = False
        """Whether it was the epoll of those that shake hands."""
        self.closing = False
        """Whether it ends after the answer that is on its way."""
        self.drains = False
        """Whether the client may still be sending then."""
        self.outgoing: Outgoing | None = None
        """The answer that is on its way."""
        self._buffer = bytearray()
        self._seen = 0
        self._head_bytes = 0
        self._drained = 0

    @property
    def has_begun(self) -> bool:
        """Tell whether a part of a next request is here."""
        return bool(self._buffer)

    def has_head(self) -> bool:
        """Tell whether a whole request head is here. Raises BadRequestError."""
        if not self._head_bytes:
            if self._buffer[:2] == b"\r\n":  # RFC 9112, 2.2: some clients send an empty line after a body
                del self._buffer[:2]
            self._head_bytes = head_end(self._buffer, self._seen)
            self._seen = len(self._buffer)
        return self._head_bytes > 0

    def receive(self) -> bool:
        """Read until a request head is whole or there is no more; tell which. Raises BadRequestError, EOFError, OSError."""
        while not self.has_head():
            try:
                data = self.transport.receive()
            except BlockingIOError:
                return False
            if not data:
                raise EOFError
            self._buffer += data
        return True

    def may_have_more(self) -> bool:
        """Tell whether bytes were received that the kernel does not tell of any more: in our buffer, or inside of TLS."""
        return bool(self._buffer) or self.transport.has_received()

    def take_head(self) -> Head:
        """Return the request that ``has_head`` told of. Raises BadRequestError."""
        data = bytes(self._buffer[: self._head_bytes])
        del self._buffer[: self._head_bytes]
        self._seen = self._head_bytes = 0
        return parse_head(data, self.client)

    def answer(self, response: Response, *, head_only: bool, moved: Callable[[int], None]) -> Outgoing:
        """Begin to send ``response``, and return it; ``closing`` is said in its head. Owns the response's body."""
        head = render_head(response, close=self.closing)
        if head_only:
            response.close()
        self.outgoing = Outgoing(head, None if head_only else response.body, moved)
        return self.outgoing

    def finish(self) -> None:
        """Forget the answer that was sent."""
        outgoing, self.outgoing = self.outgoing, None
        if outgoing is not None:
            outgoing.close()

    def begin_drain(self) -> None:
        """Say that nothing more comes. To close on unread bytes would reset the connection and lose our last answer."""
        self._buffer.clear()
        self.transport.end()

    def drain(self) -> bool:
        """Throw away what the client sends; tell whether there may be more. Raises OSError."""
        while self._drained < _DRAIN_BYTES:
            try:
                count = self.transport.discard()
            except BlockingIOError:
                return True
            if not count:
                return False
            self._drained += count
        return False

    def close(self) -> None:
        """Close the socket and the file that was being sent."""
        self.finish()
        self.transport.close()
