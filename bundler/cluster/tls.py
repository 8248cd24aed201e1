"""An engine behind TLS (``tcp://docker:2376``), as a plain socket whose two directions end apart.

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
from typing import Any, Final
from urllib.parse import urlsplit

import docker
import urllib3
from docker.tls import TLSConfig
from docker.transport.basehttpadapter import BaseHTTPAdapter
from docker.utils import kwargs_from_env

from bundler.errors import DockerMissing

_CONNECT: Final = 20.0  # seconds
_CHUNK: Final = 256 * 1024
_LOOK: Final = 1000  # milliseconds between two looks at whether anybody still listens
_BASE: Final = "http+docker://tls"  # a scheme of the SDK's for what is no host to look up, and no proxy's matter


def connect(timeout: float) -> docker.DockerClient:
    """Return a client of the engine that the environment names, behind TLS or not. ``timeout`` in seconds.

    Raises DockerMissing where TLS is asked for and nothing says whom to trust; what docker's and requests' clients raise.
    """
    settings: dict[str, Any] = {**kwargs_from_env()}
    given = settings.get("tls")
    if given is None or str(settings.get("base_url", "")).startswith(("unix://", "ssh://")):
        return docker.from_env(timeout=int(timeout))
    if not given.verify:
        raise DockerMissing("DOCKER_HOST speaks TLS, and nobody says whom to trust", "set DOCKER_TLS_VERIFY=1, and DOCKER_CERT_PATH to where ca.pem, cert.pem and key.pem are")
    client = docker.DockerClient(timeout=int(timeout), **{**settings, "tls": _Tunnelled(given.cert, given.ca_cert, verify=True)})
    client.api.base_url = _BASE  # as for a socket of this machine, which it is for the SDK
    return client


class _Tunnelled(TLSConfig):
    """What the SDK asks to prepare a client for TLS."""

    def configure_client(self, client: Any) -> None:
        context = ssl.create_default_context(cafile=self.ca_cert)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self.cert:
            context.load_cert_chain(*self.cert)
        adapter = _Adapter(context, client.timeout)
        client.mount("https://", adapter)
        client.mount(_BASE, adapter)


class _Adapter(BaseHTTPAdapter):
    """Sends requests through tunnels. The address is that of the first request: an engine is one."""

    def __init__(self, context: ssl.SSLContext, timeout: float) -> None:
        self._context, self._timeout = context, timeout
        self._pool: _Pool | None = None
        super().__init__()

    def get_connection(self, url: Any, proxies: Any = None) -> Any:
        del proxies  # docker's own client takes none to an engine either
        if self._pool is None:
            parts = urlsplit(str(url))
            self._pool = _Pool((parts.hostname or "", parts.port or 2376), self._context, self._timeout)
        return self._pool

    def request_url(self, request: Any, proxies: Any) -> str:
        del proxies
        return str(request.path_url)

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """Leave it to the context, whatever CA bundle the environment names for the world's web sites."""


class _Pool(urllib3.HTTPConnectionPool):
    def __init__(self, address: tuple[str, int], context: ssl.SSLContext, timeout: float) -> None:
        super().__init__(*address, timeout=timeout, maxsize=10)
        self._address, self._context = address, context

    def _new_conn(self) -> Any:
        return _Connection(self._address, self._context, self.timeout.connect_timeout)


class _Connection(urllib3.connection.HTTPConnection):
    def __init__(self, address: tuple[str, int], context: ssl.SSLContext, timeout: Any) -> None:
        super().__init__(*address, timeout=timeout)
        self._address, self._context = address, context

    def connect(self) -> None:
        """Raises OSError, ssl.SSLError among them."""
        ours = tunnel(self._address, self._context)
        ours.settimeout(self.timeout)
        self.sock = ours


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
