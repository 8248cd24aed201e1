"""Whoever floods the registry from one address, or from many, takes it away from nobody who has the login."""

from __future__ import annotations

import contextlib
import itertools
import resource
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Self

import pytest

from registry_snapshot.serve.http_server import Limits, RegistryServer
from registry_snapshot.serve.limits import raise_file_limit
from registry_snapshot.serve.login import Credential, LoginRequired
from registry_snapshot.serve.metrics import Count
from tests.unit.registry_snapshot.conftest import Authority
from tests.unit.registry_snapshot.serve.conftest import Scripted, eventually

CREDENTIAL = Credential("airseal", "a-secret-nobody-guesses")
MOST = 200
ONE = ("127.0.0.2",)
MANY = tuple(f"127.0.0.{number}" for number in range(2, 22))
PATIENCE = 8  # seconds: less than a handshake, a head or an idle connection may take, so that only fairness makes room
LIMITS = Limits(connections=MOST, handshake=60, receive=60, idle=60)
HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"  # a record of 512 bytes begins, and does not go on


@pytest.fixture(autouse=True)
def many_files() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    raise_file_limit()
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.fixture(params=["http", "https"])
def server(request: pytest.FixtureRequest, app: Scripted, authority: Authority) -> Iterator[RegistryServer]:
    tls = authority.server if request.param == "https" else None
    with RegistryServer(LoginRequired(app, CREDENTIAL), ("127.0.0.1", 0), tls, LIMITS, inline=True) as running:
        yield running


Talk = Callable[[socket.socket, Callable[[socket.socket], socket.socket]], socket.socket]
"""What a flood does with each connection; the second is how it gets through TLS, where there is TLS."""


def through_tls(sock: socket.socket, authority: Authority) -> socket.socket:
    return ssl.create_default_context(cafile=authority.ca_file).wrap_socket(sock, server_hostname="localhost")


def silent(sock: socket.socket, _: Callable[[socket.socket], socket.socket]) -> socket.socket:
    return sock


def half_open(sock: socket.socket, _: Callable[[socket.socket], socket.socket]) -> socket.socket:
    sock.sendall(HELLO)
    return sock


def sends(data: bytes) -> Talk:
    def talk(sock: socket.socket, inside: Callable[[socket.socket], socket.socket]) -> socket.socket:
        wrapped = inside(sock)
        wrapped.sendall(data)
        return wrapped

    return talk


FLOODS = {
    "silent": silent,
    "half open": half_open,
    "dribbling": sends(b"GET /v2/ HT"),
    "not logged in": sends(b"GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n"),
    "healthy": sends(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"),
}


class Flood:
    """Opens connections from ``addresses`` and holds three times as many as there is room for; then each new one replaces the oldest."""

    def __init__(self, server: RegistryServer, authority: Authority, talk: Talk, addresses: Sequence[str], *, renews: bool = True) -> None:
        self._server = server
        self._authority = authority
        self._talk = talk
        self._renews = renews
        self._sources = itertools.cycle(addresses)
        self._held: deque[socket.socket] = deque()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.opened = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()
        for sock in self._held:
            sock.close()

    def _inside(self, sock: socket.socket) -> socket.socket:
        return through_tls(sock, self._authority) if self._server.tls else sock

    def _run(self) -> None:
        while not self._stopped.is_set():
            if len(self._held) == 3 * MOST:
                if not self._renews:
                    self._stopped.wait()
                    return
                self._held.popleft().close()
            with contextlib.suppress(OSError):
                sock = socket.create_connection(self._server.address, timeout=PATIENCE, source_address=(next(self._sources), 0))
                try:
                    sock = self._talk(sock, self._inside)
                finally:
                    self._held.append(sock)
                self.opened += 1


def dial_from(source: str, server: RegistryServer, authority: Authority) -> socket.socket:
    plain = socket.create_connection(server.address, timeout=PATIENCE, source_address=(source, 0))
    try:
        return through_tls(plain, authority) if server.tls else plain
    except OSError:
        plain.close()
        raise


def pull(server: RegistryServer, authority: Authority) -> bytes:
    """Ask with the login, as a node does. Raises OSError when nobody answers."""
    head = f"GET /ok HTTP/1.1\r\nHost: x\r\nAuthorization: {CREDENTIAL.authorization()}\r\nConnection: close\r\n\r\n"
    with dial_from("127.0.0.1", server, authority) as sock:
        sock.sendall(head.encode())
        data = b""
        while piece := sock.recv(4096):
            data += piece
        return data


@pytest.mark.parametrize(("addresses", "renews"), [(ONE, True), (MANY, False)], ids=["renewed from one address", "held from many"])
@pytest.mark.parametrize("talk", FLOODS.values(), ids=FLOODS)
def test_who_has_the_login_is_answered_during_a_flood(
    server: RegistryServer, authority: Authority, talk: Talk, addresses: Sequence[str], *, renews: bool
) -> None:
    if talk is half_open and server.tls is None:
        pytest.skip("there is no handshake in clear")
    enough = MOST if addresses is MANY else server._loop._places.share
    with Flood(server, authority, talk, addresses, renews=renews) as flood:
        assert eventually(lambda: flood.opened > 2 * enough, 60)
        for _ in range(3):
            assert pull(server, authority).endswith(b"ok")
        assert server.connections <= MOST


def test_one_address_does_not_get_more_than_its_share(server: RegistryServer, authority: Authority) -> None:
    share = server._loop._places.share
    with Flood(server, authority, silent, ONE) as flood:
        assert eventually(lambda: flood.opened > 3 * share, 30)
        assert server.connections <= share


def test_who_is_known_is_not_put_out_for_strangers(server: RegistryServer, authority: Authority) -> None:
    head = f"GET /ok HTTP/1.1\r\nHost: x\r\nAuthorization: {CREDENTIAL.authorization()}\r\n\r\n".encode()
    with contextlib.ExitStack() as stack:
        known = []
        for _ in range(5):
            known.append(stack.enter_context(dial_from("127.0.0.1", server, authority)))
            known[-1].sendall(head)
            assert known[-1].recv(4096).endswith(b"ok")
        time.sleep(1.1)  # so that they have been idle for long enough to be the next to go
        with Flood(server, authority, silent, MANY, renews=False):
            assert eventually(lambda: server.metrics[Count.EVICTED] > 50, 30)
            for sock in known:
                sock.sendall(head)
                assert sock.recv(4096).endswith(b"ok")


def test_a_flood_of_handshakes_is_taken_in_small_portions_from_all_addresses(authority: Authority, app: Scripted) -> None:
    """Each turn of the loop goes on with a few; the many of one address are not all before the one of another."""
    stopped = threading.Event()
    with RegistryServer(LoginRequired(app, CREDENTIAL), ("127.0.0.1", 0), authority.server, LIMITS, inline=True) as server:
        threads = [threading.Thread(target=_shake, args=(server, authority, stopped)) for _ in range(4)]
        for thread in threads:
            thread.start()
        try:
            assert eventually(lambda: server.metrics[Count.ACCEPTED] > 50, 30)
            for _ in range(5):
                assert pull(server, authority).endswith(b"ok")
        finally:
            stopped.set()
            for thread in threads:
                thread.join()


def _shake(server: RegistryServer, authority: Authority, stopped: threading.Event) -> None:
    while not stopped.is_set():
        with contextlib.suppress(OSError), dial_from("127.0.0.2", server, authority):
            pass
