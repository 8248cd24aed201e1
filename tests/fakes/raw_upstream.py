"""RawUpstream: an app on a bare socket, where an answer may be broken in ways that no HTTP server would send.

A fault gets the request and the app's right answer, and yields what goes over the wire: bytes, or how the connection ends.
Nobody waits for time here: a hang lasts until the client has had enough.
"""

from __future__ import annotations

import contextlib
import enum
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Self

from registry_snapshot.serve.http_server import App
from registry_snapshot.serve.messages import Headers, Request, Response


class End(enum.Enum):
    """How a connection ends."""

    CLOSE = "it is closed, as if all had been said"
    RESET = "it is reset"
    HANG = "nothing more is said, and it stays open"


Piece = bytes | End
Fault = Callable[[Request, Response], Iterator[Piece]]


def head(status: int, *headers: tuple[str, str]) -> bytes:
    """Return a status line and headers."""
    return "\r\n".join((f"HTTP/1.1 {status} X", *(f"{name}: {value}" for name, value in headers), "", "")).encode("latin-1")


def whole(answer: Response) -> Iterator[Piece]:
    """Say an answer as it is."""
    yield head(answer.status, *answer.headers)
    yield answer.read()


def without(answer: Response, *names: str) -> tuple[tuple[str, str], ...]:
    """Return an answer's headers without some of them."""
    return tuple((name, value) for name, value in answer.headers if name.lower() not in {n.lower() for n in names})


class RawUpstream:
    """``app`` on loopback, answered through ``fault``. ``requests`` and ``connections`` remember, ``bodies`` what POST sent."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.fault: Fault | None = None
        self.requests: list[Request] = []
        self.bodies: list[bytes] = []
        self.connections = 0
        self.stopping = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()

    @property
    def host(self) -> str:
        return f"localhost:{self._listener.getsockname()[1]}"

    @property
    def url(self) -> str:
        return f"http://{self.host}"

    def right(self, request: Request) -> Response:
        """Return the app's answer with its body in memory, so that a fault need not close it."""
        answer = self.app.handle(request)
        return Response(answer.status, answer.headers, answer.read())

    def drip(self, data: bytes, seconds: float) -> Iterator[Piece]:
        """Say ``data`` one byte at a time."""
        for at in range(len(data)):
            yield data[at : at + 1]
            if self.stopping.wait(seconds):
                return

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stopping.set()
        with self._lock:
            for sock in (self._listener, *self._open):
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
        for thread in tuple(self._threads):
            thread.join(10)
        self._listener.close()

    def _start(self, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                with self._lock:
                    if self.stopping.is_set():
                        sock.close()
                        return
                    self._open.add(sock)
                    self.connections += 1
                self._start(self._serve, sock)

    def _serve(self, sock: socket.socket) -> None:
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with sock.makefile("rb") as stream:
                while (request := self._receive(stream)) is not None:
                    if not self._say(sock, request):
                        break
        except OSError:
            pass  # the client has gone, which is what many faults are for
        finally:
            with self._lock:
                self._open.discard(sock)
            sock.close()

    def _receive(self, stream: object) -> Request | None:
        lines: list[str] = []
        while line := stream.readline().decode("latin-1").rstrip("\r\n"):  # type: ignore[attr-defined]
            lines.append(line)
        if not lines:
            return None
        method, target, _ = lines[0].split(" ")
        pairs = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines[1:])]
        request = Request.of(method, target, Headers(pairs), "127.0.0.1")
        size = int(request.headers.get("Content-Length") or 0)
        with self._lock:
            self.requests.append(request)
            if size:
                self.bodies.append(stream.read(size))  # type: ignore[attr-defined]
        return request

    def _say(self, sock: socket.socket, request: Request) -> bool:
        """Send the answer; tell whether the connection goes on."""
        answer = self.right(request)
        for piece in self.fault(request, answer) if self.fault else whole(answer):
            if isinstance(piece, bytes):
                sock.sendall(piece)
                continue
            if piece is End.RESET:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            elif piece is End.HANG:
                sock.recv(1)  # until the client closes
            return False
        return True
