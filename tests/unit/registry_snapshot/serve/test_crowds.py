"""Very many clients: what waits costs no thread, what is slow holds up nobody, what has no room waits its turn."""

from __future__ import annotations

import errno
import http.client
import os
import resource
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from registry_snapshot.errors import UpstreamError
from registry_snapshot.serve import bodies, loop
from registry_snapshot.serve.http_server import Limits, RegistryServer
from registry_snapshot.serve.limits import most_connections, raise_file_limit
from registry_snapshot.serve.metrics import Count
from registry_snapshot.store.growth import Growth
from tests.unit.registry_snapshot.conftest import Authority
from tests.unit.registry_snapshot.serve.conftest import BODY, Scripted, dial, eventually, read_all, say

GET = b"GET /%s HTTP/1.1\r\nHost: x\r\n\r\n"
LAST = b"GET /%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
Start = Callable[..., RegistryServer]


@pytest.fixture
def many_files() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    raise_file_limit()
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.fixture(params=["http", "https"])
def start(request: pytest.FixtureRequest, app: Scripted, authority: Authority) -> Iterator[Start]:
    """Start a server: ``start(inline=False, **limits)``."""
    with ExitStack() as stack:
        tls = authority.server if request.param == "https" else None

        def make(*, inline: bool = False, **limits: float) -> RegistryServer:
            bounds = Limits(**limits)  # type: ignore[arg-type]
            return stack.enter_context(RegistryServer(app, ("127.0.0.1", 0), tls, bounds, inline=inline))

        yield make


def answer(sock: socket.socket, raw: bytes) -> bytes:
    sock.sendall(raw)
    response = http.client.HTTPResponse(sock)
    response.begin()
    return response.read()


@pytest.mark.usefixtures("many_files")
def test_hundreds_of_idle_connections_cost_no_thread_and_stay_usable(start: Start, authority: Authority) -> None:
    server = start(inline=True)
    with ExitStack() as stack:
        count = 600 if server.tls is None else 100  # what takes time is the clients' half of the handshakes
        idle = [stack.enter_context(dial(server, authority)) for _ in range(count)]
        assert eventually(lambda: server.connections == count)
        assert all(answer(sock, GET % b"ok") == b"ok" for sock in idle)
        assert server.threads == 0
        assert eventually(lambda: server.metrics[Count.IDLE] == count)


def test_heads_that_trickle_in_cost_no_thread_and_are_not_waited_for_longer_byte_by_byte(start: Start, authority: Authority) -> None:
    server = start(receive=0.4)
    with ExitStack() as stack:
        slow = [stack.enter_context(dial(server, authority)) for _ in range(20)]
        for byte in b"GET /slow":
            for sock in slow:
                sock.sendall(bytes([byte]))
        assert eventually(lambda: server.connections == 20)
        assert server.threads == 0
        assert all(read_all(sock).startswith(b"HTTP/1.1 408 ") for sock in slow)
    assert eventually(lambda: server.connections == 0)


def test_handshakes_that_stall_cost_no_thread(app: Scripted, authority: Authority) -> None:
    limits = Limits(handshake=0.4, workers=2)
    with RegistryServer(app, ("127.0.0.1", 0), authority.server, limits) as server, ExitStack() as stack:
        silent = [stack.enter_context(socket.create_connection(server.address, timeout=5)) for _ in range(30)]
        for sock in silent[:15]:
            sock.sendall(b"\x16\x03\x01")
        assert say(server, authority, LAST % b"ok").endswith(b"ok")
        assert server.threads == 1
        assert all(read_all(sock) == b"" for sock in silent)
        assert server.metrics[Count.STALLED] == 30


@pytest.mark.parametrize("inline", [False, True])
def test_clients_that_stop_reading_do_not_take_the_threads(start: Start, authority: Authority, *, inline: bool) -> None:
    server = start(inline=inline, workers=2)
    with ExitStack() as stack:
        for _ in range(8):
            stack.enter_context(dial(server, authority)).sendall(GET % b"file" + GET % b"file" + GET % b"file")
        raw = say(server, authority, LAST % b"file")
        assert raw.endswith(BODY)
        assert server.threads <= 2


@pytest.mark.parametrize("inline", [False, True])
def test_who_reads_in_small_sips_gets_every_byte(
    start: Start, authority: Authority, monkeypatch: pytest.MonkeyPatch, *, inline: bool
) -> None:
    """Between the sips the connection is parked; another thread goes on where the first stopped."""
    monkeypatch.setattr(loop, "_PATIENCE", 0)
    server = start(inline=inline)
    with socket.socket() as raw:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        raw.settimeout(5)
        raw.connect(server.address)
        context = ssl.create_default_context(cafile=authority.ca_file)
        with context.wrap_socket(raw, server_hostname="localhost") if server.tls else raw as sock:
            assert answer(sock, GET % b"file") == BODY
            assert answer(sock, GET % b"small") == BODY[:5000]
            assert answer(sock, GET % b"empty") == b""
            assert answer(sock, GET % b"file") == BODY


def test_where_nobody_can_tell_what_is_in_memory_a_thread_reads(
    start: Start, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The portable stub is built for glibc 2.17, which has no preadv2."""
    real = os.preadv

    def old(fd: int, buffers: list[memoryview], offset: int, flags: int = 0) -> int:
        if flags:
            raise NotImplementedError("preadv2: flags unavailable on this platform")
        return real(fd, buffers, offset)

    monkeypatch.setattr(os, "preadv", old)
    server = start(inline=True)
    with dial(server, authority) as sock:
        assert answer(sock, GET % b"small") == BODY[:5000]
        assert answer(sock, GET % b"file") == BODY
    assert server.threads == 1


def test_requests_that_wait_for_an_upstream_get_a_thread_each(start: Start, authority: Authority, app: Scripted) -> None:
    server = start()
    with ExitStack() as stack:
        waiting = [stack.enter_context(dial(server, authority)) for _ in range(100)]
        for sock in waiting:
            sock.sendall(LAST % b"wait")
        assert eventually(lambda: len(app.requests) == 100)
        assert server.threads == 100
        assert say(server, authority, LAST % b"ok").endswith(b"ok")
        app.release.set()
        assert all(read_all(sock).endswith(b"ok") for sock in waiting)


def test_an_idle_connection_makes_room_for_a_new_one(start: Start, authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "_IDLE_AT_LEAST", 0.05)
    server = start(connections=4)
    with ExitStack() as stack:
        idle = [stack.enter_context(dial(server, authority)) for _ in range(4)]
        assert eventually(lambda: server.connections == 4)
        assert say(server, authority, LAST % b"ok").endswith(b"ok")
        assert read_all(idle[0]) == b""
        assert answer(idle[3], GET % b"ok") == b"ok"
        assert server.metrics[Count.EVICTED] == 1


class FullListener(socket.socket):
    """A listener in a process that has no file left, for as long as a test says."""

    is_full = True

    def accept(self) -> tuple[socket.socket, object]:
        if self.is_full:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return super().accept()


def test_without_a_file_left_clients_wait_and_nothing_spins(start: Start, authority: Authority) -> None:
    server = RegistryServer(Healthy(), ("127.0.0.1", 0))
    listener = FullListener(fileno=server._listener.detach())
    listener.setblocking(False)
    server._listener = server._loop._listener = listener
    with server, dial(server, authority) as sock:
        sock.sendall(LAST % b"ok")
        assert eventually(lambda: server.metrics[Count.REFUSED] > 0)
        listener.is_full = False
        assert read_all(sock).endswith(b"ok")
        assert server.metrics[Count.REFUSED] < 5


class Healthy(Scripted):
    def __init__(self) -> None:
        self.requests = []


def test_there_is_a_file_for_every_answer() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, hard))
    try:
        assert 300 < most_connections(Limits()) < 480
        assert most_connections(Limits(connections=7)) == 7
        assert raise_file_limit() == hard
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def read_first(sock: socket.socket, size: int) -> bytes:
    """Return the head and at least ``size`` bytes of the body."""
    data = b""
    while len(data.partition(b"\r\n\r\n")[2]) < size:
        data += sock.recv(65536)
    return data


class Growing:
    """A blob on its way, of which the test says how much is there."""

    def __init__(self, app: Scripted) -> None:
        self.fd = os.memfd_create("growing")
        self.growth = app.growth = Growth(self.fd, len(BODY))

    def write(self, start: int, end: int) -> None:
        os.pwrite(self.fd, BODY[start:end], start)
        self.growth.grew(end)

    def close(self) -> None:
        self.growth.close()
        os.close(self.fd)


@pytest.fixture
def growing(app: Scripted) -> Iterator[Growing]:
    made = Growing(app)
    yield made
    made.close()


def test_a_blob_is_sent_while_it_grows(start: Start, authority: Authority, growing: Growing) -> None:
    server = start()
    growing.write(0, 1_000_000)
    with dial(server, authority) as sock:
        sock.sendall(LAST % b"growing")
        data = read_first(sock, 1_000_000)
        growing.write(1_000_000, len(BODY))
        growing.growth.finish()
        assert (data + read_all(sock)).partition(b"\r\n\r\n")[2] == BODY


@pytest.mark.parametrize("ending", ["fails", "begins again", "is short"])
def test_a_blob_that_stops_growing_cuts_the_connection(start: Start, authority: Authority, growing: Growing, ending: str) -> None:
    """The client counts fewer bytes than it was told, and never sees a short 200 that looks whole."""
    server = start()
    growing.write(0, 1_000_000)
    with dial(server, authority) as sock:
        sock.sendall(GET % b"growing" + GET % b"ok")
        data = read_first(sock, 1_000_000)
        match ending:
            case "fails":
                growing.growth.fail(UpstreamError("the upstream broke off"))
            case "begins again":
                growing.growth.restart()
                growing.write(0, 2_000_000)
            case _:
                os.ftruncate(growing.fd, 500_000)
                growing.growth.finish()
        body = (data + read_all(sock)).partition(b"\r\n\r\n")[2]
        assert len(body) < len(BODY)
        assert BODY.startswith(body)
    assert eventually(lambda: server.connections == 0)
    assert server.metrics[Count.CUT] == 1


def test_who_goes_away_does_not_wait_for_a_growing_blob(
    start: Start, authority: Authority, growing: Growing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "_NEWS_SECONDS", 0.05)
    server = start()
    growing.write(0, 1000)
    with dial(server, authority) as sock:
        sock.sendall(GET % b"growing")
        sock.recv(65536)
    assert eventually(lambda: server.connections == 0)


@pytest.mark.parametrize("inline", [False, True])
def test_stop_lets_a_running_answer_end(start: Start, authority: Authority, *, inline: bool) -> None:
    server = start(inline=inline)
    with dial(server, authority) as sock, dial(server, authority) as idle:
        sock.sendall(GET % b"file" + GET % b"file")
        data = sock.recv(65536)
        stopping = threading.Thread(target=server.stop)
        stopping.start()
        assert read_all(idle) == b""
        data += read_all(sock)
        stopping.join(5)
    assert BODY in data
    assert not stopping.is_alive()


def test_stop_cuts_who_does_not_read_and_leaves_who_waits_for_an_upstream(
    start: Start, authority: Authority, app: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "_CUT_SECONDS", 0.1)
    server = start(stop=0.2)
    with dial(server, authority) as deaf, dial(server, authority) as waiting:
        deaf.sendall(GET % b"file" * 5)
        waiting.sendall(GET % b"wait")
        assert eventually(lambda: any(request.path == "/wait" for request in app.requests))
        server.stop()
        assert read_all(waiting) == b""
        assert server.connections <= 1  # the one whose app is still asked
        app.release.set()
        assert eventually(lambda: server.connections == 0)
