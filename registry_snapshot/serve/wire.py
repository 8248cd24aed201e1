"""HTTP/1.1 on one socket: a request head in, a response out, with limits and deadlines.

Source: RFC 9112. Bodies of requests are never read: a read-only registry needs none, so such a connection is closed.
"""

from __future__ import annotations

import contextlib
import email.errors
import http.client
import io
import os
import select
import socket
import ssl
import time
from dataclasses import dataclass
from http import HTTPStatus

from registry_snapshot.serve.messages import ExtentSlice, GrowingSlice, Headers, Request, Response
from registry_snapshot.store.growth import GrowthEndedError

MAX_HEAD = 64 * 1024  # bytes of request line and headers together; real clients send under 2 KiB
MAX_LINE = 16 * 1024  # bytes of the request line: a name of 255, a digest, a namespace, and room
SENDFILE_BYTES = 8 * 1024 * 1024  # per call: large enough to cost nothing, small enough to notice stop()
# What a client that tries HTTPS first begins with: skopeo, podman, crane and docker do, when told that a registry is
# insecure. Unless it is turned away at once, skopeo waits 10 s for each pull. Source: RFC 8446, 5.1.
TLS_HANDSHAKE = b"\x16\x03"
COPY_BYTES = 512 * 1024  # per read for TLS, where the kernel cannot copy for us


class BadRequestError(Exception):
    """A request that is not answered by the app: ``status`` and why."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class CutShortError(Exception):
    """A body could not be sent whole. The connection must be closed, so that the client sees it."""


@dataclass(frozen=True, slots=True)
class Head:
    """A parsed request, whether the connection may be used again after it, and whether the client sends a body."""

    request: Request
    keep_alive: bool
    has_body: bool


class Wire:
    """One client's connection. ``receive_seconds`` bounds a whole request head, ``stall_seconds`` each wait to send."""

    def __init__(self, sock: socket.socket, client: str, receive_seconds: float, stall_seconds: float) -> None:
        self._socket = sock
        self._client = client
        self._receive_seconds = receive_seconds
        self._stall_seconds = stall_seconds
        self._pending = b""

    def receive(self, idle_seconds: float) -> Head | None:
        """Return the next request, None if the client has closed or stays idle for ``idle_seconds``.

        Raises BadRequestError, OSError (also for a head that trickles in too slowly).
        """
        data, self._pending = self._pending, b""
        if not data:
            self._socket.settimeout(idle_seconds)
            try:
                data = self._socket.recv(MAX_HEAD)
            except TimeoutError:
                return None
        deadline = time.monotonic() + self._receive_seconds
        while data and (end := data.find(b"\r\n\r\n")) < 0:
            if data.startswith(TLS_HANDSHAKE):
                raise BadRequestError(400, "this port speaks HTTP, not HTTPS")
            if len(data) > MAX_HEAD:
                raise BadRequestError(431, "the headers are too long")
            if (left := deadline - time.monotonic()) <= 0:
                raise BadRequestError(408, "the request came too slowly")
            self._socket.settimeout(left)
            try:
                more = self._socket.recv(MAX_HEAD)
            except TimeoutError:
                continue
            if not more:
                return None
            data += more
        if not data:
            return None
        self._pending = data[end + 4 :]
        return _parse(data[: end + 4], self._client)

    def send(self, response: Response, *, head_only: bool, close: bool) -> None:
        """Send ``response``. Raises CutShortError if its body ends early, OSError if the client does not take it."""
        self._socket.settimeout(self._stall_seconds)
        head = _head(response, close=close)
        body = response.body
        if head_only or body is None:
            self._socket.sendall(head)
        elif isinstance(body, bytes):
            self._socket.sendall(head + body)
        elif isinstance(body, GrowingSlice):
            self._socket.sendall(head)
            self._follow(body)
        elif isinstance(self._socket, ssl.SSLSocket):
            self._socket.sendall(head)
            self._copy(body)
        else:
            self._socket.sendall(head)
            self._sendfile(body)

    def drain(self) -> None:
        """Throw away a little of a request's body: closing on unread bytes resets the connection and loses our answer."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)
            self._socket.settimeout(1)
            for _ in range(64):
                if not self._socket.recv(MAX_HEAD):
                    return

    def _follow(self, body: GrowingSlice) -> None:
        at, end = body.start, body.start + body.size
        while at < end:
            try:
                there = min(body.extent.available(at, self._stall_seconds), end)
            except GrowthEndedError as error:
                raise CutShortError(str(error)) from None
            while at < there:
                data = os.pread(body.extent.fd, min(COPY_BYTES, there - at), body.extent.offset + at)
                self._socket.sendall(data)
                at += len(data)

    def _copy(self, body: ExtentSlice) -> None:
        at, end = body.start, body.start + body.size
        while at < end:
            data = body.extent.read(min(COPY_BYTES, end - at), at)
            if not data:
                raise CutShortError(f"{end - at} bytes are missing at the end of the file")
            self._socket.sendall(data)
            at += len(data)

    def _sendfile(self, body: ExtentSlice) -> None:
        poll = select.poll()
        poll.register(self._socket, select.POLLOUT)
        at, end = body.extent.offset + body.start, body.extent.offset + body.start + body.size
        while at < end:
            try:
                count = os.sendfile(self._socket.fileno(), body.extent.fd, at, min(SENDFILE_BYTES, end - at))
            except BlockingIOError:
                if not poll.poll(self._stall_seconds * 1000):
                    raise TimeoutError("the client has stopped reading") from None
                continue
            if count == 0:
                raise CutShortError(f"{end - at} bytes are missing at the end of the file")
            at += count


def _parse(data: bytes, client: str) -> Head:
    line, _, rest = data.partition(b"\r\n")
    if len(line) > MAX_LINE:
        raise BadRequestError(414, "the request line is too long")
    words = line.decode("latin-1").split(" ")
    if len(words) != 3 or words[2] not in {"HTTP/1.1", "HTTP/1.0"}:
        raise BadRequestError(400, "this is not an HTTP/1.1 request")
    method, target, version = words
    try:
        headers = Headers(http.client.parse_headers(io.BytesIO(rest)).items())
        request = Request.of(method, target, headers, client)
    except (http.client.HTTPException, email.errors.MessageError, ValueError) as error:
        raise BadRequestError(400, f"the request cannot be understood: {type(error).__name__}") from None
    tokens = {token.strip().lower() for line in headers.all("Connection") for token in line.split(",")}
    has_body = headers.get("Transfer-Encoding") is not None or (headers.get("Content-Length") or "0") != "0"
    return Head(request, version == "HTTP/1.1" and "close" not in tokens and not has_body, has_body)


def _head(response: Response, *, close: bool) -> bytes:
    try:
        phrase = HTTPStatus(response.status).phrase
    except ValueError:
        phrase = ""
    lines = [f"HTTP/1.1 {response.status} {phrase}"]
    # A value with a line break would end the header early; nothing of ours has one, but names come from outside.
    lines += [f"{name}: {value}" for name, value in response.headers if "\r" not in value and "\n" not in value]
    if close:
        lines.append("Connection: close")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")
