"""Noise over real sockets, in clear, as TLS and inside TLS: no crash, no hang, nothing left open, no memory growth.

``AIRSEAL_FUZZ_SECONDS=600 pytest tests/unit/registry_snapshot/serve/test_front_fuzz.py`` goes on for longer. Each
conversation follows from its number, so one that fails can be had again.
"""

from __future__ import annotations

import gc
import os
import random
import socket
import time
import tracemalloc
from collections.abc import Iterator

import pytest

from registry_snapshot.serve.http_server import Limits, RegistryServer
from registry_snapshot.serve.metrics import Count
from tests.unit.registry_snapshot.conftest import Authority
from tests.unit.registry_snapshot.serve.conftest import Scripted, dial, eventually, open_files, say
from tests.unit.registry_snapshot.serve.test_wire import CONTAINERD, PIECES

SECONDS = float(os.environ.get("AIRSEAL_FUZZ_SECONDS", "0.5"))
LEAST = 40
WHOLE = (b"GET /small HTTP/1.1\r\n\r\n", b"GET /file HTTP/1.1\r\n\r\n", b"HEAD /file HTTP/1.1\r\n\r\n", b"GET /short HTTP/1.1\r\n\r\n", CONTAINERD)
GROWTH = 1_000_000  # bytes that the run may leave behind: two workers' buffers, not something for each conversation


@pytest.fixture(params=["waits", "inline"])
def inline(request: pytest.FixtureRequest) -> bool:
    return bool(request.param == "inline")


def pieces(chance: random.Random) -> Iterator[bytes]:
    for _ in range(chance.randrange(1, 8)):
        match chance.randrange(4):
            case 0:
                yield chance.choice(WHOLE)
            case 1:
                yield b"".join(chance.choices(PIECES, k=chance.randrange(12)))
            case 2:
                yield chance.randbytes(chance.choice((1, 100, 70_000)))
            case _:
                whole = chance.choice(WHOLE)
                yield whole[: chance.randrange(len(whole))]


def converse(server: RegistryServer, authority: Authority, number: int) -> None:
    chance = random.Random(number)  # noqa: S311
    in_clear = chance.random() < 0.5
    with socket.create_connection(server.address, timeout=5) if in_clear else dial(server, authority) as sock:
        sock.settimeout(3)
        try:
            for piece in pieces(chance):
                sock.sendall(piece)
                if chance.random() < 0.2:
                    sock.recv(chance.choice((1, 65536)))
            if chance.random() < 0.5:
                sock.shutdown(socket.SHUT_WR)
            if chance.random() < 0.7:
                while sock.recv(65536):
                    pass
        except TimeoutError:
            raise AssertionError(f"conversation {number} hangs") from None
        except OSError:  # it was refused, and cut
            pass


def forget(app: Scripted, caplog: pytest.LogCaptureFixture) -> None:
    """Let go of what the test keeps: it is not the server's."""
    app.requests.clear()
    caplog.clear()
    gc.collect()


@pytest.mark.parametrize("tls", ["http", "https"])
def test_noise_harms_nothing(
    app: Scripted, authority: Authority, caplog: pytest.LogCaptureFixture, tls: str, *, inline: bool
) -> None:
    limits = Limits(handshake=0.1, receive=0.1, idle=0.1, stall=0.5, drain=0.1, stop=1, workers=2)
    context = authority.server if tls == "https" else None
    with RegistryServer(app, ("127.0.0.1", 0), context, limits, inline=inline) as server:
        say(server, authority, WHOLE[0])
        files = 0
        until, number = time.monotonic() + SECONDS / 4, 0
        tracemalloc.start()
        before = 0
        while time.monotonic() < until or number < LEAST:
            if number == LEAST // 2:  # by now everything that is made once was made
                assert eventually(lambda: server.connections == 0)
                forget(app, caplog)
                before, files = tracemalloc.get_traced_memory()[0], len(open_files())
            converse(server, authority, number)
            number += 1
        assert eventually(lambda: server.connections == 0)
        forget(app, caplog)
        grown = tracemalloc.get_traced_memory()[0] - before
        tracemalloc.stop()
        assert b" 200 OK" in say(server, authority, b"GET /ok HTTP/1.0\r\n\r\n")
        assert eventually(lambda: len(open_files()) <= files)
        assert server.metrics[Count.BUG] == 0
        assert grown < GROWTH
