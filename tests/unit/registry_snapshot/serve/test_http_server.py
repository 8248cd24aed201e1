"""The server on a real socket: what bad, slow and many clients meet, and that no body ends early in silence."""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import threading
import time
from collections.abc import Iterator

import pytest

from registry_snapshot.errors import StoreError
from registry_snapshot.serve.http_server import Limits, RegistryServer
from tests.unit.registry_snapshot.conftest import Authority
from tests.unit.registry_snapshot.serve.conftest import (
    BODY,
    Scripted,
    dial,
    eventually,
    open_files,
    read_all,
    say,
)

LIMITS = Limits(connections=4, handshake=0.5, receive=0.5, idle=1, stall=0.5, stop=1)


@pytest.fixture(params=["http", "https"])
def server(request: pytest.FixtureRequest, app: Scripted, authority: Authority) -> Iterator[RegistryServer]:
    with RegistryServer(app, ("127.0.0.1", 0), authority.server if request.param == "https" else None, LIMITS) as server:
        yield server


@pytest.fixture
def plain_server(app: Scripted) -> Iterator[RegistryServer]:
    with RegistryServer(app, ("127.0.0.1", 0), None, LIMITS) as server:
        yield server


def test_a_file_comes_whole_and_the_connection_stays(server: RegistryServer, authority: Authority) -> None:
    with dial(server, authority) as sock:
        for _ in range(3):
            sock.sendall(b"GET /file HTTP/1.1\r\nHost: x\r\n\r\n")
            response = http.client.HTTPResponse(sock)
            response.begin()
            assert response.read() == BODY
            response.close()


def test_several_requests_in_one_packet(server: RegistryServer, authority: Authority, app: Scripted) -> None:
    raw = say(server, authority, b"GET /a HTTP/1.1\r\n\r\nHEAD /b HTTP/1.1\r\n\r\nGET /c HTTP/1.1\r\nConnection: close\r\n\r\n")
    assert raw.count(b"HTTP/1.1 200 OK\r\n") == 3
    assert raw.count(b"\r\n\r\nok") == 2
    assert [request.path for request in app.requests] == ["/a", "/b", "/c"]
    assert app.requests[0].client == "127.0.0.1"


def test_a_file_that_is_too_short_closes_the_connection(server: RegistryServer, authority: Authority, app: Scripted) -> None:
    """A next answer would fill the gap, and the client would take it for the rest of the body."""
    raw = say(server, authority, b"GET /short HTTP/1.1\r\n\r\nGET /next HTTP/1.1\r\n\r\n")
    assert [request.path for request in app.requests] == ["/short"]
    head, _, body = raw.partition(b"\r\n\r\n")
    assert f"Content-Length: {len(BODY) + 1000}".encode() in head
    assert len(body) == len(BODY) + len("after")  # the client counts, and sees that 995 bytes are missing


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"GARBAGE\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\n\r\n", 400),
        (b"GET  / HTTP/1.1\r\n\r\n", 400),
        (b"GET http://[bad/ HTTP/1.1\r\n\r\n", 400),
        (b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\n" + b"X-Many: y\r\n" * 200 + b"\r\n", 400),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 100_000, 431),
        (b"GET / HTTP/1.1\r\nHalf", 408),
    ],
)
def test_bad_requests_are_answered_and_end_the_connection(
    server: RegistryServer, authority: Authority, app: Scripted, *, raw: bytes, status: int
) -> None:
    answer = say(server, authority, raw)
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())
    assert b"Connection: close" in answer
    assert app.requests == []


@pytest.mark.parametrize("header", [b"Content-Length: 100000", b"Transfer-Encoding: chunked"])
def test_a_request_with_a_body_is_answered_and_its_body_never_taken_for_a_request(
    server: RegistryServer, authority: Authority, app: Scripted, header: bytes
) -> None:
    smuggled = b"GET /smuggled HTTP/1.1\r\n\r\n"
    answer = say(server, authority, b"POST /x HTTP/1.1\r\n" + header + b"\r\n\r\n" + smuggled)
    assert answer.startswith(b"HTTP/1.1 200")
    assert [request.path for request in app.requests] == ["/x"]


def test_a_bug_is_500_and_says_nothing(server: RegistryServer, authority: Authority, caplog: pytest.LogCaptureFixture) -> None:
    answer = say(server, authority, b"GET /bug HTTP/1.1\r\nConnection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 500")
    assert b"secret" not in answer
    assert "ZeroDivisionError" in caplog.text


def test_a_client_that_tries_https_first_is_turned_away_at_once(plain_server: RegistryServer) -> None:
    hello, ours = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ssl.create_default_context().wrap_bio(ours, hello, server_hostname="registry.example")
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    with socket.create_connection(plain_server.address) as sock:
        sock.sendall(hello.read())
        # 408 is what came when the time for a request's head was over.
        assert sock.makefile("rb").read().startswith(b"HTTP/1.1 400 ")


def test_no_header_can_be_injected(plain_server: RegistryServer, authority: Authority) -> None:
    assert b"Injected" not in say(plain_server, authority, b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n")


def test_http_1_0_gets_one_answer(plain_server: RegistryServer, authority: Authority) -> None:
    assert say(plain_server, authority, b"GET / HTTP/1.0\r\n\r\n").endswith(b"\r\n\r\nok")


def test_a_client_that_stops_reading_is_let_go(server: RegistryServer, authority: Authority) -> None:
    with dial(server, authority) as sock:
        for _ in range(8):
            sock.sendall(b"GET /file HTTP/1.1\r\n\r\n")
        assert eventually(lambda: server.connections == 0)


def test_an_idle_client_is_let_go(plain_server: RegistryServer, authority: Authority) -> None:
    began = time.monotonic()
    assert say(plain_server, authority, b"") == b""
    assert 0.9 < time.monotonic() - began < 4


def test_a_client_that_never_shakes_hands_holds_up_nobody(app: Scripted, authority: Authority) -> None:
    with (
        RegistryServer(app, ("127.0.0.1", 0), authority.server, LIMITS) as server,
        socket.create_connection(server.address) as silent,
    ):
        began = time.monotonic()
        assert b"200 OK" in say(server, authority, b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n")
        assert time.monotonic() - began < 0.45
        silent.settimeout(5)
        assert read_all(silent) == b""


def test_more_clients_than_threads_wait_and_are_served(plain_server: RegistryServer, authority: Authority, app: Scripted) -> None:
    answers: list[bytes] = []
    clients = [
        threading.Thread(target=lambda: answers.append(say(plain_server, authority, b"GET /wait HTTP/1.0\r\n\r\n")))
        for _ in range(9)
    ]
    for client in clients:
        client.start()
    until = time.monotonic() + 5
    while len(app.requests) < 4 and time.monotonic() < until:
        time.sleep(0.01)
    time.sleep(0.1)
    assert len(app.requests) == 4
    app.release.set()
    for client in clients:
        client.join(10)
    assert [answer.endswith(b"ok") for answer in answers] == [True] * 9


def test_when_it_is_crowded_nobody_keeps_a_connection(plain_server: RegistryServer, authority: Authority) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(dial(plain_server, authority))
        time.sleep(0.1)
        assert b"Connection: close" in say(plain_server, authority, b"GET / HTTP/1.1\r\n\r\n")


def test_no_file_stays_open(server: RegistryServer, authority: Authority) -> None:
    until = time.monotonic() + 5
    while not any("eventpoll" in name for name in open_files()) and time.monotonic() < until:
        time.sleep(0.01)  # the accepting thread has begun
    before = open_files()
    for path in ("file", "short"):
        say(server, authority, f"GET /{path} HTTP/1.1\r\nConnection: close\r\n\r\n".encode())
        say(server, authority, f"HEAD /{path} HTTP/1.1\r\nConnection: close\r\n\r\n".encode())
    until = time.monotonic() + 5
    while open_files() != before and time.monotonic() < until:
        time.sleep(0.01)
    assert open_files() == before


def test_stop_ends_idle_connections_at_once_and_twice_is_fine(app: Scripted) -> None:
    server = RegistryServer(app, ("127.0.0.1", 0))
    server.start()
    with socket.create_connection(server.address, timeout=5) as idle:
        time.sleep(0.05)
        began = time.monotonic()
        server.stop()
        server.stop()
        assert time.monotonic() - began < 1
        assert read_all(idle) == b""


def test_serve_forever_ends_by_stop_from_elsewhere(app: Scripted) -> None:
    server = RegistryServer(app, ("127.0.0.1", 0))
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    with socket.create_connection(server.address, timeout=5) as sock:
        sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert read_all(sock).endswith(b"ok")
    server.stop()
    serving.join(5)
    assert not serving.is_alive()


def test_a_server_that_never_started_stops(app: Scripted) -> None:
    RegistryServer(app, ("127.0.0.1", 0)).stop()


def test_an_address_in_use_is_named(app: Scripted) -> None:
    with RegistryServer(app, ("127.0.0.1", 0)) as server, pytest.raises(StoreError, match=f":{server.address[1]} is in use"):
        RegistryServer(app, server.address)


def test_an_address_of_another_host_is_named(app: Scripted) -> None:
    with pytest.raises(StoreError, match=r"cannot listen on 192\.0\.2\.1:0"):
        RegistryServer(app, ("192.0.2.1", 0))
