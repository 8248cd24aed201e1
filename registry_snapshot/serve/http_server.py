"""RegistryServer: a threaded HTTP/1.1 or HTTPS shell around an app.

One thread for each connection, up to a bound; further clients wait in the backlog. Cleartext bodies go out by
``sendfile``. A TLS handshake happens in the connection's thread, so a client that stalls there holds up nobody.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import selectors
import socket
import ssl
import threading
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from registry_snapshot.errors import StoreError
from registry_snapshot.serve.error_body import error_response
from registry_snapshot.serve.messages import Request, Response
from registry_snapshot.serve.wire import BadRequestError, CutShortError, Wire

_log = logging.getLogger(__name__)
_BACKLOG = 128


class App(Protocol):
    """What the server shows. RegistryApp is one."""

    def handle(self, request: Request) -> Response:
        """Return the answer. Called from many threads."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of the server one client may take. Times in seconds."""

    connections: int = 512
    handshake: float = 15
    receive: float = 20  # a whole request head
    idle: float = 60  # between requests; Go clients drop idle connections after 30 to 90
    stall: float = 60  # a client that takes no byte of a body
    stop: float = 5  # for transfers to end when the server stops


class RegistryServer:
    """Serves ``app`` at ``address`` (host, port; port 0 picks one), with TLS if ``tls`` is given.

    Binds at once: raises StoreError if the address is taken or not ours. Use ``with`` (starts a background thread and
    stops at the end), ``start``/``stop``, or ``serve_forever``.
    """

    def __init__(
        self, app: App, address: tuple[str, int], tls: ssl.SSLContext | None = None, limits: Limits | None = None
    ) -> None:
        self._app = app
        self._tls = tls
        self._limits = limits or Limits()
        self._slots = threading.BoundedSemaphore(self._limits.connections)
        self._live: dict[threading.Thread, socket.socket] = {}
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._accepting: threading.Thread | None = None
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        try:
            self._listener = socket.create_server(address, family=family, backlog=_BACKLOG)
        except OSError as error:
            raise _bind_error(error, address) from error
        self._listener.setblocking(False)
        self._wake_in, self._wake_out = socket.socketpair()

    @property
    def address(self) -> tuple[str, int]:
        """The host and the real port."""
        host, port = self._listener.getsockname()[:2]
        return str(host), int(port)

    def start(self) -> None:
        """Begin to serve in a background thread."""
        self._accepting = threading.Thread(target=self._accept_all, name="registry-accept", daemon=True)
        self._accepting.start()

    def serve_forever(self) -> None:
        """Serve in this thread until ``stop`` is called, from another thread or a signal handler."""
        self._accepting = threading.current_thread()
        self._accept_all()

    def stop(self) -> None:
        """Stop accepting, let running answers end for a few seconds, then cut what is left. May be called twice."""
        if self._stopping.is_set():
            return
        self._stopping.set()
        if self._accepting is None:
            self._close()
        else:
            with contextlib.suppress(OSError):  # the loop may have seen the flag already, and closed
                self._wake_in.send(b"x")
            if self._accepting is not threading.current_thread():
                self._accepting.join()
        with self._lock:
            live = dict(self._live)
        for sock in live.values():
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RD)  # wakes those who wait for a next request
        for step in ("end", "cut"):
            for thread, sock in live.items():
                if step == "cut":
                    with contextlib.suppress(OSError):
                        sock.shutdown(socket.SHUT_RDWR)
                thread.join(self._limits.stop / max(len(live), 1))

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def _accept_all(self) -> None:
        try:
            with selectors.DefaultSelector() as selector:
                selector.register(self._listener, selectors.EVENT_READ)
                selector.register(self._wake_out, selectors.EVENT_READ)
                while not self._stopping.is_set():
                    if self._slots.acquire(timeout=0.5) and not self._accept_one(selector):
                        self._slots.release()
        finally:
            self._close()

    def _close(self) -> None:
        for sock in (self._listener, self._wake_in, self._wake_out):
            sock.close()

    def _accept_one(self, selector: selectors.BaseSelector) -> bool:
        """Wait for a client and start its thread; False if none came."""
        selector.select()
        if self._stopping.is_set():
            return False
        try:
            sock, peer = self._listener.accept()
        except BlockingIOError:
            return False
        except OSError as error:
            _log.warning("cannot accept a connection: %s", error)
            if error.errno in {errno.EMFILE, errno.ENFILE, errno.ENOMEM}:
                self._stopping.wait(0.2)  # the client stays in the backlog; a connection that ends makes room
            return False
        thread = threading.Thread(target=self._serve, args=(sock, str(peer[0])), name="registry-client", daemon=True)
        with self._lock:
            self._live[thread] = sock
        try:
            thread.start()
        except RuntimeError as error:  # no more threads in this process
            _log.warning("cannot serve a connection: %s", error)
            with self._lock:
                del self._live[thread]
            sock.close()
            return False
        return True

    def _serve(self, sock: socket.socket, client: str) -> None:
        thread = threading.current_thread()
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls is not None:
                sock.settimeout(self._limits.handshake)
                sock = self._tls.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
                with self._lock:
                    self._live[thread] = sock
                sock.do_handshake()
            wire = Wire(sock, client, self._limits.receive, self._limits.stall)
            while not self._stopping.is_set() and self._exchange(wire):
                pass
        except (OSError, CutShortError) as error:
            _log.info("connection from %s ended: %s", client, error)
        finally:
            with contextlib.suppress(OSError):
                sock.close()
            with self._lock:
                self._live.pop(thread, None)
            self._slots.release()

    def _exchange(self, wire: Wire) -> bool:
        """Answer one request; tell whether the connection goes on."""
        try:
            head = wire.receive(self._limits.idle)
        except BadRequestError as error:
            wire.send(error_response(error.status, "UNSUPPORTED", str(error)), head_only=False, close=True)
            wire.drain()
            return False
        if head is None:
            return False
        response = self._ask(head.request)
        # When more than half of the connections are taken, idle ones must not keep others waiting.
        close = not head.keep_alive or self._stopping.is_set() or len(self._live) * 2 > self._limits.connections
        try:
            wire.send(response, head_only=head.request.method == "HEAD", close=close)
        finally:
            response.close()
        if head.has_body:
            wire.drain()
        return not close

    def _ask(self, request: Request) -> Response:
        try:
            return self._app.handle(request)
        except Exception:  # noqa: BLE001 - the edge of the process's trust in its own code
            # A bug of ours must not look like a network failure; the details are in our log, not the client's.
            _log.exception("%s %s failed", request.method, request.path)
            return error_response(500, "UNKNOWN", "the registry failed; its log says why")


def _bind_error(error: OSError, address: tuple[str, int]) -> StoreError:
    host, port = address
    if error.errno == errno.EADDRINUSE:
        return StoreError(f"{host}:{port} is in use", f"stop what listens there (ss -ltnp sport = :{port}), or choose another port")
    return StoreError(f"cannot listen on {host}:{port}: {error.strerror or error}", "choose an address of this host")
